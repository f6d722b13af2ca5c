"""TCP, clear or over TLS: one JSON line for each line received; server-first says its greeting at once."""

from __future__ import annotations

import asyncio
import contextlib

from meshtest.echo.server.answer import Answerer, Seen
from meshtest.echo.server.sockets import address_of, tls_details

GREETING = b"meshtest echo\n"


def tcp_handler(answerer: Answerer, *, greet: bool) -> asyncio.Protocol:
    """A protocol for one connection."""
    reader = asyncio.StreamReader(limit=1 << 20)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.LimitOverrunError):
            await _serve(answerer, greet, reader, writer)
        writer.close()

    return asyncio.StreamReaderProtocol(reader, handle)


async def _serve(answerer: Answerer, greet: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if greet:
        writer.write(GREETING)
    while line := await reader.readline():
        body = line.decode("utf-8", "replace").rstrip("\r\n")
        seen = Seen(
            protocol="TCP",
            body=body,
            source=address_of(writer.transport, "peername"),
            destination=address_of(writer.transport, "sockname"),
            tls=tls_details(writer.transport),
        )
        writer.write(answerer.answer(seen).body + b"\n")
        await writer.drain()
