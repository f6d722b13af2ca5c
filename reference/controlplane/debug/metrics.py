"""The control plane's own metrics, under the names that dashboards for Istio know."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """One registry with all of them; nothing global."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connected = Gauge("pilot_xds", "Open xDS streams", registry=self.registry)
        self.responses = Counter("pilot_xds_pushes", "xDS responses sent", ["type"], registry=self.registry)
        self.rejects = Counter("pilot_total_xds_rejects", "xDS responses refused", ["type"], registry=self.registry)
        self.push_seconds = Histogram(
            "pilot_pushcontext_init_seconds",
            "Seconds to build a state and queue it for every stream",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.settled_seconds = Histogram(
            "meshtest_settled_seconds", "Seconds that barriers waited", buckets=_BUCKETS, registry=self.registry
        )
        self.certificates = Counter("citadel_server_success_cert_issuance_count", "Certs", registry=self.registry)
        self.injections = Counter("sidecar_injection_requests", "Pods seen by the injector", registry=self.registry)
        self.rejected_configs = Counter(
            "galley_validation_failed", "Configuration refused at admission", registry=self.registry
        )

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
