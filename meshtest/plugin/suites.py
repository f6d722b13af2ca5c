"""Suites: finding a test's Suite, its labels, requirements, set-up and tear-down; sub-tests' ends."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

import pytest

from meshtest.framework.context import TestContext
from meshtest.framework.requirements import Offer, Requirements
from meshtest.framework.unsent import none_unsent
from meshtest.plugin.world import World, needed

if TYPE_CHECKING:
    from meshtest.framework.suite import Suite


class Suites:
    """Keeps the contexts of suites that are set up. One set-up a worker."""

    def __init__(self, config: pytest.Config, world: World) -> None:
        self._world = world
        self._open: dict[int, tuple[Suite, TestContext]] = {}
        self._broken: dict[int, str] = {}
        self._offer: Offer | None = None
        config.stash[SUITES] = self

    def context_of(self, item: pytest.Item) -> TestContext:
        """The context that a test's own hangs on: its suite's, set up now if need be, or the lane's.

        Errors: pytest.fail where set-up fails, again for each test without doing it again.
        """
        suite = suite_of(item)
        if suite is None:
            return self._world.root
        if id(suite) in self._broken:
            pytest.fail(self._broken[id(suite)], pytrace=False)
        if id(suite) not in self._open:
            context = self._world.root.child(suite.name)
            try:
                suite.run_setup(context)
            except BaseException as error:
                self._broken[id(suite)] = f"set-up of suite {suite.name} failed: {type(error).__name__}: {error}"
                context.close()
                raise
            self._open[id(suite)] = (suite, context)
        return self._open[id(suite)][1]

    # -- hooks ------------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: Iterable[pytest.Item]) -> None:
        """A suite's labels become markers before -m selects."""
        for item in items:
            suite = suite_of(item)
            for name in suite.labels if suite else ():
                if item.get_closest_marker(name) is None:
                    item.add_marker(name)  # strict: an unknown label is an error
            for marker in list(item.iter_markers("label")):
                for name in marker.args:
                    item.add_marker(name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip, or under --strict-requirements fail, what this world cannot run."""
        suite = suite_of(item)
        if suite is not None and suite.skip_reason:
            pytest.skip(suite.skip_reason)
        requirements = requirements_of(item, suite)
        if requirements == Requirements():
            return
        reasons = requirements.unmet(self._offered())
        if not reasons:
            return
        if self._world.options.strict_requirements:
            pytest.fail(f"requirements not met: {'; '.join(reasons)}", pytrace=False)
        pytest.skip("; ".join(reasons))

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """A test is over when its sub-tests are, and has failed if one did, or if a call of its was never sent."""
        with none_unsent():
            result = yield
            context = pyfuncitem.funcargs.get("ctx")
            if isinstance(context, TestContext):
                context.join()
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Tear a suite down after its last test on this worker."""
        suite = suite_of(item)
        if suite is None or id(suite) not in self._open:
            return
        if nextitem is None or suite_of(nextitem) is not suite:
            self._open.pop(id(suite))[1].close()

    def _offered(self) -> Offer:
        """What this run's environment and mesh have; nothing has to be up for that."""
        if self._offer is None:
            from meshtest.environment.registry import factory
            from meshtest.mesh import driver

            options = self._world.options
            mesh = driver(options.mesh)
            self._offer = Offer(
                capabilities=factory(options.env).capabilities | mesh.capabilities, dialects=mesh.dialects
            )
        return self._offer


SUITES = pytest.StashKey[Suites]()


def suite_of(item: pytest.Item) -> Suite | None:
    """The `suite` of the item's module, or of the nearest package around it."""
    module = getattr(item, "module", None)
    if module is None or "meshtest.framework.suite" not in sys.modules:
        return None  # nobody has imported Suite, so nobody has one
    from meshtest.framework.suite import Suite

    name: str = module.__name__
    while name:
        found = getattr(sys.modules.get(name), "suite", None)
        if isinstance(found, Suite):
            return found
        name = name.rpartition(".")[0]
    return None


def requirements_of(item: pytest.Item, suite: Suite | None) -> Requirements:
    """The suite's requirements, those of `requires` markers, and the dialect of the test's feature."""
    requirements = suite.requirements if suite else Requirements()
    for marker in item.iter_markers("requires"):
        requirements = requirements.both(Requirements(capabilities=frozenset(marker.args)))
    feature = item.get_closest_marker("feature")
    if feature is not None and needed(item):
        requirements = requirements.both(Requirements(dialect=feature.kwargs.get("dialect")))
    return requirements
