"""Names, visibility and delegates."""

from typing import Any

import pytest

from reference.api import VirtualService
from reference.controlplane.config import is_visible, matches, merge, read_configs, resolve, specificity
from tests.reference.generate.mesh_state import config, keyed

Obj = dict[str, Any]
TO_B: Obj = {"destination": {"host": "b"}}


@pytest.mark.parametrize(
    ("host", "full"),
    [("b", "b.demo.svc.cluster.local"), ("b.x", "b.x"), ("*.x", "*.x"), ("b.x.", "b.x"), ("::1", "::1")],
)
def test_short_names_are_beside_the_object(host: str, full: str) -> None:
    assert resolve(host, "demo", "cluster.local") == full


def test_wildcards_match_names_below() -> None:
    assert matches("*.b.c", "a.b.c")
    assert not matches("*.b.c", "b.c")
    assert matches("*", "a")
    assert specificity("a.b") > specificity("*.long.example.com") > specificity("*.com") > specificity("*")


@pytest.mark.parametrize(
    ("export_to", "viewer", "seen"),
    [((), "x", True), ((".",), "own", True), ((".",), "x", False), (("x",), "x", True), (("~",), "own", False)],
)
def test_visibility(export_to: tuple[str, ...], viewer: str, seen: bool) -> None:
    assert is_visible(export_to, ("*",), "own", viewer) is seen


def _merged(root: Obj, **delegates: Obj) -> Any:
    raw = keyed(config("VirtualService", "root", root), *(config("VirtualService", k, v) for k, v in delegates.items()))
    found = read_configs("VirtualService", VirtualService, raw)
    assert not found.rejected
    return merge(found.by_key["demo", "root"], found.by_key, "cluster.local", ("*",))


def test_delegate_takes_the_place_of_its_route() -> None:
    rules = _merged(
        {
            "hosts": ["b"],
            "http": [
                {
                    "name": "outer",
                    "match": [{"uri": {"prefix": "/api"}, "headers": {"x": {"exact": "1"}}}],
                    "delegate": {"name": "inner"},
                    "timeout": "1s",
                },
                {"route": [TO_B]},
            ],
        },
        inner={
            "http": [
                {"name": "v2", "match": [{"uri": {"prefix": "/api/v2"}}], "route": [TO_B], "timeout": "2s"},
                {"match": [{"uri": {"prefix": "/other"}}], "route": [TO_B]},
                {"route": [TO_B]},
            ]
        },
    )
    first, second, last = rules.http
    assert first.name == "outer-v2"
    assert first.match[0].uri.prefix == "/api/v2"
    assert set(first.match[0].headers) == {"x"}
    assert (first.timeout, second.timeout) == (2.0, 1.0)
    assert second.match[0].uri.prefix == "/api"
    assert last.match == ()


def test_missing_and_invisible_delegates_leave_nothing() -> None:
    root: Obj = {"hosts": ["b"], "http": [{"delegate": {"name": "inner"}}, {"route": [TO_B]}]}
    assert len(_merged(root).http) == 1
    hidden: Obj = {"exportTo": ["~"], "http": [{"route": [TO_B]}]}
    assert len(_merged(root, inner=hidden).http) == 1


def test_unchanged_objects_keep_their_config() -> None:
    raw = keyed(config("VirtualService", "a", {"hosts": ["b"], "http": [{"route": [TO_B]}]}))
    found = read_configs("VirtualService", VirtualService, raw)
    labelled = {key: {**obj, "metadata": {**obj["metadata"], "labels": {"x": "y"}}} for key, obj in raw.items()}
    assert read_configs("VirtualService", VirtualService, labelled, found) is found


def test_invalid_objects_are_set_aside() -> None:
    raw = keyed(config("VirtualService", "bad", {"hosts": ["b"]}))
    found = read_configs("VirtualService", VirtualService, raw)
    assert found.entries == ()
    assert "at least one of http" in str(found.rejected["demo", "bad"])


def test_oldest_first() -> None:
    spec: Obj = {"hosts": ["b"], "http": [{"route": [TO_B]}]}
    young = config("VirtualService", "a", spec, created="2026-02-01T00:00:00Z")
    old = config("VirtualService", "z", spec, created="2026-01-01T00:00:00Z")
    found = read_configs("VirtualService", VirtualService, keyed(young, old))
    assert [entry.name for entry in found.entries] == ["z", "a"]
