"""What the API server connects to from inside the cluster: kubelets, pods."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp

from .dial import Dialer, cluster_session
from .store import Store


class Connections:
    """One HTTP client with connections made in the node's namespace; contexts made when first needed."""

    def __init__(self, store: Store, dialer: Dialer, pki_dir: Path) -> None:
        self._store = store
        self._dialer = dialer
        self._pki = pki_dir
        self._session: aiohttp.ClientSession | None = None
        self._kubelet: ssl.SSLContext | None = None
        self._insecure: ssl.SSLContext | None = None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = cluster_session(self._dialer, self._store)
        return self._session

    def kubelet_tls(self) -> ssl.SSLContext:
        """Our client certificate; the kubelet's must be the cluster CA's, whatever address it is for."""
        if self._kubelet is None:
            context = ssl.create_default_context(cafile=str(self._pki / "ca.crt"))
            context.check_hostname = False
            stem = self._pki / "apiserver-kubelet-client"
            context.load_cert_chain(stem.with_suffix(".crt"), stem.with_suffix(".key"))
            self._kubelet = context
        return self._kubelet

    def insecure_tls(self) -> ssl.SSLContext:
        """For proxies to pods, whose certificates are nobody's business here, as in Kubernetes."""
        if self._insecure is None:
            self._insecure = ssl._create_unverified_context()
        return self._insecure

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
