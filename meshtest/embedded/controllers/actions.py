"""What a plan can ask for. Plans are data, so that tests read them and one executor carries them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kubeclient import Obj, Resource


@dataclass(frozen=True, slots=True)
class Create:
    """Create `obj`; `about` gets an Event when that succeeds or fails."""

    resource: Resource
    obj: Obj
    about: Obj | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the very object with that uid. That it is gone already is fine."""

    resource: Resource
    obj: Obj
    propagation: Literal["Background", "Foreground", "Orphan"] | None = "Background"
    about: Obj | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge-patch an object; `subresource` is usually "status"."""

    resource: Resource
    obj: Obj
    body: dict[str, Any]
    subresource: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An Event for people who run `kubectl describe`; `component` says who speaks, by default the controller of its
    kind.
    """

    about: Obj
    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"
    component: str = ""


Action = Create | Delete | Patch | Record


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions that may all run at the same time, and the seconds after which to look again (None: on the next
    event).
    """

    actions: Sequence[Action] = ()
    again_after: float | None = None


def patch_status(resource: Resource, obj: Obj, status: Obj) -> list[Action]:
    """The patch that makes `obj` have `status`, or nothing when it has it."""
    current = obj.get("status") or {}
    changed: dict[str, Any] = {key: value for key, value in status.items() if current.get(key) != value}
    return [Patch(resource, obj, {"status": changed}, "status")] if changed else []
