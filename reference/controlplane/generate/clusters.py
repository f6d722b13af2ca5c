"""CDS: one cluster per service port and subset, one per inbound port, and the ones that belong to no service."""

from collections.abc import Iterator
from typing import TypeAlias

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2

from reference.api import MeshConfig
from reference.api.destinationrule import Subset
from reference.controlplane.generate import names, tls
from reference.controlplane.generate.builders import address, ads, duration
from reference.controlplane.generate.policy import Policy, policy, subsets
from reference.controlplane.generate.resource import CDS, Resource, resource
from reference.controlplane.generate.scene import InboundPort, Scene, inbound_ports
from reference.controlplane.generate.traffic import (
    apply_connection_pool,
    apply_load_balancer,
    apply_outlier_detection,
    apply_protocol,
)
from reference.controlplane.registry import Port, Protocol, Resolution, Service
from reference.controlplane.snapshot.indexes import DestinationConfig

Cluster: TypeAlias = cluster_pb2.Cluster
_INBOUND_SOURCE = {"0.0.0.0": "127.0.0.6", "::": "::6"}


def generate_clusters(scene: Scene) -> dict[str, Resource]:
    memo = scene.snapshot.memo
    found: dict[str, Resource] = {}
    for service in scene.services.services:
        configs = scene.destinations(service)
        accounts = scene.endpoints.accounts.get(service.key, ())
        mutual = service.headless and _all_in_mesh(scene, service)
        key = ("clusters", service, configs, accounts, mutual)
        made = memo.get(
            key,
            lambda: tuple(_of_service(scene.snapshot.mesh, service, configs, accounts, mutual)),  # noqa: B023
        )
        for entry in made:
            found[entry.name] = entry
    wildcard = scene.wildcard()
    for port in inbound_ports(scene):
        entry = memo.get(("inbound cluster", port.number, port.protocol, wildcard), lambda: _inbound(port, wildcard))  # noqa: B023
        found[entry.name] = entry
    for entry in memo.get(("fixed clusters", wildcard), lambda: _fixed(scene.snapshot.mesh, wildcard)):
        found[entry.name] = entry
    return found


def _all_in_mesh(scene: Scene, service: Service) -> bool:
    members = scene.endpoints.by_service.get(service.key, ())
    return bool(members) and all(entry.in_mesh for entry in members)


def _of_service(
    mesh: MeshConfig,
    service: Service,
    configs: tuple[DestinationConfig, ...],
    accounts: tuple[str, ...],
    headless_mutual: bool,
) -> Iterator[Resource]:
    for port in service.ports:
        if port.protocol is Protocol.UDP:
            continue
        for subset in (None, *subsets(configs)):
            merged = policy(configs, port.number, subset)
            cluster = _outbound(mesh, service, port, subset, merged, accounts, headless_mutual)
            yield resource(cluster.name, CDS, cluster)


def _outbound(
    mesh: MeshConfig,
    service: Service,
    port: Port,
    subset: Subset | None,
    merged: Policy,
    accounts: tuple[str, ...],
    headless_mutual: bool,
) -> Cluster:
    label = subset.name if subset is not None else ""
    name = names.outbound(port.number, label, service.hostname)
    cluster = Cluster(name=name)
    if service.resolution is Resolution.STATIC:
        cluster.type = Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(ads())
        cluster.eds_cluster_config.service_name = name
    elif service.resolution is Resolution.PASSTHROUGH:
        cluster.type = Cluster.ORIGINAL_DST
    else:
        cluster.type = Cluster.STRICT_DNS
        cluster.dns_lookup_family = Cluster.V4_PREFERRED
        target = endpoint_components_pb2.Endpoint(address=address(service.external_name, port.number))
        cluster.load_assignment.cluster_name = name
        cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.CopyFrom(target)
    apply_load_balancer(cluster, merged.load_balancer)
    apply_connection_pool(cluster, merged.connection_pool, mesh.connect_timeout)
    apply_protocol(cluster, port.protocol, merged.connection_pool.http if merged.connection_pool else None)
    apply_outlier_detection(cluster, merged.outlier_detection)
    _apply_tls(cluster, mesh, service, port, label, merged, accounts, headless_mutual)
    return cluster


