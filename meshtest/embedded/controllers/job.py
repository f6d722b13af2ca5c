"""Job: runs pods until enough have succeeded or too many have failed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from kubeclient import Obj
from kubeclient.resources import JOBS, PODS
from meshtest.embedded.controllers.actions import Action, Create, Delete, Plan, patch_status
from meshtest.embedded.controllers.objects import (
    is_condition_true,
    is_controlled_by,
    is_deleting,
    is_pod_active,
    is_pod_ready,
    owner_reference,
    parse_time,
    template_of,
    timestamp,
    with_condition,
)

DEFAULT_BACKOFF_LIMIT = 6


def plan(job: Obj, pods: Sequence[Obj], now: datetime) -> Plan:
    """`pods`: those that the Job manages. Pods of a finished Job stay, for their logs."""
    if is_deleting(job):
        return Plan()
    if is_condition_true(job, "Complete") or is_condition_true(job, "Failed"):
        return _after_end(job, now)
    spec = job["spec"]
    owned = [pod for pod in pods if is_controlled_by(pod, job)]
    active = [pod for pod in owned if is_pod_active(pod)]
    succeeded = sum(1 for pod in owned if _phase(pod) == "Succeeded")
    failed = sum(1 for pod in owned if _phase(pod) == "Failed")
    parallelism = 1 if spec.get("parallelism") is None else int(spec["parallelism"])
    completions = spec.get("completions")
    limit = DEFAULT_BACKOFF_LIMIT if spec.get("backoffLimit") is None else int(spec["backoffLimit"])
    started = parse_time((job.get("status") or {}).get("startTime")) or now
    verdict = _verdict(job, succeeded, failed, len(active), limit, now - started)
    actions: list[Action] = []
    if verdict is not None or spec.get("suspend"):
        actions += [Delete(PODS, pod, None, job) for pod in active]
    else:
        left = parallelism if completions is None else min(parallelism, int(completions) - succeeded)
        if completions is None and succeeded:
            left = len(active)  # a work queue starts nothing new once one pod has succeeded
        actions += [Create(PODS, new_pod(job), job) for _ in range(left - len(active))]
        actions += [Delete(PODS, pod, None, job) for pod in active[max(0, left) :]]
    status: Obj = {
        "active": 0 if verdict else len(active),
        "ready": 0 if verdict else sum(1 for pod in active if is_pod_ready(pod)),
        "succeeded": succeeded,
        "failed": failed,
        "startTime": timestamp(started),
    }
    if verdict is not None:
        status["conditions"] = with_condition((job.get("status") or {}).get("conditions") or (), verdict, now)
        if verdict["type"] == "Complete":
            status["completionTime"] = timestamp(now)
    deadline = spec.get("activeDeadlineSeconds")
    again_after = float(deadline) - (now - started).total_seconds() + 0.1 if deadline and verdict is None else None
    return Plan([*actions, *patch_status(JOBS, job, status)], again_after)


def new_pod(job: Obj) -> Obj:
    """A pod from the job's template; the API server completes its name."""
    metadata, spec = template_of(job["spec"]["template"])
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    metadata["generateName"] = f"{name}-"
    metadata["namespace"] = job["metadata"]["namespace"]
    metadata["ownerReferences"] = [owner_reference(JOBS, job)]
    metadata["labels"] = {
        **metadata.get("labels", {}),
        "batch.kubernetes.io/job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "job-name": name,
        "controller-uid": uid,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _phase(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _verdict(job: Obj, succeeded: int, failed: int, active: int, limit: int, age: timedelta) -> Obj | None:
    completions = job["spec"].get("completions")
    enough = succeeded >= int(completions) if completions is not None else succeeded > 0 and active == 0
    if enough:
        message = "Reached expected number of succeeded pods"
        return {"type": "Complete", "status": "True", "reason": "CompletionsReached", "message": message}
    if failed > limit:
        message = "Job has reached the specified backoff limit"
        return {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": message}
    deadline = job["spec"].get("activeDeadlineSeconds")
    if deadline and age.total_seconds() >= float(deadline):
        message = "Job was active longer than specified deadline"
        return {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": message}
    return None


def _after_end(job: Obj, now: datetime) -> Plan:
    lifetime = job["spec"].get("ttlSecondsAfterFinished")
    if lifetime is None:
        return Plan()
    ended = [
        parse_time(entry.get("lastTransitionTime"))
        for entry in job["status"]["conditions"]
        if entry["type"] in ("Complete", "Failed")
    ]
    left = float(lifetime) - (now - (ended[0] or now)).total_seconds()
    return Plan([Delete(JOBS, job)]) if left <= 0 else Plan(again_after=left + 0.05)
