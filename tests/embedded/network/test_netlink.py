"""rtnetlink messages as bytes, and the node's rules."""

from __future__ import annotations

import struct

from meshtest.embedded.network import netlink, wiring


def test_attributes_are_padded_to_four_bytes() -> None:
    assert netlink.attribute(3, b"lo\0") == struct.pack("=HH", 7, 3) + b"lo\0\0"


def test_a_batch_is_one_datagram_with_counted_messages() -> None:
    data = netlink.encode([netlink.up(1), netlink.address(2, "10.0.0.1/32")])
    length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data)
    assert (kind, sequence) == (netlink.RTM_NEWLINK, 1) and flags & netlink.NLM_F_ACK
    second = struct.unpack_from("=IHHII", data, length)
    assert (second[1], second[3]) == (netlink.RTM_NEWADDR, 2) and length + second[0] == len(data)


def test_addresses_skip_duplicate_detection() -> None:
    body = netlink.address(2, "fd00::1/64").body
    family, prefix, flags, _, index = struct.unpack_from("=BBBBi", body)
    assert (family, prefix, index) == (10, 64, 2) and flags & netlink.IFA_F_NODAD


def test_a_default_route_through_a_gateway_that_is_nowhere() -> None:
    body = netlink.route("default", 4, via="169.254.1.1", onlink=True).body
    fields = struct.unpack_from("=BBBBBBBBI", body)
    assert fields[1] == 0 and fields[8] & netlink.RTNH_F_ONLINK
    assert bytes([169, 254, 1, 1]) in body


def test_macs_are_stable_local_and_distinct() -> None:
    assert wiring.mac_of("pod", "10.0.0.1") == wiring.mac_of("pod", "10.0.0.1") != wiring.mac_of("pod", "10.0.0.2")
    assert wiring.mac_of("x").startswith("02:") and len(wiring.mac_of("x")) == 17


def test_pods_reach_api_servers_under_their_nodes_address() -> None:
    rules = wiring.node_rules("172.31.0.10", "10.244.0.0/24", "172.31.255.0/24")
    assert "ip saddr 10.244.0.0/24 ip daddr 172.31.255.0/24 snat to 172.31.0.10" in rules
