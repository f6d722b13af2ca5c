"""Scopes close in reverse, wait for children, and report every failure."""

import threading

import pytest

from meshtest.framework.errors import CleanupError
from meshtest.framework.scope import Scope


class Thing:
    """Notes its closing."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self._log = log

    def close(self) -> None:
        self._log.append(self.name)


def test_closes_last_in_first_out() -> None:
    log: list[str] = []
    scope = Scope("run")
    for name in ("first", "second", "third"):
        scope.track(Thing(name, log))
    scope.close()
    assert log == ["third", "second", "first"]


def test_closing_twice_does_nothing() -> None:
    log: list[str] = []
    scope = Scope("run")
    scope.track(Thing("once", log))
    scope.close()
    scope.close()
    assert log == ["once"]


def test_callables_are_closers_too_and_track_answers_its_argument() -> None:
    log: list[str] = []
    scope = Scope("run")
    thing = Thing("thing", log)
    assert scope.track(thing) is thing
    scope.track(lambda: log.append("called"))
    scope.close()
    assert log == ["called", "thing"]


def test_what_cannot_be_closed_is_refused_by_name_of_the_scope() -> None:
    with pytest.raises(TypeError, match=r"run/test: track\(\) expected .* got 5"):
        Scope("run").child("test").track(5)


def test_every_closer_runs_and_every_failure_is_told() -> None:
    log: list[str] = []

    def fails() -> None:
        raise OSError("no such pod")

    scope = Scope("run")
    scope.track(Thing("first", log))
    scope.track(fails, name="pod a")
    scope.track(fails, name="pod b")
    scope.track(Thing("last", log))
    with pytest.raises(CleanupError) as caught:
        scope.close()
    assert log == ["last", "first"]
    message = str(caught.value)
    assert "2 of its resources" in message
    assert message.index("pod b: OSError: no such pod") < message.index("pod a: OSError: no such pod")


def test_a_parent_waits_for_children_on_other_threads() -> None:
    log: list[str] = []
    parent = Scope("parent")
    parent.track(Thing("parent's", log))
    child = parent.child("child")
    child.track(Thing("child's", log))
    release = threading.Event()

    def later() -> None:
        release.wait()
        child.close()

    thread = threading.Thread(target=later)
    thread.start()
    closing = threading.Thread(target=parent.close)
    closing.start()
    release.set()
    closing.join()
    thread.join()
    assert log == ["child's", "parent's"]


def test_a_child_that_never_closes_is_told_after_the_deadline() -> None:
    parent = Scope("parent")
    parent.child("child")
    with pytest.raises(CleanupError, match="1 child scopes still open"):
        parent.close(deadline_s=0.0)


def test_keep_leaves_what_is_marked_and_removes_the_rest() -> None:
    log: list[str] = []
    scope = Scope("run", keep=lambda: True)
    scope.track(Thing("namespace", log), keep=True)
    scope.child("test").close()
    scope.track(Thing("config", log))
    scope.close()
    assert log == ["config"]


def test_children_inherit_keep() -> None:
    log: list[str] = []
    child = Scope("run", keep=lambda: True).child("test")
    child.track(Thing("namespace", log), keep=True)
    child.close()
    assert log == []


def test_lookup_walks_up_and_prefers_the_latest() -> None:
    log: list[str] = []
    parent = Scope("run")
    parent.track(Thing("old", log))
    parent.track(Thing("new", log))
    child = parent.child("test")
    found = child.lookup(Thing)
    assert found is not None
    assert found.name == "new"
    child.provide(Thing("own", log))
    own = child.lookup(Thing)
    assert own is not None
    assert own.name == "own"
    assert child.lookup(dict) is None


def test_a_closed_scope_takes_nothing_more() -> None:
    scope = Scope("run")
    scope.close()
    with pytest.raises(RuntimeError, match="scope run is closed already"):
        scope.track(lambda: None)
    with pytest.raises(RuntimeError, match="closed already"):
        scope.child("test")
