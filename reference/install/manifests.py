"""The objects that make up an installation, in the order in which they are applied. Pure."""

import json
from typing import Any

import yaml

from reference.api import crds
from reference.install.values import InstallValues

Obj = dict[str, Any]
ISTIOD = "istiod"
PORTS = (
    ("https-dns", 15012, 15012),
    ("tls-xds", 15013, 15013),
    ("https-webhook", 443, 15017),
    ("http-monitoring", 15014, 15014),
)


def render(values: InstallValues) -> list[Obj]:
    """Everything to apply, dependencies first."""
    return [
        *crds(),
        _object("v1", "Namespace", "", values.namespace),
        *_rbac(values),
        _mesh_config(values),
        _injector_config(values),
        _service(values),
        _deployment(values),
        _mutating(values),
        _validating(values),
    ]


def _labels(values: InstallValues) -> dict[str, str]:
    return {"app": ISTIOD, "istio.io/rev": values.revision, "install.operator.istio.io/owning-resource": "meshtest"}


def _object(api: str, kind: str, namespace: str, name: str, labels: dict[str, str] | None = None, **rest: Any) -> Obj:
    metadata: Obj = {"name": name, **({"namespace": namespace} if namespace else {})}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Obj:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _rbac(values: InstallValues) -> list[Obj]:
    read, labels = ["get", "list", "watch"], _labels(values)
    api = "rbac.authorization.k8s.io/v1"
    rules = [
        _rule([""], ["namespaces", "nodes", "pods", "services", "endpoints"], read),
        _rule(["discovery.k8s.io"], ["endpointslices"], read),
        _rule(["networking.istio.io", "security.istio.io"], ["*"], read),
        _rule([""], ["configmaps"], [*read, "create", "update", "patch"]),
        _rule(
            ["admissionregistration.k8s.io"],
            ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            [*read, "patch"],
        ),
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ]
    name = f"{ISTIOD}-{values.namespace}"
    subject = [{"kind": "ServiceAccount", "name": ISTIOD, "namespace": values.namespace}]
    group = "rbac.authorization.k8s.io"
    secrets = [_rule([""], ["secrets"], ["create", "get", "list", "watch", "update"])]
    return [
        _object("v1", "ServiceAccount", values.namespace, ISTIOD, labels),
        _object(api, "ClusterRole", "", name, labels, rules=rules),
        _object(
            api,
            "ClusterRoleBinding",
            "",
            name,
            labels,
            roleRef={"apiGroup": group, "kind": "ClusterRole", "name": name},
            subjects=subject,
        ),
        _object(api, "Role", values.namespace, ISTIOD, labels, rules=secrets),
        _object(
            api,
            "RoleBinding",
            values.namespace,
            ISTIOD,
            labels,
            roleRef={"apiGroup": group, "kind": "Role", "name": ISTIOD},
            subjects=subject,
        ),
    ]


def _mesh_config(values: InstallValues) -> Obj:
    data = {"mesh": yaml.safe_dump(values.mesh()), "meshNetworks": "networks: {}"}
    return _object("v1", "ConfigMap", values.namespace, "istio", _labels(values), data=data)


def _injector_config(values: InstallValues) -> Obj:
    mesh = values.mesh()
    sidecar = {
        "image": values.image("proxy"),
        "namespace": values.namespace,
        "trust_domain": mesh.get("trustDomain", "cluster.local"),
        "dns_domain": values.dns_domain,
        "cluster_id": values.cluster_id,
        "network": values.network,
        "mesh_id": mesh.get("trustDomain", "cluster.local"),
        "log_level": values.proxy_log_level,
        "proxy_config": mesh.get("defaultConfig") or {},
    }
    data = {"values": json.dumps(sidecar, indent=2, sort_keys=True)}
    return _object("v1", "ConfigMap", values.namespace, "istio-sidecar-injector", _labels(values), data=data)


def _service(values: InstallValues) -> Obj:
    ports = [{"name": name, "port": port, "targetPort": target, "protocol": "TCP"} for name, port, target in PORTS]
    return _object(
        "v1",
        "Service",
        values.namespace,
        ISTIOD,
        _labels(values),
        spec={"selector": {"app": ISTIOD, "istio.io/rev": values.revision}, "ports": ports},
    )


