"""Sets of fields as fieldsV1 trees, and the sets that an object, or a change, touches. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from .listtypes import ATOMIC, MAP, SET, Shape

Obj = dict[str, Any]

# What the server itself keeps is nobody's.
_UNOWNED_METADATA = frozenset(
    [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
        "generateName",
    ]
)


def item_key(value: Any, shape: Shape) -> str:
    """The name of a list item in a field set."""
    if shape.type == SET:
        return "v:" + orjson.dumps(value).decode()
    defaults = dict(shape.defaults)
    key = {}
    for name in sorted(shape.keys):
        found = value.get(name, defaults.get(name)) if isinstance(value, dict) else None
        if found is not None:
            key[name] = found
    return "k:" + orjson.dumps(key).decode()


def of_object(obj: Obj, shape: Shape) -> Obj:
    """All fields that are set in an object and can be owned."""
    out: Obj = {}
    for name, value in obj.items():
        if name in ("apiVersion", "kind"):
            continue
        if name == "metadata":
            owned = {k: v for k, v in value.items() if k not in _UNOWNED_METADATA}
            fields = _of_value(owned, shape.at("metadata"))
            fields.pop(".", None)
            if fields:
                out["f:metadata"] = fields
        elif value is not None:
            out[f"f:{name}"] = _top(_of_value(value, shape.at(name)))
    return out


def _top(fields: Obj) -> Obj:
    """Kubernetes does not list ``.`` for spec, data and the like of typed kinds when they have fields."""
    if len(fields) > 1:
        fields.pop(".", None)
    return fields


def _of_value(value: Any, shape: Shape) -> Obj:
    if isinstance(value, dict):
        if not value or shape.type == ATOMIC:
            return {}
        out: Obj = {".": {}}
        for name, each in value.items():
            out[f"f:{name}"] = _of_value(each, shape.at(name))
        return out
    if isinstance(value, list) and value and shape.type in (MAP, SET):
        out = {".": {}}
        for each in value:
            out[item_key(each, shape)] = _of_value(each, shape.items)
        return out
    return {}


def union(a: Obj, b: Obj) -> Obj:
    if not b:
        return a
    out = dict(a)
    for key, value in b.items():
        out[key] = union(out[key], value) if key in out else value
    return out


def difference(a: Obj, b: Obj) -> Obj:
    """``a`` without the members of ``b``. A node with children is a member only through ``.`` or as a leaf."""
    if not b:
        return a
    out: Obj = {}
    for key, value in a.items():
        if key not in b:
            out[key] = value
            continue
        other = b[key]
        if not value:
            if other and "." not in other:
                out[key] = value  # ``a`` owns the whole, ``b`` only parts of it
            continue
        rest = difference(value, other if other else {".": {}})
        if rest:
            out[key] = rest
    return out


def intersection(a: Obj, b: Obj) -> Obj:
    out: Obj = {}
    for key, value in a.items():
        if key not in b:
            continue
        other = b[key]
        if not value or not other:
            if (not value or "." in value) and (not other or "." in other):
                out[key] = {}
            continue
        common = intersection(value, other)
        if common:
            out[key] = common
    return out


def changes(new: Obj, old: Obj, shape: Shape) -> tuple[Obj, Obj]:
    """The fields that ``new`` adds or changes, and those that it removes."""
    changed: Obj = {}
    removed: Obj = {}
    for name in new.keys() | old.keys():
        if name in ("apiVersion", "kind"):
            continue
        a, b = new.get(name), old.get(name)
        if name == "metadata":
            a = {k: v for k, v in (a or {}).items() if k not in _UNOWNED_METADATA}
            b = {k: v for k, v in (b or {}).items() if k not in _UNOWNED_METADATA}
        if a != b:
            _changes(f"f:{name}", a, b, shape.at(name), changed, removed)
    return changed, removed


def _changes(key: str, new: Any, old: Any, shape: Shape, changed: Obj, removed: Obj) -> None:
    if old is None:
        changed[key] = _of_value(new, shape)
        return
    if new is None:
        removed[key] = _of_value(old, shape)
        return
    pairs = _pairs(new, old, shape)
    if pairs is None:
        changed[key] = _of_value(new, shape)
        return
    below_changed: Obj = {}
    below_removed: Obj = {}
    for name, (a, b, below) in pairs.items():
        if a != b:
            _changes(name, a, b, below, below_changed, below_removed)
    if below_changed:
        changed[key] = below_changed
    if below_removed:
        removed[key] = below_removed


def _pairs(new: Any, old: Any, shape: Shape) -> dict[str, tuple[Any, Any, Shape]] | None:
    """Children of two values side by side; None when the value is one whole."""
    if isinstance(new, dict) and isinstance(old, dict) and shape.type != ATOMIC and new and old:
        return {f"f:{n}": (new.get(n), old.get(n), shape.at(n)) for n in new.keys() | old.keys()}
    if isinstance(new, list) and isinstance(old, list) and shape.type in (MAP, SET) and new and old:
        a = {item_key(each, shape): each for each in new}
        b = {item_key(each, shape): each for each in old}
        return {n: (a.get(n), b.get(n), shape.items) for n in a.keys() | b.keys()}
    return None
