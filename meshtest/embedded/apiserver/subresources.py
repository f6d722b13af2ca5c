"""Subresources: status, scale, binding, eviction, token, finalize, approval; and what is proxied to the kubelet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import bodies, builtin_schema, metadata, reads, reviews
from .answers import json_response
from .call import Call, User
from .core import Core
from .errors import bad_request, conflict, method_not_allowed, no_such_resource
from .kinds import Kind, Scale
from .request import Target, write_options
from .store import Item
from .writes import DeleteOptions

if TYPE_CHECKING:
    from .verbs import Verbs

Obj = dict[str, Any]


class Subresources:
    def __init__(self, core: Core, verbs: Verbs) -> None:
        self._core = core
        self._verbs = verbs

    async def answer(
        self, request: web.BaseRequest, user: User, verb: str, kind: Kind, target: Target, query: Mapping[str, str]
    ) -> web.StreamResponse:
        name = target.subresource
        if kind.key in ("pods", "services", "nodes") and name in ("log", "exec", "attach", "portforward", "proxy"):
            from .connect import connect

            return await connect(self._core, request, user, kind, target, query)
        call = Call(user, write_options(query), request.headers.get("User-Agent", ""))
        if name in ("status", "ephemeralcontainers", "resize", "approval", "finalize"):
            known = kind.has_status(target.version) if name == "status" else name in kind.subresources
            if not known:
                raise no_such_resource()
            return await self._whole(request, verb, kind, target, call)
        if name == "scale" and target.version in kind.scale:
            return await self._scale(request, verb, kind, target, call)
        if verb != "create" or name not in kind.subresources:
            raise method_not_allowed() if name in kind.subresources else no_such_resource()
        obj = bodies.parse_object(await request.read(), request.content_type)
        group, of_kind = {"binding": ("", "Binding"), "eviction": ("policy", "Eviction")}.get(
            name, ("authentication.k8s.io", "TokenRequest")
        )
        builtin_schema.check(group, of_kind, "v1", obj)
        if name == "binding":
            return await self._bind(kind, target.namespace, target.name, obj, call)
        if name == "eviction":
            return await self._evict(kind, target, obj, call)
        if name == "token":
            return await reviews.token_request(self._core, target, obj, call)
        raise no_such_resource()

    async def review(self, kind: Kind, target: Target, obj: Obj, call: Call) -> web.Response:
        """Kinds that are only ever created, and answered at once."""
        builtin_schema.check(kind.group, kind.kind, target.version, obj)
        if kind.key == "bindings":
            name = (obj.get("metadata") or {}).get("name", "")
            pods = self._core.registry.find("", "v1", "pods")
            assert pods is not None
            return await self._bind(pods, target.namespace, name, obj, call)
        return reviews.answer(self._core, kind, target, obj, call)

    async def _whole(
        self, request: web.BaseRequest, verb: str, kind: Kind, target: Target, call: Call
    ) -> web.StreamResponse:
        """Subresources whose body is the whole object."""
        name = target.subresource
        if verb == "get":
            item = reads.get(self._core.store, kind, target.namespace, target.name)
        elif verb == "patch":
            return await self._verbs.patch(request, kind, target, call, name)
        elif verb == "update":
            obj = bodies.parse_object(await request.read(), request.content_type)
            item = await self._core.writes.update(
                kind, target.version, target.namespace, target.name, lambda _: obj, call, name
            )
        else:
            raise method_not_allowed()
        return self._verbs.item_response(request, item, kind, target.version, call)

    async def _scale(self, request: web.BaseRequest, verb: str, kind: Kind, target: Target, call: Call) -> web.Response:
        where = kind.scale[target.version]
        if verb == "get":
            item = reads.get(self._core.store, kind, target.namespace, target.name)
            return json_response(_scale_object(item, where))
        if verb not in ("update", "patch"):
            raise method_not_allowed()
        data = await request.read()
        media = request.content_type

        def change(item: Item) -> Obj:
            shown = _scale_object(item, where)
            if verb == "update":
                wanted = bodies.parse_object(data, media)
                builtin_schema.check("autoscaling", "Scale", "v1", wanted)
            else:
                from .patches import json_patch, merge

                patch = bodies.parse(data, bodies.JSON)
                wanted = json_patch(shown, patch) if media == "application/json-patch+json" else merge(shown, patch)
                if not isinstance(wanted, dict):
                    raise bad_request("the patch does not result in an object")
                builtin_schema.check("autoscaling", "Scale", "v1", wanted)
                if shown["metadata"]["resourceVersion"] == (wanted.get("metadata") or {}).get("resourceVersion"):
                    wanted["metadata"].pop("resourceVersion")
            replicas = (wanted.get("spec") or {}).get("replicas", 0)
            if not isinstance(replicas, int) or replicas < 0:
                raise bad_request(f"spec.replicas: expected a number that is not negative, got {replicas!r}")
            obj = item.copy()
            obj["apiVersion"] = kind.api_version(target.version)
            _set_path(obj, where.spec_replicas, replicas)
            obj["metadata"].pop("resourceVersion", None)
            if asked := (wanted.get("metadata") or {}).get("resourceVersion"):
                obj["metadata"]["resourceVersion"] = asked
            return obj

        item = await self._core.writes.update(kind, target.version, target.namespace, target.name, change, call)
        return json_response(_scale_object(item, where), warnings=call.warnings)

    async def _bind(self, kind: Kind, namespace: str, name: str, binding: Obj, call: Call) -> web.Response:
        node = (binding.get("target") or {}).get("name")
        if not node:
            raise bad_request("Binding: target.name: Required value")

        def change(item: Item) -> Obj:
            pod = item.copy()
            if pod["metadata"].get("deletionTimestamp"):
                raise conflict("", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
            if pod["spec"].get("nodeName"):
                raise conflict(
                    "", "pods/binding", name, f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
                )
            pod["spec"]["nodeName"] = node
            status = pod.setdefault("status", {})
            conditions = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
            conditions.append(
                {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": metadata.now()}
            )
            status["conditions"] = conditions
            pod["metadata"]["annotations"] = {
                **(pod["metadata"].get("annotations") or {}),
                **((binding.get("metadata") or {}).get("annotations") or {}),
            }
            pod["metadata"].pop("resourceVersion", None)
            return pod

        await self._core.writes.update(kind, "v1", namespace, name, change, call, "binding")
        return json_response(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
        )

    async def _evict(self, kind: Kind, target: Target, obj: Obj, call: Call) -> web.Response:
        options = obj.get("deleteOptions") or {}
        wanted = DeleteOptions(grace=options.get("gracePeriodSeconds"), dry_run=call.options.dry_run)
        await self._core.writes.delete(kind, target.version, target.namespace, target.name, wanted, call)
        return json_response(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
        )


def _path(obj: Obj, path: str) -> Any:
    value: Any = obj
    for part in path.strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _set_path(obj: Obj, path: str, value: object) -> None:
    *parents, last = path.strip(".").split(".")
    for part in parents:
        obj = obj.setdefault(part, {})
    obj[last] = value


def _scale_object(item: Item, where: Scale) -> Obj:
    from .tables.text import selector_text

    meta = item.obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    selector = _path(item.obj, where.selector) if where.selector else None
    status: Obj = {"replicas": _path(item.obj, where.status_replicas) or 0}
    if isinstance(selector, dict):
        plain = not ("matchLabels" in selector or "matchExpressions" in selector)
        text = selector_text({"matchLabels": selector} if plain else selector)
        status["selector"] = "" if text == "<none>" else text
    elif isinstance(selector, str):
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": _path(item.obj, where.spec_replicas) or 0},
        "status": status,
    }
