"""The warm process: it has imported what images need, and containers fork from it.

Single-threaded, without event loop, and it never opens a gRPC channel: only such a process may be forked. It answers
requests of the nodes (see ``protocol``), passes the exits of its children on, and ends when its last node is gone.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meshtest.embedded import linux
from meshtest.embedded.images import container, protocol, rootfs
from meshtest.embedded.images.registry import Image, Registry


def needed_paths(images: Iterable[Image]) -> list[str]:
    """What a container must reach: interpreter, packages, editable sources, the images' own files."""
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, sys.executable}
    paths.update(path for path in sys.path if path.startswith("/"))
    tops = {"meshtest", "kubeclient"}
    for image in images:
        tops.update(name.split(".")[0].split(":")[0] for name in (*image.warm, image.python or "") if name)
        paths.update(image.paths)
        if image.binary:
            paths.add(image.binary)
    for top in tops:
        module = sys.modules.get(top)
        paths.update(str(Path(path)) for path in getattr(module, "__path__", ()) or ())
    return sorted(path for path in paths if path and path != "/")


def import_all(modules: Iterable[str]) -> None:
    """Import modules by name; one that fails is reported on stderr and fails again, visibly, in its container."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            print(f"warm: cannot import {module}: {error!r}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class _Child:
    owner: socket.socket
    id: int


class Warm:
    """The loop. One socket a node."""

    def __init__(self, channels: Sequence[socket.socket], stage: Path, plan: rootfs.RootPlan) -> None:
        self._channels = {channel.fileno(): channel for channel in channels}
        self._stage = str(stage)
        self._plan = plan
        self._children: dict[int, _Child] = {}
        self._starting: dict[int, _Child] = {}  # read end of an error pipe -> whose
        self._pidns = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> None:
        """Serve until every node has closed its socket."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for fd in (*self._channels, self._wake_read):
            self._poll.register(fd, select.POLLIN)
        while self._channels:
            for fd, _ in self._poll.poll():
                if fd in self._channels:
                    self._serve(self._channels[fd])
                elif fd in self._starting:
                    self._started(fd)
                elif fd == self._wake_read:
                    with suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                    self._reap()

    def _serve(self, channel: socket.socket) -> None:
        message, fds = protocol.receive(channel)
        if message is None:
            self._poll.unregister(channel)
            del self._channels[channel.fileno()]
            channel.close()
            return
        try:
            self._fork(channel, message, fds)
        except OSError as error:
            self._tell(channel, {"id": message["id"], "event": "failed", "error": str(error)})
            self._tell(channel, {"id": message["id"], "event": "exited", "code": 128})
        finally:
            for fd in fds:
                os.close(fd)

    def _fork(self, channel: socket.socket, message: protocol.Json, fds: list[int]) -> None:
        ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
        try:
            # A new PID namespace, or the container's, takes effect on the next child; then back to our own.
            if message["op"] == "run":
                linux.unshare(linux.CLONE_NEWPID)
            else:
                linux.setns(fds[0], linux.CLONE_NEWPID)
            try:
                pid = os.fork()
                if pid == 0:
                    self._child(message, fds, ready_write)
            finally:
                linux.setns(self._pidns, linux.CLONE_NEWPID)
        except OSError:
            os.close(ready_read)
            raise
        finally:
            os.close(ready_write)
        child = _Child(channel, message["id"])
        self._children[pid] = child
        self._starting[ready_read] = child
        self._poll.register(ready_read, select.POLLIN)
        pidfd = os.pidfd_open(pid)
        try:
            self._tell(channel, {"id": child.id, "event": "forked", "pid": pid}, (pidfd,))
        finally:
            os.close(pidfd)

    def _child(self, message: protocol.Json, fds: list[int], ready: int) -> None:
        code = 128
        try:
            if message["op"] == "run":
                spec = protocol.container_from(message["container"])
                code = container.start(spec, fds, self._plan, self._stage, ready)
            else:
                container.join(protocol.process_from(message["process"]), fds[0], fds[1:], ready)
        except BaseException as error:
            with suppress(OSError):
                os.write(ready, f"{error or type(error).__name__}".encode())
            code = 127 if isinstance(error, FileNotFoundError) else 126 if isinstance(error, PermissionError) else 128
        finally:
            os._exit(code & 0xFF)

    def _started(self, fd: int) -> None:
        child = self._starting.pop(fd)
        self._poll.unregister(fd)
        error = os.read(fd, 65536).decode(errors="replace")
        os.close(fd)
        if error:
            self._tell(child.owner, {"id": child.id, "event": "failed", "error": error})
        else:
            self._tell(child.owner, {"id": child.id, "event": "started", "at": time.time()})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue
            for fd in [fd for fd, starting in self._starting.items() if starting is child]:
                self._started(fd)
            code = os.waitstatus_to_exitcode(status)
            message: protocol.Json = {"id": child.id, "event": "exited", "code": code if code >= 0 else 128 - code}
            if code < 0:
                message["signal"] = -code
            self._tell(child.owner, message)

    def _tell(self, channel: socket.socket, message: protocol.Json, fds: tuple[int, ...] = ()) -> None:
        with suppress(OSError):  # a node that is gone needs no answer
            protocol.send(channel, message, fds)


def main(channels: Sequence[socket.socket], stage: Path, state_root: Path) -> None:
    """Import what the images want, then serve. stage: an empty directory to mount containers' roots on."""
    gc.disable()
    registry = Registry()
    images = registry.all()
    import_all(dict.fromkeys(module for image in images for module in image.warm))
    plan = rootfs.survey(needed_paths(images), cover=[str(state_root)])
    gc.collect()
    gc.freeze()
    Warm(channels, stage, plan).run()
