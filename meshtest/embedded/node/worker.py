"""One pod on this node, from its binding to its end: carries out what ``lifecycle`` plans."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from kubeclient import ApiError, KubeError
from kubeclient.resources import PODS, SERVICE_ACCOUNTS
from meshtest.embedded.images import protocol
from meshtest.embedded.images.registry import BrokenImage, UnknownImage
from meshtest.embedded.network import wiring
from meshtest.embedded.node import environment, lifecycle, probing, status, volumes
from meshtest.embedded.node.host import Host
from meshtest.embedded.node.logs import LogFile, tail_text
from meshtest.embedded.node.runtime import Pump, Running, StartFailed
from meshtest.embedded.node.states import ContainerState, Ended, Obj, PodState, all_containers, is_sidecar

log = logging.getLogger(__name__)

CONFIG_RETRY = 1.0
REASONS = {0: "Completed"}


class Worker:
    """Owns a pod's task, namespace, processes, logs and directory, and removes all of them at its end."""

    def __init__(self, host: Host, pod: Obj) -> None:
        self.host = host
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.key = (pod["metadata"].get("namespace", "default"), pod["metadata"]["name"])
        self.directory = host.config.state_dir / "pods" / self.uid
        self.state = PodState(started_at=time.time())
        self.netns = -1
        self.processes: dict[str, Running] = {}
        self._logs: dict[str, list[LogFile]] = {}
        self._link: wiring.PodLink | None = None
        self._kick = asyncio.Event()
        self._status_dirty = asyncio.Event()
        self._sent: Obj | None = None
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self._tokens: dict[volumes.TokenRequest, str] = {}
        self._renew_at: float | None = None
        self._gone = False
        self._sources: dict[str, str] = {}

    # -- what others call ----------------------------------------------------------------------------------------------

    def update(self, pod: Obj) -> None:
        """A newer version of the pod."""
        self.pod = pod
        if self.state.sandbox:
            self.refresh_volumes()
        self._kick.set()

    def gone(self) -> None:
        """The pod no longer exists in the API: end it at once."""
        self._gone = True
        self._kick.set()

    def config_changed(self) -> None:
        """A config map or secret of the pod's namespace changed."""
        if self.state.sandbox:
            self.refresh_volumes()
        if self.state.problem or any(s.reason == "CreateContainerConfigError" for s in self.state.containers.values()):
            waiting = {
                n: s.with_(retry_at=0.0) if s.phase == "waiting" else s for n, s in self.state.containers.items()
            }
            self._set(containers=waiting)
            self._kick.set()

    def log_of(self, container: str, *, previous: bool = False) -> LogFile | None:
        """The log of a container's current (or previous) run."""
        files = self._logs.get(container) or []
        index = -2 if previous else -1
        return files[index] if len(files) >= -index else None

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the pod is gone from this node and from the API."""
        reporter = asyncio.create_task(self._report(), name=f"status {self.key}")
        try:
            while not self._deleting():
                self._kick.clear()
                wake = await self._step()
                self._status_dirty.set()
                await self._wait(wake)
            await self._terminate()
        finally:
            reporter.cancel()
            self._dispose()
        await self._finish()

    async def _step(self) -> float | None:
        """Do what is due; when to look again."""
        if not self.state.sandbox:
            try:
                await self._prepare()
            except volumes.VolumeMissing as error:
                self._trouble("FailedMount", str(error))
                return time.time() + CONFIG_RETRY
            except (OSError, KubeError, RuntimeError) as error:
                self._trouble("FailedCreatePodSandBox", str(error))
                return time.time() + CONFIG_RETRY
        plan = lifecycle.plan(self.pod, self.state, time.time())
        for name in plan.stop:
            await self._stop(name, self._grace())
        for name in plan.start:
            if self._deleting():
                return None
            await self._start(name)
        if plan.start:
            # a start may make the next one due (a sidecar without startup probe)
            return time.time()
        if not self.processes and lifecycle.is_over(self.pod, self.state):
            self._unplug()  # what is over needs no address
            return None
        due = [moment for moment in (plan.wake_at, self._renew_at) if moment is not None]
        if self._renew_at is not None and time.time() >= self._renew_at:
            await self._renew_tokens()
        return min(due) if due else None

    async def _wait(self, until: float | None) -> None:
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - time.time())):
                await self._kick.wait()
        except TimeoutError:
            pass

    def _deleting(self) -> bool:
        return self._gone or "deletionTimestamp" in self.pod["metadata"]

    def _set(self, **changes: Any) -> None:
        values = {name: getattr(self.state, name) for name in PodState.__slots__}
        self.state = PodState(**{**values, **changes})
        self._status_dirty.set()

    def _set_container(self, name: str, state: ContainerState) -> None:
        self._set(containers={**self.state.containers, name: state})

    def _trouble(self, reason: str, message: str) -> None:
        if message != self.state.problem:
            self.host.event(self.pod, "Warning", reason, message)
        self._set(problem=message)

    def _container(self, name: str) -> Obj:
        return next(c for c in all_containers(self.pod) if c["name"] == name)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that belongs to one run of a container."""
        task = asyncio.create_task(work, name=f"{self.key} {name}")
        tasks = self._tasks.setdefault(name, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_log_failure)

    # -- before the first container ------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        config = self.host.config
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.netns < 0:
            if self.pod["spec"].get("hostNetwork"):
                self.netns = os.dup(config.netns_fd)
                self._set(pod_ip=config.address)
            else:
                address = self.host.addresses.take()
                try:
                    self.netns, self._link = wiring.make_pod(
                        config.netns_fd, config.address, f"p{self.uid.replace('-', '')[:12]}", address
                    )
                except BaseException:
                    self.host.addresses.give_back(address)
                    raise
                self._set(pod_ip=address)
        await self._renew_tokens()
        self._sources = {
            volume["name"]: volumes.make_source(volume, self.directory / "volumes" / volume["name"], self._fs_group())
            for volume in self.pod["spec"].get("volumes") or ()
        }
        self._write_volumes()
        self._set(sandbox=True, problem="")

    def _fs_group(self) -> int | None:
        group = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return None if group is None else int(group)

    def facts(self) -> environment.Facts:
        """What this pod may be told."""
        return self.host.facts(self.state.pod_ip)

    def _write_volumes(self) -> None:
        facts = self.facts()
        for volume in self.pod["spec"].get("volumes") or ():
            if volumes.is_live(volume):
                files = volumes.content(volume, self.pod, facts, self._tokens)
                volumes.write_files(Path(self._sources[volume["name"]]), files, self._fs_group())

    def refresh_volumes(self) -> None:
        """Bring the files of live volumes up to date; what cannot be made now stays as it was."""
        try:
            self._write_volumes()
        except (volumes.VolumeMissing, OSError) as error:
            log.info("pod %s/%s: volumes not refreshed: %s", *self.key, error)

    async def _renew_tokens(self) -> None:
        requests = sorted(volumes.token_requests(self.pod), key=lambda r: r.audience)
        if not requests:
            return
        answers = await asyncio.gather(*(self._request_token(request) for request in requests))
        self._tokens = dict(zip(requests, answers, strict=True))
        self._renew_at = time.time() + 0.8 * min(request.seconds for request in requests)
        if self.state.sandbox:
            self.refresh_volumes()

    async def _request_token(self, request: volumes.TokenRequest) -> str:
        account = self.pod["spec"].get("serviceAccountName") or "default"
        metadata = self.pod["metadata"]
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [request.audience] if request.audience else [],
                "expirationSeconds": request.seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]},
            },
        }
        answer = await self.host.client.create(SERVICE_ACCOUNTS, body, self.key[0], name=account, subresource="token")
        return str(answer["status"]["token"])

    # -- containers ----------------------------------------------------------------------------------------------------

    async def _start(self, name: str) -> None:
        container = self._container(name)
        state = self.state.of(name)
        try:
            image = self.host.images.resolve(str(container.get("image", "")))
            env = environment.environment(self.pod, container, image, self.facts())
            process = environment.process(self.pod, container, image, env)
            if not container.get("command") and image.python is None and not image.binary:
                raise environment.ConfigError(
                    f"image {image.name} has no program of its own: the container needs a command"
                )
            mounts = environment.mounts(container, self._sources, env) + self._termination_mount(name, container)
        except (UnknownImage, BrokenImage) as error:
            self._refuse(name, state, "ErrImagePull", "ImagePullBackOff", str(error))
            return
        except environment.ConfigError as error:
            self._refuse(name, state, "CreateContainerConfigError", "CreateContainerConfigError", str(error))
            return
        spec = protocol.Container(
            name=f"{name}",
            process=process,
            python=None if container.get("command") else image.python,
            hostname=environment.hostname(self.pod) if not self.pod["spec"].get("hostNetwork") else "",
            mounts=mounts,
            files=environment.root_files(self.pod, self.facts()),
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
            self.host.event(self.pod, "Warning", "Failed", f"Error: {error}")
            ended = Ended(128, "StartError", began, time.time(), str(error), container_id=state.container_id)
            self._set_container(
                name, lifecycle.after_end(self.pod, container, state.with_(started_at=began), ended, time.time())
            )
            return
        self.processes[name] = running
        startup, readiness = container.get("startupProbe"), container.get("readinessProbe")
        self._set_container(
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
        self._spawn_watch(name, running, pumps)
        if _post_start(container):
            await self._post_start(name, container)
        self._spawn_probes(name, running, ("startupProbe",) if startup else ("readinessProbe", "livenessProbe"))

    async def _launch(self, name: str, spec: protocol.Container, number: int) -> tuple[Running, list[Pump]]:
        file = LogFile(self.directory / "logs" / name / f"{number}.log")
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
            return await self.host.runtime.run(spec, [self.netns, *ends]), pumps
        except BaseException:
            file.close()
            raise
        finally:
            for fd in ends:
                os.close(fd)

    def _termination_mount(self, name: str, container: Obj) -> tuple[protocol.Mount, ...]:
        path = self.directory / "termination" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(b"")
        path.chmod(0o666)
        return (protocol.Mount(str(path), container.get("terminationMessagePath") or "/dev/termination-log"),)

    def _refuse(self, name: str, state: ContainerState, first: str, then: str, message: str) -> None:
        """The container cannot be started for now; it is tried again with back-off."""
        failures = state.failures + 1
        reason = first if failures == 1 else then
        if failures == 1:
            self.host.event(self.pod, "Warning", "Failed", f"{reason}: {message}")
        retry = time.time() + min(CONFIG_RETRY * 2 ** (failures - 1), lifecycle.LONGEST_BACKOFF)
        self._set_container(
            name, state.with_(phase="waiting", reason=reason, message=message, failures=failures, retry_at=retry)
        )

    def _spawn_watch(self, name: str, running: Running, pumps: list[Pump]) -> None:
        # not among the run's own tasks: it ends them
        task = asyncio.create_task(self._watch(name, running, pumps), name=f"{self.key} {name} watch")
        task.add_done_callback(_log_failure)
        self._tasks.setdefault("", set()).add(task)
        task.add_done_callback(self._tasks[""].discard)

    async def _watch(self, name: str, running: Running, pumps: list[Pump]) -> None:
        code = await asyncio.shield(running.exited)
        await asyncio.gather(*(pump.done for pump in pumps))
        file = self._logs[name][-1]
        file.close()
        running.close()
        for task in list(self._tasks.get(name, ())):
            task.cancel()
        container, state = self._container(name), self.state.of(name)
        ended = Ended(
            code,
            REASONS.get(code, "Error"),
            state.started_at,
            time.time(),
            self._termination_message(name, container, code, file.path),
            running.signal,
            state.container_id,
        )
        if self.processes.get(name) is running:
            del self.processes[name]
        if self.state.terminating:
            state = state.with_(phase="terminated", ended=ended, ready=False, started=False)
        else:
            state = lifecycle.after_end(self.pod, container, state, ended, time.time())
        if state.reason == "CrashLoopBackOff":
            self.host.event(self.pod, "Warning", "BackOff", state.message)
        self._set_container(name, state)
        self._kick.set()

    def _termination_message(self, name: str, container: Obj, code: int, path: Path) -> str:
        with suppress(OSError):
            text: str = (self.directory / "termination" / name).read_text(errors="replace")[:4096]
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
            program = await self.host.runtime.execute(running, self.process_in(name, argv), [null, write, write])
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
        container = self._container(name)
        image = self.host.images.resolve(str(container.get("image", "")))
        env = environment.environment(self.pod, container, image, self.facts())
        if tty:
            env.setdefault("TERM", "xterm")
        return environment.process(self.pod, {**container, "command": argv, "args": [], "tty": tty}, image, env)

    # -- probes and hooks ----------------------------------------------------------------------------------------------

    def _target(self, name: str) -> probing.Target:
        async def execute(argv: list[str]) -> tuple[int, str]:
            return await self.execute(name, argv)

        return probing.Target(self._container(name), self.state.pod_ip, self.host.config.netns_fd, execute)

    async def _post_start(self, name: str, container: Obj) -> None:
        ok, why = await probing.check(_post_start(container), self._target(name), self._grace())
        if not ok:
            self.host.event(self.pod, "Warning", "FailedPostStartHook", why)
            if running := self.processes.get(name):
                running.kill()
            return
        state = self.state.of(name)
        if state.running:
            startup, readiness = container.get("startupProbe"), container.get("readinessProbe")
            self._set_container(name, state.with_(started=not startup, ready=not startup and not readiness))

    def _spawn_probes(self, name: str, running: Running, kinds: tuple[str, ...]) -> None:
        container = self._container(name)
        for kind in kinds:
            if container.get(kind):
                self._spawn(name, self._probe(name, running, kind, container[kind]))

    async def _probe(self, name: str, running: Running, kind: str, probe: Obj) -> None:
        await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
        verdict = probing.Verdict()
        since = time.monotonic()
        counted = 0.0
        while not running.exited.done():
            began = time.monotonic()
            ok, why = await probing.check(probe, self._target(name), probing.timeout(probe))
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
        state = self.state.of(name)
        if not state.running:
            return True
        if kind == "readinessProbe":
            ready = verdict.healthy is True
            if state.ready != ready:
                if not ready:
                    self.host.event(self.pod, "Warning", "Unhealthy", f"Readiness probe failed: {why}")
                self._set_container(name, state.with_(ready=ready))
            return False
        if kind == "startupProbe" and ok and verdict.healthy:
            self._set_container(name, state.with_(started=True, ready=not self._container(name).get("readinessProbe")))
            self._spawn_probes(name, running, ("readinessProbe", "livenessProbe"))
            self._kick.set()
            return True
        if verdict.healthy is False:
            self.host.event(
                self.pod, "Warning", "Unhealthy", f"{kind.removesuffix('Probe').capitalize()} probe failed: {why}"
            )
            grace = float(probe.get("terminationGracePeriodSeconds") or self._grace())
            # in a task of the pod's own: this one ends with the container
            task = asyncio.create_task(self._end(running, grace))
            self._tasks.setdefault("", set()).add(task)
            task.add_done_callback(self._tasks[""].discard)
            return True
        return False

    # -- the end -------------------------------------------------------------------------------------------------------

    def _grace(self) -> float:
        if self._gone:
            return 0.0
        seconds = self.pod["metadata"].get("deletionGracePeriodSeconds")
        if seconds is None:
            seconds = self.pod["spec"].get("terminationGracePeriodSeconds")
        return 30.0 if seconds is None else float(seconds)

    async def _end(self, running: Running, grace: float) -> None:
        """SIGTERM, and SIGKILL when the grace period is over."""
        if grace > 0:
            running.kill(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await asyncio.shield(running.exited)
                    return
        running.kill(signal.SIGKILL)
        await asyncio.shield(running.exited)

    async def _stop(self, name: str, grace: float) -> None:
        running = self.processes.get(name)
        if running is None:
            return
        deadline = time.monotonic() + grace
        hook = (self._container(name).get("lifecycle") or {}).get("preStop")
        if hook and grace > 0:
            ok, why = await probing.check(hook, self._target(name), grace)
            if not ok:
                self.host.event(self.pod, "Warning", "FailedPreStopHook", why)
        # a hook that used up the grace period leaves the program two seconds (Kubernetes' rule)
        await self._end(running, max(2.0 if hook and grace > 0 else 0.0, deadline - time.monotonic()))

    async def _terminate(self) -> None:
        """All ordinary containers at once, then sidecars in reverse order."""
        self._set(terminating=True)
        deadline = time.monotonic() + self._grace()
        sidecars = [c["name"] for c in all_containers(self.pod) if is_sidecar(c)]

        async def stop_all() -> None:
            await asyncio.gather(
                *(self._stop(n, deadline - time.monotonic()) for n in list(self.processes) if n not in sidecars)
            )
            for name in reversed(sidecars):
                await self._stop(name, max(0.0, deadline - time.monotonic()))

        stopping = asyncio.create_task(stop_all())
        while not stopping.done():
            self._kick.clear()
            kicked = asyncio.create_task(self._kick.wait())
            await asyncio.wait({stopping, kicked}, return_when=asyncio.FIRST_COMPLETED)
            kicked.cancel()
            if self._gone:  # deleted by force in the meantime
                for running in self.processes.values():
                    running.kill()
        stopping.result()
        watchers = [task for task in self._tasks.get("", ()) if not task.done()]
        if watchers:
            await asyncio.wait(watchers)

    def _dispose(self) -> None:
        for tasks in self._tasks.values():
            for task in list(tasks):
                task.cancel()
        for running in self.processes.values():
            running.kill()
        for files in self._logs.values():
            for file in files:
                file.close()
        self._unplug()
        self._set(sandbox=False)
        volumes.remove(self.directory)

    def _unplug(self) -> None:
        if self._link is not None:
            wiring.remove_pod(self.host.config.netns_fd, self._link)
            self.host.addresses.give_back(self._link.address)
            self._link = None
        if self.netns >= 0:
            os.close(self.netns)
            self.netns = -1

    async def _finish(self) -> None:
        """Tell the API that nothing of the pod is left on this node."""
        while not self._gone:
            try:
                await self.host.client.delete(PODS, self.key[1], self.key[0], grace_seconds=0, uid=self.uid)
                return
            except ApiError as error:
                if error.is_not_found or error.is_conflict:
                    return
                log.warning("pod %s/%s: final delete: %s", *self.key, error)
            except KubeError as error:
                log.warning("pod %s/%s: final delete: %s", *self.key, error)
            await asyncio.sleep(0.2)

    # -- status --------------------------------------------------------------------------------------------------------

    async def _report(self) -> None:
        """Send the status whenever it differs from what was sent; changes during a request go with the next one."""
        while True:
            await self._status_dirty.wait()
            self._status_dirty.clear()
            current = status.pod_status(self.pod, self.state, self.host.config.address, time.time())
            if current == self._sent:
                continue
            body = {"metadata": {"uid": self.uid}, "status": current}
            try:
                await self.host.client.patch(PODS, self.key[1], body, self.key[0], subresource="status")
                self._sent = current
            except ApiError as error:
                if error.is_not_found or error.is_conflict:
                    continue
                log.warning("pod %s/%s: status: %s", *self.key, error)
                await self._later()
            except KubeError as error:
                log.warning("pod %s/%s: status: %s", *self.key, error)
                await self._later()

    async def _later(self) -> None:
        await asyncio.sleep(0.2)
        self._status_dirty.set()


def _post_start(container: Obj) -> Obj:
    return (container.get("lifecycle") or {}).get("postStart") or {}


def _feeder(file: LogFile, stream: str) -> Callable[[bytes], None]:
    def feed(chunk: bytes) -> None:
        if not file.closed:
            file.feed(stream, chunk)

    return feed


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s failed", task.get_name(), exc_info=task.exception())
