"""The secret discovery service that Envoy asks, on a Unix socket: `default` is the certificate, `ROOTCA` the roots.

Envoy opens one stream a secret. A stream is answered when the certificate is there, and again whenever it is renewed.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from reference.agent.certificates import Workload
from reference.controlplane.xds.encode import Encoder
from reference.controlplane.xds.sotw import SotwRequest, SotwState
from reference.controlplane.xds.types import SDS

log = logging.getLogger(__name__)
SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"
CERTIFICATE, ROOTS = "default", "ROOTCA"
Context: TypeAlias = grpc.aio.ServicerContext


@dataclass(frozen=True, slots=True)
class Secret:
    """An encoded secret, as the xDS machines take resources."""

    name: str
    version: str
    body: bytes
    type_url: str = SDS


def secrets(workload: Workload) -> dict[str, Secret]:
    """The two secrets that a workload's Envoy needs."""
    certificate = secret_pb2.Secret(name=CERTIFICATE)
    certificate.tls_certificate.certificate_chain.inline_bytes = workload.chain
    certificate.tls_certificate.private_key.inline_bytes = workload.key
    roots = secret_pb2.Secret(name=ROOTS)
    roots.validation_context.trusted_ca.inline_bytes = workload.roots
    found = {}
    for message in (certificate, roots):
        body = message.SerializeToString()
        found[message.name] = Secret(message.name, hashlib.sha256(body).hexdigest()[:16], body)
    return found


class SecretServer:
    """Serves on `path`. `offer` gives it the certificate, at first and after each renewal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._secrets: dict[str, Secret] = {}
        self._sequence = 0
        self._changed = asyncio.Event()
        self._encoder = Encoder()
        self._server: grpc.aio.Server | None = None
        self.served = asyncio.Event()

    def offer(self, workload: Workload) -> None:
        self._secrets = secrets(workload)
        self._sequence += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def ready(self) -> bool:
        return bool(self._secrets)

    async def start(self) -> None:
        """Listens; Envoy may connect before there is anything to tell it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = grpc.aio.server()
        method = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=discovery_pb2.DiscoveryRequest.FromString
        )
        handler = grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": method})
        self._server.add_generic_rpc_handlers((handler,))
        if not self._server.add_insecure_port(f"unix:{self._path}"):
            raise OSError(f"cannot listen on {self._path}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _stream(self, requests: AsyncIterator[discovery_pb2.DiscoveryRequest], context: Context) -> None:
        state = SotwState()
        writing = asyncio.create_task(self._follow(state, context))
        try:
            async for message in requests:
                error = message.error_detail.message if message.HasField("error_detail") else None
                if error:
                    log.warning("Envoy refused a secret: %s", error)
                names = frozenset(message.resource_names)
                if state.receive(SotwRequest(message.type_url or SDS, message.response_nonce, error, names)):
                    await self._send(state, context)
        finally:
            writing.cancel()

    async def _follow(self, state: SotwState, context: Context) -> None:
        while True:
            await self._changed.wait()
            await self._send(state, context)

    async def _send(self, state: SotwState, context: Context) -> None:
        if not self._secrets or not state.ready(SDS, self._sequence):
            return
        wanted = state.subscriptions[SDS].names
        found = {name: self._secrets[name] for name in wanted if name in self._secrets}
        response = state.update(SDS, found, self._sequence) if found else None
        if response is not None:
            await context.write(self._encoder.sotw(response))
            self.served.set()
