"""Whatever passes the checks can be generated. Fixed seeds; tests/component shows some of it to the real Envoy."""

import pytest
from envoy.config.route.v3 import route_pb2

from reference.controlplane.generate import CDS, EDS, LDS, RDS
from tests.reference.generate.mesh_state import Mesh, proxy_a, world
from tests.reference.generate.random_config import Maker


@pytest.mark.parametrize("seed", range(12))
def test_random_configuration_is_generated(seed: int) -> None:
    maker = Maker(seed)
    mesh = Mesh(world(maker.virtual_service(), maker.destination_rule()))
    assert not mesh.snapshot.rejected
    for namespace in ("demo", "other"):
        proxy = proxy_a(namespace)
        clusters = mesh.generate(proxy, CDS)
        mesh.generate(proxy, EDS, *clusters)
        mesh.generate(proxy, LDS)
        for name, entry in mesh.generate(proxy, RDS, "80", "85").items():
            made = route_pb2.RouteConfiguration.FromString(entry.body)
            assert made.name == name
            domains = [domain for host in made.virtual_hosts for domain in host.domains]
            assert len(domains) == len(set(domains))
