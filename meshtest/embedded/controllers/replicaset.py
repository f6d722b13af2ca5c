"""ReplicaSet: as many pods as it says."""

from collections.abc import Sequence
from datetime import datetime

from kubeclient import Obj
from kubeclient.resources import PODS, REPLICA_SETS
from meshtest.embedded.controllers.actions import Action, Create, Delete, Patch, Plan, patch_status
from meshtest.embedded.controllers.objects import (
    adoption,
    available_after,
    condition,
    controller_of,
    is_controlled_by,
    is_deleting,
    is_pod_active,
    is_pod_ready,
    matches,
    owner_reference,
    parse_time,
    template_of,
    with_condition,
)

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
FAILURE = "ReplicaFailure"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def plan(replica_set: Obj, pods: Sequence[Obj], now: datetime) -> Plan:
    """`pods`: all of the namespace that the ReplicaSet manages or could adopt."""
    spec = replica_set["spec"]
    owned = [pod for pod in pods if is_controlled_by(pod, replica_set)]
    active = [pod for pod in owned if is_pod_active(pod)]
    actions: list[Action] = []
    if not is_deleting(replica_set):
        for pod in pods:
            if (
                controller_of(pod) is None
                and is_pod_active(pod)
                and matches(spec["selector"], pod["metadata"].get("labels"))
            ):
                actions.append(Patch(PODS, pod, adoption(REPLICA_SETS, replica_set, pod)))
                active.append(pod)
        wanted = _replicas(spec)
        actions += [Create(PODS, new_pod(replica_set), replica_set) for _ in range(wanted - len(active))]
        surplus = sorted(active, key=lambda pod: _worth(pod, active))[: max(0, len(active) - wanted)]
        actions += [Delete(PODS, pod, None, replica_set) for pod in surplus]
    status, again_after = _status(replica_set, active, now)
    if _replicas(spec) <= len(active) and (failure := condition(replica_set, FAILURE)):
        known = replica_set["status"]["conditions"]
        status["conditions"] = [entry for entry in known if entry["type"] != failure["type"]]
    return Plan([*actions, *patch_status(REPLICA_SETS, replica_set, status)], again_after)


def failure_status(replica_set: Obj, error: str, now: datetime) -> list[Action]:
    """Says in the status why pods could not be created; the Deployment repeats it."""
    new = {"type": FAILURE, "status": "True", "reason": "FailedCreate", "message": error}
    conditions = with_condition((replica_set.get("status") or {}).get("conditions") or (), new, now)
    return patch_status(REPLICA_SETS, replica_set, {"conditions": conditions})


def new_pod(replica_set: Obj) -> Obj:
    """A pod from the template; the API server completes its name."""
    metadata, spec = template_of(replica_set["spec"]["template"])
    owner = replica_set["metadata"]
    metadata["generateName"] = f"{owner['name'][:57]}-"
    metadata["namespace"] = owner["namespace"]
    metadata["ownerReferences"] = [owner_reference(REPLICA_SETS, replica_set)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _replicas(spec: Obj) -> int:
    value = spec.get("replicas")
    return 1 if value is None else int(value)


def _worth(pod: Obj, among: Sequence[Obj]) -> tuple[int, int, int, int, int, float, int, float]:
    """What Kubernetes deletes first sorts first: unassigned, pending, unready, cheap, crowded, newly ready, restarting,
    young.
    """
    status, spec = pod.get("status") or {}, pod["spec"]
    node = spec.get("nodeName")
    cost = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    crowd = sum(1 for other in among if other["spec"].get("nodeName") == node)
    ready = [
        entry for entry in status.get("conditions") or () if entry.get("type") == "Ready" and entry["status"] == "True"
    ]
    since = parse_time(ready[0].get("lastTransitionTime")) if ready else None
    restarts = sum(int(container.get("restartCount") or 0) for container in status.get("containerStatuses") or ())
    created = parse_time(pod["metadata"].get("creationTimestamp"))
    return (
        1 if node else 0,
        _PHASES.get(status.get("phase", "Pending"), 0),
        1 if ready else 0,
        int(cost) if cost.lstrip("-").isdigit() else 0,
        -crowd,
        -since.timestamp() if since else 0.0,
        -restarts,
        -created.timestamp() if created else 0.0,
    )


def _status(replica_set: Obj, active: Sequence[Obj], now: datetime) -> tuple[Obj, float | None]:
    labels = replica_set["spec"]["template"].get("metadata", {}).get("labels") or {}
    minimum = int(replica_set["spec"].get("minReadySeconds") or 0)
    waits = [available_after(pod, minimum, now) for pod in active]
    pending = [wait for wait in waits if wait]
    labelled = [pod for pod in active if labels.items() <= (pod["metadata"].get("labels") or {}).items()]
    status = {
        "replicas": len(active),
        "fullyLabeledReplicas": len(labelled),
        "readyReplicas": sum(1 for pod in active if is_pod_ready(pod)),
        "availableReplicas": waits.count(0.0),
        "observedGeneration": replica_set["metadata"].get("generation", 1),
    }
    return status, min(pending) + 0.01 if pending else None
