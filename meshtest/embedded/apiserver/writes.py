"""Create, update, delete: the way of every write from a decoded body to the store.

The only waiting is for webhooks; between the last wait and the commit nothing else runs, so a write that began from a
version that is no longer the newest is noticed at the commit and refused or done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from . import managed, metadata
from .admission import Admission, Attributes
from .call import Call
from .conform import Conform
from .errors import FieldError, StatusError, already_exists, bad_request, conflict, invalid_object, not_found
from .kinds import Kind, Registry
from .rules import for_kind
from .store import Collection, Item, Store

Obj = dict[str, Any]
Change = Callable[[Item], Obj]
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """As the API's object of that name. ``grace``: seconds, None: the kind's default."""

    grace: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


class Writes:
    """All writes to one store."""

    def __init__(self, store: Store, registry: Registry, admission: Admission, conform: Conform) -> None:
        self._store = store
        self._registry = registry
        self._admission = admission
        self._conform = conform
        self.committed: list[Callable[[Kind, Item | None, Item | None], None]] = []

    def _collection(self, kind: Kind) -> Collection:
        return self._store.collection(kind.key)

    async def create(self, kind: Kind, version: str, namespace: str, obj: Obj, call: Call) -> Item:
        """A new object; ``namespace`` is the URL's. Raises `StatusError`."""
        meta = self._settle_identity(kind, version, namespace, "", obj)
        if meta.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        self._conform.incoming(kind, version, obj, call)
        rules = for_kind(kind)
        rules.default(obj)
        given = meta.pop("managedFields", None)
        metadata.fill(meta, kind.generation)
        obj["apiVersion"] = kind.api_version(version)
        collection = self._collection(kind)
        name = meta.get("name", "")
        if not name:
            raise invalid_object(kind.group, kind.kind, "", metadata.validate_name(kind, ""))
        if collection.get(namespace, name) is not None:
            raise already_exists(kind.group, kind.plural, name)
        # Before admission: what it adds is nobody's.
        if call.applying and given:
            meta["managedFields"] = given
        elif not call.user.is_system:  # Pods of a ReplicaSet would double in size, and nobody applies to them.
            managed.on_write(obj, None, call.manager, kind.api_version(version), "")
        attributes = Attributes("CREATE", kind, version, namespace, name, "", call)
        obj = await self._admission.mutate(attributes, obj, None)
        meta = obj["metadata"]
        rules.default(obj)
        rules.create(obj)
        if kind.custom and kind.has_status(version):
            obj.pop("status", None)
        self._validate(kind, version, obj, None)
        await self._admission.validate(attributes, obj, None)
        obj["apiVersion"] = kind.api_version()
        if collection.get(namespace, meta["name"]) is not None:
            raise already_exists(kind.group, kind.plural, meta["name"])
        self._admission.reserve(attributes, obj, None)
        return self._commit(kind, collection, obj, None, call.options.dry_run)

    def _settle_identity(self, kind: Kind, version: str, namespace: str, name: str, obj: Obj) -> Obj:
        """Check that body and URL speak of the same thing; the body's metadata, filled from the URL."""
        wanted = kind.api_version(version)
        given = obj.get("apiVersion") or wanted
        if given != wanted:
            raise bad_request(
                f"the API version in the data ({given}) does not match the expected API version ({wanted})"
            )
        if (obj.get("kind") or kind.kind) != kind.kind:
            raise bad_request(
                f"the kind in the data ({obj.get('kind')}) does not match the expected kind ({kind.kind})"
            )
        obj["apiVersion"], obj["kind"] = wanted, kind.kind
        meta = obj.get("metadata")
        if meta is None:
            meta = obj["metadata"] = {}
        if not isinstance(meta, dict):
            raise bad_request(f'{kind.kind} in version "{version}" cannot be handled: metadata: expected an object')
        for key in ("labels", "annotations"):
            if meta.get(key) is not None and not isinstance(meta[key], dict):
                raise bad_request(f"metadata.{key}: expected a map of strings, got {type(meta[key]).__name__}")
        if not kind.namespaced:
            meta.pop("namespace", None)
        elif meta.get("namespace") and meta["namespace"] != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        else:
            meta["namespace"] = namespace
        if name and meta.get("name") and meta["name"] != name:
            raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
        if name:
            meta["name"] = name
        return meta

    def _validate(self, kind: Kind, version: str, obj: Obj, old: Obj | None, subresource: str = "") -> None:
        rules = for_kind(kind)
        errors: list[FieldError] = metadata.validate(kind, obj)
        if old is not None:
            errors += metadata.validate_update(obj["metadata"], old["metadata"])
        errors += self._conform.validate(kind, version, obj, old)
        if subresource != "status":
            errors += rules.validate(obj)
        if old is not None and not errors and not subresource:
            # What writes of the object itself may not change is what binding, resize and the like exist to change.
            errors += rules.validate_update(obj, old)
        if errors:
            raise invalid_object(kind.group, kind.kind, obj["metadata"].get("name", ""), errors)

    async def update(
        self, kind: Kind, version: str, namespace: str, name: str, change: Change, call: Call, subresource: str = ""
    ) -> Item:
        """Replace an object by what ``change`` makes of it (a tree of its own, in ``version``'s shape).

        When ``change`` sets a resourceVersion it must be the current one; when it leaves it out the write is done
        again if another one came between.
        """
        for _ in range(8):
            collection = self._collection(kind)
            old = collection.get(namespace, name)
            if old is None:
                raise not_found(kind.group, kind.plural, name)
            new = change(old)
            given = new.get("metadata")
            wanted = given.get("resourceVersion") if isinstance(given, dict) else None
            if wanted and wanted != str(old.revision):
                raise conflict(kind.group, kind.plural, name)
            result = await self._update_from(kind, version, namespace, name, old, new, call, subresource)
            if result is not None:
                return result
            if wanted:
                break
        raise conflict(kind.group, kind.plural, name)

    async def _update_from(
        self,
        kind: Kind,
        version: str,
        namespace: str,
        name: str,
        old: Item,
        new: Obj,
        call: Call,
        subresource: str,
    ) -> Item | None:
        """One attempt; None when ``old`` is no longer the newest version."""
        meta = self._settle_identity(kind, version, namespace, name, new)
        if meta.get("uid") and meta["uid"] != old.uid:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {old.uid}"
            raise conflict(kind.group, kind.plural, name, why)
        before = old.copy()
        before["apiVersion"] = kind.api_version(version)
        given = managed.accepted(meta.pop("managedFields", None))
        reset = given == [{}] or given == []
        self._conform.incoming(kind, version, new, call)
        rules = for_kind(kind)
        whole = subresource != "status"  # all but the status was checked when it was written
        if whole:
            rules.default(new)
        metadata.carry_over(meta, before["metadata"])
        _keep_other_part(kind, version, new, before, subresource)
        rules.update(new, before) if subresource == "" else None
        base = given if given is not None else before["metadata"].get("managedFields")
        if base and not reset:
            meta["managedFields"] = base
        untracked = call.user.is_system and (subresource or not base)
        if not call.applying and not reset and not untracked:
            managed.on_write(new, before, call.manager, kind.api_version(version), subresource)
        attributes = Attributes("UPDATE", kind, version, namespace, name, subresource, call)
        new = await self._admission.mutate(attributes, new, before)
        meta = new["metadata"]
        if whole:
            rules.default(new)
        self._validate(kind, version, new, before, subresource)
        await self._admission.validate(attributes, new, before)
        collection = self._collection(kind)
        if collection.get(namespace, name) is not old:
            return None
        if kind.generation and _spec_changed(kind, version, new, before):
            meta["generation"] = before["metadata"].get("generation", 0) + 1
        meta["resourceVersion"] = before["metadata"]["resourceVersion"]
        if _same(new, before):
            return old
        new["apiVersion"] = kind.api_version()
        self._admission.reserve(attributes, new, before)
        if _may_go(kind, new):
            if call.options.dry_run:
                return _transient(new)
            final = self._commit(kind, collection, new, old, False)
            self._remove(kind, collection, final)
            return final
        return self._commit(kind, collection, new, old, call.options.dry_run)

    def _commit(self, kind: Kind, collection: Collection, obj: Obj, old: Item | None, dry_run: bool) -> Item:
        if dry_run:
            return _transient(obj)
        item = collection.put(obj)
        for hook in self.committed:
            hook(kind, item, old)
        return item

    def _remove(self, kind: Kind, collection: Collection, item: Item) -> Item:
        gone = collection.remove(item.namespace, item.name)
        for hook in self.committed:
            hook(kind, None, gone)
        return gone

    async def delete(
        self, kind: Kind, version: str, namespace: str, name: str, options: DeleteOptions, call: Call
    ) -> tuple[Item, bool]:
        """The object's last state, and whether it is gone (False: it is being deleted)."""
        for _ in range(8):
            collection = self._collection(kind)
            old = collection.get(namespace, name)
            if old is None:
                raise not_found(kind.group, kind.plural, name)
            _check_preconditions(kind, old, options)
            attributes = Attributes("DELETE", kind, version, namespace, name, "", call)
            await self._admission.delete(attributes, old)
            if collection.get(namespace, name) is old:
                return self._delete_now(kind, collection, old, options)
        raise conflict(kind.group, kind.plural, name)

    def _delete_now(self, kind: Kind, collection: Collection, old: Item, options: DeleteOptions) -> tuple[Item, bool]:
        new = old.copy()
        meta = new["metadata"]
        grace = _grace(kind, new, options.grace)
        before = meta.get("deletionGracePeriodSeconds")
        pending = meta.get("deletionTimestamp")
        _set_propagation(meta, options.propagation)
        if pending and before is not None:
            grace = min(grace, before)
        if not pending or grace != before:
            meta["deletionTimestamp"] = metadata.later(grace)
            meta["deletionGracePeriodSeconds"] = grace
            if kind.generation and not pending and "generation" in meta:
                meta["generation"] += 1
        if kind.key == "namespaces":
            new["status"] = {**(new.get("status") or {}), "phase": "Terminating"}
        stays = bool(meta.get("finalizers")) or grace > 0 or _namespace_finalizers(kind, new)
        if options.dry_run:
            return _transient(new), not stays
        if not stays:
            return self._remove(kind, collection, old), True
        if _same(new, old.obj):
            return old, False
        return self._commit(kind, collection, new, old, False), False


