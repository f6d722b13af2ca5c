"""The node as a whole: registers itself, and gives each pod that is bound to it a worker."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
from typing import Any

from kubeclient import ApiError, Client, Event, Informer, KubeError
from kubeclient.resources import LEASES, NODES, PODS
from meshtest.embedded.node.host import Host
from meshtest.embedded.node.states import Obj
from meshtest.embedded.node.status import timestamp
from meshtest.embedded.node.worker import Worker

log = logging.getLogger(__name__)

VERSION = "v1.34.0"
LEASE_SECONDS = 40
HEARTBEAT = 10.0
MAX_PODS = 250


def node_object(name: str, address: str, pod_cidr: str, kubelet_port: int, labels: dict[str, str], now: float) -> Obj:
    """The Node as it registers itself, Ready."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    own = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": arch,
    }
    moment = timestamp(now)
    pressures = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    resources = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory}Ki",
        "pods": str(MAX_PODS),
        "ephemeral-storage": "100Gi",
    }
    return {
        "metadata": {
            "name": name,
            "labels": {**own, **labels},
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr], "providerID": f"meshtest://{name}"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": message,
                    "lastHeartbeatTime": moment,
                    "lastTransitionTime": moment,
                }
                for kind, status, reason, message in pressures
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": {
                "architecture": arch,
                "operatingSystem": "linux",
                "kernelVersion": platform.release(),
                "osImage": "meshtest embedded node",
                "containerRuntimeVersion": "meshtest://1",
                "kubeletVersion": VERSION,
                "kubeProxyVersion": VERSION,
                "machineID": name,
                "systemUUID": name,
                "bootID": name,
            },
        },
    }


class Kubelet:
    """Workers by pod uid, kept in step with the pods bound to this node."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.pods = Informer(host.client, PODS, field_selector=f"spec.nodeName={host.config.name}")
        self._workers: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def worker(self, namespace: str, name: str) -> Worker | None:
        """The worker of a pod by its name, if it is on this node."""
        pod = self.pods.get(namespace, name)
        return self._workers.get(pod["metadata"]["uid"]) if pod else None

    def start(self) -> None:
        """Begin to follow pods, and the config maps and secrets that they use."""
        self.pods.subscribe(self._pod_event)
        for informer in (self.host.config_maps, self.host.secrets):
            informer.subscribe(self._config_event)

    def _pod_event(self, event: Event) -> None:
        pod = event.obj
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if event.type == "DELETED":
            if worker is not None:
                worker.gone()
        elif worker is not None:
            worker.update(pod)
        elif (
            pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]
        ):
            self._adopt(uid, Worker(self.host, pod))

    def _adopt(self, uid: str, worker: Worker) -> None:
        self._workers[uid] = worker
        task = asyncio.create_task(worker.run(), name=f"pod {worker.key}")
        self._tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._workers.pop(uid, None)
            if not done.cancelled() and done.exception() is not None:
                log.error("worker of pod %s/%s failed", *worker.key, exc_info=done.exception())

        task.add_done_callback(ended)

    def _config_event(self, event: Event) -> None:
        metadata = event.obj["metadata"]
        for worker in list(self._workers.values()):
            if worker.key[0] == metadata.get("namespace") and metadata["name"] in config_names(worker.cell.pod):
                worker.config_changed()

    async def register(self) -> None:
        """Create or refresh the Node object; returns when the API server has it."""
        config = self.host.config
        node = node_object(
            config.name, config.address, config.pod_cidr, config.kubelet_port, dict(config.labels), time.time()
        )
        client = self.host.client
        while True:
            try:
                try:
                    await client.create(NODES, node)
                except ApiError as error:
                    if error.code != 409:
                        raise
                await client.patch(NODES, config.name, {"status": node["status"]}, subresource="status")
                return
            except KubeError as error:
                log.info("registering: %s", error)
                await asyncio.sleep(0.05)

    async def heartbeat(self) -> None:
        """Renew the node's lease for ever; that is how a cluster sees that a node lives."""
        name = self.host.config.name
        while True:
            try:
                await _renew(self.host.client, name)
            except KubeError as error:
                log.info("lease: %s", error)
            await asyncio.sleep(HEARTBEAT)


async def _renew(client: Client, name: str) -> None:
    renewed = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec: dict[str, Any] = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed}
    try:
        await client.patch(LEASES, name, {"spec": spec}, "kube-node-lease")
    except ApiError as error:
        if not error.is_not_found:
            raise
        await client.create(LEASES, {"metadata": {"name": name}, "spec": spec}, "kube-node-lease")


def config_names(pod: Obj) -> set[str]:
    """Names of all config maps and secrets that a pod refers to; both kinds together, since a false hit does no
    harm."""
    names: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("configMap", "configMapRef", "configMapKeyRef", "secretRef", "secretKeyRef", "secret"):
                    names.update(
                        str(inner[k]) for k in ("name", "secretName") if isinstance(inner, dict) and k in inner
                    )
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    for part in ("volumes", "containers", "initContainers"):
        collect(pod["spec"].get(part))
    return names
