"""A token opens a debug page when its user may get that path."""

from typing import Any, cast

import pytest

from kubeclient import Client, Resource
from kubeclient.resources import SUBJECT_ACCESS_REVIEWS
from reference.controlplane.debug.authorization import DebugAuthorizer, Verdict
from reference.install import InstallValues, render

Obj = dict[str, Any]
pytestmark = pytest.mark.anyio


class ApiServer:
    """Lets members of `auditors` get /debug/*."""

    def __init__(self) -> None:
        self.asked: list[Obj] = []

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        assert resource is SUBJECT_ACCESS_REVIEWS
        spec = obj["spec"]
        self.asked.append(spec)
        right = spec["nonResourceAttributes"]["path"].startswith("/debug/")
        return {**obj, "status": {"allowed": right and "auditors" in spec.get("groups", [])}}


USERS: dict[str, Obj] = {
    "auditor": {"username": "u", "groups": ["auditors"], "extra": {"k": ["v"]}},
    "pod": {"username": "system:serviceaccount:ns:default", "groups": ["system:authenticated"]},
}


async def user_of(token: str) -> Obj | None:
    return USERS.get(token)


@pytest.mark.parametrize("path", ["/debug", "/debug/config_dump"])
@pytest.mark.parametrize(
    ("token", "verdict"), [("auditor", Verdict.ALLOWED), ("pod", Verdict.FORBIDDEN), ("nonsense", Verdict.UNKNOWN)]
)
async def test_who_may_look(token: str, path: str, verdict: Verdict) -> None:
    assert await DebugAuthorizer(cast(Client, ApiServer()), user_of)(token, path) is verdict


async def test_the_question_has_all_that_is_known_of_the_user() -> None:
    server = ApiServer()
    await DebugAuthorizer(cast(Client, server), user_of)("auditor", "/debug/syncz")
    attributes = {"verb": "get", "path": "/debug/syncz"}
    expected = {"user": "u", "groups": ["auditors"], "extra": {"k": ["v"]}, "nonResourceAttributes": attributes}
    assert server.asked == [expected]


async def test_the_install_lets_istiod_ask() -> None:
    rules = [rule for each in render(InstallValues()) if each["kind"] == "ClusterRole" for rule in each["rules"]]
    assert any(rule["resources"] == ["subjectaccessreviews"] and rule["verbs"] == ["create"] for rule in rules)
