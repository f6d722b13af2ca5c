"""Where the time went: a line in the terminal summary, and JSON for --timings."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from meshtest.plugin.world import World


class Summary:
    """Collects this process's phases; a controller adds its workers'."""

    def __init__(self, config: pytest.Config, world: World) -> None:
        self._config = config
        self._world = world
        self._started = process_start()
        self._kept: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker hands its figures to the controller; a run that could not put everything back has failed."""
        output: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["meshtest_timings"] = self._world.timings.seconds()
            output["meshtest_first_body"] = self._world.first_body
            output["meshtest_cleanup_failures"] = self._world.cleanup_failures
        elif self._world.cleanup_failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add a worker's figures; one that died has none."""
        output: dict[str, Any] = getattr(node, "workeroutput", {})
        self._world.timings.merge(output.get("meshtest_timings", {}))
        self._world.cleanup_failures.extend(output.get("meshtest_cleanup_failures", ()))
        first = output.get("meshtest_first_body")
        if first is not None:
            self._world.first_body = min(first, self._world.first_body or first)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Phases in seconds, and what could not be put back."""
        world = self._world
        if world.host is None or not world.host.wanted:
            return
        phases = world.timings.seconds()
        if phases:
            terminalreporter.section("meshtest")
            shown = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in phases.items())
            terminalreporter.write_line(f"time by phase (all workers): {shown}")
            if world.first_body is not None:
                terminalreporter.write_line(f"command to first test body: {world.first_body - self._started:.2f} s")
        for failure in world.cleanup_failures:
            terminalreporter.write_line(f"clean-up failed: {failure}", red=True)
        running = world.host.running()
        if running is not None and world.keeps:
            self._kept = [
                f"kept, as --nocleanup={world.options.nocleanup}:",
                *(f"  export KUBECONFIG={cluster.kubeconfig}    # {cluster.name}" for cluster in running.clusters),
                f"  remove it with: meshtest cleanup {running.run_id}",
            ]

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Last of all, so that clean-up counts in the figures, and what is kept stands below everything else."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        for line in self._kept if reporter else ():
            reporter.write_line(line)
        path = self._world.options.timings
        if path is not None and self._world.host is not None:
            path.write_text(json.dumps(self._figures(), indent=1) + "\n")

    def _figures(self) -> dict[str, Any]:
        first = self._world.first_body
        return {
            "phases_s": {name: round(seconds, 4) for name, seconds in self._world.timings.seconds().items()},
            "cold_start_s": round(first - self._started, 4) if first else None,
            "total_s": round(time.time() - self._started, 4),
        }


def process_start() -> float:
    """When this process was started, in seconds since the epoch (10 ms exact)."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return booted + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return time.time()  # not Linux: from here on
