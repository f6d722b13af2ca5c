"""From Service and EndpointSlices to what the node's packet rules must do: pure.

Semantics of https://kubernetes.io/docs/reference/networking/virtual-ips/: which endpoints count, what the traffic
policies leave, which addresses a Service is reached at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

Obj = dict[str, Any]
Endpoint = tuple[str, int]
"""Address and port."""
FAMILY_TYPES = {4: "IPv4", 6: "IPv6"}
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


@dataclass(frozen=True, slots=True)
class Node:
    """What the rules of one node depend on: its name (empty: no endpoint is local) and the addresses its node ports
    are served at.
    """

    name: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Frontend:
    """An address, protocol (tcp, udp, sctp) and port that a Service is reached at."""

    address: str
    protocol: str
    port: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4


@dataclass(frozen=True, slots=True)
class Backends:
    """Where connections to a frontend go.

    sticky: the same client address always meets the same endpoint, as long as their number stays.
    masquerade: the client's address is replaced by the node's, so that answers come back this way.
    """

    endpoints: tuple[Endpoint, ...]
    sticky: bool = False
    masquerade: bool = False


Frontends = Mapping[Frontend, Backends]


def _ready(endpoint: Obj) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False


def _serving_though_terminating(endpoint: Obj) -> bool:
    conditions = endpoint.get("conditions") or {}
    return bool(conditions.get("serving")) and bool(conditions.get("terminating"))


def _of_port(slices: Iterable[Obj], family: int, port: Obj) -> Iterator[tuple[Obj, int]]:
    name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
    for slice_ in slices:
        if slice_.get("addressType") != FAMILY_TYPES[family]:
            continue
        for target in slice_.get("ports") or ():
            same = (target.get("name") or "") == name and (target.get("protocol") or "TCP") == protocol
            if same and target.get("port"):
                for endpoint in slice_.get("endpoints") or ():
                    yield endpoint, target["port"]


def endpoints_of(slices: Sequence[Obj], family: int, port: Obj, local_to: str | None = None) -> tuple[Endpoint, ...]:
    """The endpoints of one service port, sorted: the ready ones, or where there are none those that still serve while
    terminating. local_to: only those on that node.
    """
    candidates = [
        (endpoint, number)
        for endpoint, number in _of_port(slices, family, port)
        if endpoint.get("addresses") and (local_to is None or endpoint.get("nodeName") == local_to)
    ]
    chosen = [pair for pair in candidates if _ready(pair[0])]
    chosen = chosen or [pair for pair in candidates if _serving_though_terminating(pair[0])]
    # only the first address of an endpoint counts, EndpointSlice API reference
    return tuple(sorted({(endpoint["addresses"][0], number) for endpoint, number in chosen}))


def has_virtual_address(service: Obj) -> bool:
    """False for headless Services and mere names (ExternalName)."""
    spec = service.get("spec") or {}
    return spec.get("type") != "ExternalName" and (spec.get("clusterIP") or "None") != "None"


def cluster_ips(service: Obj) -> list[str]:
    """The virtual addresses, of either family."""
    spec = service.get("spec") or {}
    if not has_virtual_address(service):
        return []
    return list(spec.get("clusterIPs") or [spec["clusterIP"]])


def _family(address: str) -> int:
    return ip_address(address).version


def _outside_addresses(service: Obj) -> list[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    proxied = [entry["ip"] for entry in ingress if entry.get("ip") and entry.get("ipMode") != "Proxy"]
    return [*(service["spec"].get("externalIPs") or ()), *proxied]


def frontends(service: Obj | None, slices: Sequence[Obj], node: Node) -> dict[Frontend, Backends]:
    """Everything one Service is reached at, and by whom it is served; nothing for a Service without virtual address."""
    if service is None or not has_virtual_address(service):
        return {}
    spec = service["spec"]
    sticky = spec.get("sessionAffinity") == "ClientIP"
    inside_local = node.name if spec.get("internalTrafficPolicy") == "Local" else None
    outside_local = node.name if spec.get("externalTrafficPolicy") == "Local" else None
    found: dict[Frontend, Backends] = {}
    for port in spec.get("ports") or ():
        protocol = PROTOCOLS[port.get("protocol") or "TCP"]
        for address in cluster_ips(service):
            inside = endpoints_of(slices, _family(address), port, inside_local)
            found[Frontend(address, protocol, port["port"])] = Backends(inside, sticky)
        outside = [(address, port["port"]) for address in _outside_addresses(service)]
        if port.get("nodePort"):
            outside += [(address, port["nodePort"]) for address in node.addresses]
        for address, number in outside:
            targets = endpoints_of(slices, _family(address), port, outside_local)
            frontend = Frontend(str(ip_address(address)), protocol, number)
            found[frontend] = Backends(targets, sticky, masquerade=outside_local is None)
    return found


def settle_order(before: Sequence[Endpoint], now: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """The endpoints of `now` with as many as possible at their place of `before`, so that a change touches few map
    elements and few sticky clients.
    """
    wanted = set(now)
    fresh = sorted(wanted - set(before))
    slots: list[Endpoint | None] = [endpoint if endpoint in wanted else None for endpoint in before]
    for index, endpoint in enumerate(slots):
        if endpoint is None and fresh:
            slots[index] = fresh.pop(0)
    slots += fresh
    while None in slots:
        hole = slots.index(None)
        last = slots.pop()
        if hole < len(slots):
            slots[hole] = last
    return tuple(endpoint for endpoint in slots if endpoint is not None)
