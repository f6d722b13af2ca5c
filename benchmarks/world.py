"""A cluster, with or without the reference mesh, for the length of a benchmark."""

import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubeclient import Obj
from meshtest.environment import Environment, Topology
from meshtest.environment.registry import factory
from meshtest.framework.context import Shared, TestContext
from meshtest.framework.lanes import Lane
from meshtest.framework.mesh import Mesh
from meshtest.framework.scope import Scope
from meshtest.framework.timing import Timings
from meshtest.kube.client import Condition
from meshtest.mesh import driver


class BenchmarkWorld:
    """What contexts draw on: one environment and one mesh, both running."""

    def __init__(self, environment: Environment, mesh: Mesh) -> None:
        self._environment = environment
        self._mesh = mesh
        self.timings = Timings()

    def environment(self) -> Environment:
        """The running environment."""
        return self._environment

    def mesh(self) -> Mesh:
        """The installed mesh."""
        return self._mesh


@contextmanager
def environment() -> Iterator[Environment]:
    """An embedded cluster."""
    started = factory("embedded").start(
        Topology.single(),
        run_id=f"bench-{secrets.token_hex(3)}",
        progress=lambda text: print(f"  {text}", file=sys.stderr),
    )
    try:
        yield started
    finally:
        started.stop()


@contextmanager
def meshed(name: str = "reference") -> Iterator[TestContext]:
    """An embedded cluster with a mesh, seen through a test's context; `none` is no mesh."""
    with environment() as running, tempfile.TemporaryDirectory(prefix="meshtest-bench-") as directory:
        mesh = driver(name)
        mesh.attach(running)
        mesh.install()
        world = BenchmarkWorld(running, mesh)
        shared = Shared(world=world, lane=Lane("w0"), work_dir=Path(directory))
        context = TestContext("benchmark", shared, Scope("benchmark"), directory=Path(directory))
        try:
            yield context
        finally:
            context.close()
            mesh.close()


def echo_deployment(name: str, namespace: str, replicas: int) -> Obj:
    """A Deployment of the echo workload with one HTTP port, 8080."""
    labels = {"app": name, "version": "v1"}
    container = {
        "name": "app",
        "image": "meshtest/echo",
        "args": ["--http", "8080", "--version", "v1"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


def echo_service(name: str, namespace: str) -> Obj:
    """The Service in front of echo_deployment()."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }


def available(replicas: int) -> Condition:
    """A condition for Kube.wait_for on Deployments."""
    return lambda obj: obj is not None and obj.get("status", {}).get("availableReplicas", 0) >= replicas
