"""Snapshots: what is carried over, what is visible, who is affected."""

from reference.controlplane.generate import CDS, EDS, LDS, RDS
from reference.controlplane.snapshot import Inputs, affected, affected_by_endpoints, build_snapshot
from tests.reference.generate.mesh_state import (
    Mesh,
    Obj,
    config,
    endpoint_slice,
    keyed,
    proxy_a,
    service,
    world,
)

TO_B: Obj = {"destination": {"host": "b"}}


def _rule(name: str = "vs", created: str = "2026-01-02T00:00:00Z", **spec: object) -> Obj:
    return config("VirtualService", name, {"hosts": ["b"], "http": [{"route": [TO_B]}], **spec}, created=created)


def test_same_inputs_same_snapshot() -> None:
    inputs = world(_rule())
    first = build_snapshot(inputs)
    assert build_snapshot(inputs, first) is first
    again = Inputs({kind: dict(objects) for kind, objects in inputs.objects.items()}, inputs.mesh)
    assert build_snapshot(again, first) is first


def test_what_has_not_changed_is_carried_over() -> None:
    inputs = world()
    first = build_snapshot(inputs)
    objects = {**inputs.objects, "VirtualService": keyed(_rule())}
    second = build_snapshot(Inputs(objects, inputs.mesh), first)
    assert second.services is first.services
    assert second.destinations is first.destinations
    assert second.memo is first.memo
    assert second.rules is not first.rules


def test_service_status_is_no_change() -> None:
    inputs = world()
    first = build_snapshot(inputs)
    touched = {key: {**obj, "status": {"x": 1}} for key, obj in inputs.of("Service").items()}
    second = build_snapshot(Inputs({**inputs.objects, "Service": touched}, inputs.mesh), first)
    assert second.services is first.services


def test_oldest_rule_wins_and_a_full_name_beats_a_wildcard() -> None:
    host = "b.demo.svc.cluster.local"
    snapshot = build_snapshot(
        world(
            _rule("young", "2026-03-01T00:00:00Z"),
            _rule("old", "2026-02-01T00:00:00Z"),
            _rule("wild", "2026-01-01T00:00:00Z", hosts=["*.demo.svc.cluster.local"]),
            _rule("wilder", "2026-01-01T00:00:00Z", hosts=["*.cluster.local"]),
        )
    )
    view = snapshot.rules.visible("demo")
    found, other = view.of(host), view.of("a.demo.svc.cluster.local")
    assert found is not None and found.config.name == "old"
    assert other is not None and other.config.name == "wild"


def test_invalid_mesh_config_leaves_the_last_one_in_force() -> None:
    first = build_snapshot(world(mesh="accessLogFile: /dev/stdout"))
    second = build_snapshot(world(mesh="accessLogFile: 3"), first)
    assert second.mesh.access_log_file == "/dev/stdout"
    assert second.mesh_error is not None


def test_rules_concern_rds_only_and_only_those_who_see_them() -> None:
    before, inputs = build_snapshot(world()), world(_rule(exportTo=["."]))
    after = build_snapshot(inputs, before)
    assert affected(before, after, proxy_a()) == {RDS}
    assert affected(before, after, proxy_a("other")) == set()
    assert affected(after, after, proxy_a()) == set()


def test_tcp_rules_concern_listeners() -> None:
    before = build_snapshot(world())
    after = build_snapshot(world(_rule(tcp=[{"route": [TO_B]}])), before)
    assert affected(before, after, proxy_a()) == {RDS, LDS}


def test_services_and_mesh_config_concern_everything() -> None:
    inputs = world()
    before = build_snapshot(inputs)
    more = {**inputs.of("Service"), **keyed(service("new"))}
    after = build_snapshot(Inputs({**inputs.objects, "Service": more}, inputs.mesh), before)
    assert affected(before, after, proxy_a()) == {CDS, EDS, LDS, RDS}
    assert LDS in affected(before, build_snapshot(world(mesh="{}"), before), proxy_a())


def test_hidden_services_concern_nobody_else() -> None:
    inputs = world()
    before = build_snapshot(inputs)
    hidden = service("new", "other")
    hidden["metadata"]["annotations"] = {"networking.istio.io/exportTo": "."}
    more = {**inputs.of("Service"), **keyed(hidden)}
    after = build_snapshot(Inputs({**inputs.objects, "Service": more}, inputs.mesh), before)
    assert affected(before, after, proxy_a()) == set()


def _with_slice(inputs: Inputs, changed: Obj) -> Inputs:
    slices = {**inputs.of("EndpointSlice"), **keyed(changed)}
    return Inputs({**inputs.objects, "EndpointSlice": slices}, inputs.mesh)


def test_endpoints_skip_the_snapshot() -> None:
    first = Mesh(world())
    inputs = _with_slice(first.inputs, endpoint_slice("b", {"10.244.0.3": True}))
    second = Mesh(inputs, first)
    assert second.snapshot is first.snapshot
    assert affected_by_endpoints(first.endpoints, second.endpoints, proxy_a(), first.snapshot) == {EDS}


def test_headless_endpoints_concern_listeners() -> None:
    first = Mesh(world())
    second = Mesh(_with_slice(first.inputs, endpoint_slice("h", {})), first)
    found = affected_by_endpoints(first.endpoints, second.endpoints, proxy_a(), first.snapshot)
    assert found == {CDS, EDS, LDS}


def test_new_account_concerns_clusters() -> None:
    first = Mesh(world())
    second = Mesh(_with_slice(first.inputs, endpoint_slice("b", {"10.244.0.3": True, "10.244.0.5": True})), first)
    found = affected_by_endpoints(first.endpoints, second.endpoints, proxy_a(), first.snapshot)
    assert found == {CDS, EDS}


def _destination(balancer: Obj, namespace: str = "demo") -> Obj:
    spec: Obj = {"host": "b.demo.svc.cluster.local", "trafficPolicy": {"loadBalancer": balancer}}
    return config("DestinationRule", "dr", spec, namespace)


def test_destination_rules_concern_routes_where_any_of_them_hashes() -> None:
    before = build_snapshot(world())
    plain = build_snapshot(world(_destination({"simple": "RANDOM"})), before)
    assert affected(before, plain, proxy_a()) == {CDS, EDS}
    hashing = build_snapshot(world(_destination({"consistentHash": {"useSourceIp": True}})), before)
    assert affected(before, hashing, proxy_a()) == {CDS, EDS, RDS}
    assert affected(hashing, before, proxy_a()) == {CDS, EDS, RDS}


def test_memory_of_whole_results_goes_with_their_snapshots() -> None:
    """Large results of past snapshots are dropped; those still asked for stay."""
    kept: Mesh | None = None
    for number in range(5):
        kept = Mesh(world(_rule(http=[{"name": f"n{number}", "route": [TO_B]}])), kept)
        kept.generate(proxy_a(), RDS, "80", "85")
    assert kept is not None
    assert len(kept.snapshot.wholes) <= 2 * 4
