"""Starting, finding and ending cluster sets: the face of the embedded cluster towards Python.

A set is one directory below the state root, named after the run's id. Nothing here talks to a cluster.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshtest.embedded.supervisor.state import StateFile
from meshtest.embedded.supervisor.topology import ClusterSpec, plan, spec_to_json

START_SECONDS = 75.0
STOP_SECONDS = 10.0
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class EmbeddedError(Exception):
    """The cluster set cannot be started, found or ended; the message says why and what to do."""


def default_state_root() -> Path:
    """``/run/meshtest``, or what the environment variable MESHTEST_STATE_DIR says."""
    return Path(os.environ.get("MESHTEST_STATE_DIR", "/run/meshtest"))


@dataclass(frozen=True, slots=True)
class ClusterSetSpec:
    """What to start. run_id names the set and its directory below state_root."""

    run_id: str
    clusters: Sequence[ClusterSpec] = (ClusterSpec(),)
    state_root: Path = field(default_factory=default_state_root)


class ClusterSet:
    """A started cluster set. Made by ``start`` (or ``attach``), ended by ``stop``.

    phases: seconds since the supervisor began at which each part was ready.
    """

    def __init__(self, state_dir: Path, pid: int, hold: socket.socket | None, phases: dict[str, float]) -> None:
        self.state_dir = state_dir
        self.run_id = state_dir.name
        self.pid = pid
        self.phases = phases
        self._hold = hold
        if hold is not None:
            # A forked copy of this process must not keep the set alive after its owner's death.
            reference = weakref.ref(hold)
            os.register_at_fork(after_in_child=lambda: _close(reference()))

    @classmethod
    def start(cls, spec: ClusterSetSpec, *, hold: bool = True) -> ClusterSet:
        """Start it and wait until API servers answer and nodes are Ready.

        hold: the set ends with this process, whatever kills it; else it lives until ``stop`` or ``cleanup``.
        EmbeddedError carries the tail of the log of what failed.
        """
        _check(spec)
        state = spec.state_root / spec.run_id
        if state.exists():
            if _living(state) is not None or _is_starting(state):
                raise EmbeddedError(
                    f"cluster set {spec.run_id!r} is already running: stop it, or choose another run id"
                )
            shutil.rmtree(state)
        spec.state_root.mkdir(mode=0o755, parents=True, exist_ok=True)
        state.mkdir(mode=0o700)
        with _claimed(state):
            return cls._start(spec, state, hold)

    @classmethod
    def _start(cls, spec: ClusterSetSpec, state: Path, hold: bool) -> ClusterSet:
        (state / "spec.json").write_text(
            json.dumps({"hold": hold, "clusters": [spec_to_json(cluster) for cluster in spec.clusters]})
        )
        ours, theirs = socket.socketpair()
        try:
            with theirs, (state / "supervisor.log").open("ab") as log:
                subprocess.run(
                    [sys.executable, "-P", "-m", "meshtest.embedded.supervisor", str(state), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    check=False,
                )
            pid, phases = _await_ready(ours, state)
        except BaseException:
            ours.close()
            _kill(state)
            raise
        _describe(state, spec, pid, hold)
        if not hold:
            ours.close()
        return cls(state, pid, ours if hold else None, phases)

    @property
    def clusters(self) -> list[str]:
        """Names, in the order of the spec."""
        try:
            spec = json.loads((self.state_dir / "spec.json").read_text())
        except (OSError, ValueError):
            return []  # its start was killed before it had said what it would be
        return [cluster["name"] for cluster in spec["clusters"]]

    def kubeconfig(self, cluster: str = "cluster-0") -> Path:
        """The administrator's kubeconfig of one cluster."""
        return self._path(cluster, self.state_dir / cluster / "admin.kubeconfig")

    def dial_path(self, cluster: str = "cluster-0") -> Path:
        """The Unix socket that hands out connections into the cluster's pods."""
        return self._path(cluster, self.state_dir / f"dial-{cluster}.sock")

    def _path(self, cluster: str, path: Path) -> Path:
        if cluster not in self.clusters:
            raise EmbeddedError(f"no cluster {cluster!r} in {self.run_id}: expected one of {', '.join(self.clusters)}")
        return path

    def alive(self) -> bool:
        """Whether its supervisor runs, or is about to."""
        return _living(self.state_dir) is not None or _is_starting(self.state_dir)

    def status(self) -> dict[str, Any]:
        """What the supervisor last recorded: status, phases, children, error."""
        return StateFile(self.state_dir).read()

    def release(self) -> None:
        """Let the set outlive this process, although it was started with hold."""
        if self._hold is not None:
            with suppress(OSError):
                self._hold.sendall(b"release")
            _close(self._hold)
            self._hold = None

    def stop(self, *, keep_directory: bool = False) -> None:
        """End it: no process, namespace or mount is left on return; nor is its directory unless it is to be kept."""
        _kill(self.state_dir)
        _close(self._hold)
        self._hold = None
        if not keep_directory:
            shutil.rmtree(self.state_dir, ignore_errors=True)

    def __enter__(self) -> ClusterSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _check(spec: ClusterSetSpec) -> None:
    if not _RUN_ID.fullmatch(spec.run_id):
        raise EmbeddedError(f"run id {spec.run_id!r}: expected letters, digits, '.', '_', '-', at most 63")
    plan(spec.clusters)  # raises InvalidSpec early, before anything is made
    check_machine()


