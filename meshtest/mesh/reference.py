"""The driver of the reference mesh: installs it, asks its settled barrier, reads its sidecars' access logs."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kubeclient import ApiError, Informer, KubeError, Obj
from kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, MUTATING_WEBHOOKS, PODS, VALIDATING_WEBHOOKS
from meshtest.environment import Cluster, Environment
from meshtest.framework.errors import NotSettled
from meshtest.framework.mesh import DEFAULT_PROFILE, AccessLogLine, ObjectRef, PodRef, Profile, Settled
from meshtest.kube import DeadlineExceeded
from meshtest.kube.client import is_ready
from meshtest.mesh import settling
from meshtest.mesh.accesslog import lines_about
from meshtest.mesh.podhttp import PodHttp

if TYPE_CHECKING:
    from concurrent.futures import Future

NAMESPACE = "istio-system"
MESH_CONFIG_MAP = "istio"
PROXY = "istio-proxy"
DEBUG_PORT = 15014
ADMIN_PORT = 15000
READY_SECONDS = 40.0
LOG_SECONDS = 2.0
DUMP_BYTES = 4 << 20
_WEBHOOKS = {"MutatingWebhookConfiguration": MUTATING_WEBHOOKS, "ValidatingWebhookConfiguration": VALIDATING_WEBHOOKS}


class ReferenceMesh:
    """One reference mesh on every cluster of an environment."""

    name = "reference"
    capabilities = frozenset({"mtls", "sidecar", "access_log", "settled"})
    dialects = frozenset({"istio"})
    root_namespace = NAMESPACE

    def __init__(self) -> None:
        self._planes: dict[str, _ControlPlane] = {}

    def attach(self, environment: Environment) -> None:
        """Nothing is sent yet."""
        self._planes = {cluster.name: _ControlPlane(cluster) for cluster in environment.clusters}

    def close(self) -> None:
        """Stop watching the control planes."""
        for plane in self._planes.values():
            plane.close()

    def install(self, profile: Profile = DEFAULT_PROFILE) -> None:
        """CRDs, control plane, webhooks; returns when injection works."""
        from reference.install import InstallValues, install, render

        mesh_config = _nested(profile.mesh_config)
        values = InstallValues(mesh_config=mesh_config) if mesh_config else InstallValues()
        for plane in self._planes.values():
            kube = plane.cluster.kube
            kube.run(install(kube.client, values))
        for plane in self._planes.values():
            plane.wait_ready(render(values))

    def uninstall(self) -> None:
        """Remove what install made."""
        from reference.install import InstallValues, uninstall

        for plane in self._planes.values():
            plane.close()
            kube = plane.cluster.kube
            kube.run(uninstall(kube.client, InstallValues()))

    def reconfigure(self, mesh_config: Mapping[str, Any]) -> None:
        """Merge settings into the mesh config and wait until every proxy works with them."""
        references = []
        for plane in self._planes.values():
            kube = plane.cluster.kube
            current = kube.get(CONFIG_MAPS, MESH_CONFIG_MAP, NAMESPACE)
            merged = _merged(yaml.safe_load(current["data"]["mesh"]) or {}, mesh_config)
            body = {"data": {"mesh": yaml.safe_dump(merged)}}
            answer = kube.patch(CONFIG_MAPS, MESH_CONFIG_MAP, body, NAMESPACE)
            references.append(ObjectRef.of(plane.cluster.name, answer))
        self.settle(references)

    def namespace_labels(self) -> Mapping[str, str]:
        """Sidecar injection."""
        return {"istio-injection": "enabled"}

    def settle(self, objects: Sequence[ObjectRef], *, timeout_s: float = 10.0) -> Settled:
        """Ask every ready replica of each cluster concerned."""
        concerned: list[str] = []
        elapsed = 0.0
        for name, plane in self._planes.items():
            asked = [each for each in objects if each.cluster == name]
            if asked:
                for settled in plane.settle(asked, timeout_s):
                    concerned.extend(settled.concerned)
                    elapsed = max(elapsed, settled.elapsed_ms)
        return Settled(tuple(dict.fromkeys(concerned)), elapsed)

    def access_log(self, request_id: str, pods: Sequence[PodRef]) -> list[AccessLogLine]:
        """Lines of the sidecars; a line that is still being written is waited for, for at most 2 s."""
        deadline = time.monotonic() + LOG_SECONDS
        while True:
            found = [line for pod in pods for line in self._lines(request_id, pod)]
            if {line.pod for line in found} == set(pods) or time.monotonic() > deadline:
                return found
            time.sleep(0.1)  # nothing announces that a log was flushed

    def identity(self, namespace: str, service_account: str) -> str:
        """SPIFFE, in the default trust domain."""
        return f"spiffe://cluster.local/ns/{namespace}/sa/{service_account}"

    def dump(self, pods: Sequence[PodRef], directory: Path) -> None:
        """Each proxy's config_dump, clusters and stats; the control plane's log."""
        for plane in self._planes.values():
            for pod in pods:
                if pod.cluster == plane.cluster.name:
                    for page in ("config_dump", "clusters", "stats?usedonly"):
                        path = directory / f"{pod.namespace}.{pod.name}.{page.partition('?')[0]}"
                        _write(path, partial(plane.admin_page, pod, page))
            for name in plane.replicas():
                path = directory / f"{plane.cluster.name}.{name}.log"
                _write(path, partial(plane.log, name))

    def _lines(self, request_id: str, pod: PodRef) -> list[AccessLogLine]:
        kube = self._planes[pod.cluster].cluster.kube
        try:
            log = kube.logs(pod.namespace, pod.name, PROXY)
        except ApiError:
            return []  # no sidecar there, or the pod is gone
        return lines_about(request_id, pod, log.splitlines())


class _ControlPlane:
    """One cluster's control plane: its ready replicas, watched, and connections to their debug port."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._http = PodHttp(cluster.kube.dial)
        self._informer: Informer | None = None
        self._watching: Future[None] | None = None

    def close(self) -> None:
        """Idempotent."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = self._informer = None
        self._http.close()

    def wait_ready(self, manifests: Iterable[Obj]) -> None:
        """Until the deployments have rolled out and the webhooks trust the control plane."""
        kube = self.cluster.kube
        for obj in manifests:
            meta, kind = obj["metadata"], obj["kind"]
            if kind == "Deployment":
                try:
                    kube.wait_for(
                        DEPLOYMENTS,
                        meta["name"],
                        meta.get("namespace", NAMESPACE),
                        until=_rolled_out,
                        what="all replicas available",
                        deadline_s=READY_SECONDS,
                    )
                except DeadlineExceeded as error:
                    raise DeadlineExceeded(f"{error}\n{self._state_of_pods()}") from None
        for obj in manifests:
            if (resource := _WEBHOOKS.get(obj["kind"])) is not None:
                kube.wait_for(
                    resource,
                    obj["metadata"]["name"],
                    until=_trusted,
                    what="a caBundle in every webhook",
                    deadline_s=READY_SECONDS,
                )

    def settle(self, objects: Sequence[ObjectRef], timeout_s: float) -> list[Settled]:
        """One outcome for each ready replica. Errors: NotSettled."""
        replicas = self.replicas()
        if not replicas:
            raise NotSettled(
                f"{', '.join(map(str, objects))}: no ready control plane in {self.cluster.name}/{NAMESPACE}"
            )
        body = settling.question(objects, timeout_s)
        outcomes = []
        for name in replicas:
            try:
                status, data = self._http.request(
                    (NAMESPACE, name, DEBUG_PORT), "POST", settling.PATH, body, timeout_s=timeout_s + 5.0
                )
            except (OSError, http.client.HTTPException) as error:
                raise NotSettled(f"{', '.join(map(str, objects))}: asking {name}: {error}") from error
            outcomes.append(settling.answer(status, data, objects, name))
        return outcomes

    def replicas(self) -> list[str]:
        """Names of ready control-plane pods."""
        if self._informer is None:
            self._informer = Informer(self.cluster.kube.client, PODS, namespace=NAMESPACE, label_selector="app=istiod")
            self._watching = self.cluster.kube.loop.submit(self._informer.run())
            self.cluster.kube.run(_synced(self._informer))
        return sorted(name for (_, name), pod in list(self._informer.store.items()) if is_ready(pod))

    def _state_of_pods(self) -> str:
        """What explains a control plane that does not come up: container states and the tail of each log."""
        kube, lines = self.cluster.kube, []
        for pod in kube.list(PODS, NAMESPACE):
            name = pod["metadata"]["name"]
            states = [each.get("state") for each in pod.get("status", {}).get("containerStatuses", ())]
            lines.append(f"  {name}: {pod.get('status', {}).get('phase')} {states}")
            try:
                lines.extend(f"    {line}" for line in kube.logs(NAMESPACE, name, tail_lines=15).splitlines())
            except KubeError as error:
                lines.append(f"    no log: {error}")
        return "\n".join(lines) or "  no pod exists; see the cluster's controllers.log"

    def log(self, replica: str) -> bytes:
        """The tail of a replica's log."""
        return self.cluster.kube.logs(NAMESPACE, replica, tail_lines=2000).encode()

    def admin_page(self, pod: PodRef, page: str) -> bytes:
        """A page of a sidecar's admin interface."""
        return self._http.request((pod.namespace, pod.name, ADMIN_PORT), "GET", f"/{page}")[1]


async def _synced(informer: Informer) -> None:
    import asyncio

    async with asyncio.timeout(10):
        await informer.synced.wait()


def _rolled_out(obj: Obj | None) -> bool:
    if obj is None:
        return False
    status, wanted = obj.get("status", {}), obj["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
    return bool(seen and status.get("availableReplicas", 0) >= wanted)


def _trusted(obj: Obj | None) -> bool:
    return obj is not None and all(each["clientConfig"].get("caBundle") for each in obj.get("webhooks", ()))


def _nested(settings: Iterable[tuple[str, str]]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, text in settings:
        *parents, last = path.split(".")
        here = nested
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = json.loads(text)
    return nested


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch of one level into another: null removes."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _write(path: Path, content: Any) -> None:
    """What is to be had, within bounds; a failure becomes the file's text."""
    try:
        data: bytes = content()
    except Exception as error:
        data = f"not available: {type(error).__name__}: {error}\n".encode()
    path.write_bytes(data if len(data) <= DUMP_BYTES else data[:DUMP_BYTES] + b"\n... cut\n")
