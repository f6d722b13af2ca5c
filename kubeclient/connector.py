"""Connections to one API server: kept while idle, never limited, and really closed when the client is."""

import asyncio
import weakref
from collections.abc import Sequence
from typing import Any, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler

from kubeclient.connection import Connection

KEEPALIVE_SECONDS = 50.0
"""How long an idle connection is kept: shorter than servers do, so that no request goes into one being closed."""
GOODBYE_SECONDS = 1.0
"""How long `wait_for_all` waits for the server's part of closing connections."""


class Connector(aiohttp.TCPConnector):
    """Knows its connections until they are really closed: aiohttp forgets that of a WebSocket while TLS says goodbye,
    and a loop that ends then leaves an open socket behind.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._made: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()

    @classmethod
    def to(cls, connection: Connection) -> Self:
        """The connector for a connection's server. Must be made in the loop."""
        return cls(
            ssl=connection.ssl if connection.ssl is not None else True,
            family=connection.family,
            limit=0,  # each watch holds a connection: with a limit, enough watches would block every request
            keepalive_timeout=KEEPALIVE_SECONDS,
        )

    async def _create_connection(self, *arguments: Any, **options: Any) -> ResponseHandler:
        made = await super()._create_connection(*arguments, **options)
        self._made.add(made)
        return made

    def goodbyes(self) -> list[asyncio.Future[None]]:
        """One future for each connection that is still open or closing."""
        return [closed for each in self._made if (closed := each.closed) is not None]


async def wait_for_all(goodbyes: Sequence[asyncio.Future[None]]) -> None:
    """Returns when all connections are closed, at most after GOODBYE_SECONDS."""
    for goodbye in goodbyes:
        goodbye.add_done_callback(_retrieve)
    if goodbyes:
        await asyncio.wait(goodbyes, timeout=GOODBYE_SECONDS)


def _retrieve(goodbye: asyncio.Future[None]) -> None:
    """How a connection ended does not matter any more, and asyncio need not report that nobody asked."""
    if not goodbye.cancelled():
        goodbye.exception()
