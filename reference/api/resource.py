"""Kinds of resource: registered once, then parsed and turned into CRDs all alike.

A new kind is a module with a Message class and one `register(ResourceType(...))`.
"""

from dataclasses import dataclass
from typing import Any, Final

from reference.api.errors import Errors, InvalidConfig
from reference.api.kinds import Obj
from reference.api.message import Message

VERSIONS: Final = ("v1", "v1beta1", "v1alpha3")
_REGISTERED: Final[dict[tuple[str, str], "ResourceType"]] = {}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that `kubectl get` prints."""

    name: str
    type: str
    json_path: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class ResourceType:
    group: str
    kind: str
    plural: str
    model: type[Message]
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    versions: tuple[str, ...] = VERSIONS
    """Served versions; the first one is stored."""
    namespaced: bool = True
    category: str = "istio-io"

    @property
    def chart(self) -> str:
        return "istio"


def register(kind: ResourceType) -> ResourceType:
    """Makes the kind known to `parse` and `crds`; called once by the module that declares it."""
    _REGISTERED[kind.group, kind.kind] = kind
    return kind


def resource_types() -> tuple[ResourceType, ...]:
    """All registered kinds, by group and name."""
    return tuple(_REGISTERED[key] for key in sorted(_REGISTERED))


def find(api_version: str, kind: str) -> ResourceType | None:
    """The registered kind of an object, whichever of its versions it is written in."""
    group, _, version = api_version.rpartition("/")
    found = _REGISTERED.get((group, kind))
    return found if found is not None and version in found.versions else None


def parse(obj: Obj) -> Message:
    """The typed model of an object's `spec`. Raises InvalidConfig with every wrong field."""
    meta: dict[str, Any] = obj.get("metadata") or {}
    name = f"{meta.get('namespace', '')}/{meta.get('name', '')}".lstrip("/")
    kind, errors = str(obj.get("kind", "")), Errors()
    about = find(str(obj.get("apiVersion", "")), kind)
    if about is None:
        known = ", ".join(f"{entry.kind}.{entry.group}" for entry in resource_types())
        errors.add("kind", f"one of {known} in a served version", f"{kind} in {obj.get('apiVersion')}")
        raise InvalidConfig(kind or "object", name, errors.found)
    model = about.model.parse(obj.get("spec") or {}, "spec", errors)
    if errors.found:
        raise InvalidConfig(kind, name, errors.found)
    return model
