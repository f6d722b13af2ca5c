"""A pytest of its own for each test, with an environment that only notes what happens to it."""

from pathlib import Path

import pytest

FAKE = """
import os
from pathlib import Path
from types import SimpleNamespace

from meshtest.environment import registry
from meshtest.environment.errors import UsageError
from meshtest.environment.protocol import Attachment

LOG = Path(__file__).with_name("events")
registry._FACTORIES["fake"] = "fake_environment:Factory"


def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")


class Kube:
    def apply(self, obj):
        note(f"apply {obj['metadata']['name']}")
        return [obj]

    def delete(self, resource, name, namespace=None):
        note(f"delete {name}")

    def wait_gone(self, resource, name, namespace=None):
        pass

    def list(self, resource, namespace=None):
        names = {line.split()[1] for line in LOG.read_text().splitlines() if line.startswith("apply ")}
        return [{"metadata": {"name": name}} for name in sorted(names)] if resource.kind == "Namespace" else []


class Fake:
    name = "fake"
    capabilities = frozenset({"exec"})
    disposable = bool(int(os.environ.get("FAKE_DISPOSABLE", "1")))

    def __init__(self, run_id, owner):
        self.run_id, self.owner = run_id, owner
        self.clusters = (SimpleNamespace(name="cluster-0", kube=Kube(), kubeconfig=Path("/kube.config")),)

    def attachment(self):
        return Attachment("fake", self.run_id, (("cluster-0", "n", "/kube.config", ""),))

    def keep(self):
        note("keep")

    def stop(self):
        if self.owner:
            note("stop")


class Factory:
    capabilities = Fake.capabilities

    def check(self):
        if os.environ.get("FAKE_REFUSES"):
            raise UsageError("needs root: sudo")

    def start(self, topology, *, run_id, progress):
        note("start")
        if os.environ.get("FAKE_BROKEN"):
            raise OSError("no more memory")
        return Fake(run_id, True)

    def attach(self, attachment):
        return Fake(attachment.run_id, False)
"""
INI = """
[pytest]
addopts = --strict-markers --import-mode=importlib -p no:cacheprovider --env fake --mesh none --work-dir work
pythonpath = .
filterwarnings = error
"""


class Runs:
    """Runs pytest in a directory of its own; `events` are what happened to the environment, in order."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makepyfile(fake_environment=FAKE)
        pytester.makefile(".ini", pytest=INI)
        pytester.makeconftest("import fake_environment")

    def tests(self, **sources: str) -> None:
        """Write test modules."""
        self.pytester.makepyfile(**sources)

    def run(self, *args: str) -> pytest.RunResult:
        """Run to the end."""
        return self.pytester.runpytest_subprocess(*args, timeout=60)

    @property
    def events(self) -> list[str]:
        """What was noted."""
        path = self.pytester.path / "events"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def path(self) -> Path:
        """The directory of the run."""
        return self.pytester.path


@pytest.fixture
def runs(pytester: pytest.Pytester) -> Runs:
    """A fresh directory with the fake environment."""
    return Runs(pytester)
