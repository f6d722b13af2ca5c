"""Columns of the built-in kinds, as `kubectl get` shows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from meshtest.embedded.apiserver.kinds import Column

from .text import NONE, age, age_of, duration, labels_text, seconds_of, selector_text

Obj = dict[str, Any]
Cells = Callable[[Obj], list[Any]]
Printer = tuple[tuple[Column, ...], Cells]

NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", description="Time since creation.")


def columns(*names: str) -> tuple[Column, ...]:
    """Name, the given ones, and nothing else; ``-Name`` is shown by ``-o wide`` only, ``#Name`` is a number."""
    out = [NAME]
    for name in names:
        wide = name.startswith("-")
        plain = name.lstrip("-")
        number = plain.startswith("#")
        out.append(Column(plain.lstrip("#"), "integer" if number else "string", priority=1 if wide else 0))
    return tuple(out)


def _plain(obj: Obj) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


PLAIN: Printer = ((NAME, Column("Created At", "date")), _plain)
PLAIN_AGE: Printer = (columns("Age"), lambda obj: [obj["metadata"]["name"], age(obj)])


def _containers(spec: Obj) -> tuple[str, str]:
    containers = spec.get("containers") or []
    return ",".join(c.get("name", "") for c in containers), ",".join(c.get("image", "") for c in containers)


