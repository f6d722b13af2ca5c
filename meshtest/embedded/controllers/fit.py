"""Which nodes a pod may run on: selectors, node affinity and taints."""

from collections.abc import Mapping, Sequence

from kubeclient import Obj
from meshtest.embedded.controllers.objects import is_deleting, satisfies


def selects_node(pod_spec: Obj, node: Obj) -> bool:
    """Whether nodeSelector and required node affinity allow this node."""
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term_holds(term, node) for term in required.get("nodeSelectorTerms") or ())


def _term_holds(term: Obj, node: Obj) -> bool:
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    fields = {"metadata.name": node["metadata"]["name"]}
    expressions, names = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not names:
        return False
    return all(satisfies(labels, item) for item in expressions) and all(satisfies(fields, item) for item in names)


def preference(pod_spec: Obj, node: Obj) -> int:
    """The sum of the weights of preferred node affinities that hold."""
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(int(item["weight"]) for item in preferred if _term_holds(item["preference"], node))


def tolerates(pod_spec: Obj, node: Obj) -> bool:
    """Whether every taint of the node that keeps pods away is tolerated."""
    tolerations: Sequence[Obj] = pod_spec.get("tolerations") or ()
    return all(
        any(_covers(toleration, taint) for toleration in tolerations)
        for taint in (node.get("spec") or {}).get("taints") or ()
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _covers(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


def is_schedulable(node: Obj) -> bool:
    """Neither cordoned nor on its way out."""
    return not node.get("spec", {}).get("unschedulable") and not is_deleting(node)
