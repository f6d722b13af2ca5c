"""Suite: labels, requirements and set-up that a package or module of tests shares, in fluent form."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from meshtest.framework.requirements import Requirements

if TYPE_CHECKING:
    from meshtest.framework.context import TestContext

Step = Callable[["TestContext"], object]


class Suite:
    """Assign it to `suite` in a test module, or in the `__init__.py` of a package for all modules in it.

    Steps run with the suite's own context, before the first selected test of it, and never when none is selected.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.labels: tuple[str, ...] = ()
        self.requirements = Requirements()
        self.skip_reason: str | None = None
        self._steps: list[tuple[Step, ...]] = []
        self._teardowns: list[Step] = []

    def label(self, *names: str) -> Suite:
        """Label all tests."""
        self.labels += names
        return self

    def skip(self, reason: str) -> Suite:
        """Skip all tests."""
        self.skip_reason = reason
        return self

    def skip_if(self, reason: str, condition: bool) -> Suite:
        """Skip all tests when the condition holds."""
        return self.skip(reason) if condition else self

    def require_clusters(self, min: int = 1, max: int | None = None) -> Suite:  # the words that authors write
        """At least `min`, at most `max` clusters."""
        return self.require(replace(Requirements(), min_clusters=min, max_clusters=max))

    def require_networks(self, min: int = 1) -> Suite:
        """At least `min` networks."""
        return self.require(replace(Requirements(), min_networks=min))

    def require_capabilities(self, *names: str) -> Suite:
        """Capabilities of the environment or the mesh."""
        return self.require(replace(Requirements(), capabilities=frozenset(names)))

    def require(self, requirements: Requirements) -> Suite:
        """Add requirements."""
        self.requirements = self.requirements.both(requirements)
        return self

    def setup(self, step: Step) -> Suite:
        """Run a step after those before it."""
        self._steps.append((step,))
        return self

    def setup_parallel(self, *steps: Step) -> Suite:
        """Run steps side by side, after those before and ahead of those behind."""
        self._steps.append(steps)
        return self

    def teardown(self, step: Step) -> Suite:
        """Run a step after the last test, the latest step first, before what set-up tracked is put back."""
        self._teardowns.append(step)
        return self

    def run_setup(self, ctx: TestContext) -> None:
        """All set-up steps. Errors: the first failure; parallel steps have ended then."""
        for steps in self._steps:
            if len(steps) == 1:
                steps[0](ctx)
            else:
                _side_by_side(steps, ctx)
        for step in self._teardowns:
            ctx.track(lambda step=step: step(ctx), name=f"teardown {getattr(step, '__name__', 'step')}")


def _side_by_side(steps: tuple[Step, ...], ctx: TestContext) -> None:
    errors: list[BaseException] = []

    def one(step: Step) -> None:
        try:
            step(ctx)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