def pod_status(pod: Obj) -> tuple[str, str, int, str]:
    """What the columns Ready, Status, Restarts show, and the time of the last restart."""
    status = pod.get("status") or {}
    spec = pod.get("spec") or {}
    reason = status.get("reason") or status.get("phase") or ""
    sidecars = {c["name"] for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"}
    total = len(spec.get("containers") or []) + len(sidecars)
    ready = restarts = 0
    last = ""
    starting = False
    init_statuses = status.get("initContainerStatuses") or []
    for index, each in enumerate(init_statuses):
        restarts += each.get("restartCount", 0)
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if each.get("name") in sidecars and each.get("started"):
            ready += bool(each.get("ready"))
            continue
        if starting or (terminated and terminated.get("exitCode") == 0):
            continue
        if terminated:
            reason = "Init:" + (terminated.get("reason") or f"ExitCode:{terminated.get('exitCode')}")
        elif waiting and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            reason = "Init:" + waiting["reason"]
        else:
            reason = f"Init:{index}/{len(spec.get('initContainers') or [])}"
        starting = True
    if not starting:
        running = False
        for each in reversed(status.get("containerStatuses") or []):
            restarts += each.get("restartCount", 0)
            finished = ((each.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
            last = max(last, finished)
            state = each.get("state") or {}
            terminated, waiting = state.get("terminated"), state.get("waiting")
            if waiting and waiting.get("reason"):
                reason = waiting["reason"]
            elif terminated:
                reason = terminated.get("reason") or f"ExitCode:{terminated.get('exitCode')}"
            elif each.get("ready") and state.get("running") is not None:
                running = True
                ready += 1
        if reason == "Completed" and running:
            conditions = status.get("conditions") or []
            is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
            reason = "Running" if is_ready else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        reason = "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return f"{ready}/{total}", reason, restarts, last


def _pod(pod: Obj) -> list[Any]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    ready, reason, restarts, last = pod_status(pod)
    gates = spec.get("readinessGates") or []
    held = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    return [
        pod["metadata"]["name"],
        ready,
        reason,
        f"{restarts} ({age_of(last)} ago)" if restarts and last else str(restarts),
        age(pod),
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{sum(g['conditionType'] in held for g in gates)}/{len(gates)}" if gates else NONE,
    ]


def _service(obj: Obj) -> list[Any]:
    spec = obj["spec"]
    ports = []
    for port in spec.get("ports") or []:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    external = [i.get("ip") or i.get("hostname", "") for i in ingress] + (spec.get("externalIPs") or [])
    if spec.get("type") == "ExternalName":
        shown = spec.get("externalName", "")
    elif external:
        shown = ",".join(external)
    else:
        shown = "<pending>" if spec.get("type") == "LoadBalancer" else NONE
    return [
        obj["metadata"]["name"],
        spec.get("type"),
        spec.get("clusterIP") or NONE,
        shown,
        ",".join(ports) or NONE,
        age(obj),
        labels_text(spec.get("selector")),
    ]


def _deployment(obj: Obj) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _replica_set(obj: Obj) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers((spec.get("template") or {}).get("spec") or {})
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _stateful_set(obj: Obj) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}"
    return [obj["metadata"]["name"], ready, age(obj), names, images]


def _daemon_set(obj: Obj) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        obj["metadata"]["name"],
        *(status.get(key, 0) for key in counts),
        labels_text(spec["template"]["spec"].get("nodeSelector")),
        age(obj),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _job(obj: Obj) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    held = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    state = next((name for name in ("Complete", "Failed", "Suspended", "FailureTarget") if name in held), "Running")
    start, end = status.get("startTime"), status.get("completionTime")
    took = ""
    if start:
        took = duration((seconds_of(end) if end else time.time()) - seconds_of(start))
    names, images = _containers(spec["template"]["spec"])
    done = f"{status.get('succeeded', 0)}/{spec.get('completions') or spec.get('parallelism') or 1}"
    return [obj["metadata"]["name"], state, done, took, age(obj), names, images, selector_text(spec.get("selector"))]


def _node(obj: Obj) -> list[Any]:
    status, meta = obj.get("status") or {}, obj["metadata"]
    ready = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), None)
    state = "Unknown" if ready is None else ("Ready" if ready.get("status") == "True" else "NotReady")
    if (obj.get("spec") or {}).get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(sorted(k[len(prefix) :] for k in meta.get("labels") or {} if k.startswith(prefix))) or NONE
    info = status.get("nodeInfo") or {}
    addresses = {a["type"]: a["address"] for a in reversed(status.get("addresses") or [])}
    return [
        meta["name"],
        state,
        roles,
        age(obj),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _endpoints(obj: Obj) -> list[Any]:
    found = []
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or []:
            found += [f"{a['ip']}:{port['port']}" for a in subset.get("addresses") or []]
    return [obj["metadata"]["name"], _some(found), age(obj)]


def _some(found: list[str], most: int = 3) -> str:
    if not found:
        return NONE
    more = f" + {len(found) - most} more..." if len(found) > most else ""
    return ",".join(found[:most]) + more


def _slice(obj: Obj) -> list[Any]:
    ports = [str(p["port"]) for p in obj.get("ports") or [] if p.get("port") is not None]
    addresses = [a for e in obj.get("endpoints") or [] for a in e.get("addresses") or []]
    return [
        obj["metadata"]["name"],
        obj.get("addressType"),
        _some(ports) if ports else "<unset>",
        _some(addresses) if addresses else "<unset>",
        age(obj),
    ]


def _event(obj: Obj) -> list[Any]:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    seen = obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp")
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    source = obj.get("source") or {}
    return [
        age_of(seen),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        ", ".join(filter(None, [source.get("component") or obj.get("reportingComponent"), source.get("host")])),
        (obj.get("message") or obj.get("note") or "").strip(),
        age_of(first),
        obj.get("count") or 1,
        obj["metadata"]["name"],
    ]


_EVENT_COLUMNS = (
    Column("Last Seen"),
    Column("Type"),
    Column("Reason"),
    Column("Object"),
    Column("Subobject", priority=1),
    Column("Source", priority=1),
    Column("Message"),
    Column("First Seen", priority=1),
    Column("Count", priority=1),
    Column("Name", format="name", priority=1),
)


def _crd(obj: Obj) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def _binding(obj: Obj) -> list[Any]:
    def names(kind: str) -> str:
        found = [s for s in obj.get("subjects") or [] if s.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{s.get('namespace', '')}/{s['name']}" for s in found)
        return ", ".join(s["name"] for s in found)

    role = f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"
    return [obj["metadata"]["name"], role, age(obj), names("User"), names("Group"), names("ServiceAccount")]


def _csr(obj: Obj) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    held = [c["type"] for c in status.get("conditions") or []]
    state = ",".join(held) or "Pending"
    if status.get("certificate"):
        state += ",Issued"
    seconds = spec.get("expirationSeconds")
    wanted = duration(seconds) if seconds else NONE
    return [obj["metadata"]["name"], age(obj), spec.get("signerName"), spec.get("username") or "", wanted, state]


def _count(*paths: str) -> Cells:
    def cells(obj: Obj) -> list[Any]:
        return [obj["metadata"]["name"], *(len(obj.get(path) or {}) for path in paths), age(obj)]

    return cells


def _ingress(obj: Obj) -> list[Any]:
    spec = obj.get("spec") or {}
    hosts = ",".join(r["host"] for r in spec.get("rules") or [] if r.get("host")) or "*"
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    shown = ",".join(i.get("ip") or i.get("hostname", "") for i in ingress)
    ports = "80, 443" if spec.get("tls") else "80"
    return [obj["metadata"]["name"], spec.get("ingressClassName") or NONE, hosts, shown, ports, age(obj)]


_WORKLOAD = ("-Containers", "-Images", "-Selector")
_DAEMON = ("#Desired", "#Current", "#Ready", "#Up-to-date", "#Available", "Node Selector", "Age", *_WORKLOAD)

PRINTERS: dict[str, Printer] = {
    "pods": (
        columns("Ready", "Status", "Restarts", "Age", "-IP", "-Node", "-Nominated Node", "-Readiness Gates"),
        _pod,
    ),
    "services": (columns("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "-Selector"), _service),
    "namespaces": (
        columns("Status", "Age"),
        lambda o: [o["metadata"]["name"], (o.get("status") or {}).get("phase"), age(o)],
    ),
    "nodes": (
        columns(
            "Status",
            "Roles",
            "Age",
            "Version",
            "-Internal-IP",
            "-External-IP",
            "-OS-Image",
            "-Kernel-Version",
            "-Container-Runtime",
        ),
        _node,
    ),
    "configmaps": (
        columns("Data", "Age"),
        lambda o: [o["metadata"]["name"], len(o.get("data") or {}) + len(o.get("binaryData") or {}), age(o)],
    ),
    "secrets": (
        columns("Type", "#Data", "Age"),
        lambda o: [o["metadata"]["name"], o.get("type"), len(o.get("data") or {}), age(o)],
    ),
    "serviceaccounts": (
        columns("Secrets", "Age"),
        lambda o: [o["metadata"]["name"], len(o.get("secrets") or []), age(o)],
    ),
    "endpoints": (columns("Endpoints", "Age"), _endpoints),
    "events": (_EVENT_COLUMNS, _event),
    "events.events.k8s.io": (_EVENT_COLUMNS, _event),
    "deployments.apps": (columns("Ready", "Up-to-date", "Available", "Age", *_WORKLOAD), _deployment),
    "replicasets.apps": (columns("#Desired", "#Current", "#Ready", "Age", *_WORKLOAD), _replica_set),
    "statefulsets.apps": (columns("Ready", "Age", "-Containers", "-Images"), _stateful_set),
    "daemonsets.apps": (columns(*_DAEMON), _daemon_set),
    "jobs.batch": (columns("Status", "Completions", "Duration", "Age", *_WORKLOAD), _job),
    "endpointslices.discovery.k8s.io": (columns("AddressType", "Ports", "Endpoints", "Age"), _slice),
    "leases.coordination.k8s.io": (
        columns("Holder", "Age"),
        lambda o: [o["metadata"]["name"], (o.get("spec") or {}).get("holderIdentity") or "", age(o)],
    ),
    "customresourcedefinitions.apiextensions.k8s.io": (
        (NAME, Column("Created At", "date")),
        _crd,
    ),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": (columns("#Webhooks", "Age"), _count("webhooks")),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": (columns("#Webhooks", "Age"), _count("webhooks")),
    "clusterroles.rbac.authorization.k8s.io": ((NAME, Column("Created At", "date")), _plain),
    "roles.rbac.authorization.k8s.io": ((NAME, Column("Created At", "date")), _plain),
    "clusterrolebindings.rbac.authorization.k8s.io": (
        columns("Role", "Age", "-Users", "-Groups", "-ServiceAccounts"),
        _binding,
    ),
    "rolebindings.rbac.authorization.k8s.io": (
        columns("Role", "Age", "-Users", "-Groups", "-ServiceAccounts"),
        _binding,
    ),
    "certificatesigningrequests.certificates.k8s.io": (
        columns("Age", "SignerName", "Requestor", "RequestedDuration", "Condition"),
        _csr,
    ),
    "ingresses.networking.k8s.io": (columns("Class", "Hosts", "Address", "Ports", "Age"), _ingress),
    "networkpolicies.networking.k8s.io": (
        columns("Pod-Selector", "Age"),
        lambda o: [o["metadata"]["name"], selector_text((o.get("spec") or {}).get("podSelector")), age(o)],
    ),
}
