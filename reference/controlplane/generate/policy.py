"""What DestinationRules say about one service port and subset, merged."""

from collections.abc import Sequence
from dataclasses import dataclass

from reference.api.destinationrule import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    LoadBalancerSettings,
    OutlierDetection,
    ProxyProtocol,
    Subset,
    TrafficPolicy,
    TunnelSettings,
)
from reference.controlplane.snapshot.indexes import DestinationConfig


@dataclass(frozen=True, slots=True)
class Policy:
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None


def subsets(configs: Sequence[DestinationConfig]) -> tuple[Subset, ...]:
    """All subsets; of two with one name the older object's counts."""
    found: dict[str, Subset] = {}
    for config in configs:
        for subset in config.model.subsets:
            found.setdefault(subset.name, subset)
    return tuple(found.values())


def policy(configs: Sequence[DestinationConfig], port: int, subset: Subset | None = None) -> Policy:
    """The rule's policy, overridden field by field by the subset's. A port-level policy replaces the whole of the
    policy it stands in, fields that it leaves out included."""
    top = next((config.model.traffic_policy for config in configs if config.model.traffic_policy), None)
    merged = _apply(Policy(), top, port)
    return _apply(merged, subset.traffic_policy if subset is not None else None, port)


def _apply(base: Policy, given: TrafficPolicy | None, port: int) -> Policy:
    if given is None:
        return base
    tunnel, proxy_protocol = given.tunnel or base.tunnel, given.proxy_protocol or base.proxy_protocol
    for entry in given.port_level_settings:
        if entry.port.number == port:
            return Policy(
                entry.load_balancer,
                entry.connection_pool,
                entry.outlier_detection,
                entry.tls,
                tunnel,
                proxy_protocol,
            )
    return Policy(
        given.load_balancer or base.load_balancer,
        given.connection_pool or base.connection_pool,
        given.outlier_detection or base.outlier_detection,
        given.tls or base.tls,
        tunnel,
        proxy_protocol,
    )
