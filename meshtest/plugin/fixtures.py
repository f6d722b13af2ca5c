"""Fixtures that test authors use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

from meshtest.framework.context import TestContext
from meshtest.plugin.suites import SUITES
from meshtest.plugin.world import WORLD, World, directory_of, is_mesh_wide

if TYPE_CHECKING:
    from meshtest.environment import Cluster, Environment
    from meshtest.framework.mesh import Mesh

T = TypeVar("T")
CONTEXT = pytest.StashKey[TestContext]()


@pytest.fixture(scope="session")
def _world(request: pytest.FixtureRequest) -> World:
    return request.config.stash[WORLD]


@pytest.fixture(scope="session")
def env(_world: World) -> Environment:
    """The running environment (meshtest.environment.Environment)."""
    return _told(_world.environment)


@pytest.fixture(scope="session")
def cluster(env: Environment) -> Cluster:
    """The first cluster; `cluster.kube` acts on it."""
    return env.clusters[0]


@pytest.fixture(scope="session")
def mesh(_world: World) -> Mesh:
    """The mesh under test, installed (meshtest.mesh.Mesh)."""
    return _told(_world.mesh)


@pytest.fixture
def ctx(request: pytest.FixtureRequest, mesh: Mesh, _world: World) -> Iterator[TestContext]:  # noqa: ARG001
    """This test's context (meshtest.TestContext); what it made is put back after the test."""
    item: pytest.Item = request.node
    parent = request.config.stash[SUITES].context_of(item)
    context = parent.child(item.name, mesh_wide=is_mesh_wide(item))
    context._directory = directory_of(item, _world.options.work_dir)
    item.stash[CONTEXT] = context
    yield context
    context.close()


@pytest.fixture(scope="session")
def apps(mesh: Mesh, _world: World) -> object:  # noqa: ARG001
    """The standard echo apps of this worker's lane (meshtest.echo)."""
    return _told(_world.apps)


def _told(wait: Callable[[], T]) -> T:
    """What the world gives; its failure is one message, not a trace through meshtest."""
    try:
        return wait()
    except Exception as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        reason = f"{type(error).__name__}: {error}{notes}"
    pytest.fail(reason, pytrace=False)  # out here, where no other exception hangs on to it
