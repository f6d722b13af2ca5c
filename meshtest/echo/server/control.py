"""The control endpoint: `POST /call` makes a call and returns every single response."""

from __future__ import annotations

import orjson
from aiohttp import web

from meshtest.echo.server.calls import BadCall, parse_call
from meshtest.echo.server.send import send


def control_server() -> web.Server:
    """Answers `{"responses": [Result…]}`; 400 `{"error": …}` for a call that says nothing sensible."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST" or request.path != "/call":
            return _json(404, {"error": f"{request.method} {request.path}: expected POST /call"})
        try:
            call = parse_call(orjson.loads(await request.read()))
        except (BadCall, TypeError, ValueError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, {"responses": await send(call)})

    return web.Server(handle, access_log=None)


def _json(status: int, data: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(data), content_type="application/json")
