"""Several nodes and clusters in one set: who reaches whom."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from kubeclient import Client, connection_from_kubeconfig
from kubeclient.resources import PODS, SERVICES
from meshtest.embedded import ClusterSet, ClusterSetSpec, ClusterSpec

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts"),
]

Obj = dict[str, Any]
EAST = ClusterSpec("east", nodes=2, network="one")
NEAR = ClusterSpec("near", network="one", pod_cidr="10.245.0.0/16")
WEST = ClusterSpec("west", network="two")


@pytest.fixture(scope="module")
def embedded() -> Iterator[ClusterSet]:
    with ClusterSet.start(ClusterSetSpec(f"t-nets-{uuid.uuid4().hex[:6]}", [EAST, NEAR, WEST])) as started:
        yield started


@pytest.fixture
async def clients(embedded: ClusterSet) -> AsyncIterator[dict[str, Client]]:
    opened = {name: Client(connection_from_kubeconfig(embedded.kubeconfig(name))) for name in embedded.clusters}
    yield opened
    for client in opened.values():
        await client.close()


async def run_pod(client: Client, name: str, node: str, *command: str, **spec: object) -> Obj:
    """Start a pod and wait until it is Ready."""
    container: Obj = {"name": "c", "image": "meshtest/host", "command": list(command)}
    if command[0] == "python3":
        container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    body = {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }
    deadline = time.monotonic() + 10
    await client.create(PODS, body)
    while True:
        pod = await client.get(PODS, name, "default")
        if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ())):
            return pod
        assert time.monotonic() < deadline, pod["status"]
        await asyncio.sleep(0.01)


SERVE = ("python3", "-m", "http.server", "8080", "--directory", "/etc")


async def fetch(client: Client, pod: str, url: str) -> str:
    """What curl in a pod gets; ``exit N`` when it fails."""
    result = await client.exec("default", pod, "c", ["curl", "-sS", "-m", "2", url])
    return result.stdout.decode() if result.exit_code == 0 else f"exit {result.exit_code}"


async def test_pods_reach_each_other_across_nodes_and_clusters_of_a_network_only(clients: dict[str, Client]) -> None:
    east, near, west = clients["east"], clients["near"], clients["west"]
    pods = await asyncio.gather(
        run_pod(east, "a", "east-node-0", "sleep", "600"),
        run_pod(east, "b", "east-node-1", *SERVE),
        run_pod(near, "c", "near-node-0", *SERVE),
        run_pod(west, "d", "west-node-0", *SERVE),
        run_pod(west, "e", "west-node-0", "sleep", "600"),
        run_pod(east, "h", "east-node-0", "sleep", "600", hostNetwork=True),
    )
    _, b, c, d, _, h = (pod["status"]["podIP"] for pod in pods)
    assert b.startswith("10.244.1.") and c.startswith("10.245.0.") and d.startswith("10.244.0.")
    assert await fetch(east, "a", f"http://{b}:8080/hostname") == "b\n"
    assert await fetch(east, "a", f"http://{c}:8080/hostname") == "c\n"
    assert await fetch(west, "e", f"http://{d}:8080/hostname") == "d\n"
    assert (await fetch(west, "e", f"http://{c}:8080/hostname")).startswith("exit"), "another network"
    assert h == "172.31.0.10"
    assert await fetch(east, "h", f"http://{b}:8080/hostname") == "b\n"
    seen = (await east.logs("default", "b")).splitlines()
    assert any(line.startswith(pods[0]["status"]["podIP"]) for line in seen), "the client's address is kept"

    service: Obj = {"metadata": {"name": "b", "namespace": "default"}, "spec": {"selector": {"app": "b"}}}
    service["spec"]["ports"] = [{"port": 80, "targetPort": 8080}]
    await east.create(SERVICES, service)
    deadline = time.monotonic() + 5
    while (answer := await fetch(east, "a", "http://b/hostname")) != "b\n":
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.02)
    for client, pod in ((east, "a"), (west, "e")):
        answer = await fetch(client, pod, "https://kubernetes.default.svc/version")
        assert answer == "exit 60", "the API server is there, with a certificate of a CA that curl does not know"
    assert await fetch(west, "e", "http://b.default.svc.cluster.local/hostname") == "exit 6", "another cluster's names"
