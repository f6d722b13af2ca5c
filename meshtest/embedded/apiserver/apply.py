"""Server-side apply.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from typing import Any

from . import fieldset, managed
from .call import Call
from .core import Core
from .errors import StatusError, bad_request
from .kinds import Kind
from .listtypes import ATOMIC, MAP, SET, Shape, shape_of
from .request import Target
from .store import Item

Obj = dict[str, Any]


async def apply(
    core: Core, kind: Kind, target: Target, config: Any, call: Call, subresource: str = ""
) -> tuple[Item, bool]:
    """Create or merge; the result and whether it is new."""
    if not call.options.field_manager:
        raise StatusError(
            422,
            "Invalid",
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        )
    if not isinstance(config, dict):
        raise bad_request(f"apply: expected an object, got {type(config).__name__}")
    metadata = config.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise bad_request(f"apply: metadata: expected an object, got {type(metadata).__name__}")
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    api_version = kind.api_version(target.version)
    for key, wanted in (("apiVersion", api_version), ("kind", kind.kind)):
        if config.get(key) != wanted:
            raise bad_request(f"apply: {key}: expected {wanted}, got {config.get(key)!r}")
    call.applying = True
    shape = shape_of(api_version, kind.kind)
    config = _without_nulls(config)
    config["metadata"] = {**metadata, "name": target.name}
    manager = call.options.field_manager
    fields = fieldset.of_object(config, shape)

    if core.store.collection(kind.key).get(target.namespace, target.name) is None and not subresource:
        config["metadata"]["managedFields"] = [managed.entry(manager, "Apply", api_version, fields, "")]
        config["metadata"].pop("resourceVersion", None)
        return await core.writes.create(kind, target.version, target.namespace, config, call), True

    def change(item: Item) -> Obj:
        live = item.copy()
        live["apiVersion"] = api_version
        merged = merge_applied(live, config, shape, manager, api_version, subresource, call.options.force)
        asked = config["metadata"].get("resourceVersion")
        merged["metadata"].pop("resourceVersion", None)
        if asked:
            merged["metadata"]["resourceVersion"] = asked
        return merged

    item = await core.writes.update(kind, target.version, target.namespace, target.name, change, call, subresource)
    return item, False


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def merge_applied(
    live: Obj, config: Obj, shape: Shape, manager: str, api_version: str, subresource: str, force: bool
) -> Obj:
    """``live`` with ``config`` applied by ``manager``, managedFields included. Raises 409 for conflicts. Pure."""
    entries: list[Obj] = list(live["metadata"].get("managedFields") or [])
    if not entries:
        before = fieldset.of_object(live, shape)
        entries = [managed.entry("before-first-apply", "Update", live["apiVersion"], before, "")]
    mine = next((each for each in entries if _is_mine(each, manager, subresource)), None)
    others = [each for each in entries if each is not mine]
    wanted = fieldset.of_object(config, shape)
    merged: Obj = _merge(live, config, shape)
    changed, _ = fieldset.changes(merged, live, shape)
    touched = fieldset.intersection(wanted, _open(changed))
    conflicts = [(each, common) for each in others if (common := _common(each, touched))]
    if conflicts and not force:
        raise _conflict(conflicts)
    others = [_minus(each, touched) for each in others]
    others = [each for each in others if each.get("fieldsV1")]
    gone = fieldset.difference((mine or {}).get("fieldsV1") or {}, wanted)
    kept = wanted
    for each in others:
        kept = fieldset.union(kept, each["fieldsV1"])
    _remove(merged, gone, kept, shape)
    if mine is not None and mine.get("fieldsV1") == wanted and mine.get("apiVersion") == api_version:
        own = mine
    else:
        own = managed.entry(manager, "Apply", api_version, wanted, subresource)
    merged["metadata"]["managedFields"] = [own, *others]
    return merged


def _is_mine(entry: Obj, manager: str, subresource: str) -> bool:
    return (
        entry.get("manager") == manager
        and entry.get("operation") == "Apply"
        and entry.get("subresource", "") == subresource
    )


def _open(fields: Obj) -> Obj:
    """Changed containers without the mark of themselves: they were there before, and sharing them is no conflict."""
    return {key: _open(value) for key, value in fields.items() if key != "."}


def _common(entry: Obj, touched: Obj) -> Obj:
    return fieldset.intersection(entry.get("fieldsV1") or {}, touched)


def _minus(entry: Obj, touched: Obj) -> Obj:
    fields = fieldset.difference(entry.get("fieldsV1") or {}, touched)
    return entry if fields == entry.get("fieldsV1") else {**entry, "fieldsV1": fields}


def _merge(live: Any, config: Any, shape: Shape) -> Any:
    if isinstance(config, dict) and isinstance(live, dict) and shape.type != ATOMIC:
        out = dict(live)
        for key, value in config.items():
            out[key] = _merge(live.get(key), value, shape.at(key))
        return out
    if isinstance(config, list) and isinstance(live, list) and shape.type in (MAP, SET):
        have = {fieldset.item_key(each, shape): each for each in live}
        for each in config:
            key = fieldset.item_key(each, shape)
            have[key] = _merge(have.get(key), each, shape.items)
        return list(have.values())
    return config


def _remove(value: Any, gone: Obj, kept: Obj, shape: Shape) -> None:
    """Take out of ``value`` (a fresh container at each level) what is in ``gone`` and nobody keeps."""
    for key, below in gone.items():
        if key == ".":
            continue
        whole = not below or "." in below
        if key.startswith("f:") and isinstance(value, dict):
            name = key[2:]
            if name not in value:
                continue
            if whole and key not in kept:
                del value[name]
            elif isinstance(value[name], dict | list) and below:
                value[name] = value[name].copy()
                _remove(value[name], below, kept.get(key) or {}, shape.at(name))
        elif isinstance(value, list):
            index = next((i for i, each in enumerate(value) if fieldset.item_key(each, shape) == key), -1)
            if index < 0:
                continue
            if whole and key not in kept:
                del value[index]
            elif isinstance(value[index], dict) and below:
                value[index] = dict(value[index])
                _remove(value[index], below, kept.get(key) or {}, shape.items)


def _conflict(conflicts: list[tuple[Obj, Obj]]) -> StatusError:
    causes: list[Obj] = []
    lines: list[str] = []
    total = 0
    for entry, fields in conflicts:
        who = f'"{entry.get("manager", "")}"'
        if entry.get("subresource"):
            who += f' with subresource "{entry["subresource"]}"'
        if entry.get("operation") == "Update":
            who += f" using {entry.get('apiVersion', '')}"
        names = paths(fields)
        total += len(names)
        causes += [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": name} for name in names
        ]
        if len(names) == 1:
            lines.append(f"conflict with {who}: {names[0]}")
        else:
            lines.append(f"conflicts with {who}:\n" + "\n".join(f"- {name}" for name in names))
    word = "conflict" if total == 1 else "conflicts"
    return StatusError(409, "Conflict", f"Apply failed with {total} {word}: " + "\n".join(lines), {"causes": causes})


def paths(fields: Obj, prefix: str = "") -> list[str]:
    """Leaves of a field set as ``.spec.containers[name="a"].image``."""
    import orjson

    out: list[str] = []
    for key, below in fields.items():
        if key == ".":
            continue
        if key.startswith("f:"):
            path = f"{prefix}.{key[2:]}"
        elif key.startswith("k:"):
            pairs = orjson.loads(key[2:])
            path = f"{prefix}[" + ",".join(f"{k}={orjson.dumps(v).decode()}" for k, v in pairs.items()) + "]"
        else:
            path = f"{prefix}[={key[2:]}]"
        deeper = paths(below, path)
        out += deeper or [path]
    return out
