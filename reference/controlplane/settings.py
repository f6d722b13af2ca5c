"""What the installation tells the control plane through its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """One replica. kubeconfig None: the pod's service account."""

    namespace: str = "istio-system"
    pod: str = "istiod"
    revision: str = "default"
    cluster_id: str = "Kubernetes"
    dns_domain: str = "cluster.local"
    log_level: str = "INFO"
    bind: str = "0.0.0.0"
    kubeconfig: Path | None = None
    xds_token_port: int = 15012
    xds_port: int = 15013
    monitoring_port: int = 15014
    webhook_port: int = 15017
    ready_port: int = 8080

    @property
    def server_names(self) -> list[str]:
        """DNS names that clients know the control plane by."""
        short = f"istiod.{self.namespace}"
        return [f"{short}.svc", f"{short}.svc.{self.dns_domain}", short, "istiod", "istiod-remote", "localhost"]


def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
    """The settings in a container's environment; everything has a default."""
    kubeconfig = env.get("KUBECONFIG")
    return Settings(
        namespace=env.get("POD_NAMESPACE", "istio-system"),
        pod=env.get("POD_NAME", "istiod"),
        revision=env.get("REVISION", "default"),
        cluster_id=env.get("CLUSTER_ID", "Kubernetes"),
        dns_domain=env.get("DNS_DOMAIN", "cluster.local"),
        log_level=env.get("LOG_LEVEL", "info").upper(),
        kubeconfig=Path(kubeconfig) if kubeconfig else None,
    )
