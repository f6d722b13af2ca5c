"""TCP and TLS routes of VirtualServices."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from reference.api.http import Destination
from reference.api.virtualservice import (
    MESH_GATEWAY,
    L4MatchAttributes,
    RouteDestination,
    TLSMatchAttributes,
)
from reference.controlplane.config import Rules, resolve
from reference.controlplane.generate import names
from reference.controlplane.generate.scene import Scene
from reference.controlplane.registry import Port, Service


@dataclass(frozen=True, slots=True)
class TcpChain:
    """Connections with one of these SNIs (none: all others) go to these clusters by weight."""

    server_names: tuple[str, ...]
    clusters: tuple[tuple[str, int], ...]


def tcp_chains(scene: Scene, service: Service, port: Port, rules: Rules) -> tuple[TcpChain, ...]:
    """Chains of a service's listener, the catch-all last."""
    made: list[TcpChain] = []
    seen: set[str] = set()
    for route in rules.model.tls:
        for match in route.match:
            if _applies(scene, match, service, port):
                # Two chains that take the same name would be refused: the first one has it.
                fresh = tuple(name for name in dict.fromkeys(match.sni_hosts) if name not in seen)
                seen.update(fresh)
                if fresh:
                    made.append(TcpChain(fresh, _clusters(scene, route.route, rules, port)))
    default = TcpChain((), ((names.outbound(port.number, "", service.hostname), 1),))
    for tcp in rules.model.tcp:
        if not tcp.match or any(_applies(scene, match, service, port) for match in tcp.match):
            default = TcpChain((), _clusters(scene, tcp.route, rules, port))
            break
    return (*made, default)


def _applies(scene: Scene, match: L4MatchAttributes | TLSMatchAttributes, service: Service, port: Port) -> bool:
    proxy = scene.proxy
    if match.gateways and MESH_GATEWAY not in match.gateways:
        return False
    if match.port is not None and match.port != port.number:
        return False
    if match.source_namespace and match.source_namespace != proxy.namespace:
        return False
    if any(proxy.labels.get(key) != value for key, value in match.source_labels.items()):
        return False
    if isinstance(match, L4MatchAttributes) and match.source_subnet:
        network = ip_network(match.source_subnet, strict=False)
        if not any(ip_address(own) in network for own in proxy.ips):
            return False
    if not match.destination_subnets:
        return True
    networks = [ip_network(text, strict=False) for text in match.destination_subnets]
    return any(ip_address(vip) in network for vip in service.vips for network in networks)


def _clusters(scene: Scene, route: Sequence[RouteDestination], rules: Rules, port: Port) -> tuple[tuple[str, int], ...]:
    used = [entry for entry in route if entry.weight > 0] if len(route) > 1 else list(route)
    return tuple((_cluster(scene, entry.destination, rules, port), entry.weight or 1) for entry in used)


def _cluster(scene: Scene, destination: Destination, rules: Rules, port: Port) -> str:
    host = resolve(destination.host, rules.namespace, scene.snapshot.domain)
    service = scene.services.by_host.get(host)
    number = port.number
    if destination.port is not None and destination.port.number is not None:
        number = destination.port.number
    elif service is not None and len(service.ports) == 1:
        number = service.ports[0].number
    return names.outbound(number, destination.subset or "", host)
