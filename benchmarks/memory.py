"""Resident memory of an embedded cluster with the reference mesh and two sidecars, by component."""

from collections import Counter
from pathlib import Path

from benchmarks.world import meshed
from meshtest.echo import EchoBuilder


def measure() -> dict[str, float]:
    """`rss_mb_<component>`: proportional set size in MB, so that pages shared by forks count once; `rss_mb`: all."""
    with meshed() as context:
        EchoBuilder(context).with_(name="a").with_(name="b").build()
        run_dir = context.cluster.kubeconfig.parent.parent
        supervisor = int((run_dir / "supervisor.pid").read_text())
        by_component: Counter[str] = Counter()
        for pid in descendants(supervisor):
            try:
                by_component[_component(pid)] += proportional_kb(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended after it had been listed
    figures = {f"rss_mb_{name}": kilobytes / 1024 for name, kilobytes in sorted(by_component.items())}
    return {"rss_mb": sum(figures.values()), **figures}


def descendants(root: int) -> list[int]:
    """Process ids: `root` and all below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def _component(pid: int) -> str:
    return "".join(char if char.isalnum() else "_" for char in Path(f"/proc/{pid}/comm").read_text().strip())


def proportional_kb(pid: int) -> int:
    """The process' proportional set size in kB; 0 when the kernel does not tell."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
