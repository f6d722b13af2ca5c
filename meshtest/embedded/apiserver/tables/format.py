"""Objects as rows of a meta.k8s.io/v1 Table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meshtest.embedded.apiserver.kinds import Column, Kind
from meshtest.embedded.apiserver.store import Item

from . import builtin, custom

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TableFormat:
    """``include``: what each row carries beside its cells: ``Metadata``, ``Object`` or ``None``."""

    include: str = "Metadata"

    def table(self, kind: Kind, version: str, items: list[Item], metadata: Obj, headers: bool = True) -> Obj:
        columns, cells = _printer(kind, version)
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": [_definition(column) for column in columns] if headers else None,
            "rows": [{"cells": cells(item.obj), **self._object(kind, version, item)} for item in items],
        }

    def _object(self, kind: Kind, version: str, item: Item) -> Obj:
        if self.include == "None":
            return {}
        if self.include == "Object":
            return {"object": {**item.obj, "apiVersion": kind.api_version(version)}}
        meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item.obj["metadata"]}
        return {"object": meta}


def _printer(kind: Kind, version: str) -> builtin.Printer:
    if kind.custom:
        return custom.printer(kind.columns.get(version, ()))
    return builtin.PRINTERS.get(kind.key, builtin.PLAIN)


def _definition(column: Column) -> Obj:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }
