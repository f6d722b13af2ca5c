"""What is added to a pod: the init container that writes the packet rules, the proxy, and their volumes. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]
CONTAINER, INIT_CONTAINER = "istio-proxy", "istio-init"
UID = 1337
TOKEN_SECONDS = 43200


@dataclass(frozen=True, slots=True)
class SidecarValues:
    """What the installation decides about sidecars. `proxy_config` is Istio's ProxyConfig as JSON."""

    image: str = "meshtest/proxy"
    namespace: str = "istio-system"
    trust_domain: str = "cluster.local"
    dns_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    network: str = ""
    mesh_id: str = "cluster.local"
    log_level: str = "warning"
    proxy_config: Obj = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Obj) -> "SidecarValues":
        """From the config map istio-sidecar-injector; unknown keys are left for others."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**known)

    @property
    def control_plane(self) -> str:
        return f"istiod.{self.namespace}.svc"


def _field(name: str, path: str) -> Obj:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


@dataclass(frozen=True, slots=True)
class Workload:
    """What the injector found out about the pod."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    ports: list[Obj]
    containers: list[str]
    probes: Obj
    prometheus: Obj | None
    proxy_config: Obj


def environment(values: SidecarValues, workload: Workload) -> list[Obj]:
    """The proxy's environment, which `reference.agent.settings` reads."""
    host = f"{values.control_plane}.{values.dns_domain}."
    plain = {
        "CA_ADDR": f"{host}:15012",
        "XDS_ADDR": f"{host}:15013",
        "CONTROL_PLANE_NAME": values.control_plane,
        "TRUST_DOMAIN": values.trust_domain,
        "DNS_DOMAIN": values.dns_domain,
        "PROXY_LOG_LEVEL": values.log_level,
        "PROXY_CONFIG": _compact({**values.proxy_config, **workload.proxy_config}),
        "ISTIO_META_CLUSTER_ID": values.cluster_id,
        "ISTIO_META_MESH_ID": values.mesh_id,
        "ISTIO_META_NETWORK": values.network,
        "ISTIO_META_WORKLOAD_NAME": workload.name,
        "ISTIO_META_APP_CONTAINERS": ",".join(workload.containers),
        "ISTIO_META_POD_PORTS": _compact(workload.ports),
        "ISTIO_METAJSON_LABELS": _compact(workload.labels),
        "ISTIO_METAJSON_ANNOTATIONS": _compact(workload.annotations),
    }
    if workload.probes:
        plain["ISTIO_KUBE_APP_PROBERS"] = _compact(workload.probes)
    if workload.prometheus:
        plain["ISTIO_PROMETHEUS_ANNOTATIONS"] = _compact(workload.prometheus)
    return [
        _field("POD_NAME", "metadata.name"),
        _field("POD_NAMESPACE", "metadata.namespace"),
        _field("INSTANCE_IP", "status.podIP"),
        _field("INSTANCE_IPS", "status.podIPs"),
        _field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        _field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        *({"name": name, "value": value} for name, value in plain.items()),
    ]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def init_container(values: SidecarValues, workload: Workload) -> Obj:
    """Writes the packet rules, as root of the pod's network namespace, and ends."""
    return {
        "name": INIT_CONTAINER,
        "image": values.image,
        "args": ["istio-init"],
        "env": [{"name": "ISTIO_METAJSON_ANNOTATIONS", "value": _compact(workload.annotations)}],
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
    }


def proxy_container(values: SidecarValues, workload: Workload) -> Obj:
    """The agent with its Envoy."""
    ready = {"httpGet": {"path": "/healthz/ready", "port": 15021}, "timeoutSeconds": 3}
    return {
        "name": CONTAINER,
        "image": values.image,
        "args": ["proxy"],
        "env": environment(values, workload),
        "ports": [{"name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP"}],
        # An agent that still starts holds the request until it is ready, so this costs no polling interval.
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**ready, "periodSeconds": 15, "failureThreshold": 4},
        "securityContext": {
            "runAsUser": UID,
            "runAsGroup": UID,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "40Mi"}},
        "volumeMounts": [
            {"name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds"},
            {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio"},
            {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"},
            {"name": "istio-token", "mountPath": "/var/run/secrets/tokens"},
        ],
    }


def volumes() -> list[Obj]:
    """The proxy's volumes: SDS socket, mesh root, Envoy's bootstrap, and a token good for the CA alone."""
    token = {"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": TOKEN_SECONDS, "path": "istio-token"}}
    return [
        {"name": "workload-socket", "emptyDir": {}},
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-token", "projected": {"sources": [token]}},
    ]
