"""The process: sockets and TLS in, requests out. `run` returns when it is told to stop (SIGTERM, SIGINT)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from meshtest.embedded.config import ApiServerConfig

from . import bootstrap, core
from .authn import Authenticator
from .server import Server

MAX_BODY = 3 << 20


def run(config: ApiServerConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    asyncio.run(_run(config))


async def _run(config: ApiServerConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(config):
        # Stored trees have no cycles: counting references frees them, and looking for cycles only costs.
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
        if config.ready_fd is not None:
            os.write(config.ready_fd, b"1")
            os.close(config.ready_fd)
        await stop.wait()


@contextlib.asynccontextmanager
async def serving(config: ApiServerConfig) -> AsyncIterator[core.Core]:
    """A running server on ``config.sockets`` (which it closes); yields its `core.Core`."""
    parts = core.build(config)
    bootstrap.populate(parts.store, parts.registry, config)
    handler = Server(parts, Authenticator(parts.tokens))
    loop = asyncio.get_running_loop()
    server = web.Server(
        handler.handle,
        request_factory=functools.partial(_request, loop),
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=3600,
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    tls = tls_context(config)
    for descriptor in config.sockets:
        listening = socket.socket(fileno=descriptor)
        await web.SockSite(runner, listening, ssl_context=tls, backlog=1024).start()
    try:
        yield parts
    finally:
        await runner.cleanup()
        await parts.close()


def _request(
    loop: asyncio.AbstractEventLoop, message: Any, payload: Any, protocol: Any, writer: Any, task: Any
) -> web.BaseRequest:
    """As aiohttp's own factory, but for the greater limit of the body."""
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


def tls_context(config: ApiServerConfig) -> ssl.SSLContext:
    """TLS 1.2 or later; a client certificate is optional, but must be the cluster CA's when there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.pki_dir / "apiserver.crt", config.pki_dir / "apiserver.key")
    context.load_verify_locations(config.pki_dir / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
