"""A small world for tests: services, pods and slices as the API server would return them."""

from collections.abc import Mapping
from typing import Any

from reference.controlplane.generate import Proxy, Resource, generate
from reference.controlplane.registry import EndpointTable
from reference.controlplane.snapshot import Inputs, Snapshot, build_endpoint_table, build_snapshot

Obj = dict[str, Any]
Key = tuple[str, str]
PORTS = (
    ("http", 80, 8080),
    ("http2", 85, 8085),
    ("grpc", 7070, 17070),
    ("tcp", 9090, 19090),
    ("tcp-server-first", 9091, 19091),
    ("https", 443, 18443),
    ("auto", 1234, 11234),
)


def service(name: str, namespace: str = "demo", *, vip: str | None = "10.96.0.2", ports: Any = PORTS) -> Obj:
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "clusterIP": vip or "None",
            "clusterIPs": [vip or "None"],
            "selector": {"app": name},
            "ports": [
                {"name": "" if port == "auto" else port, "port": number, "targetPort": target, "protocol": "TCP"}
                for port, number, target in ports
            ],
        },
    }


def pod(name: str, ip: str, namespace: str = "demo", *, labels: Mapping[str, str], in_mesh: bool = True) -> Obj:
    mode = {"security.istio.io/tlsMode": "istio"} if in_mesh else {}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": name, "labels": {**labels, **mode}},
        "spec": {"serviceAccountName": labels["app"], "nodeName": "node-0"},
        "status": {"podIP": ip, "podIPs": [{"ip": ip}], "phase": "Running"},
    }


def endpoint_slice(name: str, ips: Mapping[str, bool], namespace: str = "demo", *, ports: Any = PORTS) -> Obj:
    return {
        "metadata": {
            "name": f"{name}-x",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "" if port == "auto" else port, "port": target} for port, _, target in ports],
        "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}} for ip, ready in ips.items()],
    }


def keyed(*objects: Obj) -> dict[Key, Obj]:
    return {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in objects}


def config(kind: str, name: str, spec: Obj, namespace: str = "demo", created: str = "2026-01-02T00:00:00Z") -> Obj:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": created},
        "spec": spec,
    }


def world(*configs: Obj, mesh: str = "accessLogFile: /dev/stdout", **more: dict[Key, Obj]) -> Inputs:
    """Services a and b in demo (b with versions v1 and v2), c in other, h headless, plain without sidecar."""
    grouped: dict[str, dict[Key, Obj]] = {"VirtualService": {}, "DestinationRule": {}}
    for obj in configs:
        grouped[obj["kind"]].update(keyed(obj))
    services = keyed(
        service("a", vip="10.96.0.2"),
        service("b", vip="10.96.0.3"),
        service("c", "other", vip="10.96.0.4"),
        service("h", vip=None),
        service("plain", vip="10.96.0.5"),
    )
    slices = keyed(
        endpoint_slice("a", {"10.244.0.2": True}),
        endpoint_slice("b", {"10.244.0.3": True, "10.244.0.4": True, "10.244.0.9": False}),
        endpoint_slice("c", {"10.244.0.5": True}, "other"),
        endpoint_slice("h", {"10.244.0.6": True}),
        endpoint_slice("plain", {"10.244.0.7": True}),
    )
    pods = keyed(
        pod("a-1", "10.244.0.2", labels={"app": "a"}),
        pod("b-1", "10.244.0.3", labels={"app": "b", "version": "v1"}),
        pod("b-2", "10.244.0.4", labels={"app": "b", "version": "v2"}),
        pod("c-1", "10.244.0.5", "other", labels={"app": "c"}),
        pod("h-1", "10.244.0.6", labels={"app": "h"}),
        pod("plain-1", "10.244.0.7", labels={"app": "plain"}, in_mesh=False),
    )
    objects = {"Service": services, "EndpointSlice": slices, "Pod": pods, **grouped, **more}
    return Inputs(objects, mesh)


def proxy_a(namespace: str = "demo", **labels: str) -> Proxy:
    return Proxy.from_id(
        f"sidecar~10.244.0.2~a-1.{namespace}~{namespace}.svc.cluster.local",
        {"NAMESPACE": namespace, "SERVICE_ACCOUNT": "a", "LABELS": {"app": "a", **labels}, "CLUSTER_ID": "cluster-0"},
    )


class Mesh:
    """A snapshot, its endpoints, and generation from them."""

    def __init__(self, inputs: Inputs, previous: "Mesh | None" = None) -> None:
        self.inputs = inputs
        self.snapshot: Snapshot = build_snapshot(inputs, previous.snapshot if previous else None)
        self.endpoints: EndpointTable = build_endpoint_table(inputs, previous.endpoints if previous else None)

    def generate(self, proxy: Proxy, type_url: str, *names: str) -> Mapping[str, Resource]:
        return generate(self.snapshot, self.endpoints, proxy, type_url, frozenset(names) if names else None)
