"""Pods -> `Workload`."""

from reference.controlplane.registry.model import Obj, Workload

TLS_MODE_LABEL = "security.istio.io/tlsMode"


def workload_from(pod: Obj) -> Workload | None:
    """The workload of a pod; None while it has no address of its own, and for pods on the host's network."""
    meta, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    if spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    addresses = [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")]
    if not addresses and status.get("podIP"):
        addresses = [status["podIP"]]
    if not addresses:
        return None
    labels = meta.get("labels") or {}
    return Workload(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta.get("uid", ""),
        addresses=tuple(addresses),
        service_account=spec.get("serviceAccountName") or "default",
        labels=tuple(sorted(labels.items())),
        node=spec.get("nodeName", ""),
        in_mesh=labels.get(TLS_MODE_LABEL) == "istio",
        ports=tuple(
            (port["name"], int(port["containerPort"]))
            for container in spec.get("containers") or ()
            for port in container.get("ports") or ()
            if port.get("name")
        ),
    )
