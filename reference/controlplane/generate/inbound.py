"""The inbound listener: everything that reaches the pod, port by port, mutual TLS and plaintext alike (PERMISSIVE)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2

from reference.api import MeshConfig
from reference.controlplane.generate import names, tls
from reference.controlplane.generate.builders import address, duration
from reference.controlplane.generate.network import NetworkFilter, inbound_http, tcp_proxy
from reference.controlplane.generate.outbound import http_inspector, listener_filter, tls_inspector
from reference.controlplane.generate.resource import LDS, Resource, resource
from reference.controlplane.generate.scene import InboundPort, Scene, inbound_ports
from reference.controlplane.registry import Protocol

Listener: TypeAlias = listener_pb2.Listener
FilterChain: TypeAlias = listener_components_pb2.FilterChain
DETECTION_TIMEOUT = 1.0
"""Seconds that a plaintext client may stay silent before its connection counts as TCP: it may await the server."""
_SERVER_HTTP = ("h2", "http/1.1")
_SERVER_TCP = ("istio",)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a set of chains leads. `port` 0: any port that no service names."""

    port: int
    cluster: str
    label: str
    protocol: Protocol
    service_port: int = 0

    @property
    def prefix(self) -> str:
        return f"0.0.0.0_{self.port}" if self.port else "virtualInbound-catchall"


def virtual_inbound(scene: Scene) -> Resource:
    ports, wildcard, mesh = inbound_ports(scene), scene.wildcard(), scene.snapshot.mesh
    targets = tuple(_target(port) for port in ports)
    return scene.snapshot.memo.get(("virtual inbound", targets, wildcard), lambda: _build(mesh, targets, wildcard))


def _target(port: InboundPort) -> _Target:
    service_port = port.service_port.number
    label = f"inbound|{service_port}|{port.service.hostname}"
    return _Target(port.number, names.inbound(port.number), label, port.protocol, service_port)


def _build(mesh: MeshConfig, targets: tuple[_Target, ...], wildcard: str) -> Resource:
    listener = Listener(
        name=names.VIRTUAL_INBOUND,
        address=address(wildcard, names.INBOUND_PORT),
        traffic_direction=base_pb2.INBOUND,
        listener_filters_timeout=duration(DETECTION_TIMEOUT),
        continue_on_listener_filters_timeout=True,
    )
    listener.listener_filters.append(
        listener_filter("envoy.filters.listener.original_dst", original_dst_pb2.OriginalDst())
    )
    listener.listener_filters.append(tls_inspector())
    inspector = http_inspector()
    _disable_on(inspector, [target.port for target in targets if not target.protocol.is_sniffed])
    listener.listener_filters.append(inspector)
    hole = listener.filter_chains.add(name="virtualInbound-blackhole")
    hole.filter_chain_match.destination_port.value = names.INBOUND_PORT
    hole.filters.append(tcp_proxy(names.BLACK_HOLE, [(names.BLACK_HOLE, 1)], mesh))
    for target in targets:
        listener.filter_chains.extend(_chains(mesh, target))
    others = _Target(0, names.INBOUND_PASSTHROUGH, names.INBOUND_PASSTHROUGH, Protocol.AUTO)
    listener.filter_chains.extend(_chains(mesh, others))
    return resource(listener.name, LDS, listener)


def _disable_on(inspector: listener_components_pb2.ListenerFilter, ports: Sequence[int]) -> None:
    """Where the protocol is declared nobody waits for the client's first bytes to guess it."""
    if not ports:
        return
    one = [listener_components_pb2.ListenerFilterChainMatchPredicate() for _ in ports]
    for predicate, port in zip(one, ports, strict=True):
        predicate.destination_port_range.start = port
        predicate.destination_port_range.end = port + 1
    if len(one) == 1:
        inspector.filter_disabled.CopyFrom(one[0])
    else:
        inspector.filter_disabled.or_match.rules.extend(one)


def _chains(mesh: MeshConfig, target: _Target) -> Iterator[FilterChain]:
    def http(mutual: bool) -> NetworkFilter:
        return inbound_http(target.prefix, _routes(target), mesh, mutual=mutual)

    tcp = tcp_proxy(target.label, [(target.cluster, 1)], mesh)
    if target.protocol.is_http:
        yield _chain(target, "mtls", http(True), "tls", (*tls.MESH_HTTP, *tls.MESH_TCP), _SERVER_HTTP)
        yield _chain(target, "plain", http(False), "raw_buffer")
    elif target.protocol.is_sniffed:
        yield _chain(target, "mtls-http", http(True), "tls", tls.MESH_HTTP, _SERVER_HTTP)
        yield _chain(target, "http", http(False), "raw_buffer", ("http/1.0", "http/1.1", "h2c"))
        yield _chain(target, "mtls-tcp", tcp, "tls", tls.MESH_TCP, _SERVER_TCP)
        yield _chain(target, "tcp", tcp, "raw_buffer")
    else:
        yield _chain(target, "mtls", tcp, "tls", (*tls.MESH_HTTP, *tls.MESH_TCP), _SERVER_TCP)
        yield _chain(target, "plain", tcp, "raw_buffer")
    yield _chain(target, "tls", tcp, "tls")


def _chain(
    target: _Target,
    label: str,
    last: NetworkFilter,
    transport: str,
    protocols: Sequence[str] = (),
    server: Sequence[str] = (),
) -> FilterChain:
    """`server`: this chain terminates the mesh's TLS and answers these ALPN protocols."""
    chain = FilterChain(name=f"{target.prefix}-{label}", filters=[last])
    match = chain.filter_chain_match
    if target.port:
        match.destination_port.value = target.port
    match.transport_protocol = transport
    match.application_protocols.extend(protocols)
    if server:
        chain.transport_socket.CopyFrom(tls.mutual_server(server))
        chain.transport_socket_connect_timeout.CopyFrom(duration(15))
    return chain


def _routes(target: _Target) -> route_pb2.RouteConfiguration:
    made = route_pb2.RouteConfiguration(name=target.cluster)
    made.validate_clusters.value = False
    name = f"inbound|http|{target.service_port}"
    host = made.virtual_hosts.add(name=name, domains=["*"])
    route: route_components_pb2.Route = host.routes.add(name="default")
    route.match.prefix = "/"
    route.route.cluster = target.cluster
    route.route.timeout.CopyFrom(duration(0))
    route.route.max_stream_duration.max_stream_duration.CopyFrom(duration(0))
    route.route.max_stream_duration.grpc_timeout_header_max.CopyFrom(duration(0))
    route.route.retry_policy.retry_on = "reset-before-request"
    route.route.retry_policy.num_retries.value = 2
    route.decorator.operation = f"{target.label}/*"
    return made
