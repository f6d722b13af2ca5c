"""The HTTPS face of admission on 15017: `/inject` and `/validate`, AdmissionReview v1 in and out."""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from reference.controlplane.webhooks import policy
from reference.controlplane.webhooks.inject import CannotInject, inject
from reference.controlplane.webhooks.sidecar import SidecarValues

log = logging.getLogger(__name__)
Obj = dict[str, Any]
Validate = Callable[[Obj], str | None]


def allowed(uid: str, patch: list[Obj] | None = None) -> Obj:
    """An AdmissionReview that lets the request pass, changed by a JSON patch."""
    response: Obj = {"uid": uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def denied(uid: str, message: str, code: int = 400, reason: str = "Invalid") -> Obj:
    """An AdmissionReview that refuses the request."""
    status = {"message": message, "code": code, "reason": reason}
    response = {"uid": uid, "allowed": False, "status": status}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def review_pod(request: Obj, values: SidecarValues) -> Obj:
    """The answer to `/inject`."""
    uid, pod = str(request.get("uid", "")), request.get("object")
    if not isinstance(pod, dict) or pod.get("kind", "Pod") != "Pod":
        return denied(uid, f"request.object: expected a Pod, got {type(pod).__name__}")
    namespace = request.get("namespace") or (pod.get("metadata") or {}).get("namespace") or "default"
    why = policy.refusal(pod, namespace)
    if why is not None:
        log.debug("pod in %s not injected: %s", namespace, why)
        return allowed(uid)
    try:
        return allowed(uid, inject(pod, values))
    except CannotInject as error:
        return denied(uid, f"sidecar injection: {error}")


def review_config(request: Obj, validate: Validate) -> Obj:
    """The answer to `/validate`."""
    uid = str(request.get("uid", ""))
    if request.get("operation") == "DELETE" or not isinstance(request.get("object"), dict):
        return allowed(uid)
    message = validate(request["object"])
    return allowed(uid) if message is None else denied(uid, message, 422)


def application(values: Callable[[], SidecarValues], validate: Validate) -> web.Application:
    """The webhooks as an aiohttp application. `values` is asked anew for each pod."""

    async def handle(http: web.Request, answer: Callable[[Obj], Obj]) -> web.Response:
        try:
            review = await http.json()
            request = review["request"]
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response(
                {"error": f"expected an AdmissionReview with a request, got {error!r}"}, status=400
            )
        return web.json_response(answer(request))

    async def on_inject(http: web.Request) -> web.Response:
        return await handle(http, lambda request: review_pod(request, values()))

    async def on_validate(http: web.Request) -> web.Response:
        return await handle(http, lambda request: review_config(request, validate))

    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/inject", on_inject)
    app.router.add_post("/validate", on_validate)
    return app
