"""Makes what a cluster set stands on (namespaces, sockets, keys) and says which programs run on it."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meshtest.embedded import linux, pki
from meshtest.embedded.config import API_PORT, ApiServerConfig, ControllersConfig, NodeConfig
from meshtest.embedded.images import protocol
from meshtest.embedded.network import wiring
from meshtest.embedded.supervisor.children import Program
from meshtest.embedded.supervisor.topology import MANAGEMENT_CIDR, ClusterPlan, SetPlan


@dataclass(frozen=True, slots=True)
class Ground:
    """Descriptors and sockets that must stay open in the supervisor until its children have them."""

    fabric: int
    nodes: dict[str, int]  # node name -> its network namespace
    listeners: dict[str, tuple[socket.socket, ...]]  # cluster -> host loopback, management
    warm: dict[str, tuple[socket.socket, socket.socket]]  # node name -> the node's end, the warm process's end


def make_network(plan: SetPlan) -> tuple[int, dict[str, int]]:
    """The fabric's namespace and those of all nodes, wired."""
    fabric = wiring.make_fabric(
        {network.bridge: f"{network.gateway}/{network.prefix}" for network in plan.networks},
        [cluster.api_address for cluster in plan.clusters],
    )
    dns = {node.name: cluster.dns_ip for cluster in plan.clusters for node in cluster.nodes}
    nodes = {}
    for network in plan.networks:
        for node in network.nodes:
            nodes[node.name] = wiring.make_node(
                fabric,
                network.bridge,
                node.name,
                node.index,
                f"{node.address}/{network.prefix}",
                network.gateway,
                MANAGEMENT_CIDR,
                [dns[node.name]],
            )
            wiring.apply_rules(nodes[node.name], wiring.node_rules(node.address, node.pod_cidr, MANAGEMENT_CIDR))
        for node in network.nodes:
            peers = {other.pod_cidr: other.address for other in network.nodes if other is not node}
            wiring.add_peer_routes(nodes[node.name], peers)
    return fabric, nodes


def _listen(address: str, port: int, netns: int | None = None) -> socket.socket:
    listener = socket.socket() if netns is None else linux.socket_in(netns)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def lay_ground(plan: SetPlan) -> Ground:
    """Namespaces and sockets. OSError says which step failed."""
    fabric, nodes = make_network(plan)
    listeners: dict[str, tuple[socket.socket, ...]] = {
        cluster.spec.name: (_listen("127.0.0.1", 0), _listen(cluster.api_address, API_PORT, fabric))
        for cluster in plan.clusters
    }
    return Ground(fabric, nodes, listeners, {name: protocol.pair() for name in nodes})


def directory_of(state: Path, cluster: ClusterPlan) -> Path:
    """The cluster's own directory."""
    return state / cluster.spec.name


def write_credentials(cluster: ClusterPlan, directory: Path, port: int) -> None:
    """Keys, certificates and kubeconfigs (``admin``, ``controllers``, one a node) of one cluster."""
    keys = pki.write_cluster_pki(
        directory / "pki",
        cluster.spec.name,
        [cluster.api_address, cluster.kubernetes_ip],
        cluster.spec.dns_domain,
    )
    users = ["admin", "controllers"]
    for node in cluster.nodes:
        pki.write_node_cert(keys, node.name, [node.address, "127.0.0.1"])
        users.append(f"node-{node.name}")
    for user in users:
        pki.kubeconfig(directory / f"{user}.kubeconfig", f"https://127.0.0.1:{port}", keys, user)


def _entry(module: str, config: object) -> None:
    run: Callable[[object], None] = importlib.import_module(module).run
    run(config)


def warm_program(ground: Ground, state: Path) -> Program:
    """The process that containers fork from."""
    stage = state / "stage"
    stage.mkdir(mode=0o700, exist_ok=True)
    ends = [theirs for _, theirs in ground.warm.values()]

    def run(ready: int) -> None:
        os.close(ready)
        from meshtest.embedded.images import warm

        warm.main(ends, stage, state.parent)

    return Program("warm", state / "warm.log", run, frozenset(end.fileno() for end in ends), reports_ready=False)


def cluster_programs(cluster: ClusterPlan, ground: Ground, state: Path) -> list[Program]:
    """API server, controllers and nodes of one cluster, in the order in which they are forked."""
    directory = directory_of(state, cluster)
    name = cluster.spec.name
    sockets = tuple(listener.fileno() for listener in ground.listeners[name])
    first_node = ground.nodes[cluster.nodes[0].name]

    def apiserver(ready: int) -> None:
        _entry(
            "meshtest.embedded.apiserver.main",
            ApiServerConfig(
                cluster=name,
                sockets=sockets,
                pki_dir=directory / "pki",
                netns_fd=first_node,
                advertise_address=cluster.api_address,
                service_cidrs=(cluster.spec.service_cidr,),
                dns_domain=cluster.spec.dns_domain,
                ready_fd=ready,
            ),
        )

    def controllers(ready: int) -> None:
        _entry(
            "meshtest.embedded.controllers.main",
            ControllersConfig(
                cluster=name,
                kubeconfig=directory / "controllers.kubeconfig",
                ca_cert=directory / "pki" / "ca.crt",
                dns_domain=cluster.spec.dns_domain,
                pod_cidrs={node.name: node.pod_cidr for node in cluster.nodes},
                service_cidrs=(cluster.spec.service_cidr,),
                ready_fd=ready,
            ),
        )

    programs = [
        Program("apiserver", directory / "apiserver.log", apiserver, frozenset({*sockets, first_node})),
        Program("controllers", directory / "controllers.log", controllers),
    ]
    for number, _ in enumerate(cluster.nodes):
        programs.append(_node_program(cluster, number, ground, directory))
    return programs


def _node_program(cluster: ClusterPlan, number: int, ground: Ground, directory: Path) -> Program:
    node = cluster.nodes[number]
    netns, channel = ground.nodes[node.name], ground.warm[node.name][0].fileno()
    state = directory / node.name
    state.mkdir(mode=0o700, exist_ok=True)

    def run(ready: int) -> None:
        _entry(
            "meshtest.embedded.node.main",
            NodeConfig(
                cluster=cluster.spec.name,
                name=node.name,
                kubeconfig=directory / f"node-{node.name}.kubeconfig",
                state_dir=state,
                netns_fd=netns,
                warm_fd=channel,
                address=node.address,
                pod_cidr=node.pod_cidr,
                api_address=cluster.api_address,
                kubelet_cert=directory / "pki" / f"node-{node.name}.crt",
                kubelet_key=directory / "pki" / f"node-{node.name}.key",
                ca_cert=directory / "pki" / "ca.crt",
                dns_address=cluster.dns_ip,
                dns_domain=cluster.spec.dns_domain,
                service_cidrs=(cluster.spec.service_cidr,),
                kubernetes_service_ip=cluster.kubernetes_ip,
                dial_path=directory.parent / f"dial-{cluster.spec.name}.sock" if number == 0 else None,
                node_index=number,
                ready_fd=ready,
            ),
        )

    return Program(f"node-{number}", directory / f"{node.name}.log", run, frozenset({netns, channel}))
