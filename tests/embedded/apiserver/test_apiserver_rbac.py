"""Roles and bindings decide."""

from __future__ import annotations

from typing import Any

import pytest

from meshtest.embedded.apiserver import bootstrap_roles, rbac
from meshtest.embedded.apiserver.call import User
from meshtest.embedded.apiserver.rbac import GROUP, Question, Rbac
from meshtest.embedded.apiserver.store import Store

Obj = dict[str, Any]


@pytest.mark.parametrize(
    ("rule", "question", "allowed"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Question("get", "", "pods"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Question("list", "", "pods"), False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Question("get", "", "pods", "log"), False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, Question("get", "", "pods", "log"), True),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, Question("get", "apps", "deployments"), True),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
            Question("get", "", "pods", name="b"),
            False,
        ),
        ({"verbs": ["get"], "nonResourceURLs": ["/api/*"]}, Question("get", path="/api/v1"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["/api"]}, Question("get", path="/api/v1"), False),
    ],
)
def test_rules(rule: Obj, question: Question, allowed: bool) -> None:
    assert rbac.rule_allows(rule, question) is allowed


def _store() -> Store:
    store = Store()
    for obj in bootstrap_roles.objects():
        store.collection(f"{obj['kind'].lower()}s.{GROUP}").put(obj)
    return store


def test_nodes_and_controllers_can_do_their_work() -> None:
    decide = Rbac(_store())
    node = User("system:node:n", ("system:nodes", "system:authenticated"))
    assert decide.allows(node, Question("patch", "", "pods", "status", "ns", "p"))
    assert decide.allows(node, Question("create", "", "serviceaccounts", "token", "ns", "default"))
    assert not decide.allows(node, Question("create", "apps", "deployments", "", "ns"))
    assert decide.allows(User("system:kube-controller-manager"), Question("delete", "x.y", "things", "", "ns"))
    assert not decide.allows(User("nobody"), Question("get", path="/api"))
    assert decide.allows(User("nobody"), Question("get", path="/version"))


def test_bindings_are_scoped_and_aggregation_follows_labels() -> None:
    store = _store()
    decide = Rbac(store)
    account = User("system:serviceaccount:ns:sa")
    question = Question("list", "example.com", "widgets", "", "ns")
    subject = {"kind": "ServiceAccount", "name": "sa"}
    store.collection(f"rolebindings.{GROUP}").put(
        {
            "metadata": {"name": "b", "namespace": "ns"},
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [subject],
        }
    )
    assert decide.allows(account, Question("list", "", "pods", "", "ns"))
    assert not decide.allows(account, Question("list", "", "pods", "", "other"))
    assert not decide.allows(account, question)
    rule = {"verbs": ["list"], "apiGroups": ["example.com"], "resources": ["widgets"]}
    labels = {f"{GROUP}/aggregate-to-view": "true"}
    store.collection(f"clusterroles.{GROUP}").put({"metadata": {"name": "w", "labels": labels}, "rules": [rule]})
    assert decide.allows(account, question)
