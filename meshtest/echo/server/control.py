"""The control endpoint: `POST /call` makes a call, `POST /arrivals` tells which requests arrived here."""

from __future__ import annotations

import orjson
from aiohttp import web

from meshtest.echo.server.answer import Answerer
from meshtest.echo.server.calls import BadCall, parse_call
from meshtest.echo.server.send import send


def control_server(answerer: Answerer) -> web.Server:
    """Answers `{"responses": [Result…]}` or `{"arrivals": {request id: count}}`; 400 `{"error": …}` for nonsense."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST" or request.path not in ("/call", "/arrivals"):
            return _json(404, {"error": f"{request.method} {request.path}: expected POST /call or /arrivals"})
        try:
            data = orjson.loads(await request.read())
            if request.path == "/arrivals":
                return _json(200, {"arrivals": answerer.arrivals(data["ids"])})
            call = parse_call(data)
        except (BadCall, KeyError, TypeError, ValueError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, {"responses": await send(call)})

    return web.Server(handle, access_log=None)


def _json(status: int, data: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(data), content_type="application/json")
