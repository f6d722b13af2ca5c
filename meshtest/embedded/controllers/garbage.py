"""The garbage collector: deletes what lost its owners, and carries out foreground and orphaning deletion.

Dependents of an object are known by the uids in their ownerReferences, within the resources that are watched: those
that controllers manage from the start, and the kinds of every CustomResourceDefinition and of every owner met, from
then on.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from kubeclient import ApiError, Event, KubeError, Obj, Resource
from kubeclient.resources import CRDS
from meshtest.embedded.controllers.actions import Action, Delete, Patch
from meshtest.embedded.controllers.objects import is_deleting
from meshtest.embedded.controllers.queue import WorkQueue
from meshtest.embedded.controllers.world import World

log = logging.getLogger(__name__)
LINGER = 2.0
"""Seconds that a kind is watched after its definition is gone."""
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
Propagation = Literal["Background", "Foreground", "Orphan"]
Lookup = Callable[[str], Obj | None]


def owners_of(obj: Obj) -> list[Obj]:
    """The owner references."""
    return list(obj["metadata"].get("ownerReferences") or ())


def finalizers_of(obj: Obj) -> list[str]:
    """The finalizers."""
    return list(obj["metadata"].get("finalizers") or ())


def plan_dependent(resource: Resource, obj: Obj, is_gone: Callable[[str], bool], owner: Lookup) -> list[Action]:
    """For an object with owners: delete it when all are gone, drop the references to those that are."""
    references = owners_of(obj)
    gone = [reference for reference in references if is_gone(reference["uid"])]
    if not references or not gone or is_deleting(obj):
        return []
    if len(gone) == len(references):
        return [Delete(resource, obj, _manner(obj))]
    waiting = [
        reference
        for reference in references
        if (known := owner(reference["uid"])) and FOREGROUND in finalizers_of(known)
    ]
    if len(gone) + len(waiting) == len(references) and waiting:
        return [Delete(resource, obj, "Foreground")]
    kept = [reference for reference in references if reference not in gone]
    return [Patch(resource, obj, {"metadata": {"uid": obj["metadata"]["uid"], "ownerReferences": kept}})]


def _manner(obj: Obj) -> Propagation:
    kept = finalizers_of(obj)
    return "Orphan" if ORPHAN in kept else "Foreground" if FOREGROUND in kept else "Background"


def plan_owner(resource: Resource, obj: Obj, dependents: Sequence[tuple[Resource, Obj]]) -> list[Action]:
    """For an object that is being deleted with one of the collector's finalizers: act on dependents, then let it go."""
    uid, kept = obj["metadata"]["uid"], finalizers_of(obj)
    if not is_deleting(obj):
        return []
    if ORPHAN in kept:
        if dependents:
            return [Patch(kind, item, _without_owner(item, uid)) for kind, item in dependents]
        return [_release(resource, obj, ORPHAN)]
    if FOREGROUND in kept:
        blocking = [(kind, item) for kind, item in dependents if _blocks(item, uid)]
        if not blocking:
            return [_release(resource, obj, FOREGROUND)]
        return [Delete(kind, item, "Foreground") for kind, item in dependents if not is_deleting(item)]
    return []


def _blocks(dependent: Obj, uid: str) -> bool:
    return any(reference["uid"] == uid and reference.get("blockOwnerDeletion") for reference in owners_of(dependent))


def _without_owner(dependent: Obj, uid: str) -> Obj:
    kept = [reference for reference in owners_of(dependent) if reference["uid"] != uid]
    return {"metadata": {"uid": dependent["metadata"]["uid"], "ownerReferences": kept}}


def _release(resource: Resource, obj: Obj, finalizer: str) -> Action:
    kept = [item for item in finalizers_of(obj) if item != finalizer]
    return Patch(resource, obj, {"metadata": {"uid": obj["metadata"]["uid"], "finalizers": kept}})


