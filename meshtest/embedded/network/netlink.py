"""rtnetlink, as much as wiring pods takes: links, addresses, routes, neighbours.

pyroute2 knows all of netlink, but importing it takes a quarter of a second, a fifth of a cluster's start, and a pod's
start would spend more time in its message classes than in the kernel. These are the requests of rtnetlink(7), built
as bytes and sent several at a time: a pod is wired with two system calls.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

from meshtest.embedded import linux

RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH = 20, 24, 28
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_CREATE = 1, 4, 0x200, 0x100, 0x400
NLMSG_ERROR = 2

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_NODAD = 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
RTNH_F_ONLINK = 4
NDA_DST, NDA_LLADDR = 1, 2
NUD_PERMANENT = 0x80
IFF_UP = 1

ADDRESS_EXISTS = 17  # EEXIST


@dataclass(frozen=True, slots=True)
class Request:
    """One rtnetlink message: its type, flags beyond REQUEST|ACK, and body (family header and attributes)."""

    kind: int
    flags: int
    body: bytes
    what: str


class NetlinkError(OSError):
    """The kernel refused a request; the message names it."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute (struct rtattr), padded to four bytes."""
    return struct.pack("=HH", len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def _mac(text: str) -> bytes:
    return bytes(int(part, 16) for part in text.split(":"))


def _link_attributes(name: str, mac: str | None, netns_fd: int | None, mtu: int | None = None) -> bytes:
    data = attribute(IFLA_IFNAME, name.encode() + b"\0")
    if mac:
        data += attribute(IFLA_ADDRESS, _mac(mac))
    if mtu:
        data += attribute(IFLA_MTU, struct.pack("=I", mtu))
    if netns_fd is not None:
        data += attribute(IFLA_NET_NS_FD, struct.pack("=I", netns_fd))
    return data


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def veth(
    name: str,
    peer: str,
    *,
    peer_netns: int,
    mac: str | None = None,
    peer_mac: str | None = None,
    mtu: int | None = None,
) -> Request:
    """A pair of virtual links; the peer is born in another namespace. Both ends start down."""
    peer_info = _ifinfo() + _link_attributes(peer, peer_mac, peer_netns, mtu)
    info = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer_info))
    body = _ifinfo() + _link_attributes(name, mac, None, mtu) + attribute(IFLA_LINKINFO, info)
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add veth {name}")


def link(name: str, kind: str, mac: str | None = None) -> Request:
    """A link of a kind that takes no options: bridge, dummy."""
    info = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, kind.encode()))
    body = _ifinfo() + _link_attributes(name, mac, None) + info
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"add {kind} {name}")


def up(index: int, master: int | None = None) -> Request:
    """Bring a link up and, if told, attach it to a bridge."""
    data = attribute(IFLA_MASTER, struct.pack("=I", master)) if master is not None else b""
    return Request(RTM_NEWLINK, 0, _ifinfo(index, IFF_UP, IFF_UP) + data, f"set link {index} up")


def delete_link(index: int) -> Request:
    """Delete a link (of a veth pair: both ends)."""
    return Request(RTM_DELLINK, 0, _ifinfo(index), f"delete link {index}")


def address(index: int, cidr: str) -> Request:
    """Give a link an address, IPv6 without duplicate detection (it would stay tentative for a second)."""
    interface = ip_interface(cidr)
    packed = interface.ip.packed
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    head = struct.pack("=BBBBi", family, interface.network.prefixlen, IFA_F_NODAD, 0, index)
    data = attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, head + data, f"add address {cidr} to link {index}")


def route(
    destination: str,
    index: int | None = None,
    *,
    via: str | None = None,
    source: str | None = None,
    onlink: bool = False,
) -> Request:
    """A route; ``default`` and ``default6`` are the default routes. ``onlink``: trust that the gateway is on the
    link."""
    network = ip_network({"default": "0.0.0.0/0", "default6": "::/0"}.get(destination, destination))
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    scope = 0 if via else 253  # RT_SCOPE_UNIVERSE, RT_SCOPE_LINK
    head = struct.pack(
        "=BBBBBBBBI", family, network.prefixlen, 0, 0, 254, 3, scope, 1, RTNH_F_ONLINK if onlink else 0
    )  # main table, protocol boot, unicast
    data = attribute(RTA_DST, network.network_address.packed) if network.prefixlen else b""
    if index is not None:
        data += attribute(RTA_OIF, struct.pack("=I", index))
    if via:
        data += attribute(RTA_GATEWAY, ip_address(via).packed)
    if source:
        data += attribute(RTA_PREFSRC, ip_address(source).packed)
    return Request(
        RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, head + data, f"add route {destination} via {via or index}"
    )


def neighbour(index: int, ip: str, mac: str) -> Request:
    """A permanent neighbour entry, so that no ARP or neighbour discovery is needed."""
    parsed = ip_address(ip)
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    head = struct.pack("=BxxxiHBB", family, index, NUD_PERMANENT, 0, 0)
    data = attribute(NDA_DST, parsed.packed) + attribute(NDA_LLADDR, _mac(mac))
    return Request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head + data, f"add neighbour {ip}")


def encode(requests: Iterable[Request]) -> bytes:
    """The requests as one datagram; sequence numbers count from 1."""
    data = b""
    for sequence, request in enumerate(requests, 1):
        flags = NLM_F_REQUEST | NLM_F_ACK | request.flags
        data += struct.pack("=IHHII", len(request.body) + 16, request.kind, flags, sequence, 0) + request.body
    return data


def execute(netns_fd: int, requests: Iterable[Request]) -> None:
    """Carry out requests in order in a namespace. All are tried; the first refusal raises NetlinkError."""
    batch = list(requests)
    if not batch:
        return
    with linux.in_netns(netns_fd):
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    with channel:
        channel.send(encode(batch))
        failure: NetlinkError | None = None
        answered = 0
        while answered < len(batch):
            data = channel.recv(65536)
            while len(data) >= 16:
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
                if kind == NLMSG_ERROR:
                    answered += 1
                    code = -struct.unpack_from("=i", data, 16)[0]
                    if code and failure is None:
                        failure = NetlinkError(code, f"{batch[sequence - 1].what}: {os.strerror(code)}")
                data = data[(length + 3) & ~3 :]
        if failure:
            raise failure


def index_of(netns_fd: int, name: str) -> int:
    """The number of a link by its name."""
    with linux.in_netns(netns_fd):
        return socket.if_nametoindex(name)
