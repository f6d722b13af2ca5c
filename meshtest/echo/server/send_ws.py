"""WebSocket on aiohttp: a connection for each request, one message out, one message in."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from meshtest.echo.server.calls import CallSpec, Result


@contextlib.asynccontextmanager
async def ws_sender(call: CallSpec) -> AsyncIterator[Callable[[Result], Awaitable[None]]]:
    """A session of this call's own. Refused handshakes become the status they came with."""
    target = URL(f"ws://{call.address or call.host}:{call.port}{call.path}", encoded=True)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def request(result: Result) -> None:
            headers = CIMultiDict([("Host", call.authority), ("x-request-id", result.id)])
            headers.update(CIMultiDict(call.headers))
            result.id = headers["x-request-id"]
            result.protocol = "WebSocket"
            try:
                async with session.ws_connect(target, headers=headers) as socket:
                    result.status = 101
                    result.headers = list(socket._response.headers.items())
                    await socket.send_str(call.body or result.id)
                    result.body = await socket.receive_str()
            except aiohttp.WSServerHandshakeError as refused:
                result.status = refused.status
                result.headers = list((refused.headers or {}).items())

        yield request
