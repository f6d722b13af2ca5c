"""DaemonSet: one pod on every node that takes it."""

from collections.abc import Sequence

from kubeclient import Obj
from kubeclient.resources import DAEMON_SETS, PODS
from meshtest.embedded.controllers.actions import Action, Create, Delete, Plan, patch_status
from meshtest.embedded.controllers.fit import selects_node, tolerates
from meshtest.embedded.controllers.objects import (
    encode_hash,
    is_controlled_by,
    is_deleting,
    is_pod_finished,
    is_pod_ready,
    owner_reference,
    resolve,
    template_of,
)

REVISION_LABEL = "controller-revision-hash"
_CONDITIONS = ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
TOLERATIONS = [
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
    for name in _CONDITIONS
    for effect in (("NoExecute",) if name in ("not-ready", "unreachable") else ("NoSchedule",))
]


def plan(daemon_set: Obj, pods: Sequence[Obj], nodes: Sequence[Obj]) -> Plan:
    """`pods`: those that the DaemonSet manages."""
    owned = [pod for pod in pods if is_controlled_by(pod, daemon_set)]
    template = new_pod(daemon_set, "")
    eligible = {node["metadata"]["name"] for node in nodes if _takes(node, template)}
    by_node: dict[str, list[Obj]] = {}
    for pod in owned:
        by_node.setdefault(target_of(pod), []).append(pod)
    actions: list[Action] = []
    if not is_deleting(daemon_set):
        for name in sorted(eligible - by_node.keys()):
            actions.append(Create(PODS, new_pod(daemon_set, name), daemon_set))
        for name, there in by_node.items():
            surplus = there if name not in eligible else [pod for pod in there if is_pod_finished(pod)] or there[1:]
            actions += [Delete(PODS, pod, None, daemon_set) for pod in surplus if not is_deleting(pod)]
        if not actions:
            actions = _update(daemon_set, owned, len(eligible))
    return Plan([*actions, *patch_status(DAEMON_SETS, daemon_set, _status(daemon_set, by_node, eligible))])


def target_of(pod: Obj) -> str:
    """The node that a daemon's pod is for, bound or not."""
    if name := pod["spec"].get("nodeName"):
        return str(name)
    required = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name":
                return str(field["values"][0])
    return ""


def new_pod(daemon_set: Obj, node: str) -> Obj:
    """The pod for `node`; an affinity ties it to that node, and the scheduler binds it."""
    metadata, spec = template_of(daemon_set["spec"]["template"])
    owner = daemon_set["metadata"]
    metadata["generateName"] = f"{owner['name']}-"
    metadata["namespace"] = owner["namespace"]
    metadata["ownerReferences"] = [owner_reference(DAEMON_SETS, daemon_set)]
    metadata["labels"] = {**metadata.get("labels", {}), REVISION_LABEL: revision_of(daemon_set)}
    spec = {**spec, "tolerations": [*(spec.get("tolerations") or ()), *TOLERATIONS]}
    if node:
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        affinity = {**(spec.get("affinity") or {})}
        affinity["nodeAffinity"] = {
            **(affinity.get("nodeAffinity") or {}),
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
        }
        spec["affinity"] = affinity
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def revision_of(daemon_set: Obj) -> str:
    """The hash of the current template."""
    return encode_hash(daemon_set["spec"]["template"])


def _takes(node: Obj, template: Obj) -> bool:
    spec = template["spec"]
    return not is_deleting(node) and selects_node(spec, node) and tolerates(spec, node)


def _update(daemon_set: Obj, owned: Sequence[Obj], desired: int) -> list[Action]:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return []
    allowed = resolve((strategy.get("rollingUpdate") or {}).get("maxUnavailable"), desired, 1, up=True)
    revision = revision_of(daemon_set)
    out = sum(1 for pod in owned if not is_pod_ready(pod) or is_deleting(pod))
    outdated = [
        pod
        for pod in owned
        if pod["metadata"].get("labels", {}).get(REVISION_LABEL) != revision and not is_deleting(pod)
    ]
    unready = [pod for pod in outdated if not is_pod_ready(pod)]
    ready = [pod for pod in outdated if is_pod_ready(pod)]
    return [Delete(PODS, pod, None, daemon_set) for pod in [*unready, *ready[: max(0, allowed - out)]]]


def _status(daemon_set: Obj, by_node: dict[str, list[Obj]], eligible: set[str]) -> Obj:
    placed = {name: pods for name, pods in by_node.items() if name in eligible}
    ready = sum(1 for pods in placed.values() if any(is_pod_ready(pod) and not is_deleting(pod) for pod in pods))
    revision = revision_of(daemon_set)
    updated = sum(
        1
        for pods in placed.values()
        if any(pod["metadata"].get("labels", {}).get(REVISION_LABEL) == revision for pod in pods)
    )
    return {
        "observedGeneration": daemon_set["metadata"].get("generation", 1),
        "desiredNumberScheduled": len(eligible),
        "currentNumberScheduled": len(placed),
        "numberMisscheduled": len(by_node) - len(placed),
        "updatedNumberScheduled": updated,
        "numberReady": ready,
        "numberAvailable": ready,
        "numberUnavailable": len(eligible) - ready,
    }
