"""Which addresses and names a cluster set uses: a pure function of its spec.

All of it lives in namespaces of the set's own and is the same in every set: the host only sees the loopback ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from meshtest.embedded.config import DNS_DOMAIN, POD_CIDR, SERVICE_CIDR

MANAGEMENT_CIDR = "172.31.255.0/24"
NODE_NETWORK = "172.31.{network}.0/24"
MAX_NETWORKS = 200


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """One cluster. network: clusters of one network reach each other's pods; service ranges may overlap, and so may the
    pod ranges of different networks."""

    name: str = "cluster-0"
    nodes: int = 1
    network: str = "network-0"
    pod_cidr: str = POD_CIDR
    service_cidr: str = SERVICE_CIDR
    dns_domain: str = DNS_DOMAIN


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: its number on its network, its address there and its pods' range."""

    name: str
    index: int
    address: str
    pod_cidr: str


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """One cluster: its nodes, where its API server is reached from pods, and the cluster's well-known addresses."""

    spec: ClusterSpec
    nodes: tuple[NodePlan, ...]
    api_address: str
    kubernetes_ip: str
    dns_ip: str


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One bridge, the gateway address it holds, and the nodes on it."""

    name: str
    bridge: str
    gateway: str
    prefix: int
    nodes: tuple[NodePlan, ...]


@dataclass(frozen=True, slots=True)
class SetPlan:
    """All clusters and networks of a set."""

    clusters: tuple[ClusterPlan, ...]
    networks: tuple[NetworkPlan, ...]


class InvalidSpec(ValueError):
    """A cluster set that cannot be built; the message says what is wrong with which cluster."""


def _pod_range(spec: ClusterSpec, index: int) -> str:
    network = IPv4Network(spec.pod_cidr)
    if network.prefixlen > 24 or index >= 1 << (24 - network.prefixlen):
        raise InvalidSpec(f"{spec.name}: pod range {spec.pod_cidr} has no /24 for node {index}")
    return str(IPv4Network((int(network.network_address) + (index << 8), 24)))


def plan(clusters: Sequence[ClusterSpec]) -> SetPlan:
    """Addresses for all of them. InvalidSpec when names or ranges clash."""
    names = [cluster.name for cluster in clusters]
    if not names or len(set(names)) < len(names):
        raise InvalidSpec(f"cluster names must be unique and at least one is needed, got {names}")
    networks = list(dict.fromkeys(cluster.network for cluster in clusters))
    if len(networks) > MAX_NETWORKS:
        raise InvalidSpec(f"at most {MAX_NETWORKS} networks, got {len(networks)}")
    on_network: dict[str, list[NodePlan]] = {network: [] for network in networks}
    ranges: dict[str, list[tuple[str, IPv4Network]]] = {network: [] for network in networks}
    plans = []
    for number, spec in enumerate(clusters):
        if spec.nodes < 1:
            raise InvalidSpec(f"{spec.name}: needs at least one node, got {spec.nodes}")
        pods = IPv4Network(spec.pod_cidr)
        for other, taken in ranges[spec.network]:
            if pods.overlaps(taken):
                raise InvalidSpec(
                    f"{spec.name}: pod range {pods} overlaps that of {other} ({taken}) on network {spec.network}; "
                    "give one of them another pod_cidr or network"
                )
        ranges[spec.network].append((spec.name, pods))
        base = IPv4Network(NODE_NETWORK.format(network=networks.index(spec.network))).network_address
        nodes = []
        for index in range(spec.nodes):
            place = len(on_network[spec.network])
            node = NodePlan(f"{spec.name}-node-{index}", place, str(base + 10 + place), _pod_range(spec, index))
            on_network[spec.network].append(node)
            nodes.append(node)
        services = IPv4Network(spec.service_cidr).network_address
        api = IPv4Network(MANAGEMENT_CIDR).network_address + 1 + number
        plans.append(ClusterPlan(spec, tuple(nodes), str(api), str(services + 1), str(services + 10)))
    return SetPlan(
        tuple(plans),
        tuple(
            NetworkPlan(
                name,
                f"br{number}",
                str(IPv4Address(IPv4Network(NODE_NETWORK.format(network=number)).network_address + 1)),
                24,
                tuple(on_network[name]),
            )
            for number, name in enumerate(networks)
        ),
    )


def spec_to_json(spec: ClusterSpec) -> dict[str, Any]:
    """A plain dict of it."""
    return {name: getattr(spec, name) for name in ClusterSpec.__slots__}
