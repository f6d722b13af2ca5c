"""managedFields of ordinary writes: who set which field, so that server-side apply can see conflicts.

Field sets are kept as fieldsV1 trees: ``{"f:spec": {"f:replicas": {}}}``; a list item is ``k:{...}`` (by key) or
``v:...`` (by value), ``.`` means the thing itself.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from typing import Any

from . import fieldset
from .listtypes import shape_of
from .metadata import now

Obj = dict[str, Any]


def on_write(new: Obj, old: Obj | None, manager: str, api_version: str, subresource: str) -> None:
    """Record in ``new`` that ``manager`` set what differs from ``old``."""
    meta = new["metadata"]
    shape = shape_of(api_version, new.get("kind", ""))
    if old is None:
        fields = fieldset.of_object(new, shape)
        if fields:
            meta["managedFields"] = [entry(manager, "Update", api_version, fields, subresource)]
        return
    entries: list[Obj] = list(meta.get("managedFields") or [])
    changed, removed = fieldset.changes(new, old, shape)
    if not changed and not removed:
        return
    out: list[Obj] = []
    mine: Obj | None = None
    for each in entries:
        fields = each.get("fieldsV1") or {}
        is_mine = (
            each.get("operation") == "Update"
            and each.get("manager") == manager
            and each.get("subresource", "") == subresource
            and each.get("apiVersion") == api_version
        )
        fields = fieldset.difference(fields, removed)
        if is_mine:
            mine = {**each, "fieldsV1": fieldset.union(fields, changed), "time": now()}
            out.append(mine)
            continue
        fields = fieldset.difference(fields, changed)
        if fields == each.get("fieldsV1"):
            out.append(each)
        elif fields:
            out.append({**each, "fieldsV1": fields})
    if mine is None and changed:
        out.append(entry(manager, "Update", api_version, changed, subresource))
    if out:
        meta["managedFields"] = out
    else:
        meta.pop("managedFields", None)


def entry(manager: str, operation: str, api_version: str, fields: Obj, subresource: str) -> Obj:
    entry: Obj = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": now(),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if subresource:
        entry["subresource"] = subresource
    return entry


def same(a: list[Obj] | None, b: list[Obj] | None) -> bool:
    """Equal but for the times."""

    def bare(entries: list[Obj] | None) -> list[Obj]:
        return [{k: v for k, v in entry.items() if k != "time"} for entry in entries or []]

    return a is b or bare(a) == bare(b)
