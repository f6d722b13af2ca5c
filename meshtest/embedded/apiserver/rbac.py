"""Authorization by roles and bindings.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .call import MASTERS, User
from .selectors import from_object, matches_labels
from .store import Event, Store

Obj = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
_KEYS = tuple(f"{plural}.{GROUP}" for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings"))
_CACHE = 20_000
_OPEN_PATHS = frozenset(["/version", "/version/", "/healthz", "/readyz", "/livez", "/healthz/", "/readyz/", "/livez/"])


@dataclass(frozen=True, slots=True)
class Question:
    """May this be done? Resources have ``plural``; other requests only ``path``."""

    verb: str
    group: str = ""
    plural: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def resource(self) -> str:
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


class Rbac:
    """Answers questions; answers are kept until a role or binding changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers: dict[tuple[str, tuple[str, ...], Question], bool] = {}
        for key in _KEYS:
            store.collection(key).listen(self, self._on_event)

    def _on_event(self, event: Event) -> None:
        del event
        self._answers.clear()

    def allows(self, user: User, question: Question) -> bool:
        if MASTERS in user.groups:
            return True
        if question.path in _OPEN_PATHS and question.verb == "get":
            return True
        key = (user.name, user.groups, question)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= _CACHE:
                self._answers.clear()
            answer = self._answers[key] = any(
                rule_allows(rule, question) for rule in self.rules(user, question.namespace)
            )
        return answer

    def rules(self, user: User, namespace: str) -> Iterator[Obj]:
        """All rules that hold for a user in a namespace ("": cluster-wide only)."""
        for binding in self._store.collection(_KEYS[3]):
            if _binds(binding.obj, user, ""):
                yield from self._role_rules(binding.obj["roleRef"], "")
        if namespace:
            for binding in self._store.collection(_KEYS[1]).items(namespace):
                if _binds(binding.obj, user, namespace):
                    yield from self._role_rules(binding.obj["roleRef"], namespace)

    def _role_rules(self, reference: Obj, namespace: str) -> list[Obj]:
        if reference.get("kind") == "ClusterRole":
            found = self._store.collection(_KEYS[2]).get("", reference["name"])
            if found is not None and found.obj.get("aggregationRule"):
                return self._aggregated(found.obj, frozenset([found.name]))
        else:
            found = self._store.collection(_KEYS[0]).get(namespace, reference["name"])
        return (found.obj.get("rules") or []) if found is not None else []

    def _aggregated(self, role: Obj, seen: frozenset[str]) -> list[Obj]:
        """The rules of all roles that an aggregated role selects; they may be aggregated themselves."""
        selectors = [from_object(each) for each in role["aggregationRule"].get("clusterRoleSelectors") or []]
        out: list[Obj] = list(role.get("rules") or [])
        for each in self._store.collection(_KEYS[2]):
            if each.name in seen or not any(s is not None and matches_labels(s, each.labels) for s in selectors):
                continue
            if each.obj.get("aggregationRule"):
                out += self._aggregated(each.obj, seen | {each.name})
            else:
                out += each.obj.get("rules") or []
        return out


def _binds(binding: Obj, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or []:
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "User" and name == user.name:
            return True
        if kind == "Group" and name in user.groups:
            return True
        if kind == "ServiceAccount":
            where = subject.get("namespace") or namespace
            if user.name == f"system:serviceaccount:{where}:{name}":
                return True
    return False


def rule_allows(rule: Obj, question: Question) -> bool:
    verbs = rule.get("verbs") or []
    if question.verb not in verbs and "*" not in verbs:
        return False
    if not question.plural:
        return any(_path_matches(pattern, question.path) for pattern in rule.get("nonResourceURLs") or [])
    groups = rule.get("apiGroups") or []
    if question.group not in groups and "*" not in groups:
        return False
    resources = rule.get("resources") or []
    if not any(_resource_matches(pattern, question) for pattern in resources):
        return False
    names = rule.get("resourceNames") or []
    return not names or question.name in names


def _resource_matches(pattern: str, question: Question) -> bool:
    if pattern in ("*", question.resource):
        return True
    return bool(question.subresource) and pattern == f"*/{question.subresource}"


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def refusal(user: User, question: Question) -> str:
    """The text after ``is forbidden: ``, as Kubernetes words it."""
    if not question.plural:
        return f'User "{user.name}" cannot {question.verb} path "{question.path}"'
    where = f'in the namespace "{question.namespace}"' if question.namespace else "at the cluster scope"
    what = f'resource "{question.resource}" in API group "{question.group}"'
    return f'User "{user.name}" cannot {question.verb} {what} {where}'
