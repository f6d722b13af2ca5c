"""One process's view of the run: as host itself, or as a worker that asks the host's broker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meshtest.environment.errors import UsageError
from meshtest.framework.context import Shared, TestContext
from meshtest.framework.lanes import Lane
from meshtest.framework.scope import Scope
from meshtest.framework.timing import Timings
from meshtest.plugin.host import Host
from meshtest.plugin.options import Options

if TYPE_CHECKING:
    from meshtest.environment import Environment
    from meshtest.framework.mesh import Mesh
    from meshtest.plugin.broker import Broker, BrokerClient

NEEDS_WORLD = frozenset({"env", "cluster", "mesh", "ctx", "apps"})


class World:
    """What contexts draw on. Brings nothing up before a selected test needs it."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.timings = Timings()
        self.failed = False
        self.cleanup_failures: list[str] = []
        workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.worker_id: str = workerinput["workerid"] if workerinput else ""
        self._broker_path: str = workerinput["meshtest_broker"] if workerinput else ""
        self.host = None if workerinput else Host(options, self.timings, self.say)
        self.broker: Broker | None = None
        self.first_body: float | None = None  # seconds since the epoch
        self._client: BrokerClient | None = None
        self._environment: Environment | None = None
        self._mesh: Mesh | None = None
        self._apps: Future[object] | None = None
        self._root: TestContext | None = None
        self._lock = threading.RLock()

    # -- framework.context.World ------------------------------------------------------------------------------------

    def environment(self) -> Environment:
        """The environment; waits while it comes up."""
        if self.host is not None:
            return self.host.environment()
        with self._lock:
            if self._environment is None:
                from meshtest.environment.registry import factory
                from meshtest.plugin.broker import attachment_of

                attachment = attachment_of(self.client.ask_aside("environment"))
                self._environment = factory(attachment.environment).attach(attachment)
            return self._environment

    def mesh(self) -> Mesh:
        """The mesh, installed; waits while it is being installed."""
        if self.host is not None:
            return self.host.mesh()
        environment = self.environment()
        with self._lock:
            if self._mesh is None:
                from meshtest.mesh import driver

                self.client.ask_aside("mesh")
                mesh = driver(self.options.mesh)
                mesh.attach(environment)
                self._mesh = mesh
            return self._mesh

    def apps(self) -> object:
        """The lane's standard echo apps, deployed once a worker."""
        with self._lock:
            future = self._apps = self._apps or self._in_background(self._deploy_apps)
        return future.result()

    # -- this process -----------------------------------------------------------------------------------------------

    @property
    def client(self) -> BrokerClient:
        """A worker's connection to the controller."""
        with self._lock:
            if self._client is None:
                from meshtest.plugin.broker import BrokerClient

                self._client = BrokerClient(self._broker_path, self.lane.name)
            return self._client

    @property
    def lane(self) -> Lane:
        """Workers gw0, gw1 … have lanes w0, w1 …; a run without workers has w0."""
        return Lane("w" + (self.worker_id.removeprefix("gw") or "0"))

    @property
    def root(self) -> TestContext:
        """The lane's context, which lives as long as this process's tests."""
        with self._lock:
            if self._root is None:
                shared = Shared(
                    world=self, lane=self.lane, work_dir=self.options.work_dir, step=_allure_step(self.config)
                )
                scope = Scope("run", keep=lambda: self.keeps)
                self._root = TestContext("run", shared, scope, directory=self.options.work_dir)
            return self._root

    @property
    def keeps(self) -> bool:
        """Whether the world is to be kept, as far as known now."""
        return self.options.nocleanup == "always" or (self.options.nocleanup == "on-failure" and self.failed)

    @property
    def up(self) -> bool:
        """Whether there is an environment already that may explain a failure."""
        return self._environment is not None or (self.host is not None and self.host.running() is not None)

    def say(self, text: str) -> None:
        """A line of progress on the terminal."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and self.config.getoption("verbose") >= 0:
            reporter.ensure_newline()
            reporter.write_line(f"meshtest: {text}")

    @contextlib.contextmanager
    def lease(self, *, exclusive: bool) -> Generator[None, None, None]:
        """Hold a lease; a run without workers needs none."""
        if self.host is not None:
            yield
            return
        self.client.ask("acquire", exclusive=exclusive)
        try:
            yield
        finally:
            self.client.ask("release")

    # -- hooks ------------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The controller schedules by groups. Also called after errors, so nothing is started here."""
        if self.worker_id and not self.config.getoption("collectonly"):
            self.client.ask("groups", groups={item.nodeid: group_of(item) for item in session.items})

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """The earliest moment at which it is sure that tests will run, whether with a cluster, and with which apps."""
        broken = session.testsfailed and not self.config.getoption("continue_on_collection_errors")
        if broken or self.config.getoption("collectonly"):
            return
        needs = [fixtures for item in session.items if (fixtures := needed(item))]
        if not needs:
            return
        if self.host is not None:
            try:
                self.host.check()
            except UsageError as error:
                raise pytest.UsageError(str(error)) from None
            self.host.want()
        else:
            self.client.ask("want")
        if any("apps" in fixtures for fixtures in needs):
            with self._lock:
                self._apps = self._apps or self._in_background(self._deploy_apps)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for the world and for a lease before any test's deadline begins to count."""
        fixtures = needed(item)
        if not fixtures:
            return (yield)
        with contextlib.suppress(Exception):  # the fixture raises it again, as the test's own error
            self.mesh()
            if "apps" in fixtures:
                self.apps()
        with self.lease(exclusive=is_mesh_wide(item)):
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Note when the first test's body began."""
        if self.first_body is None:
            self.first_body = time.time()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember whether anything failed."""
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Say at once that Ctrl-C has been heard, also under -q: what follows takes its time."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and self.host is not None and self.host.wanted:
            reporter.ensure_newline()
            reporter.write_line(f"meshtest: interrupted, {'ending' if self.keeps else 'taking the cluster down'}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Put back what this process's tests share."""
        root, self._root = self._root, None
        if root is not None:
            running = self.host.running() if self.host is not None else self._environment
            if not (self.keeps or (running is not None and running.disposable)):
                self._close(root)
        if self.worker_id:
            self._leave()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Take the world down; only its host does. Also reached by Ctrl-C and --exitfirst."""
        if self.broker is not None:
            self.broker.close()
        if self.host is not None:
            self.host.close(keep=self.keeps)

    # -- within -----------------------------------------------------------------------------------------------------

    def _deploy_apps(self) -> object:
        from meshtest.echo import standard_apps

        self.mesh()
        with self.timings.phase("apps"):
            apps = standard_apps(self.root)
        self.say("echo apps ready")
        return apps

    def _in_background(self, work: Any) -> Future[object]:
        future: Future[object] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="meshtest-apps", daemon=True).start()
        return future

    def _close(self, root: TestContext) -> None:
        try:
            root.close()
        except Exception as error:
            self.cleanup_failures.append(str(error))

    def _leave(self) -> None:
        if self._apps is not None:
            with contextlib.suppress(BaseException):
                self._apps.result(timeout=30)
        if self._mesh is not None:
            self._mesh.close()
        if self._environment is not None:
            self._environment.stop()
        if self._client is not None:
            self._client.close()


WORLD = pytest.StashKey[World]()


def needed(item: pytest.Item) -> frozenset[str]:
    """The fixtures of ours that an item uses, by its own arguments or through other fixtures.

    Somebody's own fixture or parameter of the same name (`env` and `cluster` are common words) is not ours.
    """
    names = NEEDS_WORLD.intersection(getattr(item, "fixturenames", ()))
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return frozenset(name for name in names if name in definitions and _is_ours(definitions[name][-1]))


def _is_ours(definition: pytest.FixtureDef[object]) -> bool:
    return definition.func.__module__ == "meshtest.plugin.fixtures"


def is_mesh_wide(item: pytest.Item) -> bool:
    """Whether a test may change what all others feel."""
    return item.get_closest_marker("mesh_wide") is not None


def group_of(item: pytest.Item) -> str:
    """Tests of one group run on one worker, in order; mesh-wide ones together, as they exclude all others anyway."""
    return "mesh_wide" if is_mesh_wide(item) else item.nodeid


def _allure_step(config: pytest.Config) -> Any:
    """Allure's step context, where a report is being written; importing it costs too much otherwise."""
    if not config.getoption("allure_report_dir", None):
        return None
    import allure

    return allure.step


def directory_of(item: pytest.Item, base: Path) -> Path:
    """A test's own directory below the run's."""
    safe = "".join(char if char.isalnum() or char in "._-[]" else "-" for char in item.nodeid.replace("::", "."))
    return base / safe[-150:].strip("-.")
