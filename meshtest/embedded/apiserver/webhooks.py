"""Admission webhooks: which apply, asking them, and what their answers mean.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from . import patches
from .admission import Attributes
from .conditions import ConditionError, Conditions
from .errors import StatusError, internal
from .kinds import Kind
from .matching import Hook, matched_version
from .selectors import matches_labels
from .store import Event, Store
from .userinfo import user_info
from .webhook_client import CallFailed, WebhookClient

Obj = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
MUTATING = f"mutatingwebhookconfigurations.{GROUP}"
VALIDATING = f"validatingwebhookconfigurations.{GROUP}"


@dataclass(frozen=True, slots=True)
class _Answer:
    allowed: bool
    patch: Any
    status: Obj
    warnings: list[str]


class DynamicWebhooks:
    """All configured webhooks of one cluster."""

    def __init__(self, store: Store, client: WebhookClient) -> None:
        self._store = store
        self._client = client
        self._conditions = Conditions()
        self._hooks: dict[str, list[Hook]] = {}
        for key in (MUTATING, VALIDATING):
            store.collection(key).listen(self, self._on_event)

    def _on_event(self, event: Event) -> None:
        del event
        self._hooks.clear()

    def _all(self, key: str) -> list[Hook]:
        if key not in self._hooks:
            self._hooks[key] = [
                Hook.parse(item.name, hook)
                for item in self._store.collection(key).items()
                for hook in item.obj.get("webhooks") or []
            ]
        return self._hooks[key]

    async def mutate(self, attributes: Attributes, obj: Obj, old: Obj | None) -> Obj:
        hooks = self._all(MUTATING)
        if not hooks or attributes.kind.group == GROUP:
            return obj
        invoked: list[Hook] = []
        again: list[Hook] = []
        for hook in hooks:
            obj, changed, asked = await self._mutate_once(hook, attributes, obj, old)
            if changed:
                again = [each for each in invoked if each.reinvoke]
            if asked:
                invoked.append(hook)
        for hook in again:
            obj, _, _ = await self._mutate_once(hook, attributes, obj, old)
        return obj

    async def _mutate_once(
        self, hook: Hook, attributes: Attributes, obj: Obj, old: Obj | None
    ) -> tuple[Obj, bool, bool]:
        """The object, whether it changed, whether the webhook was asked."""
        version = self._applies(hook, attributes, obj, old)
        if version is None:
            return obj, False, False
        answer = await self._ask(hook, attributes, version, obj, old)
        if answer is None or answer.patch is None:
            return obj, False, True
        shown = {**obj, "apiVersion": attributes.kind.api_version(version)}
        try:
            patched = patches.json_patch(shown, answer.patch)
        except StatusError as error:
            raise internal(f'mutating webhook "{hook.name}" returned a patch that does not apply: {error}') from None
        patched["apiVersion"] = obj["apiVersion"]
        return patched, patched != obj, True

    async def validate(self, attributes: Attributes, obj: Obj | None, old: Obj | None) -> None:
        hooks = self._all(VALIDATING)
        if attributes.kind.group == GROUP:
            return
        chosen = [(hook, version) for hook in hooks if (version := self._applies(hook, attributes, obj, old))]
        if len(chosen) == 1:
            await self._ask(chosen[0][0], attributes, chosen[0][1], obj, old)
        elif chosen:
            asking = (self._ask(hook, attributes, version, obj, old) for hook, version in chosen)
            for result in await asyncio.gather(*asking, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result

    def _applies(self, hook: Hook, attributes: Attributes, obj: Obj | None, old: Obj | None) -> str | None:
        """The version of the object that the webhook wants to see; None: it does not apply."""
        version = matched_version(hook, attributes)
        if version is None or not self._namespace_matches(hook, attributes, obj or old or {}):
            return None
        if hook.object_selector:
            trees = [tree for tree in (obj, old) if tree is not None]
            labels = [tree["metadata"].get("labels") or {} for tree in trees]
            if not any(matches_labels(hook.object_selector, each) for each in labels):
                return None
        if hook.conditions:
            try:
                if not self._conditions.hold(hook.conditions, self._variables(attributes, version, obj, old)):
                    return None
            except ConditionError as error:
                if hook.ignore_failure:
                    return None
                raise internal(f'failed calling webhook "{hook.name}": {error}') from None
        return version

    def _namespace_matches(self, hook: Hook, attributes: Attributes, obj: Obj) -> bool:
        if not hook.namespace_selector:
            return True
        if attributes.kind.key == "namespaces":
            return matches_labels(hook.namespace_selector, (obj.get("metadata") or {}).get("labels") or {})
        if not attributes.kind.namespaced:
            return True
        found = self._store.collection("namespaces").get("", attributes.namespace)
        return found is not None and matches_labels(hook.namespace_selector, found.labels)

    def _variables(
        self, attributes: Attributes, version: str, obj: Obj | None, old: Obj | None
    ) -> Callable[[], dict[str, Any]]:
        def make() -> dict[str, Any]:
            request = self._request(attributes, version, obj, old)
            found = self._store.collection("namespaces").get("", attributes.namespace)
            return {
                "request": request,
                "object": obj,
                "oldObject": old,
                "namespaceObject": found.obj if found is not None else None,
            }

        return make

    def _request(self, attributes: Attributes, version: str, obj: Obj | None, old: Obj | None) -> Obj:
        kind: Kind = attributes.kind
        gvk = {"group": kind.group, "version": version, "kind": kind.kind}
        gvr = {"group": kind.group, "version": version, "resource": kind.plural}
        asked = attributes.version
        api_version = kind.api_version(version)
        options = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
        request: Obj = {
            "uid": str(uuid.uuid4()),
            "kind": gvk,
            "resource": gvr,
            "requestKind": {**gvk, "version": asked},
            "requestResource": {**gvr, "version": asked},
            "name": attributes.name,
            "operation": attributes.operation,
            "userInfo": user_info(attributes.call.user),
            "object": {**obj, "apiVersion": api_version} if obj is not None else None,
            "oldObject": {**old, "apiVersion": api_version} if old is not None else None,
            "dryRun": attributes.call.options.dry_run,
            "options": {"kind": options.get(attributes.operation, "UpdateOptions"), "apiVersion": "meta.k8s.io/v1"},
        }
        if kind.namespaced:
            request["namespace"] = attributes.namespace
        elif kind.key == "namespaces":
            request["namespace"] = attributes.name
        if attributes.subresource:
            request["subResource"] = request["requestSubResource"] = attributes.subresource
        return request

    async def _ask(
        self, hook: Hook, attributes: Attributes, version: str, obj: Obj | None, old: Obj | None
    ) -> _Answer | None:
        """The answer of a webhook that allows; None when it failed and that is to be ignored. Raises its refusal."""
        request = self._request(attributes, version, obj, old)
        review = {"kind": "AdmissionReview", "apiVersion": hook.review_version, "request": request}
        try:
            raw = await self._client.call(hook, orjson.dumps(review))
            answer = _read(raw, request["uid"])
        except CallFailed as error:
            if hook.ignore_failure:
                return None
            raise internal(f'failed calling webhook "{hook.name}": {error}') from None
        attributes.call.warnings.extend(answer.warnings)
        if not answer.allowed:
            raise _refusal(hook.name, answer.status)
        return answer


def _read(raw: bytes, uid: str) -> _Answer:
    try:
        response = orjson.loads(raw)["response"]
        if response["uid"] != uid:
            raise CallFailed(f'expected response.uid="{uid}", got "{response["uid"]}"')
        patch = response.get("patch")
        return _Answer(
            response["allowed"] is True,
            orjson.loads(base64.b64decode(patch)) if patch else None,
            response.get("status") or {},
            [str(each) for each in response.get("warnings") or []],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CallFailed(f"the webhook's answer is not an AdmissionReview: {error!r}") from None


def _refusal(name: str, status: Obj) -> StatusError:
    denied = f'admission webhook "{name}" denied the request'
    why = status.get("message") or status.get("reason")
    code = status.get("code") or 0
    code = code if isinstance(code, int) and code >= 400 else 400
    return StatusError(
        code,
        str(status.get("reason") or ""),
        f"{denied}: {why}" if why else f"{denied} without explanation",
        status.get("details"),
    )
