"""The probes of a pod's running containers, and what follows from their verdicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from meshtest.embedded.node import probing
from meshtest.embedded.node.cell import Cell
from meshtest.embedded.node.runtime import Running
from meshtest.embedded.node.states import Obj


class Programs(Protocol):
    """What a prober needs of whoever runs the containers."""

    def target(self, name: str) -> probing.Target:
        """How to check on a container."""

    def beside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with the container's current run."""

    async def end(self, running: Running, grace: float) -> None:
        """SIGTERM, and SIGKILL when the grace period is over."""


class Prober:
    """Startup probe first; readiness and liveness once the container has started."""

    def __init__(self, cell: Cell, programs: Programs) -> None:
        self._cell = cell
        self._programs = programs

    def begin(self, name: str, running: Running, kinds: tuple[str, ...]) -> None:
        container = self._cell.container(name)
        for kind in kinds:
            if container.get(kind):
                self._programs.beside(name, self._probe(name, running, kind, container[kind]))

    async def _probe(self, name: str, running: Running, kind: str, probe: Obj) -> None:
        await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
        verdict = probing.Verdict()
        since = time.monotonic()
        counted = 0.0
        while not running.exited.done():
            began = time.monotonic()
            ok, why = await probing.check(probe, self._programs.target(name), probing.timeout(probe))
            # the quick checks of the beginning: as many failures as a slow prober would have seen
            if ok or verdict.healthy is not None or began - counted >= probing.period(probe):
                verdict = probing.judge(verdict, ok, probe)
                counted = began
            if await self._judged(name, running, kind, verdict, ok, why, probe):
                return
            passed = verdict.healthy is True or kind == "livenessProbe"
            await asyncio.sleep(probing.pause(probe, time.monotonic() - since, passed))

    async def _judged(
        self, name: str, running: Running, kind: str, verdict: probing.Verdict, ok: bool, why: str, probe: Obj
    ) -> bool:
        """Act on a probe's verdict; True when the probe has done its work."""
        state = self._cell.state.of(name)
        if not state.running:
            return True
        if kind == "readinessProbe":
            ready = verdict.healthy is True
            if state.ready != ready:
                if not ready:
                    self._cell.warn("Unhealthy", f"Readiness probe failed: {why}")
                self._cell.set_container(name, state.with_(ready=ready))
            return False
        if kind == "startupProbe" and ok and verdict.healthy:
            self._cell.set_container(
                name, state.with_(started=True, ready=not self._cell.container(name).get("readinessProbe"))
            )
            self.begin(name, running, ("readinessProbe", "livenessProbe"))
            self._cell.kick.set()
            return True
        if verdict.healthy is False:
            self._cell.warn("Unhealthy", f"{kind.removesuffix('Probe').capitalize()} probe failed: {why}")
            grace = float(probe.get("terminationGracePeriodSeconds") or self._cell.grace())
            # in a task of the pod's own: this one ends with the container
            self._cell.spawn(f"{name} unhealthy", self._programs.end(running, grace))
            return True
        return False
