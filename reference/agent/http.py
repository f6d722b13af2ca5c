"""The agent's HTTP faces: readiness on 15021; merged metrics, application probes and control on 15020."""

import asyncio
import logging
from typing import Any

import aiohttp
from aiohttp import web

from reference.agent import probes, readiness
from reference.agent.envoy import Envoy
from reference.agent.settings import AGENT_PORT, HEALTH_PORT, Settings

log = logging.getLogger(__name__)
POLL = 0.015
HOLD = 2.5
"""Seconds that a readiness request is held while the proxy starts: the kubelet learns at once instead of a period
later. The injected probe's timeout is longer."""


class AgentHttp:
    """Serves both ports in the pod's namespace. `served` is set when Envoy was given its certificate."""

    def __init__(self, settings: Settings, envoy: Envoy, session: aiohttp.ClientSession, served: asyncio.Event) -> None:
        self._served = served
        self._settings, self._envoy, self._session = settings, envoy, session
        self._ready = asyncio.Event()
        self._why = "Envoy has not asked for its certificate yet"
        self.draining = False
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        health = web.Application()
        health.router.add_get("/healthz/ready", self._readiness)
        agent = web.Application()
        agent.router.add_get("/healthz/ready", self._readiness)
        agent.router.add_get("/app-health/{container}/{probe}", self._app_health)
        agent.router.add_get("/stats/prometheus", self._metrics)
        agent.router.add_get("/metrics", self._metrics)
        agent.router.add_post("/quitquitquit", self._quit)
        for app, port in ((health, HEALTH_PORT), (agent, AGENT_PORT)):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "0.0.0.0", port, shutdown_timeout=0.1).start()
            self._runners.append(runner)

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def watch(self) -> None:
        """Asks Envoy until its first configuration has settled.

        Many proxies start at once, so nothing is asked before Envoy has its certificate, and the statistics, which cost
        Envoy a walk over all of them, only when the cheap question says that it is live.
        """
        path = f"/stats?filter={readiness.FILTER}"
        await self._served.wait()
        while True:
            if await self._envoy.admin("/ready") is None:
                self._why = "Envoy is not live: it waits for its first configuration"
                await asyncio.sleep(POLL)
                continue
            text = await self._envoy.admin(path)
            verdict = readiness.judge(readiness.parse(text)) if text is not None else None
            if verdict is not None:
                self._why = verdict.why
                if verdict.ready:
                    self._ready.set()
                    log.info("Envoy is ready")
                    return
            await asyncio.sleep(POLL)

    async def _readiness(self, request: web.Request) -> web.Response:
        del request
        if self.draining or (not self._envoy.running and self._ready.is_set()):
            return web.Response(status=503, text="draining")
        try:
            async with asyncio.timeout(HOLD):
                await self._ready.wait()
        except TimeoutError:
            return web.Response(status=503, text=f"not ready: {self._why}")
        return web.Response(text="ready")

    async def _app_health(self, request: web.Request) -> web.Response:
        probe: dict[str, Any] | None = self._settings.probes.get(request.path)
        if probe is None:
            return web.Response(status=404, text=f"no probe {request.path}; known: {sorted(self._settings.probes)}")
        outcome = await probes.check(probe, self._session, request.headers)
        return web.Response(status=outcome.status, text=outcome.text)

    async def _metrics(self, request: web.Request) -> web.Response:
        """Envoy's metrics and, if the pod has some, the application's."""
        del request
        text = await self._envoy.admin("/stats/prometheus") or ""
        own = self._settings.prometheus
        if own and str(own.get("scrape", "true")) == "true":
            url = f"http://127.0.0.1:{own.get('port', 80)}{own.get('path', '/metrics')}"
            try:
                async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
                    text += await response.text() if response.status == 200 else ""
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("the application's metrics at %s: %s", url, error)
        return web.Response(text=text, content_type="text/plain")

    async def _quit(self, request: web.Request) -> web.Response:
        """For jobs: the application says that it is done. From inside the pod only."""
        if request.remote not in ("127.0.0.1", "::1"):
            return web.Response(status=403, text="only from inside the pod")
        self._envoy.signal(15)
        return web.Response(text="exiting")
