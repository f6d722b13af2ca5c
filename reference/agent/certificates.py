"""The workload's certificate: a fresh key, a CSR, the CA's answer; renewed at half of its life."""

import asyncio
import datetime
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reference.agent.settings import Settings
from reference.controlplane.ca import istio_ca_pb2 as pb

log = logging.getLogger(__name__)
METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
RATIO, SPREAD = 0.5, 0.01
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 10.0


@dataclass(frozen=True, slots=True)
class Workload:
    """What SDS serves: chain and key of `default`, roots of `ROOTCA`; PEM."""

    chain: bytes
    key: bytes
    roots: bytes


@dataclass(frozen=True, slots=True)
class Request:
    key: bytes
    csr: bytes


def make_request() -> Request:
    """A new P-256 key and its CSR. The CSR names nobody: the CA takes the name from the token."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Request(private, csr.public_bytes(pem))


def renew_in(chain: bytes, now: datetime.datetime, jitter: float) -> float:
    """Seconds from `now` until the leaf should be renewed: half of its life, give or take; `jitter` in -1..1."""
    leaf = x509.load_pem_x509_certificate(chain)
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    due = leaf.not_valid_before_utc + life * (RATIO + SPREAD * jitter)
    return max((due - now).total_seconds(), 0.0)


class CertificateSource:
    """Asks the CA and tells `on_new` each certificate it got."""

    def __init__(self, settings: Settings, root: Path, token: Path, on_new: Callable[[Workload], None]) -> None:
        self._settings, self._root, self._token = settings, root, token
        self._on_new = on_new
        self.renewals = 0

    async def fetch(self, request: Request) -> Workload:
        """One call. Raises grpc.aio.AioRpcError, or OSError when token or root cannot be read."""
        roots = self._root.read_bytes()
        credentials = grpc.ssl_channel_credentials(root_certificates=roots)
        name = self._settings.control_plane_name
        options = [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
        async with grpc.aio.secure_channel(str(self._settings.ca), credentials, options) as channel:
            call = channel.unary_unary(
                METHOD,
                request_serializer=pb.IstioCertificateRequest.SerializeToString,
                response_deserializer=pb.IstioCertificateResponse.FromString,
            )
            token = self._token.read_text().strip()
            answer = await call(
                pb.IstioCertificateRequest(csr=request.csr.decode(), validity_duration=24 * 3600),
                metadata=(("authorization", f"Bearer {token}"), ("clusterid", self._settings.cluster_id)),
                timeout=5.0,
            )
        *chain, answered = [each.encode() for each in answer.cert_chain]
        return Workload(b"".join(chain), request.key, answered)

    async def run(self, first: Request) -> None:
        """Keeps a certificate at hand; never ends by itself."""
        request = first
        while True:
            workload = await self._persist(request)
            self._on_new(workload)
            self.renewals += 1
            pause = renew_in(workload.chain, datetime.datetime.now(datetime.UTC), random.uniform(-1, 1))
            await asyncio.sleep(pause)
            request = make_request()

    async def _persist(self, request: Request) -> Workload:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self.fetch(request)
            except (grpc.aio.AioRpcError, OSError, ValueError) as error:
                text = f"{error.code().name}: {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else error
                log.warning("no certificate from %s: %s; next try in %.2f s", self._settings.ca, text, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
