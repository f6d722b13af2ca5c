"""What Services and EndpointSlices mean for a node's packet rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtest.embedded.network.services_model import Backends, Frontend, Node, endpoints_of, frontends, settle_order

Obj = dict[str, Any]
NODE = Node("n1", ("172.31.0.2",))


def service(**spec: Any) -> Obj:
    return {"spec": {"clusterIP": "10.96.0.5", "ports": [{"name": "http", "port": 80}]} | spec}


def endpoint(address: str, node: str = "n1", **conditions: bool) -> Obj:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def slice_of(*endpoints: Obj, port: int = 8080, name: str = "http", protocol: str = "TCP", family: str = "IPv4") -> Obj:
    ports = [{"name": name, "port": port, "protocol": protocol}]
    return {"addressType": family, "ports": ports, "endpoints": list(endpoints)}


def test_ready_endpoints_of_all_slices_serve_each_once() -> None:
    slices = [
        slice_of(endpoint("10.244.0.3", ready=True), endpoint("10.244.0.4", ready=False)),
        slice_of(endpoint("10.244.0.2"), endpoint("10.244.0.3", ready=True)),
    ]
    found = frontends(service(), slices, NODE)
    assert found == {Frontend("10.96.0.5", "tcp", 80): Backends((("10.244.0.2", 8080), ("10.244.0.3", 8080)))}


def test_terminating_endpoints_serve_only_when_no_other_does() -> None:
    leaving = endpoint("10.244.0.4", ready=False, serving=True, terminating=True)
    gone = endpoint("10.244.0.5", ready=False, serving=False, terminating=True)
    port = {"name": "http"}
    assert endpoints_of([slice_of(leaving, gone)], 4, port) == (("10.244.0.4", 8080),)
    assert endpoints_of([slice_of(leaving, endpoint("10.244.0.2"))], 4, port) == (("10.244.0.2", 8080),)


def test_ports_are_matched_by_name_and_protocol() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    slices = [slice_of(endpoint("10.244.0.2")), slice_of(endpoint("10.244.0.2"), port=5353, name="dns", protocol="UDP")]
    found = frontends(service(ports=ports), slices, NODE)
    assert found == {
        Frontend("10.96.0.5", "tcp", 80): Backends((("10.244.0.2", 8080),)),
        Frontend("10.96.0.5", "udp", 53): Backends((("10.244.0.2", 5353),)),
    }


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.b"}])
def test_services_without_virtual_address_have_no_frontends(spec: Obj) -> None:
    assert frontends(service(**spec), [slice_of(endpoint("10.244.0.2"))], NODE) == {}
    assert frontends(None, [], NODE) == {}


def test_each_family_has_its_own_endpoints() -> None:
    slices = [slice_of(endpoint("10.244.0.2")), slice_of(endpoint("fd00::2"), family="IPv6")]
    found = frontends(service(clusterIPs=["10.96.0.5", "fd00:96::5"]), slices, NODE)
    assert found[Frontend("10.96.0.5", "tcp", 80)].endpoints == (("10.244.0.2", 8080),)
    assert found[Frontend("fd00:96::5", "tcp", 80)].endpoints == (("fd00::2", 8080),)


def test_addresses_for_the_outside_are_masqueraded_unless_local() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    outside = service(type="LoadBalancer", ports=ports, externalIPs=["198.51.100.7"])
    ingress = [{"ip": "203.0.113.9"}, {"ip": "203.0.113.10", "ipMode": "Proxy"}, {"hostname": "balancer"}]
    outside["status"] = {"loadBalancer": {"ingress": ingress}}
    slices = [slice_of(endpoint("10.244.0.2"), endpoint("10.244.1.2", "n2"))]
    frontend_keys = [("172.31.0.2", 30080), ("198.51.100.7", 80), ("203.0.113.9", 80)]
    both = (("10.244.0.2", 8080), ("10.244.1.2", 8080))
    expected = {Frontend("10.96.0.5", "tcp", 80): Backends(both)}
    anywhere = {Frontend(a, "tcp", p): Backends(both, masquerade=True) for a, p in frontend_keys}
    assert frontends(outside, slices, NODE) == expected | anywhere
    outside["spec"]["externalTrafficPolicy"] = "Local"
    here = {Frontend(a, "tcp", p): Backends(both[:1]) for a, p in frontend_keys}
    assert frontends(outside, slices, NODE) == expected | here


def test_internal_policy_and_affinity() -> None:
    slices = [slice_of(endpoint("10.244.0.2"), endpoint("10.244.1.2", "n2"))]
    found = frontends(service(internalTrafficPolicy="Local", sessionAffinity="ClientIP"), slices, NODE)
    assert found == {Frontend("10.96.0.5", "tcp", 80): Backends((("10.244.0.2", 8080),), sticky=True)}


ENDPOINTS = st.lists(st.tuples(st.sampled_from([f"10.0.0.{n}" for n in range(8)]), st.just(80)), unique=True)


@given(ENDPOINTS, ENDPOINTS)
def test_order_moves_as_little_as_possible(before: list[tuple[str, int]], now: list[tuple[str, int]]) -> None:
    after = settle_order(before, now)
    assert sorted(after) == sorted(now)
    moved = [one for index, one in enumerate(after) if before[index : index + 1] != [one]]
    # only newcomers, and those who fill the holes from the end
    assert len(moved) <= len(set(now) - set(before)) + max(0, len(before) - len(now))
