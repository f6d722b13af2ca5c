"""Scopes: a tree of things to put back. Closing one waits for its children and runs its closers last in, first out."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from meshtest.framework.errors import CleanupError

T = TypeVar("T")


@runtime_checkable
class Closeable(Protocol):
    """Anything with a close method."""

    def close(self) -> object: ...


Closer = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Tracked:
    """One thing to put back: what it is called in messages, and how. `keep` marks what --nocleanup leaves in place."""

    name: str
    close: Closer
    keep: bool


class Scope:
    """One node of the tree.

    Thread-safe: children may live on other threads. `keep` is asked when the scope closes: if it answers True, what was
    tracked with keep=True stays (the run's --nocleanup).
    """

    def __init__(self, name: str, parent: "Scope | None" = None, *, keep: Callable[[], bool] | None = None) -> None:
        self.name = name
        self.parent = parent
        self._keep: Callable[[], bool] = keep or (parent._keep if parent else lambda: False)
        self._tracked: list[Tracked] = []
        self._values: list[object] = []
        self._open_children = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def path(self) -> str:
        """Names from the root to here, joined by `/`."""
        return f"{self.parent.path}/{self.name}" if self.parent else self.name

    def child(self, name: str) -> "Scope":
        """A scope that must be closed before this one is."""
        with self._changed:
            self._refuse_if_closed()
            self._open_children += 1
        return Scope(name, self)

    def track(self, thing: T, *, name: str | None = None, keep: bool = False) -> T:
        """Close `thing` (its close method, or itself when callable) when this scope closes; returns it.

        Errors: TypeError when it can neither be closed nor called.
        """
        if isinstance(thing, Closeable):
            closer: Closer = thing.close
        elif callable(thing):
            closer = thing
        else:
            raise TypeError(f"{self.path}: track() expected an object with close() or a callable, got {thing!r}")
        with self._changed:
            self._refuse_if_closed()
            self._tracked.append(Tracked(name or getattr(thing, "name", None) or repr(thing), closer, keep))
            self._values.append(thing)
        return thing

    def provide(self, value: object) -> None:
        """Let this scope and those below find `value` by its type."""
        with self._changed:
            self._values.append(value)

    def lookup(self, kind: type[T]) -> T | None:
        """The latest value of this type here, else in the nearest parent."""
        scope: Scope | None = self
        while scope is not None:
            for value in reversed(scope._values):
                if isinstance(value, kind):
                    return value
            scope = scope.parent
        return None

    def close(self, *, deadline_s: float = 60.0) -> None:
        """Wait for children, run closers in reverse, tell the parent. Closing twice does nothing.

        Errors: CleanupError that carries every closer's failure; all closers have run then.
        """
        with self._changed:
            if self._closed:
                return
            end = time.monotonic() + deadline_s
            while self._open_children:
                if not self._changed.wait(max(0.0, end - time.monotonic())):
                    break
            left_open = self._open_children
            self._closed = True
            tracked, self._tracked = self._tracked, []
            self._values.clear()
        failures: list[tuple[str, Exception]] = []
        if left_open:
            failures.append(("children", TimeoutError(f"{left_open} child scopes still open after {deadline_s:g} s")))
        keep = self._keep()
        for item in reversed(tracked):
            if keep and item.keep:
                continue
            try:
                item.close()
            except Exception as error:
                failures.append((item.name, error))
        if self.parent is not None:
            self.parent._child_closed()
        if failures:
            lines = "\n".join(f"  {name}: {type(error).__name__}: {error}" for name, error in failures)
            raise CleanupError(f"{self.path}: {len(failures)} of its resources did not close:\n{lines}") from failures[
                0
            ][1]

    def _child_closed(self) -> None:
        with self._changed:
            self._open_children -= 1
            self._changed.notify_all()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"scope {self.path} is closed already; hint: track on a context that still runs")
