"""The HTTPS side of webhooks."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import ssl
from typing import Any

import aiohttp

from .dial import Dialer, Unreachable, cluster_session
from .matching import Hook
from .store import Store

Obj = dict[str, Any]
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, */*"}


class CallFailed(Exception):
    """The webhook was not reached, or gave no usable answer."""


class WebhookClient:
    """Keeps connections; services are dialled in the cluster's network, URLs in our own."""

    def __init__(self, store: Store, dialer: Dialer) -> None:
        self._store = store
        self._dialer = dialer
        self._inside: aiohttp.ClientSession | None = None
        self._outside: aiohttp.ClientSession | None = None
        self._contexts: dict[bytes, ssl.SSLContext] = {}

    async def call(self, hook: Hook, body: bytes) -> bytes:
        """POST ``body``; the answer's body. Raises `CallFailed` with Kubernetes' wording."""
        url = _url(hook.client)
        session = self._session(hook)
        shown = f"{url}?timeout={int(hook.timeout)}s"
        try:
            context = self._context(hook.client.get("caBundle") or "")
            async with asyncio.timeout(hook.timeout):
                return await self._post(session, shown, body, context)
        except TimeoutError:
            raise CallFailed(f'failed to call webhook: Post "{shown}": context deadline exceeded') from None
        except (aiohttp.ClientError, Unreachable, OSError, ssl.SSLError) as error:
            raise CallFailed(f'failed to call webhook: Post "{shown}": {error}') from None

    async def _post(self, session: aiohttp.ClientSession, url: str, body: bytes, context: ssl.SSLContext) -> bytes:
        for attempt in (1, 2):
            try:
                async with session.post(
                    url, data=body, headers=_HEADERS, ssl=context, allow_redirects=False
                ) as response:
                    data = await response.read()
                    if response.status != 200:
                        text = data[:200].decode(errors="replace").strip()
                        raise CallFailed(f"failed to call webhook: the server responded with {response.status}: {text}")
                    return data
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A kept connection may have been closed by its other end; a new one tells whether anybody is there.
                if attempt == 2 or isinstance(error, aiohttp.ClientConnectorError):
                    raise
        raise AssertionError("unreachable")

    def _session(self, hook: Hook) -> aiohttp.ClientSession:
        if hook.client.get("url"):
            if self._outside is None:
                self._outside = aiohttp.ClientSession()
            return self._outside
        if self._inside is None:
            self._inside = cluster_session(self._dialer, self._store)
        return self._inside

    def _context(self, bundle: str) -> ssl.SSLContext:
        try:
            pem = base64.b64decode(bundle, validate=True)
        except (binascii.Error, ValueError):
            raise CallFailed("webhook client config: caBundle is not base64") from None
        key = hashlib.sha256(pem).digest()
        found = self._contexts.get(key)
        if found is None:
            found = (
                ssl.create_default_context(cadata=pem.decode(errors="replace")) if pem else ssl.create_default_context()
            )
            found.verify_flags &= ~ssl.VERIFY_X509_STRICT
            self._contexts[key] = found
        return found

    async def close(self) -> None:
        for session in (self._inside, self._outside):
            if session is not None:
                await session.close()


def _url(client: Obj) -> str:
    if client.get("url"):
        return str(client["url"])
    service = client["service"]
    path = service.get("path") or ""
    port = service.get("port") or 443
    return f"https://{service['name']}.{service['namespace']}.svc:{port}/{path.removeprefix('/')}"
