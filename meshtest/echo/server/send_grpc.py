"""gRPC on grpc.aio: a channel of the call's own. The path is the method's name."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio

from meshtest.echo.server import echo_pb2
from meshtest.echo.server.calls import GRPC_METHOD, CallSpec, Result


@contextlib.asynccontextmanager
async def grpc_sender(call: CallSpec) -> AsyncIterator[Callable[[Result], Awaitable[None]]]:
    """Resolves the host as every other sender does, not by gRPC's own resolver, and never retries by itself."""
    found = await asyncio.get_running_loop().getaddrinfo(call.address or call.host, call.port, type=socket.SOCK_STREAM)
    address, port = str(found[0][4][0]), int(found[0][4][1])
    target = f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"
    options = [
        ("grpc.default_authority", call.authority),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
    ]
    path = GRPC_METHOD if call.path in ("", "/") else call.path
    metadata = [(k.lower(), v) for k, v in call.headers if k.lower() != "host"]
    message: bytes = echo_pb2.EchoRequest(message=call.body).SerializeToString()  # type: ignore[attr-defined]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        method = channel.unary_unary(path)

        async def request(result: Result) -> None:
            result.id = next((v for k, v in metadata if k == "x-request-id"), result.id)
            own = (
                metadata if any(k == "x-request-id" for k, _ in metadata) else [*metadata, ("x-request-id", result.id)]
            )
            invoked = method(message, metadata=grpc.aio.Metadata(*own), timeout=call.timeout)
            result.protocol = "gRPC"
            try:
                response = await invoked
                result.body = echo_pb2.EchoResponse.FromString(response).body.decode()  # type: ignore[attr-defined]
            except grpc.aio.AioRpcError as error:
                result.error = f"gRPC {error.code().name}: {error.details()}"
                result.error_kind = "timeout" if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else "grpc"
            result.grpc_status = (await invoked.code()).value[0]
            pairs = [*(await invoked.initial_metadata() or ()), *(await invoked.trailing_metadata() or ())]
            result.headers = [(str(k), v if isinstance(v, str) else v.hex()) for k, v in pairs]

        yield request
