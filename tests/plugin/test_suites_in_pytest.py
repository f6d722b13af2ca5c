"""Suites, labels, requirements and sub-tests as pytest users meet them."""

from typing import Any

import pytest

SUITE = """
    from pathlib import Path
    from meshtest import Suite

    LOG = Path(__file__).with_name("steps")
    def note(text):
        with LOG.open("a") as file:
            file.write(text + " ")

    suite = (Suite("ambient").label("ambient", "slow")
             .setup(lambda ctx: note("up")).teardown(lambda ctx: note("down")))
    def test_one(ctx): note("one")
    def test_two(ctx): note("two")
"""


def steps(runs: Any) -> str:
    path = runs.path / "steps"
    return path.read_text().strip() if path.exists() else ""


def test_a_suites_labels_select_its_tests_and_set_up_runs_once(runs: Any) -> None:
    runs.tests(test_suite=SUITE, test_other="def test_other(): pass")
    runs.run("-m", "ambient and slow").assert_outcomes(passed=2, deselected=1)
    assert steps(runs) == "up one two down"


def test_a_suite_none_of_whose_tests_is_selected_does_nothing(runs: Any) -> None:
    runs.tests(test_suite=SUITE, test_other="def test_other(ctx): pass")
    runs.run("-m", "not ambient").assert_outcomes(passed=1, deselected=2)
    assert steps(runs) == ""


def test_a_packages_suite_holds_for_all_its_modules(runs: Any) -> None:
    package = runs.pytester.mkpydir("pack")
    (package / "__init__.py").write_text("from meshtest import Suite\nsuite = Suite('vm').label('vm')\n")
    (package / "test_in.py").write_text("def test_in(): pass\n")
    runs.tests(test_out="def test_out(): pass")
    runs.run("-m", "vm").assert_outcomes(passed=1, deselected=1)


def test_set_up_that_fails_is_not_tried_again(runs: Any) -> None:
    runs.tests(test_suite=SUITE.replace('note("up")', '(note("up"), 1 / 0)'))
    result = runs.run()
    result.assert_outcomes(errors=2)
    assert steps(runs) == "up"
    result.stdout.fnmatch_lines(["*set-up of suite ambient failed: ZeroDivisionError*"])


def test_unknown_labels_are_errors(runs: Any) -> None:
    runs.tests(test_suite=SUITE.replace('"slow"', '"sluggish"'))
    result = runs.run()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*'sluggish' not found in `markers` configuration option*"])


NEEDS = """
    import pytest
    from meshtest import Suite, feature
    suite = Suite("mc").require_clusters(min=2)
    def test_two_clusters(ctx): pass
"""


def test_unmet_requirements_skip_with_their_reason(runs: Any) -> None:
    runs.tests(test_needs=NEEDS)
    result = runs.run("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs 2 clusters, there are 1*"])


def test_unmet_requirements_fail_when_strict(runs: Any) -> None:
    runs.tests(test_needs=NEEDS)
    result = runs.run("--strict-requirements")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*requirements not met: needs 2 clusters*"])


def test_markers_and_dialects_are_requirements_too(runs: Any) -> None:
    runs.tests(
        test_needs="""
        import pytest
        from meshtest import feature
        @pytest.mark.requires("exec")
        def test_has(env): pass
        @pytest.mark.requires("vm", "faults")
        def test_lacks(env): pass
        @feature("traffic.split", dialect="istio")
        def test_speaks(ctx): pass
        """
    )
    result = runs.run("-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines_random(["*needs faults, vm; there is exec*", "*speaks istio, the mesh takes none*"])


def test_failing_sub_tests_fail_the_test_with_all_failures(runs: Any) -> None:
    runs.tests(
        test_subs="""
        from meshtest import new_test
        def boom(t): raise AssertionError(f"{t.name} broke")
        def test_parent(ctx):
            new_test(ctx, "left").run_parallel(boom)
            new_test(ctx, "right").run_parallel(boom)
            new_test(ctx, "fine").run(lambda t: None)
        """
    )
    result = runs.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(["*left broke*", "*right broke*"])


UNSENT = """
    from types import SimpleNamespace
    from meshtest.framework import unsent
    def test_forgets_to_look():
        unsent.note(SimpleNamespace(origin="me.py:7", looked_at=False))
    def test_looks():
        unsent.note(SimpleNamespace(origin="me.py:9", looked_at=True))
"""


def test_a_call_that_was_never_sent_fails_its_test(runs: Any) -> None:
    runs.tests(test_unsent=UNSENT)
    result = runs.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*AuthorError: me.py:7: *call never sent; hint: .check(...) or .responses"])


LEASES = """
    import os, time
    from pathlib import Path
    import pytest
    LOG = Path(__file__).with_name("spans")
    def span(kind):
        begun = time.monotonic()
        end = begun + 0.05
        while time.monotonic() < end:
            pass
        with LOG.open("a") as file:
            file.write(f"{kind} {begun} {time.monotonic()}\\n")
    @pytest.mark.parametrize("n", range(8))
    def test_lane(ctx, n): span("lane")
    @pytest.mark.mesh_wide
    @pytest.mark.parametrize("n", range(3))
    def test_wide(ctx, n): span("wide")
"""


def test_mesh_wide_tests_run_while_no_other_does(runs: Any) -> None:
    runs.tests(test_leases=LEASES)
    runs.run("-n2").assert_outcomes(passed=11)
    spans = [line.split() for line in (runs.path / "spans").read_text().splitlines()]
    wide = [(float(begun), float(ended)) for kind, begun, ended in spans if kind == "wide"]
    others = [(float(begun), float(ended)) for kind, begun, ended in spans if kind == "lane"]
    assert len(wide) == 3
    assert not [(one, other) for one in wide for other in others if one[0] < other[1] and other[0] < one[1]], (
        "a lane's test ran beside a mesh-wide one"
    )


def test_the_default_scheduler_gives_way_to_an_explicit_one(runs: Any) -> None:
    runs.tests(test_it="def test_one(): pass\ndef test_two(): pass")
    for dist in ("load", "loadfile", "each"):
        assert runs.run("-n2", "--dist", dist).ret == pytest.ExitCode.OK
