"""Whether the API server lets the bearer of a token read a debug page: TokenReview, then SubjectAccessReview."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from kubeclient import Client
from kubeclient.resources import SUBJECT_ACCESS_REVIEWS

Obj = dict[str, Any]
UserOf = Callable[[str], Awaitable[Obj | None]]


class Verdict(Enum):
    """`UNKNOWN`: nobody's token. `FORBIDDEN`: the user may not get that path."""

    ALLOWED = 200
    UNKNOWN = 401
    FORBIDDEN = 403


def access_review(user: Obj, path: str) -> Obj:
    """A SubjectAccessReview: may this user (a TokenReview's `status.user`) get that path?"""
    # What lies under /debug is granted as /debug/*, which does not cover the index.
    path = "/debug/list" if path == "/debug" else path
    spec: Obj = {"user": user["username"], "nonResourceAttributes": {"verb": "get", "path": path}}
    spec.update({key: user[key] for key in ("groups", "uid", "extra") if user.get(key)})
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


class DebugAuthorizer:
    """`user_of` authenticates a token. Answers are not kept: a role that was taken away is away at once."""

    def __init__(self, client: Client, user_of: UserOf) -> None:
        self._client, self._user_of = client, user_of

    async def __call__(self, token: str, path: str) -> Verdict:
        user = await self._user_of(token)
        if user is None:
            return Verdict.UNKNOWN
        review = await self._client.create(SUBJECT_ACCESS_REVIEWS, access_review(user, path))
        return Verdict.ALLOWED if (review.get("status") or {}).get("allowed") is True else Verdict.FORBIDDEN
