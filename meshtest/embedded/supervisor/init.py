"""PID 1: builds the ground, forks the children, waits; ends when it is told to or when its holder is gone."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from meshtest.embedded import linux
from meshtest.embedded.supervisor import build, children
from meshtest.embedded.supervisor.state import StateFile
from meshtest.embedded.supervisor.topology import ClusterSpec, SetPlan, plan

START_SECONDS = 60.0
MAX_DESCRIPTORS = 65536
SHARED_IMPORTS = ("ssl", "aiohttp", "orjson", "kubeclient")


class Init:
    """The supervisor of one cluster set. hold: the socket whose other end the test run has."""

    def __init__(self, state: Path, hold: socket.socket, spec: dict[str, Any]) -> None:
        self._state = state
        self._hold = hold
        self._holding = bool(spec["hold"])
        self._plan: SetPlan = plan([ClusterSpec(**cluster) for cluster in spec["clusters"]])
        self._children: dict[int, children.Child] = {}
        self._file = StateFile(state)
        self._started = time.monotonic()
        self._phases: dict[str, float] = {}
        self._announced = False

    def run(self) -> int:
        """Until the end; the exit code. On return every child still running dies with this process."""
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self._start()
        while True:
            poll = select.poll()
            poll.register(wake_read, select.POLLIN)
            if self._hold.fileno() >= 0:
                poll.register(self._hold, select.POLLIN)
            waiting = {child.ready: child for child in self._children.values() if child.ready is not None}
            for fd in waiting:
                poll.register(fd, select.POLLIN)
            left = START_SECONDS - (time.monotonic() - self._started)
            if not self._announced and left <= 0:
                late = ", ".join(child.name for child in waiting.values())
                return self._fail(f"not ready after {START_SECONDS:.0f} s: {late}", list(waiting.values()))
            for fd, _ in poll.poll(None if self._announced else int(left * 1000) + 1):
                if fd == wake_read:
                    with suppress(BlockingIOError):
                        os.read(wake_read, 4096)
                elif fd == self._hold.fileno():
                    if self._let_go():
                        return 0
                else:
                    self._ready(waiting[fd])
            dead = self._reap()
            if dead and not self._announced:
                names = ", ".join(f"{child.name} (exit code {child.exit_code})" for child in dead)
                return self._fail(f"ended during start: {names}", dead)
            if dead:
                self._file.update(status="degraded", children=self._describe())
            if not self._announced and not any(c.ready is not None for c in self._children.values()):
                self._announce()

    def _start(self) -> None:
        ground = build.lay_ground(self._plan)
        self._mark("network")
        self._fork(build.warm_program(ground, self._state))
        for module in SHARED_IMPORTS:  # once, for all children
            __import__(module)
        self._mark("imports")
        for cluster in self._plan.clusters:
            directory = build.directory_of(self._state, cluster)
            directory.mkdir(mode=0o700, exist_ok=True)
            port = ground.listeners[cluster.spec.name][0].getsockname()[1]
            build.write_credentials(cluster, directory, port)
            self._mark("credentials")
            for program in build.cluster_programs(cluster, ground, self._state):
                self._fork(program)
        self._mark("forked")
        for pair in (*ground.listeners.values(), *ground.warm.values()):
            for end in pair:
                end.close()
        # the namespaces' descriptors stay: they outlive a node that dies, for whoever wants to look

    def _fork(self, program: children.Program) -> None:
        child = children.fork(program)
        self._children[child.pid] = child

    def _mark(self, phase: str) -> None:
        self._phases[phase] = round(time.monotonic() - self._started, 3)

    def _ready(self, child: children.Child) -> None:
        assert child.ready is not None
        said = os.read(child.ready, 1)
        os.close(child.ready)
        child.ready = None
        if said:
            self._mark(child.name)
        # end of file without a word: it is dying, and its exit is about to be reaped
        elif not self._announced and (waited := os.waitpid(child.pid, 0))[0]:
            child.exit_code = os.waitstatus_to_exitcode(waited[1])

    def _reap(self) -> list[children.Child]:
        dead = [c for c in self._children.values() if c.exit_code is not None and c.pid in self._children]
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            child = self._children.get(pid)
            if child is not None:
                child.exit_code = os.waitstatus_to_exitcode(status)
                dead.append(child)
        for child in dead:
            del self._children[child.pid]
            message = f"supervisor: {child.name} ended with exit code {child.exit_code}, see {child.log}"
            print(message, flush=True)
        return dead

    def _let_go(self) -> bool:
        """Something on the holder's socket: end of file counts only while it holds us. True: end."""
        try:
            data = self._hold.recv(64)
        except OSError:
            data = b""
        if data:
            self._holding = data != b"release"
            return False
        self._hold.close()
        if self._holding or not self._announced:
            self._file.update(status="stopped")
            return True
        return False

    def _describe(self) -> list[dict[str, Any]]:
        return [{"name": c.name, "pid_inside": c.pid, "log": str(c.log)} for c in self._children.values()]

    def _announce(self) -> None:
        self._announced = True
        self._mark("ready")
        self._file.update(status="running", phases=self._phases, children=self._describe())
        self._say({"ready": True, "phases": self._phases})

    def _fail(self, error: str, blamed: list[children.Child]) -> int:
        tails = "".join(f"\n--- {child.log}\n{children.tail(child.log)}" for child in blamed)
        self._file.update(status="failed", error=error)
        self._say({"ready": False, "error": error + tails})
        return 1

    def _say(self, message: dict[str, Any]) -> None:
        with suppress(OSError):
            self._hold.sendall(json.dumps(message).encode() + b"\n")


def _allow_descriptors() -> None:
    """A node holds some descriptors a container; the usual soft limit of 1,024 is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(MAX_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(state: Path, hold: socket.socket) -> int:
    """As PID 1: own /proc, private mounts, then the loop."""
    linux.mount("", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    linux.set_process_name("meshtest-init")
    _allow_descriptors()
    spec = json.loads((state / "spec.json").read_text())
    init = None
    try:
        init = Init(state, hold, spec)
        return init.run()
    except Exception as error:
        import traceback

        StateFile(state).update(status="failed", error=str(error))
        with suppress(OSError):
            hold.sendall(json.dumps({"ready": False, "error": traceback.format_exc()}).encode() + b"\n")
        raise
