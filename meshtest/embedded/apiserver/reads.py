"""Get and list: bytes from the store, assembled into the answer that the client asked for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .errors import bad_request, expired, not_found
from .kinds import Kind
from .selectors import Predicate, parse_field_selector, parse_label_selector, predicate
from .store import Item, Store
from .tables import TableFormat

Obj = dict[str, Any]
_SNAPSHOTS = 32


@dataclass(frozen=True, slots=True)
class Format:
    """What the client accepts. ``table``: None or how to make one; ``partial``: metadata only."""

    table: TableFormat | None = None
    partial: bool = False


def encode(item: Item, kind: Kind, version: str) -> bytes:
    """An object in the shape of ``version``."""
    if version == kind.storage:
        return item.data
    return orjson.dumps({**item.obj, "apiVersion": kind.api_version(version)})


def partial(item: Item) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item.obj["metadata"]}


def filter_of(query: Mapping[str, str], kind: Kind, version: str, name: str = "") -> Predicate | None:
    labels = parse_label_selector(query.get("labelSelector", ""))
    extra = tuple(path.lstrip(".") for path in kind.selectable.get(version, ()))
    fields = parse_field_selector(query.get("fieldSelector", ""), kind.key, extra)
    found = predicate(labels, fields)
    if not name:
        return found
    return lambda obj: obj["metadata"]["name"] == name and (found is None or found(obj))


def get(store: Store, kind: Kind, namespace: str, name: str) -> Item:
    item = store.collection(kind.key).get(namespace, name)
    if item is None:
        raise not_found(kind.group, kind.plural, name)
    return item


class Lists:
    """Lists, also in chunks: later chunks come from the state that the first one saw."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: dict[str, list[Item]] = {}

    def answer(self, kind: Kind, version: str, namespace: str | None, query: Mapping[str, str], how: Format) -> bytes:
        """The list as JSON. ``namespace`` None: all."""
        keep = filter_of(query, kind, version)
        token = query.get("continue", "")
        limit = _limit(query.get("limit"))
        if token:
            revision, start, items = self._resume(token)
        else:
            revision, start = self._store.revision, 0
            items = self._store.collection(kind.key).items(namespace)
            if keep is not None:
                items = [item for item in items if keep(item.obj)]
        total = len(items)
        chunk = items[start : start + limit] if limit else items[start:]
        meta: Obj = {"resourceVersion": str(revision)}
        if start + len(chunk) < total:
            meta["continue"] = self._keep(token, revision, start + len(chunk), items)
            if keep is None:
                meta["remainingItemCount"] = total - start - len(chunk)
        if how.table is not None:
            return orjson.dumps(how.table.table(kind, version, chunk, meta))
        if how.partial:
            return orjson.dumps(
                {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": meta,
                    "items": [partial(item) for item in chunk],
                }
            )
        head = orjson.dumps({"kind": kind.list_kind, "apiVersion": kind.api_version(version), "metadata": meta})
        body = b",".join([encode(item, kind, version) for item in chunk])
        return head[:-1] + b',"items":[' + body + b"]}"

    def _keep(self, token: str, revision: int, start: int, items: list[Item]) -> str:
        snapshot = _decode(token)[1] if token else f"{revision}-{id(items)}"
        self._snapshots[snapshot] = items
        while len(self._snapshots) > _SNAPSHOTS:
            del self._snapshots[next(iter(self._snapshots))]
        return base64.urlsafe_b64encode(orjson.dumps([revision, snapshot, start])).decode()

    def _resume(self, token: str) -> tuple[int, int, list[Item]]:
        revision, snapshot, start = _decode(token)
        items = self._snapshots.get(snapshot)
        if items is None:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new "
                "list without the continue parameter."
            )
        return revision, start, items


def _decode(token: str) -> tuple[int, str, int]:
    try:
        revision, snapshot, start = orjson.loads(base64.urlsafe_b64decode(token))
        return int(revision), str(snapshot), int(start)
    except (ValueError, TypeError, binascii.Error):
        raise bad_request("continue key is not valid") from None


def _limit(text: str | None) -> int:
    try:
        return max(int(text or 0), 0)
    except ValueError:
        raise bad_request(f'limit: expected a number, got "{text}"') from None
