"""Events: nothing is refused; both API groups show the same shape they were written in."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def default(obj: Obj) -> None:
    obj.setdefault("source", {})
    obj.setdefault("reportingComponent", "")
    obj.setdefault("reportingInstance", "")
