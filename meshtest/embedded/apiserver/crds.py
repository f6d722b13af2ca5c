"""CustomResourceDefinitions: from a stored definition to a served kind."""

from __future__ import annotations

from typing import Any

from . import listtypes
from .builtin import BUILTIN
from .kinds import Column, Kind, Registry, Scale, version_rank
from .metadata import now
from .store import Event, Item, Store

Obj = dict[str, Any]
KEY = "customresourcedefinitions.apiextensions.k8s.io"
_GROUPS = frozenset(kind.group for kind in BUILTIN)


class Definitions:
    """Follows the stored definitions; a kind is served as soon as its definition is in the store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        store.collection(KEY).listen(self, self._on_event)

    def _on_event(self, event: Event) -> None:
        definition = event.item.obj
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        if event.type == "DELETED":
            self._registry.remove(group, plural)
            self._store.drop(event.item.name)
            for version in definition["spec"]["versions"]:
                listtypes.register_custom(f"{group}/{version['name']}", definition["spec"]["names"]["kind"], None)
            return
        if event.previous is not None and event.previous.obj["spec"] == definition["spec"]:
            return
        kind = kind_of(definition)
        self._registry.add(kind)
        for version, schema in kind.schemas.items():
            listtypes.register_custom(kind.api_version(version), kind.kind, schema)

    def instances(self, definition: Item) -> int:
        return len(self._store.collection(definition.name))


def kind_of(definition: Obj) -> Kind:
    """The kind that a valid definition describes."""
    spec = definition["spec"]
    names = spec["names"]
    served = [version for version in spec["versions"] if version.get("served")]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    schemas: dict[str, Obj] = {}
    columns: dict[str, tuple[Column, ...]] = {}
    scales: dict[str, Scale] = {}
    for version in served:
        schemas[version["name"]] = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        columns[version["name"]] = _columns(version)
        scale = (version.get("subresources") or {}).get("scale")
        if scale:
            scales[version["name"]] = Scale(
                scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath", "")
            )
    return Kind(
        group=spec["group"],
        versions=tuple(sorted((version["name"] for version in served), key=version_rank)),
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        storage=storage,
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        status=frozenset(v["name"] for v in served if (v.get("subresources") or {}).get("status") is not None),
        scale=scales,
        generation=True,
        custom=True,
        schemas=schemas,
        columns=columns,
        selectable={
            v["name"]: tuple(each["jsonPath"] for each in v.get("selectableFields") or ())
            for v in served
            if v.get("selectableFields")
        },
        deprecated={
            v["name"]: v.get("deprecationWarning") or f"{spec['group']}/{v['name']} {names['kind']} is deprecated"
            for v in served
            if v.get("deprecated")
        },
    )


def _columns(version: Obj) -> tuple[Column, ...]:
    given = version.get("additionalPrinterColumns")
    if not given:
        return (Column("Age", "date", path=".metadata.creationTimestamp"),)
    return tuple(
        Column(
            each["name"],
            each["type"],
            each.get("format", ""),
            each.get("description", ""),
            each.get("priority", 0),
            each["jsonPath"],
        )
        for each in given
    )


def accept(definition: Obj) -> None:
    """Write into a new or changed definition's status that its names are accepted and that it is served."""
    spec = definition["spec"]
    status = definition.setdefault("status", {})
    status["acceptedNames"] = dict(spec["names"])
    stored = status.get("storedVersions") or []
    storage = next((version["name"] for version in spec["versions"] if version.get("storage")), "")
    status["storedVersions"] = stored if storage in stored else [*stored, storage]
    wanted = {
        "NamesAccepted": ("NoConflicts", "no conflicts found"),
        "Established": ("InitialNamesAccepted", "the initial names have been accepted"),
    }
    conditions = status.get("conditions") or []
    have = {each["type"] for each in conditions}
    for name, (reason, message) in wanted.items():
        if name not in have:
            conditions.append(
                {"type": name, "status": "True", "lastTransitionTime": now(), "reason": reason, "message": message}
            )
    status["conditions"] = conditions
