"""HTTP/1.x and WebSocket, on aiohttp; and the choice between it and HTTP/2 on one port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import WSMsgType, web

from meshtest.echo.server.answer import Answerer, Seen
from meshtest.echo.server.http2 import Http2Server
from meshtest.echo.server.sockets import address_of, tls_details

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def http1_server(answerer: Answerer) -> web.Server:
    """The factory of aiohttp's protocols, answering every path."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await _websocket(request, answerer)
        body = (await request.read()).decode("utf-8", "replace")
        answer = answerer.answer(_seen(request, f"HTTP/{request.version.major}.{request.version.minor}", body))
        if answer.delay:
            await asyncio.sleep(answer.delay)
        response = web.Response(status=answer.status, body=answer.body)
        for name, value in answer.headers:
            if name == "content-type":
                response.headers[name] = value
            else:
                response.headers.add(name, value)
        return response

    return web.Server(handle, access_log=None)


def _seen(request: web.BaseRequest, protocol: str, body: str) -> Seen:
    transport = request.transport
    raw = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.raw_headers]
    path, _, query = request.path_qs.partition("?") if request.method != "CONNECT" else (request.path, "", "")
    raw_path, _, raw_query = request.raw_path.partition("?")
    return Seen(
        protocol=protocol,
        method=request.method,
        path=raw_path or path,
        query=raw_query or query,
        authority=request.headers.get("host", ""),
        headers=raw,
        body=body,
        source=address_of(transport, "peername"),
        destination=address_of(transport, "sockname"),
        tls=tls_details(transport),
    )


async def _websocket(request: web.BaseRequest, answerer: Answerer) -> web.StreamResponse:
    """Each message is answered with the echo's JSON, the message in its body."""
    socket = web.WebSocketResponse(autoping=True)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            text = cast(str, message.data)
        elif message.type is WSMsgType.BINARY:
            text = cast(bytes, message.data).decode("utf-8", "replace")
        else:
            break
        answer = answerer.answer(_seen(request, "WebSocket", text))
        if answer.delay:
            await asyncio.sleep(answer.delay)
        await socket.send_str(answer.body.decode())
    return socket


class Sniff(asyncio.Protocol):
    """Reads the first bytes of a connection, then hands it to HTTP/2 (preface or ALPN h2) or to HTTP/1."""

    def __init__(self, http1: Callable[[], asyncio.BaseProtocol], http2: Callable[[], Http2Server]) -> None:
        self._http1, self._http2 = http1, http2
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._become(self._http2())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) < len(PREFACE) and PREFACE.startswith(self._buffer):
            return
        self._become(self._http2() if self._buffer.startswith(PREFACE) else self._http1())

    def _become(self, protocol: asyncio.BaseProtocol) -> None:
        assert self._transport is not None
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._buffer:
            cast(asyncio.Protocol, protocol).data_received(self._buffer)
