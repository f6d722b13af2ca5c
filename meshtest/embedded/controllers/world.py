"""The controllers' view of the cluster: shared informers with indexes, and the executor that changes it."""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime

from kubeclient import ApiError, Client, Event, Informer, KubeError, Obj, Resource
from kubeclient.resources import EVENTS
from meshtest.embedded.controllers.actions import Action, Create, Delete, Patch, Record
from meshtest.embedded.controllers.objects import controller_of, namespace_of, timestamp

log = logging.getLogger(__name__)
CATCH_UP_SECONDS = 5.0


class View:
    """One resource: its informer and its objects by namespace, by uid and by the uid of their manager."""

    def __init__(self, client: Client, resource: Resource) -> None:
        self.resource = resource
        self.informer = Informer(client, resource)
        self.by_uid: dict[str, Obj] = {}
        self._by_namespace: dict[str, dict[str, Obj]] = defaultdict(dict)
        self._by_controller: dict[str, dict[str, Obj]] = defaultdict(dict)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.informer.subscribe(self._take)

    def subscribe(self, handler: Callable[[Event], None]) -> None:
        """Tells `handler` of each event, indexes being current."""
        self.informer.subscribe(handler)

    def get(self, namespace: str, name: str) -> Obj | None:
        """The object of that name, or None."""
        return self.informer.store.get((namespace, name))

    def all(self) -> Iterable[Obj]:
        """All objects."""
        return self.informer.store.values()

    def in_namespace(self, namespace: str) -> Iterable[Obj]:
        """The objects of one namespace."""
        return self._by_namespace.get(namespace, {}).values()

    def controlled_by(self, owner: Obj) -> list[Obj]:
        """The objects whose managing owner is this very one."""
        return list(self._by_controller.get(owner["metadata"]["uid"], {}).values())

    async def caught_up(self, resource_version: str) -> None:
        """Returns when the view shows the write that answered with this version, at most after 5 s."""
        if not resource_version.isdigit() or self._version() >= int(resource_version):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((int(resource_version), future))
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await future
        except TimeoutError:
            log.warning("%s: version %s was not seen within %g s", self.resource, resource_version, CATCH_UP_SECONDS)

    def _version(self) -> int:
        text = self.informer.resource_version
        return int(text) if text.isdigit() else 0

    def _take(self, event: Event) -> None:
        if event.old is not None:
            self._forget(event.old)
        if event.type == "DELETED":
            self._forget(event.obj)
        else:
            self._remember(event.obj)
        if self._waiting:
            version = self._version()
            for _, future in [entry for entry in self._waiting if entry[0] <= version]:
                if not future.done():
                    future.set_result(None)
            self._waiting = [entry for entry in self._waiting if entry[0] > version]

    def _remember(self, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        self.by_uid[uid] = obj
        self._by_namespace[namespace_of(obj)][uid] = obj
        if (owner := controller_of(obj)) is not None:
            self._by_controller[owner["uid"]][uid] = obj

    def _forget(self, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]
        self.by_uid.pop(uid, None)
        owner = controller_of(obj)
        for index, key in (
            (self._by_namespace, namespace_of(obj)),
            (self._by_controller, owner["uid"] if owner else ""),
        ):
            if (entries := index.get(key)) is not None:
                entries.pop(uid, None)
                if not entries:
                    del index[key]


class World:
    """All views, started on first use, and `execute`. `ready` is set once all views asked for at the start
    have synced.
    """

    def __init__(self, client: Client, component: str = "controllers") -> None:
        self.client = client
        self.ready = asyncio.Event()
        self._component = component
        self._views: dict[Resource, View] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def view(self, resource: Resource) -> View:
        """The view of a resource, its informer running. Must be called in the loop."""
        if (known := self._views.get(resource)) is None:
            known = self._views[resource] = View(self.client, resource)
            self._spawn(known.informer.run(), f"informer {resource}")
        return known

    def views(self) -> list[View]:
        """All that were asked for so far."""
        return list(self._views.values())

    async def synced(self) -> None:
        """Returns when every view has its first list, and sets `ready`."""
        await asyncio.gather(*(view.informer.synced.wait() for view in self._views.values()))
        self.ready.set()

    async def close(self) -> None:
        """Ends informers and events under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def execute(self, actions: Sequence[Action]) -> None:
        """Carries all actions out at once; then waits until the views show what was created. Raises the first
        failure.
        """
        if not actions:
            return
        results = await asyncio.gather(*(self._act(action) for action in actions), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _act(self, action: Action) -> None:
        match action:
            case Create():
                await self._create(action)
            case Delete():
                await self._delete(action)
            case Patch(resource=resource, obj=obj, body=body, subresource=subresource):
                metadata = obj["metadata"]
                try:
                    patched = await self.client.patch(
                        resource, metadata["name"], body, metadata.get("namespace"), subresource=subresource
                    )
                except ApiError as error:
                    if not error.is_not_found:
                        raise
                else:
                    await self._seen(resource, patched)
            case Record():
                self.record(action)

    async def _create(self, action: Create) -> None:
        try:
            created = await self.client.create(action.resource, action.obj)
        except ApiError as error:
            if error.code == 403 and "being terminated" in error.message:
                return  # the namespace is on its way out, and takes the owner along
            if action.about is not None:
                self.record(Record(action.about, "FailedCreate", f"Error creating: {error.message}", "Warning"))
            raise
        if action.about is not None:
            verb = "pod" if action.resource.kind == "Pod" else action.resource.kind
            self.record(Record(action.about, "SuccessfulCreate", f"Created {verb}: {created['metadata']['name']}"))
        await self._seen(action.resource, created)

    async def _seen(self, resource: Resource, obj: Obj) -> None:
        if (view := self._views.get(resource)) is not None:
            await view.caught_up(str(obj.get("metadata", {}).get("resourceVersion", "")))

    async def _delete(self, action: Delete) -> None:
        metadata = action.obj["metadata"]
        try:
            await self.client.delete(
                action.resource,
                metadata["name"],
                metadata.get("namespace"),
                propagation=action.propagation,
                uid=metadata["uid"],
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            return
        if action.about is not None:
            verb = "pod" if action.resource.kind == "Pod" else action.resource.kind
            self.record(Record(action.about, "SuccessfulDelete", f"Deleted {verb}: {metadata['name']}"))

    def record(self, record: Record) -> None:
        """Writes an Event; nobody waits for it, and failing to is only logged."""
        self._spawn(self._write(record), f"event {record.reason}")

    async def _write(self, record: Record) -> None:
        metadata, now = record.about["metadata"], timestamp(datetime.now(UTC))
        namespace = metadata.get("namespace") or "default"
        event = {
            "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": record.about.get("apiVersion"),
                "kind": record.about.get("kind"),
                "namespace": namespace,
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata.get("resourceVersion"),
            },
            "type": record.type,
            "reason": record.reason,
            "message": record.message[:1024],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._component,
        }
        try:
            await self.client.create(EVENTS, event, namespace)
        except KubeError as error:
            log.debug("event %s of %s: %s", record.reason, metadata["name"], error)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
