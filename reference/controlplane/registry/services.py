"""Kubernetes Services -> `Service`."""

from reference.controlplane.registry.model import Obj, Port, Resolution, Service
from reference.controlplane.registry.protocol import detect

EXPORT_ANNOTATION = "networking.istio.io/exportTo"


def service_from(obj: Obj, domain: str) -> Service:
    """The service model of a Kubernetes Service; `domain` is the cluster's, e.g. `cluster.local`."""
    meta, spec = obj["metadata"], obj.get("spec", {})
    name, namespace = meta["name"], meta["namespace"]
    ips = tuple(ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and ip != "None")
    if spec.get("type") == "ExternalName":
        resolution = Resolution.DNS
    elif ips:
        resolution = Resolution.STATIC
    else:
        resolution = Resolution.PASSTHROUGH
    exported = (meta.get("annotations") or {}).get(EXPORT_ANNOTATION, "")
    return Service(
        hostname=f"{name}.{namespace}.svc.{domain}",
        name=name,
        namespace=namespace,
        ports=tuple(_port(port) for port in spec.get("ports") or ()),
        vips=ips,
        resolution=resolution,
        selector=dict(spec.get("selector") or {}),
        labels=dict(meta.get("labels") or {}),
        created=meta.get("creationTimestamp", ""),
        export_to=tuple(part.strip() for part in exported.split(",") if part.strip()),
        external_name=spec.get("externalName", ""),
        publish_not_ready=bool(spec.get("publishNotReadyAddresses")),
        affinity=spec.get("sessionAffinity", "None"),
    )


def _port(port: Obj) -> Port:
    name, number = port.get("name") or "", int(port["port"])
    protocol = detect(name, port.get("appProtocol"), port.get("protocol"), number)
    return Port(name=name, number=number, protocol=protocol, target=port.get("targetPort", number))
