"""TestContext: what a test acts through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from meshtest.framework.lanes import Lane
from meshtest.framework.scope import Scope
from meshtest.framework.timing import Timings

if TYPE_CHECKING:
    from meshtest.environment import Cluster, Environment
    from meshtest.framework.config import Config, Plan
    from meshtest.framework.mesh import Mesh
    from meshtest.framework.subtests import SubTest

T = TypeVar("T")


class World(Protocol):
    """Where a context gets what it has not made itself; each is brought up by the first who asks."""

    def environment(self) -> Environment: ...

    def mesh(self) -> Mesh: ...

    @property
    def timings(self) -> Timings: ...


@dataclass(slots=True)
class Shared:
    """What all contexts of one worker share."""

    world: World
    lane: Lane
    work_dir: Path
    step: Callable[[str], AbstractContextManager[object]] | None = None  # Allure's, where there is Allure
    namespaces: set[str] = field(default_factory=set)
    applied: list[Plan] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)


class TestContext:
    """One test's, sub-test's or suite's hold on the world.

    Attributes: `name`; `lane` of the worker; `mesh_wide`, whether the test may change what others feel; `scope`, where
    things to put back are kept. Everything made through a context is gone when the context is closed.
    """

    __test__ = False  # pytest would take the name for a test class

    def __init__(
        self,
        name: str,
        shared: Shared,
        scope: Scope,
        *,
        parent: TestContext | None = None,
        directory: Path | None = None,
        mesh_wide: bool = False,
    ) -> None:
        self.name = name
        self.shared = shared
        self.scope = scope
        self.parent = parent
        self.mesh_wide = mesh_wide
        self._directory = directory
        self._namespaces = 0
        self.parallel: list[SubTest] = []
        self.failures: list[tuple[str, BaseException]] = []

    # -- the world --------------------------------------------------------------------------------------------------

    @property
    def lane(self) -> Lane:
        """The worker's lane."""
        return self.shared.lane

    @property
    def environment(self) -> Environment:
        """The running environment; brought up by the first who asks."""
        return self.shared.world.environment()

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """All clusters, in the topology's order."""
        return self.environment.clusters

    @property
    def cluster(self) -> Cluster:
        """The first cluster, which tests of a single one use."""
        return self.clusters[0]

    @property
    def mesh(self) -> Mesh:
        """The mesh under test, installed."""
        return self.shared.world.mesh()

    @property
    def namespace(self) -> str:
        """The lane's namespace, enrolled in the mesh; made by the first who asks, removed with the lane."""
        return self.ensure_namespace(self.lane.namespace("apps"))

    def ensure_namespace(self, name: str, *, enrol: bool = True, labels: Mapping[str, str] | None = None) -> str:
        """Make a namespace on every cluster unless it is there; answers its name. Does not remove it."""
        from kubeclient.resources import NAMESPACES

        with self.shared.lock:
            if name in self.shared.namespaces:
                return name
            enrolment = dict(self.mesh.namespace_labels()) if enrol else {}
            obj = {
                "apiVersion": NAMESPACES.api_version,
                "kind": NAMESPACES.kind,
                "metadata": {
                    "name": name,
                    "labels": {"app.kubernetes.io/managed-by": "meshtest", **enrolment, **(labels or {})},
                },
            }
            for cluster in self.clusters:
                cluster.kube.apply(obj)
            self.shared.namespaces.add(name)
        return name

    def create_namespace(self, purpose: str, *, enrol: bool = True, labels: Mapping[str, str] | None = None) -> str:
        """A new namespace of this lane that goes with this context; answers its name."""
        with self.shared.lock:
            self._namespaces += 1
            name = self.lane.namespace(purpose)
            if name in self.shared.namespaces:
                name = f"{name}-{self._namespaces}"
        self.ensure_namespace(name, enrol=enrol, labels=labels)
        self.track(lambda: self.remove_namespace(name), name=f"namespace {name}", keep=True)
        return name

    def remove_namespace(self, name: str) -> None:
        """Delete a namespace from every cluster; returns when it is gone."""
        from kubeclient.resources import NAMESPACES

        with self.phase("cleanup"):
            for cluster in self.clusters:
                cluster.kube.delete(NAMESPACES, name)
            for cluster in self.clusters:
                cluster.kube.wait_gone(NAMESPACES, name)
            self.shared.namespaces.discard(name)

    # -- putting back -----------------------------------------------------------------------------------------------

    def track(self, thing: T, *, name: str | None = None, keep: bool = False) -> T:
        """Close `thing` (an object with close(), or a callable) with this context; `keep`: --nocleanup leaves it."""
        return self.scope.track(thing, name=name, keep=keep)

    def lookup(self, kind: type[T]) -> T | None:
        """The latest tracked or provided object of this type, here or in a parent."""
        return self.scope.lookup(kind)

    def close(self) -> None:
        """Wait for sub-tests, then put everything back in reverse order. Idempotent. Errors: CleanupError."""
        self.scope.close()

    # -- config, sub-tests ------------------------------------------------------------------------------------------

    def config(self, namespace: str | None = None, *, cluster: Cluster | None = None) -> Config:
        """An empty config plan for `namespace` (default: the lane's) of `cluster` (default: every cluster)."""
        from meshtest.framework.config import Config

        return Config(self, namespace, cluster)

    def child(self, name: str, *, mesh_wide: bool = False) -> TestContext:
        """A context below this one, with a scope of its own; close it before this one."""
        directory = self._directory / _file_name(name) if self._directory else None
        return TestContext(
            name,
            self.shared,
            self.scope.child(name),
            parent=self,
            directory=directory,
            mesh_wide=self.mesh_wide or mesh_wide,
        )

    def join(self) -> None:
        """Wait for parallel sub-tests and raise what went wrong in any sub-test that nobody has reported.

        Errors: the single failure itself, else an ExceptionGroup of all.
        """
        for sub in self.parallel:
            sub.wait()
        self.parallel.clear()
        failures, self.failures = self.failures, []
        if len(failures) == 1:
            raise failures[0][1]
        if failures:
            exceptions = [error for _, error in failures if isinstance(error, Exception)]
            names = ", ".join(name for name, _ in failures)
            raise ExceptionGroup(f"{self.name}: {len(failures)} sub-tests failed: {names}", exceptions)

    # -- evidence ---------------------------------------------------------------------------------------------------

    @property
    def work_dir(self) -> Path:
        """This context's own directory for files, made on first use; kept after the run."""
        directory = self._directory or self.shared.work_dir / _file_name(self.name)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the body's time under a phase (provision, install, apps, apply, wait, calls, cleanup, teardown)."""
        with self.shared.world.timings.phase(name):
            yield

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step in the report."""
        if self.shared.step is None:
            yield
        else:
            with self.shared.step(title):
                yield


def _file_name(text: str) -> str:
    """A directory name that any file system takes."""
    safe = "".join(char if char.isalnum() or char in "._-" else "-" for char in text).strip("-.")
    return safe[-120:] or "unnamed"
