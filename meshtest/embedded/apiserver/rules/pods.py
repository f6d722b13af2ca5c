"""Pods: defaults, quality of service, and what of a pod may change.

Defaults: k8s.io/kubernetes ``pkg/apis/core/v1/defaults.go`` as documented in the API reference.
"""

from __future__ import annotations

from typing import Any

from meshtest.embedded.apiserver.errors import FieldError, duplicate, forbidden_field, invalid, not_supported, required
from meshtest.embedded.apiserver.metadata import LABEL_TEXT, is_label

Obj = dict[str, Any]


def default(pod: Obj) -> None:
    spec = pod.setdefault("spec", {})
    default_spec(spec)
    if "enableServiceLinks" not in spec:
        spec["enableServiceLinks"] = True


def create(pod: Obj) -> None:
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod["spec"])}
    spec = pod["spec"]
    for seconds, key in ((300, "not-ready"), (300, "unreachable")):
        taint = f"node.kubernetes.io/{key}"
        tolerations = spec.setdefault("tolerations", [])
        if not any(t.get("key", taint) == taint and t.get("effect", "NoExecute") == "NoExecute" for t in tolerations):
            tolerations.append(
                {"effect": "NoExecute", "key": taint, "operator": "Exists", "tolerationSeconds": seconds}
            )
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def default_spec(spec: Obj) -> None:
    """A pod's spec, also where it is a template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or []:
            _default_container(container, bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or []:
        _default_volume(volume)


def _default_container(container: Obj, host_network: bool) -> None:
    image = container.get("image") or ""
    latest = image.endswith(":latest") or ":" not in image.rsplit("/", 1)[-1]
    container.setdefault("imagePullPolicy", "Always" if latest and "@" not in image else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    resources = container.get("resources")
    if resources is None:
        container["resources"] = {}
    elif resources.get("limits"):
        requests = resources.get("requests") or {}
        resources["requests"] = {**resources["limits"], **requests}
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if host_network and not port.get("hostPort"):
            port["hostPort"] = port.get("containerPort")
    for variable in container.get("env") or []:
        source = (variable.get("valueFrom") or {}).get("fieldRef")
        if source is not None:
            source.setdefault("apiVersion", "v1")
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key):
            _default_probe(container[key])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and hook.get("httpGet"):
            _default_http_get(hook["httpGet"])


def _default_probe(probe: Obj) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(key):
            probe[key] = value
    if probe.get("httpGet"):
        _default_http_get(probe["httpGet"])
    if probe.get("grpc"):
        probe["grpc"].setdefault("service", "")


def _default_http_get(action: Obj) -> None:
    action["path"] = action.get("path") or "/"
    action["scheme"] = action.get("scheme") or "HTTP"


def _default_volume(volume: Obj) -> None:
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    for key in ("configMap", "secret", "downwardAPI", "projected"):
        if volume.get(key):
            volume[key].setdefault("defaultMode", 420)
    for source in (volume.get("projected") or {}).get("sources") or []:
        if source.get("serviceAccountToken") is not None:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        _default_downward(source.get("downwardAPI"))
    _default_downward(volume.get("downwardAPI"))
    if volume.get("hostPath"):
        volume["hostPath"].setdefault("type", "")


def _default_downward(source: Obj | None) -> None:
    for item in (source or {}).get("items") or []:
        if item.get("fieldRef"):
            item["fieldRef"].setdefault("apiVersion", "v1")


def qos_class(spec: Obj) -> str:
    """Guaranteed, Burstable or BestEffort, by what the containers ask for."""
    requests: set[tuple[str, str]] = set()
    guaranteed = True
    any_set = False
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        resources = container.get("resources") or {}
        wanted, limits = resources.get("requests") or {}, resources.get("limits") or {}
        any_set = any_set or bool(wanted or limits)
        requests.update(wanted.items())
        guaranteed = guaranteed and all(
            name in limits and wanted.get(name) == limits[name] for name in ("cpu", "memory")
        )
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def update(new: Obj, old: Obj) -> None:
    new["status"] = old.get("status", {})


def validate(pod: Obj) -> list[FieldError]:
    return validate_spec(pod.get("spec") or {}, "spec")


_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def validate_spec(spec: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not spec.get("containers"):
        errors.append(required(f"{path}.containers"))
    if spec.get("restartPolicy") not in _RESTART:
        errors.append(not_supported(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART))
    if spec.get("dnsPolicy") not in _DNS:
        errors.append(not_supported(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS))
    volumes = _validate_names(spec.get("volumes") or [], f"{path}.volumes", errors)
    seen: set[str] = set()
    for key in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(key) or []):
            where = f"{path}.{key}[{index}]"
            name = container.get("name", "")
            if name and name in seen:
                errors.append(duplicate(f"{where}.name", name))
            seen.add(name)
            errors += _validate_container(container, where, volumes)
    return errors


def _validate_names(items: list[Obj], path: str, errors: list[FieldError]) -> set[str]:
    names: set[str] = set()
    for index, item in enumerate(items):
        name = item.get("name", "")
        where = f"{path}[{index}].name"
        if not name:
            errors.append(required(where))
        elif not is_label(name):
            errors.append(invalid(where, name, LABEL_TEXT))
        elif name in names:
            errors.append(duplicate(where, name))
        names.add(name)
    return names


def _validate_container(container: Obj, path: str, volumes: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    name = container.get("name", "")
    if not name:
        errors.append(required(f"{path}.name"))
    elif not is_label(name):
        errors.append(invalid(f"{path}.name", name, LABEL_TEXT))
    if not container.get("image"):
        errors.append(required(f"{path}.image"))
    policy = container.get("imagePullPolicy")
    if policy not in ("Always", "IfNotPresent", "Never"):
        errors.append(not_supported(f"{path}.imagePullPolicy", policy, ("Always", "IfNotPresent", "Never")))
    for index, mount in enumerate(container.get("volumeMounts") or []):
        where = f"{path}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            errors.append(FieldError(f"{where}.name", "FieldValueNotFound", f'Not found: "{mount.get("name", "")}"'))
        if not mount.get("mountPath"):
            errors.append(required(f"{where}.mountPath"))
    for index, port in enumerate(container.get("ports") or []):
        number = port.get("containerPort")
        where = f"{path}.ports[{index}].containerPort"
        if not number:
            errors.append(required(where))
        elif not isinstance(number, int) or not 0 < number < 65536:
            errors.append(invalid(where, number, "must be between 1 and 65535, inclusive"))
    for index, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            errors.append(required(f"{path}.env[{index}].name"))
    return errors


_CHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    if _frozen(new["spec"]) != _frozen(old["spec"]):
        return [forbidden_field("spec", _CHANGEABLE)]
    return []


def _frozen(spec: Obj) -> Obj:
    """The part of a pod's spec that must not change."""
    out = {k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "tolerations", "schedulingGates")}
    for key in ("initContainers", "containers"):
        if key in out:
            out[key] = [{k: v for k, v in c.items() if k not in ("image", "resources")} for c in out[key] or []]
    out.pop("terminationGracePeriodSeconds", None)
    return {k: v for k, v in out.items() if v not in (None, [], {})}
