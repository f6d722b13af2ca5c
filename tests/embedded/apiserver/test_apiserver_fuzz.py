"""Hostile input: every answer is a Status or an object, never a stack trace, and the server stays up."""

from __future__ import annotations

import os
import random
import re
from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.anyio
COUNT = int(os.environ.get("MESHTEST_FUZZ_REQUESTS", "2000"))
SEED = int(os.environ.get("MESHTEST_FUZZ_SEED", "1"))
KINDS = (
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/services",
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/batch/v1/namespaces/default/jobs",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    "/apis/authentication.k8s.io/v1/tokenreviews",
)
WORDS = re.findall(
    r"\w+",
    """
    metadata name namespace labels annotations finalizers ownerReferences managedFields spec status containers
    image ports port selector matchLabels template replicas type clusterIP versions schema openAPIV3Schema names
    plural kind group scope rules subjects roleRef webhooks clientConfig service data stringData endpoints
    addressType addresses volumes emptyDir resources limits generateName uid resourceVersion items properties env
    value
    """,
)
ATOMS: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**18, "", "x", "a/b", "\u0000", "é", "default", "v1", [], {})
MEDIA = (
    "application/json",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
    "text/html",
)
QUERIES = (
    "",
    "?limit=x",
    "?limit=1",
    "?continue=e30=",
    "?labelSelector=a%20in%20(",
    "?labelSelector=a",
    "?fieldSelector=a=b=c",
    "?fieldSelector=metadata.name%3Dx",
    "?dryRun=All",
    "?dryRun=x",
    "?fieldManager=f",
    "?fieldManager=f&force=true",
    "?fieldValidation=Strict",
    "?gracePeriodSeconds=x",
    "?propagationPolicy=Foreground",
)


def _value(rng: random.Random, depth: int) -> Any:
    roll = rng.random()
    if depth <= 0 or roll < 0.35:
        return rng.choice(ATOMS)
    if roll < 0.75:
        return {rng.choice(WORDS): _value(rng, depth - 1) for _ in range(rng.randrange(5))}
    return [_value(rng, depth - 1) for _ in range(rng.randrange(3))]


def _body(rng: random.Random, media: str) -> bytes:
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(40))
    if "protobuf" in media:
        return b"k8s\x00" + rng.randbytes(rng.randrange(60))
    if "json-patch" in media and rng.random() < 0.7:
        paths = ["/" + "/".join(rng.choices(WORDS, k=rng.randrange(4))) for _ in range(2)]
        operation = {"op": rng.choice(("add", "remove", "replace", "test", "move", "x")), "path": rng.choice(paths)}
        return orjson.dumps([{**operation, "from": paths[0], "value": _value(rng, 2)}])
    document = {
        "metadata": {"name": rng.choice(("x", "y", "", "Z")), "labels": _value(rng, 1)},
        "spec": _value(rng, 4),
        **{rng.choice(WORDS): _value(rng, 3) for _ in range(3)},
    }
    return orjson.dumps(document if rng.random() < 0.8 else _value(rng, 4))


