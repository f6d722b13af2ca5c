"""Calls that were made and never sent. Calls are lazy: one that nobody looks at would let its test pass unseen.

A worker runs one test body at a time, whatever threads that uses, so what is made meanwhile belongs to that body,
also through apps that all tests share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from meshtest.framework.errors import AuthorError

if TYPE_CHECKING:  # YAML and templates are not for the plugin's start
    from meshtest.framework.manifests import Origin


class Lazy(Protocol):
    """A call; its text names both ends."""

    origin: Origin
    looked_at: bool


_made: list[Lazy] | None = None  # None: no test body runs


def note(call: Lazy) -> None:
    """Remember a call until the running test body ends; what fixtures and set-up make may be for later, and is not."""
    if _made is not None:
        _made.append(call)


@contextmanager
def none_unsent() -> Iterator[None]:
    """Around a test body. Errors: AuthorError when the body passed and some of its calls were never looked at."""
    global _made
    outer, _made = _made, []
    mine = _made
    try:
        yield
    finally:
        _made = outer
    unsent = [call for call in mine if not call.looked_at]
    if unsent:
        raise AuthorError(
            "\n".join(f"{call.origin}: {call}: call never sent; hint: .check(...) or .responses" for call in unsent)
        )
