"""What proxies share, and what a change costs."""

import dataclasses

from reference.controlplane.generate import CDS, EDS, LDS, RDS, Proxy
from reference.controlplane.snapshot import Inputs
from tests.reference.generate.everything import DESTINATION_RULE, VIRTUAL_SERVICE
from tests.reference.generate.mesh_state import Mesh, Obj, config, keyed, proxy_a, world

TO_B: Obj = {"destination": {"host": "b"}}
BY_LABEL: Obj = {
    "hosts": ["b"],
    "http": [
        {"match": [{"sourceLabels": {"tier": "gold"}}], "directResponse": {"status": 200}},
        {"route": [TO_B]},
    ],
}


def test_proxies_of_a_namespace_share_resources() -> None:
    mesh = Mesh(world(VIRTUAL_SERVICE, DESTINATION_RULE))
    one, two = proxy_a(pod="1"), proxy_a(pod="2")
    assert mesh.generate(one, RDS, "80")["80"] is mesh.generate(two, RDS, "80")["80"]
    for kind in (CDS, LDS):
        first, second = mesh.generate(one, kind), mesh.generate(two, kind)
        assert all(first[name] is second[name] for name in first)


def test_labels_that_rules_ask_for_split_the_routes() -> None:
    mesh = Mesh(world(config("VirtualService", "b", BY_LABEL)))
    gold, lead = proxy_a(tier="gold", pod="1"), proxy_a(tier="lead", pod="2")
    assert mesh.generate(gold, RDS, "80")["80"].version != mesh.generate(lead, RDS, "80")["80"].version


def test_unrelated_change_keeps_the_version() -> None:
    first = Mesh(world())
    before = first.generate(proxy_a(), RDS, "80", "85")
    rule = config("VirtualService", "b", {"hosts": ["b"], "http": [{"match": [{"port": 85}], "route": [TO_B]}]})
    objects = {**first.inputs.objects, "VirtualService": keyed(rule)}
    second = Mesh(Inputs(objects, first.inputs.mesh), first)
    after = second.generate(proxy_a(), RDS, "80", "85")
    assert before["85"].version != after["85"].version
    clusters = first.generate(proxy_a(), CDS), second.generate(proxy_a(), CDS)
    assert all(clusters[0][name] is clusters[1][name] for name in clusters[0])


def test_generation_is_the_same_from_scratch_and_after_changes() -> None:
    """Nothing that was cached on the way leaks into the result."""
    states = [world(), world(VIRTUAL_SERVICE), world(VIRTUAL_SERVICE, DESTINATION_RULE), world(DESTINATION_RULE)]
    kept: Mesh | None = None
    for inputs in (*states, *reversed(states)):
        kept, fresh = Mesh(inputs, kept), Mesh(inputs)
        for proxy in (proxy_a(), proxy_a("other")):
            assert kept.generate(proxy, CDS) == fresh.generate(proxy, CDS)
            assert kept.generate(proxy, LDS) == fresh.generate(proxy, LDS)
            names = [name for name in fresh.generate(proxy, CDS) if name.startswith("outbound")]
            assert kept.generate(proxy, EDS, *names) == fresh.generate(proxy, EDS, *names)
            routes = ("80", "85", "7070", "b.demo.svc.cluster.local:1234")
            assert kept.generate(proxy, RDS, *routes) == fresh.generate(proxy, RDS, *routes)


def test_mesh_config_change_reaches_everything() -> None:
    first = Mesh(world(mesh="{}"))
    first.generate(proxy_a(), CDS)
    second = Mesh(dataclasses.replace(first.inputs, mesh="trustDomain: example.org"), first)
    body = second.generate(proxy_a(), CDS)["outbound|80||b.demo.svc.cluster.local"].body
    assert b"spiffe://example.org/ns/demo/sa/b" in body


def test_named_clusters_alone_can_be_asked_for() -> None:
    assert set(Mesh(world()).generate(proxy_a(), CDS, "PassthroughCluster", "nope")) == {"PassthroughCluster"}


def test_proxy_reads_its_node() -> None:
    proxy = Proxy.from_id(
        "sidecar~10.0.0.1~p.demo~demo.svc.cluster.local",
        {"INSTANCE_IPS": "10.0.0.1,fd00::1", "LABELS": {"a": "b"}, "SERVICE_ACCOUNT": "sa"},
    )
    assert (proxy.namespace, proxy.ips, proxy.service_account) == ("demo", ("10.0.0.1", "fd00::1"), "sa")
