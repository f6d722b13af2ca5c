"""What is kept of a failed test: pods, events, logs, proxies' config, in the test's work directory. Bounded."""

from __future__ import annotations

import json
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
        excused = call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception)
        if not report.failed or excused or item.stash.get(DUMPED, False) or not needed(item):
            return report
        item.stash[DUMPED] = True  # fires once more for each failing sub-test
        if self._made < MAX_DUMPS and self._world.up:
            self._made += 1
            directory = directory_of(item, self._world.options.work_dir)
            try:
                self._dump(directory)
            except Exception as error:  # a dump must never hide the failure that it is about
                report.sections.append(("meshtest dump", f"failed: {type(error).__name__}: {error}"))
            else:
                report.sections.append(("meshtest dump", str(directory)))
                _attach(item.config, directory)
        return report

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
