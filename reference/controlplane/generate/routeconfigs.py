"""RDS: route configurations, put together from virtual hosts that are encoded once and shared.

A configuration is named after the port of its listener (`80`), or after host and port for a port whose protocol is
not declared (`b.ns.svc.cluster.local:1234`). Protobuf lets encoded parts be concatenated, so a changed VirtualService
costs one virtual host, whatever the number of services beside it.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from envoy.config.route.v3 import route_components_pb2, route_pb2

from reference.controlplane.config import Rules
from reference.controlplane.generate import names
from reference.controlplane.generate.builders import duration
from reference.controlplane.generate.resource import RDS, Resource, encoded
from reference.controlplane.generate.routes import (
    Surroundings,
    Target,
    destinations,
    plain_route,
    rule_routes,
)
from reference.controlplane.generate.scene import Scene
from reference.controlplane.registry import Service

VirtualHost: TypeAlias = route_components_pb2.VirtualHost
ALLOW_ANY, BLOCK_ALL = "allow_any", "block_all"
EXTERNAL_PORT = 80
"""Hosts of VirtualServices that are no services are routed on this port's listener."""
_VIRTUAL_HOSTS_TAG = b"\x12"


def generate_routes(scene: Scene, wanted: Iterable[str]) -> dict[str, Resource]:
    """Route configurations of the named ones that exist for the proxy."""
    found: dict[str, Resource] = {}
    for name in wanted:
        made = _config(scene, name)
        if made is not None:
            found[name] = made
    return found


def _config(scene: Scene, name: str) -> Resource | None:
    # All proxies of a namespace with the same relevant labels need the same bytes.
    key = (
        "rds",
        scene.services,
        scene.rules,
        scene.snapshot.destinations,
        scene.proxy.namespace,
        scene.label_key(),
        name,
    )
    return scene.snapshot.memo.get(key, lambda: _build(scene, name))


def _build(scene: Scene, name: str) -> Resource | None:
    host, _, number = name.rpartition(":")
    if not number.isdigit():
        return None
    port = int(number)
    if host:
        service = scene.services.by_host.get(host)
        if service is None or service.port(port) is None:
            return None
        hosts = [_service_host(scene, service, port, sniffed=True)]
    else:
        hosts = list(_port_hosts(scene, port))
        hosts.append(scene.snapshot.memo.get(("catch-all",), lambda: _catch_all(scene)))
    head = route_pb2.RouteConfiguration(name=name, max_direct_response_body_size_bytes={"value": 1_048_576})
    head.validate_clusters.value = False
    head.ignore_port_in_host_matching = True
    return encoded(name, RDS, b"".join((head.SerializeToString(deterministic=True), *hosts)))


def _port_hosts(scene: Scene, port: int) -> Iterator[bytes]:
    for service in scene.services.by_port.get(port, ()):
        declared = service.port(port)
        if declared is not None and declared.protocol.is_http:
            yield _service_host(scene, service, port, sniffed=False)
    if port == EXTERNAL_PORT:
        yield from _external_hosts(scene)


def _service_host(scene: Scene, service: Service, port: int, *, sniffed: bool) -> bytes:
    near = service.namespace == scene.proxy.namespace
    rules = scene.rules.of(service.hostname)
    if rules is not None and not rules.http:
        rules = None
    if rules is None:
        configs = scene.destinations(service)
        key: tuple[object, ...] = ("host", service, port, near, sniffed, configs)
        return scene.snapshot.memo.get(
            key, lambda: _encode(_plain_host(service, port, near, sniffed, Target(service, configs)))
        )
    around = _surroundings(scene, rules, port)
    targets = tuple((host, target.service, target.configs) for host, target in around.targets.items())
    key = ("host", service, port, near, sniffed, rules, scene.proxy.namespace, scene.label_key(), targets)
    return scene.snapshot.memo.get(key, lambda: _encode(_ruled_host(service, port, near, sniffed, rules, around)))


def _surroundings(scene: Scene, rules: Rules, port: int) -> Surroundings:
    targets: dict[str, Target] = {}
    for host in destinations(rules, scene.snapshot.domain):
        service = scene.services.by_host.get(host)
        targets[host] = Target(service, scene.destinations(service) if service is not None else ())
    proxy = scene.proxy
    return Surroundings(port, proxy.namespace, proxy.labels, scene.snapshot.domain, targets)


def _plain_host(service: Service, port: int, near: bool, sniffed: bool, target: Target) -> VirtualHost:
    host = _virtual_host(service, port, near, sniffed)
    host.routes.append(plain_route(port, target, service.hostname))
    return host


def _ruled_host(
    service: Service, port: int, near: bool, sniffed: bool, rules: Rules, around: Surroundings
) -> VirtualHost:
    host = _virtual_host(service, port, near, sniffed)
    host.routes.extend(rule_routes(rules, around))
    return host


def _virtual_host(service: Service, port: int, near: bool, sniffed: bool) -> VirtualHost:
    domains = ["*"] if sniffed else list(service_domains(service, near))
    return VirtualHost(name=f"{service.hostname}:{port}", domains=domains, include_request_attempt_count=True)


def service_domains(service: Service, near: bool) -> Iterator[str]:
    """Names by which a client may call the service; `near`: the client is in its namespace. Ports are ignored by the
    route configuration."""
    name, namespace = service.name, service.namespace
    yield service.hostname
    yield f"{service.hostname}."
    if near:
        yield name
    yield f"{name}.{namespace}"
    yield f"{name}.{namespace}.svc"
    for vip in service.vips:
        yield f"[{vip}]" if ":" in vip else vip
    if service.headless:
        yield f"*.{service.hostname}"


def _external_hosts(scene: Scene) -> Iterator[bytes]:
    """Virtual hosts for what VirtualServices name and the registry does not know."""
    taken: set[str] = set()
    for service in scene.services.by_port.get(EXTERNAL_PORT, ()):
        taken.update(service_domains(service, service.namespace == scene.proxy.namespace))
    view = scene.rules
    for host, rules in (*view.by_host.items(), *view.wildcards):
        if host in taken or not rules.http or host in scene.services.by_host:
            continue
        taken.add(host)
        around = _surroundings(scene, rules, EXTERNAL_PORT)
        made = VirtualHost(name=f"{host}:{EXTERNAL_PORT}", domains=[host], include_request_attempt_count=True)
        made.routes.extend(rule_routes(rules, around))
        yield _encode(made)


def _catch_all(scene: Scene) -> bytes:
    """What becomes of hosts that nobody knows: on to where they lead, or 502."""
    if scene.snapshot.mesh.outbound_traffic_policy.mode == "REGISTRY_ONLY":
        host = VirtualHost(name=BLOCK_ALL, domains=["*"])
        route = host.routes.add(name=BLOCK_ALL)
        route.match.prefix = "/"
        route.direct_response.status = 502
    else:
        host = VirtualHost(name=ALLOW_ANY, domains=["*"], include_request_attempt_count=True)
        route = host.routes.add(name=ALLOW_ANY)
        route.match.prefix = "/"
        route.route.cluster = names.PASSTHROUGH
        route.route.timeout.CopyFrom(duration(0))
    return _encode(host)


def _encode(host: VirtualHost) -> bytes:
    """The virtual host as a field of RouteConfiguration."""
    body: bytes = host.SerializeToString(deterministic=True)
    size, value = bytearray(), len(body)
    while value > 0x7F:
        size.append(value & 0x7F | 0x80)
        value >>= 7
    size.append(value)
    return bytes(_VIRTUAL_HOSTS_TAG + size + body)
