"""Questions to the API server: who is this token, may this user do that; and requests for tokens."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from .answers import json_response
from .call import Call, User
from .core import Core
from .errors import bad_request, conflict, invalid, invalid_object, not_found
from .kinds import Kind
from .metadata import now
from .rbac import Question
from .request import Target
from .tokens import MIN_SECONDS, InvalidToken
from .userinfo import user_info

Obj = dict[str, Any]


async def token_request(core: Core, target: Target, obj: Obj, call: Call) -> web.Response:
    """``serviceaccounts/NAME/token``."""
    del call
    account = core.store.collection("serviceaccounts").get(target.namespace, target.name)
    if account is None:
        raise not_found("", "serviceaccounts", target.name)
    spec = obj.get("spec") or {}
    seconds = spec.get("expirationSeconds") or 3600
    if not isinstance(seconds, int) or seconds < MIN_SECONDS:
        error = invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        raise invalid_object("authentication.k8s.io", "TokenRequest", "", [error])
    pod = node = None
    bound = spec.get("boundObjectRef")
    if bound:
        if bound.get("kind") != "Pod":
            raise bad_request(f"cannot bind token for serviceaccount to kind {bound.get('kind')!r}; expected Pod")
        pod = core.store.collection("pods").get(target.namespace, bound.get("name", ""))
        if pod is None:
            raise not_found("", "pods", bound.get("name", ""))
        if bound.get("uid") and bound["uid"] != pod.uid:
            why = (
                f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record ({pod.uid}). "
            )
            raise conflict("", "pods", pod.name, why + "The object might have been deleted and then recreated")
        if (pod.obj["spec"].get("serviceAccountName") or "default") != target.name:
            why = f'cannot bind token for serviceaccount "{target.name}" to a pod that runs as another service account'
            raise bad_request(why)
        if name := pod.obj["spec"].get("nodeName"):
            node = core.store.collection("nodes").get("", name)
    audiences = [str(each) for each in spec.get("audiences") or []]
    token, expires = core.tokens.create(account, audiences, min(seconds, 86400 * 365), pod, node)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    answer = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace, "creationTimestamp": now()},
        "spec": {**spec, "audiences": audiences or [core.tokens.issuer], "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": stamp},
    }
    return json_response(answer, 201)


def answer(core: Core, kind: Kind, target: Target, obj: Obj, call: Call) -> web.Response:
    spec = obj.get("spec") or {}
    if not isinstance(spec, dict):
        raise bad_request("spec: expected an object")
    match kind.kind:
        case "TokenReview":
            status = _token_review(core, spec)
        case "SelfSubjectReview":
            status = {"userInfo": user_info(call.user)}
        case "SelfSubjectAccessReview":
            status = _access(core, call.user, spec)
        case "SubjectAccessReview" | "LocalSubjectAccessReview":
            status = _access(core, _user_of(spec), spec)
        case _:
            status = _rules(core, call.user, spec.get("namespace") or target.namespace)
    meta = {"creationTimestamp": None, **(obj.get("metadata") or {})}
    return json_response(
        {"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": meta, "spec": spec, "status": status}, 201
    )


def _token_review(core: Core, spec: Obj) -> Obj:
    try:
        user, audiences = core.tokens.review(str(spec.get("token") or ""), list(spec.get("audiences") or []))
    except InvalidToken as error:
        return {"authenticated": False, "user": {}, "error": str(error)}
    return {"authenticated": True, "user": user_info(user), "audiences": audiences}


def _user_of(spec: Obj) -> User:
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


def _access(core: Core, user: User, spec: Obj) -> Obj:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource:
        question = Question(
            resource.get("verb", ""),
            resource.get("group") or "",
            resource.get("resource") or "*",
            resource.get("subresource") or "",
            resource.get("namespace") or "",
            resource.get("name") or "",
        )
    elif path:
        question = Question(path.get("verb", ""), path=path.get("path", ""))
    else:
        raise bad_request("spec: exactly one of resourceAttributes or nonResourceAttributes must be set")
    allowed = core.rbac.allows(user, question)
    return {"allowed": True, "reason": "RBAC: allowed"} if allowed else {"allowed": False}


def _rules(core: Core, user: User, namespace: str) -> Obj:
    resources: list[Obj] = []
    paths: list[Obj] = []
    if "system:masters" in user.groups:
        resources.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        paths.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    for rule in core.rbac.rules(user, namespace):
        if rule.get("nonResourceURLs"):
            paths.append({k: rule[k] for k in ("verbs", "nonResourceURLs")})
        else:
            resources.append({k: rule[k] for k in ("verbs", "apiGroups", "resources", "resourceNames") if k in rule})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
