"""What each process of the embedded cluster is told when it starts.

The supervisor forks its children, so descriptors are passed by number and nothing here is serialised.
A child owns the descriptors named in its config and closes them when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DNS_DOMAIN = "cluster.local"
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"
KUBE_DNS_IP = "10.96.0.10"
KUBELET_PORT = 10250
API_PORT = 6443


@dataclass(frozen=True, slots=True)
class ApiServerConfig:
    """One API server.

    sockets: listening TCP sockets (bound, ``listen`` called), host loopback first, then the management address.
    pki_dir: what ``pki.write_cluster_pki`` wrote for this cluster.
    netns_fd: the namespace in which sockets to kubelets, webhooks and aggregated services are created.
    advertise_address, advertise_port: where pods reach this server; the endpoint of ``default/kubernetes``.
    ready_fd: write one byte and close it when requests are answered.
    """

    cluster: str
    sockets: tuple[int, ...]
    pki_dir: Path
    netns_fd: int
    advertise_address: str
    advertise_port: int = API_PORT
    service_cidrs: tuple[str, ...] = (SERVICE_CIDR,)
    dns_domain: str = DNS_DOMAIN
    ready_fd: int | None = None


@dataclass(frozen=True, slots=True)
class ControllersConfig:
    """Controllers and scheduler of one cluster, a client of its API server.

    kubeconfig: authenticates as ``system:kube-controller-manager``.
    ca_cert: the cluster's CA in PEM, published as ``kube-root-ca.crt`` in every namespace.
    pod_cidrs: node name -> that node's pod range.
    ready_fd: write one byte and close it when every controller has synced.
    """

    cluster: str
    kubeconfig: Path
    ca_cert: Path
    dns_domain: str = DNS_DOMAIN
    pod_cidrs: dict[str, str] = field(default_factory=dict)
    service_cidrs: tuple[str, ...] = (SERVICE_CIDR,)
    ready_fd: int | None = None


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node: kubelet, service proxy and DNS of a network namespace.

    kubeconfig: authenticates as ``system:node:<name>``.
    state_dir: this node's own directory (0700) for logs and volumes.
    netns_fd: the node's namespace, with its links, address and routes in place.
    warm_fd: SOCK_SEQPACKET to the warm process, which starts the containers.
    address: the node's own address; the kubelet API listens on it.
    pod_cidr: this node's share; the first address is not used.
    api_address, api_port: the management address of the API server as pods reach it.
    dns_address: the cluster's DNS address, on a link of the node's namespace.
    dial_path: the Unix socket that hands out connections into pods; None: this node serves none.
    kubelet_cert, kubelet_key, ca_cert: PEM files of the kubelet's HTTPS server and of its clients' CA.
    ready_fd: write one byte and close it when the Node object is Ready.
    """

    cluster: str
    name: str
    kubeconfig: Path
    state_dir: Path
    netns_fd: int
    warm_fd: int
    address: str
    pod_cidr: str
    api_address: str
    kubelet_cert: Path
    kubelet_key: Path
    ca_cert: Path
    api_port: int = API_PORT
    dns_address: str = KUBE_DNS_IP
    dns_domain: str = DNS_DOMAIN
    service_cidrs: tuple[str, ...] = (SERVICE_CIDR,)
    kubelet_port: int = KUBELET_PORT
    kubernetes_service_ip: str = KUBERNETES_SERVICE_IP
    dial_path: Path | None = None
    node_index: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    ready_fd: int | None = None
