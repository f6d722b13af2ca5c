"""Sub-tests: own scopes, failures of all siblings, threads that are waited for."""

# ruff: noqa: ARG001, ARG005  (bodies take a context whether they use it or not)

import threading

import pytest

from meshtest.framework.context import TestContext
from meshtest.framework.errors import AuthorError
from meshtest.framework.subtests import new_test


def test_runs_with_a_scope_of_its_own_that_closes_first(fake_ctx: TestContext) -> None:
    log: list[str] = []
    fake_ctx.track(lambda: log.append("parent"))

    def body(sub: TestContext) -> None:
        assert sub.parent is fake_ctx
        assert sub.name == "inner"
        sub.track(lambda: log.append("child"))

    assert new_test(fake_ctx, "inner").run(body)
    assert log == ["child"]
    fake_ctx.join()
    fake_ctx.close()
    assert log == ["child", "parent"]


def test_a_failure_does_not_stop_siblings_and_fails_the_parent(fake_ctx: TestContext) -> None:
    def fails(sub: TestContext) -> None:
        raise AssertionError("expected 200, got 503")

    ran: list[str] = []
    assert not new_test(fake_ctx, "first").run(fails)
    assert new_test(fake_ctx, "second").run(lambda sub: ran.append(sub.name))
    assert ran == ["second"]
    with pytest.raises(AssertionError, match="expected 200, got 503") as caught:
        fake_ctx.join()
    assert caught.value.__notes__ == ["in sub-test 'first'"]


def test_several_failures_come_together(fake_ctx: TestContext) -> None:
    def fails(sub: TestContext) -> None:
        raise AssertionError(sub.name)

    new_test(fake_ctx, "a").run(fails)
    new_test(fake_ctx, "b").run(fails)
    with pytest.raises(ExceptionGroup, match="2 sub-tests failed: a, b"):
        fake_ctx.join()


def test_parallel_siblings_overlap_and_are_waited_for(fake_ctx: TestContext) -> None:
    both = threading.Barrier(2, timeout=10)
    done: list[str] = []

    def body(sub: TestContext) -> None:
        both.wait()  # breaks unless the two run side by side
        done.append(sub.name)

    new_test(fake_ctx, "a").run_parallel(body)
    new_test(fake_ctx, "b").run_parallel(body)
    fake_ctx.join()
    assert sorted(done) == ["a", "b"]


def test_clean_up_errors_count_as_failures(fake_ctx: TestContext) -> None:
    def fails() -> None:
        raise OSError("gone")

    new_test(fake_ctx, "a").run(lambda sub: sub.track(fails, name="pod"))
    with pytest.raises(Exception, match="pod: OSError: gone"):
        fake_ctx.join()


def test_one_sub_test_runs_once(fake_ctx: TestContext) -> None:
    sub = new_test(fake_ctx, "a")
    sub.run_parallel(lambda ctx: None)
    with pytest.raises(AuthorError, match="runs already"):
        sub.run_parallel(lambda ctx: None)
    fake_ctx.join()


def test_skips_are_the_parents(fake_ctx: TestContext) -> None:
    def skips(sub: TestContext) -> None:
        pytest.skip("not here")

    with pytest.raises(pytest.skip.Exception):
        new_test(fake_ctx, "a").run(skips)
