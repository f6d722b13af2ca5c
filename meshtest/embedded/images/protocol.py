"""What the node says to the warm process and back: one JSON object a packet, descriptors beside it.

Node to warm: ``run`` with [netns, stdin, stdout, stderr], ``exec`` with [container's pidfd, stdin, stdout, stderr].
Warm to node, each with the request's ``id``: ``forked`` with [pidfd], ``started`` once the program is about to run,
``failed`` when it could not be, and ``exited`` last of all.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]

MAX_PACKET = 1 << 20
BUFFER = 4 << 20
MAX_FDS = 8


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of the host at a path of the container."""

    source: str
    target: str
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Process:
    """Who runs, as what, and where. capabilities None: the default set of its user; privileged: all."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privileges: bool = False
    tty: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """A process with a root of its own. python: ``module:function``, called with argv; None: argv is executed."""

    name: str
    process: Process
    python: str | None = None
    hostname: str = ""
    mounts: tuple[Mount, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    readonly_root: bool = False


def process_from(data: Json) -> Process:
    """The Process that to_json() made."""
    lists = {"argv", "groups", "capabilities_add", "capabilities_drop"}
    fields: Json = {key: tuple(value) if key in lists else value for key, value in data.items()}
    return Process(**fields)


def container_from(data: Json) -> Container:
    """The Container that to_json() made."""
    data = dict(data)
    process = process_from(data.pop("process"))
    mounts = tuple(Mount(**mount) for mount in data.pop("mounts"))
    return Container(process=process, mounts=mounts, **data)


def to_json(value: Container | Process) -> Json:
    """A plain dict of it."""
    return asdict(value)


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair for this protocol; either end sees the other's death as an empty packet."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    return ends


def send(channel: socket.socket, message: Json, fds: tuple[int, ...] = ()) -> None:
    """One packet; ValueError when it is too large for the kernel to carry in one piece."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_PACKET:
        raise ValueError(f"container of {len(data)} bytes of configuration, at most {MAX_PACKET} can be passed on")
    if fds:
        socket.send_fds(channel, [data], list(fds))
    else:
        channel.send(data)


def receive(channel: socket.socket) -> tuple[Json | None, list[int]]:
    """The next packet and its descriptors (close-on-exec); None when the other end is gone."""
    data, fds, _, _ = socket.recv_fds(channel, MAX_PACKET, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
    return (json.loads(data) if data else None), list(fds)
