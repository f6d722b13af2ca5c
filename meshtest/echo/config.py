"""What an echo is to be, and the Kubernetes objects that make it so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshtest.framework.errors import AuthorError
from meshtest.framework.manifests import author

Obj = dict[str, Any]
IMAGE = "meshtest/echo"
SCHEMES = {"http": "http", "http2": "http2", "grpc": "grpc", "https": "https", "tcp": "tcp", "tcp-server": "tcp"}
FLAGS = {
    "http": "--http",
    "http2": "--http2",
    "grpc": "--grpc",
    "https": "--https",
    "tcp": "--tcp",
    "tcp-server": "--tcp-server-first",
}


@dataclass(frozen=True, slots=True)
class Port:
    """A service port and the workload's port behind it.

    protocol: http, http2, grpc, https, tcp or tcp-server (the server speaks first). The port's name tells the mesh the
    protocol, as Istio's convention has it, unless it starts with `auto-`.
    """

    name: str
    protocol: str
    service_port: int
    workload_port: int

    @property
    def scheme(self) -> str:
        """How a call to this port is made unless it says otherwise."""
        return SCHEMES[self.protocol]


STANDARD_PORTS = (
    Port("http", "http", 80, 8080),
    Port("http2", "http2", 85, 8085),
    Port("grpc", "grpc", 7070, 17070),
    Port("tcp", "tcp", 9090, 19090),
    Port("tcp-server", "tcp-server", 9091, 19091),
    Port("https", "https", 443, 8443),
)


@dataclass(frozen=True, slots=True)
class Subset:
    """Pods of one version: a Deployment of its own."""

    version: str = "v1"
    replicas: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EchoConfig:
    """One echo service. proxy=False keeps a sidecar away from it. namespace: default the context's."""

    name: str
    namespace: str = ""
    subsets: tuple[Subset, ...] = (Subset(),)
    ports: tuple[Port, ...] = STANDARD_PORTS
    proxy: bool = True
    service_account: str = ""
    """Default: the echo's name."""

    @property
    def account(self) -> str:
        """The service account that its pods run as."""
        return self.service_account or self.name

    def host(self, domain: str = "cluster.local") -> str:
        """The service's full name."""
        return f"{self.name}.{self.namespace}.svc.{domain}"

    def port(self, name: str) -> Port:
        """By name. Errors: AuthorError that lists the names."""
        found = next((port for port in self.ports if port.name == name), None)
        if found is None:
            names = ", ".join(port.name for port in self.ports)
            raise AuthorError(f"{author()}: echo {self.name} has no port {name!r}; hint: it has {names}")
        return found


def manifests(config: EchoConfig, cluster: str) -> list[Obj]:
    """ServiceAccount, Service and a Deployment for each subset; they need no order."""
    meta = {"name": config.name, "namespace": config.namespace, "labels": {"app": config.name}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**meta, "name": config.account}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {
            "selector": {"app": config.name},
            "ports": [
                {"name": port.name, "port": port.service_port, "targetPort": port.workload_port, "protocol": "TCP"}
                for port in config.ports
            ],
        },
    }
    return [account, service, *(_deployment(config, subset, cluster) for subset in config.subsets)]


def _deployment(config: EchoConfig, subset: Subset, cluster: str) -> Obj:
    labels = {"app": config.name, "version": subset.version}
    inject = {} if config.proxy else {"sidecar.istio.io/inject": "false"}
    health = next((port.workload_port for port in config.ports if port.protocol in ("http", "http2")), None)
    probe = {"httpGet": {"path": "/healthz", "port": health}} if health else {"tcpSocket": {"port": _first(config)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{config.name}-{subset.version}", "namespace": config.namespace, "labels": labels},
        "spec": {
            "replicas": subset.replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": {**labels, **inject, **subset.labels},
                    "annotations": dict(subset.annotations),
                },
                "spec": {
                    "serviceAccountName": config.account,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {
                            "name": "app",
                            "image": IMAGE,
                            "imagePullPolicy": "IfNotPresent",
                            "args": _arguments(config, subset, cluster),
                            "env": [
                                {"name": "INSTANCE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                                {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                            ],
                            "ports": [{"containerPort": port.workload_port} for port in config.ports],
                            "readinessProbe": {**probe, "periodSeconds": 1, "failureThreshold": 10},
                        }
                    ],
                },
            },
        },
    }


def _arguments(config: EchoConfig, subset: Subset, cluster: str) -> list[str]:
    listens = [part for port in config.ports for part in (FLAGS[port.protocol], str(port.workload_port))]
    return [*listens, "--version", subset.version, "--service", config.name, "--cluster", cluster]


def _first(config: EchoConfig) -> int:
    return config.ports[0].workload_port
