"""Raw objects -> parsed configuration, keeping what has not changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from reference.api import InvalidConfig, parse
from reference.api.message import Message

Obj = dict[str, Any]
Key = tuple[str, str]
M = TypeVar("M", bound=Message, covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Config(Generic[M]):
    """One parsed object. The same object for as long as its spec does not change."""

    kind: str
    namespace: str
    name: str
    created: str
    model: M
    raw: Obj = field(repr=False)

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts oldest first; name and namespace break ties, so that the order never depends on the input's."""
        return self.created, self.namespace, self.name


@dataclass(frozen=True, slots=True, eq=False)
class ConfigSet(Generic[M]):
    """All objects of one kind, oldest first, and those that could not be parsed."""

    entries: tuple[Config[M], ...] = ()
    rejected: Mapping[Key, InvalidConfig] = field(default_factory=dict)
    by_key: Mapping[Key, Config[M]] = field(default_factory=dict, repr=False)


def read_configs(
    kind: str, model: type[M], raw: Mapping[Key, Obj], previous: ConfigSet[M] | None = None
) -> ConfigSet[M]:
    """Parses what is new or changed. Returns `previous` itself when nothing relevant has changed.

    An invalid object (one that came in before the webhook did, say) is left out and kept in `rejected`.
    """
    old: ConfigSet[M] = previous or ConfigSet()
    by_key: dict[Key, Config[M]] = {}
    rejected: dict[Key, InvalidConfig] = {}
    for key, obj in raw.items():
        known = old.by_key.get(key)
        if known is not None and (known.raw is obj or _same(known.raw, obj)):
            by_key[key] = known
            continue
        try:
            parsed = parse(obj)
        except InvalidConfig as error:
            rejected[key] = error
            continue
        if isinstance(parsed, model):
            meta = obj["metadata"]
            by_key[key] = Config(kind, key[0], key[1], meta.get("creationTimestamp") or "", parsed, obj)
    if previous is not None and by_key == old.by_key and rejected.keys() == old.rejected.keys():
        return previous
    return ConfigSet(tuple(sorted(by_key.values(), key=lambda entry: entry.age)), rejected, by_key)


def _same(before: Obj, after: Obj) -> bool:
    """Whether the mesh sees no difference: a new status, label or annotation is none."""
    return (
        before.get("spec") == after.get("spec")
        and before["metadata"].get("uid") == after["metadata"].get("uid")
        and before["metadata"].get("creationTimestamp") == after["metadata"].get("creationTimestamp")
    )
