"""A world without clusters: an API server that is a dictionary, a mesh that notes what it was asked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kubeclient import ApiError, Resource, UnknownKind
from kubeclient.resources import WELL_KNOWN
from meshtest.environment import Environment
from meshtest.framework.context import Shared, TestContext
from meshtest.framework.lanes import Lane
from meshtest.framework.mesh import Mesh, ObjectRef, Settled
from meshtest.framework.scope import Scope
from meshtest.framework.timing import Timings

Obj = dict[str, Any]


class FakeKube:
    """Enough of Kube for plans; `refuse` names objects that are turned down, with the message."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Obj] = {}
        self.log: list[str] = []
        self.refuse: dict[str, str] = {}
        self._version = 0

    def resources(self, objects: Iterable[Obj]) -> list[Resource]:
        objects = list(objects)
        other = Resource("networking.istio.io", "v1", "virtualservices", "VirtualService")
        for obj in objects:
            if obj["kind"] == "VirtualServicee":
                raise UnknownKind("no kind VirtualServicee; hint: it has VirtualService")
        return [WELL_KNOWN.get((obj["apiVersion"], obj["kind"]), other) for obj in objects]

    def apply(self, obj: Obj, *, strict: bool = False) -> list[Obj]:
        meta = obj["metadata"]
        if strict and (unknown := set(obj.get("spec") or ()) - {"hosts", "http"}):
            raise ApiError(400, "BadRequest", f'strict decoding error: unknown field "spec.{unknown.pop()}"')
        if meta["name"] in self.refuse:
            raise ApiError(422, "Invalid", self.refuse[meta["name"]])
        self._version += 1
        stored = {**obj, "metadata": {**meta, "uid": f"uid-{meta['name']}", "resourceVersion": str(self._version)}}
        self.objects[(obj["kind"], meta.get("namespace", ""), meta["name"])] = stored
        self.log.append(f"apply {meta['name']}")
        return [stored]

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> Obj | None:
        self.log.append(f"delete {name}")
        return self.objects.pop((resource.kind, namespace or "", name), None)

    def wait_gone(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        assert (resource.kind, namespace or "", name) not in self.objects


@dataclass
class FakeMesh:
    """Settles at once; `asked` is what it was asked to settle, as text."""

    root_namespace: str = "istio-system"
    asked: list[list[str]] = field(default_factory=list)
    fail: Exception | None = None

    def settle(self, objects: Sequence[ObjectRef], *, timeout_s: float = 10.0) -> Settled:  # noqa: ARG002
        self.asked.append([str(each) for each in objects])
        if self.fail is not None:
            raise self.fail
        return Settled(("proxy-a",), 1.0)

    def namespace_labels(self) -> dict[str, str]:
        return {"istio-injection": "enabled"}


class FakeWorld:
    """Hands out the fakes."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.fake_mesh = FakeMesh()
        self.timings = Timings()

    def environment(self) -> Environment:
        cluster = SimpleNamespace(name="cluster-0", kube=self.kube)
        return cast("Environment", SimpleNamespace(clusters=(cluster,)))

    def mesh(self) -> Mesh:
        return cast("Mesh", self.fake_mesh)


@pytest.fixture
def world() -> FakeWorld:
    """A world that notes everything."""
    return FakeWorld()


@pytest.fixture
def make_context(world: FakeWorld, tmp_path: Path) -> Callable[..., TestContext]:
    """Makes contexts of lane w0."""

    def make(*, mesh_wide: bool = False) -> TestContext:
        shared = Shared(world=world, lane=Lane("w0"), work_dir=tmp_path)
        return TestContext("test", shared, Scope("test"), mesh_wide=mesh_wide)

    return make


@pytest.fixture
def fake_ctx(make_context: Callable[..., TestContext]) -> TestContext:
    """One context."""
    return make_context()
