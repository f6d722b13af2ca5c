"""The broker: workers of pytest-xdist ask the controller's process for the world and for leases.

A Unix socket, one connection a worker, JSON lines, answers in order of requests. A connection that ends releases what
its worker held; one that ends without "bye" was a crash, and its lane is cleaned.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from meshtest.environment.protocol import Attachment
from meshtest.plugin.host import Host

Message = dict[str, Any]


class Broker:
    """The controller's end. `groups` maps test ids to scheduling groups, as the first worker told."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._directory = Path(tempfile.mkdtemp(prefix="meshtest-broker-"))
        self.path = self._directory / "broker.sock"
        self.groups: dict[str, str] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._closed = False
        threading.Thread(target=self._accept, name="meshtest-broker", daemon=True).start()

    def close(self) -> None:
        """Stop accepting and remove the socket. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        self._directory.rmdir()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="meshtest-broker-peer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        worker, polite = "", False
        with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
            for line in stream:
                message: Message = json.loads(line)
                worker = message.get("worker", worker)
                if message["op"] == "bye":
                    polite = True
                    break
                try:
                    answer = self._answer(worker, message)
                except BaseException as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()
        self._host.leases.drop(worker)
        if not polite and not self._closed and worker:
            with contextlib.suppress(Exception):
                self._host.clean_lane(worker)

    def _answer(self, worker: str, message: Message) -> Message:
        match message["op"]:
            case "hello":
                return {}
            case "want":
                self._host.want()
                return {}
            case "environment":
                return {"attachment": asdict(self._host.environment().attachment())}
            case "mesh":
                self._host.mesh()
                return {}
            case "groups":
                self.groups.update(message["groups"])
                return {}
            case "acquire":
                return {"granted": self._host.leases.acquire(worker, exclusive=message["exclusive"])}
            case "release":
                self._host.leases.release(worker)
                return {}
            case other:
                raise ValueError(f"unknown request {other!r}")


class BrokerError(Exception):
    """The controller could not give what a worker asked for; the message is the controller's."""


class BrokerClient:
    """A worker's end. Thread-safe; requests that wait (the world, leases) have a connection of their own kind."""

    def __init__(self, path: str, worker: str) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._stream = self._socket.makefile("rwb")
        self._path = path
        self.ask("hello")

    def ask(self, op: str, **fields: object) -> Message:
        """One request on the worker's connection. Errors: BrokerError."""
        with self._lock:
            return self._exchange(self._stream, op, fields)

    def ask_aside(self, op: str, **fields: object) -> Message:
        """One request on a connection of its own, so that waiting for the answer blocks nobody else."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as aside:
            aside.connect(self._path)
            with aside.makefile("rwb") as stream:
                answer = self._exchange(stream, op, fields, worker="")
                stream.write(b'{"op": "bye"}\n')
                return answer

    def close(self) -> None:
        """Say good-bye, so that the lane is not taken for a dead worker's."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(b'{"op": "bye"}\n')
            self._stream.flush()
            self._stream.close()
        self._socket.close()

    def _exchange(self, stream: Any, op: str, fields: dict[str, object], worker: str | None = None) -> Message:
        message = {"op": op, "worker": self._worker if worker is None else worker, **fields}
        try:
            stream.write(json.dumps(message).encode() + b"\n")
            stream.flush()
            line = stream.readline()
        except OSError as error:
            raise BrokerError(f"the controller of this run (parent {os.getppid()}) is gone: {error}") from error
        if not line:
            raise BrokerError(f"the controller of this run (parent {os.getppid()}) closed the connection")
        answer: Message = json.loads(line)
        if "error" in answer:
            raise BrokerError(answer["error"])
        return answer


def attachment_of(answer: Message) -> Attachment:
    """The attachment that an answer carries."""
    fields = answer["attachment"]
    return Attachment(
        environment=fields["environment"],
        run_id=fields["run_id"],
        clusters=tuple(tuple(cluster) for cluster in fields["clusters"]),
    )
