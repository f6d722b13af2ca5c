"""`istio.v1.auth.IstioCertificateService` on grpc.aio: who asks, gets a certificate in its own name."""

import datetime
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import grpc

from reference.controlplane.ca import istio_ca_pb2 as pb
from reference.controlplane.ca.signing import BadRequest, Signer, now
from reference.controlplane.xds.identity import Identity

log = logging.getLogger(__name__)
SERVICE = "istio.v1.auth.IstioCertificateService"
Context: TypeAlias = grpc.aio.ServicerContext


class CertificateService:
    """The servicer. `authenticate` says who the caller is, None when it has no valid credentials."""

    def __init__(self, signer: Signer, authenticate: Callable[[Context], Awaitable[Identity | None]]) -> None:
        self._signer, self._authenticate = signer, authenticate
        self.issued = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """To be added to a grpc.aio server."""
        method = grpc.unary_unary_rpc_method_handler(
            self._create,
            request_deserializer=pb.IstioCertificateRequest.FromString,
            response_serializer=pb.IstioCertificateResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"CreateCertificate": method})

    async def _create(self, request: pb.IstioCertificateRequest, context: Context) -> pb.IstioCertificateResponse:
        identity = await self._authenticate(context)
        if identity is None:
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                "expected a bearer token with audience istio-ca or a client certificate, got neither",
            )
        for key in ("ImpersonatedIdentity", "CertSigner"):
            if key in request.metadata.fields:
                await context.abort(
                    grpc.StatusCode.PERMISSION_DENIED, f"metadata {key}: {identity} is not trusted with it"
                )
        try:
            lifetime = datetime.timedelta(seconds=request.validity_duration)
            leaf = self._signer.workload(request.csr.encode(), str(identity), lifetime, now())
        except (BadRequest, OverflowError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        self.issued += 1
        log.info("signed a certificate for %s", identity)
        return pb.IstioCertificateResponse(cert_chain=[leaf.decode(), self._signer.root_pem.decode()])
