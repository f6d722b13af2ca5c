"""What is kept of a failed test: pods, events, logs, proxies' config, in the test's work directory. Bounded."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meshtest.plugin.world import World, directory_of, needed

if TYPE_CHECKING:
    from meshtest.environment import Cluster

MAX_DUMPS = 10
MAX_PODS = 40
LOG_LINES = 500
ATTACHED_BYTES = 256 << 10
DUMP_BYTES = 2 << 20
KEPT_RUNS = 10
RUN = re.compile(r"run-\d{6}-\d+")
AUTHORS = (NameError, ImportError, pytest.FixtureLookupError)  # mistakes in the test, which no cluster explains
DUMPED = pytest.StashKey[bool]()


class Dumps:
    """Dumps once a test, for at most 10 tests a worker: after that the world is the same as in the earlier ones."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """After a failure, while the test's fixtures are still alive."""
        report = yield
        excused = call.excinfo is None or call.excinfo.errisinstance((pytest.skip.Exception, *AUTHORS))
        if not report.failed or excused or item.stash.get(DUMPED, False) or not needed(item):
            return report
        item.stash[DUMPED] = True  # fires once more for each failing sub-test
        if self._made < MAX_DUMPS and self._world.up:
            self._made += 1
            directory = directory_of(item, self._world.options.work_dir)
            own = files_in(directory)  # the test's, who may have written there; not ours to cut
            try:
                self._dump(directory)
                bound(files_in(directory) - own, DUMP_BYTES)
            except Exception as error:  # a dump must never hide the failure that it is about
                report.sections.append(("meshtest dump", f"failed: {type(error).__name__}: {error}"))
            else:
                report.sections.append(("meshtest dump", str(directory)))
                _attach(item.config, directory)
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Old runs' directories go, so that they do not fill the disk."""
        if self._world.host is not None:
            prune(self._world.options.work_dir.parent)

    def _dump(self, directory: Path) -> None:
        import yaml

        from kubeclient.resources import EVENTS, NAMESPACES, PODS
        from meshtest.framework.mesh import PodRef

        directory.mkdir(parents=True, exist_ok=True)
        involved = []
        for cluster in self._world.environment().clusters:
            names = [str(each["metadata"]["name"]) for each in cluster.kube.list(NAMESPACES)]
            for namespace in filter(self._world.lane.owns, names):
                pods = cluster.kube.list(PODS, namespace)[:MAX_PODS]
                base = directory / f"{cluster.name}.{namespace}"
                _write(base.with_name(base.name + ".pods.yaml"), yaml.safe_dump_all(pods))
                events = cluster.kube.list(EVENTS, namespace)
                _write(base.with_name(base.name + ".events.json"), json.dumps(events, indent=1))
                for pod in pods:
                    _logs(cluster, pod, directory)
                    involved.append(PodRef(cluster.name, namespace, pod["metadata"]["name"]))
        self._world.mesh().dump(involved, directory)


def files_in(directory: Path) -> set[Path]:
    """Those directly in it; none where there is no directory."""
    return {path for path in directory.iterdir() if path.is_file()} if directory.is_dir() else set()


def bound(files: set[Path], limit: int) -> None:
    """Cut the biggest files, all to the same size, so that together they have about `limit` bytes."""
    sizes = sorted((path.stat().st_size, path) for path in files)
    left = limit
    for done, (size, path) in enumerate(sizes):
        share = left // (len(sizes) - done)
        if size > share:
            with path.open("r+b") as file:
                file.truncate(share)
                file.seek(0, os.SEEK_END)
                file.write(f"\n... cut, {size - share} bytes more\n".encode())
        left -= min(size, share)


def prune(base: Path) -> None:
    """Keep the 10 newest directories of runs below the work directory; what has another name is not ours."""
    if not base.is_dir():
        return
    dated = []
    for path in base.iterdir():
        with contextlib.suppress(OSError):  # another run may be pruning, too
            if RUN.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                dated.append((path.stat().st_mtime, path))
    for _, path in sorted(dated, reverse=True)[KEPT_RUNS:]:
        shutil.rmtree(path, ignore_errors=True)


def _attach(config: pytest.Config, directory: Path) -> None:
    """The dump's small files into the Allure report, where one is being written."""
    if not config.getoption("allure_report_dir", None):
        return
    import allure

    for path in sorted(directory.iterdir()):
        if path.is_file() and path.stat().st_size <= ATTACHED_BYTES:
            allure.attach.file(str(path), name=path.name, attachment_type=allure.attachment_type.TEXT)


def _logs(cluster: Cluster, pod: dict[str, Any], directory: Path) -> None:
    meta = pod["metadata"]
    for container in pod["spec"].get("containers", ()):
        path = directory / f"{meta['namespace']}.{meta['name']}.{container['name']}.log"
        try:
            text = cluster.kube.logs(meta["namespace"], meta["name"], container["name"], tail_lines=LOG_LINES)
        except Exception as error:
            text = f"not available: {error}\n"
        _write(path, text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")
