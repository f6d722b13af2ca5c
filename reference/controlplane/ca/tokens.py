"""Whose token is it? Bearer tokens are reviewed by the API server, which alone knows (TokenReview)."""

import hashlib
import time
from collections.abc import Iterable

from kubeclient import ApiError, Client, Obj
from kubeclient.resources import TOKEN_REVIEWS
from reference.controlplane.xds.identity import Identity, from_username

AUDIENCE = "istio-ca"
REMEMBER = 10.0
"""Seconds that a token once found good is believed: a proxy opens its streams and asks for a certificate at once."""


def bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The token in gRPC metadata's `authorization: Bearer …`, None without one."""
    for key, value in metadata:
        if key.lower() == "authorization":
            text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
            scheme, _, token = text.partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return token.strip()
    return None


def review_body(token: str, audiences: list[str]) -> Obj:
    """A TokenReview object to create; no audiences means the API server's own."""
    spec: Obj = {"token": token}
    if audiences:
        spec["audiences"] = audiences
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}


def user_info(review: Obj, audiences: list[str]) -> Obj | None:
    """The user (username, groups, …) that a reviewed token authenticates for one of the audiences, None when none."""
    status = review.get("status") or {}
    if not status.get("authenticated"):
        return None
    # An API server that knows nothing of audiences leaves the list out; then the token is not bound to ours.
    if audiences and not set(audiences) & set(status.get("audiences") or []):
        return None
    user = status.get("user") or {}
    name = user.get("username")
    return user if isinstance(name, str) and name else None


class TokenReviewer:
    """Authenticates bearer tokens against the API server."""

    def __init__(self, client: Client, trust_domain: str) -> None:
        self._client, self._trust_domain = client, trust_domain
        self._known: dict[tuple[bytes, str], tuple[float, Obj]] = {}

    async def user(self, token: str, audience: str = AUDIENCE) -> Obj | None:
        """The user as TokenReview has it, or None when the token is not good for `audience` ("": the API server's)."""
        key = (hashlib.sha256(token.encode()).digest(), audience)
        moment = time.monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > moment:
            return known[1]
        audiences = [audience] if audience else []
        try:
            review = await self._client.create(TOKEN_REVIEWS, review_body(token, audiences))
        except ApiError as error:
            if error.code in (401, 403):
                raise
            return None
        found = user_info(review, audiences)
        if found is not None:
            self._known = {k: v for k, v in self._known.items() if v[0] > moment}
            self._known[key] = (moment + REMEMBER, found)
        return found

    async def identity(self, token: str | None) -> Identity | None:
        """The service account behind an istio-ca token, None without one."""
        user = await self.user(token) if token else None
        return from_username(user["username"], self._trust_domain) if user else None
