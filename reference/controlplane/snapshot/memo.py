"""Results kept across snapshots, by everything that they depend on."""

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")


class Memo:
    """A bounded cache of pure results. Two generations: what was not asked for while `limit` others came, goes.

    Keys hold the models themselves, which compare by identity: nothing is ever invalidated, only forgotten.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._young: dict[Hashable, object] = {}
        self._old: dict[Hashable, object] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def turn(self) -> None:
        """Starts a new generation: what is not asked for until the next call, goes then."""
        self._old, self._young = self._young, {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for the key, made when it is not known yet."""
        young = self._young
        if key in young:
            return cast(T, young[key])
        value = self._old.pop(key) if key in self._old else make()
        if len(young) >= self._limit:
            self._old, self._young = young, {}
        self._young[key] = value
        return cast(T, value)
