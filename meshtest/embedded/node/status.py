"""A pod's status as Kubernetes prints it, computed from the state of its containers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from meshtest.embedded.node import lifecycle
from meshtest.embedded.node.states import (
    ContainerState,
    Ended,
    Obj,
    PodState,
    init_containers,
    is_sidecar,
    main_containers,
    restart_policy,
)

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _terminated(ended: Ended) -> Obj:
    value: Obj = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": timestamp(ended.started_at),
        "finishedAt": timestamp(ended.finished_at),
    }
    if ended.container_id:
        value["containerID"] = ended.container_id
    if ended.signal:
        value["signal"] = ended.signal
    if ended.message:
        value["message"] = ended.message
    return {"terminated": value}


def _state(state: ContainerState, waiting: str) -> Obj:
    if state.phase == "running":
        return {"running": {"startedAt": timestamp(state.started_at)}}
    if state.phase == "terminated" and state.ended:
        return _terminated(state.ended)
    value = {"reason": waiting if state.reason == "ContainerCreating" else state.reason}
    if state.message:
        value["message"] = state.message
    return {"waiting": value}


def container_status(container: Obj, state: ContainerState, waiting: str) -> Obj:
    """One entry of containerStatuses. waiting: the reason shown when nothing more particular is known."""
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": f"meshtest://{container.get('image', '')}" if state.container_id else "",
        "containerID": state.container_id,
        "ready": state.ready,
        "started": state.started,
        "restartCount": state.restarts,
        "state": _state(state, waiting),
        "lastState": _terminated(state.last) if state.last else {},
    }


def phase(pod: Obj, state: PodState) -> str:
    """Pending, Running, Succeeded or Failed."""
    if lifecycle.failed_init(pod, state):
        return "Failed"
    containers = [state.of(c["name"]) for c in main_containers(pod)]
    if containers and lifecycle.main_done(pod, state):
        return "Succeeded" if all(c.ended and c.ended.exit_code == 0 for c in containers) else "Failed"
    if state.terminating and containers and all(c.phase == "terminated" for c in containers):
        return "Succeeded" if all(c.ended and c.ended.exit_code == 0 for c in containers) else "Failed"
    return "Running" if any(c.running or c.last or c.ended for c in containers) else "Pending"


def _conditions(pod: Obj, state: PodState, current_phase: str, now: float) -> list[Obj]:
    serving = [*main_containers(pod), *(c for c in init_containers(pod) if is_sidecar(c))]
    unready = [c["name"] for c in serving if not state.of(c["name"]).ready]
    ended = current_phase in ("Succeeded", "Failed")
    known = {c["type"]: c for c in pod.get("status", {}).get("conditions") or ()}
    gates = [g["conditionType"] for g in pod["spec"].get("readinessGates") or ()]
    closed = [gate for gate in gates if known.get(gate, {}).get("status") != "True"]
    finished = {"reason": "PodCompleted"} if current_phase == "Succeeded" else {"reason": "PodFailed"}
    trouble = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    not_ready = finished if ended else trouble if unready else {}
    gated = {"reason": "ReadinessGatesNotReady", "message": f"gates not ready: {', '.join(closed)}"}
    uninitialized = [
        c["name"] for c in init_containers(pod) if not is_sidecar(c) and state.of(c["name"]).phase != "terminated"
    ]
    initial = lifecycle.initialized(pod, state)
    wanted: list[tuple[str, bool, Obj]] = [
        ("PodReadyToStartContainers", state.sandbox, {}),
        (
            "Initialized",
            initial,
            {}
            if initial
            else {
                "reason": "ContainersNotInitialized",
                "message": f"containers with incomplete status: [{' '.join(uninitialized)}]",
            },
        ),
        ("Ready", not unready and not ended and not closed, not_ready or (gated if closed else {})),
        ("ContainersReady", not unready and not ended, not_ready),
    ]
    conditions = [dict(c) for c in known.values() if c["type"] not in OWN_CONDITIONS]
    if "PodScheduled" not in known:
        conditions.append(
            {
                "type": "PodScheduled",
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": timestamp(state.started_at or now),
            }
        )
    for kind, holds, extra in wanted:
        value = "True" if holds else "False"
        before = known.get(kind, {})
        since = before.get("lastTransitionTime") if before.get("status") == value else timestamp(now)
        conditions.append({"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": since, **extra})
    return conditions


def pod_status(pod: Obj, state: PodState, host_ip: str, now: float) -> Obj:
    """The whole ``status`` of a pod. pod: the object as last seen (for conditions that others own)."""
    current = phase(pod, state)
    inits = init_containers(pod)
    waiting = (
        "PodInitializing" if inits and not lifecycle.initialized(pod, state) and state.sandbox else "ContainerCreating"
    )
    status: dict[str, Any] = {
        "phase": current,
        "conditions": _conditions(pod, state, current, now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": timestamp(state.started_at or now),
        "containerStatuses": [container_status(c, state.of(c["name"]), waiting) for c in main_containers(pod)],
        "qosClass": pod.get("status", {}).get("qosClass") or "BestEffort",
    }
    if inits:
        status["initContainerStatuses"] = [container_status(c, state.of(c["name"]), "PodInitializing") for c in inits]
    if state.pod_ip:
        status["podIP"] = state.pod_ip
        status["podIPs"] = [{"ip": state.pod_ip}]
    if state.problem:
        status["message"] = state.problem
    return status


__all__ = ["container_status", "phase", "pod_status", "restart_policy", "timestamp"]
