"""The one way in."""

from collections.abc import Mapping

from reference.controlplane.generate.clusters import generate_clusters
from reference.controlplane.generate.endpoints import generate_endpoints
from reference.controlplane.generate.inbound import virtual_inbound
from reference.controlplane.generate.outbound import outbound_listeners
from reference.controlplane.generate.proxy import Proxy
from reference.controlplane.generate.resource import CDS, EDS, LDS, RDS, Resource
from reference.controlplane.generate.routeconfigs import generate_routes
from reference.controlplane.generate.scene import Scene
from reference.controlplane.registry import EndpointTable
from reference.controlplane.snapshot import Snapshot

_NONE: frozenset[str] = frozenset()


def generate(
    snapshot: Snapshot, endpoints: EndpointTable, proxy: Proxy, type_url: str, names: frozenset[str] | None
) -> Mapping[str, Resource]:
    """Resources of one type for one proxy, by name.

    `names`: None for everything (CDS and LDS; EDS and RDS are named by their subscribers and give nothing then),
    else the subscribed names; a name that does not exist for the proxy is left out. Unknown types give nothing.
    """
    scene = Scene(snapshot, endpoints, proxy)
    if type_url == EDS:
        return generate_endpoints(scene, names or _NONE)
    if type_url == RDS:
        return generate_routes(scene, names or _NONE)
    if type_url == CDS:
        found = generate_clusters(scene)
    elif type_url == LDS:
        found = {entry.name: entry for entry in outbound_listeners(scene)}
        inbound = virtual_inbound(scene)
        found[inbound.name] = inbound
    else:
        return {}
    return found if names is None else {name: found[name] for name in names if name in found}