def _keep_other_part(kind: Kind, version: str, new: Obj, old: Obj, subresource: str) -> None:
    """A write to ``status`` changes only the status; one to the object changes all but it."""
    if not kind.has_status(version):
        return
    if subresource == "":
        if "status" in old:
            new["status"] = old["status"]
        else:
            new.pop("status", None)
        return
    if subresource != "status":
        return
    status = new.get("status")
    meta = new["metadata"]
    kept = {k: v for k, v in old.items() if k not in ("status", "metadata")}
    for key in list(new):
        if key not in ("metadata", "status"):
            del new[key]
    new.update(kept)
    if status is not None:
        new["status"] = status
    fixed: tuple[str, ...] = ("ownerReferences",)
    if kind.custom:
        fixed = ("labels", "annotations", "finalizers", "ownerReferences")
    elif kind.key not in ("pods", "nodes", "namespaces"):
        fixed = ("labels", "ownerReferences")
    for key in fixed:
        if key in old["metadata"]:
            meta[key] = old["metadata"][key]
        else:
            meta.pop(key, None)


def _spec_changed(kind: Kind, version: str, new: Obj, old: Obj) -> bool:
    ignored = {"metadata", "apiVersion", "kind"}
    if kind.has_status(version) or not kind.custom:
        ignored.add("status")
    keys = (set(new) | set(old)) - ignored
    return any(new.get(key) != old.get(key) for key in keys)