def _apply_tls(
    cluster: Cluster,
    mesh: MeshConfig,
    service: Service,
    port: Port,
    subset: str,
    merged: Policy,
    accounts: tuple[str, ...],
    headless_mutual: bool,
) -> None:
    """Mutual TLS to endpoints that take it, unless a DestinationRule says something else."""
    settings = merged.tls
    if settings is not None and settings.mode == "DISABLE":
        return
    if settings is not None and settings.mode in ("SIMPLE", "MUTUAL"):
        offered: tuple[str, ...] = ("h2",) if port.protocol.is_http2 else ("http/1.1",) if port.protocol.is_http else ()
        cluster.transport_socket.CopyFrom(tls.originated(settings, offered))
        return
    explicit = settings is not None and settings.mode == "ISTIO_MUTUAL"
    if not explicit and (not mesh.enable_auto_mtls or service.resolution is Resolution.DNS):
        return
    sans = [tls.identity(mesh.trust_domain, account) for account in accounts]
    server_name = names.sni(port.number, subset, service.hostname)
    if settings is not None:
        sans = list(settings.subject_alt_names) or sans
        server_name = settings.sni or server_name
    upgraded = merged.connection_pool is not None and merged.connection_pool.http is not None
    http2 = upgraded and merged.connection_pool.http.h2_upgrade_policy == "UPGRADE"  # type: ignore[union-attr]
    offered = tls.ALPN_HTTP2 if http2 and port.protocol is Protocol.HTTP else tls.alpn(port.protocol)
    socket = tls.mutual_client(sans, server_name, offered)
    if explicit or (cluster.type == Cluster.ORIGINAL_DST and headless_mutual):
        cluster.transport_socket.CopyFrom(socket)
    elif cluster.type != Cluster.ORIGINAL_DST:
        match = cluster.transport_socket_matches.add(name="tlsMode-istio", transport_socket=socket)
        match.match.update({"tlsMode": "istio"})
        match = cluster.transport_socket_matches.add(name="tlsMode-disabled", transport_socket=tls.plain())
        match.match.SetInParent()


def _inbound(port: InboundPort, wildcard: str) -> Resource:
    cluster = _to_application(names.inbound(port.number), wildcard)
    apply_protocol(cluster, Protocol.AUTO if port.protocol is Protocol.HTTP else port.protocol, None)
    return resource(cluster.name, CDS, cluster)


def _to_application(name: str, wildcard: str) -> Cluster:
    """To the address that the client meant, which is the pod's own; from a source that the packet rules let go."""
    cluster = Cluster(name=name, type=Cluster.ORIGINAL_DST, lb_policy=Cluster.CLUSTER_PROVIDED)
    cluster.upstream_bind_config.source_address.address = _INBOUND_SOURCE[wildcard]
    cluster.upstream_bind_config.source_address.port_value = 0
    apply_connection_pool(cluster, None, 10.0)
    return cluster


def _fixed(mesh: MeshConfig, wildcard: str) -> tuple[Resource, ...]:
    black_hole = Cluster(name=names.BLACK_HOLE, type=Cluster.STATIC, connect_timeout=duration(mesh.connect_timeout))
    passthrough = Cluster(name=names.PASSTHROUGH, type=Cluster.ORIGINAL_DST, lb_policy=Cluster.CLUSTER_PROVIDED)
    apply_connection_pool(passthrough, None, mesh.connect_timeout)
    apply_protocol(passthrough, Protocol.AUTO, None)
    inbound = _to_application(names.INBOUND_PASSTHROUGH, wildcard)
    apply_protocol(inbound, Protocol.AUTO, None)
    return tuple(resource(cluster.name, CDS, cluster) for cluster in (black_hole, passthrough, inbound))
