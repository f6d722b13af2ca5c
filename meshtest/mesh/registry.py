"""Drivers by name: entry points of the group meshtest.meshes, and `none`."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import cast

from meshtest.environment.errors import UsageError
from meshtest.framework.mesh import Mesh

GROUP = "meshtest.meshes"
NONE = "none"


def names() -> list[str]:
    """All names that --mesh takes."""
    return sorted({NONE, *entry_points(group=GROUP).names})


def check_name(name: str) -> None:
    """Errors: UsageError, which says what there is. Loads no driver."""
    if name != NONE and not entry_points(group=GROUP, name=name):
        raise UsageError(f"--mesh {name}: no such mesh; available: {', '.join(names())}")


def driver(name: str) -> Mesh:
    """A new driver of that name, not attached yet. Errors: UsageError, which says what there is."""
    check_name(name)
    if name == NONE:
        from meshtest.mesh.null import NullMesh

        return NullMesh()
    (entry, *_) = entry_points(group=GROUP, name=name)
    return cast("Callable[[], Mesh]", entry.load())()
