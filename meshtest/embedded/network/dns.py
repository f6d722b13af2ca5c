"""The cluster's DNS server on one node: asyncio over UDP and TCP, answering from Services and EndpointSlices.

Names outside the cluster go to the upstream servers; without any they do not exist (NXDOMAIN), which makes resolvers
give up at once, where a refusal would send them on to further attempts.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode

from kubeclient import Client
from meshtest.embedded import linux
from meshtest.embedded.config import DNS_DOMAIN
from meshtest.embedded.network.dns_answers import Answers, Ask, wire
from meshtest.embedded.network.dns_upstream import Upstreams
from meshtest.embedded.network.dns_zone import Zone
from meshtest.embedded.network.services_watch import Key, ServiceWatch

log = logging.getLogger(__name__)
PORT = 53
MOST_REMEMBERED = 10_000
IDLE_SECONDS = 10.0
"""How long a TCP connection may stay silent."""


class DnsServer:
    """`run` serves until cancelled; queries that come before Services have been listed wait in the sockets.

    netns_fd, address: where to listen, UDP and TCP; the address must be on a link of that namespace.
    upstreams: servers for all other names, asked from this process's own namespace.
    watch: shared with others, and run by whoever made it; None: an own one.
    """

    def __init__(
        self,
        client: Client,
        netns_fd: int,
        address: str,
        domain: str = DNS_DOMAIN,
        *,
        port: int = PORT,
        upstreams: Iterable[str] = (),
        watch: ServiceWatch | None = None,
    ) -> None:
        self.synced = asyncio.Event()
        self._place = (netns_fd, address, port)
        self._own_watch = watch is None
        self._watch = watch or ServiceWatch(client)
        self._answers = Answers(Zone(self._watch, address), domain)
        self._remembered: dict[tuple[bytes, bool], bytes] = {}
        self._watch.subscribe(self._on_change)
        self._upstreams = Upstreams(upstreams)
        self._pending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled. OSError when the address cannot be bound."""
        netns_fd, address, port = self._place
        datagrams, stream = _bound(netns_fd, address, port)
        loop = asyncio.get_running_loop()
        transport: asyncio.DatagramTransport | None = None
        server: asyncio.Server | None = None
        try:
            async with asyncio.TaskGroup() as group:
                if self._own_watch:
                    group.create_task(self._watch.run())
                await self._watch.wait_synced()
                transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=datagrams)
                server = await asyncio.start_server(self._serve_stream, sock=stream)
                self.synced.set()
                await loop.create_future()
        finally:
            for task in self._pending:
                task.cancel()
            if transport is not None:
                transport.close()
            if server is not None:
                server.close()
            datagrams.close()
            stream.close()

    def quick(self, data: bytes, *, over_udp: bool) -> bytes | tuple[dns.message.Message, dns.message.Message, Ask]:
        """The answer to one query, or what is needed to have it from upstream. ValueError: not worth an answer."""
        known = self._remembered.get((data[2:], over_udp))
        if known is not None:  # half a millisecond less; resolvers ask for each name in every search domain
            return data[:2] + known
        try:
            query = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException as error:
            raise ValueError(f"a query that is none: {error!r}") from error
        if query.flags & dns.flags.QR:
            raise ValueError("a response was sent to the server's port")
        response, ask = self._answers.answer(query)
        if ask is not None and self._upstreams:
            return query, response, ask
        if ask is not None and not response.answer:
            response.set_rcode(dns.rcode.NXDOMAIN)
        answer = wire(response, query, over_udp=over_udp)
        # several addresses are shuffled anew for everybody
        if all(len(rrset) == 1 for rrset in response.answer) and len(self._remembered) < MOST_REMEMBERED:
            self._remembered[data[2:], over_udp] = answer[2:]
        return answer

    def _on_change(self, _key: Key) -> None:
        self._answers.zone.changed()
        self._remembered.clear()

    async def asked(self, response: dns.message.Message, ask: Ask) -> dns.message.Message:
        """The response, completed by an upstream server; SERVFAIL when none answers."""
        theirs = await self._upstreams.ask(ask.name, ask.rdtype)
        if theirs is None:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        response.set_rcode(theirs.rcode())
        response.answer.extend(theirs.answer)
        response.authority.extend(theirs.authority)
        return response

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Answer a datagram later, not keeping others waiting."""
        task = asyncio.get_running_loop().create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # each message is preceded by its length, RFC 1035 4.2.2; a broken client only loses its own connection
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                result = self.quick(data, over_udp=False)
                if not isinstance(result, bytes):
                    query, response, ask = result
                    result = wire(await self.asked(response, ask), query, over_udp=False)
                writer.write(struct.pack("!H", len(result)) + result)
                await writer.drain()
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    """Answers datagrams where they came from."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # not an isinstance: asyncio's own is no DatagramTransport before 3.12
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        try:
            result = self._server.quick(data, over_udp=True)
        except ValueError as error:
            log.info("from %s: %s", addr, error)
            return
        if isinstance(result, bytes):
            self._transport.sendto(result, addr)
        else:
            self._server.in_background(self._later(*result, addr))

    async def _later(
        self, query: dns.message.Message, response: dns.message.Message, ask: Ask, addr: tuple[str, int]
    ) -> None:
        complete = await self._server.asked(response, ask)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(wire(complete, query, over_udp=True), addr)


def _bound(netns_fd: int, address: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    datagrams = linux.socket_in(netns_fd, family, socket.SOCK_DGRAM)
    stream = linux.socket_in(netns_fd, family)
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for one in (datagrams, stream):
            one.setblocking(False)
            one.bind((address, port))
        stream.listen(128)
    except OSError as error:
        datagrams.close()
        stream.close()
        raise OSError(error.errno, f"cannot serve DNS at {address}:{port}: {error.strerror}") from error
    return datagrams, stream
