"""What the parts of one pod's worker share: the pod as last seen, its state, and who wants to know of changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from meshtest.embedded.node.environment import Facts
from meshtest.embedded.node.host import Host
from meshtest.embedded.node.states import ContainerState, Obj, PodState, all_containers

log = logging.getLogger(__name__)

DEFAULT_GRACE = 30.0


class Cell:
    """One pod on this node. netns: descriptor of its network namespace, -1 while it has none.

    kick wakes the worker's loop; dirty wakes the reporter of its status.
    """

    def __init__(self, host: Host, pod: Obj) -> None:
        self.host = host
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.key: tuple[str, str] = (pod["metadata"].get("namespace", "default"), pod["metadata"]["name"])
        self.directory = host.config.state_dir / "pods" / self.uid
        self.state = PodState(started_at=time.time())
        self.netns = -1
        self.gone = False
        self.kick = asyncio.Event()
        self.dirty = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def set(self, **changes: Any) -> None:
        """Change some fields of the state."""
        values = {name: getattr(self.state, name) for name in PodState.__slots__}
        self.state = PodState(**{**values, **changes})
        self.dirty.set()

    def set_container(self, name: str, state: ContainerState) -> None:
        """The new state of one container."""
        self.set(containers={**self.state.containers, name: state})

    def container(self, name: str) -> Obj:
        """The container's part of the spec."""
        return next(c for c in all_containers(self.pod) if c["name"] == name)

    def facts(self) -> Facts:
        """What this pod may be told."""
        return self.host.facts(self.pod, self.state.pod_ip)

    def warn(self, reason: str, message: str) -> None:
        """Record a Warning about the pod."""
        self.host.event(self.pod, "Warning", reason, message)

    def deleting(self) -> bool:
        """The pod has to end."""
        return self.gone or "deletionTimestamp" in self.pod["metadata"]

    def grace(self) -> float:
        """Seconds that its programs have between SIGTERM and SIGKILL."""
        if self.gone:
            return 0.0
        seconds = self.pod["metadata"].get("deletionGracePeriodSeconds")
        if seconds is None:
            seconds = self.pod["spec"].get("terminationGracePeriodSeconds")
        return DEFAULT_GRACE if seconds is None else float(seconds)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task of this pod; its failure is logged."""
        task = asyncio.create_task(work, name=f"{self.key} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s failed", task.get_name(), exc_info=task.exception())

    def cancel_tasks(self) -> None:
        """Cancel whatever still runs."""
        for task in list(self._tasks):
            task.cancel()
