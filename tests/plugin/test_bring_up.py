"""What is brought up when, and that it goes once, whatever happens."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

USES = """
    import os
    import pytest
    {extra}
    def test_plain(): pass
    def test_one(ctx): {one}
    def test_two(cluster): assert cluster.name == "cluster-0"
"""


def module(one: str = "pass", extra: str = "") -> str:
    return USES.format(one=one, extra=extra)


def test_nothing_starts_for_tests_that_need_nothing(runs: Any) -> None:
    runs.tests(test_it=module())
    runs.run("-k", "plain").assert_outcomes(passed=1, deselected=2)
    assert runs.events == []


def test_somebody_elses_fixture_of_the_same_name_starts_nothing(runs: Any) -> None:
    runs.tests(
        test_it="""
            import pytest
            @pytest.fixture
            def env(): return "theirs"
            def test_fixture(env): assert env == "theirs"
            @pytest.mark.parametrize("mesh", [1])
            def test_parameter(mesh): assert mesh == 1
        """
    )
    runs.run().assert_outcomes(passed=2)
    assert runs.events == []


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_collecting_starts_nothing(runs: Any, workers: str) -> None:
    runs.tests(test_it=module())
    result = runs.run("--collect-only", "-q", workers)
    assert result.ret == 0
    assert runs.events == []


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_label_that_does_not_exist_is_refused_before_anything_starts(runs: Any, workers: str) -> None:
    runs.tests(test_it=module())
    result = runs.run("-m", "routnig and not slow", workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no label is named routnig (did you mean routing?); labels: routing, *gateway*slow*"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert runs.events == []


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_label_that_no_test_has_is_explained(runs: Any, workers: str) -> None:
    runs.tests(test_it=module(extra="pytestmark = pytest.mark.routing"))
    result = runs.run("-m", "gateway and feature(level='core')", workers)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*no test here has the label feature, gateway; labels that tests here have: routing"])
    assert runs.events == []


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_module_that_cannot_be_imported_starts_nothing(runs: Any, workers: str) -> None:
    runs.tests(test_it=module(), test_broken="import no_such_module")
    assert runs.run(workers).ret == pytest.ExitCode.INTERRUPTED
    assert runs.events == []


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_starts_once_and_stops_once(runs: Any, workers: str) -> None:
    runs.tests(test_it=module())
    runs.run(workers).assert_outcomes(passed=3)
    assert runs.events == ["start", "stop"]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_what_cannot_be_put_back_fails_the_run(runs: Any, monkeypatch: Any, workers: str) -> None:
    monkeypatch.setenv("FAKE_DISPOSABLE", "0")
    runs.tests(
        test_it="""
            def stuck(): raise RuntimeError("stuck")
            def test_one(ctx): ctx.parent.track(stuck)
        """
    )
    result = runs.run(workers)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["clean-up failed: run: 1 of its resources did not close:", "*RuntimeError: stuck"])


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_failure_with_exitfirst_still_stops(runs: Any, workers: str) -> None:
    runs.tests(test_it=module(one="assert False"))
    result = runs.run("-x", workers)
    assert result.parseoutcomes()["failed"] == 1
    assert [each for each in runs.events if each in ("start", "stop")] == ["start", "stop"]


def test_an_interrupt_still_stops(runs: Any) -> None:
    runs.tests(test_it=module(one="raise KeyboardInterrupt"))
    result = runs.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert runs.events == ["start", "stop"]


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_an_interrupt_is_answered_and_waits_for_no_worker(runs: Any, workers: str) -> None:
    runs.tests(test_it=module(one="open('up', 'w').close(); import time; time.sleep(600)"))
    process = runs.pytester.popen([sys.executable, "-m", "pytest", "-q", "-s", workers], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (runs.path / "up").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)  # to the controller alone: the worker sleeps on
        output = process.communicate(timeout=60)[0].decode()
    finally:
        process.kill()
    assert time.monotonic() - interrupted < 7, output
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "meshtest: interrupted, taking the cluster down" in output
    assert [each for each in runs.events if each in ("start", "stop")] == ["start", "stop"]


def test_a_crashed_worker_leaves_the_others_running(runs: Any) -> None:
    runs.tests(test_it=module(one="ctx.namespace; os._exit(3)"), test_more="def test_more(env): pass")
    result = runs.run("-n2")
    assert result.parseoutcomes()["passed"] == 3
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*crashed while running*test_one*"])
    assert (runs.events[0], runs.events[-1]) == ("start", "stop")
    assert [each for each in runs.events if each.startswith("delete ")] in (["delete w0-apps"], ["delete w1-apps"])


def test_an_environment_that_does_not_start_fails_each_test_with_its_reason(runs: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("FAKE_BROKEN", "1")
    runs.tests(test_it=module())
    result = runs.run()
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*OSError: no more memory*"])
    assert "Traceback" not in result.stdout.str()
    assert "plugin/" not in result.stdout.str(), "one message, no trace through meshtest"
    assert runs.events == ["start"]


def test_a_machine_that_cannot_run_the_environment_is_said_once(runs: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("FAKE_REFUSES", "1")
    runs.tests(test_it=module())
    result = runs.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: needs root: sudo"])
    runs.run("-k", "plain").assert_outcomes(passed=1, deselected=2)
    assert runs.events == []


def test_a_machine_that_cannot_run_the_environment_ends_a_run_with_workers(runs: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("FAKE_REFUSES", "1")
    runs.tests(test_it="import pytest\n@pytest.mark.parametrize('n', range(50))\ndef test_one(ctx, n): pass")
    result = runs.run("-n2")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*needs root: sudo*"])
    assert result.parseoutcomes()["errors"] < 10
    assert runs.events == []


def test_namespaces_go_where_the_environment_stays(runs: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("FAKE_DISPOSABLE", "0")
    runs.tests(test_it="def test_one(ctx): assert ctx.create_namespace('extra') == 'w0-extra'")
    runs.run().assert_outcomes(passed=1)
    assert runs.events == ["start", "apply w0-extra", "delete w0-extra", "stop"]


@pytest.mark.parametrize(
    ("option", "fails", "last"),
    [
        ("--nocleanup", False, ["keep", "stop"]),
        ("--nocleanup=on-failure", False, ["stop"]),
        ("--nocleanup=on-failure", True, ["keep", "stop"]),
    ],
)
def test_nocleanup_keeps_and_says_how_to_reach_it(runs: Any, option: str, fails: bool, last: list[str]) -> None:
    runs.tests(test_it=module(one="assert False" if fails else "pass"))
    result = runs.run(option, "test_it.py")
    assert runs.events[1:] == last
    if "keep" in last:
        last_lines = [line.strip() for line in result.outlines if line.strip()][-2:]
        assert last_lines[0].startswith("export KUBECONFIG=/kube.config")
        assert last_lines[1].startswith("remove it with: meshtest cleanup run-")


def test_timings_are_written_as_json(runs: Any) -> None:
    runs.tests(test_it="def test_one(ctx):\n    with ctx.phase('calls'): pass")
    for workers in ("-n0", "-n1"):
        result = runs.run("--timings", "timings.json", workers)
        result.stdout.fnmatch_lines(["*time by phase*calls*", "*command to first test body*"])
        figures = json.loads((runs.path / "timings.json").read_text())
        assert {"provision", "calls", "teardown"} <= set(figures["phases_s"])
        assert 0 < figures["cold_start_s"] < figures["total_s"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--env", "kind"], "*--env kind: not yet in this release; available: *embedded*"),
        (["--env", "moon"], "*--env moon: no such environment; available: *embedded*"),
        (["--mesh", "moon"], "*--mesh moon: no such mesh; available: none, *reference*"),
        (["--nocleanup=sometimes"], "*--nocleanup=sometimes: expected always or on-failure*"),
    ],
)
def test_options_that_do_not_exist_say_what_does(runs: Any, args: list[str], message: str) -> None:
    runs.tests(test_it=module())
    result = runs.run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_workers_do_not_wipe_each_others_allure_results(runs: Any) -> None:
    runs.tests(test_it=module(one="os._exit(3)"), test_more="def test_more(env): assert False")
    runs.run("-n2", "--alluredir=results", "--clean-alluredir")
    results = [json.loads(path.read_text()) for path in (runs.path / "results").glob("*-result.json")]
    assert {"test_plain", "test_two", "test_more"} <= {each["name"] for each in results}
