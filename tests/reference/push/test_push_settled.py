"""The barrier over streams whose machines are real and whose world is made up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from reference.controlplane.push.ledger import Key, Ledger, ObjectRef, Watched
from reference.controlplane.push.lost import LostProxies
from reference.controlplane.push.pusher import Pusher
from reference.controlplane.push.settled import BadQuestion, Barrier, answer, evaluate, parse
from reference.controlplane.xds.connections import Connection, Connections
from reference.controlplane.xds.delta import DeltaRequest, DeltaState
from reference.controlplane.xds.encode import Encoder
from reference.controlplane.xds.types import CDS, RDS, Resources

VS = ("networking.istio.io", "VirtualService", "ns", "a")
REF = ObjectRef(*VS, resource_version=1)


@dataclass(frozen=True, slots=True)
class Fake:
    name: str
    version: str
    type_url: str
    body: bytes = b"x"


class FakeWorld:
    """Resources of a type have the version that `versions` says; a change concerns the types in `touched`."""

    def __init__(self) -> None:
        self.sequence = 0
        self.versions: dict[str, str] = {CDS: "1", RDS: "1"}
        self.touched: frozenset[str] = frozenset({RDS})

    def advance(self, changed: Sequence[Key], sequence: int) -> Callable[[str], frozenset[str]]:
        del changed
        self.sequence = sequence
        return lambda _: self.touched

    def generate(self, proxy: str, type_url: str, names: frozenset[str] | None) -> Resources:
        del proxy
        return {name: Fake(name, self.versions[type_url], type_url) for name in names or {"all"}}


class Bench:
    """A control plane without I/O and one proxy that has everything."""

    def __init__(self) -> None:
        self.world, self.ledger = FakeWorld(), Ledger()
        self.ledger.watch(*VS[:2], Watched(lambda *_: {"metadata": {}}, lambda: 1))
        self.connections: Connections[str] = Connections()
        self.lost: list[str] = []
        self.barrier = Barrier(self.ledger, lambda: self.connections, lambda: self.lost)
        self.pusher: Pusher[str] = Pusher(
            self.ledger, self.world, self.connections, self.barrier.progress, schedule=lambda push: push()
        )
        self.connections.on_change.append(self.barrier.progress)
        self.pusher.start()
        self.proxy = self.connect("sidecar~1~p")

    def connect(self, node: str) -> Connection[str]:
        state, encoder = DeltaState(), Encoder()
        made = Connection(f"{node}-1", node, "ns", "p", node, state, encoder, self.world, on_sent=self.pusher.sent)
        self.connections.add(made)
        made.receive(DeltaRequest(CDS))
        made.receive(DeltaRequest(RDS, subscribe=frozenset({"80"})))
        for type_url in (CDS, RDS):
            self.ack(made, type_url)
        return made

    def ack(self, proxy: Connection[str], type_url: str, error: str | None = None) -> None:
        in_flight = proxy.subscriptions[type_url].in_flight
        assert in_flight is not None, f"nothing of {type_url} is in flight"
        proxy.receive(DeltaRequest(type_url, nonce=in_flight.nonce, error=error))
        self.connections.changed()

    def change(self, version: str = "2") -> None:
        self.world.versions[RDS] = version
        self.pusher.record(VS)

    def state(self) -> Any:
        return evaluate(self.ledger, [REF], self.connections, self.lost)


def test_a_change_is_settled_when_its_response_is_acknowledged() -> None:
    bench = Bench()
    bench.change()
    assert [(each.proxy, each.type) for each in bench.state().pending] == [(bench.proxy.node, "RDS")]
    bench.ack(bench.proxy, RDS)
    assert bench.state().settled
    assert bench.pusher.concerned([1]) == [bench.proxy.node]


def test_identical_bytes_settle_at_once() -> None:
    bench = Bench()
    bench.change(version="1")
    assert bench.state().settled
    assert bench.pusher.concerned([1]) == []


def test_a_proxy_that_is_not_affected_settles_at_once() -> None:
    bench = Bench()
    bench.world.touched = frozenset()
    bench.change()
    assert bench.state().settled


def test_a_change_that_was_recorded_but_not_pushed_is_pending() -> None:
    bench = Bench()
    bench.ledger.record(VS)
    assert [each.type for each in bench.state().pending] == ["push"]


def test_a_refusal_is_reported_with_proxy_type_and_text() -> None:
    bench = Bench()
    bench.change()
    bench.ack(bench.proxy, RDS, error="unknown cluster")
    state = bench.state()
    assert [(each.proxy, each.type, each.error) for each in state.nacks] == [
        (bench.proxy.node, "RDS", "unknown cluster")
    ]
    assert answer(state, 1.0, [])[0] == 409


def test_a_refusal_is_over_when_a_later_response_is_acknowledged() -> None:
    bench = Bench()
    bench.change()
    bench.ack(bench.proxy, RDS, error="bad")
    bench.change(version="3")
    bench.ack(bench.proxy, RDS)
    assert bench.state().settled


def test_changes_that_merge_during_flight_settle_together_with_the_second_response() -> None:
    bench = Bench()
    bench.change("2")
    bench.change("3")
    assert bench.proxy.subscriptions[RDS].responses == 2
    bench.ack(bench.proxy, RDS)
    assert not bench.state().settled
    bench.ack(bench.proxy, RDS)
    assert bench.state().settled
    assert bench.proxy.subscriptions[RDS].responses == 3


def test_a_lost_proxy_keeps_the_barrier_waiting() -> None:
    bench = Bench()
    bench.lost.append("sidecar~2~q")
    state = bench.state()
    assert [(each.proxy, each.type) for each in state.pending] == [("sidecar~2~q", "disconnected")]
    assert answer(state, 1.0, [])[0] == 504


def test_a_proxy_is_lost_until_it_is_back_or_its_pod_is_gone() -> None:
    pods: dict[tuple[str, str], dict[str, Any]] = {("ns", "p"): {"metadata": {"uid": "1"}}}
    lost = LostProxies(lambda ns, name: pods.get((ns, name)))
    proxy = Bench().proxy
    lost.gone(proxy, [])
    assert lost() == [proxy.node]
    lost.back(proxy)
    assert lost() == []
    lost.gone(proxy, [])
    pods["ns", "p"] = {"metadata": {"uid": "2"}}
    assert lost() == []
    lost.gone(proxy, [proxy])
    assert lost() == [], "another stream of the same proxy is open"
    pods["ns", "p"] = {"metadata": {"uid": "2", "deletionTimestamp": "now"}}
    lost.gone(proxy, [])
    assert lost() == []


@pytest.mark.anyio
async def test_waiting_ends_with_the_acknowledgement() -> None:
    bench = Bench()
    bench.change()
    waiting = asyncio.create_task(bench.barrier.wait([REF], 60.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    bench.ack(bench.proxy, RDS)
    state, _ = await waiting
    assert state.settled


@pytest.mark.anyio
async def test_waiting_ends_when_time_is_up() -> None:
    bench = Bench()
    bench.change()
    state, _ = await bench.barrier.wait([REF], 0.0)
    assert [each.type for each in state.pending] == ["RDS"]


@pytest.mark.anyio
async def test_changes_of_one_turn_make_one_push() -> None:
    bench = Bench()
    pusher: Pusher[str] = Pusher(bench.ledger, bench.world, bench.connections, bench.barrier.progress)
    pusher.start()
    pusher.record(VS)
    pusher.record(VS)
    await asyncio.sleep(0)
    assert pusher.pushes == 2, "the first state, and one push for both"
    assert bench.proxy.processed == 2


def test_a_question_is_parsed_and_errors_name_the_field() -> None:
    body = {"objects": [{"group": "g", "kind": "K", "name": "n", "resourceVersion": "7"}], "timeout": 2}
    refs, deadline = parse(body)
    assert refs == [ObjectRef("g", "K", "", "n", None, 7)] and deadline == 2.0
    with pytest.raises(BadQuestion, match=r"objects\[0\]"):
        parse({"objects": [{"kind": "K"}]})
    with pytest.raises(BadQuestion, match="resourceVersion"):
        parse({"objects": [{"kind": "K", "name": "n", "resourceVersion": "x"}]})


def test_a_change_that_the_world_cannot_take_in_is_pending_and_comes_with_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    taken: list[Key] = []
    advance = bench.world.advance

    def broken(changed: Sequence[Key], sequence: int) -> Callable[[str], frozenset[str]]:
        raise ValueError(f"odd object in {changed} up to {sequence}")

    def whole(changed: Sequence[Key], sequence: int) -> Callable[[str], frozenset[str]]:
        taken.extend(changed)
        return advance(changed, sequence)

    bench.world.advance = broken  # type: ignore[method-assign]
    bench.change()
    assert "odd object" in caplog.text
    assert [each.type for each in bench.state().pending] == ["push"]
    bench.world.advance = whole  # type: ignore[method-assign]
    bench.pusher.record(("", "Service", "ns", "b"))
    assert taken == [VS, ("", "Service", "ns", "b")]
    assert [each.type for each in bench.state().pending] == ["RDS"]
    bench.ack(bench.proxy, RDS)
    assert bench.state().settled
    assert bench.pusher.concerned([1]) == [bench.proxy.node]


def test_a_change_that_was_not_pushed_is_pending_though_nobody_is_connected() -> None:
    bench = Bench()
    bench.connections.remove(bench.proxy)
    bench.ledger.record(VS)
    assert [(each.proxy, each.type) for each in bench.state().pending] == [("istiod", "push")]


def test_the_first_state_must_not_fail() -> None:
    bench = Bench()
    bench.world.advance = lambda *_: 1 / 0  # type: ignore
    with pytest.raises(ZeroDivisionError):
        bench.pusher.start()


def test_a_type_that_cannot_be_generated_loses_neither_itself_nor_the_others() -> None:
    bench = Bench()
    bench.world.touched = frozenset({CDS, RDS})
    generate, failing = bench.world.generate, True

    def some(proxy: str, type_url: str, names: frozenset[str] | None) -> Resources:
        if failing and type_url == CDS:
            raise ValueError("odd cluster")
        return generate(proxy, type_url, names)

    bench.world.generate = some  # type: ignore[method-assign]
    bench.world.versions[CDS] = "2"
    bench.change()
    assert {each.type for each in bench.state().pending} == {"push", "CDS", "RDS"}
    bench.world.touched, failing = frozenset(), False
    bench.pusher.record(("", "Service", "ns", "b"))
    assert {each.type for each in bench.state().pending} == {"CDS", "RDS"}
    bench.ack(bench.proxy, CDS)
    bench.ack(bench.proxy, RDS)
    assert bench.state().settled


def test_a_proxy_whose_types_cannot_be_told_gets_all_of_them() -> None:
    bench = Bench()
    advance = bench.world.advance

    def untellable(changed: Sequence[Key], sequence: int) -> Callable[[str], frozenset[str]]:
        advance(changed, sequence)
        return lambda _: frozenset([CDS][1 // 0 :])

    bench.world.advance = untellable  # type: ignore[method-assign]
    bench.change()
    assert [each.type for each in bench.state().pending] == ["RDS"]
    bench.ack(bench.proxy, RDS)
    assert bench.state().settled
