"""One pod on this node, from its binding to its end: carries out what ``lifecycle`` plans."""

from __future__ import annotations

import asyncio
import logging
import os
import time

from kubeclient import ApiError, KubeError
from kubeclient.resources import PODS
from meshtest.embedded.images import protocol
from meshtest.embedded.network import wiring
from meshtest.embedded.node import lifecycle, volumes
from meshtest.embedded.node.cell import Cell
from meshtest.embedded.node.containers import CONFIG_RETRY, Containers
from meshtest.embedded.node.host import Host
from meshtest.embedded.node.keeper import VolumeKeeper
from meshtest.embedded.node.reporter import report
from meshtest.embedded.node.runtime import Running
from meshtest.embedded.node.states import Obj, all_containers, is_sidecar

log = logging.getLogger(__name__)

DELETE_RETRY = 0.2


class Worker:
    """Owns a pod's task, namespace, processes, logs and directory, and removes all of them at its end."""

    def __init__(self, host: Host, pod: Obj) -> None:
        self.host = host
        self.cell = Cell(host, pod)
        self.key = self.cell.key
        self.volumes = VolumeKeeper(self.cell)
        self.containers = Containers(self.cell, self.volumes)
        self._link: wiring.PodLink | None = None

    @property
    def processes(self) -> dict[str, Running]:
        """Running containers by name."""
        return self.containers.processes

    # -- what others call ----------------------------------------------------------------------------------------------

    def update(self, pod: Obj) -> None:
        """A newer version of the pod."""
        before, after = self.cell.pod["metadata"], pod["metadata"]
        self.cell.pod = pod
        if any(before.get(part) != after.get(part) for part in ("labels", "annotations")):
            self.volumes.refresh()  # of a pod's own fields only these can change in its files
        self.cell.kick.set()

    def gone(self) -> None:
        """The pod no longer exists in the API: end it at once."""
        self.cell.gone = True
        self.cell.kick.set()

    def config_changed(self) -> None:
        """A config map or secret of the pod's namespace changed."""
        self.volumes.refresh()
        states = self.cell.state.containers
        if self.cell.state.problem or any(s.reason == "CreateContainerConfigError" for s in states.values()):
            self.cell.set(
                containers={n: s.with_(retry_at=0.0) if s.phase == "waiting" else s for n, s in states.items()}
            )
            self.cell.kick.set()

    def process_in(self, name: str, argv: list[str], *, tty: bool = False) -> protocol.Process:
        """The Process that runs argv as the container's user, with its environment."""
        return self.containers.process_in(name, argv, tty=tty)

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the pod is gone from this node and from the API."""
        reporter = asyncio.create_task(report(self.cell), name=f"status {self.key}")
        try:
            while not self.cell.deleting():
                self.cell.kick.clear()
                wake = await self._step()
                self.cell.dirty.set()
                await self._wait(wake)
            await self._terminate()
        finally:
            reporter.cancel()
            self._dispose()
        await self._finish()

    async def _step(self) -> float | None:
        """Do what is due; when to look again."""
        cell = self.cell
        if not cell.state.sandbox:
            try:
                await self._prepare()
            except volumes.VolumeMissing as error:
                self._trouble("FailedMount", str(error))
                return time.time() + CONFIG_RETRY
            except (OSError, KubeError, RuntimeError) as error:
                self._trouble("FailedCreatePodSandBox", str(error))
                return time.time() + CONFIG_RETRY
        plan = lifecycle.plan(cell.pod, cell.state, time.time())
        for name in plan.stop:
            await self.containers.stop(name, cell.grace())
        for name in plan.start:
            if cell.deleting():
                return None
            await self.containers.start(name)
        if plan.start:
            # a start may make the next one due (a sidecar without startup probe)
            return time.time()
        if not self.processes and lifecycle.is_over(cell.pod, cell.state):
            self._unplug()  # what is over needs no address
            return None
        renew = self.volumes.renew_at
        if renew is not None and time.time() >= renew:
            await self._renew()
        due = [moment for moment in (plan.wake_at, self.volumes.renew_at) if moment is not None]
        return min(due) if due else None

    async def _renew(self) -> None:
        try:
            await self.volumes.renew_tokens()
        except KubeError as error:
            log.warning("pod %s/%s: tokens not renewed: %s", *self.key, error)
            self.volumes.renew_at = time.time() + CONFIG_RETRY

    async def _wait(self, until: float | None) -> None:
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - time.time())):
                await self.cell.kick.wait()
        except TimeoutError:
            pass

    def _trouble(self, reason: str, message: str) -> None:
        if message != self.cell.state.problem:
            self.cell.warn(reason, message)
        self.cell.set(problem=message)

    async def _prepare(self) -> None:
        """Network, then volumes: the downward API may ask for the pod's address."""
        cell = self.cell
        cell.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if cell.netns < 0:
            self._plug_in()
        await self.volumes.prepare()
        cell.set(sandbox=True, problem="")

    def _plug_in(self) -> None:
        cell, config = self.cell, self.host.config
        if cell.pod["spec"].get("hostNetwork"):
            cell.netns = os.dup(config.netns_fd)
            cell.set(pod_ip=config.address)
            return
        address = self.host.addresses.take()
        name = f"p{cell.uid.replace('-', '')[:12]}"
        try:
            cell.netns, self._link = wiring.make_pod(config.netns_fd, config.address, name, address)
        except BaseException:
            self.host.addresses.give_back(address)
            raise
        cell.set(pod_ip=address)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _terminate(self) -> None:
        """All ordinary containers at once, then sidecars in reverse order."""
        self.cell.set(terminating=True)
        deadline = time.monotonic() + self.cell.grace()
        sidecars = [c["name"] for c in all_containers(self.cell.pod) if is_sidecar(c)]

        async def stop_all() -> None:
            ordinary = [name for name in self.processes if name not in sidecars]
            await asyncio.gather(*(self.containers.stop(n, deadline - time.monotonic()) for n in ordinary))
            for name in reversed(sidecars):
                await self.containers.stop(name, max(0.0, deadline - time.monotonic()))

        stopping = asyncio.create_task(stop_all())
        while not stopping.done():
            self.cell.kick.clear()
            kicked = asyncio.create_task(self.cell.kick.wait())
            await asyncio.wait({stopping, kicked}, return_when=asyncio.FIRST_COMPLETED)
            kicked.cancel()
            if self.cell.gone:  # deleted by force in the meantime
                for running in self.processes.values():
                    running.kill()
        stopping.result()
        await self.containers.ended()

    def _dispose(self) -> None:
        self.cell.cancel_tasks()
        self.containers.close()
        self._unplug()
        self.cell.set(sandbox=False)
        volumes.remove(self.cell.directory)

    def _unplug(self) -> None:
        if self._link is not None:
            wiring.remove_pod(self.host.config.netns_fd, self._link)
            self.host.addresses.give_back(self._link.address)
            self._link = None
        if self.cell.netns >= 0:
            os.close(self.cell.netns)
            self.cell.netns = -1

    async def _finish(self) -> None:
        """Tell the API that nothing of the pod is left on this node."""
        while not self.cell.gone:
            try:
                async with self.host.turn:
                    await self.host.client.delete(PODS, self.key[1], self.key[0], grace_seconds=0, uid=self.cell.uid)
                return
            except ApiError as error:
                if error.is_not_found or error.is_conflict:
                    return
                log.warning("pod %s/%s: final delete: %s", *self.key, error)
            except KubeError as error:
                log.warning("pod %s/%s: final delete: %s", *self.key, error)
            await asyncio.sleep(DELETE_RETRY)
