"""The containers of one pod: their processes, logs, hooks and ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from meshtest.embedded.images import protocol
from meshtest.embedded.images.registry import BrokenImage, UnknownImage
from meshtest.embedded.node import environment, lifecycle, probing
from meshtest.embedded.node.cell import Cell
from meshtest.embedded.node.keeper import VolumeKeeper
from meshtest.embedded.node.logs import LogFile, tail_text
from meshtest.embedded.node.prober import Prober
from meshtest.embedded.node.runtime import Pump, Running, StartFailed
from meshtest.embedded.node.states import ContainerState, Ended, Obj

CONFIG_RETRY = 1.0


class Containers:
    """Starts and stops what the worker says and keeps the cell's state of each container true.

    processes: the running ones, by container name.
    """

    def __init__(self, cell: Cell, keeper: VolumeKeeper) -> None:
        self.processes: dict[str, Running] = {}
        self._cell = cell
        self._keeper = keeper
        self._prober = Prober(cell, self)
        self._logs: dict[str, list[LogFile]] = {}
        self._beside: dict[str, set[asyncio.Task[None]]] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    def log_of(self, container: str, *, previous: bool = False) -> LogFile | None:
        """The log of a container's current (or previous) run."""
        files = self._logs.get(container) or []
        index = -2 if previous else -1
        return files[index] if len(files) >= -index else None

    def beside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with the container's current run."""
        tasks = self._beside.setdefault(name, set())
        tasks.add(task := self._cell.spawn(name, work))
        task.add_done_callback(tasks.discard)

    async def ended(self) -> None:
        """Until the ends of all that was stopped are on record."""
        if self._watchers:
            await asyncio.wait(self._watchers)

    def close(self) -> None:
        """Kill what still runs; no more output is taken."""
        for running in self.processes.values():
            running.kill()
        for files in self._logs.values():
            for file in files:
                file.close()

    async def start(self, name: str) -> None:
        """Start a container, or record why it cannot be started now."""
        container = self._cell.container(name)
        state = self._cell.state.of(name)
        try:
            image = self._cell.host.images.resolve(str(container.get("image", "")))
            env = environment.environment(self._cell.pod, container, image, self._cell.facts())
            process = environment.process(self._cell.pod, container, image, env)
            if not container.get("command") and image.python is None and not image.binary:
                raise environment.ConfigError(
                    f"image {image.name} has no program of its own: the container needs a command"
                )
            mounts = environment.mounts(container, self._keeper.sources, env) + self._termination_mount(name, container)
        except (UnknownImage, BrokenImage) as error:
            self._refuse(name, state, "ErrImagePull", "ImagePullBackOff", str(error))
            return
        except environment.ConfigError as error:
            self._refuse(name, state, "CreateContainerConfigError", "CreateContainerConfigError", str(error))
            return
        spec = protocol.Container(
            name=name,
            process=process,
            python=None if container.get("command") else image.python,
            hostname=environment.hostname(self._cell.pod) if not self._cell.pod["spec"].get("hostNetwork") else "",
            mounts=mounts,
            files=environment.root_files(self._cell.pod, self._cell.facts()),
            readonly_root=bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem")),
        )
        again = bool(state.started_at or state.ended or state.last)
        state = state.with_(
            restarts=state.restarts + 1 if again else 0,
            last=state.ended or state.last,
            ended=None,
            container_id=f"meshtest://{secrets.token_hex(32)}",
        )
        began = time.time()
        try:
            running, pumps = await self._launch(name, spec, state.restarts)
        except (StartFailed, OSError, ValueError) as error:
            self._cell.warn("Failed", f"Error: {error}")
            ended = Ended(128, "StartError", began, time.time(), str(error), container_id=state.container_id)
            self._cell.set_container(
                name, lifecycle.after_end(self._cell.pod, container, state.with_(started_at=began), ended, time.time())
            )
            return
        self.processes[name] = running
        startup, readiness = container.get("startupProbe"), container.get("readinessProbe")
        self._cell.set_container(
            name,
            state.with_(
                phase="running",
                reason="",
                message="",
                retry_at=0.0,
                started_at=began,
                started=not startup and not _post_start(container),
                ready=not startup and not readiness and not _post_start(container),
            ),
        )
        # not one of the tasks beside it: those are ended by it
        self._watchers.add(watcher := self._cell.spawn(f"{name} watch", self._watch(name, running, pumps)))
        watcher.add_done_callback(self._watchers.discard)
        if _post_start(container):
            await self._post_start(name, container)
        self._prober.begin(name, running, ("startupProbe",) if startup else ("readinessProbe", "livenessProbe"))

    async def _launch(self, name: str, spec: protocol.Container, number: int) -> tuple[Running, list[Pump]]:
        file = LogFile(self._cell.directory / "logs" / name / f"{number}.log")
        self._logs.setdefault(name, []).append(file)
        del self._logs[name][:-2]
        ends: list[int] = []
        try:
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            ends.append(null)
            pumps = []
            for stream in ("stdout", "stderr"):
                read, write = os.pipe2(os.O_CLOEXEC)
                ends.append(write)
                pumps.append(Pump(read, _feeder(file, stream)))
            return await self._cell.host.runtime.run(spec, [self._cell.netns, *ends]), pumps
        except BaseException:
            file.close()
            raise
        finally:
            for fd in ends:
                os.close(fd)

    def _termination_mount(self, name: str, container: Obj) -> tuple[protocol.Mount, ...]:
        path = self._cell.directory / "termination" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(b"")
        path.chmod(0o666)
        return (protocol.Mount(str(path), container.get("terminationMessagePath") or "/dev/termination-log"),)

    def _refuse(self, name: str, state: ContainerState, first: str, then: str, message: str) -> None:
        """The container cannot be started for now; it is tried again with back-off."""
        failures = state.failures + 1
        reason = first if failures == 1 else then
        if failures == 1:
            self._cell.warn("Failed", f"{reason}: {message}")
        retry = time.time() + min(CONFIG_RETRY * 2 ** (failures - 1), lifecycle.LONGEST_BACKOFF)
        self._cell.set_container(
            name, state.with_(phase="waiting", reason=reason, message=message, failures=failures, retry_at=retry)
        )

    async def _watch(self, name: str, running: Running, pumps: list[Pump]) -> None:
        code = await asyncio.shield(running.exited)
        await asyncio.gather(*(asyncio.shield(pump.done) for pump in pumps))
        file = self._logs[name][-1]
        file.close()
        running.close()
        for task in self._beside.pop(name, ()):
            task.cancel()
        container, state = self._cell.container(name), self._cell.state.of(name)
        ended = Ended(
            code,
            "Completed" if code == 0 else "Error",
            state.started_at,
            time.time(),
            self._termination_message(name, container, code, file.path),
            running.signal,
            state.container_id,
        )
        if self.processes.get(name) is running:
            del self.processes[name]
        if self._cell.state.terminating:
            state = state.with_(phase="terminated", ended=ended, ready=False, started=False)
        else:
            state = lifecycle.after_end(self._cell.pod, container, state, ended, time.time())
        if state.reason == "CrashLoopBackOff":
            self._cell.warn("BackOff", state.message)
        self._cell.set_container(name, state)
        self._cell.kick.set()

    def _termination_message(self, name: str, container: Obj, code: int, path: Path) -> str:
        with suppress(OSError):
            text: str = (self._cell.directory / "termination" / name).read_text(errors="replace")[:4096]
            if text:
                return text
        if code != 0 and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            with suppress(OSError):
                return tail_text(path)
        return ""

    async def execute(self, name: str, argv: list[str]) -> tuple[int, str]:
        """Run a program in a running container and wait for it: exit code and output."""
        running = self.processes.get(name)
        if running is None:
            return 1, "container is not running"
        output: list[bytes] = []
        read, write = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        pump = Pump(read, output.append)
        try:
            program = await self._cell.host.runtime.execute(running, self.process_in(name, argv), [null, write, write])
        except StartFailed as error:
            pump.close()
            return 126, str(error)
        finally:
            os.close(null)
            os.close(write)
        try:
            code = await asyncio.shield(program.exited)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):  # a daemon that it left behind may hold the pipe
                    await pump.done
        except asyncio.CancelledError:
            program.kill()
            raise
        finally:
            pump.close()
            program.close()
        return code, b"".join(output).decode(errors="replace")

    def process_in(self, name: str, argv: list[str], *, tty: bool = False) -> protocol.Process:
        """The Process that runs argv as the container's user, with its environment."""
        container = self._cell.container(name)
        image = self._cell.host.images.resolve(str(container.get("image", "")))
        env = environment.environment(self._cell.pod, container, image, self._cell.facts())
        if tty:
            env.setdefault("TERM", "xterm")
        return environment.process(self._cell.pod, {**container, "command": argv, "args": [], "tty": tty}, image, env)

    def target(self, name: str) -> probing.Target:
        """How to check on a container."""

        async def execute(argv: list[str]) -> tuple[int, str]:
            return await self.execute(name, argv)

        return probing.Target(
            self._cell.container(name), self._cell.state.pod_ip, self._cell.host.config.netns_fd, execute
        )

    async def _post_start(self, name: str, container: Obj) -> None:
        ok, why = await probing.check(_post_start(container), self.target(name), self._cell.grace())
        if not ok:
            self._cell.warn("FailedPostStartHook", why)
            if running := self.processes.get(name):
                running.kill()
            return
        state = self._cell.state.of(name)
        if state.running:
            startup, readiness = container.get("startupProbe"), container.get("readinessProbe")
            self._cell.set_container(name, state.with_(started=not startup, ready=not startup and not readiness))

    async def end(self, running: Running, grace: float) -> None:
        """SIGTERM, and SIGKILL when the grace period is over."""
        if grace > 0:
            running.kill(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await asyncio.shield(running.exited)
                    return
        running.kill(signal.SIGKILL)
        await asyncio.shield(running.exited)

    async def stop(self, name: str, grace: float) -> None:
        """Pre-stop hook, SIGTERM, SIGKILL, within the grace period; returns when it has ended."""
        running = self.processes.get(name)
        if running is None:
            return
        deadline = time.monotonic() + grace
        hook = (self._cell.container(name).get("lifecycle") or {}).get("preStop")
        if hook and grace > 0:
            ok, why = await probing.check(hook, self.target(name), grace)
            if not ok:
                self._cell.warn("FailedPreStopHook", why)
        # a hook that used up the grace period leaves the program two seconds (Kubernetes' rule)
        await self.end(running, max(2.0 if hook and grace > 0 else 0.0, deadline - time.monotonic()))


def _post_start(container: Obj) -> Obj:
    return (container.get("lifecycle") or {}).get("postStart") or {}


def _feeder(file: LogFile, stream: str) -> Callable[[bytes], None]:
    def feed(chunk: bytes) -> None:
        if not file.closed:
            file.feed(stream, chunk)

    return feed
