"""A local copy of one resource, kept current by list and watch.

The store never lags behind what handlers were told: an event changes it first and is then handed, in the same turn of
the loop, to every subscriber. Whoever reads the store in a handler therefore sees the world as of that event.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

from kubeclient.client import Client
from kubeclient.errors import ApiError, KubeError
from kubeclient.resources import Obj, Resource
from kubeclient.watch import Event

log = logging.getLogger(__name__)
Key = tuple[str, str]
Handler = Callable[[Event], None]
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds to wait after a failure, doubled with each further one."""


def key_of(obj: Obj) -> Key:
    """(namespace, name); the namespace of cluster-wide objects is the empty string."""
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def differences(store: Mapping[Key, Obj], listed: Mapping[Key, Obj]) -> Iterator[Event]:
    """What turns `store` into `listed`. An object that was deleted and created anew under its name is two events."""
    for key, old in store.items():
        new = listed.get(key)
        if new is None or new["metadata"].get("uid") != old["metadata"].get("uid"):
            yield Event("DELETED", old, old)
    for key, new in listed.items():
        known = store.get(key)
        if known is None or known["metadata"].get("uid") != new["metadata"].get("uid"):
            yield Event("ADDED", new)
        elif known["metadata"].get("resourceVersion") != new["metadata"].get("resourceVersion"):
            yield Event("MODIFIED", new, known)


class Informer:
    """`store` maps (namespace or "", name) to objects, which nobody may change. `synced` is set once the first list is
    in.

    `run()` never ends by itself: it resumes watches where they broke, lists again when the server forgot that version,
    and waits a little longer after each failure.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> None:
        self.resource = resource
        self.store: dict[Key, Obj] = {}
        self.synced = asyncio.Event()
        self.resource_version = ""
        self._client = client
        self._namespace = namespace
        self._label_selector, self._field_selector = label_selector, field_selector
        self._handlers: list[Handler] = []

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        """Calls `handler` with each event from now on, first with an ADDED for all that is known. Returns the way to
        stop it.
        """
        for obj in list(self.store.values()):
            self._tell(handler, Event("ADDED", obj))
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    def get(self, namespace: str | None, name: str) -> Obj | None:
        """The object of that name, or None."""
        return self.store.get((namespace or "", name))

    async def run(self) -> None:
        """List, watch, and keep on."""
        pause = FIRST_PAUSE
        listed = False
        while True:
            started = asyncio.get_running_loop().time()
            try:
                if not listed:
                    await self._list()
                    listed = True
                await self._watch()
                quick = asyncio.get_running_loop().time() - started < 1.0
            except ApiError as error:
                # 504: "Too large resource version"; the server knows less than we do, having lost its memory.
                listed = listed and not (error.is_gone or error.code == 504)
                log.log(logging.DEBUG if error.is_gone else logging.WARNING, "informer of %s: %s", self.resource, error)
                quick = not error.is_gone
            except KubeError as error:
                log.info("informer of %s: %s", self.resource, error)
                quick = True
            if quick:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE

    async def _list(self) -> None:
        objects = await self._client.list(
            self.resource, self._namespace, label_selector=self._label_selector, field_selector=self._field_selector
        )
        self.resource_version = objects.resource_version
        listed = {key_of(obj): obj for obj in objects}
        for event in list(differences(self.store, listed)):
            self._take(event)
        self.synced.set()

    async def _watch(self) -> None:
        async for event in self._client.watch(
            self.resource,
            self._namespace,
            resource_version=self.resource_version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            bookmarks=True,
        ):
            self.resource_version = event.obj["metadata"]["resourceVersion"]
            if event.type == "BOOKMARK":
                continue
            old = self.store.get(key_of(event.obj))
            if event.type == "DELETED" and old is None:
                continue
            self._take(Event(event.type, event.obj, old))

    def _take(self, event: Event) -> None:
        key = key_of(event.obj)
        if event.type == "DELETED":
            self.store.pop(key, None)
        else:
            self.store[key] = event.obj
        for handler in list(self._handlers):
            self._tell(handler, event)

    def _tell(self, handler: Handler, event: Event) -> None:
        try:
            handler(event)
        except Exception:
            # One subscriber's bug must not keep the others from the event, nor end the watch.
            log.exception("handler of %s failed for %s %s", self.resource, event.type, key_of(event.obj))
