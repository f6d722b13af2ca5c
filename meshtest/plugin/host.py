"""The host: the one process of a run (pytest itself, or xdist's controller) that brings the world up and down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from meshtest.environment.errors import UsageError
from meshtest.framework.timing import Timings
from meshtest.plugin.leases import Leases
from meshtest.plugin.options import Options

if TYPE_CHECKING:
    from meshtest.environment import Environment
    from meshtest.framework.mesh import Mesh


class Host:
    """Owns environment and mesh. Nothing happens before want(); close() undoes whatever had been reached."""

    def __init__(self, options: Options, timings: Timings, say: Callable[[str], None]) -> None:
        self.options = options
        self.leases = Leases()
        self._timings = timings
        self._say = say
        self._environment: Future[Environment] = Future()
        self._mesh: Future[Mesh] = Future()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.refusal: str | None = None  # why no test can ever run here

    @property
    def wanted(self) -> bool:
        """Whether anything was brought up, or is about to be."""
        return self._thread is not None

    def check(self) -> None:
        """Whether this machine can run the environment at all. Errors: UsageError."""
        from meshtest.environment.registry import factory

        factory(self.options.env).check()

    def want(self) -> None:
        """Begin bringing up in the background, once."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._bring_up, name="meshtest-bring-up", daemon=True)
                self._thread.start()

    def environment(self) -> Environment:
        """Wait for the environment. Errors: what starting it raised."""
        self.want()
        return self._environment.result()

    def mesh(self) -> Mesh:
        """Wait for the installed mesh. Errors: what starting or installing raised."""
        self.want()
        return self._mesh.result()

    def running(self) -> Environment | None:
        """The environment if it is up already."""
        done = self._environment.done() and self._environment.exception() is None
        return self._environment.result() if done else None

    def clean_lane(self, lane: str) -> None:
        """Remove the namespaces of a worker that died."""
        from kubeclient.resources import NAMESPACES

        environment = self.running()
        for cluster in environment.clusters if environment else ():
            for namespace in cluster.kube.list(NAMESPACES):
                if str(namespace["metadata"]["name"]).startswith(f"{lane}-"):
                    cluster.kube.delete(NAMESPACES, namespace["metadata"]["name"])

    def close(self, *, keep: bool = False) -> None:
        """Take down what was brought up, or let it live on. Idempotent."""
        if self._thread is None:
            return
        # An interrupt may come while the mesh is still being installed: stopping the environment ends that wait too.
        environment = self._environment.result() if self._environment.exception() is None else None
        if environment is None:
            return
        ready = self._mesh.done() and self._mesh.exception() is None
        mesh = self._mesh.result() if ready else None
        if keep:
            environment.keep()
        elif mesh is not None and not environment.disposable:
            mesh.uninstall()
        if mesh is not None:
            mesh.close()
        with self._timings.phase("teardown"):
            environment.stop()
        self._thread.join(timeout=5.0)

    def _bring_up(self) -> None:
        from meshtest.environment.registry import factory
        from meshtest.environment.topology import Topology

        try:
            self.check()
            with self._timings.phase("provision"):
                started = factory(self.options.env).start(
                    Topology.single(), run_id=self.options.run_id, progress=self._say
                )
        except BaseException as error:
            self.refusal = str(error) if isinstance(error, UsageError) else None
            self._environment.set_exception(error)
            self._mesh.set_exception(error)
            return
        self._environment.set_result(started)
        try:
            from meshtest.mesh import driver

            with self._timings.phase("install"):
                mesh = driver(self.options.mesh)
                mesh.attach(started)
                mesh.install()
            self._say(f"mesh {mesh.name} installed")
        except BaseException as error:
            self._mesh.set_exception(error)
            return
        self._mesh.set_result(mesh)
