"""Who may look, and what state looks like as JSON."""

import json
from dataclasses import dataclass, field
from enum import Enum

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from reference.controlplane.debug.access import bearer_token, is_loopback
from reference.controlplane.debug.metrics import Metrics
from reference.controlplane.debug.pages import connections, jsonable, resources, status, syncz
from reference.controlplane.xds.connections import Connection
from reference.controlplane.xds.delta import DeltaRequest, DeltaState
from reference.controlplane.xds.encode import Encoder
from reference.controlplane.xds.types import CDS, Resources


@dataclass(frozen=True, slots=True)
class Fake:
    name: str
    version: str
    type_url: str = CDS
    body: bytes = field(default=cluster_pb2.Cluster(name="one").SerializeToString(), repr=False)


class World:
    sequence = 1

    def generate(self, proxy: str, type_url: str, names: frozenset[str] | None) -> Resources:
        del proxy, type_url, names
        return {"one": Fake("one", "1")}


def stream() -> Connection[str]:
    return Connection("p-1", "sidecar~1~p.ns~d", "ns", "p", "", DeltaState(), Encoder(), World(), identity="spiffe://x")


@pytest.mark.parametrize(
    ("remote", "expected"),
    [("127.0.0.1", True), ("::1", True), ("127.3.0.1", True), ("10.0.0.1", False), (None, False), ("unix", False)],
)
def test_loopback_callers_may_look(remote: str | None, expected: bool) -> None:
    assert is_loopback(remote) is expected


def test_others_need_a_bearer_token() -> None:
    assert bearer_token("Bearer abc") == "abc"
    assert bearer_token("Basic abc") is None
    assert bearer_token("Bearer ") is None
    assert bearer_token(None) is None


def test_a_proxy_s_types_go_from_stale_to_synced_or_to_error() -> None:
    one = stream()
    one.receive(DeltaRequest(CDS))
    subscription = one.subscriptions[CDS]
    assert status(subscription) == "STALE"
    assert subscription.in_flight is not None
    one.receive(DeltaRequest(CDS, nonce=subscription.in_flight.nonce, error="bad cluster"))
    (shown,) = syncz([one])
    assert shown["types"]["CDS"]["status"] == "ERROR"
    assert shown["types"]["CDS"]["error"] == "bad cluster"


def test_an_acknowledged_type_is_synced() -> None:
    one = stream()
    one.receive(DeltaRequest(CDS))
    in_flight = one.subscriptions[CDS].in_flight
    assert in_flight is not None
    one.receive(DeltaRequest(CDS, nonce=in_flight.nonce))
    assert syncz([one])[0]["types"]["CDS"]["status"] == "SYNCED"
    assert connections([one])["totalClients"] == 1


def test_resources_are_shown_decoded() -> None:
    (shown,) = resources({"one": Fake("one", "1")})
    assert shown["resource"]["name"] == "one"


def test_everything_becomes_plain_json() -> None:
    class Colour(Enum):
        RED = "red"

    value = {("ns", "n"): [Fake("a", "1")], "s": {1}, "e": Colour.RED}
    shown = jsonable(value)
    assert json.loads(json.dumps(shown))["ns/n"][0] == {"name": "a", "version": "1", "type_url": CDS}
    assert (shown["s"], shown["e"]) == ([1], "red")


def test_metrics_have_the_names_that_dashboards_know() -> None:
    metrics = Metrics()
    metrics.responses.labels("CDS").inc()
    text = metrics.text().decode()
    assert 'pilot_xds_pushes_total{type="CDS"} 1.0' in text
    assert "pilot_xds " in text
