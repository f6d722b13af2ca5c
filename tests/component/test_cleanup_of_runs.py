"""However a test run dies, nothing of its cluster is left: process, namespace, mount; after cleanup no directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshtest.embedded import cleanup, find

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts")
UP_SECONDS = 60.0
GONE_SECONDS = 15.0

SOURCE = """
import time
from pathlib import Path

def test_it(ctx, apps):
    Path("up").write_text("up")
    {body}
"""


def links() -> set[str]:
    """The host's network links."""
    return {link.name for link in Path("/sys/class/net").iterdir()}


def rules() -> set[str]:
    """The host's tables of packet rules."""
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


class Run:
    """A pytest of its own, with a state directory of its own, by whose path its processes are found."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = Path("/run") / f"meshtest-{uuid.uuid4().hex[:8]}"
        self.namespaces: set[str] = set()
        self.links_before, self.rules_before = links(), rules()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, body: str, *args: str) -> None:
        """Start it and wait until its test runs; remember the namespaces of its cluster."""
        (self.directory / "test_it.py").write_text(SOURCE.format(body=body))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--work-dir=work",
            *args,
            "test_it.py",
        ]
        with (self.directory / "out").open("wb") as out:
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                env={**os.environ, "MESHTEST_STATE_DIR": str(self.state)},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + UP_SECONDS
        while not (self.directory / "up").exists():
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)
        self.namespaces = namespaces_of(self.processes()) - namespaces_of({os.getpid()})
        assert len(self.namespaces) > 20, "each pod has namespaces of its own"

    @property
    def pid(self) -> int:
        """Of pytest."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What pytest printed."""
        return (self.directory / "out").read_text(errors="replace")

    def wait(self) -> int:
        """For pytest's end."""
        assert self._process is not None
        return self._process.wait(UP_SECONDS)

    def supervisor(self) -> int:
        """Its pid."""
        (only,) = find(self.state)
        return only.pid

    def processes(self) -> set[int]:
        """The supervisor and all below it."""
        parents = {}
        for pid in pids():
            try:
                parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        found = {pid for pid in pids() if self.mentioned(pid) and pid != self.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def mentioned(self, pid: int) -> bool:
        """Whether a process names this run's state directory in its command line or environment."""
        needle = os.fsencode(str(self.state))
        for part in ("cmdline", "environ"):
            try:
                if needle in Path(f"/proc/{pid}/{part}").read_bytes():
                    return True
            except OSError:
                continue
        return False

    def left(self) -> list[str]:
        """What is there still, in words."""
        held = {pid: found for pid in pids() if (found := namespaces_of({pid}) & self.namespaces)}
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.state) in line]
        processes = [pid for pid in pids() if self.mentioned(pid) and pid != self.pid]
        return [
            *(f"link {name}" for name in links() - self.links_before),
            *(f"packet rules {table}" for table in rules() - self.rules_before),
            *(f"process {pid}" for pid in processes),
            *(f"namespaces {sorted(found)} held by {pid}" for pid, found in held.items()),
            *(f"mount {line}" for line in mounts),
        ]

    def directories(self) -> list[Path]:
        """Of runs, below the state directory."""
        return list(self.state.iterdir()) if self.state.exists() else []

    def assert_gone(self) -> None:
        """All of it, soon."""
        deadline = time.monotonic() + GONE_SECONDS
        while left := self.left():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        cleanup(state_root=self.state)
        assert not self.directories(), "directories after cleanup"


def pids() -> set[int]:
    """All processes."""
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def namespaces_of(processes: set[int]) -> set[str]:
    """Those that they are in, or hold descriptors of."""
    found = set()
    for pid in processes:
        for directory in (f"/proc/{pid}/ns", f"/proc/{pid}/fd"):
            try:
                found |= {os.readlink(entry) for entry in Path(directory).iterdir()}  # noqa: PTH115
            except OSError:
                continue
    return {each for each in found if each.partition(":[")[0] in ("net", "mnt", "pid", "uts", "ipc")}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run that is ended in any case."""
    made = Run(tmp_path)
    yield made
    if made._process is not None and made._process.poll() is None:
        os.killpg(made.pid, signal.SIGKILL)
        made.wait()
    cleanup(state_root=made.state)
    if made.state.exists():
        made.state.rmdir()


def test_a_passing_run(run: Run) -> None:
    run.start("pass")
    assert run.wait() == 0, run.output
    assert not run.directories(), "a run that ends in order leaves no directory"
    run.assert_gone()


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_failing_test(run: Run, workers: str) -> None:
    run.start("time.sleep(0.5); assert False", workers)
    assert run.wait() == pytest.ExitCode.TESTS_FAILED, run.output
    run.assert_gone()


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_ctrl_c(run: Run, workers: str) -> None:
    run.start("time.sleep(600)", workers)
    os.killpg(run.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the whole group
    assert run.wait() == pytest.ExitCode.INTERRUPTED, run.output
    run.assert_gone()


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_kill_9_of_pytest(run: Run, workers: str) -> None:
    run.start("time.sleep(600)", workers)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.assert_gone()


def test_kill_9_of_the_supervisor(run: Run) -> None:
    run.start("time.sleep(0.5); ctx.cluster.kube.list(__import__('kubeclient').resources.PODS)")
    os.kill(run.supervisor(), signal.SIGKILL)
    assert run.wait() == pytest.ExitCode.TESTS_FAILED, run.output
    run.assert_gone()


@pytest.mark.parametrize(("option", "passes"), [("--nocleanup", True), ("--nocleanup=on-failure", False)])
def test_nocleanup_keeps_until_cleanup(run: Run, option: str, passes: bool) -> None:
    run.start("pass" if passes else "time.sleep(0.5); assert False", "-W", "error", option)
    assert run.wait() == (pytest.ExitCode.OK if passes else pytest.ExitCode.TESTS_FAILED), run.output
    assert run.processes()
    assert "Warning" not in run.output
    assert "meshtest cleanup" in run.output.splitlines()[-1], "how to get rid of it is the last that one reads"
    cleanup(state_root=run.state)
    run.assert_gone()
