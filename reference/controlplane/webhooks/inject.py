"""Puts a sidecar into a pod: the pod in, the JSON patch out. Pure."""

import json
from copy import deepcopy
from typing import Any

import yaml

from reference.controlplane.webhooks import sidecar
from reference.controlplane.webhooks.policy import STATUS
from reference.controlplane.webhooks.sidecar import SidecarValues, Workload

Obj = dict[str, Any]
PROBES = {"livenessProbe": "livez", "readinessProbe": "readyz", "startupProbe": "startupz"}
AGENT_PORT = 15020
REWRITE = "sidecar.istio.io/rewriteAppHTTPProbers"


class CannotInject(ValueError):
    """The pod asks for something that cannot be; the message says what."""


def workload_name(pod: Obj) -> str:
    """The name of what the pod belongs to: a Deployment's, though a ReplicaSet owns the pod; else the pod's own."""
    metadata = pod["metadata"]
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller"):
            digest = (metadata.get("labels") or {}).get("pod-template-hash")
            name = str(owner["name"])
            return name.removesuffix(f"-{digest}") if owner.get("kind") == "ReplicaSet" and digest else name
    return str(metadata.get("name") or metadata.get("generateName", "").rstrip("-"))


def _port(container: Obj, port: int | str) -> int:
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for each in container.get("ports") or []:
        if each.get("name") == port:
            return int(each["containerPort"])
    raise CannotInject(f"container {container['name']}: a probe names port {port!r}, which none of its ports is called")


def rewrite_probes(containers: list[Obj]) -> Obj:
    """Points the probes of `containers` at the agent, in place; returns path → original probe."""
    originals: Obj = {}
    for container in containers:
        for key, leaf in PROBES.items():
            probe = container.get(key)
            kind = next((each for each in ("httpGet", "tcpSocket", "grpc") if probe and each in probe), None)
            if probe is None or kind is None:
                continue
            original = {kind: {**probe[kind], "port": _port(container, probe[kind]["port"])}}
            original["timeoutSeconds"] = probe.get("timeoutSeconds", 1)
            path = f"/app-health/{container['name']}/{leaf}"
            originals[path] = original
            rest = {name: value for name, value in probe.items() if name != kind}
            container[key] = {**rest, "httpGet": {"path": path, "port": AGENT_PORT, "scheme": "HTTP"}}
    return originals


def _proxy_config(annotations: dict[str, str]) -> Obj:
    text = annotations.get("proxy.istio.io/config")
    if not text:
        return {}
    parsed = yaml.safe_load(text)
    if not isinstance(parsed, dict):
        raise CannotInject(f"annotation proxy.istio.io/config: expected a mapping, got {text!r}")
    return parsed


def inject(pod: Obj, values: SidecarValues) -> list[Obj]:
    """The JSON patch (RFC 6902) that gives `pod` its sidecar. Raises CannotInject."""
    spec = deepcopy(pod["spec"])
    metadata = pod["metadata"]
    labels, annotations = dict(metadata.get("labels") or {}), dict(metadata.get("annotations") or {})
    name = workload_name(pod)
    canonical = labels.get("app.kubernetes.io/name") or labels.get("app") or name
    revision = labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    labels.setdefault("security.istio.io/tlsMode", "istio")
    labels.setdefault("service.istio.io/canonical-name", canonical)
    labels.setdefault("service.istio.io/canonical-revision", revision)
    containers: list[Obj] = spec["containers"]
    prometheus = _prometheus(annotations)
    probes = {} if annotations.get(REWRITE) == "false" else rewrite_probes(containers)
    ports = [port for container in containers for port in container.get("ports") or []]
    workload = Workload(
        name=name,
        labels=labels,
        annotations={key: value for key, value in annotations.items() if "istio.io/" in key},
        ports=ports,
        containers=[container["name"] for container in containers],
        probes=probes,
        prometheus=prometheus,
        proxy_config=_proxy_config(annotations),
    )
    spec["initContainers"] = [sidecar.init_container(values, workload), *(spec.get("initContainers") or [])]
    spec["containers"] = [*containers, sidecar.proxy_container(values, workload)]
    spec["volumes"] = [*(spec.get("volumes") or []), *sidecar.volumes()]
    annotations.setdefault("kubectl.kubernetes.io/default-container", containers[0]["name"])
    annotations.update({"prometheus.io/scrape": "true", "prometheus.io/port": "15020"})
    annotations["prometheus.io/path"] = "/stats/prometheus"
    annotations[STATUS] = json.dumps(
        {
            "initContainers": [sidecar.INIT_CONTAINER],
            "containers": [sidecar.CONTAINER],
            "volumes": [volume["name"] for volume in sidecar.volumes()],
            "revision": "default",
        }
    )
    # `add` replaces what is there, so that one patch fits pods with and without labels.
    return [
        {"op": "add", "path": "/metadata/labels", "value": labels},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "replace", "path": "/spec", "value": spec},
    ]


def _prometheus(annotations: dict[str, str]) -> Obj | None:
    """The pod's own scrape annotations, which the agent takes over."""
    if annotations.get("prometheus.io/scrape") != "true":
        return None
    port, path = annotations.get("prometheus.io/port", "80"), annotations.get("prometheus.io/path", "/metrics")
    return {"scrape": "true", "port": port, "path": path}
