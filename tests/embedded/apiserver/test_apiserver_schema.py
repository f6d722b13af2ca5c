"""Custom resources: pruning, defaults, validation with Kubernetes' texts, CEL rules."""

from typing import Any

import pytest

from meshtest.embedded.apiserver import structural, validation

Obj = dict[str, Any]


def _object(**properties: Obj) -> Obj:
    return {"type": "object", "properties": properties}


def _spec(schema: Obj) -> Obj:
    return _object(spec=schema)


def _errors(schema: Obj, value: Any, old: Any = None) -> list[str]:
    before = None if old is None else {"spec": old}
    return [str(error) for error in validation.validate({"spec": value}, _spec(schema), before)]


def test_prune_reports_paths_and_keeps_what_is_preserved() -> None:
    schema = _spec(_object(a={"type": "string"}, free={"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    obj: Obj = {"apiVersion": "v1", "metadata": {"name": "x"}, "spec": {"a": "1", "b": 2, "free": {"z": 1}}, "extra": 1}
    assert structural.prune(obj, schema, root=True) == ["spec.b", "extra"]
    assert obj == {"apiVersion": "v1", "metadata": {"name": "x"}, "spec": {"a": "1", "free": {"z": 1}}}


def test_defaults_nested_and_in_lists() -> None:
    item = _object(x={"type": "integer", "default": 1})
    schema = _spec({**_object(items={"type": "array", "items": item}, o={**item, "default": {}})})
    obj: Obj = {"spec": {"items": [{}, {"x": 2}]}}
    structural.default(obj, schema)
    assert obj == {"spec": {"items": [{"x": 1}, {"x": 2}], "o": {"x": 1}}}


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        ({"type": "string"}, 1, 'spec: Invalid value: "integer": spec in body must be of type string: "integer"'),
        (
            {"type": "integer", "minimum": 1},
            0,
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            {"type": "integer", "maximum": 9},
            10,
            "spec: Invalid value: 10: spec in body should be less than or equal to 9",
        ),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'spec: Unsupported value: "c": supported values: "a", "b"'),
        (
            {"type": "string", "minLength": 1},
            "",
            'spec: Invalid value: "": spec in body should be at least 1 chars long',
        ),
        ({"type": "string", "maxLength": 1}, "ab", "spec: Too long: may not be more than 1 bytes"),
        ({"type": "string", "pattern": "^a$"}, "b", "spec: Invalid value: \"b\": spec in body should match '^a$'"),
        ({"type": "string", "format": "ipv4"}, "x", 'spec: Invalid value: "x": spec in body must be of type ipv4: "x"'),
        ({"type": "array", "maxItems": 1}, [1, 2], "spec: Too many: 2: must have at most 1 items"),
        (
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            ["a", "a"],
            'spec[1]: Duplicate value: "a"',
        ),
        ({"type": "object", "required": ["a"]}, {}, "spec.a: Required value"),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 2},
            'spec: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found more than one valid',
        ),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            'spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean"',
        ),
    ],
)
def test_texts(schema: Obj, value: Any, text: str) -> None:
    assert _errors(schema, value) == [text]


def test_valid_values_pass() -> None:
    schema = _object(a={"x-kubernetes-int-or-string": True}, b={"type": "string", "nullable": True})
    assert _errors(schema, {"a": 1, "b": None}) == []
    assert _errors({"type": "number"}, 1) == []
    assert _errors({"type": "integer"}, 1.0) == []


def test_cel_rules_and_transitions() -> None:
    rules = [
        {"rule": "self.low <= self.high", "message": "low above high"},
        {"rule": "self.high >= oldSelf.high", "message": "high may only grow"},
    ]
    schema = {**_object(low={"type": "integer"}, high={"type": "integer"}), "x-kubernetes-validations": rules}
    assert _errors(schema, {"low": 1, "high": 2}) == []
    assert _errors(schema, {"low": 3, "high": 2}) == ['spec: Invalid value: "object": low above high']
    assert _errors(schema, {"low": 1, "high": 2}, {"low": 1, "high": 3}) == [
        'spec: Invalid value: "object": high may only grow'
    ]
