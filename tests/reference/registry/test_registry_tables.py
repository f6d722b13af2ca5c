"""Services, pods and slices as models."""

from reference.controlplane.registry import Resolution, build_endpoints, service_from, workload_from
from tests.reference.generate.mesh_state import Obj, endpoint_slice, keyed, pod, service


def test_service_has_hostname_ports_and_addresses() -> None:
    made = service_from(service("b"), "cluster.local")
    assert made.hostname == "b.demo.svc.cluster.local"
    assert made.vips == ("10.96.0.2",)
    assert made.resolution is Resolution.STATIC
    port = made.port(80)
    assert port is not None and port.target == 8080


def test_headless_and_external_services() -> None:
    assert service_from(service("b", vip=None), "cluster.local").headless
    external: Obj = {
        "metadata": {"name": "e", "namespace": "demo"},
        "spec": {"type": "ExternalName", "externalName": "example.com", "ports": [{"port": 80}]},
    }
    made = service_from(external, "cluster.local")
    assert (made.resolution, made.external_name) == (Resolution.DNS, "example.com")


def test_export_annotation() -> None:
    raw = service("b")
    raw["metadata"]["annotations"] = {"networking.istio.io/exportTo": "., other"}
    assert service_from(raw, "cluster.local").export_to == (".", "other")


def test_pods_on_the_host_network_and_finished_ones_are_no_workloads() -> None:
    one = pod("p", "10.0.0.1", labels={"app": "p"})
    found = workload_from(one)
    assert found is not None and found.in_mesh and found.service_account == "p"
    one["spec"]["hostNetwork"] = True
    assert workload_from(one) is None
    two = pod("p", "10.0.0.1", labels={"app": "p"})
    two["status"]["phase"] = "Succeeded"
    assert workload_from(two) is None


SLICES = keyed(endpoint_slice("b", {"10.0.0.1": True, "10.0.0.2": False}))
PODS = keyed(
    pod("b-1", "10.0.0.1", labels={"app": "b", "version": "v1"}),
    pod("b-2", "10.0.0.2", labels={"app": "b", "version": "v2"}, in_mesh=False),
)
B = ("demo", "b")


def test_endpoints_know_their_workload() -> None:
    table = build_endpoints(SLICES, PODS)
    ready, unready = table.of(B, "http")
    assert (ready.address, ready.port, ready.healthy, ready.in_mesh) == ("10.0.0.1", 8080, True, True)
    assert (unready.healthy, unready.in_mesh) == (False, False)
    assert ready.has_labels({"version": "v1"}) and not ready.has_labels({"version": "v2"})
    assert table.accounts[B] == ("demo/b",)
    assert table.port_at(B, "http", ("10.0.0.1",)) == 8080


def test_unchanged_table_is_the_same_object() -> None:
    table = build_endpoints(SLICES, PODS)
    status_only = {key: {**entry, "status": {**entry["status"], "x": 1}} for key, entry in PODS.items()}
    assert build_endpoints(dict(SLICES), status_only, previous=table) is table


def test_unchanged_service_keeps_its_tuple() -> None:
    both = {**SLICES, **keyed(endpoint_slice("a", {"10.0.0.3": True}))}
    table = build_endpoints(both, PODS)
    changed = {**both, **keyed(endpoint_slice("a", {"10.0.0.3": False}))}
    after = build_endpoints(changed, PODS, previous=table)
    assert after is not table
    assert after.by_service[B] is table.by_service[B]


def test_accounts_outlive_the_last_endpoint() -> None:
    """Scaling to zero and back must not rebuild clusters."""
    table = build_endpoints(SLICES, PODS)
    empty = build_endpoints(keyed(endpoint_slice("b", {})), {}, previous=table)
    assert empty.by_service[B] == ()
    assert empty.accounts[B] == ("demo/b",)


def test_locality_comes_from_the_node() -> None:
    nodes: dict[tuple[str, str], Obj] = {
        ("", "node-0"): {
            "metadata": {"labels": {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}}
        }
    }
    one = endpoint_slice("b", {"10.0.0.1": True})
    one["endpoints"][0]["nodeName"] = "node-0"
    (entry, *_) = build_endpoints(keyed(one), PODS, nodes).of(B, "http")
    assert str(entry.locality) == "r/z"
