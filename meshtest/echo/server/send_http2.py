"""HTTP/2 as a client: clear with prior knowledge, or over TLS; all requests of a call share one connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import h2.events

from meshtest.echo.server.calls import CallSpec, Result
from meshtest.echo.server.client_tls import client_tls, peer_details
from meshtest.echo.server.http2 import Http2Connection


@dataclass(slots=True)
class _Exchange:
    done: asyncio.Future[None]
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)


class Http2Client(Http2Connection):
    """Requests in, responses out."""

    def __init__(self) -> None:
        super().__init__(client=True)
        self._exchanges: dict[int, _Exchange] = {}
        self._broken = ""

    def on_event(self, event: h2.events.Event) -> None:
        exchange = self._exchanges.get(getattr(event, "stream_id", None) or 0)
        if exchange is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            exchange.headers = [(str(k), str(v)) for k, v in event.headers or ()]
        elif isinstance(event, h2.events.TrailersReceived):
            exchange.headers.extend((str(k), str(v)) for k, v in event.headers or ())
        elif isinstance(event, h2.events.DataReceived):
            exchange.body.extend(event.data or b"")
        elif isinstance(event, h2.events.StreamReset) and not exchange.done.done():
            exchange.done.set_exception(ConnectionResetError(f"stream reset with HTTP/2 error {event.error_code}"))
        elif isinstance(event, h2.events.StreamEnded) and not exchange.done.done():
            exchange.done.set_result(None)

    def broken(self, reason: str) -> None:
        self._broken = self._broken or reason
        for exchange in self._exchanges.values():
            if not exchange.done.done():
                exchange.done.set_exception(ConnectionResetError(reason))

    async def request(self, headers: list[tuple[str, str]], body: bytes) -> _Exchange:
        """The whole exchange; ConnectionResetError when the stream or the connection broke."""
        if self._broken:
            raise ConnectionResetError(self._broken)
        stream = self.h2.get_next_available_stream_id()
        exchange = self._exchanges[stream] = _Exchange(asyncio.get_running_loop().create_future())
        try:
            await self.send(stream, headers, body)
            await exchange.done
        finally:
            del self._exchanges[stream]
        return exchange


@contextlib.asynccontextmanager
async def http2_sender(call: CallSpec) -> AsyncIterator[Callable[[Result], Awaitable[None]]]:
    """Connects once."""
    tls = client_tls(call) if call.scheme == "https" else None
    transport, client = await asyncio.get_running_loop().create_connection(
        Http2Client,
        call.address or call.host,
        call.port,
        ssl=tls,
        server_hostname=(call.sni or call.host) if tls else None,
    )
    details = peer_details(transport)
    if details is not None and details["alpn"] != "h2":
        transport.close()
        raise ConnectionError(f"the server chose ALPN {details['alpn']!r}, expected 'h2'")
    local = "{}:{}".format(*transport.get_extra_info("sockname")[:2])
    own = [(k.lower(), v) for k, v in call.headers if k.lower() != "host"]

    async def request(result: Result) -> None:
        result.id = next((v for k, v in own if k == "x-request-id"), result.id)
        headers = [
            (":method", call.method),
            (":scheme", "https" if tls else "http"),
            (":authority", call.authority),
            (":path", call.path),
            *own,
        ]
        if not any(k == "x-request-id" for k, _ in own):
            headers.append(("x-request-id", result.id))
        result.local, result.tls = local, details
        exchange = await client.request(headers, call.body.encode())
        result.protocol = "HTTP/2"
        result.status = int(next((v for k, v in exchange.headers if k == ":status"), "0")) or None
        result.headers = [(k, v) for k, v in exchange.headers if not k.startswith(":")]
        result.body = exchange.body.decode("utf-8", "replace")

    try:
        yield request
    finally:
        transport.abort()