def _same(new: Obj, old: Obj) -> bool:
    """Nothing changed, but perhaps the times in managedFields."""
    if new.keys() != old.keys():
        return False
    for key, value in new.items():
        if key in ("metadata", "apiVersion"):
            continue
        if value != old[key]:
            return False
    a, b = new["metadata"], old["metadata"]
    ignored = ("managedFields", "resourceVersion")
    if any(a.get(key) != b.get(key) for key in set(a) | set(b) if key not in ignored):
        return False
    return managed.same(a.get("managedFields"), b.get("managedFields"))


def _transient(obj: Obj) -> Item:
    meta = obj["metadata"]
    return Item(obj, orjson.dumps(obj), 0, meta.get("namespace", ""), meta["name"])


def _may_go(kind: Kind, obj: Obj) -> bool:
    """Being deleted, and the last thing that kept it is gone."""
    meta = obj["metadata"]
    return (
        bool(meta.get("deletionTimestamp"))
        and not meta.get("finalizers")
        and not meta.get("deletionGracePeriodSeconds")
        and not _namespace_finalizers(kind, obj)
    )


def _namespace_finalizers(kind: Kind, obj: Obj) -> bool:
    return kind.key == "namespaces" and bool((obj.get("spec") or {}).get("finalizers"))


def _check_preconditions(kind: Kind, item: Item, options: DeleteOptions) -> None:
    if options.uid and options.uid != item.uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({item.uid}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind.group, kind.plural, item.name, why)
    if options.resource_version and options.resource_version != str(item.revision):
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({item.revision}). The object might have been modified"
        )
        raise conflict(kind.group, kind.plural, item.name, why)


def _grace(kind: Kind, obj: Obj, asked: int | None) -> int:
    """Only pods that run somewhere end gracefully; ``asked`` overrules the pod's own period."""
    if kind.key != "pods":
        return 0
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    if asked is not None:
        return max(asked, 0)
    return int(spec.get("terminationGracePeriodSeconds") or 0)


def _set_propagation(meta: Obj, propagation: str) -> None:
    if not propagation:
        return
    finalizers = [f for f in meta.get("finalizers") or [] if f not in (FOREGROUND, ORPHAN)]
    if propagation == "Foreground":
        finalizers.append(FOREGROUND)
    elif propagation == "Orphan":
        finalizers.append(ORPHAN)
    elif propagation != "Background":
        raise StatusError(
            422,
            "Invalid",
            f'DeleteOptions "" is invalid: propagationPolicy: Unsupported value: "{propagation}": supported values: '
            '"Background", "Foreground", "Orphan"',
        )
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
