"""A cluster set leaves nothing behind, however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeclient import ApiError, Client, connection_from_kubeconfig
from kubeclient.resources import PODS
from meshtest.embedded import ClusterSet, ClusterSetSpec, EmbeddedError, attach, cleanup, default_state_root, find

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts")

HOLDER = """
import sys, time
from kubeclient import ApiError, Client, connection_from_kubeconfig
from kubeclient.resources import PODS
from meshtest.embedded import ClusterSet, ClusterSetSpec
started = ClusterSet.start(ClusterSetSpec(sys.argv[1]))
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def run_id() -> Iterator[str]:
    """A run id of this test's own; what it leaves is removed whatever happened."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    yield name
    cleanup(name)


def descendants(pid: int) -> set[int]:
    """The process and all below it, as the host sees them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def namespaces(pids: set[int]) -> set[str]:
    """Identities of the namespaces that these processes are in or hold descriptors of, but those of this test."""

    def links(directory: Path) -> set[str]:
        try:
            return {str(entry.readlink()) for entry in directory.iterdir()}
        except OSError:
            return set()

    own = links(Path("/proc/self/ns"))
    seen: set[str] = set()
    for pid in pids:
        seen |= {link for link in links(Path(f"/proc/{pid}/ns")) | links(Path(f"/proc/{pid}/fd")) if ":[" in link}
    return {link for link in seen - own if link.split(":")[0] in ("net", "mnt", "pid", "uts", "ipc")}


def everybody() -> set[int]:
    """All processes of the machine, zombies aside."""
    alive = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    alive.add(int(entry.name))
            except OSError:
                continue
    return alive


async def run_pod(kubeconfig: Path) -> None:
    """A running pod whose program left the warm process's command line behind, with a mount of its own on the node."""
    body = {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "nodeName": "cluster-0-node-0",
            "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}],
            "containers": [
                {
                    "name": "c",
                    "image": "meshtest/host",
                    "command": ["sh", "-c", "sleep 600 & wait"],
                    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                }
            ],
        },
    }
    async with Client(connection_from_kubeconfig(kubeconfig)) as client, asyncio.timeout(10):
        while True:
            try:
                await client.create(PODS, body)
                break
            except ApiError:  # the namespace's service account is on its way
                await asyncio.sleep(0.02)
        async for event in client.watch(PODS, "default"):
            if event.obj.get("status", {}).get("phase") == "Running":
                return


