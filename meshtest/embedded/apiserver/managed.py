"""managedFields of ordinary writes: who set which field, so that server-side apply can see conflicts.

Field sets are kept as fieldsV1 trees: ``{"f:spec": {"f:replicas": {}}}``; a list item is ``k:{...}`` (by key) or
``v:...`` (by value), ``.`` means the thing itself.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from typing import Any

from . import fieldset
from .errors import bad_request
from .listtypes import shape_of
from .metadata import now
from .validation import type_name

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


def accepted(given: Any) -> list[Obj] | None:
    """What a client sent as managedFields; None, so that the stored ones stay, when it sent none or field sets that
    are no trees. Raises 400 for what is no list of entries.
    """
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        field = "ObjectMeta.metadata.managedFields of type []v1.ManagedFieldsEntry"
        raise bad_request(f"json: cannot unmarshal {type_name(given)} into Go struct field {field}")
    trees = [each.get("fieldsV1") for each in given]
    for tree in trees:
        if isinstance(tree, dict):
            trees.extend(tree.values())
        elif tree is not None:
            return None
    return given


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
