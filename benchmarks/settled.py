"""From the API server's answer to settled, with 20 sidecars: changes that concern 2 of them, and all of them."""

import time

from benchmarks.statistics import percentile
from benchmarks.world import available, echo_deployment, echo_service, meshed
from kubeclient import Obj, Resource
from kubeclient.resources import DEPLOYMENTS
from meshtest.framework.context import TestContext
from meshtest.framework.mesh import ObjectRef

CHANGES = 200
NAMESPACES = 10
PODS_EACH = 2


def measure() -> dict[str, float]:
    """`settled_p50_ms`, `settled_p99_ms`: 2 of 20; `settled_all_p50_ms`, `settled_all_p99_ms`: all 20. 200 each."""
    with meshed() as context:
        kube = context.cluster.kube
        names = [f"bench-{number}" for number in range(NAMESPACES)]
        for name in names:
            context.ensure_namespace(name)
            kube.apply(echo_service("echo", name), echo_deployment("echo", name, PODS_EACH))
        for name in names:
            kube.wait_for(
                DEPLOYMENTS, "echo", name, until=available(PODS_EACH), what="all replicas available", deadline_s=60
            )
        two = _series(context, _route("two", names[0], ["."]), concerned=PODS_EACH)
        every = _series(context, _route("every", names[1], ["*"]), concerned=NAMESPACES * PODS_EACH)
    return {
        "settled_p50_ms": percentile(two, 0.5),
        "settled_p99_ms": percentile(two, 0.99),
        "settled_all_p50_ms": percentile(every, 0.5),
        "settled_all_p99_ms": percentile(every, 0.99),
    }


def _series(context: TestContext, route: Obj, concerned: int) -> list[float]:
    """Milliseconds of each change. A figure for another number of proxies than it claims would be a lie: an error."""
    kube = context.cluster.kube
    resource: Resource = kube.resources([route])[0]
    context.mesh.settle([ObjectRef.of(context.cluster.name, kube.apply(route)[0])])
    name, namespace = route["metadata"]["name"], route["metadata"]["namespace"]
    figures = []
    for number in range(CHANGES):
        route["spec"]["http"][0]["headers"]["request"]["set"]["x-change"] = str(number)
        answer = kube.patch(resource, name, {"spec": route["spec"]}, namespace)
        began = time.perf_counter()
        settled = context.mesh.settle([ObjectRef.of(context.cluster.name, answer)])
        figures.append((time.perf_counter() - began) * 1000)
        if len(settled.concerned) != concerned:
            raise RuntimeError(
                f"{namespace}/{name}: expected {concerned} proxies to be concerned, got {settled.concerned}"
            )
    return figures


def _route(name: str, namespace: str, export_to: list[str]) -> Obj:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hosts": [f"echo.{namespace}.svc.cluster.local"],
            "exportTo": export_to,
            "http": [
                {
                    "headers": {"request": {"set": {"x-change": "none"}}},
                    "route": [{"destination": {"host": f"echo.{namespace}.svc.cluster.local"}}],
                }
            ],
        },
    }
