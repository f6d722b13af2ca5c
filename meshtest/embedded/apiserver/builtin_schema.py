"""The fields of the built-in kinds: decoding checks (types, unknown fields), and schemas for OpenAPI.

The facts are in ``builtin_schemas.json``; `generate_schemas` says where they come from.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from .errors import bad_request

Obj = dict[str, Any]
_FILE = Path(__file__).with_name("builtin_schemas.json")
_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "string"}
_QUANTITIES = frozenset(
    ["limits", "requests", "hard", "used", "capacity", "allocatable", "overhead", "allocatedResources"]
)


@dataclass(frozen=True, slots=True)
class Type:
    """``shape``: scalar, any, object, list or map. ``name``: the scalar's or the model's; ``of``: of list and map."""

    shape: str
    name: str = ""
    of: Type | None = None


@functools.lru_cache(maxsize=1)
def _data() -> Obj:
    found: Obj = orjson.loads(_FILE.read_bytes())
    return found


@functools.lru_cache(maxsize=4096)
def _parse(expression: str) -> Type:
    if expression.startswith("list["):
        return Type("list", of=_parse(expression[5:-1]))
    if expression.startswith("dict["):
        return Type("map", of=_parse(expression[5:-1].split(",", 1)[1].strip()))
    if expression in _SCALARS:
        return Type("scalar", expression)
    return Type("object", expression) if expression in _data()["types"] else Type("any")


@functools.lru_cache(maxsize=1024)
def _fields(model: str) -> dict[str, Type]:
    return {name: _parse(expression) for name, expression in _data()["types"][model].items()}


def model_of(group: str, kind: str) -> str | None:
    """The name of a kind's model; None when its fields are not known."""
    found: str | None = _data()["kinds"].get(f"{group}/{kind}")
    return found


def check(group: str, kind: str, version: str, obj: Obj) -> list[str]:
    """Decode as Go would: nulls go, numbers in quantities become text, wrong types are 400; unknown paths are returned
    and removed.
    """
    model = model_of(group, kind)
    if model is None:
        return []
    unknown: list[str] = []
    _check_object(obj, model, "", unknown, f'{kind} in version "{version}" cannot be handled as a {kind}')
    return unknown


def check_metadata(kind: str, version: str, metadata: Obj) -> list[str]:
    """The same for the metadata of a custom resource."""
    unknown: list[str] = []
    where = f'{kind} in version "{version}" cannot be handled as a {kind}'
    _check_object(metadata, "V1ObjectMeta", "metadata", unknown, where)
    return unknown


def _check_object(obj: Obj, model: str, path: str, unknown: list[str], where: str) -> None:
    fields = _fields(model)
    for name in list(obj):
        value = obj[name]
        if value is None:
            del obj[name]
            continue
        below = fields.get(name)
        full = f"{path}.{name}" if path else name
        if below is None:
            del obj[name]
            unknown.append(full)
            continue
        if below.shape == "scalar":
            if not _fits(value, below.name):
                obj[name] = _convert(value, below, name, _Place(model, full, where))
        elif below.shape != "any":
            _check(value, below, name, _Place(model, full, where), unknown)


@dataclass(frozen=True, slots=True)
class _Place:
    model: str
    path: str
    where: str


def _check(value: Any, kind: Type, name: str, place: _Place, unknown: list[str]) -> None:
    if kind.shape == "object":
        if not isinstance(value, dict):
            raise _mismatch(value, kind, place)
        _check_object(value, kind.name, place.path, unknown, place.where)
    elif kind.shape == "list":
        if not isinstance(value, list):
            raise _mismatch(value, kind, place)
        assert kind.of is not None
        for index, each in enumerate(value):
            inner = _Place(place.model, f"{place.path}[{index}]", place.where)
            if kind.of.shape == "scalar":
                if not _fits(each, kind.of.name):
                    value[index] = _convert(each, kind.of, name, inner)
            elif kind.of.shape != "any":
                _check(each, kind.of, name, inner, unknown)
    elif kind.shape == "map":
        if not isinstance(value, dict):
            raise _mismatch(value, kind, place)
        assert kind.of is not None
        for key, each in value.items():
            if kind.of.shape == "scalar":
                if not _fits(each, kind.of.name):
                    value[key] = _convert(each, kind.of, name, place)
            elif kind.of.shape != "any":
                _check(each, kind.of, name, _Place(place.model, f"{place.path}.{key}", place.where), unknown)


def _fits(value: Any, scalar: str) -> bool:
    if scalar in ("str", "datetime"):
        return isinstance(value, str)
    if scalar == "bool":
        return isinstance(value, bool)
    if scalar == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _convert(value: Any, kind: Type, name: str, place: _Place) -> Any:
    """What Go makes of a value that is not of the field's type, where that is allowed."""
    if kind.name == "str" and value is None:
        return ""
    if kind.name == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (name in _QUANTITIES or name in ("sizeLimit", "divisor")):
        return str(value)
    raise _mismatch(value, kind, place)


def _mismatch(value: Any, kind: Type, place: _Place) -> Exception:
    import re

    path = re.sub(r"\[\d+\]", "", place.path)
    struct = _short(place.model)
    text = f"json: cannot unmarshal {_json_name(value)} into Go struct field {struct}.{path} of type {_go_name(kind)}"
    return bad_request(f"{place.where}: {text}")


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _go_name(kind: Type) -> str:
    if kind.shape == "scalar":
        return {"str": "string", "int": "int32", "float": "float64", "bool": "bool", "datetime": "v1.Time"}[kind.name]
    if kind.shape == "list":
        return f"[]{_go_name(kind.of)}" if kind.of else "[]"
    if kind.shape == "map":
        return f"map[string]{_go_name(kind.of)}" if kind.of else "map"
    return f"v1.{_short(kind.name)}" if kind.name else "interface {}"


def _short(model: str) -> str:
    import re

    return re.sub(r"^(?:[A-Z][a-z]+)?V\d+(?:alpha\d+|beta\d+)?", "", model)


def openapi_schema(model: str, prefix: str, used: set[str]) -> Obj:
    """A model as an OpenAPI schema; references start with ``prefix``, and the models they name go into ``used``."""
    return {
        "type": "object",
        "description": "",
        "properties": {name: _openapi(kind, prefix, used) for name, kind in _fields(model).items()},
    }


def _openapi(kind: Type, prefix: str, used: set[str]) -> Obj:
    if kind.shape == "scalar":
        out: Obj = {"type": _SCALARS[kind.name], "description": ""}
        if kind.name == "datetime":
            out["format"] = "date-time"
        return out
    if kind.shape == "list" and kind.of:
        return {"type": "array", "items": _openapi(kind.of, prefix, used), "description": ""}
    if kind.shape == "map" and kind.of:
        return {"type": "object", "additionalProperties": _openapi(kind.of, prefix, used), "description": ""}
    if kind.shape == "object":
        used.add(kind.name)
        return {"allOf": [{"$ref": f"{prefix}{schema_name(kind.name)}"}], "description": ""}
    return {"type": "object", "description": ""}


def schema_name(model: str) -> str:
    return f"io.k8s.api.{model}"
