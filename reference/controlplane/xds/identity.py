"""Who a stream's caller is, and whether it may be the proxy that it says to be. Pure decisions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PART = r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
_SPIFFE = re.compile(rf"^spiffe://(?P<td>{_PART})/ns/(?P<ns>{_PART})/sa/(?P<sa>{_PART})$")
_USER = re.compile(rf"^system:serviceaccount:(?P<ns>{_PART}):(?P<sa>{_PART})$")


@dataclass(frozen=True, slots=True)
class Identity:
    """A service account of a trust domain; `str()` is its SPIFFE id."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def from_sans(names: Iterable[str]) -> Identity | None:
    """The identity in a certificate's subject alternative names: its one SPIFFE URI in Istio's form, else None."""
    uris = [name for name in names if name.startswith("spiffe://")]
    match = _SPIFFE.match(uris[0]) if len(uris) == 1 else None
    return Identity(match["td"], match["ns"], match["sa"]) if match else None


def from_username(username: str, trust_domain: str) -> Identity | None:
    """The identity behind a TokenReview's user name, None when it is not a service account."""
    match = _USER.match(username)
    return Identity(trust_domain, match["ns"], match["sa"]) if match else None


def refusal(identity: Identity, namespace: str, service_account: str) -> str | None:
    """Why this caller may not be a proxy with that NAMESPACE and SERVICE_ACCOUNT metadata; None when it may.

    The namespace must be the identity's; the service account too, when the metadata has one (mesh-protocols section 1).
    """
    if namespace != identity.namespace:
        return f"node metadata NAMESPACE: expected {identity.namespace!r} as in {identity}, got {namespace!r}"
    if service_account and service_account != identity.service_account:
        expected = identity.service_account
        return f"node metadata SERVICE_ACCOUNT: expected {expected!r} as in {identity}, got {service_account!r}"
    return None
