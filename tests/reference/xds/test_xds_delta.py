"""The incremental protocol as a table of transitions: what the proxy says, what the machine decides."""

from dataclasses import dataclass

import pytest

from reference.controlplane.xds.delta import DeltaRequest, DeltaResponse, DeltaState
from reference.controlplane.xds.types import CDS, EDS, LDS, RDS, Resources


@dataclass(frozen=True, slots=True)
class Fake:
    name: str
    version: str
    type_url: str = CDS
    body: bytes = b"x"


def world(**versions: str) -> Resources:
    return {name: Fake(name, version) for name, version in versions.items()}


def names(response: DeltaResponse | None) -> tuple[list[str], list[str]] | None:
    return None if response is None else ([each.name for each in response.changed], sorted(response.removed))


def subscribed(type_url: str, *wanted: str, now: Resources) -> tuple[DeltaState, DeltaResponse]:
    state = DeltaState()
    assert state.receive(DeltaRequest(type_url, subscribe=frozenset(wanted)))
    response = state.update(type_url, now, 1, greet=True)
    assert response is not None
    return state, response


def test_the_first_empty_subscription_of_clusters_is_answered_with_everything() -> None:
    state, response = subscribed(CDS, now=world(a="1", b="1"))
    assert state.subscriptions[CDS].wanted() is None
    assert names(response) == (["a", "b"], [])


def test_a_wildcard_without_resources_is_answered_all_the_same() -> None:
    _, response = subscribed(LDS, now={})
    assert names(response) == ([], [])


def test_a_named_subscription_that_finds_nothing_is_answered_as_removed() -> None:
    _, response = subscribed(RDS, "80", now={})
    assert names(response) == ([], ["80"])


def test_an_acknowledgement_is_not_answered_and_settles() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    assert not state.subscriptions[CDS].settled(1)
    assert not state.receive(DeltaRequest(CDS, nonce=response.nonce))
    assert state.subscriptions[CDS].settled(1)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (world(a="1", b="1"), None),
        (world(a="2", b="1"), (["a"], [])),
        (world(a="1"), ([], ["b"])),
        (world(a="1", b="1", c="1"), (["c"], [])),
        (world(c="1"), (["c"], ["a", "b"])),
    ],
    ids=["same", "changed", "removed", "added", "replaced"],
)
def test_an_update_sends_the_difference_alone(now: Resources, expected: object) -> None:
    state, response = subscribed(CDS, now=world(a="1", b="1"))
    state.receive(DeltaRequest(CDS, nonce=response.nonce))
    assert names(state.update(CDS, now, 2)) == expected
    assert state.subscriptions[CDS].settled(2) is (expected is None)


def test_a_change_during_flight_waits_for_the_acknowledgement_and_merges() -> None:
    state, first = subscribed(CDS, now=world(a="1"))
    assert not state.ready(CDS, 2)
    assert not state.ready(CDS, 3)
    assert state.subscriptions[CDS].unsettled_since == 1
    assert state.receive(DeltaRequest(CDS, nonce=first.nonce))
    second = state.update(CDS, world(a="3"), 3)
    assert names(second) == (["a"], [])
    subscription = state.subscriptions[CDS]
    assert [subscription.settled(n) for n in (1, 2, 3)] == [True, False, False]


def test_a_stale_nonce_neither_settles_nor_is_answered() -> None:
    state, _ = subscribed(CDS, now=world(a="1"))
    assert not state.receive(DeltaRequest(CDS, nonce="old"))
    assert not state.subscriptions[CDS].settled(1)


def test_a_refused_resource_is_not_sent_again_until_it_changes() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    assert not state.receive(DeltaRequest(CDS, nonce=response.nonce, error="no such filter"))
    subscription = state.subscriptions[CDS]
    assert subscription.rejection is not None and subscription.rejection.error == "no such filter"
    assert not subscription.settled(1)
    assert state.update(CDS, world(a="1"), 2) is None
    better = state.update(CDS, world(a="2"), 3)
    assert better is not None and names(better) == (["a"], [])
    state.receive(DeltaRequest(CDS, nonce=better.nonce))
    assert subscription.rejection is None and subscription.settled(3)


def test_a_refusal_fails_only_the_changes_that_it_answered() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    state.receive(DeltaRequest(CDS, nonce=response.nonce, error="bad"))
    assert state.update(CDS, world(a="1"), 2) is None
    assert not state.subscriptions[CDS].settled(1)
    assert state.subscriptions[CDS].settled(2)


def test_new_names_are_answered_though_the_version_is_known() -> None:
    state, response = subscribed(RDS, "80", now={"80": Fake("80", "1", RDS)})
    state.receive(DeltaRequest(RDS, nonce=response.nonce))
    assert state.receive(DeltaRequest(RDS, subscribe=frozenset({"80", "81"})))
    again = state.update(RDS, {"80": Fake("80", "1", RDS), "81": Fake("81", "1", RDS)}, 2)
    assert names(again) == (["80", "81"], [])


