"""Who is calling: the client certificate of the connection, or a bearer token.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

import ssl
from typing import Any
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.x509.oid import NameOID

from .call import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User
from .errors import unauthorized
from .tokens import InvalidToken, Tokens

NOBODY = User(ANONYMOUS, (UNAUTHENTICATED,))


class Authenticator:
    """Certificates are checked by TLS; here they are only read, once per connection."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._by_connection: WeakKeyDictionary[Any, User | None] = WeakKeyDictionary()

    def authenticate(self, transport: object, authorization: str | None) -> User:
        """The caller; `NOBODY` without credentials. Raises 401 for credentials that are not valid."""
        if transport is not None:
            user = self._certificate_user(transport)
            if user is not None:
                return user
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() == "bearer":
                try:
                    return self._tokens.user(token.strip())
                except InvalidToken:
                    raise unauthorized() from None
        return NOBODY

    def _certificate_user(self, transport: Any) -> User | None:
        try:
            return self._by_connection[transport]
        except KeyError:
            pass
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(True) if isinstance(tls, ssl.SSLObject) else None
        user = user_of_certificate(der) if der else None
        self._by_connection[transport] = user
        return user


def user_of_certificate(der: bytes) -> User | None:
    """CN is the name, each O a group; None without a CN."""
    subject = x509.load_der_x509_certificate(der).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        return None
    groups = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return User(str(names[0].value), (*groups, AUTHENTICATED))
