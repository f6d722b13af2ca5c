"""The control plane's own server certificate, for gRPC and for the webhooks, renewed while they run."""

import asyncio
import datetime
import ssl
import tempfile
from pathlib import Path
from typing import Any

import grpc

from reference.controlplane.ca.signing import WORKLOAD_LIFETIME, KeyPair, Signer, now

RENEW = WORKLOAD_LIFETIME / 2


class ServerCertificate:
    """Signed by the mesh's root, renewed at half of its life. `context` is for aiohttp, `credentials` for gRPC."""

    def __init__(self, signer: Signer, names: list[str]) -> None:
        self._signer, self._names = signer, names
        self._pair: KeyPair = signer.server(names, now())
        self._version = 1
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load()

    def _load(self) -> None:
        with tempfile.NamedTemporaryFile(prefix="istiod-") as file:
            # Python's ssl reads certificates from files only; this one is 0600 and gone at once.
            file.write(self._pair.certificate + self._pair.key)
            file.flush()
            self.context.load_cert_chain(Path(file.name))

    def _configuration(self) -> Any:
        pairs = [(self._pair.key, self._pair.certificate)]
        return grpc.ssl_server_certificate_configuration(pairs, root_certificates=self._signer.root_pem)

    def credentials(self, *, require_client: bool) -> grpc.ServerCredentials:
        """Credentials that follow renewals."""
        served = self._version

        def fetch() -> Any:
            nonlocal served
            if served == self._version:
                return None
            served = self._version
            return self._configuration()

        return grpc.dynamic_ssl_server_credentials(self._configuration(), fetch, require_client)

    async def renew(self) -> None:
        """Never ends by itself."""
        while True:
            await asyncio.sleep(RENEW / datetime.timedelta(seconds=1))
            self._pair = self._signer.server(self._names, now())
            self._version += 1
            self._load()
