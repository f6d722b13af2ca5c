"""Generation for plain services, no configuration."""

from reference.controlplane.generate import CDS
from tests.reference.generate.mesh_state import Mesh, proxy_a, world


def test_fixed_clusters_are_there() -> None:
    assert {"BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"} <= set(
        Mesh(world()).generate(proxy_a(), CDS)
    )
