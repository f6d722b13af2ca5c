"""StatefulSet: pods with numbers, in order (or all at once), each with a name that stays."""

from collections.abc import Sequence
from datetime import datetime

from kubeclient import Obj
from kubeclient.resources import PODS, STATEFUL_SETS
from meshtest.embedded.controllers.actions import Action, Create, Delete, Plan, patch_status
from meshtest.embedded.controllers.objects import (
    available_after,
    encode_hash,
    is_controlled_by,
    is_deleting,
    is_pod_finished,
    is_pod_ready,
    owner_reference,
    template_of,
)

REVISION_LABEL = "controller-revision-hash"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"


def revision_of(stateful_set: Obj) -> str:
    """The name of the current template's revision."""
    return f"{stateful_set['metadata']['name']}-{encode_hash(stateful_set['spec']['template'])}"


def plan(stateful_set: Obj, pods: Sequence[Obj], now: datetime) -> Plan:
    """`pods`: those that the StatefulSet manages."""
    spec = stateful_set["spec"]
    replicas = 1 if spec.get("replicas") is None else int(spec["replicas"])
    start = int((spec.get("ordinals") or {}).get("start") or 0)
    owned = {_ordinal(pod): pod for pod in pods if is_controlled_by(pod, stateful_set)}
    actions: list[Action] = []
    if not is_deleting(stateful_set):
        actions = _steps(stateful_set, owned, range(start, start + replicas))
    status, again_after = _status(stateful_set, list(owned.values()), replicas, now)
    return Plan([*actions, *patch_status(STATEFUL_SETS, stateful_set, status)], again_after)


def _steps(stateful_set: Obj, owned: dict[int, Obj], wanted: range) -> list[Action]:
    parallel = stateful_set["spec"].get("podManagementPolicy") == "Parallel"
    actions: list[Action] = []
    for ordinal in wanted:
        pod = owned.get(ordinal)
        if pod is None:
            actions.append(Create(PODS, new_pod(stateful_set, ordinal), stateful_set))
        elif is_pod_finished(pod) and not is_deleting(pod):
            actions.append(Delete(PODS, pod, None, stateful_set))
        elif is_pod_ready(pod) and not is_deleting(pod):
            continue
        if not parallel:
            return actions
    for ordinal in sorted((number for number in owned if number not in wanted), reverse=True):
        if not is_deleting(owned[ordinal]):
            actions.append(Delete(PODS, owned[ordinal], None, stateful_set))
        if not parallel:
            return actions
    return actions or _update(stateful_set, owned, wanted)


def _update(stateful_set: Obj, owned: dict[int, Obj], wanted: range) -> list[Action]:
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return []
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    revision = revision_of(stateful_set)
    for ordinal in reversed(wanted):
        pod = owned[ordinal]
        if ordinal < partition:
            break
        if pod["metadata"].get("labels", {}).get(REVISION_LABEL) != revision:
            return [] if is_deleting(pod) else [Delete(PODS, pod, None, stateful_set)]
        if not is_pod_ready(pod) or is_deleting(pod):
            break
    return []


def new_pod(stateful_set: Obj, ordinal: int) -> Obj:
    """Pod number `ordinal`. Claims become emptyDir volumes: the embedded cluster has no storage that outlives a pod."""
    metadata, spec = template_of(stateful_set["spec"]["template"])
    owner = stateful_set["metadata"]
    name = f"{owner['name']}-{ordinal}"
    metadata |= {
        "name": name,
        "namespace": owner["namespace"],
        "ownerReferences": [owner_reference(STATEFUL_SETS, stateful_set)],
        "labels": {
            **metadata.get("labels", {}),
            NAME_LABEL: name,
            INDEX_LABEL: str(ordinal),
            REVISION_LABEL: revision_of(stateful_set),
        },
    }
    claims = [claim["metadata"]["name"] for claim in stateful_set["spec"].get("volumeClaimTemplates") or ()]
    volumes = [volume for volume in spec.get("volumes") or () if volume["name"] not in claims]
    spec = {**spec, "hostname": name, "volumes": [*volumes, *({"name": claim, "emptyDir": {}} for claim in claims)]}
    if service := stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = service
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _ordinal(pod: Obj) -> int:
    number = pod["metadata"]["name"].rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def _status(stateful_set: Obj, owned: Sequence[Obj], replicas: int, now: datetime) -> tuple[Obj, float | None]:
    alive = [pod for pod in owned if not is_deleting(pod)]
    revision = revision_of(stateful_set)
    updated = [pod for pod in alive if pod["metadata"].get("labels", {}).get(REVISION_LABEL) == revision]
    waits = [available_after(pod, int(stateful_set["spec"].get("minReadySeconds") or 0), now) for pod in alive]
    pending = [wait for wait in waits if wait]
    done = len(updated) == len(alive) == replicas and all(is_pod_ready(pod) for pod in alive)
    before = (stateful_set.get("status") or {}).get("currentRevision")
    return {
        "observedGeneration": stateful_set["metadata"].get("generation", 1),
        "replicas": len(owned),
        "readyReplicas": sum(1 for pod in alive if is_pod_ready(pod)),
        "availableReplicas": waits.count(0.0),
        "currentReplicas": len(alive) if done or before in (None, revision) else len(alive) - len(updated),
        "updatedReplicas": len(updated),
        "currentRevision": revision if done or not before else before,
        "updateRevision": revision,
        "collisionCount": 0,
    }, (min(pending) + 0.01 if pending else None)
