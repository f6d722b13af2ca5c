"""Requests that name no resource: discovery, health, version, OpenAPI, keys of the token issuer."""

from __future__ import annotations

from aiohttp import web

from .answers import json_response
from .call import User
from .core import Core
from .errors import method_not_allowed, no_such_resource

VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0+meshtest",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "python",
    "compiler": "cpython",
    "platform": "linux/amd64",
}
_ROOTS = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]


class Paths:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def answer(self, request: web.BaseRequest, user: User) -> web.StreamResponse:
        del user
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        path = request.path.rstrip("/")
        parts = path.strip("/").split("/")
        if parts[0] in ("healthz", "readyz", "livez"):
            text = f"{parts[0]} check passed\n" if "verbose" in request.query else "ok"
            return web.Response(text=text)
        if path == "/version":
            return json_response(VERSION)
        if path == "":
            return json_response({"paths": _ROOTS})
        if path == "/.well-known/openid-configuration":
            issuer = self._core.tokens.issuer
            return json_response(
                {
                    "issuer": issuer,
                    "jwks_uri": f"{issuer}/openid/v1/jwks",
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["ES256"],
                }
            )
        if path == "/openid/v1/jwks":
            return json_response(self._core.tokens.jwks())
        if parts[0] == "openapi":
            from .openapi import answer

            return answer(self._core, request, parts[1:])
        return self._discovery(request, parts)

    def _discovery(self, request: web.BaseRequest, parts: list[str]) -> web.Response:
        discovery = self._core.discovery
        accept = request.headers.get("Accept", "")
        if len(parts) == 1 and parts[0] in ("api", "apis"):
            if "APIGroupDiscoveryList" in accept and "v=v2;" in accept.replace("v=v2,", "v=v2;") + ";":
                body = discovery.aggregated(parts[0] == "api")
                response = json_response(body)
                response.headers["Content-Type"] = (
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
                )
                response.headers["Vary"] = "Accept"
                return response
            return json_response(discovery.core_versions() if parts[0] == "api" else discovery.group_versions())
        found: bytes | None = None
        if parts[0] == "api" and len(parts) == 2:
            found = discovery.resources("", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            found = discovery.group(parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = discovery.resources(parts[1], parts[2])
        if found is None:
            raise no_such_resource()
        return json_response(found)
