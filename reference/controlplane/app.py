"""Puts the control plane together and runs it: informers → world → pusher → streams, and the servers around them."""

import asyncio
import json
import logging
import ssl
from typing import Any

import grpc
from aiohttp import web

from kubeclient import Client, connection_from_kubeconfig, connection_in_cluster
from reference.api import InvalidConfig, find, parse, parse_mesh_config
from reference.controlplane.authentication import authenticator
from reference.controlplane.ca.authority import RootDistributor, load_or_create_root
from reference.controlplane.ca.server_certificate import ServerCertificate
from reference.controlplane.ca.service import CertificateService
from reference.controlplane.ca.signing import Signer
from reference.controlplane.ca.tokens import TokenReviewer
from reference.controlplane.debug.authorization import DebugAuthorizer
from reference.controlplane.debug.metrics import Metrics
from reference.controlplane.debug.server import DebugServer
from reference.controlplane.generate import Proxy
from reference.controlplane.informers import INJECTOR_CONFIG_MAP, MESH_CONFIG_MAP, Informers
from reference.controlplane.push.ledger import Ledger
from reference.controlplane.push.lost import LostProxies
from reference.controlplane.push.pusher import Pusher
from reference.controlplane.push.settled import Barrier
from reference.controlplane.push.world import Stores, World
from reference.controlplane.settings import Settings
from reference.controlplane.webhooks.server import application
from reference.controlplane.webhooks.sidecar import SidecarValues
from reference.controlplane.webhooks.trust import BundleWriter
from reference.controlplane.xds.connections import Connection, Connections
from reference.controlplane.xds.server import DiscoveryServer
from reference.controlplane.xds.subscription import Subscription
from reference.controlplane.xds.types import short

log = logging.getLogger(__name__)
Obj = dict[str, Any]
GRPC_OPTIONS = [
    ("grpc.max_concurrent_streams", 100_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.so_reuseport", 0),
]


class ControlPlane:
    """One replica. `run` returns when cancelled; `ready` is set once it serves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.ready = asyncio.Event()
        self._runners: list[web.AppRunner] = []
        self._server: grpc.aio.Server | None = None

    async def run(self) -> None:
        """Serves until cancelled."""
        path = self._settings.kubeconfig
        connection = connection_from_kubeconfig(path) if path else connection_in_cluster()
        async with Client(connection) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    await self._serve(client, group)
            finally:
                if self._server is not None:
                    await self._server.stop(0.2)
                for runner in self._runners:
                    await runner.cleanup()

    async def _serve(self, client: Client, group: asyncio.TaskGroup) -> None:
        settings = self._settings
        informers = Informers(client, settings.namespace)
        for informer in informers.all():
            group.create_task(informer.run())
        await informers.config_maps.synced.wait()
        trust_domain = parse_mesh_config(informers.config(MESH_CONFIG_MAP, "mesh")).trust_domain
        root = await load_or_create_root(client, settings.namespace, trust_domain)
        signer = Signer(root)
        group.create_task(RootDistributor(client, signer.root_pem, informers.by_kind["Namespace"]).run())
        metrics = Metrics()
        reviewer = TokenReviewer(client, trust_domain)
        certificate = ServerCertificate(signer, settings.server_names)
        await self._webhooks(certificate, informers, metrics)
        group.create_task(BundleWriter(client, settings.namespace, signer.root_pem).run())

        objects = {kind: informer.store for kind, informer in informers.by_kind.items()}
        world = World(Stores(objects, lambda: informers.config(MESH_CONFIG_MAP, "mesh"), settings.dns_domain))
        ledger = Ledger()
        connections: Connections[Proxy] = Connections()
        lost = LostProxies(informers.by_kind["Pod"].get)
        barrier = Barrier(ledger, lambda: connections, lost)
        pusher: Pusher[Proxy] = Pusher(ledger, world, connections, barrier.progress)
        connections.on_change.append(barrier.progress)
        connections.on_gone.append(lambda gone: lost.gone(gone, connections))
        connections.on_new.append(lost.back)
        pusher.observe = lambda seconds, _: metrics.push_seconds.observe(seconds)

        await informers.synced()
        informers.connect(ledger, pusher.record)
        pusher.start()
        await self._grpc(certificate, signer, reviewer, world, connections, pusher, metrics, trust_domain)

        allowed = DebugAuthorizer(client, lambda token: reviewer.user(token, ""))
        debug = DebugServer(world, connections, ledger, pusher, barrier, metrics, allowed)
        await self._listen(debug.application(), settings.monitoring_port)
        self.ready.set()
        await self._listen(self._readiness(), settings.ready_port)
        log.info("serving: %d services, %d pods", len(objects["Service"]), len(objects["Pod"]))
        group.create_task(certificate.renew())

    async def _listen(self, app: web.Application, port: int, context: ssl.SSLContext | None = None) -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, self._settings.bind, port, ssl_context=context, shutdown_timeout=0.2)
        await site.start()

    def _readiness(self) -> web.Application:
        async def ready(request: web.Request) -> web.Response:
            del request
            return web.Response(status=200 if self.ready.is_set() else 503)

        app = web.Application()
        app.router.add_get("/ready", ready)
        return app

    async def _webhooks(self, certificate: ServerCertificate, informers: Informers, metrics: Metrics) -> None:
        def values() -> SidecarValues:
            metrics.injections.inc()
            text = informers.config(INJECTOR_CONFIG_MAP, "values")
            return SidecarValues.from_json(json.loads(text)) if text else SidecarValues()

        def validate(obj: Obj) -> str | None:
            message = invalid(obj)
            if message:
                metrics.rejected_configs.inc()
            return message

        await self._listen(application(values, validate), self._settings.webhook_port, certificate.context)

    async def _grpc(
        self,
        certificate: ServerCertificate,
        signer: Signer,
        reviewer: TokenReviewer,
        world: World,
        connections: Connections[Proxy],
        pusher: Pusher[Proxy],
        metrics: Metrics,
        trust_domain: str,
    ) -> None:
        authenticate = authenticator(reviewer, trust_domain)

        def on_sent(connection: Connection[Proxy], subscription: Subscription, size: int) -> None:
            pusher.sent(connection, subscription, size)
            metrics.responses.labels(short(subscription.type_url)).inc()

        def on_request(connection: Connection[Proxy], type_url: str, error: str | None) -> None:
            del connection
            if error is not None:
                metrics.rejects.labels(short(type_url)).inc()

        discovery: DiscoveryServer[Proxy] = DiscoveryServer(world, Proxy.from_node, authenticate, connections)
        discovery.on_sent, discovery.on_request = on_sent, on_request
        authority = CertificateService(signer, authenticate)
        server = grpc.aio.server(options=GRPC_OPTIONS)
        server.add_generic_rpc_handlers((discovery.handler(), authority.handler()))
        # Python's gRPC can require client certificates or not ask for them; so those with a token have their own port.
        bind, tokens, certificates = self._settings.bind, self._settings.xds_token_port, self._settings.xds_port
        server.add_secure_port(f"{bind}:{tokens}", certificate.credentials(require_client=False))
        server.add_secure_port(f"{bind}:{certificates}", certificate.credentials(require_client=True))
        await server.start()
        self._server = server


def invalid(obj: Obj) -> str | None:
    """Why a configuration object is refused at admission: every wrong field with what was expected; None when valid."""
    if find(str(obj.get("apiVersion", "")), str(obj.get("kind", ""))) is None:
        return None
    try:
        parse(obj)
    except InvalidConfig as error:
        return str(error)
    return None
