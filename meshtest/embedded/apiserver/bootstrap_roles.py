"""The default roles and bindings that this cluster's own parts, and users of RBAC, count on.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}

_WORKLOADS = {
    "": [
        "configmaps",
        "endpoints",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "services",
    ],
    "apps": [
        "daemonsets",
        "deployments",
        "deployments/scale",
        "replicasets",
        "replicasets/scale",
        "statefulsets",
        "statefulsets/scale",
    ],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
    "discovery.k8s.io": ["endpointslices"],
}
_VIEW_ONLY = [
    "serviceaccounts",
    "bindings",
    "events",
    "limitranges",
    "namespaces",
    "pods/log",
    "pods/status",
    "resourcequotas",
]


def objects() -> list[Obj]:
    """New trees at every call."""
    return [*_roles(), *_bindings()]


def _rule(verbs: list[str], groups: list[str], resources: list[str], names: list[str] | None = None) -> Obj:
    rule: Obj = {"verbs": verbs, "apiGroups": groups, "resources": resources}
    if names:
        rule["resourceNames"] = names
    return rule


def _urls(*paths: str) -> Obj:
    return {"verbs": ["get"], "nonResourceURLs": list(paths)}


def _role(name: str, rules: list[Obj], labels: dict[str, str] | None = None, aggregate: str = "") -> Obj:
    obj: Obj = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {**_LABELS, **(labels or {})}},
        "rules": rules,
    }
    if aggregate:
        obj["aggregationRule"] = {
            "clusterRoleSelectors": [{"matchLabels": {f"{GROUP}/aggregate-to-{aggregate}": "true"}}]
        }
    return obj


def _to(name: str) -> dict[str, str]:
    return {f"{GROUP}/aggregate-to-{name}": "true"}


def _view() -> list[Obj]:
    rules = [_rule(_READ, [group], list(resources)) for group, resources in _WORKLOADS.items()]
    return [*rules, _rule(_READ, [""], list(_VIEW_ONLY))]


def _edit() -> list[Obj]:
    rules = [_rule(_WRITE, [group], list(resources)) for group, resources in _WORKLOADS.items()]
    return [
        *rules,
        _rule([*_READ, *_WRITE], [""], ["secrets", "serviceaccounts"]),
        _rule(
            [*_READ, "create"], [""], ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"]
        ),
        _rule(["create"], [""], ["pods/eviction", "serviceaccounts/token"]),
        _rule(["impersonate"], [""], ["serviceaccounts"]),
        _rule([*_READ, *_WRITE], ["coordination.k8s.io"], ["leases"]),
        _rule(_WRITE, ["", "events.k8s.io"], ["events"]),
    ]


def _admin() -> list[Obj]:
    return [
        _rule([*_READ, *_WRITE], [GROUP], ["roles", "rolebindings"]),
        _rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
    ]


def _node() -> list[Obj]:
    return [
        _rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
        _rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews", "localsubjectaccessreviews"]),
        _rule(_READ, [""], ["services", "endpoints", "namespaces", "configmaps", "secrets", "serviceaccounts"]),
        _rule(_READ, ["discovery.k8s.io"], ["endpointslices"]),
        _rule([*_READ, "create", "update", "patch", "delete"], [""], ["nodes"]),
        _rule(["get", "update", "patch"], [""], ["nodes/status", "pods/status"]),
        _rule([*_READ, "create", "delete", "patch", "update"], [""], ["pods"]),
        _rule(["create"], [""], ["pods/eviction", "serviceaccounts/token"]),
        _rule(["create", "patch", "update"], ["", "events.k8s.io"], ["events"]),
        _rule([*_READ, "create", "delete", "patch", "update"], ["coordination.k8s.io"], ["leases"]),
        _rule([*_READ, "create"], ["certificates.k8s.io"], ["certificatesigningrequests"]),
        _rule(_READ, ["networking.k8s.io"], ["networkpolicies"]),
        _rule(_READ, ["node.k8s.io"], ["runtimeclasses"]),
        _rule(_READ, [""], ["persistentvolumeclaims", "persistentvolumes"]),
    ]


def _roles() -> list[Obj]:
    everything = _rule(["*"], ["*"], ["*"])
    all_urls: Obj = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    ask_self = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    healthy = ("/healthz", "/livez", "/readyz", "/version", "/version/")
    discovery = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *healthy)
    issuer = (
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/",
        "/openid/v1/jwks",
        "/openid/v1/jwks/",
    )
    return [
        _role("cluster-admin", [everything, all_urls]),
        _role("admin", [], aggregate="admin"),
        _role("edit", [], _to("admin"), aggregate="edit"),
        _role("view", [], _to("edit"), aggregate="view"),
        _role("system:aggregate-to-admin", _admin(), _to("admin")),
        _role("system:aggregate-to-edit", _edit(), _to("edit")),
        _role("system:aggregate-to-view", _view(), _to("view")),
        _role("system:discovery", [_urls(*discovery)]),
        _role("system:public-info-viewer", [_urls(*healthy)]),
        _role(
            "system:basic-user",
            [
                _rule(["create"], ["authorization.k8s.io"], ask_self),
                _rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
            ],
        ),
        _role("system:service-account-issuer-discovery", [_urls(*issuer)]),
        _role(
            "system:auth-delegator",
            [
                _rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
                _rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews"]),
            ],
        ),
        _role("system:node", _node()),
        # Controllers and scheduler are one process here, with the collector and the namespace drainer, which must be
        # able to read and delete everything, and to write whatever finalizers they hold.
        _role("system:kube-controller-manager", [everything, all_urls]),
        _role(
            "system:kube-scheduler",
            [
                _rule(_READ, ["*"], ["*"]),
                _rule(["create"], [""], ["bindings", "pods/binding", "events"]),
                _rule(["patch", "update"], [""], ["pods/status"]),
            ],
        ),
    ]


def _binding(name: str, role: str, subjects: list[tuple[str, str]]) -> Obj:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": kind, "name": subject} for kind, subject in subjects],
    }


def _bindings() -> list[Obj]:
    everyone = [("Group", "system:authenticated")]
    return [
        _binding("cluster-admin", "cluster-admin", [("Group", "system:masters")]),
        _binding("system:discovery", "system:discovery", everyone),
        _binding("system:basic-user", "system:basic-user", everyone),
        _binding(
            "system:public-info-viewer", "system:public-info-viewer", [*everyone, ("Group", "system:unauthenticated")]
        ),
        _binding(
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            [("Group", "system:serviceaccounts")],
        ),
        _binding("system:node", "system:node", [("Group", "system:nodes")]),
        _binding(
            "system:kube-controller-manager",
            "system:kube-controller-manager",
            [("User", "system:kube-controller-manager")],
        ),
        _binding("system:kube-scheduler", "system:kube-scheduler", [("User", "system:kube-scheduler")]),
    ]