def test_unsubscribed_names_are_forgotten_without_an_answer() -> None:
    state, response = subscribed(RDS, "80", "81", now={"80": Fake("80", "1", RDS), "81": Fake("81", "1", RDS)})
    state.receive(DeltaRequest(RDS, nonce=response.nonce))
    assert not state.receive(DeltaRequest(RDS, unsubscribe=frozenset({"81"})))
    assert state.subscriptions[RDS].wanted() == frozenset({"80"})
    assert state.update(RDS, {"80": Fake("80", "1", RDS)}, 2) is None


def test_versions_known_from_before_a_reconnect_are_not_sent_again() -> None:
    state = DeltaState()
    state.receive(DeltaRequest(CDS, initial_versions={"a": "1", "gone": "1"}))
    assert names(state.update(CDS, world(a="1", b="1"), 1, greet=True)) == (["b"], ["gone"])


def test_a_cluster_that_changed_has_its_endpoints_sent_again() -> None:
    state, response = subscribed(CDS, now=world(a="1", b="1"))
    state.receive(DeltaRequest(CDS, nonce=response.nonce))
    state.receive(DeltaRequest(EDS, subscribe=frozenset({"a", "b"})))
    endpoints = {"a": Fake("a", "1", EDS), "b": Fake("b", "1", EDS)}
    first = state.update(EDS, endpoints, 1, greet=True)
    assert first is not None
    state.receive(DeltaRequest(EDS, nonce=first.nonce))
    state.update(CDS, world(a="2", b="1"), 2)
    assert state.must_resend(EDS)
    assert names(state.update(EDS, endpoints, 2)) == (["a"], [])
    assert not state.must_resend(EDS)


def test_endpoints_wanted_again_while_in_flight_follow_the_acknowledgement() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    state.receive(DeltaRequest(CDS, nonce=response.nonce))
    state.receive(DeltaRequest(EDS, subscribe=frozenset({"a"})))
    endpoints = {"a": Fake("a", "1", EDS)}
    first = state.update(EDS, endpoints, 1, greet=True)
    assert first is not None
    state.update(CDS, world(a="2"), 2)
    assert not state.ready(EDS, 2)
    assert state.receive(DeltaRequest(EDS, nonce=first.nonce))
    assert names(state.update(EDS, endpoints, 2)) == (["a"], [])


def routes(**versions: str) -> Resources:
    return {name: Fake(name, version, RDS) for name, version in versions.items()}


def refused_routes() -> DeltaState:
    """Accepted a=1, b=1; then a=BAD, b=2 went out as change 2 and was refused whole."""
    state, first = subscribed(RDS, "a", "b", now=routes(a="1", b="1"))
    state.receive(DeltaRequest(RDS, nonce=first.nonce))
    bad = state.update(RDS, routes(a="BAD", b="2"), 2)
    assert bad is not None
    state.receive(DeltaRequest(RDS, nonce=bad.nonce, error="bad"))
    return state


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (routes(a="BAD", b="2"), None),
        (routes(a="3", b="2"), (["a", "b"], [])),
        (routes(a="1", b="1"), (["a", "b"], [])),
        (routes(b="2"), (["b"], ["a"])),
        (routes(a="BAD", b="3"), (["a", "b"], [])),
    ],
    ids=["same", "mended", "reverted", "dropped", "other part changed"],
)
def test_nothing_of_a_refused_response_counts_as_accepted(now: Resources, expected: object) -> None:
    state = refused_routes()
    subscription = state.subscriptions[RDS]
    mended = state.update(RDS, now, 3)
    assert names(mended) == expected
    assert not subscription.settled(2)
    if mended is None:
        return
    assert not subscription.settled(3)
    state.receive(DeltaRequest(RDS, nonce=mended.nonce))
    assert subscription.rejection is None and subscription.settled(3)
    assert subscription.sent == {name: each.version for name, each in now.items()}
    assert state.update(RDS, now, 4) is None


def test_a_second_refusal_still_fails_the_changes_of_the_first() -> None:
    state = refused_routes()
    worse = state.update(RDS, routes(a="WORSE", b="2"), 3)
    assert worse is not None
    state.receive(DeltaRequest(RDS, nonce=worse.nonce, error="worse"))
    assert [state.subscriptions[RDS].settled(n) for n in (1, 2, 3)] == [True, False, False]


def test_without_the_name_that_was_refused_the_rest_is_sent_at_once() -> None:
    state = refused_routes()
    assert state.receive(DeltaRequest(RDS, unsubscribe=frozenset({"a"})))
    assert names(state.update(RDS, routes(b="2"), 3)) == (["b"], [])


def test_a_name_unsubscribed_in_flight_does_not_come_back_with_the_refusal() -> None:
    state, first = subscribed(RDS, "a", "b", now=routes(a="1", b="1"))
    state.receive(DeltaRequest(RDS, nonce=first.nonce))
    bad = state.update(RDS, routes(a="BAD", b="1"), 2)
    assert bad is not None
    state.receive(DeltaRequest(RDS, unsubscribe=frozenset({"a"})))
    state.receive(DeltaRequest(RDS, nonce=bad.nonce, error="bad"))
    assert state.update(RDS, routes(b="1"), 3) is None
