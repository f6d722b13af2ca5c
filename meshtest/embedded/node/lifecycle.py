"""What a pod needs next: a pure function of its spec, the state of its containers, and the time.

Order of things (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/, init containers, sidecars): init
containers one after the other, a sidecar counting as done once it has started; then all others together. A container
that ended is started again as the restart policy says, after a back-off that doubles with each failure.
"""

from __future__ import annotations

from dataclasses import dataclass

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

# Kubernetes' reduced decay (feature ReduceDefaultCrashLoopBackOffDecay): from one second to one minute.
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
BACKOFF_RESET = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """start: names to start now, in order; stop: sidecars to stop since their pod is done; wake_at: look again then."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    wake_at: float | None = None


def backoff(failures: int) -> float:
    """Seconds to wait before the next start, after so many failures in a row; the first restart is immediate."""
    return 0.0 if failures <= 1 else min(FIRST_BACKOFF * 2 ** (failures - 2), LONGEST_BACKOFF)


def restarts(policy: str, container: Obj, exit_code: int, *, init: bool) -> bool:
    """Whether a container that ended so is to be started again."""
    if is_sidecar(container):
        return True
    return policy != "Never" and (exit_code != 0 or (policy == "Always" and not init))


def after_end(pod: Obj, container: Obj, state: ContainerState, ended: Ended, now: float) -> ContainerState:
    """The state of a container that has just ended: terminated for good, or waiting for its next run."""
    init = any(container["name"] == other["name"] for other in init_containers(pod))
    if not restarts(restart_policy(pod), container, ended.exit_code, init=init):
        return state.with_(phase="terminated", ended=ended, ready=False, started=False, reason=ended.reason)
    failures = 1 if now - ended.started_at > BACKOFF_RESET else state.failures + 1
    wait = backoff(failures)
    if wait == 0:
        # shown as terminated until the next run begins, which is now
        return state.with_(phase="terminated", ended=ended, ready=False, started=False, failures=failures, retry_at=now)
    name = pod["metadata"]["name"] + "_" + pod["metadata"].get("namespace", "")
    return state.with_(
        phase="waiting",
        reason="CrashLoopBackOff",
        message=f"back-off {wait:g}s restarting failed container={container['name']} pod={name}",
        ended=None,
        last=ended,
        ready=False,
        started=False,
        failures=failures,
        retry_at=now + wait,
    )


def _runnable(policy: str, container: Obj, state: ContainerState, *, init: bool) -> bool:
    if state.phase == "waiting":
        return True
    return (
        state.phase == "terminated"
        and state.ended is not None
        and restarts(policy, container, state.ended.exit_code, init=init)
    )


def failed_init(pod: Obj, state: PodState) -> bool:
    """An init container failed and will not be tried again: the pod has failed."""
    for container in init_containers(pod):
        ended = state.of(container["name"]).ended
        if state.of(container["name"]).phase == "terminated" and ended and ended.exit_code != 0:
            return not restarts(restart_policy(pod), container, ended.exit_code, init=True)
    return False


def main_done(pod: Obj, state: PodState) -> bool:
    """Every ordinary container has ended for good."""
    policy = restart_policy(pod)
    return all(
        state.of(c["name"]).phase == "terminated" and not _runnable(policy, c, state.of(c["name"]), init=False)
        for c in main_containers(pod)
    )


def is_over(pod: Obj, state: PodState) -> bool:
    """Nothing of the pod will run again; only sidecars may still have to be stopped."""
    return main_done(pod, state) or failed_init(pod, state)


def initialized(pod: Obj, state: PodState) -> bool:
    """Every init container has succeeded, every sidecar has started."""
    for container in init_containers(pod):
        current = state.of(container["name"])
        if is_sidecar(container):
            # once past initialisation, a sidecar that is down for a moment does not undo it
            if not current.started and not any(state.of(c["name"]).started_at for c in main_containers(pod)):
                return False
        elif current.phase != "terminated" or current.ended is None or current.ended.exit_code != 0:
            return False
    return True


def plan(pod: Obj, state: PodState, now: float) -> Plan:
    """What to start and stop at this moment; nothing while a pod is being deleted (termination has its own order)."""
    if state.terminating:
        return Plan()
    policy = restart_policy(pod)
    if is_over(pod, state):
        running = [c["name"] for c in init_containers(pod) if state.of(c["name"]).running]
        return Plan(stop=tuple(reversed(running)))
    wanted: list[Obj] = []
    blocked = False
    for container in init_containers(pod):
        current = state.of(container["name"])
        if is_sidecar(container):
            if not current.running:
                wanted.append(container)
            if not current.started:
                blocked = True
        elif current.phase != "terminated" or current.ended is None or current.ended.exit_code != 0:
            if not current.running:
                wanted.append(container)
            blocked = True
        if blocked:
            break
    if not blocked or initialized(pod, state):
        wanted += [
            c
            for c in main_containers(pod)
            if not state.of(c["name"]).running and _runnable(policy, c, state.of(c["name"]), init=False)
        ]
    start = tuple(c["name"] for c in wanted if state.of(c["name"]).retry_at <= now)
    later = [state.of(c["name"]).retry_at for c in wanted if state.of(c["name"]).retry_at > now]
    return Plan(start=start, wake_at=min(later) if later else None)
