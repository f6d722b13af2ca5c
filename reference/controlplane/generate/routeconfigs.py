"""RDS: route configurations, put together from virtual hosts that are encoded once and shared.

A configuration is named after the port of its listener (`80`), or after host and port for a port whose protocol is
not declared (`b.ns.svc.cluster.local:1234`). Protobuf lets encoded parts be concatenated, so a changed VirtualService
costs one virtual host, whatever the number of services beside it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from envoy.config.route.v3 import route_components_pb2, route_pb2

from reference.controlplane.config import Rules
from reference.controlplane.generate import names, wire
from reference.controlplane.generate.builders import duration
from reference.controlplane.generate.resource import RDS, Resource, encoded
from reference.controlplane.generate.routes import (
    Surroundings,
    Target,
    destinations,
    plain_route,
    rule_routes,
    select,
)
from reference.controlplane.generate.scene import Scene
from reference.controlplane.registry import Service

VirtualHost: TypeAlias = route_components_pb2.VirtualHost
ALLOW_ANY, BLOCK_ALL = "allow_any", "block_all"
EXTERNAL_PORT = 80
"""Hosts of VirtualServices that are no services are routed on this port's listener."""
_VIRTUAL_HOSTS: Final = 2
"""The field of RouteConfiguration."""
_COUNT_ATTEMPTS: Final = wire.flag(14)
"""VirtualHost.include_request_attempt_count."""


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
    return scene.snapshot.wholes.get(key, lambda: _build(scene, name))


def _build(scene: Scene, name: str) -> Resource | None:
    host, _, number = name.rpartition(":")
    if not number.isdigit():
        return None
    port = int(number)
    if host:
        service = scene.services.by_host.get(host)
        if service is None or service.port(port) is None:
            return None
        hosts = [_ruled_or_plain(scene, service, port)]
    else:
        hosts = _port_hosts(scene, port)
        hosts.append(scene.snapshot.memo.get(("catch-all",), lambda: _catch_all(scene)))
    return encoded(name, RDS, b"".join((wire.text(1, name), _head(), *hosts)))


@cache
def _head() -> bytes:
    """Settings that all configurations share."""
    head = route_pb2.RouteConfiguration(max_direct_response_body_size_bytes={"value": 1_048_576})
    head.validate_clusters.value = False
    head.ignore_port_in_host_matching = True
    body: bytes = head.SerializeToString(deterministic=True)
    return body


@dataclass(frozen=True, slots=True)
class _PlainHosts:
    """Virtual hosts of all services on one port as they are without VirtualServices."""

    services: tuple[Service, ...]
    bodies: tuple[bytes, ...]


def _plain_hosts(scene: Scene, port: int) -> _PlainHosts:
    services = tuple(
        service
        for service in scene.services.by_port.get(port, ())
        if (declared := service.port(port)) is not None and declared.protocol.is_http
    )
    return _PlainHosts(services, tuple(_plain(scene, service, port, sniffed=False) for service in services))


def _port_hosts(scene: Scene, port: int) -> list[bytes]:
    key = (
        "plain hosts",
        scene.services,
        scene.snapshot.destinations,
        scene.proxy.namespace,
        scene.selector_key(),
        port,
    )
    plain = scene.snapshot.wholes.get(key, lambda: _plain_hosts(scene, port))
    hosts = list(plain.bodies)
    view = scene.rules
    if view.by_host or view.wildcards:
        for index, service in enumerate(plain.services):
            if service.hostname in view.by_host or view.wildcards:
                rules = _http_rules(scene, service)
                if rules is not None:
                    hosts[index] = _ruled(scene, service, port, rules, sniffed=False)
    if port == EXTERNAL_PORT:
        hosts.extend(_external_hosts(scene))
    return hosts


def _http_rules(scene: Scene, service: Service) -> Rules | None:
    rules = scene.rules.of(service.hostname)
    return rules if rules is not None and rules.http else None


def _ruled_or_plain(scene: Scene, service: Service, port: int) -> bytes:
    rules = _http_rules(scene, service)
    if rules is None:
        return _plain(scene, service, port, sniffed=True)
    return _ruled(scene, service, port, rules, sniffed=True)


def _plain(scene: Scene, service: Service, port: int, *, sniffed: bool) -> bytes:
    near, configs = service.namespace == scene.proxy.namespace, scene.destinations(service)
    key = ("plain host", service, port, near, sniffed, configs)

    def make() -> bytes:
        route = plain_route(port, Target(service, configs), service.hostname)
        return _host(f"{service.hostname}:{port}", _domains(service, near, sniffed), [route])

    return scene.snapshot.memo.get(key, make)


def _ruled(scene: Scene, service: Service, port: int, rules: Rules, *, sniffed: bool) -> bytes:
    near = service.namespace == scene.proxy.namespace
    return _from_rules(scene, f"{service.hostname}:{port}", _domains(service, near, sniffed), port, rules)


def _from_rules(scene: Scene, name: str, domains: tuple[str, ...], port: int, rules: Rules) -> bytes:
    selection = select(rules, port, scene.proxy.namespace, scene.proxy.labels)
    targets: dict[str, Target] = {}
    for host in destinations(rules, scene.snapshot.domain):
        service = scene.services.by_host.get(host)
        targets[host] = Target(service, scene.destinations(service) if service is not None else ())
    around = Surroundings(port, scene.snapshot.domain, targets)
    # The routes do not depend on the domains: near and far clients share them.
    key = (port, rules, selection, tuple(targets.items()))
    memo = scene.snapshot.memo
    routes = memo.get(
        ("rule routes", *key),
        lambda: tuple(route.SerializeToString(deterministic=True) for route in rule_routes(rules, selection, around)),
    )
    return memo.get(("ruled host", name, domains, *key), lambda: _host(name, domains, routes))


def _host(name: str, domains: Iterable[str], routes: Iterable[bytes]) -> bytes:
    """A virtual host, encoded as a field of RouteConfiguration, from encoded routes."""
    body = [wire.text(1, name), _COUNT_ATTEMPTS]
    body += [wire.text(2, domain) for domain in domains]
    body += [wire.field(3, route) for route in routes]
    return wire.field(_VIRTUAL_HOSTS, b"".join(body))


def _domains(service: Service, near: bool, sniffed: bool) -> tuple[str, ...]:
    """A listener of one service alone takes whatever name the client uses."""
    return ("*",) if sniffed else tuple(service_domains(service, near))


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
        host = host.lower()
        if host in taken or not rules.http or host in scene.services.by_host:
            continue
        taken.add(host)
        yield _from_rules(scene, f"{host}:{EXTERNAL_PORT}", (host,), EXTERNAL_PORT, rules)


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
    body: bytes = host.SerializeToString(deterministic=True)
    return wire.field(_VIRTUAL_HOSTS, body)
