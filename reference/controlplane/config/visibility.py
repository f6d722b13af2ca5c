"""Who may see an object: `exportTo`."""

from collections.abc import Sequence


def is_visible(export_to: Sequence[str], default: Sequence[str], own: str, viewer: str) -> bool:
    """Whether an object of namespace `own` is visible in namespace `viewer`.

    `export_to` holds namespaces, `.` for its own, `*` for all, `~` for none; when empty, the mesh's `default` counts.
    """
    return any(entry in ("*", viewer) or (entry == "." and own == viewer) for entry in export_to or default)
