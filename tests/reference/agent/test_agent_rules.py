"""Annotations in, nft rules out. Whether nft takes the script is checked in the component tests."""

import pytest

from reference.agent.rules import BadAnnotation, Interception, from_annotations, nft_script

PREFIX = "traffic.sidecar.istio.io/"


def rules(**annotations: str) -> list[str]:
    text = nft_script(from_annotations({PREFIX + name: value for name, value in annotations.items()}))
    return [line.strip() for line in text.splitlines()]


def test_by_default_everything_is_captured_but_the_proxy_s_own_ports() -> None:
    lines = rules()
    assert "tcp dport { 15008, 15020, 15021, 15090 } return" in lines
    assert lines.count("meta l4proto tcp redirect to :15006") == 1
    assert lines.count("meta l4proto tcp redirect to :15001") == 1


def test_the_proxy_is_let_go_before_anything_is_captured() -> None:
    lines = rules()
    assert lines.index("meta skuid 1337 return") < lines.index("meta l4proto tcp redirect to :15001")
    own = 'meta skuid 1337 oifname "lo" ip daddr != 127.0.0.1 tcp dport != 15008 redirect to :15006'
    assert lines.index(own) < lines.index("meta skuid 1337 return")


def test_the_table_is_replaced_in_one_transaction() -> None:
    assert rules()[:3] == ["table inet istio", "delete table inet istio", "table inet istio {"]


def test_excluded_ports_and_ranges_are_let_go() -> None:
    lines = rules(
        excludeInboundPorts="9000,22", excludeOutboundPorts="443", excludeOutboundIPRanges="10.1.0.0/16,fd00::/8"
    )
    assert "tcp dport { 22, 9000, 15008, 15020, 15021, 15090 } return" in lines
    assert "tcp dport { 443 } return" in lines
    assert "ip daddr { 10.1.0.0/16 } return" in lines
    assert "ip6 daddr { fd00::/8 } return" in lines


def test_include_lists_capture_nothing_else() -> None:
    lines = rules(includeInboundPorts="8080", includeOutboundIPRanges="10.96.0.0/16", includeOutboundPorts="5000")
    assert "tcp dport { 8080 } redirect to :15006" in lines
    assert "ip daddr { 10.96.0.0/16 } meta l4proto tcp redirect to :15001" in lines
    assert "tcp dport { 5000 } redirect to :15001" in lines
    assert "meta l4proto tcp redirect to :15001" not in lines


def test_empty_include_lists_capture_nothing() -> None:
    assert from_annotations({PREFIX + "includeInboundPorts": ""}).include_inbound_ports == ()
    assert not [
        line for line in rules(includeInboundPorts="", includeOutboundIPRanges="") if line.startswith("meta l4")
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("excludeInboundPorts", "http"), ("includeInboundPorts", "70000"), ("excludeOutboundIPRanges", "10.0.0")],
)
def test_a_malformed_annotation_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadAnnotation, match=name):
        from_annotations({PREFIX + name: value})


def test_no_annotation_is_the_default() -> None:
    assert from_annotations({}) == Interception()
