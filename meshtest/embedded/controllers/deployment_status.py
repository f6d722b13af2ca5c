"""What a Deployment says about itself: counts and the conditions Available, Progressing and ReplicaFailure."""

from collections.abc import Sequence
from datetime import datetime

from kubeclient import Obj
from meshtest.embedded.controllers.objects import condition, parse_time, with_condition

PROGRESS_SECONDS = 600


def status_of(
    deployment: Obj, new: Obj | None, old: Sequence[Obj], minimum: int, now: datetime
) -> tuple[Obj, float | None]:
    """The status, and the seconds until the progress deadline has to be looked at."""
    replica_sets = [*old, *([new] if new else [])]
    replicas = sum(_number(item, "replicas") for item in replica_sets)
    available = sum(_number(item, "availableReplicas") for item in replica_sets)
    status: Obj = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": replicas,
        "updatedReplicas": _number(new, "replicas") if new else 0,
        "readyReplicas": sum(_number(item, "readyReplicas") for item in replica_sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(_desired(item) for item in replica_sets) - available),
    }
    conditions = list((deployment.get("status") or {}).get("conditions") or ())
    conditions = with_condition(conditions, _availability(available, minimum), now)
    progress, again_after = _progress(deployment, new, status, now)
    if progress is not None:
        # The deadline counts from the last progress, so counts that moved renew the time although nothing else changed.
        if _moved(deployment, status) and progress["status"] == "True":
            conditions = [item for item in conditions if item["type"] != "Progressing"]
        conditions = with_condition(conditions, progress, now)
    conditions = [item for item in conditions if item["type"] != "ReplicaFailure"]
    if new is not None and (failure := condition(new, "ReplicaFailure")) is not None:
        conditions.append(failure)
    status["conditions"] = conditions
    return status, again_after


def _number(obj: Obj, key: str) -> int:
    return int((obj.get("status") or {}).get(key) or 0)


def _desired(replica_set: Obj) -> int:
    value = replica_set["spec"].get("replicas")
    return 1 if value is None else int(value)


def _availability(available: int, minimum: int) -> Obj:
    if available >= minimum:
        return {
            "type": "Available",
            "status": "True",
            "reason": "MinimumReplicasAvailable",
            "message": "Deployment has minimum availability.",
        }
    return {
        "type": "Available",
        "status": "False",
        "reason": "MinimumReplicasUnavailable",
        "message": "Deployment does not have minimum availability.",
    }


def _moved(deployment: Obj, status: Obj) -> bool:
    before = deployment.get("status") or {}
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return any(int(before.get(key) or 0) != status[key] for key in counts)


def _progress(deployment: Obj, new: Obj | None, status: Obj, now: datetime) -> tuple[Obj | None, float | None]:
    spec = deployment["spec"]
    if spec.get("paused"):
        reason, message = "DeploymentPaused", "Deployment is paused"
        return {"type": "Progressing", "status": "Unknown", "reason": reason, "message": message}, None
    name = deployment["metadata"]["name"]
    if new is None:
        return _progressing("True", "NewReplicaSetCreated", f"Created new replica set for deployment {name}"), None
    subject = f'ReplicaSet "{new["metadata"]["name"]}"'
    wanted = 1 if spec.get("replicas") is None else int(spec["replicas"])
    if status["updatedReplicas"] == status["replicas"] == status["availableReplicas"] == wanted:
        return _progressing("True", "NewReplicaSetAvailable", f"{subject} has successfully progressed."), None
    deadline = int(spec.get("progressDeadlineSeconds") or PROGRESS_SECONDS)
    known = condition(deployment, "Progressing")
    since = parse_time(known.get("lastUpdateTime")) if known else None
    late = f"{subject} has timed out progressing."
    if known and since and not _moved(deployment, status):
        left = deadline - (now - since).total_seconds()
        if known.get("reason") == "ProgressDeadlineExceeded":
            return _progressing("False", "ProgressDeadlineExceeded", late), None
        if left <= 0 and known.get("reason") != "NewReplicaSetAvailable":
            return _progressing("False", "ProgressDeadlineExceeded", late), None
        return _progressing("True", "ReplicaSetUpdated", f"{subject} is progressing."), max(left, 0.0) + 0.1
    return _progressing("True", "ReplicaSetUpdated", f"{subject} is progressing."), float(deadline)


def _progressing(status: str, reason: str, message: str) -> Obj:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}
