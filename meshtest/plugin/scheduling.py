"""Spreading tests over xdist workers: our own scheduler, and what workers are told when they start.

`--dist loadgroup` is silently ignored on pytest 9.2 with xdist 3.8; a scheduler of our own is what works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

from meshtest.plugin.world import World


class Scheduling:
    """The controller's part; in workers none of these hooks is called."""

    def __init__(self, world: World) -> None:
        self._world = world

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
        """Ours, unless the user asked for another distribution."""
        if config.getoption("dist") != "load":
            return None
        return Grouped(config, log, self._world)

    def pytest_keyboard_interrupt(self) -> None:
        """Workers that are in the midst of a test get 10 s to end; with clusters that go anyway, 1 s is enough."""
        session, host = self._world.config.pluginmanager.getplugin("dsession"), self._world.host
        running = host.running() if host is not None else None
        if session is not None and running is not None and running.disposable:
            session.nodemanager.EXIT_TIMEOUT = 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be collected ends the run before any test, as it does without workers."""
        config = self._world.config
        session = config.pluginmanager.getplugin("dsession")
        if report.failed and session is not None and not config.getoption("continue_on_collection_errors"):
            session.shouldstop = session.shouldstop or "error during collection"

    def pytest_runtest_logreport(self) -> None:
        """Workers ask for the world once their tests are chosen; where it can never be, one answer is enough."""
        session, host = self._world.config.pluginmanager.getplugin("dsession"), self._world.host
        if session is not None and host is not None and host.refusal is not None:
            session.shouldstop = session.shouldstop or host.refusal

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """A worker needs the run's id and the broker, which starts with the first worker."""
        from meshtest.plugin.broker import Broker

        world = self._world
        assert world.host is not None  # only the controller starts workers
        if world.broker is None:
            world.broker = Broker(world.host)
        node.workerinput["meshtest_run_id"] = world.options.run_id
        node.workerinput["meshtest_broker"] = str(world.broker.path)


class Grouped(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A group is what the first worker named it: the test itself, or all mesh-wide tests."""

    def __init__(self, config: pytest.Config, log: Producer, world: World) -> None:
        super().__init__(config, log)
        self._world = world

    def schedule(self) -> None:
        """As xdist's, but a worker that comes late, for a crashed one, gets two tests at once or is told the end.

        A worker runs a test only once it knows the next one, or that none follows; xdist hands a late one a single
        group, here a single test, and both wait for ever.
        """
        super().schedule()
        if self.collection is None:
            return
        for node in self.nodes:
            while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
                self._assign_work_unit(node)
            if not self.workqueue and not node.shutting_down:
                node.shutdown()

    def remove_node(self, node: WorkerController) -> str | None:
        """The test that a crashed worker was running; it is not run again, which xdist's would be."""
        workload = self.assigned_work.pop(node)
        pending = [(scope, test) for scope, unit in workload.items() for test, done in unit.items() if not done]
        if not pending:
            return None
        scope, crashed = pending[0]
        workload[scope][crashed] = True
        self.workqueue.update({name: unit for name, unit in workload.items() if not all(unit.values())})
        for other in self.nodes:
            self._reschedule(other)
        return str(crashed)

    def _split_scope(self, nodeid: str) -> str:
        broker = self._world.broker
        return broker.groups.get(nodeid, nodeid) if broker else nodeid


def worker_seconds(output: dict[str, Any]) -> Sequence[tuple[str, float]]:
    """Seconds by phase that a worker has handed back."""
    return list(output.get("meshtest_timings", {}).items())