def _field(name: str, path: str) -> Obj:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _deployment(values: InstallValues) -> Obj:
    labels = _labels(values)
    plain = {
        "REVISION": values.revision,
        "CLUSTER_ID": values.cluster_id,
        "DNS_DOMAIN": values.dns_domain,
        "LOG_LEVEL": values.log_level,
    }
    container = {
        "name": "discovery",
        "image": values.image("pilot"),
        "args": ["discovery"],
        "env": [
            _field("POD_NAME", "metadata.name"),
            _field("POD_NAMESPACE", "metadata.namespace"),
            *({"name": name, "value": value} for name, value in plain.items()),
        ],
        "ports": [
            {"containerPort": port, "name": name, "protocol": "TCP"}
            for name, port in (("ready", 8080), ("grpc-xds", 15012), ("xds-mtls", 15013), ("webhook", 15017))
        ],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": 8080},
            "periodSeconds": 3,
            "timeoutSeconds": 5,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "runAsUser": 1337,
            "runAsGroup": 1337,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
    }
    pod = {
        "metadata": {
            "labels": {**labels, "sidecar.istio.io/inject": "false"},
            "annotations": {"prometheus.io/port": "15014", "prometheus.io/scrape": "true"},
        },
        "spec": {
            "serviceAccountName": ISTIOD,
            "containers": [container],
            "terminationGracePeriodSeconds": 5,
        },
    }
    spec = {
        "replicas": values.replicas,
        "selector": {"matchLabels": {"app": ISTIOD, "istio.io/rev": values.revision}},
        "template": pod,
    }
    return _object("apps/v1", "Deployment", values.namespace, ISTIOD, labels, spec=spec)


def _client(values: InstallValues, path: str) -> Obj:
    return {"service": {"name": ISTIOD, "namespace": values.namespace, "path": path, "port": 443}}


def _match(key: str, operator: str, *values: str) -> Obj:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _mutating(values: InstallValues) -> Obj:
    """Who is asked about which pod: by revision or `istio-injection`, on the namespace or on the pod."""
    inject, injection, rev = "sidecar.istio.io/inject", "istio-injection", "istio.io/rev"
    not_refused, asked = _match(inject, "NotIn", "false"), _match(inject, "In", "true")
    selectors: list[tuple[str, list[Obj], list[Obj]]] = [
        (
            "rev.namespace.sidecar-injector.istio.io",
            [_match(rev, "In", values.revision), _match(injection, "DoesNotExist")],
            [not_refused],
        ),
        (
            "rev.object.sidecar-injector.istio.io",
            [_match(rev, "DoesNotExist"), _match(injection, "DoesNotExist")],
            [not_refused, _match(rev, "In", values.revision)],
        ),
    ]
    if values.revision == "default":
        selectors += [
            ("namespace.sidecar-injector.istio.io", [_match(injection, "In", "enabled")], [not_refused]),
            (
                "object.sidecar-injector.istio.io",
                [_match(injection, "DoesNotExist"), _match(rev, "DoesNotExist")],
                [asked, _match(rev, "DoesNotExist")],
            ),
        ]
    webhooks = [
        {
            "name": name,
            "clientConfig": _client(values, "/inject"),
            "namespaceSelector": {"matchExpressions": namespaces},
            "objectSelector": {"matchExpressions": objects},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "timeoutSeconds": 10,
        }
        for name, namespaces, objects in selectors
    ]
    name = "istio-sidecar-injector" + ("" if values.revision == "default" else f"-{values.revision}")
    return _object(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "",
        name,
        _labels(values),
        webhooks=webhooks,
    )


def _validating(values: InstallValues) -> Obj:
    webhook = {
        "name": "rev.validation.istio.io",
        "clientConfig": _client(values, "/validate"),
        "rules": [
            {
                "apiGroups": ["networking.istio.io", "security.istio.io"],
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["*"],
            }
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "matchPolicy": "Exact",
        "timeoutSeconds": 10,
    }
    return _object(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "",
        f"istio-validator-{values.namespace}",
        _labels(values),
        webhooks=[webhook],
    )