CONTAINER: Any = {"name": "c", "image": "x", "ports": [{"containerPort": 1}], "env": [{"name": "a", "value": "b"}]}
TEMPLATE: Any = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER], "volumes": [{"name": "v"}]}}
SCHEMA: Any = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}
VERSION: Any = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}
NAMES: Any = {"plural": "fuzzes", "kind": "Fuzz", "singular": "fuzz", "listKind": "FuzzList"}
HOOK: Any = {
    "name": "a.b.c",
    "clientConfig": {"service": {"name": "n", "namespace": "n"}},
    "rules": [{"operations": ["CREATE"], "apiGroups": ["x"], "apiVersions": ["v1"], "resources": ["xs"]}],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "failurePolicy": "Ignore",
}
CORPUS: dict[str, Any] = {
    KINDS[0]: {"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": TEMPLATE["spec"]},
    KINDS[1]: {"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80, "name": "a"}], "selector": {"a": "b"}}},
    KINDS[2]: {"metadata": {"name": "x", "annotations": {"a": "b"}}, "data": {"a": "b"}},
    KINDS[3]: {"metadata": {"name": "x"}, "stringData": {"a": "b"}, "type": "Opaque"},
    KINDS[6]: {"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}},
    KINDS[7]: {
        "metadata": {"name": "x"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", **TEMPLATE["spec"]}}},
    },
    KINDS[8]: {
        "metadata": {"name": "fuzzes.fuzz.test"},
        "spec": {"group": "fuzz.test", "scope": "Namespaced", "names": NAMES, "versions": [VERSION]},
    },
    KINDS[9]: {
        "metadata": {"name": "x"},
        "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "u"}],
    },
    KINDS[10]: {"metadata": {"name": "x"}, "webhooks": [HOOK]},
    KINDS[11]: {
        "metadata": {"name": "x"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "", "port": 80}],
    },
    KINDS[13]: {"spec": {"user": "u", "resourceAttributes": {"verb": "get", "resource": "pods"}}},
    KINDS[14]: {"spec": {"token": "t", "audiences": ["a"]}},
}


def _damaged(rng: random.Random, value: Any) -> Any:
    """A copy with one place, anywhere in it, replaced or taken out."""
    if rng.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return _value(rng, 2)
    if isinstance(value, list):
        at = rng.randrange(len(value))
        return [*value[:at], _damaged(rng, value[at]), *value[at + 1 :]]
    key = rng.choice(list(value))
    if rng.random() < 0.1:
        return {name: each for name, each in value.items() if name != key}
    return {**value, key: _damaged(rng, value[key])}


async def test_malformed_requests_are_answered(api: Any) -> None:
    rng = random.Random(SEED)
    deployment = "/apis/apps/v1/namespaces/default/deployments"
    container = {"name": "c", "image": "x"}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    assert (await api("POST", deployment, {"metadata": {"name": "x"}, "spec": spec})).code == 201
    await api("POST", KINDS[0], {"metadata": {"name": "x"}, "spec": {"containers": [container]}})
    await api("POST", KINDS[1], {"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}})
    await api("POST", KINDS[2], {"metadata": {"name": "x"}})
    for number in range(COUNT):
        method = rng.choice(("GET", "POST", "POST", "PUT", "PATCH", "PATCH", "PATCH", "DELETE"))
        path = rng.choice(KINDS)
        if method != "POST" or rng.random() < 0.1:
            path += rng.choice(("/x", "/x", "/x", "/y", "", "/x/status", "/x/scale", "/x/binding", "/%00", "/x/token"))
        media = rng.choice(MEDIA)
        data = None if method == "GET" else _body(rng, media)
        query = rng.choice(QUERIES)
        if data is not None and rng.random() < 0.5 and (valid := CORPUS.get(path.removesuffix("/x"))):
            media = "application/json" if method in ("POST", "PUT") else rng.choice(MEDIA[2:4])
            data = orjson.dumps(_damaged(rng, valid))
        answer = await api(method, path + query, data, media=media)
        what = f"seed {SEED}, request {number}: {method} {path}{query} {media} {data!r} -> {answer}"
        assert isinstance(answer.body, dict), what
        assert answer.code != 500, what
        assert answer.code < 400 or answer.body["kind"] == "Status", what
    assert (await api("GET", "/readyz")).code == 200


HOSTILE = ("^(a+)+$", "^(a|aa)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", "((a{100}){100}){100}", "(?=a)+", "(")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("pattern", HOSTILE)
async def test_a_regular_expression_cannot_stall_the_server(api: Any, pattern: str) -> None:
    rule = f"self.by_rule.matches({orjson.dumps(pattern).decode()})"
    found = f"self.by_rule.find({orjson.dumps(pattern).decode()}) != 'z'"
    spec = {
        "type": "object",
        "properties": {"by_pattern": {"type": "string", "pattern": pattern}, "by_rule": {"type": "string"}},
        "x-kubernetes-validations": [{"rule": rule}, {"rule": found}],
    }
    schema = {"type": "object", "properties": {"spec": spec}}
    versions = [{**VERSION, "schema": {"openAPIV3Schema": schema}}]
    definition = {**CORPUS[KINDS[8]], "spec": {**CORPUS[KINDS[8]]["spec"], "versions": versions}}
    assert (await api("POST", KINDS[8], definition)).code == 201
    text = "a" * 50_000 + "!"
    for field in ("by_pattern", "by_rule"):
        body = {"apiVersion": "fuzz.test/v1", "kind": "Fuzz", "metadata": {"name": "x"}, "spec": {field: text}}
        answer = await api("POST", "/apis/fuzz.test/v1/namespaces/default/fuzzes", body)
        assert answer.code == 422, answer
    assert (await api("GET", "/readyz")).code == 200
