"""The controllers' view of the cluster: shared informers with indexes, and the executor that changes it."""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime

from kubeclient import ApiError, Client, Event, Informer, KubeError, Obj, Resource
from kubeclient.resources import EVENTS, PODS
from meshtest.embedded.controllers.actions import Action, Create, Delete, Patch, Record
from meshtest.embedded.controllers.objects import controller_of, namespace_of, timestamp

log = logging.getLogger(__name__)
CATCH_UP_SECONDS = 5.0
WRITES_AT_ONCE = 8
"""More writes under way would only mean more connections: the API server answers one after the other."""
PODS_AT_ONCE = 64
"""New pods may wait long for a webhook, and must not keep other writes, or other pods, from going on meanwhile."""
MOST_EVENTS = 1000
"""Events that wait to be written; further ones are dropped."""


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
    """All views, started on first use, and `execute`. `ready` is set once the views of the start have synced."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ready = asyncio.Event()
        self._views: dict[Resource, View] = {}
        self._informing: dict[Resource, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(WRITES_AT_ONCE)
        self._pod_slots = asyncio.Semaphore(PODS_AT_ONCE)
        self._events: asyncio.Queue[Record] = asyncio.Queue(MOST_EVENTS)
        self._spawn(self._write_events(), "events")

    def view(self, resource: Resource) -> View:
        """The view of a resource, its informer running. Must be called in the loop."""
        if (known := self._views.get(resource)) is None:
            known = self._views[resource] = View(self.client, resource)
            self._informing[resource] = self._spawn(known.informer.run(), f"informer {resource}")
        return known

    def forget(self, resource: Resource) -> None:
        """Ends the view of a resource that the API server no longer has."""
        if self._views.pop(resource, None) is not None:
            self._informing.pop(resource).cancel()

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
        """Carries all actions out at once, then waits for the views to show it. Raises the first failure."""
        if not actions:
            return
        results = await asyncio.gather(*(self._act(action) for action in actions), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _act(self, action: Action) -> None:
        if isinstance(action, Record):
            self.record(action)
            return
        is_new_pod = isinstance(action, Create) and action.resource == PODS
        async with self._pod_slots if is_new_pod else self._slots:
            written = await self._write(action)
        if written is not None and (view := self._views.get(action.resource)) is not None:
            await view.caught_up(str(written.get("metadata", {}).get("resourceVersion", "")))

    async def _write(self, action: Create | Delete | Patch) -> Obj | None:
        """The object as written, where the view must show it before the next plan."""
        match action:
            case Create():
                return await self._create(action)
            case Delete():
                await self._delete(action)
                return None
            case Patch(resource=resource, obj=obj, body=body, subresource=subresource):
                metadata = obj["metadata"]
                try:
                    return await self.client.patch(
                        resource, metadata["name"], body, metadata.get("namespace"), subresource=subresource
                    )
                except ApiError as error:
                    if not error.is_not_found:
                        raise
                    return None

    async def _create(self, action: Create) -> Obj | None:
        try:
            created = await self.client.create(action.resource, action.obj)
        except ApiError as error:
            if error.code == 403 and "being terminated" in error.message:
                return None  # the namespace is on its way out, and takes the owner along
            if action.about is not None:
                self.record(Record(action.about, "FailedCreate", f"Error creating: {error.message}", "Warning"))
            raise
        if action.about is not None:
            verb = "pod" if action.resource.kind == "Pod" else action.resource.kind
            self.record(Record(action.about, "SuccessfulCreate", f"Created {verb}: {created['metadata']['name']}"))
        return created

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
        """Writes an Event, one after the other and waited for by nobody; failing to is only logged."""
        try:
            self._events.put_nowait(record)
        except asyncio.QueueFull:
            log.info("event %s of %s dropped: too many wait", record.reason, record.about["metadata"]["name"])

    async def _write_events(self) -> None:
        while True:
            record = await self._events.get()
            event = event_of(record, timestamp(datetime.now(UTC)))
            try:
                await self.client.create(EVENTS, event)
            except KubeError as error:
                log.debug("event %s of %s: %s", record.reason, record.about["metadata"]["name"], error)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def event_of(record: Record, now: str) -> Obj:
    """The Event object of a record."""
    metadata = record.about["metadata"]
    namespace = metadata.get("namespace") or "default"
    component = record.component or f"{str(record.about.get('kind')).lower()}-controller"
    return {
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
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": component,
    }
