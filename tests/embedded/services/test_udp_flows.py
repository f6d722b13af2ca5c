"""Entries of the kernel's connection tracking, as nfnetlink_conntrack encodes them."""

import socket
import struct

import pytest

from meshtest.embedded.network.netlink import attribute
from meshtest.embedded.network.services_flows import Flow, parse_flow
from meshtest.embedded.network.services_model import Frontend

NESTED = 0x8000


def direction(kind: int, protocol: int, source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    six = ":" in source[0]
    family = socket.AF_INET6 if six else socket.AF_INET
    ips = attribute(3 if six else 1, socket.inet_pton(family, source[0]))
    ips += attribute(4 if six else 2, socket.inet_pton(family, destination[0]))
    ports = attribute(1, bytes([protocol])) + attribute(2, struct.pack("!H", source[1]))
    ports += attribute(3, struct.pack("!H", destination[1]))
    return attribute(kind | NESTED, attribute(1 | NESTED, ips) + attribute(2 | NESTED, ports))


@pytest.mark.parametrize(
    ("client", "service", "pod"), [("10.244.0.2", "10.96.0.5", "10.244.0.3"), ("fd00::2", "fd00:96::5", "fd00::3")]
)
def test_a_translated_flow(client: str, service: str, pod: str) -> None:
    original = direction(1, socket.IPPROTO_UDP, (client, 4000), (service, 53))
    body = original + direction(2, socket.IPPROTO_UDP, (pod, 5353), (client, 4000)) + attribute(3, b"\0\0\0\1")
    assert parse_flow(body) == Flow(Frontend(service, "udp", 53), (pod, 5353), original[4:])


def test_other_protocols_and_rubbish_are_none() -> None:
    tcp = direction(1, socket.IPPROTO_TCP, ("10.0.0.1", 1), ("10.0.0.2", 2))
    assert parse_flow(tcp + direction(2, socket.IPPROTO_TCP, ("10.0.0.2", 2), ("10.0.0.1", 1))) is None
    for rubbish in (b"", b"\0" * 7, b"\xff" * 40, attribute(1, attribute(1, b"")) + attribute(2, b"")):
        assert parse_flow(rubbish) is None
