# ruff: noqa: RUF009 - `spec` declares a field; its defaults are immutable
"""DestinationRule (`networking.istio.io/v1`): https://istio.io/latest/docs/reference/config/networking/destination-rule/"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from reference.api import checks
from reference.api.errors import Errors
from reference.api.http import PortSelector
from reference.api.kinds import (
    BOOL,
    INT32,
    PORT,
    TEXT,
    TEXT_MAP,
    TEXTS,
    UINT32,
    Duration,
    Integer,
    Many,
    MapOf,
    Number,
    OneOfNames,
    Text,
)
from reference.api.message import Message, OneOf, Sub, one_of, spec
from reference.api.resource import Column, ResourceType, register

_PERCENT = Integer(0, 100)
_RING_SIZE = Integer(0, 8 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class HTTPCookie(Message):
    name: str = spec(Text((checks.not_empty,)), required=True, default="")
    path: str | None = spec(TEXT)
    ttl: float | None = spec(Duration(0))
    attributes: tuple[Mapping[str, str], ...] = spec(Many(TEXT_MAP))


@dataclass(frozen=True, slots=True)
class RingHash(Message):
    minimum_ring_size: int | None = spec(_RING_SIZE)


@dataclass(frozen=True, slots=True)
class MagLev(Message):
    table_size: int | None = spec(Integer(2, 5_000_011))

    def check(self, at: str, errors: Errors) -> None:
        if self.table_size is not None and not checks.prime(self.table_size):
            errors.add(f"{at}.tableSize", "a prime number", self.table_size)


@dataclass(frozen=True, slots=True)
class ConsistentHashLB(Message):
    ONE_OF: ClassVar[tuple[OneOf, ...]] = (
        one_of("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName", required=True),
        one_of("ringHash", "maglev"),
    )
    http_header_name: str | None = spec(Text((checks.header_name,)))
    http_cookie: HTTPCookie | None = spec(Sub(HTTPCookie))
    use_source_ip: bool | None = spec(BOOL)
    http_query_parameter_name: str | None = spec(Text((checks.not_empty,)))
    ring_hash: RingHash | None = spec(Sub(RingHash))
    maglev: MagLev | None = spec(Sub(MagLev))
    minimum_ring_size: int | None = spec(_RING_SIZE)


@dataclass(frozen=True, slots=True)
class Distribute(Message):
    from_: str = spec(TEXT, default="")
    to: Mapping[str, int] = spec(MapOf(Integer(1, 100)))

    def check(self, at: str, errors: Errors) -> None:
        if sum(self.to.values()) != 100:
            errors.add(f"{at}.to", "weights with the sum 100", sum(self.to.values()))


@dataclass(frozen=True, slots=True)
class Failover(Message):
    from_: str = spec(TEXT, default="")
    to: str = spec(TEXT, default="")

    def check(self, at: str, errors: Errors) -> None:
        if self.from_ == self.to:
            errors.add(at, "a region to fail over to that is another", self.to)


@dataclass(frozen=True, slots=True)
class LocalityLoadBalancerSetting(Message):
    distribute: tuple[Distribute, ...] = spec(Many(Sub(Distribute)))
    failover: tuple[Failover, ...] = spec(Many(Sub(Failover)))
    failover_priority: tuple[str, ...] = spec(TEXTS)
    enabled: bool | None = spec(BOOL)

    def check(self, at: str, errors: Errors) -> None:
        if self.distribute and (self.failover or self.failover_priority):
            errors.add(at, "either distribute or failover and failoverPriority", "both")


@dataclass(frozen=True, slots=True)
class WarmupConfiguration(Message):
    duration: float = spec(Duration(), required=True, default=0.0)
    minimum_percent: float | None = spec(Number(0, 100))
    aggression: float | None = spec(Number(1))


SIMPLE = ("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST")


@dataclass(frozen=True, slots=True)
class LoadBalancerSettings(Message):
    ONE_OF: ClassVar[tuple[OneOf, ...]] = (one_of("simple", "consistentHash"),)
    simple: str | None = spec(OneOfNames(SIMPLE))
    consistent_hash: ConsistentHashLB | None = spec(Sub(ConsistentHashLB))
    locality_lb_setting: LocalityLoadBalancerSetting | None = spec(Sub(LocalityLoadBalancerSetting))
    warmup_duration_secs: float | None = spec(Duration())
    warmup: WarmupConfiguration | None = spec(Sub(WarmupConfiguration))

    def check(self, at: str, errors: Errors) -> None:
        warm = self.warmup is not None or self.warmup_duration_secs is not None
        if warm and (self.consistent_hash is not None or self.simple in ("RANDOM", "PASSTHROUGH")):
            got = "consistentHash" if self.consistent_hash else self.simple
            errors.add(at, "warm-up only with ROUND_ROBIN or LEAST_REQUEST", got)
        if self.warmup is not None and self.warmup_duration_secs is not None:
            errors.add(at, "at most one of warmup, warmupDurationSecs", "warmup, warmupDurationSecs")


@dataclass(frozen=True, slots=True)
class TcpKeepalive(Message):
    probes: int | None = spec(UINT32)
    time: float | None = spec(Duration())
    interval: float | None = spec(Duration())


@dataclass(frozen=True, slots=True)
class TCPSettings(Message):
    max_connections: int | None = spec(INT32)
    connect_timeout: float | None = spec(Duration())
    tcp_keepalive: TcpKeepalive | None = spec(Sub(TcpKeepalive))
    max_connection_duration: float | None = spec(Duration())
    idle_timeout: float | None = spec(Duration(0))


@dataclass(frozen=True, slots=True)
class HTTPSettings(Message):
    http1_max_pending_requests: int | None = spec(INT32, json="http1MaxPendingRequests")
    http2_max_requests: int | None = spec(INT32, json="http2MaxRequests")
    max_requests_per_connection: int | None = spec(INT32)
    max_retries: int | None = spec(INT32)
    idle_timeout: float | None = spec(Duration(0))
    h2_upgrade_policy: str | None = spec(OneOfNames(("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")), json="h2UpgradePolicy")
    use_client_protocol: bool | None = spec(BOOL)
    max_concurrent_streams: int | None = spec(INT32)


@dataclass(frozen=True, slots=True)
class ConnectionPoolSettings(Message):
    tcp: TCPSettings | None = spec(Sub(TCPSettings))
    http: HTTPSettings | None = spec(Sub(HTTPSettings))

    def check(self, at: str, errors: Errors) -> None:
        http = self.http
        if http is not None and http.use_client_protocol and http.h2_upgrade_policy == "UPGRADE":
            errors.add(f"{at}.http", "at most one of useClientProtocol, h2UpgradePolicy UPGRADE", "both")


@dataclass(frozen=True, slots=True)
class OutlierDetection(Message):
    consecutive_errors: int | None = spec(INT32)
    split_external_local_origin_errors: bool | None = spec(BOOL)
    consecutive_local_origin_failures: int | None = spec(UINT32)
    consecutive_gateway_errors: int | None = spec(UINT32)
    consecutive_5xx_errors: int | None = spec(UINT32, json="consecutive5xxErrors")
    interval: float | None = spec(Duration())
    base_ejection_time: float | None = spec(Duration())
    max_ejection_percent: int | None = spec(_PERCENT)
    min_health_percent: int | None = spec(_PERCENT)

    def check(self, at: str, errors: Errors) -> None:
        if self.consecutive_local_origin_failures and not self.split_external_local_origin_errors:
            errors.add(
                f"{at}.consecutiveLocalOriginFailures",
                "splitExternalLocalOriginErrors to be true beside it",
                self.consecutive_local_origin_failures,
            )


@dataclass(frozen=True, slots=True)
class ClientTLSSettings(Message):
    mode: str = spec(OneOfNames(("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")), default="DISABLE")
    client_certificate: str | None = spec(TEXT)
    private_key: str | None = spec(TEXT)
    ca_certificates: str | None = spec(TEXT)
    ca_crl: str | None = spec(TEXT)
    credential_name: str | None = spec(TEXT)
    subject_alt_names: tuple[str, ...] = spec(TEXTS)
    sni: str | None = spec(TEXT)
    insecure_skip_verify: bool | None = spec(BOOL)

    def check(self, at: str, errors: Errors) -> None:
        files = (self.client_certificate, self.private_key, self.ca_certificates, self.credential_name)
        if self.mode == "ISTIO_MUTUAL" and any(files):
            errors.add(at, "no certificates of its own in mode ISTIO_MUTUAL", next(entry for entry in files if entry))
        if self.mode == "MUTUAL" and not self.credential_name:
            for json, value in (("clientCertificate", files[0]), ("privateKey", files[1])):
                if not value:
                    errors.add(f"{at}.{json}", "a path: the mode is MUTUAL", None)


@dataclass(frozen=True, slots=True)
class TunnelSettings(Message):
    protocol: str | None = spec(OneOfNames(("CONNECT", "POST")))
    target_host: str = spec(Text((checks.wildcard_host,)), required=True, default="")
    target_port: int = spec(PORT, required=True, default=0)


@dataclass(frozen=True, slots=True)
class ProxyProtocol(Message):
    version: str = spec(OneOfNames(("V1", "V2")), default="V1")


@dataclass(frozen=True, slots=True)
class PortTrafficPolicy(Message):
    port: PortSelector = spec(Sub(PortSelector), required=True, default=PortSelector())
    load_balancer: LoadBalancerSettings | None = spec(Sub(LoadBalancerSettings))
    connection_pool: ConnectionPoolSettings | None = spec(Sub(ConnectionPoolSettings))
    outlier_detection: OutlierDetection | None = spec(Sub(OutlierDetection))
    tls: ClientTLSSettings | None = spec(Sub(ClientTLSSettings))

    def check(self, at: str, errors: Errors) -> None:
        if self.port.number is None:
            errors.add(f"{at}.port.number", "a value: the field is required", None)


@dataclass(frozen=True, slots=True)
class RetryBudget(Message):
    percent: float | None = spec(Number(0, 100))
    min_retry_concurrency: int | None = spec(UINT32)


@dataclass(frozen=True, slots=True)
class TrafficPolicy(Message):
    load_balancer: LoadBalancerSettings | None = spec(Sub(LoadBalancerSettings))
    connection_pool: ConnectionPoolSettings | None = spec(Sub(ConnectionPoolSettings))
    outlier_detection: OutlierDetection | None = spec(Sub(OutlierDetection))
    tls: ClientTLSSettings | None = spec(Sub(ClientTLSSettings))
    port_level_settings: tuple[PortTrafficPolicy, ...] = spec(Many(Sub(PortTrafficPolicy), max_items=4096))
    tunnel: TunnelSettings | None = spec(Sub(TunnelSettings))
    proxy_protocol: ProxyProtocol | None = spec(Sub(ProxyProtocol))
    retry_budget: RetryBudget | None = spec(Sub(RetryBudget))

    def check(self, at: str, errors: Errors) -> None:
        seen: set[int] = set()
        for index, entry in enumerate(self.port_level_settings):
            number = entry.port.number or 0
            if number in seen:
                errors.add(f"{at}.portLevelSettings[{index}].port.number", "each port once", number)
            seen.add(number)


@dataclass(frozen=True, slots=True)
class Subset(Message):
    name: str = spec(Text((checks.dns_label,)), required=True, default="")
    labels: Mapping[str, str] = spec(TEXT_MAP)
    traffic_policy: TrafficPolicy | None = spec(Sub(TrafficPolicy))


@dataclass(frozen=True, slots=True)
class WorkloadSelector(Message):
    match_labels: Mapping[str, str] = spec(TEXT_MAP)


@dataclass(frozen=True, slots=True)
class DestinationRule(Message):
    host: str = spec(Text((checks.wildcard_host,)), required=True, default="")
    traffic_policy: TrafficPolicy | None = spec(Sub(TrafficPolicy))
    subsets: tuple[Subset, ...] = spec(Many(Sub(Subset)))
    export_to: tuple[str, ...] = spec(Many(Text((checks.export_to,))))
    workload_selector: WorkloadSelector | None = spec(Sub(WorkloadSelector))

    def check(self, at: str, errors: Errors) -> None:
        names = [subset.name for subset in self.subsets]
        for index, name in enumerate(names):
            if name in names[:index]:
                errors.add(f"{at}.subsets[{index}].name", "each subset once", name)

    def subset(self, name: str) -> Subset | None:
        return next((subset for subset in self.subsets if subset.name == name), None)


DESTINATION_RULE = register(
    ResourceType(
        group="networking.istio.io",
        kind="DestinationRule",
        plural="destinationrules",
        short_names=("dr",),
        model=DestinationRule,
        columns=(Column("Host", "string", ".spec.host", "The name of a service from the service registry"),),
    )
)
