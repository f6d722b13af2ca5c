"""One function for each verb on a resource; subresources are handed on."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from . import bodies, builtin_schema, patches, reads
from .answers import json_response
from .call import Call, User
from .core import Core
from .errors import bad_request, method_not_allowed, no_such_resource, unsupported_media_type
from .kinds import Kind
from .listtypes import shape_of
from .reads import Format
from .request import Target, dry_run, is_true, number, write_options
from .store import Item
from .subresources import Subresources
from .tables import TableFormat
from .watching import BOOKMARK_SECONDS, Watch, WatchRequest
from .writes import Change, DeleteOptions

Obj = dict[str, Any]
_MAX_WATCH_SECONDS = 3600


class Verbs:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._subresources = Subresources(core, self)

    async def answer(
        self, request: web.BaseRequest, user: User, verb: str, target: Target, query: Mapping[str, str]
    ) -> web.StreamResponse:
        kind = self._core.registry.find(target.group, target.version, target.plural)
        if kind is None:
            raise no_such_resource()
        if bool(target.namespace) and not kind.namespaced and kind.plural != "namespaces":
            raise no_such_resource()
        if kind.plural == "namespaces" and not kind.group and target.name:
            target = Target(
                target.path, "", target.version, "", "namespaces", target.name, target.subresource, target.rest
            )
        if target.subresource:
            return await self._subresources.answer(request, user, verb, kind, target, query)
        if verb == "get" and "get" in kind.verbs:
            if is_true(query.get("watch")):
                return await self._watch(request, kind, target, query)
            return self._get(request, kind, target)
        if verb not in kind.verbs:
            raise method_not_allowed()
        if (
            kind.namespaced
            and not target.namespace
            and verb in ("create", "deletecollection", "update", "patch", "delete")
        ):
            raise method_not_allowed()
        if verb == "list":
            namespace = target.namespace or None if kind.namespaced else None
            body = self._core.lists.answer(kind, target.version, namespace, query, format_of(request))
            return json_response(body)
        if verb == "watch":
            return await self._watch(request, kind, target, query)
        call = Call(user, write_options(query), request.headers.get("User-Agent", ""))
        if verb == "create":
            return await self._create(request, kind, target, call)
        if verb == "update":
            body_obj = bodies.parse_object(await request.read(), request.content_type)
            item = await self._core.writes.update(
                kind, target.version, target.namespace, target.name, lambda _: body_obj, call
            )
            return self.item_response(request, item, kind, target.version, call)
        if verb == "patch":
            return await self.patch(request, kind, target, call)
        if verb == "delete":
            return await self._delete(request, kind, target, query, call)
        return await self._delete_collection(request, kind, target, query, call)

    def item_response(
        self, request: web.BaseRequest, item: Item, kind: Kind, version: str, call: Call, status: int = 200
    ) -> web.Response:
        how = format_of(request)
        if how.table is not None:
            meta = {"resourceVersion": str(item.revision)}
            return json_response(how.table.table(kind, version, [item], meta), status, call.warnings)
        if how.partial:
            return json_response(reads.partial(item), status, call.warnings)
        warnings = call.warnings
        if version in kind.deprecated:
            warnings = [kind.deprecated[version], *warnings]
        return json_response(reads.encode(item, kind, version), status, warnings)

    def _get(self, request: web.BaseRequest, kind: Kind, target: Target) -> web.Response:
        if kind.namespaced and not target.namespace:
            raise no_such_resource()
        item = reads.get(self._core.store, kind, target.namespace, target.name)
        how = format_of(request)
        if how.table is None and not how.partial:
            return web.Response(body=reads.encode(item, kind, target.version), content_type="application/json")
        return self.item_response(request, item, kind, target.version, Call(_NOBODY))

    async def _create(self, request: web.BaseRequest, kind: Kind, target: Target, call: Call) -> web.Response:
        if target.name:
            raise method_not_allowed()
        obj = bodies.parse_object(await request.read(), request.content_type)
        if kind.verbs == ("create",):
            return await self._subresources.review(kind, target, obj, call)
        item = await self._core.writes.create(kind, target.version, target.namespace, obj, call)
        return self.item_response(request, item, kind, target.version, call, 201)

    async def patch(
        self, request: web.BaseRequest, kind: Kind, target: Target, call: Call, subresource: str = ""
    ) -> web.Response:
        """All four kinds of patch, of an object or of its status."""
        media = request.content_type
        data = await request.read()
        if media == "application/apply-patch+yaml":
            from .apply import apply

            item, created = await apply(self._core, kind, target, bodies.parse(data, "yaml"), call, subresource)
            return self.item_response(request, item, kind, target.version, call, 201 if created else 200)
        change = change_of(kind, target.version, media, bodies.parse(data, bodies.JSON))
        item = await self._core.writes.update(
            kind, target.version, target.namespace, target.name, change, call, subresource
        )
        return self.item_response(request, item, kind, target.version, call)

    async def _delete(
        self, request: web.BaseRequest, kind: Kind, target: Target, query: Mapping[str, str], call: Call
    ) -> web.Response:
        options = await delete_options(request, query)
        item, gone = await self._core.writes.delete(kind, target.version, target.namespace, target.name, options, call)
        if gone and kind.key != "pods":
            details: Obj = {"name": item.name, "kind": kind.plural, "uid": item.uid}
            if kind.group:
                details["group"] = kind.group
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            return json_response(status, warnings=call.warnings)
        return self.item_response(request, item, kind, target.version, call)

    async def _delete_collection(
        self, request: web.BaseRequest, kind: Kind, target: Target, query: Mapping[str, str], call: Call
    ) -> web.Response:
        options = await delete_options(request, query)
        keep = reads.filter_of(query, kind, target.version)
        namespace = target.namespace if kind.namespaced else None
        items = self._core.store.collection(kind.key).items(namespace)
        chosen = [item for item in items if keep is None or keep(item.obj)]
        for item in chosen:
            try:
                await self._core.writes.delete(kind, target.version, item.namespace, item.name, options, call)
            except Exception as error:
                if getattr(error, "code", 0) != 404:
                    raise
        head = {"kind": kind.list_kind, "apiVersion": kind.api_version(target.version)}
        meta = {"resourceVersion": str(self._core.store.revision)}
        objects = [orjson.Fragment(reads.encode(item, kind, target.version)) for item in chosen]
        return json_response(orjson.dumps({**head, "metadata": meta, "items": objects}))

    async def _watch(
        self, request: web.BaseRequest, kind: Kind, target: Target, query: Mapping[str, str]
    ) -> web.StreamResponse:
        text = query.get("resourceVersion", "")
        start = number(query, "resourceVersion") if text else None
        watch = Watch(
            self._core.store,
            WatchRequest(
                kind,
                target.version,
                (target.namespace or None) if kind.namespaced else None,
                reads.filter_of(query, kind, target.version, target.name),
                format_of(request),
                start,
                is_true(query.get("allowWatchBookmarks")),
                is_true(query.get("sendInitialEvents")),
            ),
        )
        seconds = number(query, "timeoutSeconds") or random.randint(_MAX_WATCH_SECONDS // 2, _MAX_WATCH_SECONDS)
        end = time.monotonic() + seconds
        watch.open()
        try:
            response = web.StreamResponse(headers={"Cache-Control": "no-cache, private"})
            response.content_type = "application/json"
            response.enable_chunked_encoding()
            await response.prepare(request)
            while (left := end - time.monotonic()) > 0:
                data = await watch.take(min(left, BOOKMARK_SECONDS))
                if data is None:
                    break
                if data:
                    await response.write(data)
            await response.write_eof()
            return response
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            watch.close()


_NOBODY = User("")


def change_of(kind: Kind, version: str, media: str, patch: Any) -> Change:
    """What a patch does to an object."""
    api_version = kind.api_version(version)

    def presented(item: Item) -> Obj:
        obj = item.copy()
        obj["apiVersion"] = api_version
        return obj

    def checked(obj: Any) -> Obj:
        if not isinstance(obj, dict):
            raise bad_request("the patch does not result in an object")
        return _without_own_version(obj)

    if media == "application/json-patch+json":
        return lambda item: checked(patches.json_patch(presented(item), patch))
    if media == "application/merge-patch+json":
        return lambda item: _keep_asked_version(checked(patches.merge(presented(item), patch)), patch)
    if media == "application/strategic-merge-patch+json" and not kind.custom:
        shape = shape_of(api_version, kind.kind)
        return lambda item: _keep_asked_version(checked(patches.strategic(presented(item), patch, shape)), patch)
    accepted = [each for each in bodies.PATCHES if not kind.custom or "strategic" not in each]
    raise unsupported_media_type(media, accepted)


def _without_own_version(obj: Obj) -> Obj:
    """A patch applies to whatever version is newest: the one that it was computed from is no precondition."""
    meta = obj.get("metadata")
    if isinstance(meta, dict):
        obj = {**obj, "metadata": {k: v for k, v in meta.items() if k != "resourceVersion"}}
    return obj


def _keep_asked_version(obj: Obj, patch: Any) -> Obj:
    """... unless the patch itself names one."""
    meta = patch.get("metadata") if isinstance(patch, dict) else None
    asked = meta.get("resourceVersion") if isinstance(meta, dict) else None
    if asked and isinstance(obj.get("metadata"), dict):
        obj["metadata"]["resourceVersion"] = asked
    return obj


def format_of(request: web.BaseRequest) -> Format:
    """From the Accept header; the first entry that we know wins."""
    accept = request.headers.get("Accept", "")
    if "as=" not in accept:
        return _PLAIN
    for part in accept.split(","):
        parameters = dict(p.strip().split("=", 1) for p in part.split(";")[1:] if "=" in p)
        wanted = parameters.get("as")
        if "json" not in part:
            continue
        if wanted == "Table" and parameters.get("v") == "v1":
            return Format(table=TableFormat(request.query.get("includeObject", "Metadata")))
        if wanted in ("PartialObjectMetadata", "PartialObjectMetadataList"):
            return Format(partial=True)
        if wanted is None:
            return _PLAIN
    return _PLAIN


_PLAIN = Format()


async def delete_options(request: web.BaseRequest, query: Mapping[str, str]) -> DeleteOptions:
    """From the body, or else the query."""
    data = await request.read()
    body: Obj = bodies.parse_object(data, request.content_type) if data else {}
    builtin_schema.check("", "DeleteOptions", "v1", body)
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        grace = number(query, "gracePeriodSeconds")
    if grace is not None and not isinstance(grace, int):
        raise bad_request(f"gracePeriodSeconds: expected a number, got {grace!r}")
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
    if not propagation and (body.get("orphanDependents") or is_true(query.get("orphanDependents"))):
        propagation = "Orphan"
    conditions = body.get("preconditions") or {}
    dry = body.get("dryRun") or []
    return DeleteOptions(
        grace,
        propagation,
        conditions.get("uid") or "",
        conditions.get("resourceVersion") or "",
        dry_run((dry[0] if dry else "") or query.get("dryRun")),
    )
