"""The HTTP face on 15014: `/debug/…`, `/metrics`, `/version`."""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from reference.controlplane.debug import pages
from reference.controlplane.debug.access import bearer_token, is_loopback
from reference.controlplane.debug.authorization import Verdict
from reference.controlplane.debug.metrics import Metrics
from reference.controlplane.push import settled
from reference.controlplane.push.ledger import Ledger
from reference.controlplane.push.pusher import Pusher
from reference.controlplane.push.world import World
from reference.controlplane.xds.connections import Connections
from reference.controlplane.xds.types import short

log = logging.getLogger(__name__)
Json = dict[str, Any]
Allowed = Callable[[str, str], Awaitable[Verdict]]

REFUSALS = {
    Verdict.UNKNOWN: "expected a bearer token that the API server accepts",
    Verdict.FORBIDDEN: "expected a user that may get this path, as by a ClusterRole with nonResourceURLs: [/debug/*]",
}


class DebugServer:
    """`allowed` says whether the bearer of a token may get a path."""

    def __init__(
        self,
        world: World,
        connections: Connections[Any],
        ledger: Ledger,
        pusher: Pusher[Any],
        barrier: settled.Barrier,
        metrics: Metrics,
        allowed: Allowed,
    ) -> None:
        self._world, self._connections, self._ledger = world, connections, ledger
        self._pusher, self._barrier, self._metrics, self._allowed = pusher, barrier, metrics, allowed

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/metrics", self._metrics_page)
        app.router.add_post("/debug/settled", self._settled)
        views: dict[str, Callable[[web.Request], Any]] = {
            "syncz": lambda _: pages.syncz(self._connections),
            "connections": lambda _: pages.connections(self._connections),
            "configz": lambda _: self._configs(),
            "registryz": lambda _: pages.jsonable(self._world.snapshot.services.services),
            "endpointz": lambda _: pages.jsonable(self._world.endpoints.by_service),
            "mesh": lambda _: pages.jsonable(self._world.snapshot.mesh),
            "config_dump": self._config_dump,
            "push_status": lambda _: self._push_status(),
        }
        for name, view in views.items():
            app.router.add_get(f"/debug/{name}", self._page(view))
        app.router.add_get("/debug/list", self._page(lambda _: [f"/debug/{name}" for name in views]))
        app.router.add_get("/debug", self._page(lambda _: [f"/debug/{name}" for name in views]))
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith("/debug") and not is_loopback(request.remote):
            token = bearer_token(request.headers.get("Authorization"))
            verdict = await self._allowed(token, request.path) if token else Verdict.UNKNOWN
            if verdict is not Verdict.ALLOWED:
                return web.json_response({"error": REFUSALS[verdict]}, status=verdict.value)
        return await handler(request)

    def _page(self, view: Callable[[web.Request], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def page(request: web.Request) -> web.Response:
            return web.json_response(view(request), dumps=lambda value: json.dumps(value, default=str))

        return page

    async def _metrics_page(self, request: web.Request) -> web.Response:
        del request
        self._metrics.connected.set(len(self._connections))
        return web.Response(body=self._metrics.text(), content_type="text/plain")

    async def _settled(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            if not isinstance(body, dict):
                raise settled.BadQuestion(f"body: expected an object, got {type(body).__name__}")
            refs, timeout = settled.parse(body)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        state, elapsed = await self._barrier.wait(refs, timeout)
        self._metrics.settled_seconds.observe(elapsed / 1000)
        concerned = self._pusher.concerned(self._ledger.numbers(refs)) if state.settled else []
        status, answer = settled.answer(state, elapsed, concerned)
        return web.json_response(answer, status=status)

    def _configs(self) -> Json:
        snapshot = self._world.snapshot
        return {
            "VirtualService": pages.jsonable(snapshot.virtual_services.by_key),
            "DestinationRule": pages.jsonable(snapshot.destination_rules.by_key),
            "rejected": {"/".join(key): str(error) for key, error in snapshot.rejected.items()},
        }

    def _push_status(self) -> Json:
        return {
            "sequence": self._ledger.sequence,
            "pushes": self._pusher.pushes,
            "last_seconds": self._pusher.last_seconds,
        }

    def _config_dump(self, request: web.Request) -> Any:
        wanted = request.query.get("proxyID", "")
        for each in self._connections:
            if wanted in (each.node, f"{each.pod}.{each.namespace}", each.id):
                return {
                    short(url): pages.resources(self._world.generate(each.proxy, url, subscription.wanted()))
                    for url, subscription in each.subscriptions.items()
                }
        known = [f"{each.pod}.{each.namespace}" for each in self._connections]
        return {"error": f"proxyID: expected one of {known}, got {wanted!r}"}
