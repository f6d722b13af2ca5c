"""How much work a CEL expression can at most be, told before it runs: the library counts nothing while it does.

Only loops within loops can be dear: n nested ones over collections of k items are k to the n steps. That is an upper
bound, as each loop is taken to go over the largest collection in sight.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#resource-use-by-validation-functions
"""

from __future__ import annotations

import functools
import re
from typing import Any

CALL_LIMIT = 1_000_000
"""Steps of one expression; about half a second."""
OBJECT_LIMIT = 10_000_000
"""Steps of all the rules of one object."""
_NOT_CODE = re.compile(
    r"""(?i:\b(?:r|rb|br))(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"]*"|'[^']*')"""
    r"""|\"{3}(?:\\[\s\S]|(?!\"{3})[^\\])*\"{3}|'{3}(?:\\[\s\S]|(?!'{3})[^\\])*'{3}"""
    r"""|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'"""
    r"""|//[^\n]*"""
)
"""String literals, raw ones first, and comments."""
_BRACKET = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(|[()]")


class TooDear(Exception):
    """An expression could take more than CALL_LIMIT steps."""


@functools.lru_cache(maxsize=2048)
def nesting(expression: str) -> int:
    """How many loops are at most inside one another."""
    deepest = loops = 0
    open_brackets: list[bool] = []
    for found in _BRACKET.finditer(_NOT_CODE.sub(" ", expression)):
        if found[0] != ")":
            is_loop = found[0] != "("
            open_brackets.append(is_loop)
            loops += is_loop
            deepest = max(deepest, loops)
        elif open_brackets:
            loops -= open_brackets.pop()
    return deepest


def steps(expression: str, variables: dict[str, Any]) -> int:
    """Of the nested loops; 0 when there are none. Errors: TooDear, with Kubernetes' text."""
    depth = nesting(expression)
    if depth < 2:
        return 0
    largest = max(expression.count(",") + 1, _largest(variables, strings="split" in expression))
    most: int = largest**depth
    if most > CALL_LIMIT:
        raise TooDear("operation cancelled: actual cost limit exceeded")
    return most


def _largest(value: Any, *, strings: bool) -> int:
    """The length of the largest collection in a tree; of strings too when they can become lists."""
    found, todo = 0, [value]
    for each in todo:
        if isinstance(each, dict):
            todo.extend(each.values())
        elif isinstance(each, list | tuple):
            todo.extend(each)
        elif not (strings and isinstance(each, str)):
            continue
        found = max(found, len(each))
    return found
