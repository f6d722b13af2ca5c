"""The nft commands between two states of Services, and the state's own bookkeeping."""

from meshtest.embedded.network.services import ProxyState
from meshtest.embedded.network.services_model import Backends, Frontend
from meshtest.embedded.network.services_rules import Tables, change, skeleton, tables

A, B = ("10.244.0.2", 8080), ("10.244.0.3", 8080)
WEB = Frontend("10.96.0.5", "tcp", 80)
KEY = "10.96.0.5 . tcp . 80"
T = "inet meshtest-services"


def test_a_service_is_one_verdict_and_an_element_an_endpoint() -> None:
    script = change(Tables(), tables({WEB: Backends((A, B))}))
    assert script.splitlines() == [
        f"add chain {T} random4-2",
        f"add rule {T} random4-2 meta mark set numgen random mod 2",
        f"add rule {T} random4-2 dnat ip to ip daddr . meta l4proto . th dport . meta mark map @endpoints4",
        f"add element {T} endpoints4 {{ {KEY} . 0 : 10.244.0.2 . 8080, {KEY} . 1 : 10.244.0.3 . 8080 }}",
        f"add element {T} itself4 {{ 10.244.0.2 . 10.244.0.2, 10.244.0.3 . 10.244.0.3 }}",
        f"add element {T} services4 {{ {KEY} : goto random4-2 }}",
    ]


def test_without_endpoints_it_is_refused() -> None:
    before, after = tables({WEB: Backends((A,))}), tables({WEB: Backends(())})
    assert change(before, after, before.chains).splitlines() == [
        f"delete element {T} endpoints4 {{ {KEY} . 0 }}",
        f"delete element {T} services4 {{ {KEY} }}",
        f"add element {T} refused4 {{ {KEY} }}",
    ]


def test_sticky_masqueraded_and_ipv6() -> None:
    six = Frontend("fd00:96::5", "udp", 53)
    script = change(Tables(), tables({six: Backends((("fd00::2", 5353),), sticky=True, masquerade=True)}))
    assert f"add rule {T} sticky6-1 meta mark set jhash ip6 saddr mod 1 seed" in script
    assert f"add element {T} outside6 {{ fd00:96::5 . udp . 53 }}" in script


def test_long_lists_are_split() -> None:
    many = {Frontend(f"10.96.{n // 250}.{n % 250}", "tcp", 80): Backends((A,)) for n in range(1200)}
    lines = change(Tables(), tables(many)).splitlines()
    assert sum(line.startswith(f"add element {T} services4") for line in lines) == 3


def test_the_table_is_replaced_in_one_transaction() -> None:
    lines = skeleton(["10.96.0.0/16"], ["172.31.0.2"]).splitlines()
    assert lines[:2] == [f"add table {T}", f"delete table {T}"]
    assert any("10.96.0.0/16" in line and "reject" in line for line in lines)
    assert any("@itself4 snat ip to 172.31.0.2" in line for line in lines)
    assert any("@itself6 masquerade" in line for line in lines)


def loaded(state: ProxyState) -> None:
    state.script("")
    state.confirm()


def test_a_second_script_holds_only_what_changed() -> None:
    state = ProxyState()
    for number in range(100):
        state.set(("d", f"s{number}"), {Frontend(f"10.96.1.{number}", "tcp", 80): Backends((A,))})
    assert state.script("TABLE\n").startswith("TABLE\n")
    state.confirm()
    assert state.script("TABLE\n") == ""
    state.set(("d", "s7"), {Frontend("10.96.1.7", "tcp", 80): Backends((A, B))})
    script = state.script("TABLE\n")
    assert "TABLE" not in script
    assert script.count("10.96.1.") == script.count("10.96.1.7") == 3  # its verdict out and in, one endpoint in


def test_a_removed_endpoint_is_replaced_in_its_place() -> None:
    state = ProxyState()
    state.set(("d", "s"), {WEB: Backends((A, B))})
    loaded(state)
    newcomer = ("10.244.0.9", 8080)
    state.set(("d", "s"), {WEB: Backends((B, newcomer))})
    assert f"{KEY} . 0 : 10.244.0.9 . 8080" in state.script("")
    assert f"{KEY} . 1" not in state.script("")


def test_after_a_failure_everything_is_written_anew() -> None:
    state = ProxyState()
    state.set(("d", "s"), {WEB: Backends((A,))})
    loaded(state)
    state.forget()
    assert f"{KEY} . 0" in state.script("TABLE\n")


def test_of_two_services_with_one_address_the_first_has_it_and_the_other_inherits() -> None:
    state = ProxyState()
    state.set(("d", "first"), {WEB: Backends((A,))})
    state.set(("d", "second"), {WEB: Backends((B,))})
    assert "10.244.0.2" in state.script("") and "10.244.0.3" not in state.script("")
    state.confirm()
    state.set(("d", "first"), {})
    assert f"{KEY} . 0 : 10.244.0.3 . 8080" in state.script("")


def test_lost_udp_endpoints_are_told() -> None:
    state = ProxyState()
    dns = Frontend("10.96.0.6", "udp", 53)
    state.set(("d", "s"), {WEB: Backends((A,)), dns: Backends((A, B))})
    loaded(state)
    state.set(("d", "s"), {dns: Backends((B,))})
    state.script("")
    assert state.confirm() == {dns: frozenset([A])}
