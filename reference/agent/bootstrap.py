"""Envoy's bootstrap: settings in, JSON out. Pure.

Envoy talks delta ADS to the control plane itself, proving who it is with the certificate that the agent serves over
SDS. Envoy waits for the secrets of static clusters before it opens the ADS stream, so it may start before the
certificate is there. Field names: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/bootstrap/v3/bootstrap.proto
"""

from typing import Any

from reference.agent.settings import ADMIN_PORT, ENVOY_METRICS_PORT, SDS_SOCKET, Settings

Json = dict[str, Any]
XDS_CLUSTER, SDS_CLUSTER, ADMIN_CLUSTER = "xds-grpc", "sds-grpc", "prometheus_stats"
_FILTERS = "type.googleapis.com/envoy.extensions.filters"
VERSION = "1.32-meshtest"

STATS = (
    "listener_manager",
    "cluster_manager",
    "server.",
    "control_plane",
    "cluster.xds-grpc",
    "cluster.outbound",
    "cluster.inbound",
    "cluster.Passthrough",
    "cluster.BlackHole",
    "http.inbound",
    "http.outbound",
    "listener.",
)
"""Statistics kept, by prefix; each one costs memory in every sidecar."""


def _endpoint(cluster: str, address: Json) -> Json:
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _socket(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _http2(keepalive: bool) -> Json:
    options: Json = {}
    if keepalive:
        options["connection_keepalive"] = {"interval": "30s", "timeout": "10s"}
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": options},
        }
    }


def secret(name: str) -> Json:
    """An SdsSecretConfig that asks the agent."""
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": SDS_CLUSTER}}],
        "set_node_on_first_message_only": True,
    }
    return {
        "name": name,
        "sds_config": {"api_config_source": source, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
    }


def metadata(settings: Settings) -> Json:
    """The node metadata that control planes decide by (mesh-protocols section 1)."""
    values: Json = {
        "NAME": settings.pod,
        "NAMESPACE": settings.namespace,
        "SERVICE_ACCOUNT": settings.service_account,
        "INSTANCE_IPS": ",".join(settings.addresses),
        "CLUSTER_ID": settings.cluster_id,
        "MESH_ID": settings.mesh_id,
        "LABELS": dict(settings.labels),
        "ANNOTATIONS": dict(settings.annotations),
        "NODE_NAME": settings.node_name,
        "WORKLOAD_NAME": settings.workload,
        "POD_PORTS": settings.pod_ports,
        "ISTIO_VERSION": VERSION,
        "INTERCEPTION_MODE": "REDIRECT",
        "ENVOY_STATUS_PORT": 15021,
        "ENVOY_PROMETHEUS_PORT": ENVOY_METRICS_PORT,
    }
    if settings.network:
        values["NETWORK"] = settings.network
    values.update(settings.extra_metadata)
    return {key: value for key, value in values.items() if value not in ("", None)}


def _control_plane(settings: Settings) -> Json:
    tls = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": settings.control_plane_name,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificate_sds_secret_configs": [secret("default")],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [
                        {"san_type": "DNS", "matcher": {"exact": settings.control_plane_name}}
                    ]
                },
                "validation_context_sds_secret_config": secret("ROOTCA"),
            },
        },
    }
    return {
        "name": XDS_CLUSTER,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "1s",
        "load_assignment": _endpoint(XDS_CLUSTER, _socket(settings.discovery.host, settings.discovery.port)),
        "typed_extension_protocol_options": _http2(keepalive=True),
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
    }


def _metrics_listener() -> Json:
    route = {
        "match": {"prefix": "/stats/prometheus"},
        "route": {"cluster": ADMIN_CLUSTER},
    }
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "route_config": {"virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": "metrics",
        "address": _socket("0.0.0.0", ENVOY_METRICS_PORT),
        "bypass_overload_manager": True,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def bootstrap(settings: Settings, sds_socket: str = str(SDS_SOCKET)) -> Json:
    """The whole bootstrap for one sidecar."""
    ads = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {
                "envoy_grpc": {
                    "cluster_name": XDS_CLUSTER,
                    "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "5s"}},
                }
            }
        ],
    }
    from_ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    sds = {
        "name": SDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _endpoint(SDS_CLUSTER, {"pipe": {"path": sds_socket}}),
        "typed_extension_protocol_options": _http2(keepalive=False),
    }
    admin = {
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "load_assignment": _endpoint(ADMIN_CLUSTER, _socket("127.0.0.1", ADMIN_PORT)),
    }
    return {
        "application_log_config": {"log_format": {"text_format": "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n\t%v"}},
        "node": {
            "id": settings.node_id,
            "cluster": settings.node_cluster,
            "metadata": metadata(settings),
        },
        "admin": {"address": _socket("127.0.0.1", ADMIN_PORT), "ignore_global_conn_limit": True},
        "dynamic_resources": {"ads_config": ads, "cds_config": from_ads, "lds_config": from_ads},
        "static_resources": {
            "clusters": [_control_plane(settings), sds, admin],
            "listeners": [_metrics_listener()],
        },
        "stats_config": {
            "use_all_default_tags": False,
            "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": prefix} for prefix in STATS]}},
        },
    }
