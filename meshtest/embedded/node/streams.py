"""Exec and port-forward over WebSockets, channel by channel.

A binary message is a channel number and data (Kubernetes' ``v4.channel.k8s.io``); ``v5`` adds channel 255, which
closes the channel that its second byte names. For exec the channels are stdin, stdout, stderr, error (a Status in
JSON) and resize.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import struct
import termios
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from meshtest.embedded.node.dial import connect_loopback
from meshtest.embedded.node.environment import ConfigError
from meshtest.embedded.node.runtime import Pump, PumpSink, Running, StartFailed
from meshtest.embedded.node.worker import Worker

log = logging.getLogger(__name__)

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "portforward.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
CHUNK = 32 << 10


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """What to run, and which streams to connect."""

    argv: Sequence[str]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


def exit_status(code: int) -> dict[str, Any]:
    """The Status that ends an exec."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> dict[str, Any]:
    """The Status of a command that could not be run."""
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500, "message": message}


class _Sender:
    """Sends what pumps read, in order, without letting a slow reader fill the memory."""

    def __init__(self, response: web.WebSocketResponse) -> None:
        self._response = response
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.task = asyncio.create_task(self._run())

    def put(self, channel: int, data: bytes) -> None:
        self._queue.put_nowait(bytes([channel]) + data)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def _run(self) -> None:
        while (message := await self._queue.get()) is not None:
            await self._response.send_bytes(message)


@dataclass(slots=True)
class _Streams:
    """Our ends, and those that the program gets."""

    stdin: int | None
    outputs: list[tuple[int, int]]  # channel, read end
    theirs: list[int]
    terminal: int | None = None


def _pipes(options: ExecOptions) -> _Streams:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    stdin_read: int = null
    stdin_write: int | None = None
    if options.stdin:
        stdin_read, stdin_write = os.pipe2(os.O_CLOEXEC)
    theirs, outputs = [stdin_read], []
    for channel, wanted in ((STDOUT, options.stdout), (STDERR, options.stderr)):
        if wanted:
            read, write = os.pipe2(os.O_CLOEXEC)
            outputs.append((channel, read))
            theirs.append(write)
        else:
            theirs.append(os.dup(null))
    if options.stdin:
        os.close(null)
    return _Streams(stdin_write, outputs, theirs)


def _terminal() -> _Streams:
    ours, theirs = os.openpty()
    os.set_inheritable(ours, False)
    return _Streams(os.dup(ours), [(STDOUT, os.dup(ours))], [theirs, os.dup(theirs), os.dup(theirs)], ours)


async def run_exec(worker: Worker, container: str, options: ExecOptions, response: web.WebSocketResponse) -> None:
    """Run a program in a container, its streams on the WebSocket, until it ends or the caller goes away."""
    sender = _Sender(response)
    streams = _terminal() if options.tty else _pipes(options)
    pumps: list[Pump] = []
    program: Running | None = None
    try:
        try:
            process = worker.process_in(container, list(options.argv), tty=options.tty)
            program = await worker.host.runtime.execute(worker.processes[container], process, streams.theirs)
        except (StartFailed, ConfigError, KeyError, ValueError) as error:
            for _, read in streams.outputs:
                os.close(read)
            sender.put(ERROR, json.dumps(failure_status(str(error))).encode())
            return
        finally:
            for end in streams.theirs:
                os.close(end)
        for channel, read in streams.outputs:
            pumps.append(Pump(read, _to(sender, channel)))
        await _converse(program, streams, response)
        if program.exited.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.gather(*(asyncio.shield(pump.done) for pump in pumps))
            sender.put(ERROR, json.dumps(exit_status(program.exited.result())).encode())
    finally:
        for pump in pumps:
            pump.close()
        for fd in (streams.stdin, streams.terminal):
            if fd is not None:
                with suppress(OSError):
                    os.close(fd)
        if program is not None:
            program.kill()
            program.close()
        sender.end()
        with suppress(ConnectionError):
            await sender.task


def _to(sender: _Sender, channel: int) -> PumpSink:
    return lambda data: sender.put(channel, data)


async def _converse(program: Running, streams: _Streams, response: web.WebSocketResponse) -> None:
    """Feed stdin and resizes until the program ends or the caller goes."""
    reading = asyncio.create_task(_feed(streams, response))
    ended = asyncio.create_task(_ended(program))
    await asyncio.wait([reading, ended], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if not reading.done():
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


async def _ended(program: Running) -> None:
    await asyncio.shield(program.exited)


async def _feed(streams: _Streams, response: web.WebSocketResponse) -> None:
    async for message in response:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == STDIN and streams.stdin is not None:
            await _write_all(streams.stdin, data)
        elif channel == CLOSE and data[:1] == bytes([STDIN]) and streams.stdin is not None and streams.terminal is None:
            os.close(streams.stdin)
            streams.stdin = None
        elif channel == RESIZE and streams.terminal is not None:
            with suppress(ValueError, KeyError, OSError):
                size = json.loads(data)
                winsize = struct.pack("HHHH", int(size["Height"]), int(size["Width"]), 0, 0)
                fcntl.ioctl(streams.terminal, termios.TIOCSWINSZ, winsize)


async def _write_all(fd: int, data: bytes) -> None:
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            writable: asyncio.Future[None] = loop.create_future()
            loop.add_writer(fd, _resolve, writable)
            try:
                await writable
            finally:
                loop.remove_writer(fd)
        except BrokenPipeError:
            return


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def forward(worker: Worker, ports: Sequence[int], response: web.WebSocketResponse) -> None:
    """Ports of the pod's loopback over one WebSocket: for the n-th port, channel 2n carries data and 2n+1 an error
    text."""
    sender = _Sender(response)
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks: list[asyncio.Task[None]] = []
    try:
        for number, port in enumerate(ports):
            for channel in (2 * number, 2 * number + 1):
                sender.put(channel, struct.pack("<H", port))
            try:
                connection = await connect_loopback(worker.cell.netns, port)
            except (OSError, TimeoutError) as error:
                text = f"error forwarding port {port} to pod {worker.key[1]}: {error}"
                sender.put(2 * number + 1, text.encode())
                continue
            reader, writer = await asyncio.open_connection(sock=connection)
            writers[2 * number] = writer
            tasks.append(asyncio.create_task(_back(reader, sender, 2 * number)))
        waiting = asyncio.create_task(_forth(response, writers))
        await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    finally:
        for task in tasks:
            if not task.done():
                task.cancel()
        for writer in writers.values():
            writer.close()
        sender.end()
        with suppress(ConnectionError):
            await sender.task


async def _back(reader: asyncio.StreamReader, sender: _Sender, channel: int) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            sender.put(channel, data)


async def _forth(response: web.WebSocketResponse, writers: dict[int, asyncio.StreamWriter]) -> None:
    async for message in response:
        if message.type is WSMsgType.BINARY and message.data:
            writer = writers.get(message.data[0])
            if writer is not None and len(message.data) > 1:
                writer.write(message.data[1:])
                with suppress(ConnectionError):
                    await writer.drain()
