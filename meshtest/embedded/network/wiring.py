"""How fabric, nodes and pods hang together.

The *fabric* namespace has one bridge a network and, on its loopback, the management address of each API server
(kernels may lack dummy links). It forwards nothing, so networks are joined by nothing. A *node* namespace has
``eth0`` on its network's bridge. A *pod* is reached from its node by a point-to-point pair: /32 route to it,
permanent neighbour entries at both ends, default route through a link-local gateway that exists nowhere: no ARP, no
bridge, no waiting.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meshtest.embedded import linux
from meshtest.embedded.network import netlink

GATEWAY = "169.254.1.1"
GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
LOOPBACK_INDEX = 1


@dataclass(frozen=True, slots=True)
class PodLink:
    """The node's end of a pod's link."""

    name: str
    index: int
    address: str


def mac_of(*parts: str) -> str:
    """A stable, locally administered MAC address."""
    digest = hashlib.blake2s("/".join(parts).encode(), digest_size=5).digest()
    return "02:" + ":".join(f"{byte:02x}" for byte in digest)


def set_sysctls(netns_fd: int, values: Mapping[str, str]) -> None:
    """Write sysctls (paths below /proc/sys/net) in a namespace; those that this kernel lacks are skipped."""
    with linux.in_netns(netns_fd):
        for path, value in values.items():
            with suppress(FileNotFoundError):
                Path("/proc/sys/net", path).write_text(value)


def make_fabric(bridges: Mapping[str, str], management: Iterable[str]) -> int:
    """The fabric namespace: bridges (name -> its address with prefix) and the management addresses."""
    fabric = linux.new_netns()
    addresses = [netlink.address(LOOPBACK_INDEX, f"{ip}/32") for ip in management]
    netlink.execute(fabric, [netlink.up(LOOPBACK_INDEX), *addresses])
    for name, cidr in bridges.items():
        netlink.execute(fabric, [netlink.link(name, "bridge", mac_of("bridge", name))])
        index = netlink.index_of(fabric, name)
        netlink.execute(fabric, [netlink.up(index), netlink.address(index, cidr)])
    return fabric


def make_node(
    fabric: int, bridge: str, name: str, number: int, cidr: str, gateway: str, management: str, local: Iterable[str]
) -> int:
    """A node's namespace: eth0 on the bridge, the local addresses on its loopback, a route to the API servers."""
    node = linux.new_netns()
    port = f"{bridge}p{number}"
    master = netlink.index_of(fabric, bridge)
    netlink.execute(fabric, [netlink.veth(port, "eth0", peer_netns=node, peer_mac=mac_of("node", name))])
    netlink.execute(fabric, [netlink.up(netlink.index_of(fabric, port), master)])
    eth0 = netlink.index_of(node, "eth0")
    netlink.execute(
        node,
        [
            netlink.up(LOOPBACK_INDEX),
            netlink.up(eth0),
            netlink.address(eth0, cidr),
            *(netlink.address(LOOPBACK_INDEX, f"{ip}/32") for ip in local),
            netlink.route(management, via=gateway),
        ],
    )
    set_sysctls(node, {"ipv4/ip_forward": "1", "ipv4/conf/all/route_localnet": "1"})
    return node


def add_peer_routes(node: int, peers: Mapping[str, str]) -> None:
    """Routes to the pod ranges of other nodes: range -> that node's address."""
    netlink.execute(node, [netlink.route(cidr, via=address) for cidr, address in peers.items()])


def make_pod(node: int, node_address: str, link: str, address: str, mtu: int = 65000) -> tuple[int, PodLink]:
    """A pod's namespace with ``eth0``; returns its descriptor and the node's end of the link."""
    pod = linux.new_netns()
    mac = mac_of("pod", address)
    pair = netlink.veth(link, "eth0", peer_netns=pod, mac=GATEWAY_MAC, peer_mac=mac, mtu=mtu)
    netlink.execute(node, [pair])
    outer = netlink.index_of(node, link)
    netlink.execute(
        node,
        [
            netlink.up(outer),
            netlink.route(f"{address}/32", outer, source=node_address),
            netlink.neighbour(outer, address, mac),
        ],
    )
    inner = netlink.index_of(pod, "eth0")
    netlink.execute(
        pod,
        [
            netlink.up(LOOPBACK_INDEX),
            netlink.up(inner),
            netlink.address(inner, f"{address}/32"),
            netlink.neighbour(inner, GATEWAY, GATEWAY_MAC),
            netlink.route("default", inner, via=GATEWAY, onlink=True),
        ],
    )
    set_sysctls(pod, {"ipv4/ip_unprivileged_port_start": "0", "ipv4/ping_group_range": "0 2147483647"})
    return pod, PodLink(link, outer, address)


def remove_pod(node: int, link: PodLink) -> None:
    """Unplug a pod: its connections break at once, whatever still holds its namespace."""
    with suppress(netlink.NetlinkError):
        netlink.execute(node, [netlink.delete_link(link.index)])


def node_rules(node_address: str, pod_cidr: str, management: str) -> str:
    """The node's own nft table: pods reach API servers as their node, since the fabric knows no pod ranges."""
    return f"""table ip meshtest-node {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {pod_cidr} ip daddr {management} snat to {node_address}
  }}
}}
"""


def apply_rules(netns_fd: int, script: str) -> None:
    """Load an nft script into a namespace, all or nothing. RuntimeError with nft's complaint."""
    with linux.in_netns(netns_fd):
        result = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"nft refused the rules: {result.stderr.strip()}\n{script}")