class GarbageCollector:
    """Keeps the graph and runs the plans."""

    def __init__(self, world: World, resources: Iterable[Resource]) -> None:
        self._world = world
        self._where: dict[str, tuple[Resource, str, str]] = {}
        self._dependents: dict[str, set[str]] = defaultdict(set)
        self._gone: set[str] = set()
        self._watched: set[Resource] = set()
        self._queue: WorkQueue[str] = WorkQueue("garbage collector", self._work, world.ready)
        self._watching: WorkQueue[tuple[str, str]] = WorkQueue(
            "garbage collector, kinds", self._watch_kind, world.ready
        )
        for resource in resources:
            self._watch(resource)
        self._crds = world.view(CRDS)
        self._crds.subscribe(self._crd_changed)

    async def close(self) -> None:
        """Ends work under way."""
        await self._queue.close()
        await self._watching.close()

    def _watch(self, resource: Resource) -> None:
        if resource not in self._watched:
            self._watched.add(resource)
            self._world.view(resource).subscribe(lambda event: self._changed(resource, event))

    def _crd_changed(self, event: Event) -> None:
        spec = event.obj["spec"]
        stored = [version["name"] for version in spec["versions"] if version.get("storage")]
        established = any(
            entry["type"] == "Established" and entry["status"] == "True"
            for entry in (event.obj.get("status") or {}).get("conditions") or ()
        )
        if event.type == "DELETED":
            # Not at once: the last events of its objects come over another connection.
            asyncio.get_running_loop().call_later(LINGER, self._forget, spec["group"], spec["names"]["kind"])
        elif established and stored:
            self._watching.add((f"{spec['group']}/{stored[0]}", spec["names"]["kind"]))

    def _forget(self, group: str, kind: str) -> None:
        if any((item["spec"]["group"], item["spec"]["names"]["kind"]) == (group, kind) for item in self._crds.all()):
            return  # there is a new definition of the same kind
        for resource in [item for item in self._watched if (item.group, item.kind) == (group, kind)]:
            self._watched.discard(resource)
            self._world.forget(resource)

    async def _watch_kind(self, kind: tuple[str, str]) -> float | None:
        try:
            self._watch(await self._world.client.resource_for({"apiVersion": kind[0], "kind": kind[1]}))
        except ApiError:
            raise
        except KubeError as error:
            log.info("garbage collector: %s", error)
        return None

    def _changed(self, resource: Resource, event: Event) -> None:
        obj = event.obj
        metadata = obj["metadata"]
        uid = metadata["uid"]
        if event.old is not None:
            for reference in owners_of(event.old):
                self._dependents[reference["uid"]].discard(uid)
        if event.type == "DELETED":
            self._where.pop(uid, None)
            self._deleted(uid, obj)
            return
        self._where[uid] = (resource, metadata.get("namespace") or "", metadata["name"])
        for reference in owners_of(obj):
            self._dependents[reference["uid"]].add(uid)
        changed_owners = event.old is None or owners_of(event.old) != owners_of(obj)
        if (changed_owners and owners_of(obj)) or is_deleting(obj):
            self._queue.add(uid)
        if event.old is not None and changed_owners:
            for reference in owners_of(event.old):
                self._queue.add(reference["uid"])

    def _deleted(self, uid: str, obj: Obj) -> None:
        waiting = self._dependents.get(uid)
        if waiting:
            self._gone.add(uid)
            for dependent in list(waiting):
                self._queue.add(dependent)
        for reference in owners_of(obj):
            # A foreground deletion of the owner may have waited for this one.
            if reference["uid"] in self._where:
                self._queue.add(reference["uid"])
            elif not self._dependents.get(reference["uid"]):
                self._dependents.pop(reference["uid"], None)
                self._gone.discard(reference["uid"])

    def _lookup(self, uid: str) -> Obj | None:
        if (place := self._where.get(uid)) is None:
            return None
        resource, namespace, name = place
        return self._world.view(resource).get(namespace, name)

    async def _work(self, uid: str) -> float | None:
        obj = self._lookup(uid)
        if obj is None or obj["metadata"]["uid"] != uid:
            return None
        resource = self._where[uid][0]
        for reference in owners_of(obj):
            await self._verify(obj, reference)
        dependents = [
            (self._where[item][0], found)
            for item in sorted(self._dependents.get(uid, ()))
            if (found := self._lookup(item)) is not None
        ]
        actions = plan_owner(resource, obj, dependents) or plan_dependent(
            resource, obj, lambda owner: owner in self._gone, self._lookup
        )
        await self._world.execute(actions)
        return None

    async def _verify(self, obj: Obj, reference: Obj) -> None:
        """An owner never seen is asked for: it may be of a kind not watched, or gone before we started."""
        uid = reference["uid"]
        if uid in self._where or uid in self._gone:
            return
        try:
            resource = await self._world.client.resource_for(reference)
            owner = await self._world.client.get(resource, reference["name"], obj["metadata"].get("namespace"))
        except ApiError as error:
            if not error.is_not_found:
                raise
            self._gone.add(uid)
        except KubeError as error:
            log.info("garbage collector: owner of %s: %s", obj["metadata"]["name"], error)
        else:
            if owner["metadata"]["uid"] != uid:
                self._gone.add(uid)
            else:
                self._watch(resource)
