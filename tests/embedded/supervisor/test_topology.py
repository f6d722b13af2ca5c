"""Addresses and names of a cluster set, from its spec."""

from __future__ import annotations

import pytest

from meshtest.embedded.supervisor.state import StateFile
from meshtest.embedded.supervisor.topology import ClusterSpec, InvalidSpec, plan


def test_one_cluster() -> None:
    result = plan([ClusterSpec()])
    (cluster,), (network,) = result.clusters, result.networks
    assert cluster.kubernetes_ip == "10.96.0.1" and cluster.dns_ip == "10.96.0.10"
    assert cluster.api_address == "172.31.255.1"
    (node,) = cluster.nodes
    assert (node.name, node.address, node.pod_cidr) == ("cluster-0-node-0", "172.31.0.10", "10.244.0.0/24")
    assert (network.gateway, network.nodes) == ("172.31.0.1", cluster.nodes)


def test_nodes_of_one_network_have_addresses_of_their_own() -> None:
    result = plan([ClusterSpec("a", nodes=2), ClusterSpec("b", pod_cidr="10.245.0.0/16")])
    (network,) = result.networks
    assert [node.address for node in network.nodes] == ["172.31.0.10", "172.31.0.11", "172.31.0.12"]
    assert [node.pod_cidr for node in network.nodes] == ["10.244.0.0/24", "10.244.1.0/24", "10.245.0.0/24"]
    assert [cluster.api_address for cluster in result.clusters] == ["172.31.255.1", "172.31.255.2"]


def test_pod_ranges_may_overlap_between_networks_only() -> None:
    plan([ClusterSpec("a", network="east"), ClusterSpec("b", network="west")])
    with pytest.raises(InvalidSpec, match=r"b: pod range .* overlaps that of a"):
        plan([ClusterSpec("a"), ClusterSpec("b")])


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="unique"):
        plan([ClusterSpec("a"), ClusterSpec("a", pod_cidr="10.1.0.0/16")])
    with pytest.raises(InvalidSpec, match="at least one"):
        plan([])
    with pytest.raises(InvalidSpec, match="at least one node"):
        plan([ClusterSpec(nodes=0)])
    with pytest.raises(InvalidSpec, match="no /24 for node 1"):
        plan([ClusterSpec(pod_cidr="10.9.9.0/24", nodes=2)])


def test_the_state_file_is_private_and_keeps_what_is_not_changed(tmp_path: object) -> None:
    from pathlib import Path

    directory = Path(str(tmp_path))
    file = StateFile(directory)
    assert file.read() == {}
    file.update(status="starting", pid=1)
    file.update(status="running")
    assert file.read() == {"status": "running", "pid": 1}
    assert (directory / "state.json").stat().st_mode & 0o077 == 0
