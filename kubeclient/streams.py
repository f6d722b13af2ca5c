"""Streams into containers: exec and port-forward over WebSockets, and the options of logs.

Frames carry their channel's number in the first byte. For exec (v4 and v5.channel.k8s.io) these are 0 stdin, 1 stdout,
2 stderr, 3 a Status at the end; in v5 the frame (255, n) closes channel n. A port-forward has a data and an error
channel for each port, and either side's first frame on a channel is the port's number in two bytes, little endian.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
import orjson

from kubeclient.connection import Connection
from kubeclient.errors import ApiError, ConnectionFailed, KubeError

STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
_V5, _V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
_CHUNK = 32 * 1024


class _Client(Protocol):
    connection: Connection

    def authorization(self) -> dict[str, str]: ...

    def failed(self, error: BaseException, call: str) -> ConnectionFailed: ...

    async def request(self, method: str, path: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command wrote, and its exit code."""

    stdout: bytes
    stderr: bytes
    exit_code: int


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a log; None leaves the server's default. `since_time` is RFC 3339."""

    container: str | None = None
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str | None = None
    limit_bytes: int | None = None

    def params(self) -> dict[str, str]:
        """As query parameters."""
        values = {
            "container": self.container,
            "follow": "true" if self.follow else None,
            "previous": "true" if self.previous else None,
            "timestamps": "true" if self.timestamps else None,
            "tailLines": self.tail_lines,
            "sinceSeconds": self.since_seconds,
            "sinceTime": self.since_time,
            "limitBytes": self.limit_bytes,
        }
        return {key: str(value) for key, value in values.items() if value is not None}


def exit_code_of(status: bytes, call: str) -> int:
    """The exit code that exec's final Status tells. Raises ApiError when the command could not be run at all."""
    parsed = orjson.loads(status)
    if parsed.get("status") == "Success":
        return 0
    for cause in (parsed.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ApiError(
        int(parsed.get("code") or 500), str(parsed.get("reason") or ""), str(parsed.get("message") or ""), parsed, call
    )


async def exec_command(
    client: _Client,
    session: aiohttp.ClientSession,
    namespace: str,
    pod: str,
    container: str | None,
    command: Sequence[str],
    stdin: bytes | None,
) -> ExecResult:
    """Runs `command` and collects its output. Raises ApiError or ConnectionFailed."""
    call = f"exec {list(command)} in {namespace}/{pod}/{container or '(first)'}"
    params = [("command", argument) for argument in command]
    params += [("stdout", "true"), ("stderr", "true"), ("stdin", "true" if stdin is not None else "false")]
    if container:
        params.append(("container", container))
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
    output: dict[int, list[bytes]] = {STDOUT: [], STDERR: [], STATUS: []}
    websocket = await _connect(client, session, path, params, call)
    async with websocket:
        if stdin is not None:
            for start in range(0, len(stdin), _CHUNK):
                await websocket.send_bytes(bytes([STDIN]) + stdin[start : start + _CHUNK])
            if websocket.protocol == _V5:
                await websocket.send_bytes(bytes([CLOSE, STDIN]))
        async for message in websocket:
            if message.type is aiohttp.WSMsgType.BINARY and message.data and message.data[0] in output:
                output[message.data[0]].append(message.data[1:])
    if not any(output[STATUS]):
        raise ConnectionFailed(f"{call}: the stream ended without a status; did the container or the server stop?")
    return ExecResult(b"".join(output[STDOUT]), b"".join(output[STDERR]), exit_code_of(b"".join(output[STATUS]), call))


async def forward_port(
    client: _Client, session: aiohttp.ClientSession, namespace: str, pod: str, port: int
) -> tuple[socket.socket, asyncio.Task[None]]:
    """A socket whose other end is `port` in the pod, and the task that carries the bytes until either side closes."""
    call = f"port-forward to {namespace}/{pod}:{port}"
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
    websocket = await _connect(client, session, path, [("ports", str(port))], call, protocols=(_V4,))
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return theirs, asyncio.get_running_loop().create_task(_carry(websocket, ours, call), name=call)


async def _connect(
    client: _Client,
    session: aiohttp.ClientSession,
    path: str,
    params: Sequence[tuple[str, str]],
    call: str,
    protocols: tuple[str, ...] = (_V5, _V4),
) -> aiohttp.ClientWebSocketResponse:
    try:
        websocket: aiohttp.ClientWebSocketResponse = await session.ws_connect(
            client.connection.server + path,
            params=params,
            protocols=protocols,
            headers=client.authorization(),
            server_hostname=client.connection.server_name,
            max_msg_size=0,
        )
    except aiohttp.WSServerHandshakeError as error:
        raise await _refusal(client, path, params, call, error) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise client.failed(error, call) from error
    return websocket


async def _refusal(
    client: _Client,
    path: str,
    params: Sequence[tuple[str, str]],
    call: str,
    error: aiohttp.WSServerHandshakeError,
) -> ApiError:
    """Why a stream was refused. aiohttp drops its body, so the server is asked again, without an upgrade: that
    fails alike, and can start nothing.
    """
    try:
        await client.request("GET", f"{path}?{urlencode(params)}")
    except ApiError as told:
        if told.code == error.status and told.message:
            return ApiError(told.code, told.reason, told.message, told.status, call)
    except ConnectionFailed:
        pass  # the refusal itself did come, and matters more
    return ApiError(error.status, "", f"the server refused the stream: {error.message}", {}, call)


async def _carry(websocket: aiohttp.ClientWebSocketResponse, ours: socket.socket, call: str) -> None:
    reader, writer = await asyncio.open_connection(sock=ours)

    async def outwards() -> None:
        while data := await reader.read(_CHUNK):
            await websocket.send_bytes(b"\0" + data)
        await websocket.close()

    sending = asyncio.get_running_loop().create_task(outwards(), name=f"{call}: sending")
    greeted: set[int] = set()
    try:
        async for message in websocket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel not in greeted:
                greeted.add(channel)
                data = data[2:]
            if not data:
                continue
            if channel == 1:
                raise KubeError(f"{call}: {data.decode(errors='replace')}")
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        sending.cancel()
        await websocket.close()
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
