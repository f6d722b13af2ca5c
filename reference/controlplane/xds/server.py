"""Aggregated discovery on grpc.aio: authenticates a stream, then moves messages between it and its machine.

Requests are parsed by protobuf, responses are bytes already, so the serializer does nothing.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeAlias, TypeVar

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from reference.controlplane.xds.connections import Connection, Connections, Source
from reference.controlplane.xds.delta import DeltaRequest, DeltaState
from reference.controlplane.xds.encode import Encoder
from reference.controlplane.xds.identity import Identity, refusal
from reference.controlplane.xds.sotw import SotwRequest, SotwState
from reference.controlplane.xds.subscription import Subscription

log = logging.getLogger(__name__)
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
P = TypeVar("P")
Context: TypeAlias = grpc.aio.ServicerContext
Authenticate = Callable[[Context], Awaitable[Identity | None]]


def delta_request(message: discovery_pb2.DeltaDiscoveryRequest) -> DeltaRequest:
    """The machine's view of a protobuf request."""
    return DeltaRequest(
        message.type_url,
        message.response_nonce,
        message.error_detail.message if message.HasField("error_detail") else None,
        frozenset(message.resource_names_subscribe),
        frozenset(message.resource_names_unsubscribe),
        dict(message.initial_resource_versions),
    )


def sotw_request(message: discovery_pb2.DiscoveryRequest) -> SotwRequest:
    """The machine's view of a protobuf request."""
    return SotwRequest(
        message.type_url,
        message.response_nonce,
        message.error_detail.message if message.HasField("error_detail") else None,
        frozenset(message.resource_names),
    )


class DiscoveryServer(Generic[P]):
    """The servicer. `proxy_of` makes the generator's proxy from a stream's node message."""

    def __init__(
        self,
        source: Source[P],
        proxy_of: Callable[[base_pb2.Node], P],
        authenticate: Authenticate,
        connections: Connections[P] | None = None,
    ) -> None:
        self.connections: Connections[P] = connections if connections is not None else Connections()
        self._source, self._proxy_of, self._authenticate = source, proxy_of, authenticate
        self._encoder = Encoder()
        self._count = itertools.count(1)
        self.on_sent: Callable[[Connection[P], Subscription, int], None] | None = None
        self.on_request: Callable[[Connection[P], str, str | None], None] | None = None

    def handler(self) -> grpc.GenericRpcHandler:
        """To be added to a grpc.aio server."""
        methods = {
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(
                self._sotw, request_deserializer=discovery_pb2.DiscoveryRequest.FromString
            ),
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                self._delta, request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _sotw(self, requests: AsyncIterator[discovery_pb2.DiscoveryRequest], context: Context) -> None:
        await self._serve(requests, context, SotwState(), sotw_request)

    async def _delta(self, requests: AsyncIterator[discovery_pb2.DeltaDiscoveryRequest], context: Context) -> None:
        await self._serve(requests, context, DeltaState(), delta_request)

    async def _serve(
        self,
        requests: AsyncIterator[Any],
        context: Context,
        state: DeltaState | SotwState,
        view: Callable[[Any], DeltaRequest | SotwRequest],
    ) -> None:
        identity = await self._authenticate(context)
        if identity is None:
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                "expected a client certificate with a SPIFFE URI or a bearer token with audience istio-ca, got neither",
            )
            return
        connection: Connection[P] | None = None
        writer: asyncio.Task[None] | None = None
        try:
            async for message in requests:
                if connection is None:
                    connection = await self._open(message.node, identity, context, state)
                    writer = asyncio.create_task(self._write(connection, context))
                request = view(message)
                if request.error is not None:
                    log.warning("%s refused %s: %s", connection.node, request.type_url, request.error)
                connection.receive(request)
                if self.on_request:
                    self.on_request(connection, request.type_url, request.error)
                if request.nonce:
                    self.connections.changed()
        finally:
            if writer is not None:
                writer.cancel()
            if connection is not None:
                self.connections.remove(connection)

    async def _open(
        self, node: base_pb2.Node, identity: Identity, context: Context, state: DeltaState | SotwState
    ) -> Connection[P]:
        metadata = node.metadata.fields
        namespace = metadata["NAMESPACE"].string_value if "NAMESPACE" in metadata else ""
        account = metadata["SERVICE_ACCOUNT"].string_value if "SERVICE_ACCOUNT" in metadata else ""
        why = refusal(identity, namespace, account)
        if why is not None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, why)
        parts = node.id.split("~")
        if len(parts) != 4:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"node id: expected type~ip~name.ns~domain, got {node.id!r}"
            )
        pod = parts[2].removesuffix(f".{namespace}")
        connection = Connection(
            id=f"{parts[2]}-{next(self._count)}",
            node=node.id,
            namespace=namespace,
            pod=pod,
            proxy=self._proxy_of(node),
            state=state,
            encoder=self._encoder,
            source=self._source,
            identity=str(identity),
            peer=context.peer(),
            connected_at=time.time(),
            processed=self._source.sequence,
            on_sent=self.on_sent,
        )
        self.connections.add(connection)
        log.info("connected: %s as %s", connection.node, identity)
        return connection

    @staticmethod
    async def _write(connection: Connection[P], context: Context) -> None:
        while True:
            await connection.wake.wait()
            connection.wake.clear()
            while connection.outbox:
                await context.write(connection.outbox.popleft())
