"""The program: listen on everything that was asked for, serve until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence

from aiohttp import web

from meshtest.echo.server.answer import Answerer
from meshtest.echo.server.control import control_server
from meshtest.echo.server.http1 import Sniff, http1_server
from meshtest.echo.server.http2 import Http2Server
from meshtest.echo.server.options import Listen, Options, parse_options
from meshtest.echo.server.rpc import start_grpc
from meshtest.echo.server.sockets import listening_sockets, server_tls
from meshtest.echo.server.tcp import tcp_handler

DRAIN = 0.5
"""Seconds that requests in flight get after SIGTERM."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; 1 when a port cannot be had."""
    options = parse_options(sys.argv[1:] if argv is None else argv)
    try:
        asyncio.run(_run(options))
    except OSError as error:
        print(f"echo: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


async def _run(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(options):
        print(f"echo {options.hostname} {options.version} serves", flush=True)
        await stop.wait()


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Answerer]:
    """All servers of `options`, for as long as the context is open."""
    async with contextlib.AsyncExitStack() as stack:
        answerer = Answerer(options)
        http1, control = http1_server(answerer), control_server(answerer)
        for server in (http1, control):
            stack.push_async_callback(_drain, server)

        def sniff() -> Sniff:
            return Sniff(http1, lambda: Http2Server(answerer))

        async def listen(
            ports: Sequence[Listen], protocol: Callable[[], asyncio.BaseProtocol], alpn: list[str] | None = None
        ) -> None:
            if not ports:
                return
            tls = None
            if alpn is not None:
                tls = server_tls(options.tls_cert, options.tls_key, options.service or options.hostname, alpn)
            for port in ports:
                for sock in listening_sockets(port):
                    server = await asyncio.get_running_loop().create_server(protocol, sock=sock, ssl=tls, backlog=1024)
                    stack.callback(server.close)

        await listen([options.control], control)
        await listen(options.http, sniff)
        await listen(options.https, sniff, ["h2", "http/1.1"])
        await listen(options.tcp, lambda: tcp_handler(answerer, greet=False))
        await listen(options.tls, lambda: tcp_handler(answerer, greet=False), [])
        await listen(options.tcp_server_first, lambda: tcp_handler(answerer, greet=True))
        for port in options.grpc:
            grpc_server = await start_grpc(port, answerer)
            stack.push_async_callback(grpc_server.stop, DRAIN)
        yield answerer


async def _drain(server: web.Server) -> None:
    await server.shutdown(DRAIN)


if __name__ == "__main__":
    sys.exit(main())
