"""EchoBuilder: deploys echoes together and returns when the mesh sends traffic to every one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kubeclient.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICE_ACCOUNTS, SERVICES
from meshtest.echo.config import STANDARD_PORTS, EchoConfig, Port, Subset, manifests
from meshtest.echo.control import Control
from meshtest.echo.instance import Apps, Echo
from meshtest.framework.errors import AuthorError
from meshtest.framework.mesh import ObjectRef
from meshtest.kube.client import is_ready
from meshtest.kube.errors import DeadlineExceeded

if TYPE_CHECKING:
    from meshtest.environment import Cluster
    from meshtest.framework.context import TestContext

Obj = dict[str, Any]
READY_SECONDS = 60.0
_RESOURCES = {"ServiceAccount": SERVICE_ACCOUNTS, "Service": SERVICES, "Deployment": DEPLOYMENTS}


class EchoBuilder:
    """Collects echoes; nothing happens before build().

    `EchoBuilder(ctx).with_(name="a").with_(name="b", subsets=["v1", "v2"]).build()` answers Apps, which go with `ctx`.
    """

    def __init__(self, ctx: TestContext, cluster: Cluster | None = None) -> None:
        self._ctx, self._cluster = ctx, cluster
        self._configs: list[EchoConfig] = []

    def with_(
        self,
        name: str,
        *,
        subsets: Sequence[Subset | str] = ("v1",),
        ports: Sequence[Port] = STANDARD_PORTS,
        namespace: str = "",
        proxy: bool = True,
        service_account: str = "",
    ) -> EchoBuilder:
        """One more echo; a subset may be given as its version alone. See EchoConfig."""
        made = tuple(Subset(each) if isinstance(each, str) else each for each in subsets)
        if not made:
            raise AuthorError(f"echo {name}: expected at least one subset")
        self._configs.append(EchoConfig(name, namespace, made, tuple(ports), proxy, service_account))
        return self

    def with_config(self, *configs: EchoConfig) -> EchoBuilder:
        """More echoes, as configs."""
        self._configs.extend(configs)
        return self

    def build(self) -> Apps:
        """Deploy all at once and wait. Errors: DeadlineExceeded with the pods that are not ready; ApiError."""
        ctx = self._ctx
        cluster = self._cluster or ctx.cluster
        configs = [replace(config, namespace=config.namespace or ctx.namespace) for config in self._configs]
        objects = [obj for config in configs for obj in manifests(config, cluster.name)]
        with ctx.step(f"deploy echoes {', '.join(config.name for config in configs)}"):
            ctx.track(lambda: _remove(cluster, objects), name="echoes", keep=True)
            cluster.kube.apply_together(objects)
            for obj in objects:
                if obj["kind"] == "Deployment":
                    _wait_ready(cluster, obj)
            self._settle(cluster, configs)
        control = Control(cluster.kube)
        ctx.track(control, name="control connections")
        return Apps(Echo(ctx, cluster, config, control) for config in configs)

    def _settle(self, cluster: Cluster, configs: Iterable[EchoConfig]) -> None:
        """Until every proxy that may call has every pod as an endpoint."""
        slices = [obj for config in configs for obj in _complete_slices(cluster, config)]
        self._ctx.mesh.settle([ObjectRef.of(cluster.name, obj) for obj in slices], timeout_s=READY_SECONDS)


def _wait_ready(cluster: Cluster, deployment: Obj) -> None:
    meta = deployment["metadata"]
    wanted = deployment["spec"]["replicas"]

    def rolled_out(obj: Obj | None) -> bool:
        if obj is None:
            return False
        status = obj.get("status", {})
        seen = status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
        return bool(seen and status.get("updatedReplicas", 0) >= wanted and status.get("readyReplicas", 0) >= wanted)

    try:
        cluster.kube.wait_for(
            DEPLOYMENTS,
            meta["name"],
            meta["namespace"],
            until=rolled_out,
            what=f"{wanted} ready replicas",
            deadline_s=READY_SECONDS,
        )
    except DeadlineExceeded as late:
        labels = ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())
        pods = cluster.kube.list(PODS, meta["namespace"], label_selector=labels)
        raise DeadlineExceeded(f"{late}\n{why_not_ready(pods)}") from None


def why_not_ready(pods: Sequence[Obj]) -> str:
    """One line for each container that is not ready."""
    lines = []
    for pod in pods:
        status: Mapping[str, Any] = pod.get("status", {})
        if is_ready(pod):
            continue
        states = [
            f"{each['name']}: {each.get('state') or 'no state'}, {each.get('restartCount', 0)} restarts"
            for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
            if not each.get("ready")
        ]
        detail = "; ".join(states) or status.get("message") or "no container status"
        lines.append(f"  pod {pod['metadata']['name']} is {status.get('phase')}: {detail}")
    return "\n".join(lines) or "  there is no pod"


def _complete_slices(cluster: Cluster, config: EchoConfig) -> list[Obj]:
    """The service's endpoint slices, once they hold as many ready addresses as it has pods."""
    wanted = sum(subset.replicas for subset in config.subsets)
    selector = f"kubernetes.io/service-name={config.name}"

    async def wait() -> list[Obj]:
        import asyncio

        client = cluster.kube.client
        async with asyncio.timeout(READY_SECONDS):
            while True:
                found = await client.list(ENDPOINT_SLICES, config.namespace, label_selector=selector)
                if _ready_addresses(found) >= wanted:
                    return list(found)
                async for _ in client.watch(
                    ENDPOINT_SLICES,
                    config.namespace,
                    label_selector=selector,
                    resource_version=found.resource_version,
                ):
                    break

    return cluster.kube.run(wait())


def _ready_addresses(slices: Iterable[Obj]) -> int:
    return len(
        {
            address
            for each in slices
            for endpoint in each.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready", True)
            for address in endpoint["addresses"]
        }
    )


def _remove(cluster: Cluster, objects: Sequence[Obj]) -> None:
    kube = cluster.kube
    for obj in reversed(objects):
        kube.delete(_RESOURCES[obj["kind"]], obj["metadata"]["name"], obj["metadata"]["namespace"])
