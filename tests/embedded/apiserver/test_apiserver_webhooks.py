"""Webhooks: real HTTPS behind a Service whose endpoint is in this process."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from meshtest.embedded import pki

pytestmark = pytest.mark.anyio
Obj = dict[str, Any]
PODS = "/api/v1/namespaces/default/pods"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
Answer = Callable[[Obj], Obj]


@contextlib.asynccontextmanager
async def _hook(api: Any, answer: Answer) -> AsyncIterator[list[Obj]]:
    """A webhook server as Service ``hook`` in ``default``; the requests that it gets."""
    seen: list[Obj] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        review = orjson.loads(await request.read())
        seen.append(review["request"])
        response = {"uid": review["request"]["uid"], **answer(review["request"])}
        return web.json_response({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})

    pair = pki.issue(api.keys.ca(), "hook", dns=["hook.default.svc"], server=True)
    cert, key = api.keys.directory / "hook.crt", api.keys.directory / "hook.key"
    cert.write_bytes(pair.cert_pem)
    pki.write_private(key, pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.SockSite(runner, listening, ssl_context=context).start()
    service = {"metadata": {"name": "hook"}, "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]}}
    await api("POST", "/api/v1/namespaces/default/services", service)
    piece = {
        "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [{"name": "https", "port": port}],
    }
    await api("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", piece)
    try:
        yield seen
    finally:
        await runner.cleanup()


async def _configure(api: Any, kind: str, **more: Any) -> None:
    bundle = base64.b64encode(api.keys.ca_cert.read_bytes()).decode()
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    hook = {
        "name": "a.hook.test",
        "clientConfig": {"caBundle": bundle, "service": {"name": "hook", "namespace": "default", "path": "/x"}},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        **more,
    }
    body = {"metadata": {"name": "h"}, "webhooks": [hook]}
    made = await api("POST", f"{ADMISSION}/{kind}webhookconfigurations", body)
    assert made.code == 201, made.body


def _pod(name: str, **labels: str) -> Obj:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}


def _patch(*operations: Obj) -> Obj:
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(operations)).decode()}


async def test_mutating_patches_and_what_it_is_told(api: Any) -> None:
    add = {"op": "add", "path": "/spec/containers/-", "value": {"name": "proxy", "image": "y"}}
    async with _hook(api, lambda _: _patch(add)) as seen:
        await _configure(api, "mutating")
        made = await api("POST", PODS, _pod("p"))
        assert [c["name"] for c in made.body["spec"]["containers"]] == ["c", "proxy"]
        assert made.body["spec"]["containers"][1]["terminationMessagePolicy"] == "File"
        request = seen[0]
        assert (request["operation"], request["namespace"], request["resource"]["resource"]) == (
            "CREATE",
            "default",
            "pods",
        )
        assert request["userInfo"]["username"] == pki.ADMIN_USER
        await api("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "c"}})
        assert len(seen) == 1


async def test_selectors_and_conditions_choose(api: Any) -> None:
    async with _hook(api, lambda _: {"allowed": True}) as seen:
        await _configure(
            api,
            "mutating",
            objectSelector={"matchLabels": {"inject": "yes"}},
            namespaceSelector={"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]},
            matchConditions=[{"name": "not-q", "expression": "object.metadata.name != 'q'"}],
        )
        for name, labels in (("p", {"inject": "yes"}), ("q", {"inject": "yes"}), ("r", {"inject": "no"})):
            assert (await api("POST", PODS, _pod(name, **labels))).code == 201
        assert [request["object"]["metadata"]["name"] for request in seen] == ["p"]


async def test_validating_refusal(api: Any) -> None:
    async with _hook(api, lambda _: {"allowed": False, "status": {"message": "no pods", "code": 403}}):
        await _configure(api, "validating")
        refused = await api("POST", PODS, _pod("p"))
        assert (refused.code, refused.body["message"]) == (
            403,
            'admission webhook "a.hook.test" denied the request: no pods',
        )
        assert (await api("GET", f"{PODS}/p")).code == 404


async def test_failure_policy(api: Any) -> None:
    await _configure(api, "validating")
    failed = await api("POST", PODS, _pod("p"))
    assert failed.code == 500
    assert failed.body["message"].startswith(
        'Internal error occurred: failed calling webhook "a.hook.test": failed to call webhook: Post '
        '"https://hook.default.svc:443/x?timeout=2s": '
    )
    await api("DELETE", f"{ADMISSION}/validatingwebhookconfigurations/h")
    await _configure(api, "validating", failurePolicy="Ignore")
    assert (await api("POST", PODS, _pod("p"))).code == 201


async def test_a_certificate_of_another_ca_is_refused(api: Any) -> None:
    other = base64.b64encode(pki.make_ca("other").cert_pem).decode()
    service = {"name": "hook", "namespace": "default"}
    async with _hook(api, lambda _: {"allowed": True}) as seen:
        await _configure(api, "validating", clientConfig={"caBundle": other, "service": service})
        failed = await api("POST", PODS, _pod("p"))
        assert (failed.code, seen) == (500, [])
        assert "certificate verify failed" in failed.body["message"]
