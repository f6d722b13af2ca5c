"""Deployment: moves pods from old ReplicaSets to the one of its current template, by the rules of its strategy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubeclient import Obj
from kubeclient.resources import DEPLOYMENTS, REPLICA_SETS
from meshtest.embedded.controllers.actions import Action, Create, Delete, Patch, Plan, Record, patch_status
from meshtest.embedded.controllers.deployment_status import status_of
from meshtest.embedded.controllers.objects import (
    encode_hash,
    is_deleting,
    is_pod_finished,
    owner_reference,
    resolve,
    sort_by_name,
)

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
_OWN_ANNOTATIONS = {REVISION, DESIRED, MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many pods there may be at most, and how many must at least be available, while a rollout runs."""

    replicas: int
    maximum: int
    minimum: int


def bounds_of(deployment: Obj) -> Bounds:
    """From replicas, maxSurge (rounded up) and maxUnavailable (rounded down); both may not be zero."""
    spec = deployment["spec"]
    replicas = 1 if spec.get("replicas") is None else int(spec["replicas"])
    if is_recreate(deployment):
        return Bounds(replicas, replicas, 0)
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = resolve(rolling.get("maxSurge"), replicas, "25%", up=True)
    unavailable = resolve(rolling.get("maxUnavailable"), replicas, "25%", up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(replicas, replicas + surge, max(0, replicas - unavailable))


def is_recreate(deployment: Obj) -> bool:
    """Whether all old pods go before the first new one comes."""
    return (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"


def plan(deployment: Obj, replica_sets: Sequence[Obj], pods: Sequence[Obj], now: datetime) -> Plan:
    """`replica_sets`: those that the deployment manages; `pods`: theirs."""
    if is_deleting(deployment):
        return Plan()
    new, old = split(deployment, replica_sets)
    bounds = bounds_of(deployment)
    actions: list[Action] = []
    paused = bool(deployment["spec"].get("paused"))
    revision = _next_revision(new, old)
    if new is None and not paused:
        count = _first_replicas(deployment, bounds, old, pods)
        obj = new_replica_set(deployment, revision, count, bounds)
        name = obj["metadata"]["name"]
        actions.append(Create(REPLICA_SETS, obj))
        actions.append(Record(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {count}"))
    elif new is not None:
        actions += _annotate(deployment, new, revision, bounds)
    actions += _scale(deployment, new, old, pods, bounds, paused)
    if str(revision) != (deployment["metadata"].get("annotations") or {}).get(REVISION) and not (
        paused and new is None
    ):
        actions.append(Patch(DEPLOYMENTS, deployment, {"metadata": {"annotations": {REVISION: str(revision)}}}))
    status, again_after = status_of(deployment, new, old, bounds.minimum, now)
    actions += patch_status(DEPLOYMENTS, deployment, status)
    if new is not None and _is_complete(bounds.replicas, status):
        actions += _forget_old(deployment, old)
    return Plan(actions, again_after)


def template_hash(deployment: Obj) -> str:
    """The pod-template-hash of the current template."""
    return encode_hash(deployment["spec"]["template"])


def split(deployment: Obj, replica_sets: Sequence[Obj]) -> tuple[Obj | None, list[Obj]]:
    """The ReplicaSet of the current template, and the others."""
    template = deployment["spec"]["template"]
    wanted = template_hash(deployment)
    new = None
    for candidate in sort_by_name(replica_sets):
        if candidate["metadata"].get("labels", {}).get(HASH_LABEL) == wanted or _bare(candidate) == template:
            new = candidate
            break
    return new, [other for other in replica_sets if other is not new]


def _bare(replica_set: Obj) -> Obj:
    template = replica_set["spec"]["template"]
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    return {**template, "metadata": metadata}


def new_replica_set(deployment: Obj, revision: int, replicas: int, bounds: Bounds) -> Obj:
    """The ReplicaSet of the current template."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    code = template_hash(deployment)
    template = spec["template"]
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: code}
    selector = spec.get("selector") or {}
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _OWN_ANNOTATIONS
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{code}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {
                **annotations,
                REVISION: str(revision),
                DESIRED: str(bounds.replicas),
                MAXIMUM: str(bounds.maximum),
            },
            "ownerReferences": [owner_reference(DEPLOYMENTS, deployment)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": int(spec.get("minReadySeconds") or 0),
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: code}},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
        },
    }


def _next_revision(new: Obj | None, old: Sequence[Obj]) -> int:
    """The new ReplicaSet's revision: above all old ones', its own where it already is."""
    highest = max((_revision(replica_set) for replica_set in old), default=0)
    return max(highest + 1, _revision(new)) if new is not None else highest + 1


def _revision(replica_set: Obj) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _annotate(deployment: Obj, new: Obj, revision: int, bounds: Bounds) -> list[Action]:
    wanted = {REVISION: str(revision), DESIRED: str(bounds.replicas), MAXIMUM: str(bounds.maximum)}
    for key, value in (deployment["metadata"].get("annotations") or {}).items():
        if key not in _OWN_ANNOTATIONS:
            wanted[key] = value
    current = new["metadata"].get("annotations") or {}
    changed = {key: value for key, value in wanted.items() if current.get(key) != value}
    return [Patch(REPLICA_SETS, new, {"metadata": {"annotations": changed}})] if changed else []


def _count(replica_set: Obj) -> int:
    value = replica_set["spec"].get("replicas")
    return 1 if value is None else int(value)


def _available(replica_set: Obj) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas") or 0)


def _first_replicas(deployment: Obj, bounds: Bounds, old: Sequence[Obj], pods: Sequence[Obj]) -> int:
    if is_recreate(deployment):
        busy = any(_count(replica_set) for replica_set in old) or any(not is_pod_finished(pod) for pod in pods)
        return 0 if busy else bounds.replicas
    return max(0, min(bounds.replicas, bounds.maximum - sum(map(_count, old))))


def _scale(
    deployment: Obj, new: Obj | None, old: Sequence[Obj], pods: Sequence[Obj], bounds: Bounds, paused: bool
) -> list[Action]:
    if paused:
        # A paused deployment still scales, but only what it has: the set of the current template, else the newest.
        active = new or max(old, key=_revision, default=None)
        if active is None:
            return []
        others = sum(
            _count(replica_set) for replica_set in (*old, *([new] if new else [])) if replica_set is not active
        )
        return _to(deployment, active, max(0, bounds.replicas - others))
    if is_recreate(deployment):
        stopping = [action for replica_set in old for action in _to(deployment, replica_set, 0)]
        if stopping or new is None:
            return stopping
        own = new["metadata"]["uid"]
        left = [pod for pod in pods if not is_pod_finished(pod) and not _has_owner(pod, own)]
        return [] if left else _to(deployment, new, bounds.replicas)
    if new is None:
        return []
    return [*_scale_up(deployment, new, old, bounds), *_scale_down(deployment, new, old, bounds)]


def _has_owner(pod: Obj, uid: str) -> bool:
    return any(reference["uid"] == uid for reference in pod["metadata"].get("ownerReferences") or ())


def _scale_up(deployment: Obj, new: Obj, old: Sequence[Obj], bounds: Bounds) -> list[Action]:
    count = _count(new)
    if count > bounds.replicas:
        return _to(deployment, new, bounds.replicas)
    room = bounds.maximum - count - sum(map(_count, old))
    return _to(deployment, new, min(bounds.replicas, count + room)) if room > 0 else []


def _scale_down(deployment: Obj, new: Obj, old: Sequence[Obj], bounds: Bounds) -> list[Action]:
    """Old pods go as far as enough stay available; those that are not available anyway go first."""
    total = _count(new) + sum(map(_count, old))
    unavailable = max(0, _count(new) - _available(new))
    spare = total - bounds.minimum - unavailable
    targets = {replica_set["metadata"]["uid"]: _count(replica_set) for replica_set in old}
    oldest_first = sorted(old, key=_revision)
    for replica_set in oldest_first:
        uid = replica_set["metadata"]["uid"]
        broken = min(max(0, targets[uid] - _available(replica_set)), max(0, spare))
        targets[uid] -= broken
        spare -= broken
    excess = _available(new) + sum(map(_available, old)) - bounds.minimum
    for replica_set in oldest_first:
        uid = replica_set["metadata"]["uid"]
        step = min(targets[uid], max(0, min(excess, spare)))
        targets[uid] -= step
        excess -= step
        spare -= step
    return [action for item in oldest_first for action in _to(deployment, item, targets[item["metadata"]["uid"]])]


def _to(deployment: Obj, replica_set: Obj, count: int) -> list[Action]:
    current = _count(replica_set)
    if current == count:
        return []
    name = replica_set["metadata"]["name"]
    direction = "up" if count > current else "down"
    message = f"Scaled {direction} replica set {name} from {current} to {count}"
    return [
        Patch(REPLICA_SETS, replica_set, {"spec": {"replicas": count}}),
        Record(deployment, "ScalingReplicaSet", message),
    ]


def _is_complete(replicas: int, status: Obj) -> bool:
    counts = (status["replicas"], status["updatedReplicas"], status["availableReplicas"])
    return counts == (replicas, replicas, replicas)


def _forget_old(deployment: Obj, old: Sequence[Obj]) -> list[Action]:
    limit = deployment["spec"].get("revisionHistoryLimit")
    keep = 10 if limit is None else int(limit)
    idle = [
        replica_set
        for replica_set in sorted(old, key=_revision)
        if _count(replica_set) == 0
        and not (replica_set.get("status") or {}).get("replicas")
        and not is_deleting(replica_set)
    ]
    return [Delete(REPLICA_SETS, replica_set) for replica_set in idle[: max(0, len(idle) - keep)]]
