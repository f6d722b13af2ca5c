"""HTTP/1.x and HTTPS on aiohttp; HTTPS that asks for h2 goes to the HTTP/2 sender."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from meshtest.echo.server.calls import CallSpec, Result
from meshtest.echo.server.client_tls import client_tls, peer_details
from meshtest.echo.server.send_http2 import http2_sender


@contextlib.asynccontextmanager
async def http_sender(call: CallSpec) -> AsyncIterator[Callable[[Result], Awaitable[None]]]:
    """A session of this call's own; connections are reused within it."""
    if call.scheme == "https" and "h2" in call.alpn:
        async with http2_sender(call) as sender:
            yield sender
        return
    tls: ssl.SSLContext | bool = client_tls(call) if call.scheme == "https" else False
    connector = aiohttp.TCPConnector(limit=max(call.concurrency, 1), ssl=tls, happy_eyeballs_delay=None)
    version = aiohttp.HttpVersion10 if call.http_version == "1.0" else aiohttp.HttpVersion11
    async with aiohttp.ClientSession(
        connector=connector,
        version=version,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=("user-agent", "accept-encoding"),
    ) as session:
        # `encoded` keeps the path as the test wrote it.
        target = URL(f"{call.scheme}://{_host(call.address or call.host)}:{call.port}{call.path}", encoded=True)
        # aiohttp derives Host from the URL, anew for each redirect.
        named = any(k.lower() == "host" for k, _ in call.headers)
        host = [("Host", call.authority)] if call.address and not named else []

        async def request(result: Result) -> None:
            headers = CIMultiDict([*host, *call.headers])
            headers.setdefault("x-request-id", result.id)
            result.id = headers["x-request-id"]
            async with session.request(
                call.method,
                target,
                headers=headers,
                data=call.body.encode() if call.body else None,
                allow_redirects=call.follow_redirects,
                server_hostname=(call.sni or call.host) if tls else None,
            ) as response:
                connection = response.connection
                if connection is not None and connection.transport is not None:
                    result.tls = peer_details(connection.transport)
                    result.local = "{}:{}".format(*connection.transport.get_extra_info("sockname")[:2])
                result.status = response.status
                version = response.version or version_default
                result.protocol = f"HTTP/{version.major}.{version.minor}"
                result.headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in response.raw_headers]
                result.body = (await response.read()).decode("utf-8", "replace")
                if call.follow_redirects:
                    result.location = str(response.url)

        version_default = version
        yield request


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
