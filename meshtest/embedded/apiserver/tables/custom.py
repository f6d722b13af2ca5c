"""Printer columns of custom resources."""

from __future__ import annotations

import functools
import re
from typing import Any

from meshtest.embedded.apiserver.kinds import Column

from . import builtin, text

Obj = dict[str, Any]
_STEP = re.compile(
    r"\.((?:\\.|[^.\[\\])+)"
    r"|\[(?:'([^']+)'|\"([^\"]+)\"|(\d+|\*)|\?\(@\.([\w.]+)\s*==\s*[\"']([^\"']*)[\"']\s*\))\]"
)


def printer(columns: tuple[Column, ...]) -> builtin.Printer:
    if not columns:
        return builtin.PLAIN
    return (builtin.NAME, *columns), functools.partial(_cells, columns)


def _cells(columns: tuple[Column, ...], obj: Obj) -> list[Any]:
    return [obj["metadata"]["name"], *(_cell(column, obj) for column in columns)]


def _cell(column: Column, obj: Obj) -> Any:
    found = evaluate(column.path, obj)
    if not found:
        return None
    value = found[0]
    if column.type == "date":
        return text.age_of(value) if isinstance(value, str) else "<unknown>"
    if column.type == "integer" and isinstance(value, int | float):
        return int(value)
    if column.type in ("boolean", "number", "integer"):
        return value
    if isinstance(value, list):
        return ",".join(str(each) for each in value) if len(found) == 1 else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if len(found) > 1:
        return ",".join(str(each) for each in found)
    return text.compact(value) if isinstance(value, dict) else str(value)


def evaluate(path: str, obj: Obj) -> list[Any]:
    """The values that a simple JSONPath names: fields, ``['x']``, ``[0]``, ``[*]``, ``[?(@.type=="Ready")]``."""
    values: list[Any] = [obj]
    whole = path if path.startswith((".", "[")) else f".{path}"
    for step in _STEP.finditer(whole):
        field, single, double, index, filter_path, wanted = step.groups()
        name = (field or "").replace("\\.", ".") or single or double
        out: list[Any] = []
        for value in values:
            if name:
                if isinstance(value, dict) and value.get(name) is not None:
                    out.append(value[name])
            elif isinstance(value, list):
                if index == "*":
                    out.extend(value)
                elif index is not None:
                    out.extend(value[int(index) : int(index) + 1])
                else:
                    out.extend(each for each in value if [str(v) for v in evaluate(filter_path, each)] == [wanted])
        values = out
    return values
