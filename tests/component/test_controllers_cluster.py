"""The controllers in a running cluster: workloads, endpoints, namespaces and owners, from create to gone."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from kubeclient import ApiError, Client, Informer, Obj, Resource, connection_from_kubeconfig
from kubeclient.resources import (
    CONFIG_MAPS,
    CRDS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)
from meshtest.embedded import ClusterSet, ClusterSetSpec

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts"),
]
SECONDS = 20.0
SLEEP = {"name": "c", "image": "meshtest/host", "command": ["/bin/sh", "-c", "trap exit TERM; sleep 1000 & wait"]}
STARTS = {"name": "c", "image": "meshtest/host", "command": ["/bin/true"]}


@pytest.fixture(scope="module")
def running() -> Iterator[ClusterSet]:
    with ClusterSet.start(ClusterSetSpec(f"t-controllers-{uuid.uuid4().hex[:6]}")) as started:
        yield started


@pytest.fixture
async def client(running: ClusterSet) -> AsyncIterator[Client]:
    async with Client(connection_from_kubeconfig(running.kubeconfig())) as made:
        yield made


@pytest.fixture
async def namespace(client: Client) -> str:
    name = f"t-{uuid.uuid4().hex[:6]}"
    await client.create(NAMESPACES, {"metadata": {"name": name}})
    # As in Kubernetes, bare pods are refused until their namespace has its service account.
    await until(client, SERVICE_ACCOUNTS, name, lambda found: bool(found))
    return name


async def until(client: Client, resource: Resource, namespace: str, holds: Callable[[list[Obj]], object]) -> list[Obj]:
    """All objects of a namespace, once something holds of them; fails with what there was."""
    informer = Informer(client, resource, namespace)
    changed = asyncio.Event()
    informer.subscribe(lambda _event: changed.set())
    task = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(SECONDS):
            await informer.synced.wait()
            while not holds(list(informer.store.values())):
                changed.clear()
                await changed.wait()
    except TimeoutError:
        shown = [(obj["metadata"]["name"], obj.get("status")) for obj in informer.store.values()]
        pytest.fail(f"{resource} in {namespace} after {SECONDS:g} s: {shown}")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return sorted(informer.store.values(), key=lambda obj: str(obj["metadata"]["name"]))


def workload(name: str, namespace: str, **spec: Any) -> Obj:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [SLEEP]},
    }
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def is_rolled_out(count: int) -> Callable[[list[Obj]], bool]:
    def holds(objects: list[Obj]) -> bool:
        if not objects:
            return False
        status, generation = objects[0].get("status", {}), objects[0]["metadata"]["generation"]
        keys = ("replicas", "updatedReplicas", "availableReplicas")
        return status.get("observedGeneration") == generation and all(status.get(key) == count for key in keys)

    return holds


async def test_a_deployment_rolls_out_and_everything_goes_with_it(client: Client, namespace: str) -> None:
    await client.create(DEPLOYMENTS, workload("web", namespace, replicas=4))
    await until(client, DEPLOYMENTS, namespace, is_rolled_out(4))
    before = {pod["metadata"]["uid"] for pod in await client.list(PODS, namespace)}
    change = {"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}}
    await client.patch(DEPLOYMENTS, "web", change, namespace)
    await until(client, DEPLOYMENTS, namespace, is_rolled_out(4))
    after = await until(client, PODS, namespace, lambda pods: len(pods) == 4)
    assert not before & {pod["metadata"]["uid"] for pod in after}
    assert sorted(item["spec"]["replicas"] for item in await client.list(REPLICA_SETS, namespace)) == [0, 4]
    await client.delete(DEPLOYMENTS, "web", namespace, propagation="Background")
    await until(client, PODS, namespace, lambda pods: not pods)
    assert not await client.list(REPLICA_SETS, namespace)


async def test_a_deployment_says_why_it_has_no_pods(client: Client, namespace: str) -> None:
    obj = workload("web", namespace, replicas=1)
    obj["spec"]["template"]["spec"]["serviceAccountName"] = "later"
    await client.create(DEPLOYMENTS, obj)

    def failure(found: list[Obj]) -> Obj | None:
        conditions = found[0].get("status", {}).get("conditions") or ()
        return next((item for item in conditions if item["type"] == "ReplicaFailure"), None)

    (told,) = await until(client, DEPLOYMENTS, namespace, failure)
    assert 'serviceaccount "later" not found' in str(failure([told]))
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "later", "namespace": namespace}})
    await until(client, DEPLOYMENTS, namespace, is_rolled_out(1))
    await until(client, DEPLOYMENTS, namespace, lambda found: failure(found) is None)


async def test_endpoints_follow_readiness_and_deletion(client: Client, namespace: str) -> None:
    await client.create(DEPLOYMENTS, workload("web", namespace, replicas=2))
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    service = {
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": ports},
    }
    await client.create(SERVICES, service)

    def ready(slices: list[Obj]) -> int:
        return sum(1 for item in slices for end in item["endpoints"] or () if end["conditions"]["ready"])

    (shown,) = await until(client, ENDPOINT_SLICES, namespace, lambda slices: ready(slices) == 2)
    pods = {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in await client.list(PODS, namespace)}
    assert {end["addresses"][0]: end["targetRef"]["name"] for end in shown["endpoints"]} == pods
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, namespace)
    await until(client, ENDPOINT_SLICES, namespace, lambda slices: ready(slices) == 0)
    await client.delete(SERVICES, "web", namespace)
    await until(client, ENDPOINT_SLICES, namespace, lambda slices: not slices)


async def test_foreground_deletion_ends_with_the_owner(client: Client, namespace: str) -> None:
    await client.create(DEPLOYMENTS, workload("web", namespace, replicas=1))
    await until(client, DEPLOYMENTS, namespace, is_rolled_out(1))
    await client.delete(DEPLOYMENTS, "web", namespace, propagation="Foreground")
    await until(client, DEPLOYMENTS, namespace, lambda left: not left)
    assert not await client.list(REPLICA_SETS, namespace)
    assert not await client.list(PODS, namespace)


async def test_orphans_live_on_and_are_adopted_again(client: Client, namespace: str) -> None:
    await client.create(REPLICA_SETS, workload("web", namespace, replicas=1))
    (pod,) = await until(client, PODS, namespace, lambda pods: len(pods) == 1)
    await client.delete(REPLICA_SETS, "web", namespace, propagation="Orphan")
    await until(client, REPLICA_SETS, namespace, lambda left: not left)
    (orphan,) = await client.list(PODS, namespace)
    assert not orphan["metadata"].get("ownerReferences")
    await client.create(REPLICA_SETS, workload("web", namespace, replicas=1))
    (adopted,) = await until(client, PODS, namespace, lambda pods: bool(pods[0]["metadata"].get("ownerReferences")))
    assert adopted["metadata"]["uid"] == pod["metadata"]["uid"]


async def test_objects_owned_by_custom_objects_go_with_them(client: Client, namespace: str) -> None:
    group = f"t{uuid.uuid4().hex[:6]}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    await client.create(
        CRDS,
        {
            "metadata": {"name": f"widgets.{group}"},
            "spec": {
                "group": group,
                "names": {"plural": "widgets", "kind": "Widget"},
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        },
    )
    widgets = Resource(group, "v1", "widgets", "Widget")
    owner = await client.create(widgets, {"metadata": {"name": "w", "namespace": namespace}})
    reference = {"apiVersion": f"{group}/v1", "kind": "Widget", "name": "w", "uid": owner["metadata"]["uid"]}
    owned = {"metadata": {"name": "owned", "namespace": namespace, "ownerReferences": [reference]}}
    await client.create(CONFIG_MAPS, owned)
    await client.delete(widgets, "w", namespace)
    await until(client, CONFIG_MAPS, namespace, lambda maps: "owned" not in [item["metadata"]["name"] for item in maps])
    await client.delete(CRDS, f"widgets.{group}")


async def test_what_names_an_owner_that_never_was_goes(client: Client, namespace: str) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": str(uuid.uuid4())}
    owned = {"metadata": {"name": "owned", "namespace": namespace, "ownerReferences": [reference]}}
    await client.create(CONFIG_MAPS, owned)
    await until(client, CONFIG_MAPS, namespace, lambda maps: "owned" not in [item["metadata"]["name"] for item in maps])


async def test_stateful_daemon_and_job(client: Client, namespace: str) -> None:
    await client.create(STATEFUL_SETS, workload("db", namespace, replicas=2, serviceName="db"))
    await client.create(DAEMON_SETS, workload("agent", namespace))
    once = {"restartPolicy": "Never", "containers": [STARTS]}
    job = {"metadata": {"name": "once", "namespace": namespace}, "spec": {"completions": 2, "template": {"spec": once}}}
    await client.create(JOBS, job)
    await until(client, STATEFUL_SETS, namespace, lambda sets: sets[0].get("status", {}).get("readyReplicas") == 2)
    await until(client, DAEMON_SETS, namespace, lambda sets: sets[0].get("status", {}).get("numberReady") == 1)
    await until(client, JOBS, namespace, lambda jobs: jobs[0].get("status", {}).get("succeeded") == 2)
    names = [pod["metadata"]["name"] for pod in await client.list(PODS, namespace, label_selector="app=db")]
    assert sorted(names) == ["db-0", "db-1"]


async def test_a_namespace_has_its_account_and_authority_again_and_drains(client: Client, namespace: str) -> None:
    (first,) = await until(client, SERVICE_ACCOUNTS, namespace, lambda found: len(found) == 1)
    await client.delete(SERVICE_ACCOUNTS, "default", namespace)
    await until(
        client,
        SERVICE_ACCOUNTS,
        namespace,
        lambda found: bool(found) and found[0]["metadata"]["uid"] != first["metadata"]["uid"],
    )
    maps = await client.list(CONFIG_MAPS, namespace)
    assert [item["metadata"]["name"] for item in maps] == ["kube-root-ca.crt"]
    await client.create(DEPLOYMENTS, workload("web", namespace, replicas=2))
    await until(client, DEPLOYMENTS, namespace, is_rolled_out(2))
    await client.delete(NAMESPACES, namespace)
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                left = await client.get(NAMESPACES, namespace)
            except ApiError as error:
                assert error.is_not_found
                break
            assert left["status"]["phase"] == "Terminating"
            await asyncio.sleep(0.02)
    assert not await client.list(PODS, namespace)


async def test_a_pod_that_fits_nowhere_says_why(client: Client, namespace: str) -> None:
    spec = {"nodeSelector": {"no": "such"}, "containers": [SLEEP]}
    await client.create(PODS, {"metadata": {"name": "p", "namespace": namespace}, "spec": spec})
    (pod,) = await until(client, PODS, namespace, lambda pods: bool(pods[0].get("status", {}).get("conditions")))
    (told,) = pod["status"]["conditions"]
    assert told["reason"] == "Unschedulable"
    assert "didn't match Pod's node affinity/selector" in told["message"]
