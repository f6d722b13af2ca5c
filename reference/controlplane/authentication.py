"""Who calls on gRPC: a workload with its certificate, or one that has only its token yet."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import grpc

from reference.controlplane.ca.tokens import bearer
from reference.controlplane.xds.identity import Identity, from_sans

Context: TypeAlias = grpc.aio.ServicerContext


class Reviewer(Protocol):
    """Says whose token it is, None when nobody's."""

    async def identity(self, token: str | None) -> Identity | None: ...


def authenticator(reviewer: Reviewer, trust_domain: str) -> Callable[[Context], Awaitable[Identity | None]]:
    """The identity of a call: its client certificate's if of `trust_domain`, else its token's, else None."""

    async def authenticate(context: Context) -> Identity | None:
        names = context.auth_context().get("x509_subject_alternative_name") or ()
        identity = from_sans([name.decode("utf-8", "replace") for name in names])
        if identity is not None and identity.trust_domain == trust_domain:
            return identity
        return await reviewer.identity(bearer(context.invocation_metadata() or ()))

    return authenticate
