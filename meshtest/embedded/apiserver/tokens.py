"""Service-account tokens: JWTs (ES256) bound to an account and, mostly, to a pod.

Claims: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .call import AUTHENTICATED, User
from .store import Item, Store

Obj = dict[str, Any]
ISSUER = "https://kubernetes.default.svc.cluster.local"
MIN_SECONDS = 600
_CACHE = 4096


class InvalidToken(Exception):
    """Not a token of this cluster, expired, for another audience, or its account or pod is gone."""


class Tokens:
    """Makes and checks tokens. What a token is bound to is looked up at every check."""

    def __init__(self, store: Store, key_file: Path, issuer: str = ISSUER) -> None:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_file}: expected an ECDSA key")
        self._key = key
        self._store = store
        self.issuer = issuer
        self._known: dict[str, Obj] = {}

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def create(
        self, account: Item, audiences: list[str], seconds: int, pod: Item | None = None, node: Item | None = None
    ) -> tuple[str, float]:
        """A token, and when it expires (seconds since the epoch)."""
        now = time.time()
        private: Obj = {
            "namespace": account.namespace,
            "serviceaccount": {"name": account.name, "uid": account.uid},
        }
        if pod is not None:
            private["pod"] = {"name": pod.name, "uid": pod.uid}
        if node is not None:
            private["node"] = {"name": node.name, "uid": node.uid}
        claims = {
            "aud": audiences or [self.issuer],
            "exp": int(now + seconds),
            "iat": int(now),
            "nbf": int(now),
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "sub": f"system:serviceaccount:{account.namespace}:{account.name}",
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": "meshtest"}), now + seconds

    def user(self, token: str) -> User:
        """Who holds a token for this API server. Raises `InvalidToken`."""
        return self.review(token, [self.issuer])[0]

    def review(self, token: str, audiences: list[str]) -> tuple[User, list[str]]:
        """The holder, and which of ``audiences`` (none: the API server's own) the token is for."""
        claims = self._claims(token)
        wanted = audiences or [self.issuer]
        common = [each for each in wanted if each in claims["aud"]]
        if not common:
            raise InvalidToken(f"token audiences {claims['aud']} is invalid for the target audiences {wanted}")
        if claims["exp"] <= time.time():
            raise InvalidToken("service account token has expired")
        return self._bound_user(claims), common

    def _claims(self, token: str) -> Obj:
        known = self._known.get(token)
        if known is None:
            try:
                known = jwt.decode(
                    token,
                    self.public_key,
                    algorithms=["ES256"],
                    issuer=self.issuer,
                    options={"verify_aud": False, "require": ["exp", "aud", "sub"]},
                    leeway=60,
                )
            except jwt.InvalidTokenError as error:
                raise InvalidToken(str(error)) from None
            if len(self._known) >= _CACHE:
                self._known.clear()
            self._known[token] = known
        return known

    def _bound_user(self, claims: Obj) -> User:
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        self._must_live("serviceaccounts", namespace, account)
        extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)}
        if pod := private.get("pod"):
            self._must_live("pods", namespace, pod)
            extra["authentication.kubernetes.io/pod-name"] = (pod["name"],)
            extra["authentication.kubernetes.io/pod-uid"] = (pod["uid"],)
        if node := private.get("node"):
            extra["authentication.kubernetes.io/node-name"] = (node["name"],)
            extra["authentication.kubernetes.io/node-uid"] = (node["uid"],)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account["uid"], extra)

    def _must_live(self, collection: str, namespace: str, reference: Obj) -> None:
        found = self._store.collection(collection).get(namespace, reference["name"])
        if found is None or found.uid != reference["uid"]:
            raise InvalidToken(f"{collection} {namespace}/{reference['name']} of this token is gone")

    def jwks(self) -> Obj:
        """The public key as a JSON Web Key Set."""
        numbers = self.public_key.public_numbers()

        def encode(number: int) -> str:
            return jwt.utils.base64url_encode(number.to_bytes(32, "big")).decode()

        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "meshtest"}
        return {"keys": [{**key, "x": encode(numbers.x), "y": encode(numbers.y)}]}
