"""Plans of endpoints, scheduler, garbage collector and namespaces; selectors; the work queue."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from kubeclient import ApiError, Obj
from kubeclient.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, REPLICA_SETS
from meshtest.embedded.controllers import endpoints, garbage, namespaces, scheduler
from meshtest.embedded.controllers.actions import Action, Create, Delete, Patch
from meshtest.embedded.controllers.fit import selects_node, tolerates
from meshtest.embedded.controllers.objects import matches, resolve
from meshtest.embedded.controllers.queue import WorkQueue


def a_service(**spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {
        "metadata": {"name": "web", "namespace": "n", "uid": "service"},
        "spec": {"selector": {"app": "web"}, "ports": ports, "ipFamilies": ["IPv4"], **spec},
    }


def a_pod(name: str, ip: str, *, ready: bool = True, **spec: Any) -> Obj:
    status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}
    return {
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "node-0", "containers": [], **spec},
        "status": {**status, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def slices(service: Obj, pods: list[Obj], existing: list[Obj] | None = None) -> list[Action]:
    plan = endpoints.plan(service, pods, {}, existing or [], None)
    return [
        action
        for action in plan.actions
        if not isinstance(action, Create | Patch) or action.resource == ENDPOINT_SLICES
    ]


def created(actions: list[Action]) -> list[Obj]:
    return [action.obj for action in actions if isinstance(action, Create)]


def test_a_slice_lists_ready_and_other_endpoints_with_their_conditions() -> None:
    leaving = a_pod("c", "10.0.0.3")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T06:00:00Z"
    (made,) = created(slices(a_service(), [leaving, a_pod("b", "10.0.0.2", ready=False), a_pod("a", "10.0.0.1")]))
    assert made["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert made["metadata"]["labels"][endpoints.SERVICE_NAME] == "web"
    told = {item["addresses"][0]: tuple(item["conditions"].values()) for item in made["endpoints"]}
    assert told == {
        "10.0.0.1": (True, True, False),
        "10.0.0.2": (False, False, False),
        "10.0.0.3": (False, True, True),
    }


def test_named_target_ports_group_pods_by_their_numbers() -> None:
    service = a_service(ports=[{"name": "http", "port": 80, "targetPort": "web"}])
    pods = [
        a_pod("a", "10.0.0.1", containers=[{"ports": [{"name": "web", "containerPort": 8080}]}]),
        a_pod("b", "10.0.0.2", containers=[{"ports": [{"name": "web", "containerPort": 9090}]}]),
    ]
    assert [[port["port"] for port in item["ports"]] for item in created(slices(service, pods))] == [[8080], [9090]]


def test_both_families_get_slices_of_their_own() -> None:
    pod = a_pod("a", "10.0.0.1")
    pod["status"]["podIPs"].append({"ip": "fd00::1"})
    made = created(slices(a_service(ipFamilies=["IPv4", "IPv6"]), [pod]))
    assert [(item["addressType"], item["endpoints"][0]["addresses"]) for item in made] == [
        ("IPv4", ["10.0.0.1"]),
        ("IPv6", ["fd00::1"]),
    ]


def test_headless_names_and_unready_addresses_may_be_published() -> None:
    service = a_service(clusterIP="None", publishNotReadyAddresses=True)
    (made,) = created(slices(service, [a_pod("a", "10.0.0.1", ready=False, hostname="h", subdomain="web")]))
    assert made["endpoints"][0]["hostname"] == "h"
    assert made["endpoints"][0]["conditions"]["ready"] is True
    assert endpoints.HEADLESS in made["metadata"]["labels"]


def test_a_change_is_one_patch_and_no_change_is_nothing() -> None:
    service = a_service()
    (made,) = created(slices(service, [a_pod("a", "10.0.0.1")]))
    made["metadata"] |= {"name": "web-1", "uid": "slice"}
    assert slices(service, [a_pod("a", "10.0.0.1")], [made]) == []
    (patch,) = slices(service, [a_pod("a", "10.0.0.1"), a_pod("b", "10.0.0.2")], [made])
    assert isinstance(patch, Patch)
    assert list(patch.body) == ["endpoints"]


def test_slices_of_others_are_left_alone() -> None:
    foreign = {
        "metadata": {"name": "web-x", "uid": "x", "labels": {endpoints.SERVICE_NAME: "web"}},
        "addressType": "IPv4",
    }
    actions = slices(a_service(), [], [foreign])
    assert not [action for action in actions if isinstance(action, Delete | Patch)]
    assert not endpoints.plan(a_service(selector=None), [], {}, [foreign], None).actions


def test_only_what_endpoints_show_makes_a_pod_different() -> None:
    pod, same = a_pod("a", "10.0.0.1"), a_pod("a", "10.0.0.1")
    same["status"]["startTime"] = "later"
    assert endpoints.endpoint_facts(pod) == endpoints.endpoint_facts(same)
    assert endpoints.endpoint_facts(pod) != endpoints.endpoint_facts(a_pod("a", "10.0.0.1", ready=False))


# -- scheduler


def a_node(name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def test_the_fitting_node_with_the_fewest_pods_is_chosen() -> None:
    nodes = [a_node("a"), a_node("b"), a_node("c", unschedulable=True)]
    pod = {"metadata": {"name": "p"}, "spec": {}}
    assert scheduler.choose(pod, nodes, Counter({"a": 2, "b": 1})) == "b"
    assert scheduler.choose(pod, nodes[2:], Counter()) is None
    assert scheduler.why_not(pod, nodes[2:]) == "0/1 nodes are available: 1 node(s) were unschedulable."


def test_selectors_affinity_and_taints_limit_the_choice() -> None:
    zone = a_node("a", labels={"zone": "x", "cores": "8"})
    assert selects_node({"nodeSelector": {"zone": "x"}}, zone)
    assert not selects_node({"nodeSelector": {"zone": "y"}}, zone)
    term = {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    assert selects_node({"affinity": {"nodeAffinity": required}}, zone)
    tainted = a_node("t", taints=[{"key": "k", "value": "v", "effect": "NoExecute"}])
    assert not tolerates({}, tainted)
    assert tolerates({"tolerations": [{"key": "k", "operator": "Exists"}]}, tainted)
    assert tolerates({"tolerations": [{"key": "k", "value": "v", "effect": "NoExecute"}]}, tainted)


# -- garbage collector


def owned(name: str, *owners: str, **metadata: Any) -> Obj:
    references = [{"uid": owner, "name": owner, "kind": "Deployment", "blockOwnerDeletion": True} for owner in owners]
    return {"metadata": {"name": name, "uid": name, "ownerReferences": references, **metadata}}


def test_what_lost_all_owners_is_deleted_and_what_lost_one_forgets_it() -> None:
    def is_gone(uid: str) -> bool:
        return uid == "gone"

    def nobody(_uid: str) -> Obj | None:
        return None

    assert garbage.plan_dependent(PODS, owned("p", "gone"), is_gone, nobody) == [Delete(PODS, owned("p", "gone"))]
    assert garbage.plan_dependent(PODS, owned("p", "here"), is_gone, nobody) == []
    (patch,) = garbage.plan_dependent(PODS, owned("p", "gone", "here"), is_gone, nobody)
    assert isinstance(patch, Patch)
    assert [item["uid"] for item in patch.body["metadata"]["ownerReferences"]] == ["here"]


def test_foreground_deletion_waits_for_dependents() -> None:
    owner = owned("d", finalizers=[garbage.FOREGROUND], deletionTimestamp="2026-11-21T06:00:00Z")
    dependent = owned("rs", "d")
    assert garbage.plan_owner(DEPLOYMENTS, owner, [(REPLICA_SETS, dependent)]) == [
        Delete(REPLICA_SETS, dependent, "Foreground")
    ]
    (release,) = garbage.plan_owner(DEPLOYMENTS, owner, [])
    assert isinstance(release, Patch)
    assert release.body["metadata"]["finalizers"] == []


def test_orphaning_lets_dependents_live() -> None:
    owner = owned("d", finalizers=[garbage.ORPHAN], deletionTimestamp="2026-11-21T06:00:00Z")
    (patch,) = garbage.plan_owner(DEPLOYMENTS, owner, [(REPLICA_SETS, owned("rs", "d"))])
    assert isinstance(patch, Patch)
    assert patch.body["metadata"]["ownerReferences"] == []


# -- namespaces, selectors, queue


def test_a_namespace_starts_with_an_account_and_the_authority() -> None:
    namespace = {"metadata": {"name": "n"}}
    made = [
        action.obj["metadata"]["name"]
        for action in namespaces.plan(namespace, None, None, "PEM").actions
        if isinstance(action, Create)
    ]
    assert made == ["default", "kube-root-ca.crt"]
    known = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "PEM"}}
    assert not namespaces.plan(namespace, {"metadata": {}}, known, "PEM").actions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "a", "operator": "In", "values": ["1", "2"]}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, False),
        ({"key": "b", "operator": "NotIn", "values": ["1"]}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "a", "operator": "DoesNotExist"}, False),
    ],
)
def test_label_expressions(expression: Obj, expected: bool) -> None:
    assert matches({"matchExpressions": [expression]}, {"a": "1"}) is expected


def test_selectors_select_nothing_or_everything() -> None:
    assert not matches(None, {"a": "1"})
    assert matches({}, {"a": "1"})


def test_percentages_round_the_way_each_bound_asks() -> None:
    assert resolve("25%", 10, 0, up=True) == 3
    assert resolve("25%", 10, 0, up=False) == 2
    assert resolve(None, 10, "50%", up=True) == 5


@pytest.mark.anyio
async def test_changes_during_work_are_worked_on_once_more_and_failures_again() -> None:
    ready, first, go, second = (asyncio.Event() for _ in range(4))
    runs: list[str] = []

    async def work(key: str) -> float | None:
        runs.append(key)
        if len(runs) == 1:
            first.set()
            await go.wait()
            raise ApiError(409, "Conflict", "changed")
        second.set()
        return None

    queue: WorkQueue[str] = WorkQueue("test", work, ready)
    queue.add("a")
    await asyncio.sleep(0)
    assert runs == []
    ready.set()
    await first.wait()
    for _ in range(5):
        queue.add("a")
    go.set()
    await second.wait()
    await asyncio.sleep(0)
    assert runs == ["a", "a"]
    await queue.close()
