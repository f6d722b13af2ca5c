"""Whether a pod gets a sidecar. Pure.

The webhook configuration's selectors have decided already who is asked; this decides again because annotations are
not selectable, and because some pods must never be touched (mesh-protocols section 5).
"""

from typing import Any

Obj = dict[str, Any]
INJECT = "sidecar.istio.io/inject"
STATUS = "sidecar.istio.io/status"
NEVER_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
YES, NO = frozenset({"true", "y", "yes", "on"}), frozenset({"false", "n", "no", "off"})


def refusal(pod: Obj, namespace: str, *, by_default: bool = True) -> str | None:
    """Why this pod is not injected, None when it is. A label beats an annotation beats the default."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    if spec.get("hostNetwork"):
        return "hostNetwork: its packets are the node's"
    if namespace in NEVER_NAMESPACES:
        return f"namespace {namespace} is never injected"
    annotations = metadata.get("annotations") or {}
    if STATUS in annotations:
        return "injected already"
    asked = (metadata.get("labels") or {}).get(INJECT) or annotations.get(INJECT) or ""
    if asked.lower() in NO:
        return f"{INJECT}={asked}"
    if asked.lower() in YES or by_default:
        return None
    return "the default policy is not to inject"
