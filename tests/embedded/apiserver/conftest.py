"""An API server in this process, over real TLS, and clients of it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest

from meshtest.embedded import pki
from meshtest.embedded.apiserver.core import Core
from meshtest.embedded.apiserver.main import serving
from meshtest.embedded.config import ApiServerConfig

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Api:
    """Requests as one user."""

    session: aiohttp.ClientSession
    url: str
    core: Core
    keys: pki.ClusterPki

    async def __call__(
        self, method: str, path: str, body: Any = None, *, media: str = "application/json", **headers: str
    ) -> Answer:
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        sent = {"Content-Type": media, **{key.replace("_", "-"): value for key, value in headers.items()}}
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            raw = await response.read()
            kind = response.headers.get("Content-Type", "")
            parsed = orjson.loads(raw) if kind.startswith("application/json") and raw else raw.decode()
            return Answer(response.status, parsed, dict(response.headers))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pki.ClusterPki]:
    yield pki.write_cluster_pki(tmp_path_factory.mktemp("pki") / "pki", "test", [])


def tls(keys: pki.ClusterPki, user: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(keys.ca_cert))
    if user:
        context.load_cert_chain(keys.cert(user), keys.key(user))
    return context


@contextlib.asynccontextmanager
async def running(keys: pki.ClusterPki) -> AsyncIterator[Api]:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = ApiServerConfig("test", (listening.detach(),), keys.directory, -1, "127.0.0.1", port)
    async with serving(config) as core:
        connector = aiohttp.TCPConnector(ssl=tls(keys, "admin"))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Api(session, f"https://127.0.0.1:{port}", core, keys)


@pytest.fixture
async def api(keys: pki.ClusterPki, anyio_backend: str) -> AsyncIterator[Api]:
    del anyio_backend
    async with running(keys) as found:
        account = {"metadata": {"name": "default"}}
        made = await found("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        assert made.code == 201
        yield found
