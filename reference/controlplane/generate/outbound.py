"""Outbound listeners: where captured connections arrive, and one listener per service port behind it."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from google.protobuf.message import Message

from reference.api import MeshConfig
from reference.controlplane.config import Rules
from reference.controlplane.generate import names, tls
from reference.controlplane.generate.builders import address, duration, packed
from reference.controlplane.generate.network import NetworkFilter, offer, outbound_http, tcp_proxy
from reference.controlplane.generate.resource import LDS, Resource, resource
from reference.controlplane.generate.scene import Scene
from reference.controlplane.generate.tcp import TcpChain, tcp_chains
from reference.controlplane.registry import Port, Protocol, Resolution, Service

Listener: TypeAlias = listener_pb2.Listener
FilterChain: TypeAlias = listener_components_pb2.FilterChain
ListenerFilter: TypeAlias = listener_components_pb2.ListenerFilter


def outbound_listeners(scene: Scene) -> Iterator[Resource]:
    memo, mesh, wildcard = scene.snapshot.memo, scene.snapshot.mesh, scene.wildcard()
    yield memo.get(("virtual outbound", wildcard), lambda: _virtual_outbound(mesh, wildcard))
    http_ports: set[int] = set()
    taken: set[str] = set()
    for service in scene.services.services:
        for port in service.ports:
            if port.protocol is Protocol.UDP:
                continue
            if port.protocol.is_http:
                http_ports.add(port.number)
                continue
            for bind in _binds(scene, service):
                name = f"{bind}_{port.number}"
                if name not in taken:
                    taken.add(name)
                    yield _service_listener(scene, service, port, bind)
    for number in sorted(http_ports):
        yield memo.get(("http listener", number, wildcard), lambda: _http(mesh, number, wildcard))  # noqa: B023


def _binds(scene: Scene, service: Service) -> Sequence[str]:
    """Addresses that clients of the service connect to. A name that stands for others has none of its own."""
    if service.resolution is Resolution.DNS:
        return ()
    if service.vips:
        return service.vips
    members = scene.endpoints.by_service.get(service.key, ())
    return sorted({member.address for member in members} - set(scene.proxy.ips))


def _service_listener(scene: Scene, service: Service, port: Port, bind: str) -> Resource:
    rules = scene.rules.of(service.hostname)
    if rules is not None and not (rules.model.tcp or rules.model.tls):
        rules = None
    chains = _chains(scene, service, port, rules)
    mesh = scene.snapshot.mesh
    key = ("listener", service, port.number, bind, chains)
    return scene.snapshot.memo.get(key, lambda: _build(mesh, service, port, bind, chains))


def _chains(scene: Scene, service: Service, port: Port, rules: Rules | None) -> tuple[TcpChain, ...]:
    if rules is None:
        return (TcpChain((), ((names.outbound(port.number, "", service.hostname), 1),)),)
    return tcp_chains(scene, service, port, rules)


def _listener(name: str, bind: str, number: int) -> Listener:
    listener = Listener(name=name, address=address(bind, number), traffic_direction=base_pb2.OUTBOUND)
    listener.bind_to_port.value = False
    return listener


def listener_filter(name: str, config: Message) -> ListenerFilter:
    return ListenerFilter(name=name, typed_config=packed(config))


def http_inspector() -> ListenerFilter:
    return listener_filter("envoy.filters.listener.http_inspector", http_inspector_pb2.HttpInspector())


def tls_inspector() -> ListenerFilter:
    return listener_filter("envoy.filters.listener.tls_inspector", tls_inspector_pb2.TlsInspector())


def _virtual_outbound(mesh: MeshConfig, wildcard: str) -> Resource:
    """Connections to addresses that no other listener is for go where they were going, or nowhere."""
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=address(wildcard, names.OUTBOUND_PORT),
        traffic_direction=base_pb2.OUTBOUND,
    )
    listener.use_original_dst.value = True
    trap = listener.filter_chains.add(name="virtualOutbound-trap")
    trap.filter_chain_match.destination_port.value = names.OUTBOUND_PORT
    trap.filters.append(tcp_proxy(names.BLACK_HOLE, [(names.BLACK_HOLE, 1)], mesh))
    only = mesh.outbound_traffic_policy.mode == "REGISTRY_ONLY"
    cluster = names.BLACK_HOLE if only else names.PASSTHROUGH
    chain = listener.filter_chains.add(name="virtualOutbound-catchall-tcp")
    chain.filters.append(tcp_proxy(cluster, [(cluster, 1)], mesh))
    return resource(listener.name, LDS, listener)


def _http(mesh: MeshConfig, number: int, wildcard: str) -> Resource:
    name = f"{wildcard}_{number}"
    listener = _listener(name, wildcard, number)
    listener.filter_chains.add(name=name).filters.append(outbound_http(f"outbound_{name}", str(number), mesh))
    return resource(name, LDS, listener)


def _build(mesh: MeshConfig, service: Service, port: Port, bind: str, chains: tuple[TcpChain, ...]) -> Resource:
    name = f"{bind}_{port.number}"
    listener = _listener(name, bind, port.number)
    routes = f"{service.hostname}:{port.number}"
    if any(chain.server_names for chain in chains):
        listener.listener_filters.append(tls_inspector())
    if port.protocol.is_sniffed:
        listener.listener_filters.append(http_inspector())
        listener.listener_filters_timeout.CopyFrom(duration(mesh.protocol_detection_timeout))
        listener.continue_on_listener_filters_timeout = True
        for label, sniffed, offered in (
            ("http1", ("http/1.0", "http/1.1"), tls.ALPN_HTTP1),
            ("http2", ("h2c",), tls.ALPN_HTTP2),
        ):
            chain = listener.filter_chains.add(name=f"{name}-{label}")
            chain.filter_chain_match.application_protocols.extend(sniffed)
            chain.filter_chain_match.transport_protocol = "raw_buffer"
            chain.filters.extend((offer(offered), outbound_http(f"outbound_{name}", routes, mesh)))
    for index, tcp in enumerate(chains):
        filters: list[NetworkFilter] = [tcp_proxy(tcp.clusters[0][0], tcp.clusters, mesh)]
        if not tcp.server_names:
            listener.default_filter_chain.name = name
            listener.default_filter_chain.filters.extend(filters)
            continue
        chain = listener.filter_chains.add(name=f"{name}-{index}", filters=filters)
        if "*" not in tcp.server_names:
            chain.filter_chain_match.server_names.extend(tcp.server_names)
        chain.filter_chain_match.transport_protocol = "tls"
    return resource(name, LDS, listener)
