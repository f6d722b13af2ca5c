"""Which webhook wants to see which write. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .admission import Attributes
from .selectors import LabelSelector, from_object

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hook:
    """One entry of a webhook configuration, read once. ``timeout``: seconds."""

    configuration: str
    name: str
    client: Obj
    rules: tuple[Obj, ...]
    namespace_selector: LabelSelector
    object_selector: LabelSelector
    conditions: tuple[tuple[str, str], ...]
    timeout: float
    ignore_failure: bool
    exact: bool
    reinvoke: bool
    review_version: str

    @staticmethod
    def parse(configuration: str, hook: Obj) -> Hook:
        versions = hook.get("admissionReviewVersions") or ["v1"]
        known = next((version for version in versions if version in ("v1", "v1beta1")), "v1")
        return Hook(
            configuration=configuration,
            name=hook["name"],
            client=hook["clientConfig"],
            rules=tuple(hook.get("rules") or ()),
            namespace_selector=from_object(hook.get("namespaceSelector") or {}) or (),
            object_selector=from_object(hook.get("objectSelector") or {}) or (),
            conditions=tuple((each["name"], each["expression"]) for each in hook.get("matchConditions") or ()),
            timeout=float(hook.get("timeoutSeconds") or 10),
            ignore_failure=hook.get("failurePolicy") == "Ignore",
            exact=hook.get("matchPolicy") == "Exact",
            reinvoke=hook.get("reinvocationPolicy") == "IfNeeded",
            review_version=f"admission.k8s.io/{known}",
        )


def matched_version(hook: Hook, attributes: Attributes) -> str | None:
    """The version in which a webhook wants to see an object; None when no rule matches.

    With matchPolicy Equivalent any served version of the kind may match; the request's own comes first.
    """
    kind = attributes.kind
    versions = [attributes.version]
    if not hook.exact:
        versions += [version for version in kind.versions if version != attributes.version]
    for version in versions:
        if any(_rule_matches(rule, attributes, version) for rule in hook.rules):
            return version
    return None


def _rule_matches(rule: Obj, attributes: Attributes, version: str) -> bool:
    kind = attributes.kind
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") is not kind.namespaced:
        return False
    return (
        _has(rule.get("operations"), attributes.operation)
        and _has(rule.get("apiGroups"), kind.group)
        and _has(rule.get("apiVersions"), version)
        and any(_resource_matches(each, kind.plural, attributes.subresource) for each in rule.get("resources") or ())
    )


def _has(values: list[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _resource_matches(pattern: str, plural: str, subresource: str) -> bool:
    resource, _, sub = pattern.partition("/")
    if pattern == "*":
        return not subresource
    return resource in ("*", plural) and (sub == subresource or sub == "*")
