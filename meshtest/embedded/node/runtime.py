"""Containers as the node sees them: the warm process behind an asyncio face."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from meshtest.embedded.images import protocol

READ_BYTES = 256 << 10
PumpSink = Callable[[bytes], None]


class StartFailed(Exception):
    """The program could not be run; the message is what the container's own side said."""


class Running:
    """One process of the warm process: a container, or a program executed inside one."""

    def __init__(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.id = number
        self.pid = 0
        self.pidfd = -1
        self.started: asyncio.Future[None] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self.forked: asyncio.Future[None] = loop.create_future()
        self.signal: int | None = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; nothing happens when the process is gone."""
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        """Forget the process."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class Runtime:
    """Requests to the warm process, and its answers. One a node."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        channel.setblocking(False)
        self._processes: dict[int, Running] = {}
        self._next = 1
        self.gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(channel, self._receive)

    async def run(self, container: protocol.Container, fds: Sequence[int]) -> Running:
        """Start a container. fds: netns, stdin, stdout, stderr, which stay the caller's. StartFailed says why not."""
        return await self._request({"op": "run", "container": protocol.to_json(container)}, fds)

    async def execute(self, inside: Running, process: protocol.Process, fds: Sequence[int]) -> Running:
        """Run a program in a container. fds: stdin, stdout, stderr."""
        if inside.pidfd < 0 or inside.exited.done():
            raise StartFailed("container is not running")
        return await self._request({"op": "exec", "process": protocol.to_json(process)}, [inside.pidfd, *fds])

    async def _request(self, message: protocol.Json, fds: Sequence[int]) -> Running:
        running = Running(self._next)
        self._next += 1
        self._processes[running.id] = running
        while True:
            try:
                protocol.send(self._channel, {"id": running.id, **message}, tuple(fds))
                break
            except BlockingIOError:  # the warm process is busy; its queue has room again soon
                await asyncio.sleep(0.005)
            except OSError as error:
                raise StartFailed(f"the warm process is gone: {error}") from error
        try:
            await running.started
        except asyncio.CancelledError:
            running.kill()
            raise
        return running

    def _receive(self) -> None:
        for _ in range(64):
            try:
                message, fds = protocol.receive(self._channel)
            except BlockingIOError:
                return
            except OSError:
                message, fds = None, []
            if message is None:
                asyncio.get_running_loop().remove_reader(self._channel)
                self.gone.set()
                return
            self._take(message, fds)

    def _take(self, message: protocol.Json, fds: list[int]) -> None:
        running = self._processes.get(message["id"])
        if running is None:
            for fd in fds:
                os.close(fd)
            return
        match message["event"]:
            case "forked":
                running.pid, running.pidfd = message["pid"], fds[0]
                running.forked.set_result(None)
            case "started":
                if not running.started.done():
                    running.started.set_result(None)
            case "failed":
                if not running.started.done():
                    running.started.set_exception(StartFailed(message["error"]))
            case "exited":
                del self._processes[running.id]
                running.signal = message.get("signal")
                if not running.started.done():
                    running.started.set_exception(StartFailed(f"ended during start with code {message['code']}"))
                running.exited.set_result(message["code"])


class Pump:
    """Reads one end of a pipe until its end and hands on what comes."""

    def __init__(self, fd: int, sink: PumpSink) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._sink = sink
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose other side has closed
            data = b""
        if data:
            self._sink(data)
        else:
            self.close()

    def close(self) -> None:
        """Stop reading, whatever is still to come."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if not self.done.done():
            self.done.set_result(None)
