"""Whether Envoy may be given traffic: its statistics in, a decision out. Pure.

Ready means that the first configuration has settled: clusters and listeners came, nothing of it warms, and the workers,
which start last, run. Once ready a proxy stays so until it drains: while a later update warms, the old one serves.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FILTER = (
    r"^(listener_manager\.(workers_started|total_listeners_warming|lds\.update_(success|rejected))"
    r"|cluster_manager\.(warming_clusters|cds\.update_(success|rejected)))$"
)
"""For Envoy's `/stats?filter=`: what `judge` reads."""


@dataclass(frozen=True, slots=True)
class Verdict:
    ready: bool
    why: str


def parse(text: str) -> dict[str, int]:
    """`name: value` lines of Envoy's /stats."""
    stats = {}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        if value.strip().isdigit():
            stats[name] = int(value)
    return stats


def judge(stats: Mapping[str, int]) -> Verdict:
    """The verdict on a proxy that was not ready yet."""
    for kind, key in (("clusters", "cluster_manager.cds"), ("listeners", "listener_manager.lds")):
        if not stats.get(f"{key}.update_success"):
            rejected = stats.get(f"{key}.update_rejected", 0)
            return Verdict(False, f"{kind} rejected {rejected} times" if rejected else f"no {kind} received yet")
    for kind, key in (("clusters", "cluster_manager.warming_clusters"), ("listeners", _WARMING_LISTENERS)):
        if stats.get(key):
            return Verdict(False, f"{stats[key]} {kind} warming")
    if not stats.get("listener_manager.workers_started"):
        return Verdict(False, "workers not started")
    return Verdict(True, "ready")


_WARMING_LISTENERS = "listener_manager.total_listeners_warming"
