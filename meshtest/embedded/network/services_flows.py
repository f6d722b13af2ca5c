"""Forgets UDP flows to endpoints that a Service no longer has.

The kernel translates a flow as it did its first packet. A TCP connection to a pod that is gone breaks and is made anew;
a UDP client that keeps its port would talk to nobody for as long as it talks. Messages: nfnetlink_conntrack.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from meshtest.embedded import linux
from meshtest.embedded.network.netlink import NLM_F_REQUEST, NLMSG_ERROR, attribute
from meshtest.embedded.network.services_model import Backends, Endpoint, Frontend

NETLINK_NETFILTER = 12
NLM_F_DUMP, NLMSG_DONE = 0x300, 3
CT_GET, CT_DELETE = 0x101, 0x102
TUPLE_ORIGINAL, TUPLE_REPLY = 1, 2
TUPLE_IP, TUPLE_PROTOCOL = 1, 2
IP_SOURCES, IP_DESTINATIONS = (1, 3), (2, 4)
PROTOCOL_NUMBER, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3
_ATTRIBUTE_TYPE = 0x3FFF  # without the flags "nested" and "network byte order"
_UDP = {socket.IPPROTO_UDP: "udp"}


@dataclass(frozen=True, slots=True)
class Flow:
    """A tracked flow: what the client addressed, who answers, and the key it is deleted by."""

    frontend: Frontend
    endpoint: Endpoint
    key: bytes


Lost = Mapping[Frontend, frozenset[Endpoint]]


def lost_endpoints(before: Mapping[Frontend, Backends], after: Mapping[Frontend, Backends]) -> Lost:
    """UDP frontends of `before` and the endpoints that they have no more."""
    lost = {}
    for frontend, backends in before.items():
        if frontend.protocol == "udp":
            now = after[frontend].endpoints if frontend in after else ()
            gone = frozenset(backends.endpoints) - frozenset(now)
            if gone:
                lost[frontend] = gone
    return lost


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & _ATTRIBUTE_TYPE, data[4:length]
        data = data[(length + 3) & ~3 :]


def _ends(tuple_: bytes) -> tuple[int, Endpoint, Endpoint] | None:
    """Protocol number, source and destination of one direction."""
    parts = dict(_attributes(tuple_))
    addresses = dict(_attributes(parts.get(TUPLE_IP, b"")))
    protocol = dict(_attributes(parts.get(TUPLE_PROTOCOL, b"")))
    source = next((addresses[kind] for kind in IP_SOURCES if kind in addresses), None)
    destination = next((addresses[kind] for kind in IP_DESTINATIONS if kind in addresses), None)
    if source is None or destination is None or PROTOCOL_NUMBER not in protocol or SOURCE_PORT not in protocol:
        return None
    ports = (struct.unpack("!H", protocol[kind])[0] for kind in (SOURCE_PORT, DESTINATION_PORT))
    return (
        protocol[PROTOCOL_NUMBER][0],
        (str(ip_address(source)), next(ports)),
        (str(ip_address(destination)), next(ports)),
    )


def parse_flow(body: bytes) -> Flow | None:
    """One entry of the dump, after its nfgenmsg; None for anything but UDP."""
    tuples = dict(_attributes(body))
    original, reply = _ends(tuples.get(TUPLE_ORIGINAL, b"")), _ends(tuples.get(TUPLE_REPLY, b""))
    if original is None or reply is None or original[0] not in _UDP:
        return None
    address, port = original[2]
    return Flow(Frontend(address, "udp", port), reply[1], tuples[TUPLE_ORIGINAL])


def _message(kind: int, flags: int, family: int, body: bytes = b"") -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + body
    return struct.pack("=IHHII", len(body) + 16, kind, NLM_F_REQUEST | flags, 1, 0) + body


def _dump(channel: socket.socket, family: int) -> Iterator[Flow]:
    channel.send(_message(CT_GET, NLM_F_DUMP, family))
    while True:
        data = channel.recv(1 << 18)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                return
            flow = parse_flow(data[20:length])
            if flow is not None:
                yield flow
            data = data[(length + 3) & ~3 :]


def _families(frontends: Iterable[Frontend]) -> set[int]:
    return {socket.AF_INET6 if frontend.family == 6 else socket.AF_INET for frontend in frontends}


def forget(netns_fd: int, lost: Lost) -> int:
    """Delete the flows from these frontends to these endpoints in a namespace; how many there were."""
    if not lost:
        return 0
    count = 0
    with linux.in_netns(netns_fd):
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    with channel:
        for family in _families(lost):
            stale = [flow for flow in _dump(channel, family) if flow.endpoint in lost.get(flow.frontend, ())]
            for flow in stale:
                # unacknowledged: the flow may have ended meanwhile, which is as good
                channel.send(_message(CT_DELETE, 0, family, attribute(TUPLE_ORIGINAL | 0x8000, flow.key)))
            count += len(stale)
    return count
