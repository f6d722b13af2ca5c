"""Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs: defaults and validation."""

from __future__ import annotations

from typing import Any

from meshtest.embedded.apiserver.errors import FieldError, invalid, not_supported, required
from meshtest.embedded.apiserver.selectors import from_object, matches_labels

from . import pods

Obj = dict[str, Any]


def _template(obj: Obj) -> Obj:
    spec: Obj = obj.setdefault("spec", {})
    template: Obj = spec.get("template") or {}
    spec["template"] = template
    metadata = template.get("metadata") or {}
    metadata.setdefault("creationTimestamp", None)
    template["metadata"] = metadata
    template["spec"] = template.get("spec") or {}
    pods.default_spec(template["spec"])
    return spec


def default_deployment(obj: Obj) -> None:
    spec = _template(obj)
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")
        strategy["rollingUpdate"] = rolling
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def default_replica_set(obj: Obj) -> None:
    spec = _template(obj)
    if spec.get("replicas") is None:
        spec["replicas"] = 1


def default_stateful_set(obj: Obj) -> None:
    spec = _template(obj)
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        rolling.setdefault("partition", 0)
        strategy["rollingUpdate"] = rolling
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})


def default_daemon_set(obj: Obj) -> None:
    spec = _template(obj)
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        rolling.setdefault("maxSurge", 0)
        rolling.setdefault("maxUnavailable", 1)
        strategy["rollingUpdate"] = rolling
    spec.setdefault("revisionHistoryLimit", 10)


def default_job(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("template"):
        # The policy has no default in a Job: the user must choose, so it must not look chosen.
        policy = (spec["template"].get("spec") or {}).get("restartPolicy")
        _template(obj)
        spec["template"]["spec"]["restartPolicy"] = policy or ""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False) if spec.get("manualSelector") else None
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")


def create_job(obj: Obj) -> None:
    """Pods of a Job are found by its uid unless the user brings a selector of their own."""
    spec = obj["spec"]
    metadata = obj["metadata"]
    if spec.get("manualSelector") or not spec.get("template"):
        return
    own = {"batch.kubernetes.io/controller-uid": metadata["uid"]}
    labels = spec["template"]["metadata"].setdefault("labels", {})
    labels.update(own)
    labels["batch.kubernetes.io/job-name"] = metadata["name"]
    labels["controller-uid"] = metadata["uid"]
    labels["job-name"] = metadata["name"]
    spec["selector"] = {"matchLabels": own}


def default_cron_job(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def validate(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    selector = spec.get("selector")
    labels = spec["template"]["metadata"].get("labels") or {}
    if selector is None:
        errors.append(required("spec.selector"))
    elif not (selector.get("matchLabels") or selector.get("matchExpressions")):
        errors.append(invalid("spec.selector", selector, "empty selector is invalid for deployment"))
    elif (parsed := from_object(selector)) is not None and not matches_labels(parsed, labels):
        errors.append(invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    replicas = spec.get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        errors.append(invalid("spec.replicas", replicas, "must be greater than or equal to 0"))
    errors += pods.validate_spec(spec["template"]["spec"], "spec.template.spec")
    policy = spec["template"]["spec"].get("restartPolicy")
    if policy != "Always":
        errors.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    return errors


def validate_job(obj: Obj) -> list[FieldError]:
    spec = obj["spec"]
    if not spec.get("template"):
        return [required("spec.template")]
    policy = spec["template"]["spec"].get("restartPolicy")
    errors = [
        error
        for error in pods.validate_spec(spec["template"]["spec"], "spec.template.spec")
        if not error.path.endswith("restartPolicy")
    ]
    if policy not in ("OnFailure", "Never"):
        errors.append(not_supported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never")))
    return errors


def selector_immutable(new: Obj, old: Obj) -> list[FieldError]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        return [invalid("spec.selector", new["spec"].get("selector"), "field is immutable")]
    return []
