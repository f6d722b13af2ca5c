"""Topologies are checked when they are made; environments are found by name."""

import pytest

from meshtest.environment.errors import UsageError
from meshtest.environment.registry import check_name, factory
from meshtest.environment.topology import ClusterTopology, Topology


def test_one_cluster_is_its_own_primary() -> None:
    topology = Topology.single()
    assert [cluster.name for cluster in topology.clusters] == ["cluster-0"]
    assert topology.clusters[0].is_primary


def test_networks_are_listed_once() -> None:
    clusters = (ClusterTopology("a", "n1"), ClusterTopology("b", "n1"), ClusterTopology("c", "n2", primary="a"))
    topology = Topology(clusters)
    assert topology.networks == ("n1", "n2")
    assert not topology.clusters[2].is_primary


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ((), "at least one cluster"),
        ((ClusterTopology("a"), ClusterTopology("a")), "got twice: a"),
        ((ClusterTopology("a", primary="b"),), "primary of a is 'b', expected one of"),
    ],
)
def test_what_cannot_be_is_refused(clusters: tuple[ClusterTopology, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Topology(clusters)


def test_environments_by_name() -> None:
    assert "dial_pod" in factory("embedded").capabilities
    for later in ("kind", "existing"):
        with pytest.raises(UsageError, match=f"--env {later}: not yet in this release; available: embedded"):
            check_name(later)
