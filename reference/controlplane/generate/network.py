"""Network filters: the HTTP connection manager of each direction, and the TCP proxy."""

from collections.abc import Sequence
from typing import TypeAlias

from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf.message import Message

from reference.api import MeshConfig
from reference.controlplane.generate.access_log import access_logs
from reference.controlplane.generate.builders import ads, duration, packed

NetworkFilter: TypeAlias = listener_components_pb2.Filter
FAULT, CORS, ROUTER = "envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.router"
_APPLICATION_PROTOCOLS = "envoy.network.application_protocols"


def network_filter(name: str, config: Message) -> NetworkFilter:
    return NetworkFilter(name=name, typed_config=packed(config))


def tcp_proxy(stat_prefix: str, clusters: Sequence[tuple[str, int]], mesh: MeshConfig) -> NetworkFilter:
    """To one cluster, or to several by weight. The weights of a single one do not matter."""
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=stat_prefix, access_log=access_logs(mesh))
    if len(clusters) == 1:
        proxy.cluster = clusters[0][0]
    else:
        for name, weight in clusters:
            proxy.weighted_clusters.clusters.add(name=name, weight=weight)
    return network_filter("envoy.filters.network.tcp_proxy", proxy)


def offer(protocols: Sequence[str]) -> NetworkFilter:
    """Makes the upstream TLS connections of this connection offer these ALPN protocols instead of the cluster's."""
    value = value_pb2.FilterStateValue(
        object_key=_APPLICATION_PROTOCOLS,
        format_string=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=",".join(protocols))
        ),
        read_only=True,
        shared_with_upstream=value_pb2.FilterStateValue.ONCE,
    )
    config = set_filter_state_pb2.Config(on_new_connection=[value])
    return network_filter("envoy.filters.network.set_filter_state", config)


def _http_filter(name: str, config: Message) -> hcm_pb2.HttpFilter:
    return hcm_pb2.HttpFilter(name=name, typed_config=packed(config))


def _manager(stat_prefix: str, mesh: MeshConfig) -> hcm_pb2.HttpConnectionManager:
    manager = hcm_pb2.HttpConnectionManager(
        codec_type=hcm_pb2.HttpConnectionManager.AUTO,
        stat_prefix=stat_prefix,
        access_log=access_logs(mesh),
        upgrade_configs=[hcm_pb2.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        stream_idle_timeout=duration(0),
        request_timeout=duration(0),
        preserve_external_request_id=True,
        proxy_100_continue=True,
    )
    manager.use_remote_address.value = False
    manager.generate_request_id.value = True
    manager.normalize_path.value = True
    return manager


def outbound_http(stat_prefix: str, route_config: str, mesh: MeshConfig) -> NetworkFilter:
    """Routes come over RDS under `route_config`."""
    manager = _manager(stat_prefix, mesh)
    manager.rds.CopyFrom(hcm_pb2.Rds(config_source=ads(), route_config_name=route_config))
    manager.http_filters.extend(
        (
            _http_filter(
                "envoy.filters.http.grpc_stats",
                grpc_stats_pb2.FilterConfig(emit_filter_state=True, stats_for_all_methods={"value": False}),
            ),
            _http_filter(FAULT, fault_pb2.HTTPFault()),
            _http_filter(CORS, cors_pb2.Cors()),
            _http_filter(ROUTER, router_pb2.Router()),
        )
    )
    return network_filter("envoy.filters.network.http_connection_manager", manager)


def inbound_http(
    stat_prefix: str, routes: route_pb2.RouteConfiguration, mesh: MeshConfig, *, mutual: bool
) -> NetworkFilter:
    """`mutual`: the client has a certificate, and the application is told whose in x-forwarded-client-cert. What a
    plaintext client claims in that header is removed."""
    manager = _manager(stat_prefix, mesh)
    manager.route_config.CopyFrom(routes)
    manager.server_header_transformation = hcm_pb2.HttpConnectionManager.PASS_THROUGH
    if mutual:
        manager.forward_client_cert_details = hcm_pb2.HttpConnectionManager.SANITIZE_SET
        manager.set_current_client_cert_details.subject.value = True
        manager.set_current_client_cert_details.dns = True
        manager.set_current_client_cert_details.uri = True
    else:
        manager.forward_client_cert_details = hcm_pb2.HttpConnectionManager.SANITIZE
    manager.http_filters.append(_http_filter(ROUTER, router_pb2.Router()))
    return network_filter("envoy.filters.network.http_connection_manager", manager)
