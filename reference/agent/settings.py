"""What the injector tells the agent through the environment, parsed once."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKEN_PATH = Path("/var/run/secrets/tokens/istio-token")
ROOT_CERT_PATH = Path("/var/run/secrets/istio/root-cert.pem")
SDS_SOCKET = Path("/var/run/secrets/workload-spiffe-uds/socket")
BOOTSTRAP_PATH = Path("/etc/istio/proxy/envoy.json")
PROXY_UID = 1337

ADMIN_PORT = 15000
OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
HBONE_PORT = 15008
AGENT_PORT = 15020
HEALTH_PORT = 15021
ENVOY_METRICS_PORT = 15090

_DURATION = re.compile(r"^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$")


class BadSettings(ValueError):
    """A variable is missing or malformed; the message names it."""


def seconds(text: str) -> float:
    """A duration as Istio writes it (`1m30s`, `500ms`), in seconds. Raises BadSettings."""
    match = _DURATION.match(text)
    if not match or not text:
        raise BadSettings(f"duration: expected something like 5s or 500ms, got {text!r}")
    hours, minutes, secs, millis = (float(each or 0) for each in match.groups())
    return hours * 3600 + minutes * 60 + secs + millis / 1000


@dataclass(frozen=True, slots=True)
class Files:
    """Where the pod's volumes are mounted, and where the bootstrap is written."""

    token: Path = TOKEN_PATH
    root_cert: Path = ROOT_CERT_PATH
    sds_socket: Path = SDS_SOCKET
    bootstrap: Path = BOOTSTRAP_PATH


@dataclass(frozen=True, slots=True)
class HostPort:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def host_port(name: str, text: str) -> HostPort:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise BadSettings(f"{name}: expected host:port, got {text!r}")
    return HostPort(host, int(port))


@dataclass(frozen=True, slots=True)
class Settings:
    """One proxy. `probes` maps app-health paths to the probes that were rewritten; `prometheus` says where the
    application's own metrics are, or is None. drain_seconds: how long open connections may go on after SIGTERM.
    """

    pod: str
    namespace: str
    service_account: str
    addresses: tuple[str, ...]
    ca: HostPort
    discovery: HostPort
    control_plane_name: str
    cluster_id: str = "Kubernetes"
    trust_domain: str = "cluster.local"
    dns_domain: str = "cluster.local"
    node_name: str = ""
    workload: str = ""
    mesh_id: str = "cluster.local"
    network: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pod_ports: str = "[]"
    concurrency: int = 1
    drain_seconds: float = 5.0
    log_level: str = "warning"
    probes: Mapping[str, Any] = field(default_factory=dict)
    prometheus: Mapping[str, Any] | None = None
    extra_metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def node_id(self) -> str:
        """`sidecar~ip~pod.ns~ns.svc.domain`."""
        address = self.addresses[0] if self.addresses else "0.0.0.0"
        return f"sidecar~{address}~{self.pod}.{self.namespace}~{self.namespace}.svc.{self.dns_domain}"

    @property
    def node_cluster(self) -> str:
        """The canonical service and its namespace, as in statistics and traces."""
        name = self.labels.get("service.istio.io/canonical-name") or self.labels.get("app") or self.workload or self.pod
        return f"{name}.{self.namespace}"


def _json(env: Mapping[str, str], name: str, default: Any) -> Any:
    text = env.get(name)
    if not text:
        return default
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadSettings(f"{name}: expected JSON, got {text!r} ({error})") from error


def _required(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise BadSettings(f"{name}: expected a value, got none; the injector sets it on the istio-proxy container")
    return env[name]


def from_environment(env: Mapping[str, str]) -> Settings:
    """The settings in a container's environment. Raises BadSettings."""
    proxy_config = _json(env, "PROXY_CONFIG", {})
    meta = {
        key.removeprefix("ISTIO_META_"): value
        for key, value in env.items()
        if key.startswith("ISTIO_META_") and not key.startswith("ISTIO_METAJSON_")
    }
    ca = host_port("CA_ADDR", _required(env, "CA_ADDR"))
    discovery = host_port("XDS_ADDR", env.get("XDS_ADDR") or f"{ca.host}:{ca.port + 1}")
    addresses = env.get("INSTANCE_IPS") or _required(env, "INSTANCE_IP")
    try:
        concurrency = int(proxy_config.get("concurrency") or 1)
    except (TypeError, ValueError) as error:
        got = proxy_config.get("concurrency")
        raise BadSettings(f"PROXY_CONFIG.concurrency: expected an integer, got {got!r}") from error
    return Settings(
        pod=_required(env, "POD_NAME"),
        namespace=_required(env, "POD_NAMESPACE"),
        service_account=env.get("SERVICE_ACCOUNT", "default"),
        addresses=tuple(each for each in addresses.split(",") if each),
        ca=ca,
        discovery=discovery,
        control_plane_name=env.get("CONTROL_PLANE_NAME") or ca.host,
        cluster_id=meta.pop("CLUSTER_ID", "Kubernetes"),
        trust_domain=env.get("TRUST_DOMAIN", "cluster.local"),
        dns_domain=env.get("DNS_DOMAIN", "cluster.local"),
        node_name=meta.pop("NODE_NAME", ""),
        workload=meta.pop("WORKLOAD_NAME", ""),
        mesh_id=meta.pop("MESH_ID", "cluster.local"),
        network=meta.pop("NETWORK", ""),
        labels=_json(env, "ISTIO_METAJSON_LABELS", {}),
        annotations=_json(env, "ISTIO_METAJSON_ANNOTATIONS", {}),
        pod_ports=meta.pop("POD_PORTS", "[]"),
        concurrency=concurrency,
        drain_seconds=seconds(proxy_config.get("terminationDrainDuration") or "5s"),
        log_level=env.get("PROXY_LOG_LEVEL", "warning"),
        probes=_json(env, "ISTIO_KUBE_APP_PROBERS", {}),
        prometheus=_json(env, "ISTIO_PROMETHEUS_ANNOTATIONS", None),
        extra_metadata=meta,
    )
