"""Sending: `count` requests, `concurrency` at a time, each with a request id of its own, each response kept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from meshtest.echo.server.calls import CallSpec, Result
from meshtest.echo.server.send_grpc import grpc_sender
from meshtest.echo.server.send_http import http_sender
from meshtest.echo.server.send_http2 import http2_sender
from meshtest.echo.server.send_tcp import tcp_sender
from meshtest.echo.server.send_ws import ws_sender

Sender = Callable[[Result], Awaitable[None]]
"""Makes one request and fills the result in; raises where no response came."""

OPEN: dict[str, Callable[[CallSpec], contextlib.AbstractAsyncContextManager[Sender]]] = {
    "http": http_sender,
    "https": http_sender,
    "http2": http2_sender,
    "grpc": grpc_sender,
    "ws": ws_sender,
    "tcp": tcp_sender,
    "tls": tcp_sender,
}


async def send(call: CallSpec) -> list[Result]:
    """All results, in order. Errors of single requests are results too."""
    results = [Result(index) for index in range(call.count)]
    waiting = iter(results)
    async with contextlib.AsyncExitStack() as stack:
        shared = None if call.new_connection else await stack.enter_async_context(_opened(call))

        async def worker() -> None:
            for result in waiting:
                await _one(call, shared, result)

        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, min(call.concurrency, call.count))):
                group.create_task(worker())
    return results


async def _one(call: CallSpec, shared: Sender | None, result: Result) -> None:
    start = time.perf_counter()
    try:
        async with asyncio.timeout(call.timeout):
            if shared is not None:
                await shared(result)
            else:
                async with _opened(call) as sender:
                    await sender(result)
    except Exception as error:
        result.error, result.error_kind = describe_error(error, call)
    result.duration_ms = round((time.perf_counter() - start) * 1000, 3)


@contextlib.asynccontextmanager
async def _opened(call: CallSpec) -> AsyncIterator[Sender]:
    """A sender; one that cannot even be opened fails each request with the same error."""
    async with contextlib.AsyncExitStack() as stack:
        sender: Sender
        try:
            # A protocol that connects first gets the same deadline as a request.
            async with asyncio.timeout(call.timeout):
                sender = await stack.enter_async_context(OPEN[call.scheme](call))
        except Exception as error:
            sender = _failing(error)
        yield sender


def _failing(error: Exception) -> Sender:
    async def fail(_: Result) -> None:
        raise error

    return fail


def describe_error(error: BaseException, call: CallSpec) -> tuple[str, str]:
    """The error's text and its kind."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__ or getattr(cause, "os_error", None)
    text = str(error) or type(error).__name__
    kinds: list[tuple[type[BaseException], str]] = [
        (TimeoutError, "timeout"),
        (socket.gaierror, "dns"),
        (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
        (ConnectionResetError, "reset"),
        (BrokenPipeError, "reset"),
        (EOFError, "closed"),
        (ConnectionError, "closed"),
    ]
    for kind, name in kinds:
        if any(isinstance(one, kind) for one in causes):
            if name == "timeout":
                text = f"no response within {call.timeout} s"
            return f"{text} (calling {call.scheme}://{call.host}:{call.port})", name
    if "ServerDisconnected" in type(error).__name__:
        return f"{text} (calling {call.scheme}://{call.host}:{call.port})", "closed"
    return f"{type(error).__name__}: {text} (calling {call.scheme}://{call.host}:{call.port})", "other"
