"""TCP and TLS: a connection for each request, one line out, one line in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from meshtest.echo.server.calls import CallSpec, Result
from meshtest.echo.server.client_tls import client_tls, peer_details

GREETING = "greeting"


@contextlib.asynccontextmanager
async def tcp_sender(call: CallSpec) -> AsyncIterator[Callable[[Result], Awaitable[None]]]:
    """Nothing is shared but the TLS context. A greeting becomes the header `greeting`."""
    tls = client_tls(call) if call.scheme == "tls" else None

    async def request(result: Result) -> None:
        reader, writer = await asyncio.open_connection(
            call.address or call.host,
            call.port,
            ssl=tls,
            server_hostname=(call.sni or call.host) if tls else None,
            limit=1 << 20,
        )
        try:
            result.protocol = "TCP"
            result.tls = peer_details(writer.transport)
            result.local = "{}:{}".format(*writer.get_extra_info("sockname")[:2])
            if call.server_first:
                result.headers.append((GREETING, (await _line(reader)).decode("utf-8", "replace")))
            if tls is not None and not call.body:
                return
            writer.write((call.body or result.id).encode() + b"\n")
            await writer.drain()
            result.body = (await _line(reader)).decode("utf-8", "replace")
        finally:
            writer.transport.abort()

    yield request


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError(f"connection closed after {len(line)} bytes, expected a line")
    return line.rstrip(b"\n")
