"""Validation of custom resources by their structural schema, with Kubernetes' own texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from . import formats, patterns
from .errors import FieldError, duplicate, invalid, not_supported, required, type_invalid

Obj = dict[str, Any]
_INT_OR_STRING = "x-kubernetes-int-or-string"


def validate(obj: Obj, schema: Obj, old: Obj | None) -> list[FieldError]:
    """All errors of ``obj``; ``old`` is its former state, for transition rules."""
    errors: list[FieldError] = []
    _validate(obj, schema, "", errors, root=True)
    if not errors:
        from . import rules_cel

        errors += rules_cel.validate(obj, schema, old)
    return errors


def type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _is_type(value: Any, wanted: str) -> bool:
    name = type_name(value)
    if name == wanted:
        return True
    if wanted == "number":
        return name == "integer"
    return wanted == "integer" and isinstance(value, float) and value.is_integer()


def _validate(value: Any, schema: Obj, path: str, errors: list[FieldError], root: bool = False) -> None:
    if value is None and schema.get("nullable"):
        return
    if schema.get(_INT_OR_STRING):
        if not isinstance(value, int | str) or isinstance(value, bool):
            text = f'{path} in body must be of type integer,string: "{type_name(value)}"'
            errors.append(type_invalid(path, type_name(value), text))
            return
    elif (wanted := schema.get("type")) and not _is_type(value, wanted):
        text = f'{path} in body must be of type {wanted}: "{type_name(value)}"'
        errors.append(type_invalid(path, type_name(value), text))
        return
    _validate_value(value, schema, path, errors)
    if isinstance(value, dict):
        _validate_object(value, schema, path, errors, root)
    elif isinstance(value, list):
        _validate_list(value, schema, path, errors)
    _validate_combinations(value, schema, path, errors)


def _validate_value(value: Any, schema: Obj, path: str, errors: list[FieldError]) -> None:
    choices = schema.get("enum")
    if choices is not None and value not in choices:
        errors.append(not_supported(path, value, [str(each) for each in choices]))
    if isinstance(value, str):
        _validate_string(value, schema, path, errors)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _validate_number(value, schema, path, errors)


def _validate_string(value: str, schema: Obj, path: str, errors: list[FieldError]) -> None:
    least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if least is not None and len(value) < least:
        errors.append(invalid(path, value, f"{path} in body should be at least {least} chars long"))
    if most is not None and len(value) > most:
        errors.append(FieldError(path, "FieldValueTooLong", f"Too long: may not be more than {most} bytes"))
    if pattern is not None and not _matches(pattern, value):
        errors.append(invalid(path, value, f"{path} in body should match '{pattern}'"))
    name = schema.get("format")
    if name and not formats.is_valid(name, value):
        errors.append(invalid(path, value, f'{path} in body must be of type {name}: "{value}"'))


def _matches(pattern: str, value: str) -> bool:
    """A pattern that does not compile refuses nothing."""
    try:
        return patterns.matches(pattern, value)
    except patterns.InvalidPattern:
        return True


def _validate_number(value: float, schema: Obj, path: str, errors: list[FieldError]) -> None:
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None:
        exclusive = schema.get("exclusiveMinimum") is True
        if value < least or (exclusive and value == least):
            word = "greater than" if exclusive else "greater than or equal to"
            errors.append(invalid(path, value, f"{path} in body should be {word} {_plain(least)}"))
    if most is not None:
        exclusive = schema.get("exclusiveMaximum") is True
        if value > most or (exclusive and value == most):
            word = "less than" if exclusive else "less than or equal to"
            errors.append(invalid(path, value, f"{path} in body should be {word} {_plain(most)}"))
    if step and (value / step) % 1 != 0:
        errors.append(invalid(path, value, f"{path} in body should be a multiple of {_plain(step)}"))


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _validate_object(value: Obj, schema: Obj, path: str, errors: list[FieldError], root: bool) -> None:
    for name in schema.get("required") or ():
        if name not in value:
            errors.append(required(_join(path, name)))
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        errors.append(invalid(path, value, f"{path} in body should have at least {least} properties"))
    if most is not None and len(value) > most:
        errors.append(FieldError(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items"))
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for name, each in value.items():
        if root and name in ("apiVersion", "kind", "metadata"):
            continue
        below = properties.get(name)
        if below is not None:
            _validate(each, below, _join(path, name), errors)
        elif isinstance(extra, dict):
            _validate(each, extra, _join(path, name), errors)


def _validate_list(value: list[Any], schema: Obj, path: str, errors: list[FieldError]) -> None:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        errors.append(invalid(path, len(value), f"{path} in body should have at least {least} items"))
    if most is not None and len(value) > most:
        errors.append(FieldError(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items"))
    items = schema.get("items")
    if isinstance(items, dict):
        for index, each in enumerate(value):
            _validate(each, items, f"{path}[{index}]", errors)
    kind = schema.get("x-kubernetes-list-type")
    if kind in ("set", "map"):
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        seen: set[bytes] = set()
        for index, each in enumerate(value):
            name = {key: each.get(key) for key in keys} if kind == "map" and isinstance(each, dict) else each
            encoded = orjson.dumps(name, option=orjson.OPT_SORT_KEYS)
            if encoded in seen:
                errors.append(duplicate(f"{path}[{index}]", name))
            seen.add(encoded)


def _validate_combinations(value: Any, schema: Obj, path: str, errors: list[FieldError]) -> None:
    def passes(each: Obj) -> bool:
        found: list[FieldError] = []
        _validate(value, each, path, found)
        return not found

    def add(text: str) -> None:
        errors.append(FieldError(path or "<nil>", "FieldValueInvalid", f'Invalid value: "": "{path}" must {text}'))

    if (every := schema.get("allOf")) is not None:
        for each in every:
            _validate(value, each, path, errors)
    if (some := schema.get("anyOf")) is not None and not _any(some, passes):
        add("validate at least one schema (anyOf)")
    if (one := schema.get("oneOf")) is not None:
        count = sum(passes(each) for each in one)
        if count != 1:
            found = "none" if count == 0 else "more than one"
            add(f"validate one and only one schema (oneOf). Found {found} valid")
    if (forbidden := schema.get("not")) is not None and passes(forbidden):
        add("not validate the schema (not)")


def _any(schemas: list[Obj], passes: Callable[[Obj], bool]) -> bool:
    return any(passes(each) for each in schemas)
