"""Objects in memory: one global revision, one collection per kind, and each collection's recent past for watches.

Everything here is synchronous and belongs to one event loop. A stored tree is never changed; a write replaces it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

Obj = dict[str, Any]
HISTORY = 4096


@dataclass(frozen=True, slots=True)
class Item:
    """One version of one object. ``data`` is ``obj`` as JSON."""

    obj: Obj
    data: bytes
    revision: int
    namespace: str
    name: str

    @property
    def labels(self) -> dict[str, str]:
        return self.obj["metadata"].get("labels") or {}

    @property
    def uid(self) -> str:
        return str(self.obj["metadata"].get("uid", ""))

    def copy(self) -> Obj:
        """A tree of its own, to be changed."""
        tree: Obj = orjson.loads(self.data)
        return tree


@dataclass(frozen=True, slots=True)
class Event:
    """A change. ``type`` is ADDED, MODIFIED or DELETED; ``previous`` is None for ADDED; ``lines`` caches encodings."""

    type: str
    item: Item
    previous: Item | None
    lines: dict[tuple[str, str], bytes] = field(default_factory=dict)


Listener = Callable[[Event], None]


class Expired(Exception):
    """The wanted revision is older than the history that is kept."""


class Collection:
    """All objects of one kind, by namespace ("" for cluster-scoped ones) and name."""

    def __init__(self, store: Store, key: str) -> None:
        self.key = key
        self._store = store
        self._items: dict[str, dict[str, Item]] = {}
        self._history: deque[Event] = deque()
        self._forgotten = 0
        self._listeners: dict[object, Listener] = {}

    def get(self, namespace: str, name: str) -> Item | None:
        names = self._items.get(namespace)
        return names.get(name) if names else None

    def items(self, namespace: str | None = None) -> list[Item]:
        """Sorted by namespace and name, as etcd gives them; None: of all namespaces."""
        spaces = sorted(self._items) if namespace is None else [namespace]
        found: list[Item] = []
        for space in spaces:
            names = self._items.get(space)
            if names:
                found.extend(names[name] for name in sorted(names))
        return found

    def __iter__(self) -> Iterator[Item]:
        for names in self._items.values():
            yield from names.values()

    def __len__(self) -> int:
        return sum(len(names) for names in self._items.values())

    def put(self, obj: Obj) -> Item:
        """Store ``obj`` (which now belongs to the store) under the next revision."""
        metadata = obj["metadata"]
        revision = self._store.next_revision()
        metadata["resourceVersion"] = str(revision)
        item = Item(obj, orjson.dumps(obj), revision, metadata.get("namespace", ""), metadata["name"])
        names = self._items.setdefault(item.namespace, {})
        previous = names.get(item.name)
        names[item.name] = item
        self._publish(Event("ADDED" if previous is None else "MODIFIED", item, previous))
        return item

    def remove(self, namespace: str, name: str) -> Item:
        """Remove an object that is there; the answer is its last state, at the revision of its end."""
        names = self._items[namespace]
        previous = names.pop(name)
        if not names:
            del self._items[namespace]
        revision = self._store.next_revision()
        obj = {**previous.obj, "metadata": {**previous.obj["metadata"], "resourceVersion": str(revision)}}
        item = Item(obj, orjson.dumps(obj), revision, namespace, name)
        self._publish(Event("DELETED", item, previous))
        return item

    def since(self, revision: int) -> list[Event]:
        """What happened after ``revision``. Raises `Expired` when that is not remembered."""
        if revision < self._forgotten:
            raise Expired(f"too old resource version: {revision} ({self._forgotten})")
        start = bisect_right(self._history, revision, key=lambda event: event.item.revision)
        return [self._history[i] for i in range(start, len(self._history))]

    def listen(self, token: object, listener: Listener) -> None:
        """Call ``listener`` with every later event, in order, from within the write."""
        self._listeners[token] = listener

    def unlisten(self, token: object) -> None:
        self._listeners.pop(token, None)

    def _publish(self, event: Event) -> None:
        if len(self._history) >= HISTORY:
            self._forgotten = self._history.popleft().item.revision
        self._history.append(event)
        for listener in list(self._listeners.values()):
            listener(event)


class Store:
    """All collections, and the revision that every write advances."""

    def __init__(self) -> None:
        self.revision = 1
        self._collections: dict[str, Collection] = {}

    def next_revision(self) -> int:
        self.revision += 1
        return self.revision

    def collection(self, key: str) -> Collection:
        """The collection called ``plural.group``; made when asked for."""
        found = self._collections.get(key)
        if found is None:
            found = self._collections[key] = Collection(self, key)
        return found

    def drop(self, key: str) -> None:
        """Empty a collection (its CRD is gone); watches on it see its objects deleted, and those of a successor."""
        found = self._collections.get(key)
        if found is not None:
            for item in found.items():
                found.remove(item.namespace, item.name)
