"""What a pod needs next, told from its spec and the state of its containers."""

from __future__ import annotations

from typing import Any

from meshtest.embedded.node import lifecycle, status
from meshtest.embedded.node.states import ContainerState, Ended, Obj, PodState

RUNNING = ContainerState(phase="running", started_at=1.0, started=True, ready=True)
STARTING = RUNNING.with_(started=False, ready=False)


def pod(*names: str, init: list[Obj] | None = None, policy: str = "Always") -> Obj:
    return {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {
            "containers": [{"name": name, "image": "i"} for name in names],
            "initContainers": init or [],
            "restartPolicy": policy,
        },
    }


def sidecar(name: str) -> Obj:
    return {"name": name, "image": "i", "restartPolicy": "Always"}


def ended(code: int, at: float = 2.0) -> Ended:
    return Ended(code, "Completed" if code == 0 else "Error", 1.0, at)


def done(code: int) -> ContainerState:
    return ContainerState(phase="terminated", started_at=1.0, ended=ended(code))


def state(**containers: ContainerState) -> PodState:
    return PodState(containers=containers, sandbox=True, pod_ip="10.0.0.2", started_at=1.0)


def starts(obj: Obj, now: float = 100.0, **containers: ContainerState) -> tuple[str, ...]:
    return lifecycle.plan(obj, state(**containers), now).start


def test_all_containers_start_together() -> None:
    assert starts(pod("a", "b")) == ("a", "b")
    assert starts(pod("a", "b"), a=RUNNING) == ("b",)


def test_init_containers_run_one_after_the_other() -> None:
    obj = pod("a", init=[{"name": "i1"}, {"name": "i2"}])
    assert starts(obj) == ("i1",)
    assert starts(obj, i1=RUNNING) == ()
    assert starts(obj, i1=done(0)) == ("i2",)
    assert starts(obj, i1=done(0), i2=done(0)) == ("a",)


def test_a_sidecar_is_waited_for_until_it_has_started_and_then_runs_on() -> None:
    obj = pod("a", init=[sidecar("proxy"), {"name": "i2"}])
    assert starts(obj) == ("proxy",)
    assert starts(obj, proxy=STARTING) == ()
    assert starts(obj, proxy=RUNNING) == ("i2",)
    assert starts(obj, proxy=RUNNING, i2=done(0)) == ("a",)


def test_a_sidecar_that_died_is_restarted_beside_running_containers() -> None:
    obj = pod("a", init=[sidecar("proxy")])
    assert starts(obj, proxy=done(1), a=RUNNING) == ("proxy",)


def test_sidecars_are_stopped_in_reverse_when_the_others_are_done() -> None:
    obj = pod("a", init=[sidecar("s1"), sidecar("s2")], policy="Never")
    plan = lifecycle.plan(obj, state(s1=RUNNING, s2=RUNNING, a=done(0)), 100.0)
    assert plan == lifecycle.Plan(stop=("s2", "s1"))


def test_restart_policies() -> None:
    cases = {
        ("Always", 0): True,
        ("Always", 1): True,
        ("OnFailure", 0): False,
        ("OnFailure", 1): True,
        ("Never", 1): False,
    }
    for (policy, code), again in cases.items():
        assert bool(starts(pod("a", policy=policy), a=done(code))) is again, (policy, code)


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    obj = pod("a", init=[{"name": "i"}], policy="Never")
    assert starts(obj, i=done(1)) == ()
    assert status.phase(obj, state(i=done(1))) == "Failed"
    assert starts(pod("a", init=[{"name": "i"}]), i=done(1)) == ("i",)


def test_backoff_doubles_from_the_second_failure_on_up_to_a_minute() -> None:
    assert [lifecycle.backoff(n) for n in (0, 1, 2, 3, 4, 20)] == [0, 0, 1, 2, 4, 60]


def test_a_container_that_keeps_failing_waits_in_crash_loop_backoff() -> None:
    obj = pod("a")
    first = lifecycle.after_end(obj, obj["spec"]["containers"][0], RUNNING, ended(1), 2.0)
    assert first.phase == "terminated" and first.failures == 1
    assert starts(obj, now=2.0, a=first) == ("a",)
    again = lifecycle.after_end(obj, obj["spec"]["containers"][0], first.with_(phase="running"), ended(1), 3.0)
    assert (again.phase, again.reason, again.last) == ("waiting", "CrashLoopBackOff", ended(1))
    plan = lifecycle.plan(obj, state(a=again), 3.0)
    assert plan == lifecycle.Plan(wake_at=4.0)
    assert starts(obj, now=4.0, a=again) == ("a",)


def test_nothing_starts_in_a_pod_that_is_being_deleted() -> None:
    assert lifecycle.plan(pod("a"), PodState(terminating=True), 1.0) == lifecycle.Plan()


def conditions(obj: Obj, pod_state: PodState) -> dict[str, Any]:
    shown = status.pod_status(obj, pod_state, "172.31.0.10", 50.0)
    return {condition["type"]: condition["status"] for condition in shown["conditions"]}


def test_phase_follows_the_containers() -> None:
    assert status.phase(pod("a"), state()) == "Pending"
    assert status.phase(pod("a", "b"), state(a=RUNNING)) == "Running"
    assert status.phase(pod("a", policy="Never"), state(a=done(0))) == "Succeeded"
    assert status.phase(pod("a", "b", policy="Never"), state(a=done(0), b=done(3))) == "Failed"
    assert status.phase(pod("a"), state(a=done(1))) == "Running"


def test_a_pod_is_ready_when_its_containers_and_sidecars_are() -> None:
    obj = pod("a", init=[sidecar("proxy")])
    assert conditions(obj, state(a=RUNNING, proxy=RUNNING))["Ready"] == "True"
    shown = status.pod_status(obj, state(a=RUNNING, proxy=STARTING), "172.31.0.10", 50.0)
    ready = next(c for c in shown["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "False" and ready["message"] == "containers with unready status: [proxy]"


def test_a_readiness_gate_holds_a_pod_back_and_foreign_conditions_are_kept() -> None:
    obj = pod("a")
    obj["spec"]["readinessGates"] = [{"conditionType": "example.com/in"}]
    assert conditions(obj, state(a=RUNNING))["Ready"] == "False"
    obj["status"] = {"conditions": [{"type": "example.com/in", "status": "True"}]}
    shown = conditions(obj, state(a=RUNNING))
    assert shown["Ready"] == "True" and shown["example.com/in"] == "True"


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    obj = pod("a")
    first = status.pod_status(obj, state(a=RUNNING), "h", 50.0)
    obj["status"] = first
    assert status.pod_status(obj, state(a=RUNNING), "h", 99.0)["conditions"] == first["conditions"]


def test_container_status_shows_the_last_run() -> None:
    shown = status.container_status(
        {"name": "a", "image": "x"}, RUNNING.with_(restarts=2, last=Ended(137, "Error", 1.0, 2.0, signal=9)), "-"
    )
    assert shown["restartCount"] == 2
    assert shown["lastState"]["terminated"]["exitCode"] == 137
    assert shown["state"] == {"running": {"startedAt": "1970-01-01T00:00:01Z"}}
