"""Regular expressions that users write, in RE2 as Kubernetes' own: no expression takes longer than linear time in the
text, so none can stall the server. Expressions of ours stay with `re`.

https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import functools
from typing import Any


class InvalidPattern(ValueError):
    """RE2 does not take the expression; the message is RE2's."""


@functools.lru_cache(maxsize=4096)
def _compile(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise InvalidPattern(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


def matches(pattern: str, text: str) -> bool:
    """Whether some part of the text matches. Errors: InvalidPattern."""
    return _compile(pattern).search(text) is not None


def find(pattern: str, text: str) -> str:
    """The first part that matches, "" without one. Errors: InvalidPattern."""
    found = _compile(pattern).search(text)
    return str(found.group(0)) if found is not None else ""
