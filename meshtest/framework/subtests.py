"""Sub-tests: parts of a test with a scope of their own, one after another or side by side on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshtest.framework.errors import AuthorError

if TYPE_CHECKING:
    from meshtest.framework.context import TestContext

Body = Callable[["TestContext"], object]


class SubTest:
    """`new_test(ctx, "name").run(body)`. A sub-test inherits its parent's labels; `label` adds some for reports only.

    A failing sub-test does not stop its siblings; the parent fails after its body, with every failure.
    """

    def __init__(self, parent: TestContext, name: str = "") -> None:
        self._parent = parent
        self._name = name
        self._labels: tuple[str, ...] = ()
        self._thread: threading.Thread | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of its own."""
        return self._labels

    def label(self, *names: str) -> SubTest:
        """Add labels to the report; they cannot be selected."""
        self._labels += names
        return self

    def run(self, body: Body) -> bool:
        """Run now; answers whether it passed."""
        return self._execute(body, self._context(body))

    def run_parallel(self, body: Body) -> None:
        """Run on a thread of its own, beside its siblings; the parent waits for all after its body."""
        if self._thread is not None:
            raise AuthorError(f"{self._parent.name}: this sub-test runs already; hint: new_test(ctx) for each")
        ctx = self._context(body)
        self._parent.parallel.append(self)
        self._thread = threading.Thread(target=self._execute, args=(body, ctx), name=ctx.name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until a parallel run has ended."""
        if self._thread is not None:
            self._thread.join()

    def _context(self, body: Body) -> TestContext:
        name = self._name or getattr(body, "__name__", "") or "sub-test"
        return self._parent.child("sub-test" if name == "<lambda>" else name)

    def _execute(self, body: Body, ctx: TestContext) -> bool:
        failure: BaseException | None = None
        try:
            try:
                body(ctx)
                ctx.join()
            finally:
                ctx.close()
        except Exception as error:
            failure = error
        except (
            BaseException
        ) as error:  # a skip or an exit of pytest: in order it is the parent's, on a thread a failure
            if self._thread is None:
                raise
            failure = error
        if failure is not None:
            failure.add_note(f"in sub-test {ctx.name!r}")
            self._parent.failures.append((ctx.name, failure))
        return failure is None


def new_test(ctx: TestContext, name: str = "") -> SubTest:
    """A sub-test of `ctx`; see SubTest."""
    return SubTest(ctx, name)
