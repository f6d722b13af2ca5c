"""Traffic policy written into a cluster: load balancing, connection pools, outlier detection."""

from typing import TypeAlias

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from reference.api.destinationrule import (
    ConnectionPoolSettings,
    ConsistentHashLB,
    HTTPSettings,
    LoadBalancerSettings,
    OutlierDetection,
)
from reference.controlplane.generate.builders import duration, packed
from reference.controlplane.registry import Protocol

Cluster: TypeAlias = cluster_pb2.Cluster
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
UNLIMITED = 2**32 - 1
DEFAULT_RING_SIZE = 1024
_SIMPLE = {
    "ROUND_ROBIN": Cluster.ROUND_ROBIN,
    "RANDOM": Cluster.RANDOM,
    "LEAST_REQUEST": Cluster.LEAST_REQUEST,
    "LEAST_CONN": Cluster.LEAST_REQUEST,
}


def apply_load_balancer(cluster: Cluster, settings: LoadBalancerSettings | None) -> None:
    """Least request unless told otherwise."""
    if settings is not None and settings.simple == "PASSTHROUGH":
        cluster.type = Cluster.ORIGINAL_DST
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
        cluster.ClearField("eds_cluster_config")
        return
    if cluster.type == Cluster.ORIGINAL_DST:
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
        return
    cluster.common_lb_config.healthy_panic_threshold.value = 0.0
    if settings is not None and settings.consistent_hash is not None:
        _apply_hash(cluster, settings.consistent_hash)
        return
    simple = settings.simple if settings is not None else None
    cluster.lb_policy = _SIMPLE.get(simple or "", Cluster.LEAST_REQUEST)
    if settings is not None:
        _apply_warmup(cluster, settings)


def _apply_hash(cluster: Cluster, settings: ConsistentHashLB) -> None:
    if settings.maglev is not None:
        cluster.lb_policy = Cluster.MAGLEV
        if settings.maglev.table_size:
            cluster.maglev_lb_config.table_size.value = settings.maglev.table_size
        return
    cluster.lb_policy = Cluster.RING_HASH
    ring = settings.ring_hash.minimum_ring_size if settings.ring_hash else settings.minimum_ring_size
    cluster.ring_hash_lb_config.minimum_ring_size.value = ring or DEFAULT_RING_SIZE


def _apply_warmup(cluster: Cluster, settings: LoadBalancerSettings) -> None:
    window = settings.warmup.duration if settings.warmup is not None else settings.warmup_duration_secs
    if window is None:
        return
    target = (
        cluster.round_robin_lb_config if cluster.lb_policy == Cluster.ROUND_ROBIN else cluster.least_request_lb_config
    )
    slow = target.slow_start_config
    slow.slow_start_window.CopyFrom(duration(window))
    if settings.warmup is not None:
        if settings.warmup.aggression is not None:
            slow.aggression.default_value = settings.warmup.aggression
            slow.aggression.runtime_key = "slow_start.aggression"
        if settings.warmup.minimum_percent is not None:
            slow.min_weight_percent.value = settings.warmup.minimum_percent


def apply_connection_pool(cluster: Cluster, settings: ConnectionPoolSettings | None, connect_timeout: float) -> None:
    """Limits are off unless given: retries, pending requests and connections are the application's business."""
    tcp = settings.tcp if settings is not None else None
    http = settings.http if settings is not None else None
    cluster.connect_timeout.CopyFrom(duration((tcp.connect_timeout if tcp else None) or connect_timeout))
    limits = circuit_breaker_pb2.CircuitBreakers.Thresholds(track_remaining=True)
    limits.max_connections.value = (tcp.max_connections if tcp else None) or UNLIMITED
    limits.max_pending_requests.value = (http.http1_max_pending_requests if http else None) or UNLIMITED
    limits.max_requests.value = (http.http2_max_requests if http else None) or UNLIMITED
    limits.max_retries.value = (http.max_retries if http else None) or UNLIMITED
    cluster.circuit_breakers.thresholds.append(limits)
    if tcp is not None and tcp.tcp_keepalive is not None:
        keepalive = cluster.upstream_connection_options.tcp_keepalive
        if tcp.tcp_keepalive.probes is not None:
            keepalive.keepalive_probes.value = tcp.tcp_keepalive.probes
        if tcp.tcp_keepalive.time is not None:
            keepalive.keepalive_time.value = int(tcp.tcp_keepalive.time)
        if tcp.tcp_keepalive.interval is not None:
            keepalive.keepalive_interval.value = int(tcp.tcp_keepalive.interval)