def check_machine() -> None:
    """Whether cluster sets can be started here at all. Errors: EmbeddedError, which says what is missing."""
    if not sys.platform.startswith("linux"):
        raise EmbeddedError(f"the embedded cluster needs Linux, this is {sys.platform}: use a Linux machine or VM")
    if os.geteuid() != 0:
        raise EmbeddedError("the embedded cluster needs root, for namespaces and mounts: run it with sudo")
    if shutil.which("nft") is None:
        raise EmbeddedError("the program 'nft' is missing: install the package nftables")


def _describe(state: Path, spec: ClusterSetSpec, pid: int, hold: bool) -> None:
    StateFile(state).update(
        run_id=spec.run_id,
        pid=pid,
        hold=hold,
        holder=os.getpid(),
        started=time.time(),
        clusters={
            cluster.name: {
                "kubeconfig": str(state / cluster.name / "admin.kubeconfig"),
                "dial": str(state / f"dial-{cluster.name}.sock"),
                "network": cluster.network,
                "nodes": cluster.nodes,
            }
            for cluster in spec.clusters
        },
    )


def _await_ready(channel: socket.socket, state: Path) -> tuple[int, dict[str, float]]:
    """Read the launcher's and the supervisor's word: the pid, then ready or an error."""
    deadline = time.monotonic() + START_SECONDS
    data, pid = b"", 0
    while True:
        channel.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            chunk = channel.recv(65536)
        except TimeoutError:
            raise EmbeddedError(f"the supervisor said nothing for {START_SECONDS:.0f} s, see {state}") from None
        if not chunk:
            log = (state / "supervisor.log").read_text(errors="replace")[-4000:]
            raise EmbeddedError(f"the supervisor ended during start, see {state}\n{log}")
        data += chunk
        while b"\n" in data:
            line, data = data.split(b"\n", 1)
            message = json.loads(line)
            pid = message.get("pid", pid)
            if message.get("ready"):
                return pid, message["phases"]
            if "error" in message:
                raise EmbeddedError(f"the cluster set did not start, see {state}: {message['error']}")


def _close(channel: socket.socket | None) -> None:
    if channel is not None:
        with suppress(OSError):
            channel.close()


def _living(state: Path) -> int | None:
    """The supervisor's pid if it runs; a pid that now is some other process does not count."""
    try:
        pid = int((state / "supervisor.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(state) in command else None


@contextmanager
def _claimed(state: Path) -> Iterator[None]:
    """Hold the directory's lock while a set starts in it; the kernel lets go of it however this process ends."""
    directory = os.open(state, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _is_starting(state: Path) -> bool:
    """Whether some living process is starting a set in this directory."""
    try:
        directory = os.open(state, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(directory)
    return False


def _kill(state: Path) -> None:
    """SIGKILL the supervisor and wait until it and all its descendants are gone."""
    pid = _living(state)
    if pid is None:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        # PID 1 of a namespace is reported dead only after every process in it has been reaped
        if not select.select([pidfd], [], [], STOP_SECONDS)[0]:
            raise EmbeddedError(f"supervisor {pid} of {state.name} does not end {STOP_SECONDS:.0f} s after SIGKILL")
    finally:
        os.close(pidfd)


def find(state_root: Path | None = None) -> list[ClusterSet]:
    """Every set that has a directory, living or not."""
    root = state_root or default_state_root()
    if not root.is_dir():
        return []
    found = []
    for directory in sorted(root.iterdir()):
        if directory.is_dir():
            found.append(ClusterSet(directory, _living(directory) or 0, None, {}))
    return found


def attach(run_id: str, state_root: Path | None = None) -> ClusterSet:
    """The running set of that run id; it is not held."""
    for candidate in find(state_root):
        if candidate.run_id == run_id and candidate.alive():
            return candidate
    running = ", ".join(c.run_id for c in find(state_root) if c.alive()) or "none"
    raise EmbeddedError(f"no running cluster set {run_id!r}: running are {running}")


def cleanup(run_id: str | None = None, state_root: Path | None = None) -> list[str]:
    """End and remove the set of that run id, or every set; the run ids of those that were there."""
    removed = []
    for candidate in find(state_root):
        if run_id is None or candidate.run_id == run_id:
            candidate.stop()
            removed.append(candidate.run_id)
    with suppress(OSError):  # others have directories there
        (state_root or default_state_root()).rmdir()
    return removed