class Footprint:
    """What a cluster set consists of while it runs, a pod included."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        asyncio.run(run_pod(attach(run_id).kubeconfig()))
        self.supervisor = attach(run_id).pid
        deadline = time.monotonic() + 5.0
        # Five of the cluster, the pod's shell, and what the shell starts, which comes a moment after Running.
        while len(processes := descendants(self.supervisor)) < 7:
            assert time.monotonic() < deadline, processes
            time.sleep(0.01)
        self.processes = processes
        self.namespaces = namespaces(self.processes)
        assert {link.split(":")[0] for link in self.namespaces} >= {"net", "mnt", "pid", "uts"}

    def wait_gone(self, seconds: float = 5.0) -> None:
        """Until nothing of it is left; fails with what is."""
        deadline = time.monotonic() + seconds
        while left := self.left():
            assert time.monotonic() < deadline, f"left of {self.run_id}: {left}"
            time.sleep(0.02)

    def left(self) -> dict[str, object]:
        """What still exists, by kind."""
        # The kernel gives a namespace's number to the next one at once: that of another set is none of ours.
        alive = everybody() - {pid for other in find() if other.run_id != self.run_id for pid in descendants(other.pid)}
        mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if self.run_id in line]
        rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        links = [link.name for link in Path("/sys/class/net").iterdir() if link.name.startswith("br")]
        state = {
            "processes": self.processes & alive,
            "namespaces": self.namespaces & namespaces(alive),
            "mounts": mounts,
            "rules": [table for table in rules.splitlines() if "meshtest" in table],
            "links": links,
        }
        return {kind: left for kind, left in state.items() if left}


def test_start_serves_a_kubeconfig_and_stop_leaves_nothing(run_id: str) -> None:
    started = ClusterSet.start(ClusterSetSpec(run_id))
    footprint = Footprint(run_id)
    config = json.loads(started.kubeconfig().read_text())
    assert config["clusters"][0]["cluster"]["server"].startswith("https://127.0.0.1:")
    assert started.kubeconfig().stat().st_mode & 0o077 == 0
    assert started.status()["status"] == "running"
    started.stop()
    footprint.wait_gone(0.5)
    assert not started.state_dir.exists()


def test_the_set_ends_with_a_holder_that_is_killed(run_id: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, run_id], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "up\n"
        footprint = Footprint(run_id)
        holder.kill()
        holder.wait()
    footprint.wait_gone()
    assert cleanup(run_id) == [run_id]
    assert not (default_state_root() / run_id).exists()


def test_killing_the_supervisor_takes_everything_along(run_id: str) -> None:
    started = ClusterSet.start(ClusterSetSpec(run_id), hold=False)
    footprint = Footprint(run_id)
    os.kill(footprint.supervisor, signal.SIGKILL)
    footprint.wait_gone()
    assert not started.alive()
    assert cleanup(run_id) == [run_id]
    assert not started.state_dir.exists()


def test_a_set_that_is_not_held_outlives_its_starter_until_cleanup(run_id: str) -> None:
    script = HOLDER.replace("ClusterSetSpec(sys.argv[1])", "ClusterSetSpec(sys.argv[1]), hold=False").replace(
        "time.sleep(600)", ""
    )
    subprocess.run([sys.executable, "-c", script, run_id], check=True, capture_output=True)
    footprint = Footprint(run_id)
    assert attach(run_id).alive()
    cleanup(run_id)
    footprint.wait_gone(0.5)


def test_a_forked_copy_of_the_holder_does_not_keep_the_set(run_id: str) -> None:
    script = HOLDER.replace(
        'print("up", flush=True)', 'import os\nif os.fork() == 0: time.sleep(5); os._exit(0)\nprint("up", flush=True)'
    )
    holder = subprocess.Popen([sys.executable, "-c", script, run_id], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "up\n"
        footprint = Footprint(run_id)
        holder.kill()
        holder.wait()
        footprint.wait_gone(3.0)


def test_a_second_start_under_the_same_id_is_refused_and_two_ids_live_side_by_side(run_id: str) -> None:
    with ClusterSet.start(ClusterSetSpec(run_id)):
        with pytest.raises(EmbeddedError, match="already running"):
            ClusterSet.start(ClusterSetSpec(run_id))
        with ClusterSet.start(ClusterSetSpec(f"{run_id}-b")) as other:
            assert other.kubeconfig().read_text() != attach(run_id).kubeconfig().read_text()


def test_a_child_that_dies_is_recorded(run_id: str) -> None:
    with ClusterSet.start(ClusterSetSpec(run_id)) as started:
        names = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in descendants(started.pid)}
        os.kill(names["node-0"], signal.SIGKILL)
        deadline = time.monotonic() + 5
        while started.status()["status"] != "degraded":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert "node-0 ended with exit code -9" in (started.state_dir / "supervisor.log").read_text()


def test_what_a_start_that_was_killed_early_left_is_found_and_removed(run_id: str) -> None:
    state = default_state_root() / run_id
    state.mkdir(parents=True)  # as far as a start had come
    (half,) = [each for each in find() if each.run_id == run_id]
    assert half.clusters == [] and not half.alive()
    assert cleanup(run_id) == [run_id]
    assert not state.exists()


def test_a_set_that_is_starting_counts_as_living(run_id: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, run_id], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        while not (default_state_root() / run_id / "spec.json").exists():
            assert holder.poll() is None
        assert [each.alive() for each in find() if each.run_id == run_id] == [True]
        with pytest.raises(EmbeddedError, match="already running"):
            ClusterSet.start(ClusterSetSpec(run_id))
        assert holder.stdout.readline() == "up\n"
        holder.kill()
        holder.wait()
    cleanup(run_id)
