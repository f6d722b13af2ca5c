"""``x-kubernetes-validations``: CEL rules of custom resources, ``oldSelf`` included.

https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import celcost
from .errors import FieldError

Obj = dict[str, Any]
RULES = "x-kubernetes-validations"


def validate(obj: Obj, schema: Obj, old: Obj | None) -> list[FieldError]:
    if not _has_rules(id(schema), schema):
        return []
    errors: list[FieldError] = []
    spent = 0
    for value, before, at, rule in _walk(obj, old, schema, ""):
        text = rule["rule"]
        uses_old = "oldSelf" in text
        if uses_old and before is None and not rule.get("optionalOldSelf"):
            continue
        spent += _steps(text, value, before)
        if spent > celcost.OBJECT_LIMIT:
            errors.append(_out_of_budget(at, value))
            break
        failure = _check(text, value, before if uses_old else None)
        if failure is not None:
            errors.append(_error(rule, at, value, failure))
    return errors


def _steps(rule: str, value: Any, old: Any) -> int:
    try:
        return celcost.steps(rule, {"self": value, "oldSelf": old})
    except celcost.TooDear:
        return 0  # it will not run, and its own error says so


def _out_of_budget(path: str, value: Any) -> FieldError:
    from .errors import invalid
    from .validation import type_name

    text = "validation failed due to running out of cost budget, no further validation rules will be run"
    return invalid(path or "<nil>", type_name(value), text)


_KNOWN: dict[int, tuple[Obj, bool]] = {}


def _has_rules(key: int, schema: Obj) -> bool:
    known = _KNOWN.get(key)
    if known is None or known[0] is not schema:
        if len(_KNOWN) > 1000:
            _KNOWN.clear()
        known = _KNOWN[key] = (schema, _search(schema))
    return known[1]


def _search(schema: Any) -> bool:
    if isinstance(schema, dict):
        return bool(schema.get(RULES)) or any(_search(each) for each in schema.values())
    return isinstance(schema, list) and any(_search(each) for each in schema)


def _walk(value: Any, old: Any, schema: Obj, path: str) -> Iterator[tuple[Any, Any, str, Obj]]:
    if value is None:
        return
    for rule in schema.get(RULES) or ():
        yield value, old, path, rule
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for name, each in value.items():
            below = properties.get(name) or (extra if isinstance(extra, dict) else None)
            if below:
                before = old.get(name) if isinstance(old, dict) else None
                yield from _walk(each, before, below, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        for index, each in enumerate(value):
            yield from _walk(each, _counterpart(each, old, keys), schema["items"], f"{path}[{index}]")


def _counterpart(item: Any, old: Any, keys: tuple[str, ...]) -> Any:
    """The old state of a list item: only lists with keys correlate."""
    if not keys or not isinstance(old, list) or not isinstance(item, dict):
        return None
    wanted = [item.get(key) for key in keys]
    return next((each for each in old if isinstance(each, dict) and [each.get(k) for k in keys] == wanted), None)


def _check(rule: str, value: Any, old: Any) -> str | None:
    """None when the rule holds; "" when it does not; else what went wrong with it."""
    from .conditions import evaluate

    try:
        variables = {"self": value} if old is None else {"self": value, "oldSelf": old}
        return None if evaluate(rule, variables) is True else ""
    except Exception as error:  # the library's own errors have no common base
        return str(error)


def _error(rule: Obj, path: str, value: Any, failure: str) -> FieldError:
    from .errors import invalid
    from .validation import type_name

    message = rule.get("message", "").strip()
    if not failure and rule.get("messageExpression"):
        message = _message(rule["messageExpression"], value) or message
    message = message or f"failed rule: {rule['rule'].strip()}"
    if failure:
        message = f"{failure} evaluating rule: {message}"
    where = path + (rule.get("fieldPath") or "") or "<nil>"
    shown = type_name(value) if isinstance(value, dict | list) else value
    reason = rule.get("reason") or "FieldValueInvalid"
    if reason == "FieldValueForbidden":
        return FieldError(where, reason, f"Forbidden: {message}")
    if reason == "FieldValueRequired":
        return FieldError(where, reason, f"Required value: {message}")
    return invalid(where, shown, message)


def _message(expression: str, value: Any) -> str:
    from .conditions import evaluate

    try:
        return str(evaluate(expression, {"self": value}))
    except Exception:  # then the fixed message is shown
        return ""
