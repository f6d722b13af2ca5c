"""Label and field selectors: parsed once, then asked of each object.

Grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import bad_request

Obj = dict[str, Any]

_KEY = r"(?:[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_SET = re.compile(rf"^\s*(?P<key>{_KEY})\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)\s*$")
_EQUAL = re.compile(rf"^\s*(?P<key>{_KEY})\s*(?P<op>==|=|!=|>|<)\s*(?P<value>[-A-Za-z0-9_.]*)\s*$")
_EXISTS = re.compile(rf"^\s*(?P<no>!?)\s*(?P<key>{_KEY})\s*$")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label. ``op``: in, notin, exists, absent, gt, lt."""

    key: str
    op: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.op:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        try:
            have, want = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return have > want if self.op == "gt" else have < want


LabelSelector = tuple[Requirement, ...]


def matches_labels(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    return all(requirement.matches(labels) for requirement in selector)


def _split_outside_parentheses(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return parts


def parse_label_selector(text: str) -> LabelSelector:
    """``a=b,c in (d,e),!f``; raises 400 when it does not parse."""
    if not text.strip():
        return ()
    return tuple(_parse_requirement(part) for part in _split_outside_parentheses(text))


def _parse_requirement(part: str) -> Requirement:
    if found := _SET.match(part):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], found["op"], values)
    if found := _EQUAL.match(part):
        op = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}[found["op"]]
        return Requirement(found["key"], op, frozenset([found["value"]]))
    if found := _EXISTS.match(part):
        return Requirement(found["key"], "absent" if found["no"] else "exists")
    raise bad_request(f'unable to parse requirement: couldn\'t parse the selector string "{part.strip()}"')


def from_object(selector: Obj | None) -> LabelSelector | None:
    """A LabelSelector object (``matchLabels``, ``matchExpressions``); None matches nothing, {} everything."""
    if selector is None:
        return None
    found = [Requirement(k, "in", frozenset([v])) for k, v in (selector.get("matchLabels") or {}).items()]
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}
    for expression in selector.get("matchExpressions") or []:
        op = operators.get(expression.get("operator", ""), "in")
        found.append(Requirement(expression["key"], op, frozenset(expression.get("values") or [])))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """``path`` (dots) equal or not equal to a string."""

    path: str
    value: str
    equal: bool


FieldSelector = tuple[FieldRequirement, ...]

_ANY = ("metadata.name", "metadata.namespace")
FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "events.events.k8s.io": ("regarding.kind", "regarding.name", "regarding.uid", "reason", "type"),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicationcontrollers": ("status.replicas",),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
}
_BOOLEANS = ("spec.hostNetwork", "spec.unschedulable")
_NUMBERS = ("status.replicas", "status.successful")


def parse_field_selector(text: str, collection: str, extra: tuple[str, ...] = ()) -> FieldSelector:
    """``a.b=c,d!=e``; raises 400 for a field that this kind does not offer."""
    found: list[FieldRequirement] = []
    for part in text.split(","):
        if not part.strip():
            continue
        match = re.match(r"^\s*([A-Za-z0-9.]+)\s*(==|=|!=)\s*(.*)$", part)
        if match is None:
            raise bad_request(f'invalid selector: "{text}"; can\'t understand "{part}"')
        path, op, value = match.groups()
        if path not in _ANY and path not in FIELDS.get(collection, ()) and path not in extra:
            raise bad_request(f"field label not supported: {path}")
        found.append(FieldRequirement(path, value, op != "!="))
    return tuple(found)


def matches_fields(selector: FieldSelector, obj: Obj) -> bool:
    return all((_field_value(obj, r.path) == r.value) is r.equal for r in selector)


def _field_value(obj: Obj, path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if path == "source" and isinstance(value, dict):
        value = value.get("component")
    if path in _BOOLEANS:
        return "true" if value else "false"
    if path in _NUMBERS:
        return str(value or 0)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


Predicate = Callable[[Obj], bool]


def predicate(labels: LabelSelector, fields: FieldSelector) -> Predicate | None:
    """One question for both; None when everything matches."""
    if not labels and not fields:
        return None

    def asks(obj: Obj) -> bool:
        return matches_labels(labels, obj["metadata"].get("labels") or {}) and matches_fields(fields, obj)

    return asks
