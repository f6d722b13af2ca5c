"""The state of a pod's containers as the node knows it: immutable values that lifecycle and status read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Obj = dict[str, Any]
Phase = Literal["waiting", "running", "terminated"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of a container ended; times are seconds since the epoch."""

    exit_code: int
    reason: str
    started_at: float
    finished_at: float
    message: str = ""
    signal: int | None = None
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container. retry_at: not to be started before then (0: at once). failures: consecutive, for the back-off.

    started: running and past its startup probe; ready: passes its readiness probe as well.
    """

    phase: Phase = "waiting"
    reason: str = "ContainerCreating"
    message: str = ""
    container_id: str = ""
    started_at: float = 0.0
    started: bool = False
    ready: bool = False
    restarts: int = 0
    failures: int = 0
    retry_at: float = 0.0
    ended: Ended | None = None
    last: Ended | None = None

    @property
    def running(self) -> bool:
        return self.phase == "running"

    def with_(self, **changes: Any) -> ContainerState:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod on this node. containers: by name, init containers among them (names are unique in a pod).

    phase_override: Failed with reason and message when the node gave up on the pod as a whole.
    """

    containers: Mapping[str, ContainerState] = field(default_factory=dict)
    sandbox: bool = False
    pod_ip: str = ""
    started_at: float = 0.0
    terminating: bool = False
    problem: str = ""  # why no container can start yet (a volume that is missing)

    def of(self, name: str) -> ContainerState:
        """The container's state; fresh when it has none yet."""
        return self.containers.get(name, ContainerState())


def init_containers(pod: Obj) -> list[Obj]:
    """Init containers of a pod, sidecars among them, in their order."""
    return list(pod["spec"].get("initContainers") or ())


def main_containers(pod: Obj) -> list[Obj]:
    """The ordinary containers of a pod."""
    return list(pod["spec"].get("containers") or ())


def all_containers(pod: Obj) -> Iterator[Obj]:
    """Init containers, then the others."""
    yield from init_containers(pod)
    yield from main_containers(pod)


def is_sidecar(container: Obj) -> bool:
    """An init container with restartPolicy Always: it keeps running beside the others."""
    return bool(container.get("restartPolicy") == "Always")


def restart_policy(pod: Obj) -> str:
    """Always, OnFailure or Never."""
    return str(pod["spec"].get("restartPolicy") or "Always")
