"""Command-line options and markers."""

import time
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Literal, cast

import pytest

from meshtest.framework import labels

Cleanup = Literal["never", "always", "on-failure"]
ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `nocleanup` is when the world is kept: never, always, or on-failure."""

    env: str
    mesh: str
    run_id: str
    nocleanup: Cleanup
    strict_requirements: bool
    work_dir: Path
    timings: Path | None


def pytest_addoption(parser: pytest.Parser) -> None:
    """See `pytest --help`, group meshtest."""
    group = parser.getgroup("meshtest", "service-mesh tests")
    group.addoption("--env", default="embedded", metavar="NAME", help="where clusters come from (default: embedded)")
    group.addoption("--mesh", default="reference", metavar="NAME", help="mesh under test; `none` for no mesh")
    group.addoption(
        "--nocleanup",
        nargs="?",
        const=ALWAYS,
        default="never",
        metavar="WHEN",
        help="keep clusters, mesh and apps after the run: always (default) or on-failure",
    )
    group.addoption(
        "--strict-requirements", action="store_true", help="fail, not skip, tests whose requirements are not met"
    )
    group.addoption(
        "--work-dir",
        metavar="DIR",
        help="where runs leave dumps (default: .meshtest in the root directory); write --work-dir=DIR, as pytest looks "
        "for its configuration beside a path that stands alone",
    )
    group.addoption("--timings", metavar="FILE", help="write where the time went as JSON")


def pytest_load_initial_conftests(args: list[str]) -> None:
    """A bare --nocleanup must not swallow the path behind it."""
    args[:] = [f"--nocleanup={ALWAYS}" if arg == "--nocleanup" else arg for arg in args]


def parse(config: pytest.Config) -> Options:
    """The options. Errors: pytest.UsageError."""
    from meshtest.environment import registry as environments
    from meshtest.environment.errors import UsageError
    from meshtest.mesh import registry as meshes

    nocleanup = config.getoption("--nocleanup")
    if nocleanup not in ("never", "always", "on-failure"):
        raise pytest.UsageError(f"--nocleanup={nocleanup}: expected always or on-failure")
    env, mesh = str(config.getoption("--env")), str(config.getoption("--mesh"))
    try:
        environments.check_name(env)
        meshes.check_name(mesh)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    workerinput: dict[str, str] = getattr(config, "workerinput", {})
    run_id = workerinput.get("meshtest_run_id") or time.strftime(f"run-%H%M%S-{getpid()}")
    given = config.getoption("--work-dir")
    base = Path(given).absolute() if given else config.rootpath / ".meshtest"
    timings = config.getoption("--timings")
    return Options(
        env=env,
        mesh=mesh,
        run_id=run_id,
        nocleanup=cast("Cleanup", nocleanup),
        strict_requirements=bool(config.getoption("--strict-requirements")),
        work_dir=base / run_id,
        timings=Path(timings).absolute() if timings else None,
    )


def keep_others_results(config: pytest.Config) -> None:
    """--clean-alluredir runs in every xdist worker, and one that replaces a crashed one would wipe all results."""
    if hasattr(config, "workerinput") and getattr(config.option, "clean_alluredir", False):
        config.option.clean_alluredir = False


def register_markers(config: pytest.Config) -> None:
    """Labels are markers, and with --strict-markers an unknown one is an error."""
    for line in labels.markers(config.rootpath):
        config.addinivalue_line("markers", line)
