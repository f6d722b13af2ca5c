"""Structural schemas of custom resources: pruning and defaulting. Both change the tree that they are given.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

import copy
from typing import Any

Obj = dict[str, Any]
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_ROOT_FIELDS = frozenset(["apiVersion", "kind", "metadata"])


def prune(obj: Obj, schema: Obj, root: bool = False) -> list[str]:
    """Remove what the schema does not know; the paths that were removed, as ``spec.foo[0].bar``."""
    unknown: list[str] = []
    _prune(obj, schema, "", unknown, root)
    return unknown


def _prune(value: Any, schema: Obj, path: str, unknown: list[str], root: bool) -> None:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        preserve = bool(schema.get(_PRESERVE)) or extra is True
        known = _ROOT_FIELDS if root or schema.get(_EMBEDDED) else frozenset()
        for name in list(value):
            where = f"{path}.{name}" if path else name
            if name in known:
                continue
            below = properties.get(name)
            if below is not None:
                _prune(value[name], below, where, unknown, False)
            elif isinstance(extra, dict):
                _prune(value[name], extra, where, unknown, False)
            elif not preserve:
                del value[name]
                unknown.append(where)
    elif isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for index, each in enumerate(value):
                _prune(each, items, f"{path}[{index}]", unknown, False)


def default(obj: Obj, schema: Obj) -> None:
    """Fill in defaults where a field is missing, or null without being nullable."""
    _default(obj, schema)


def _default(value: Any, schema: Obj) -> None:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for name, below in properties.items():
            if "default" in below and (name not in value or (value[name] is None and not below.get("nullable"))):
                value[name] = copy.deepcopy(below["default"])
            elif name in value and value[name] is None and not below.get("nullable"):
                del value[name]  # as Kubernetes: a null where none may be counts as absent
            if name in value:
                _default(value[name], below)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for name, each in value.items():
                if name not in properties:
                    _default(each, extra)
    elif isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for each in value:
                _default(each, items)
