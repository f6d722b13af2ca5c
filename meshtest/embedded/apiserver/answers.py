"""HTTP answers."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from .errors import StatusError

Obj = dict[str, Any]


def status_response(error: StatusError) -> web.Response:
    headers = {"Cache-Control": "no-cache, private"}
    if error.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.details and "retryAfterSeconds" in error.details:
        headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    body = orjson.dumps(error.status())
    return web.Response(status=error.code, body=body, content_type="application/json", headers=headers)


def json_response(body: bytes | Obj, status: int = 200, warnings: list[str] | None = None) -> web.Response:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    response = web.Response(status=status, body=data, content_type="application/json")
    for text in warnings or ():
        quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response
