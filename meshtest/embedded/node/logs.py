"""Container logs in the CRI's format: ``2026-11-21T05:12:00.123456789Z stdout F text``.

One file a run of a container, turned over when it grows too large. Reading understands what ``kubectl logs`` asks for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROTATE_BYTES = 10 << 20
LONGEST_LINE = 16 << 10


def stamp(now_ns: int) -> str:
    """RFC 3339 with nanoseconds, UTC."""
    seconds, nanos = divmod(now_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


class LogFile:
    """The log of one run of a container. Followers wait on ``changed``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._rest: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self.closed = False
        self.rotations = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def feed(self, stream: str, chunk: bytes) -> None:
        """Append output of ``stdout`` or ``stderr``; a line goes to the file when it is complete or very long."""
        *lines, rest = (self._rest[stream] + chunk).split(b"\n")
        head = f"{stamp(time.time_ns())} {stream} ".encode()
        out = b"".join([head + b"F " + line + b"\n" for line in lines])
        if len(rest) > LONGEST_LINE:
            out += head + b"P " + rest + b"\n"
            rest = b""
        self._rest[stream] = rest
        self._write(out)

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self._file.write(data)
        self._size += len(data)
        if self._size > ROTATE_BYTES:
            self._file.close()
            self.path.replace(self.path.with_suffix(".log.1"))
            self._file = self.path.open("ab", buffering=0)
            self._size = 0
            self.rotations += 1
        self._wake()

    def close(self) -> None:
        """No more output; what had no newline is written as it is."""
        if self.closed:
            return
        for stream, rest in self._rest.items():
            if rest:
                self._write(f"{stamp(time.time_ns())} {stream} F ".encode() + rest + b"\n")
                self._rest[stream] = b""
        self.closed = True
        self._file.close()
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def changed(self) -> None:
        """Until something was written, or the log was closed."""
        if self.closed:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


@dataclass(frozen=True, slots=True)
class Query:
    """What of a log to show. since: RFC 3339 text that lines must not be older than."""

    tail: int | None = None
    since: str | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


def render(lines: Iterator[bytes] | list[bytes], query: Query) -> Iterator[bytes]:
    """CRI lines as ``kubectl logs`` shows them. Partial lines are joined by leaving their newline out."""
    for line in lines:
        when, _, rest = line.partition(b" ")
        _, _, rest = rest.partition(b" ")
        flag, _, text = rest.partition(b" ")
        if query.since is not None and when.decode() < query.since:
            continue
        yield (when + b" " if query.timestamps else b"") + text + (b"\n" if flag == b"F" else b"")


def since_text(*, seconds: float | None = None, time_text: str | None = None) -> str | None:
    """The lower bound in the file's own format, so that strings compare as times do."""
    if seconds is not None:
        return stamp(time.time_ns() - int(seconds * 10**9))
    if time_text:
        moment = datetime.fromisoformat(time_text.replace("Z", "+00:00"))
        return stamp(int(moment.timestamp() * 10**9))
    return None


def read(path: Path, query: Query) -> tuple[bytes, int]:
    """What there is of a log, and the size of the current file up to which it was read."""
    older = path.with_suffix(".log.1")
    data = older.read_bytes() if older.exists() else b""
    current = path.read_bytes() if path.exists() else b""
    lines = (data + current).split(b"\n")[:-1]
    if query.tail is not None:
        lines = lines[len(lines) - query.tail :] if query.tail > 0 else []
    shown = b"".join(render(lines, query))
    if query.limit_bytes is not None:
        shown = shown[: query.limit_bytes]
    return shown, len(current)


def read_from(path: Path, offset: int, query: Query) -> tuple[bytes, int]:
    """What was appended since offset, complete lines only; and the new offset."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < offset:  # turned over
            offset = 0
        file.seek(offset)
        data = file.read(size - offset)
    end = data.rfind(b"\n") + 1
    return b"".join(render(data[:end].split(b"\n")[:-1], query)), offset + end


def tail_text(path: Path, lines: int = 20, limit: int = 2048) -> str:
    """The end of a log as text, for termination messages."""
    shown, _ = read(path, Query(tail=lines))
    return shown[-limit:].decode(errors="replace")
