"""Bytes that protobuf's own parser reads back."""

from dataclasses import dataclass

from envoy.service.discovery.v3 import discovery_pb2

from reference.controlplane.xds.delta import DeltaResponse
from reference.controlplane.xds.encode import Encoder
from reference.controlplane.xds.identity import Identity, from_sans, from_username, refusal
from reference.controlplane.xds.sotw import SotwResponse
from reference.controlplane.xds.types import CDS


@dataclass(frozen=True, slots=True)
class Fake:
    name: str
    version: str
    type_url: str = CDS
    body: bytes = b"\x0a\x01x" * 100


def test_a_delta_response_reads_back() -> None:
    data = Encoder().delta(DeltaResponse(CDS, "1f", (Fake("a", "v1"), Fake("b", "v2")), ("c", "d"), 7))
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    assert (message.type_url, message.nonce, message.system_version_info) == (CDS, "1f", "7")
    assert [(each.name, each.version) for each in message.resources] == [("a", "v1"), ("b", "v2")]
    assert (message.resources[0].resource.type_url, message.resources[0].resource.value) == (CDS, Fake("", "").body)
    assert list(message.removed_resources) == ["c", "d"]


def test_a_sotw_response_reads_back() -> None:
    data = Encoder().sotw(SotwResponse(CDS, "2", "9", (Fake("a", "v1"),), 9))
    message = discovery_pb2.DiscoveryResponse.FromString(data)
    assert (message.type_url, message.nonce, message.version_info) == (CDS, "2", "9")
    assert [each.value for each in message.resources] == [Fake("", "").body]


def test_an_identity_comes_from_one_spiffe_uri() -> None:
    identity = from_sans(["other.example", "spiffe://cluster.local/ns/a/sa/b"])
    assert identity == Identity("cluster.local", "a", "b")
    assert from_sans(["spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/c/sa/d"]) is None
    assert from_sans(["spiffe://cluster.local/a/b"]) is None
    assert from_username("system:serviceaccount:a:b", "td") == Identity("td", "a", "b")
    assert from_username("system:node:n", "td") is None


def test_a_proxy_may_only_claim_its_own_namespace_and_account() -> None:
    identity = Identity("td", "a", "b")
    assert refusal(identity, "a", "b") is None
    assert refusal(identity, "a", "") is None
    assert "NAMESPACE" in (refusal(identity, "x", "b") or "")
    assert "SERVICE_ACCOUNT" in (refusal(identity, "a", "x") or "")
