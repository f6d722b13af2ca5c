"""Watches: from the collection's history, then from its events, as lines of JSON.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson

from .errors import StatusError, expired
from .kinds import Kind
from .reads import Format, encode, partial
from .selectors import Predicate
from .store import Event, Expired, Item, Store

BOOKMARK_SECONDS = 60.0
_LIMIT = 64 << 20  # bytes a client may lag behind before it is cut off


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """``start``: None from now with the present state first, 0 any state, else after that revision."""

    kind: Kind
    version: str
    namespace: str | None
    keep: Predicate | None
    format: Format
    start: int | None
    bookmarks: bool = False
    initial_events: bool = False


class Watch:
    """One client's watch. Events are encoded as they come; `take` waits for the next bytes."""

    def __init__(self, store: Store, request: WatchRequest) -> None:
        self._store = store
        self._request = request
        self._collection = store.collection(request.kind.key)
        self._pending: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._lagging = False
        self._shape = _shape_key(request)
        self._columns_sent = False

    def open(self) -> None:
        """Begin; raises 410 when the start is forgotten."""
        request = self._request
        replay = request.start is None or request.start == 0 or request.initial_events
        if replay:
            for item in self._collection.items(request.namespace):
                if request.keep is None or request.keep(item.obj):
                    self._push(self._line("ADDED", item))
            if request.initial_events and request.bookmarks:
                self._push(self._bookmark(initial_end=True))
        else:
            assert request.start is not None
            if request.start > self._store.revision:
                raise StatusError(
                    504,
                    "Timeout",
                    f"Timeout: Too large resource version: {request.start}, current: {self._store.revision}",
                )
            try:
                for event in self._collection.since(request.start):
                    self._on_event(event)
            except Expired as error:
                raise expired(str(error)) from None
        self._collection.listen(self, self._on_event)

    def close(self) -> None:
        self._collection.unlisten(self)

    async def take(self, quiet: float) -> bytes | None:
        """The next bytes; a bookmark (or b"") after ``quiet`` s of it; None: the client fell too far behind."""
        if not self._pending:
            self._wake.clear()
            try:
                async with asyncio.timeout(quiet):
                    await self._wake.wait()
            except TimeoutError:
                # An event may have come in the same turn of the loop; a bookmark must not overtake it.
                if not self._pending:
                    return self._bookmark() if self._request.bookmarks else b""
        if self._lagging:
            return None
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        return data

    def _on_event(self, event: Event) -> None:
        request = self._request
        item = event.item
        if request.namespace is not None and item.namespace != request.namespace:
            return
        kind_of_event = event.type
        if request.keep is not None:
            now = event.type != "DELETED" and request.keep(item.obj)
            before = event.previous is not None and request.keep(event.previous.obj)
            if not now and not before:
                return
            kind_of_event = "DELETED" if not now else ("MODIFIED" if before else "ADDED")
        if request.format.table is not None:
            self._push(self._line(kind_of_event, item))
            return
        key = (kind_of_event, self._shape)
        line = event.lines.get(key)
        if line is None:
            line = event.lines[key] = self._line(kind_of_event, item)
        self._push(line)

    def _line(self, kind_of_event: str, item: Item) -> bytes:
        request = self._request
        if request.format.table is not None:
            table = request.format.table.table(
                request.kind,
                request.version,
                [item],
                {"resourceVersion": str(item.revision)},
                headers=not self._columns_sent,
            )
            self._columns_sent = True
            data = orjson.dumps(table)
        elif request.format.partial:
            data = orjson.dumps(partial(item))
        else:
            data = encode(item, request.kind, request.version)
        return b'{"type":"%b","object":%b}\n' % (kind_of_event.encode(), data)

    def _bookmark(self, initial_end: bool = False) -> bytes:
        kind = self._request.kind
        metadata: dict[str, object] = {"resourceVersion": str(self._store.revision), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj: dict[str, object] = {
            "kind": kind.kind,
            "apiVersion": kind.api_version(self._request.version),
            "metadata": metadata,
        }
        if self._request.format.table is not None:
            obj = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": str(self._store.revision)},
                "columnDefinitions": None,
                "rows": [{"cells": [], "object": {**partial_empty(), "metadata": metadata}}],
            }
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _push(self, line: bytes) -> None:
        self._size += len(line)
        if self._size > _LIMIT:
            self._lagging = True
        else:
            self._pending.append(line)
        self._wake.set()


def partial_empty() -> dict[str, object]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}


def _shape_key(request: WatchRequest) -> str:
    return f"{request.version}/partial" if request.format.partial else request.version
