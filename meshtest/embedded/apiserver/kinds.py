"""What kinds of objects there are: one `Kind` for each, built in or from a CRD, and the `Registry` that finds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scale subresource finds its numbers; dotted paths."""

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the Table output. ``path`` is a JSONPath without braces (CRDs)."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    versions: served ones, the preferred first; ``storage`` is how objects lie in the store.
    subresources: besides ``status`` and ``scale``, which have flags of their own.
    schemas: version -> structural schema (CRDs only); columns: version -> printer columns (CRDs only).
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool = True
    storage: str = ""
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    status: frozenset[str] = frozenset()
    scale: dict[str, Scale] = field(default_factory=dict)
    subresources: tuple[str, ...] = ()
    generation: bool = False
    custom: bool = False
    schemas: dict[str, Obj] = field(default_factory=dict)
    columns: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    selectable: dict[str, tuple[str, ...]] = field(default_factory=dict)
    deprecated: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """``plural.group``: the name of its collection, of its CRD, and of itself in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def api_version(self, version: str | None = None) -> str:
        version = version or self.storage
        return f"{self.group}/{version}" if self.group else version

    def has_status(self, version: str) -> bool:
        return version in self.status


def kind(
    group: str,
    version: str,
    plural: str,
    name: str,
    *,
    namespaced: bool = True,
    short: str = "",
    all_category: bool = False,
    status: bool = False,
    scale: bool = False,
    sub: str = "",
    generation: bool = False,
    verbs: tuple[str, ...] = ALL_VERBS,
) -> Kind:
    """A built-in kind, briefly; ``short`` and ``sub`` are lists separated by spaces."""
    return Kind(
        group=group,
        versions=(version,),
        storage=version,
        plural=plural,
        kind=name,
        namespaced=namespaced,
        singular=name.lower(),
        list_kind=f"{name}List",
        short_names=tuple(short.split()),
        categories=("all",) if all_category else (),
        verbs=verbs,
        status=frozenset([version]) if status else frozenset(),
        scale={version: Scale()} if scale else {},
        subresources=tuple(sub.split()),
        generation=generation,
    )


class Registry:
    """All kinds that are served now. Built-in groups keep the order they were added in."""

    def __init__(self, builtin: tuple[Kind, ...]) -> None:
        self._by_plural: dict[tuple[str, str], Kind] = {}
        self.generation = 0
        for each in builtin:
            self.add(each)

    def add(self, each: Kind) -> None:
        self._by_plural[each.group, each.plural] = each
        self.generation += 1

    def remove(self, group: str, plural: str) -> None:
        if self._by_plural.pop((group, plural), None) is not None:
            self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        found = self._by_plural.get((group, plural))
        return found if found is not None and version in found.versions else None

    def by_group(self, group: str, plural: str) -> Kind | None:
        return self._by_plural.get((group, plural))

    def of_kind(self, group: str, name: str) -> Kind | None:
        return next((each for each in self if each.group == group and each.kind == name), None)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_plural.values())

    def groups(self) -> dict[str, list[str]]:
        """Group -> its served versions, the preferred first. The core group "" is included."""
        found: dict[str, set[str]] = {}
        for each in self:
            found.setdefault(each.group, set()).update(each.versions)
        return {group: sorted(versions, key=version_rank) for group, versions in found.items()}


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes prefers them: v2, v1, v1beta2, v1beta1, v1alpha1, then others by name."""
    import re

    found = re.match(r"^v(\d+)(?:(alpha|beta)(\d+))?$", version)
    if found is None:
        return (3, 0, 0, version)
    major, stage, minor = found.groups()
    rank = {None: 0, "beta": 1, "alpha": 2}[stage]
    return (rank, -int(major), -int(minor or 0), version)
