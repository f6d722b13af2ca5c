"""A Deployment of 10 plain pods: applied to ready, deleted to gone."""

from benchmarks.statistics import timed
from benchmarks.world import available, echo_deployment, environment
from kubeclient.resources import DEPLOYMENTS, PODS
from meshtest.kube import Kube

NAMESPACE = "default"
PODS_WANTED = 10


def measure() -> dict[str, float]:
    """`pods10_ready_s`: apply to all available; `pods10_gone_s`: delete to no pod left. The second of two rounds."""
    with environment() as running:
        kube = running.clusters[0].kube
        _round(kube, "first")
        ready, gone = _round(kube, "echo")
    return {"pods10_ready_s": ready, "pods10_gone_s": gone}


def _round(kube: Kube, name: str) -> tuple[float, float]:
    with timed() as ready:
        kube.apply(echo_deployment(name, NAMESPACE, PODS_WANTED))
        kube.wait_for(DEPLOYMENTS, name, NAMESPACE, until=available(PODS_WANTED), what="all replicas available")
    pods = [pod["metadata"]["name"] for pod in kube.list(PODS, NAMESPACE)]
    with timed() as gone:
        kube.delete(DEPLOYMENTS, name, NAMESPACE)
        for pod in pods:
            kube.wait_gone(PODS, pod, NAMESPACE)
    return ready.seconds, gone.seconds
