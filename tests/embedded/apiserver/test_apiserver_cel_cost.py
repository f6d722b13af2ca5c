"""CEL cannot stall the API server: what could take too long is refused before it runs."""

from __future__ import annotations

from typing import Any

import pytest

from meshtest.embedded.apiserver import celcost, validation


@pytest.mark.parametrize(
    ("expression", "loops"),
    [
        ("self.a == 1", 0),
        ("self.all(a, a > 0)", 1),
        ("self.all(a, (a > 0)) && self.exists(b, b == 1)", 1),
        ("self.map(a, a).filter(b, b > 1)", 1),
        ("self.all(a, self.all(b, self.exists_one(c, c == a)))", 3),
        ("self . all ( a, self.\nall(b, b == a))", 2),
        ("self.all(a, a == ')' && self.all(b, b == a))", 2),
        ("self.all(a, a == r'\\' && self.all(b, b == '\\'))'))", 2),
        ("self.all(a, a == \"'''\" && self.all(b, b == \"'''\"))", 2),
        ("self.all(a, a == '.all(')", 1),
        ("self.all(a, // )\n self.all(b, b == a))", 2),
    ],
)
def test_loops_within_loops_are_counted(expression: str, loops: int) -> None:
    assert celcost.nesting(expression) == loops


def _refusals(rules: list[str], value: Any) -> list[str]:
    spec = {
        "type": "array",
        "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": each} for each in rules],
    }
    schema = {"type": "object", "properties": {"spec": spec}}
    return [str(error) for error in validation.validate({"spec": value}, schema, None)]


SQUARE = "self.all(a, self.all(b, a + b >= 0))"


def test_an_ordinary_nested_rule_is_evaluated() -> None:
    assert _refusals([SQUARE], list(range(64))) == []


@pytest.mark.timeout(10)
def test_a_rule_that_is_too_dear_is_not_run() -> None:
    cubed = "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"
    (refusal,) = _refusals([cubed], list(range(2000)))
    assert "operation cancelled: actual cost limit exceeded" in refusal


def test_all_rules_of_an_object_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celcost, "OBJECT_LIMIT", 250)
    refusals = _refusals([SQUARE, SQUARE, SQUARE, "false"], list(range(10)))
    assert len(refusals) == 1
    assert "running out of cost budget, no further validation rules will be run" in refusals[0]