def apply_protocol(cluster: Cluster, protocol: Protocol, settings: HTTPSettings | None) -> None:
    """HTTP/2 for ports that speak it, the client's own for sniffed ones, HTTP/1.1 else."""
    options = http_protocol_options_pb2.HttpProtocolOptions()
    upgrade = settings.h2_upgrade_policy if settings is not None else None
    same = protocol.is_sniffed or (settings is not None and settings.use_client_protocol)
    if protocol.is_http2 or (upgrade == "UPGRADE" and protocol is Protocol.HTTP):
        http2 = options.explicit_http_config.http2_protocol_options
        http2.SetInParent()
        _streams(http2, settings)
    elif same:
        options.use_downstream_protocol_config.http_protocol_options.SetInParent()
        http2 = options.use_downstream_protocol_config.http2_protocol_options
        http2.SetInParent()
        _streams(http2, settings)
    elif protocol.is_http:
        options.explicit_http_config.http_protocol_options.SetInParent()
    else:
        return
    if settings is not None:
        common = options.common_http_protocol_options
        if settings.idle_timeout is not None:
            common.idle_timeout.CopyFrom(duration(settings.idle_timeout))
        if settings.max_requests_per_connection:
            common.max_requests_per_connection.value = settings.max_requests_per_connection
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))


def _streams(http2: protocol_pb2.Http2ProtocolOptions, settings: HTTPSettings | None) -> None:
    if settings is not None and settings.max_concurrent_streams:
        http2.max_concurrent_streams.value = settings.max_concurrent_streams


def apply_outlier_detection(cluster: Cluster, settings: OutlierDetection | None) -> None:
    """Only what is named is counted; success-rate ejection is off."""
    if settings is None:
        return
    made = outlier_detection_pb2.OutlierDetection()
    made.enforcing_success_rate.value = 0
    consecutive = settings.consecutive_5xx_errors
    if consecutive is None:
        consecutive = settings.consecutive_errors
    if consecutive is not None:
        made.consecutive_5xx.value = consecutive
        made.enforcing_consecutive_5xx.value = 100 if consecutive > 0 else 0
    gateway = settings.consecutive_gateway_errors
    if gateway is not None:
        made.consecutive_gateway_failure.value = gateway
        made.enforcing_consecutive_gateway_failure.value = 100 if gateway > 0 else 0
    if settings.interval is not None:
        made.interval.CopyFrom(duration(settings.interval))
    if settings.base_ejection_time is not None:
        made.base_ejection_time.CopyFrom(duration(settings.base_ejection_time))
    if settings.max_ejection_percent:
        made.max_ejection_percent.value = settings.max_ejection_percent
    if settings.split_external_local_origin_errors:
        made.split_external_local_origin_errors = True
        if settings.consecutive_local_origin_failures is not None:
            made.consecutive_local_origin_failure.value = settings.consecutive_local_origin_failures
            made.enforcing_consecutive_local_origin_failure.value = 100
        made.enforcing_local_origin_success_rate.value = 0
    cluster.outlier_detection.CopyFrom(made)
    if settings.min_health_percent is not None:
        cluster.common_lb_config.healthy_panic_threshold.value = settings.min_health_percent
