"""Plans of Deployment, ReplicaSet, StatefulSet, DaemonSet and Job."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kubeclient import Obj
from kubeclient.resources import DAEMON_SETS, JOBS, REPLICA_SETS, STATEFUL_SETS
from meshtest.embedded.controllers import daemonset, deployment, job, replicaset, statefulset
from meshtest.embedded.controllers.actions import Create, Delete, Patch, Plan
from meshtest.embedded.controllers.objects import owner_reference

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
TEMPLATE: Obj = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def named(name: str, **spec: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", "generation": 1}, "spec": spec}


def a_deployment(replicas: int = 4, **spec: Any) -> Obj:
    return named("web", replicas=replicas, selector={"matchLabels": {"app": "web"}}, template=TEMPLATE, **spec)


def a_replica_set(owner: Obj, revision: int, replicas: int, available: int | None = None) -> Obj:
    made = deployment.new_replica_set(owner, revision, replicas, deployment.bounds_of(owner))
    available = replicas if available is None else available
    made["metadata"] |= {"uid": f"uid-{made['metadata']['name']}", "generation": 1}
    made["status"] = {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}
    return made


def a_pod(name: str, owner_kind: Any, owner: Obj, *, ready: bool = True, **extra: Any) -> Obj:
    labels = dict(owner["spec"]["template"]["metadata"]["labels"])
    pod = named(name, nodeName=extra.pop("node", "node-0"))
    pod["metadata"] |= {"labels": labels, "ownerReferences": [owner_reference(owner_kind, owner)]}
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": "2026-11-21T05:00:00Z"}
    pod["status"] = {"phase": extra.pop("phase", "Running" if ready else "Pending"), "conditions": [condition]}
    pod["metadata"] |= extra
    return pod


def creates(plan: Plan) -> list[Obj]:
    return [action.obj for action in plan.actions if isinstance(action, Create)]


def deleted(plan: Plan) -> list[str]:
    return [action.obj["metadata"]["name"] for action in plan.actions if isinstance(action, Delete)]


def scaled(plan: Plan) -> dict[str, int]:
    return {
        action.obj["metadata"]["name"]: action.body["spec"]["replicas"]
        for action in plan.actions
        if isinstance(action, Patch) and "spec" in action.body
    }


def status(plan: Plan) -> dict[str, Any]:
    for action in plan.actions:
        if isinstance(action, Patch) and action.subresource == "status":
            return dict(action.body["status"])
    return {}


# -- ReplicaSet


def test_missing_pods_are_created_with_generated_names_and_an_owner() -> None:
    owner = a_replica_set(a_deployment(), 1, 3)
    made = creates(replicaset.plan(owner, [], NOW))
    assert len(made) == 3
    assert made[0]["metadata"]["generateName"] == f"{owner['metadata']['name']}-"
    assert made[0]["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert made[0]["metadata"]["labels"]["app"] == "web"


def test_surplus_pods_go_unready_ones_first() -> None:
    owner = a_replica_set(a_deployment(), 1, 1)
    pods = [
        a_pod("a", REPLICA_SETS, owner),
        a_pod("b", REPLICA_SETS, owner, ready=False),
        a_pod("c", REPLICA_SETS, owner),
    ]
    cheap = {"annotations": {replicaset.DELETION_COST: "-5"}}
    pods[2]["metadata"] |= cheap
    assert deleted(replicaset.plan(owner, pods, NOW)) == ["b", "c"]


def test_pods_on_their_way_out_or_finished_are_replaced() -> None:
    owner = a_replica_set(a_deployment(), 1, 2)
    pods = [
        a_pod("leaving", REPLICA_SETS, owner, deletionTimestamp="2026-11-21T06:00:00Z"),
        a_pod("failed", REPLICA_SETS, owner, phase="Failed"),
    ]
    assert len(creates(replicaset.plan(owner, pods, NOW))) == 2


def test_a_matching_pod_without_manager_is_adopted() -> None:
    owner = a_replica_set(a_deployment(), 1, 1)
    orphan = a_pod("orphan", REPLICA_SETS, owner)
    del orphan["metadata"]["ownerReferences"]
    plan = replicaset.plan(owner, [orphan], NOW)
    assert not creates(plan)
    assert next(action.obj["metadata"]["name"] for action in plan.actions if isinstance(action, Patch)) == "orphan"


def test_a_pod_counts_as_available_only_after_its_minimum_time() -> None:
    owner = a_replica_set(a_deployment(), 1, 1, available=0)
    owner["spec"]["minReadySeconds"] = 3600 + 30
    plan = replicaset.plan(owner, [a_pod("a", REPLICA_SETS, owner)], NOW)
    assert status(plan)["readyReplicas"] == 1
    assert "availableReplicas" not in status(plan)
    assert plan.again_after == pytest.approx(30, abs=0.1)


def test_a_refusal_is_told_until_all_pods_are_there() -> None:
    owner = a_replica_set(a_deployment(), 1, 1, available=0)
    (patch,) = replicaset.failure_status(owner, "no quota", NOW)
    assert isinstance(patch, Patch)
    owner["status"] = patch.body["status"]
    assert "conditions" not in status(replicaset.plan(owner, [], NOW))
    told = status(deployment.plan(a_deployment(), [owner], [], NOW))
    assert told["conditions"][-1]["message"] == "no quota"
    assert status(replicaset.plan(owner, [a_pod("a", REPLICA_SETS, owner)], NOW))["conditions"] == []


# -- Deployment


def test_the_first_replica_set_gets_all_replicas_at_once() -> None:
    owner = a_deployment(10)
    (made,) = creates(deployment.plan(owner, [], [], NOW))
    code = deployment.template_hash(owner)
    assert made["metadata"]["name"] == f"web-{code}"
    assert made["spec"]["replicas"] == 10
    assert made["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": code}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "web", "pod-template-hash": code}
    assert made["metadata"]["annotations"][deployment.REVISION] == "1"


def changed(owner: Obj) -> Obj:
    template = {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": "next"}]}}
    return {**owner, "spec": {**owner["spec"], "template": template}}


def test_a_rollout_never_exceeds_surge_nor_goes_below_what_must_be_available() -> None:
    before = a_deployment(4)
    old = a_replica_set(before, 1, 4)
    owner = changed(before)
    plan = deployment.plan(owner, [old], [], NOW)
    (made,) = creates(plan)
    assert made["spec"]["replicas"] == 1  # 25% of 4, rounded up
    assert made["metadata"]["annotations"][deployment.REVISION] == "2"
    new = a_replica_set(owner, 2, 1, available=0)
    assert scaled(deployment.plan(owner, [old, new], [], NOW)) == {old["metadata"]["name"]: 3}
    new = a_replica_set(owner, 2, 1, available=1)
    old = a_replica_set(before, 1, 3)
    assert scaled(deployment.plan(owner, [old, new], [], NOW)) == {
        old["metadata"]["name"]: 2,
        new["metadata"]["name"]: 2,
    }


def test_going_back_uses_the_old_replica_set_again_with_a_new_revision() -> None:
    first = a_deployment(2)
    old, new = a_replica_set(first, 1, 0), a_replica_set(changed(first), 2, 2)
    plan = deployment.plan(first, [old, new], [], NOW)
    assert not creates(plan)
    revisions = [
        action.body["metadata"]["annotations"][deployment.REVISION]
        for action in plan.actions
        if isinstance(action, Patch) and deployment.REVISION in action.body.get("metadata", {}).get("annotations", {})
    ]
    assert revisions == ["3", "3"]
    assert scaled(plan)[old["metadata"]["name"]] == 1


def test_recreate_waits_for_the_last_old_pod() -> None:
    before = a_deployment(2, strategy={"type": "Recreate"})
    owner = changed(before)
    old = a_replica_set(before, 1, 2)
    plan = deployment.plan(owner, [old], [a_pod("a", REPLICA_SETS, old)], NOW)
    assert scaled(plan) == {old["metadata"]["name"]: 0}
    assert creates(plan)[0]["spec"]["replicas"] == 0
    stopped, new = a_replica_set(before, 1, 0), a_replica_set(owner, 2, 0)
    leaving = a_pod("a", REPLICA_SETS, stopped, deletionTimestamp="2026-11-21T06:00:00Z")
    assert scaled(deployment.plan(owner, [stopped, new], [leaving], NOW)) == {}
    assert scaled(deployment.plan(owner, [stopped, new], [], NOW)) == {new["metadata"]["name"]: 2}


def test_a_paused_deployment_makes_no_replica_set_but_scales() -> None:
    before = a_deployment(4)
    old = a_replica_set(before, 1, 4)
    owner = changed(a_deployment(6, paused=True))
    plan = deployment.plan(owner, [old], [], NOW)
    assert not creates(plan)
    assert scaled(plan) == {old["metadata"]["name"]: 6}


def test_the_status_tells_what_kubectl_rollout_waits_for() -> None:
    owner = a_deployment(4)
    new = a_replica_set(owner, 1, 4)
    told = status(deployment.plan(owner, [new], [], NOW))
    assert (told["replicas"], told["updatedReplicas"], told["availableReplicas"]) == (4, 4, 4)
    assert {item["type"]: item["reason"] for item in told["conditions"]} == {
        "Available": "MinimumReplicasAvailable",
        "Progressing": "NewReplicaSetAvailable",
    }


def test_a_rollout_that_stands_still_fails_after_its_deadline() -> None:
    owner = a_deployment(1, progressDeadlineSeconds=60)
    new = a_replica_set(owner, 1, 1, available=0)
    told = status(deployment.plan(owner, [new], [], NOW))
    owner["status"] = told
    plan = deployment.plan(owner, [new], [], NOW)
    assert plan.again_after == pytest.approx(60, abs=1)
    late = NOW.replace(minute=2)
    conditions = status(deployment.plan(owner, [new], [], late))["conditions"]
    assert "ProgressDeadlineExceeded" in [item["reason"] for item in conditions]


def test_only_so_many_old_replica_sets_are_kept() -> None:
    owner = a_deployment(1, revisionHistoryLimit=1)
    olds = []
    for revision in range(1, 4):
        old = a_replica_set(owner, revision, 0)
        old["spec"]["template"] = {"metadata": {}, "spec": {"revision": revision}}
        old["metadata"] |= {"name": f"old-{revision}", "uid": f"old-{revision}", "labels": {}}
        olds.append(old)
    new = a_replica_set(owner, 4, 1)
    assert deleted(deployment.plan(owner, [*olds, new], [], NOW)) == ["old-1", "old-2"]


def test_settled_objects_need_nothing() -> None:
    owner = a_deployment(2)
    new = a_replica_set(owner, 1, 2)
    owner["status"] = status(deployment.plan(owner, [new], [], NOW))
    owner["metadata"]["annotations"] = {deployment.REVISION: "1"}
    assert not deployment.plan(owner, [new], [], NOW).actions


# -- StatefulSet


def a_stateful_set(replicas: int = 2, **spec: Any) -> Obj:
    return named(
        "db", replicas=replicas, serviceName="db", selector={"matchLabels": {"app": "web"}}, template=TEMPLATE, **spec
    )


def a_member(owner: Obj, ordinal: int, **extra: Any) -> Obj:
    pod = a_pod(f"db-{ordinal}", STATEFUL_SETS, owner, **extra)
    pod["metadata"]["labels"][statefulset.REVISION_LABEL] = statefulset.revision_of(owner)
    return pod


def test_members_start_in_order() -> None:
    owner = a_stateful_set()
    (first,) = creates(statefulset.plan(owner, [], NOW))
    assert first["metadata"]["name"] == "db-0"
    assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("db-0", "db")
    assert not creates(statefulset.plan(owner, [a_member(owner, 0, ready=False)], NOW))
    assert creates(statefulset.plan(owner, [a_member(owner, 0)], NOW))[0]["metadata"]["name"] == "db-1"


def test_parallel_members_start_together() -> None:
    assert len(creates(statefulset.plan(a_stateful_set(3, podManagementPolicy="Parallel"), [], NOW))) == 3


def test_members_stop_in_reverse_and_update_from_the_last() -> None:
    owner = a_stateful_set(1)
    assert deleted(statefulset.plan(owner, [a_member(owner, number) for number in range(3)], NOW)) == ["db-2"]
    two = a_stateful_set(2)
    members = [a_member(two, 0), a_member(two, 1)]
    assert deleted(statefulset.plan(changed(two), members, NOW)) == ["db-1"]


# -- DaemonSet


def a_node(name: str, **extra: Any) -> Obj:
    return {"metadata": {"name": name, "labels": extra.get("labels", {})}, "spec": {"taints": extra.get("taints", [])}}


def test_every_node_that_takes_it_gets_one() -> None:
    owner = named("ds", selector={"matchLabels": {"app": "web"}}, template=TEMPLATE)
    tainted = a_node("tainted", taints=[{"key": "only", "value": "x", "effect": "NoSchedule"}])
    made = creates(daemonset.plan(owner, [], [a_node("a"), a_node("b"), tainted]))
    assert [daemonset.target_of(pod) for pod in made] == ["a", "b"]
    there = [a_pod("on-a", DAEMON_SETS, owner, node="a"), a_pod("twice", DAEMON_SETS, owner, node="a")]
    plan = daemonset.plan(owner, there, [a_node("a")])
    assert deleted(plan) == ["twice"]


# -- Job


def a_job(**spec: Any) -> Obj:
    return named("job", template=TEMPLATE, **spec)


def test_a_job_runs_as_many_as_are_missing() -> None:
    owner = a_job(completions=3, parallelism=2)
    assert len(creates(job.plan(owner, [], NOW))) == 2
    done = [a_pod(f"p{number}", JOBS, owner, phase="Succeeded") for number in range(2)]
    assert len(creates(job.plan(owner, done, NOW))) == 1


def test_a_job_ends_complete_or_failed() -> None:
    owner = a_job(completions=1, parallelism=1, backoffLimit=0)
    told = status(job.plan(owner, [a_pod("p", JOBS, owner, phase="Succeeded")], NOW))
    assert [item["type"] for item in told["conditions"]] == ["Complete"]
    told = status(job.plan(owner, [a_pod("p", JOBS, owner, phase="Failed")], NOW))
    assert [item["reason"] for item in told["conditions"]] == ["BackoffLimitExceeded"]
