"""Config plans: collect objects, apply them, wait until they count, and put everything back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshtest.framework.errors import AuthorError, ConfigError, LaneError, NotSettled
from meshtest.framework.lanes import reach_outside
from meshtest.framework.manifests import Manifest, Origin, author, parse, read, render
from meshtest.framework.mesh import ObjectRef, Settled
from meshtest.framework.rejection import Rejected

if TYPE_CHECKING:
    from kubeclient import ApiError, Resource
    from meshtest.environment import Cluster
    from meshtest.framework.context import TestContext

Obj = dict[str, Any]
SETTLE_SECONDS = 15.0
GONE_SECONDS = 20.0


class Config:
    """A plan under construction; every method answers the plan itself. Nothing happens before apply().

    Objects without a namespace go to the plan's; templates are Jinja with strict undefined. Author errors are raised at
    once, at the author's line.
    """

    def __init__(
        self, ctx: TestContext, namespace: str | None, cluster: Cluster | None, manifests: Sequence[Manifest] = ()
    ) -> None:
        self._ctx = ctx
        self._namespace = namespace
        self._cluster = cluster
        self._manifests = list(manifests)

    def yaml(self, text: str) -> Config:
        """Add the objects of a YAML text."""
        return self._add(parse(text, author(), in_file=False))

    def file(self, path: str | Path) -> Config:
        """Add a YAML file; relative paths are beside the calling file."""
        text, found = read(path, author())
        return self._add(parse(text, Origin(str(found), 1), in_file=True))

    def eval(self, template: str, **variables: object) -> Config:
        """Add the objects of a template."""
        origin = author()
        return self._add(parse(render(template, variables, origin), origin, in_file=False))

    def eval_file(self, path: str | Path, **variables: object) -> Config:
        """Add a template file; relative paths are beside the calling file."""
        caller = author()
        text, found = read(path, caller)
        return self._add(parse(render(text, variables, caller, found), Origin(str(found), 1), in_file=True))

    def objects(self, *objects: Obj) -> Config:
        """Add objects as they are."""
        origin = author()
        return self._add([Manifest(obj, origin) for obj in objects])

    def copy(self) -> Config:
        """A plan of its own with the same objects so far."""
        return Config(self._ctx, self._namespace, self._cluster, self._manifests)

    def apply(self, *, wait: bool = True, expect: Rejected | None = None, timeout_s: float = SETTLE_SECONDS) -> Plan:
        """Apply all objects in order, wait until every proxy concerned works with them, and have them removed with the
        context.

        wait=False does not wait for the mesh. `expect=rejected(…)`: the last object must be refused; no wait then.
        Errors: AuthorError (empty plan), LaneError, ConfigError (refused), NotRejected, NotSettled.
        """
        if not self._manifests:
            raise AuthorError(f"{author()}: config().apply() without any object; hint: add yaml(), file() or eval()")
        plan = Plan(self._ctx, self._targets(), tuple(self._placed()))
        plan.apply(wait=wait, expect=expect, timeout_s=timeout_s)
        return plan

    def _add(self, manifests: list[Manifest]) -> Config:
        self._manifests.extend(manifests)
        return self

    def _targets(self) -> tuple[Cluster, ...]:
        return (self._cluster,) if self._cluster else self._ctx.clusters

    def _placed(self) -> Iterator[Manifest]:
        """Manifests with their namespace filled in, checked against the lane."""
        namespace = self._namespace or self._ctx.namespace
        for manifest in self._manifests:
            resource = self._resource(manifest)
            meta = dict(manifest.obj["metadata"])
            if resource.namespaced:
                meta.setdefault("namespace", namespace)
            placed = Manifest({**manifest.obj, "metadata": meta}, manifest.origin)
            if not self._ctx.mesh_wide:
                outside = reach_outside([placed.obj], self._ctx.lane, self._ctx.mesh.root_namespace)
                if outside:
                    raise LaneError(
                        f"{manifest.origin}: {outside[0]}; tests of other workers would feel it. "
                        "Hint: keep it in ctx.namespace, or mark the test mesh_wide"
                    )
            yield placed

    def _resource(self, manifest: Manifest) -> Resource:
        from kubeclient import UnknownKind

        try:
            (resource,) = self._targets()[0].kube.resources([manifest.obj])
        except UnknownKind as error:
            raise ConfigError(f"{manifest}: {error}") from None
        return resource


@dataclass(frozen=True, slots=True)
class _Applied:
    cluster: Cluster
    manifest: Manifest
    answer: Obj


class Plan:
    """Applied objects. `objects` are the API server's last answers."""

    def __init__(self, ctx: TestContext, clusters: tuple[Cluster, ...], manifests: tuple[Manifest, ...]) -> None:
        self._ctx = ctx
        self._clusters = clusters
        self._manifests = manifests
        self._applied: list[_Applied] = []
        self.settled: Settled | None = None

    @property
    def objects(self) -> list[Obj]:
        """The API server's answers, in order of application."""
        return [each.answer for each in self._applied]

    def apply(self, *, wait: bool, expect: Rejected | None, timeout_s: float) -> None:
        """See Config.apply."""
        from kubeclient import ApiError

        self._ctx.track(self.delete, name=f"config {', '.join(map(str, self._manifests))}")
        with self._ctx.shared.lock:
            self._ctx.shared.applied.append(self)
        last = self._manifests[-1]
        with self._ctx.step(f"apply {', '.join(map(str, self._manifests))}"), self._ctx.phase("apply"):
            for cluster in self._clusters:
                for manifest in self._manifests:
                    try:
                        (answer,) = cluster.kube.apply(manifest.obj, strict=True)
                    except ApiError as error:
                        if expect is None or manifest is not last:
                            raise _refused(manifest, error) from None
                        expect.check(str(manifest), error.message)
                        continue
                    self._applied.append(_Applied(cluster, manifest, answer))
                    if expect is not None and manifest is last:
                        expect.check(str(manifest), None)
        if wait and expect is None:
            self.wait(timeout_s=timeout_s)

    def wait(self, *, timeout_s: float = SETTLE_SECONDS) -> Settled:
        """Until every proxy concerned works with the applied objects. Errors: NotSettled, with the author's lines."""
        references = [ObjectRef.of(each.cluster.name, each.answer) for each in self._applied]
        with self._ctx.phase("wait"):
            try:
                self.settled = self._ctx.mesh.settle(references, timeout_s=timeout_s)
            except NotSettled as error:
                lines = "\n".join(f"  {manifest}" for manifest in self._manifests)
                raise NotSettled(f"{error}\napplied:\n{lines}") from None
        return self.settled

    def delete(self, *, wait: bool = True, timeout_s: float = SETTLE_SECONDS) -> None:
        """Remove what was applied, newest first, and wait until no proxy works with it any more. Idempotent.

        An object that a plan of a parent context had applied before gets that plan's state back instead.
        """
        with self._ctx.shared.lock:
            if self in self._ctx.shared.applied:
                self._ctx.shared.applied.remove(self)
        applied, self._applied = self._applied, []
        if not applied:
            return
        with self._ctx.phase("cleanup"):
            references = [reference for each in reversed(applied) if (reference := self._undo(each)) is not None]
            if wait and references:
                self._ctx.mesh.settle(references, timeout_s=timeout_s)

    def _undo(self, done: _Applied) -> ObjectRef | None:
        earlier = self._earlier(done)
        kube = done.cluster.kube
        if earlier is not None:
            (answer,) = kube.apply(earlier.obj)
            return ObjectRef.of(done.cluster.name, answer)
        meta = done.answer["metadata"]
        (resource,) = kube.resources([done.answer])
        if kube.delete(resource, meta["name"], meta.get("namespace")) is None:
            return None
        if meta.get("finalizers"):
            kube.wait_gone(resource, meta["name"], meta.get("namespace"), deadline_s=GONE_SECONDS)
        return ObjectRef.of(done.cluster.name, done.answer, absent=True)

    def _earlier(self, done: _Applied) -> Manifest | None:
        """The latest manifest of the same object that another live plan applied, if any."""
        with self._ctx.shared.lock:
            plans = list(self._ctx.shared.applied)
        for plan in reversed(plans):
            for each in reversed(plan._applied):
                if each.cluster.name == done.cluster.name and _key(each.answer) == _key(done.answer):
                    return each.manifest
        return None


def _key(obj: Obj) -> tuple[str, str, str, str]:
    meta = obj["metadata"]
    return (
        str(obj["apiVersion"]).rpartition("/")[0],
        str(obj["kind"]),
        str(meta.get("namespace", "")),
        str(meta["name"]),
    )


def _refused(manifest: Manifest, error: ApiError) -> ConfigError:
    return ConfigError(f"{manifest} was refused: {error.code} {error.reason}: {error.message}")
