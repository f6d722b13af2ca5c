"""gRPC, on grpc.aio: any unary method is answered alike, and the standard health service tells probes that we serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio

from meshtest.echo.server import echo_pb2
from meshtest.echo.server.answer import Answerer, Seen
from meshtest.echo.server.options import Listen

HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"
"""HealthCheckResponse{status: SERVING} on the wire."""

# https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md, and success.
FROM_HTTP = {200: 0, 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 500: 2, 502: 14, 503: 14, 504: 14}


def grpc_code(status: int) -> int:
    """The gRPC code for an echo's status: codes below 17 are gRPC's own, others are HTTP's."""
    return status if status <= 16 else FROM_HTTP.get(status, 0 if 200 <= status < 300 else 2)


async def start_grpc(listen: Listen, answerer: Answerer) -> grpc.aio.Server:
    """A serving server; raises OSError when the port is taken."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_AnyMethod(answerer, listen.port),))
    address = f"[{listen.address}]" if ":" in listen.address else listen.address or "[::]"
    try:
        bound = server.add_insecure_port(f"{address}:{listen.port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen for gRPC on {address}:{listen.port}: {error}") from error
    if not bound:
        raise OSError(f"cannot listen for gRPC on {address}:{listen.port}")
    await server.start()
    return server


class _AnyMethod(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types here
    def __init__(self, answerer: Answerer, port: int) -> None:
        self._answerer, self._port = answerer, port

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if details.method == HEALTH:
            return grpc.unary_unary_rpc_method_handler(_healthy)
        return grpc.unary_unary_rpc_method_handler(self._handler(details.method))

    def _handler(self, method: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def handle(request: bytes, context: Any) -> bytes:
            return await self._handle(method, request, context)

        return handle

    async def _handle(self, method: str, request: bytes, context: Any) -> bytes:
        metadata = [(str(k), v if isinstance(v, str) else v.hex()) for k, v in context.invocation_metadata() or ()]
        path, _, query = method.partition("?")
        seen = Seen(
            protocol="gRPC",
            method="POST",
            path=path,
            query=query,
            authority="",  # grpc.aio does not tell; ask an http2 port where it matters
            headers=[(k, v) for k, v in metadata if not k.startswith(":")],
            body=echo_pb2.EchoRequest.FromString(request).message,  # type: ignore[attr-defined]
            source=_peer(context.peer()),
            destination=("", self._port),
        )
        answer = self._answerer.answer(seen)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        headers = [(k.lower(), v) for k, v in answer.headers if k != "content-type"]
        if headers:
            await context.send_initial_metadata(headers)
        code = grpc_code(answer.status)
        if code:
            await context.abort(_STATUS[code], f"echo answers {answer.status} as it was told to")
        response = echo_pb2.EchoResponse(body=answer.body)  # type: ignore[attr-defined]
        encoded: bytes = response.SerializeToString()
        return encoded


_STATUS = {code.value[0]: code for code in grpc.StatusCode}


async def _healthy(_request: bytes, _context: object) -> bytes:
    return SERVING


def _peer(text: str) -> tuple[str, int]:
    """`ipv4:10.0.0.1:4711` or `ipv6:%5B::1%5D:4711`."""
    address, _, port = unquote(text).partition(":")[2].rpartition(":")
    address = address.strip("[]").removeprefix("::ffff:")
    return (address, int(port)) if port.isdigit() else ("", 0)
