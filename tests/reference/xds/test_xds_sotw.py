"""The state-of-the-world protocol as a table of transitions."""

from dataclasses import dataclass

from reference.controlplane.xds.sotw import SotwRequest, SotwResponse, SotwState
from reference.controlplane.xds.types import CDS, EDS, RDS, Resources


@dataclass(frozen=True, slots=True)
class Fake:
    name: str
    version: str
    type_url: str = CDS
    body: bytes = b"x"


def world(**versions: str) -> Resources:
    return {name: Fake(name, version) for name, version in versions.items()}


def subscribed(type_url: str, *wanted: str, now: Resources) -> tuple[SotwState, SotwResponse]:
    state = SotwState()
    assert state.receive(SotwRequest(type_url, names=frozenset(wanted)))
    response = state.update(type_url, now, 1, greet=True)
    assert response is not None
    return state, response


def test_the_first_request_is_answered_with_everything() -> None:
    state, response = subscribed(CDS, now=world(a="1", b="1"))
    assert [each.name for each in response.resources] == ["a", "b"]
    assert state.subscriptions[CDS].wanted() is None


def test_an_acknowledgement_with_the_same_names_is_not_answered() -> None:
    state, response = subscribed(RDS, "80", now=world())
    assert not state.receive(SotwRequest(RDS, response.nonce, names=frozenset({"80"})))
    assert state.subscriptions[RDS].settled(1)


def test_an_acknowledgement_with_new_names_is_answered() -> None:
    state, response = subscribed(RDS, "80", now=world())
    assert state.receive(SotwRequest(RDS, response.nonce, names=frozenset({"80", "81"})))


def test_fewer_names_are_noted_without_an_answer() -> None:
    state, response = subscribed(RDS, "80", "81", now=world())
    assert not state.receive(SotwRequest(RDS, response.nonce, names=frozenset({"80"})))
    assert state.subscriptions[RDS].wanted() == frozenset({"80"})


def test_a_refusal_is_recorded_and_not_answered() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    assert not state.receive(SotwRequest(CDS, response.nonce, error="bad"))
    assert state.update(CDS, world(a="1"), 2) is None
    assert state.update(CDS, world(a="2"), 3) is not None


def test_a_stale_nonce_is_dropped() -> None:
    state, _ = subscribed(CDS, now=world(a="1"))
    assert not state.receive(SotwRequest(CDS, "old", names=frozenset({"z"})))
    assert state.subscriptions[CDS].wanted() is None


def test_an_empty_nonce_starts_over() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    state.receive(SotwRequest(CDS, response.nonce))
    assert state.receive(SotwRequest(CDS))


def test_identical_bytes_settle_at_once() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    state.receive(SotwRequest(CDS, response.nonce))
    assert state.update(CDS, world(a="1"), 2) is None
    assert state.subscriptions[CDS].settled(2)


def test_endpoints_are_always_answered_after_a_cluster_push() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    state.receive(SotwRequest(CDS, response.nonce))
    state.receive(SotwRequest(EDS, names=frozenset({"a"})))
    first = state.update(EDS, world(a="1"), 1, greet=True)
    assert first is not None
    assert not state.receive(SotwRequest(EDS, first.nonce, names=frozenset({"a"})))
    state.update(CDS, world(a="2"), 2)
    assert state.receive(SotwRequest(EDS, first.nonce, names=frozenset({"a"})))


def test_a_change_during_flight_goes_out_with_the_acknowledgement() -> None:
    state, response = subscribed(CDS, now=world(a="1"))
    assert not state.ready(CDS, 2)
    assert state.receive(SotwRequest(CDS, response.nonce))
    assert state.update(CDS, world(a="2"), 2) is not None


def test_two_refusals_in_a_row_are_each_not_sent_again() -> None:
    state, first = subscribed(CDS, now=world(a="1"))
    state.receive(SotwRequest(CDS, first.nonce))
    for sequence, version in ((2, "BAD"), (3, "WORSE")):
        bad = state.update(CDS, world(a=version, **{version: "1"}), sequence)
        assert bad is not None
        state.receive(SotwRequest(CDS, bad.nonce, error="bad"))
        assert state.update(CDS, world(a=version, **{version: "1"}), sequence) is None
    reverted = state.update(CDS, world(a="1"), 4)
    assert reverted is not None, "what the proxy kept of the refused responses is not known"
    state.receive(SotwRequest(CDS, reverted.nonce))
    assert state.subscriptions[CDS].rejection is None


def test_a_change_that_waited_goes_out_with_the_refusal() -> None:
    state, response = subscribed(CDS, now=world(a="BAD"))
    assert not state.ready(CDS, 2)
    assert state.receive(SotwRequest(CDS, response.nonce, error="bad"))
    assert state.update(CDS, world(a="2"), 2) is not None


def test_a_stale_refusal_is_dropped_though_a_change_waits() -> None:
    state, _ = subscribed(CDS, now=world(a="1"))
    assert not state.ready(CDS, 2)
    assert not state.receive(SotwRequest(CDS, "old", error="bad"))
