"""OpenAPI v2 and v3: every kind with its fields, enough for `kubectl explain` and for clients that look for dry run."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from . import builtin_schema
from .answers import json_response
from .core import Core
from .errors import no_such_resource
from .kinds import Kind

Obj = dict[str, Any]
_GVK = "x-kubernetes-group-version-kind"


def answer(core: Core, request: web.BaseRequest, parts: list[str]) -> web.Response:
    del request
    if parts == ["v2"]:
        return json_response(_v2(core))
    if parts == ["v3"]:
        paths = {}
        for group, versions in core.registry.groups().items():
            for version in versions:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={core.registry.generation}"}
        return json_response({"paths": paths})
    if parts[0] == "v3" and parts[1:2] == ["api"] and len(parts) == 3:
        return json_response(_v3(core, "", parts[2]))
    if parts[0] == "v3" and parts[1:2] == ["apis"] and len(parts) == 4:
        return json_response(_v3(core, parts[2], parts[3]))
    raise no_such_resource()


def _name(kind: Kind, version: str) -> str:
    group = ".".join(reversed((kind.group or "core").split(".")))
    return f"io.k8s.api.{group}.{version}.{kind.kind}" if not kind.custom else f"{group}.{version}.{kind.kind}"


def _schema(kind: Kind, version: str, prefix: str, used: set[str]) -> Obj:
    if kind.custom:
        base = kind.schemas.get(version) or {}
        out = {key: value for key, value in base.items() if key in ("type", "description", "properties", "required")}
        out.setdefault("type", "object")
    else:
        model = builtin_schema.model_of(kind.group, kind.kind)
        out = builtin_schema.openapi_schema(model, prefix, used) if model else {"type": "object"}
    out[_GVK] = [{"group": kind.group, "version": version, "kind": kind.kind}]
    return out


def _schemas(kinds: list[tuple[Kind, str]], prefix: str) -> Obj:
    """The schemas of these kinds, and of all that they refer to."""
    used: set[str] = set()
    out: Obj = {_name(kind, version): _schema(kind, version, prefix, used) for kind, version in kinds}
    todo = list(used)
    while todo:
        model = todo.pop()
        name = builtin_schema.schema_name(model)
        if name not in out:
            below: set[str] = set()
            out[name] = builtin_schema.openapi_schema(model, prefix, below)
            todo += below
    return out


def _paths(kind: Kind, version: str) -> Obj:
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    where = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    gvk = {"group": kind.group, "version": version, "kind": kind.kind}
    validation = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    dry_run = {"name": "dryRun", "in": "query", "schema": {"type": "string"}}

    def operation(action: str) -> Obj:
        return {
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
            "parameters": [dry_run, validation],
            "responses": {"200": {"description": "OK"}},
        }

    return {
        where: {"post": operation("post"), "get": operation("list")},
        f"{where}/{{name}}": {"get": operation("get"), "put": operation("put"), "patch": operation("patch")},
    }


def _v2(core: Core) -> Obj:
    kinds = [(kind, version) for kind in core.registry for version in kind.versions]
    paths: Obj = {}
    for kind, version in kinds:
        paths.update(_paths(kind, version))
    info = {"title": "Kubernetes", "version": "v1.33.0"}
    return {"swagger": "2.0", "info": info, "paths": paths, "definitions": _schemas(kinds, "#/definitions/")}


def _v3(core: Core, group: str, version: str) -> Obj:
    kinds = [(kind, version) for kind in core.registry if kind.group == group and version in kind.versions]
    if not kinds:
        raise no_such_resource()
    paths: Obj = {}
    for kind, _ in kinds:
        paths.update(_paths(kind, version))
    info = {"title": "Kubernetes", "version": "v1.33.0"}
    schemas = _schemas(kinds, "#/components/schemas/")
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
