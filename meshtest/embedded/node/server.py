"""The kubelet's HTTPS API, for the API server: logs, exec, port-forward. Callers need a client certificate of the
cluster's CA."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from meshtest.embedded import linux
from meshtest.embedded.node import logs, streams
from meshtest.embedded.node.kubelet import Kubelet
from meshtest.embedded.node.worker import Worker

log = logging.getLogger(__name__)

ADMIN_GROUP = "system:masters"


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("true", "1")


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None or text == "":
        return None
    try:
        return int(text)
    except ValueError:
        raise web.HTTPBadRequest(text=f"{name}: expected a number, got {text!r}") from None


class KubeletServer:
    """The routes. One a node."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet

    async def run(self) -> None:
        """Listen on the node's address, in its namespace; returns once it does."""
        config = self._kubelet.host.config
        app = web.Application(middlewares=[_administrators_only])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        for method in ("GET", "POST"):
            app.router.add_route(method, "/exec/{namespace}/{pod}/{container}", self._exec)
            app.router.add_route(method, "/portForward/{namespace}/{pod}", self._port_forward)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(config.kubelet_cert, config.kubelet_key)
        tls.load_verify_locations(config.ca_cert)
        tls.verify_mode = ssl.CERT_REQUIRED
        listener = linux.socket_in(config.netns_fd)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.address, config.kubelet_port))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=tls, backlog=128).start()

    def _worker(self, request: web.Request) -> Worker:
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        worker = self._kubelet.worker(namespace, name)
        if worker is None:
            raise web.HTTPNotFound(text=f'pod "{name}" in namespace "{namespace}" is not on this node')
        return worker

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        name = request.match_info["container"]
        previous = _flag(request, "previous")
        file = worker.containers.log_of(name, previous=previous)
        pod = worker.key[1]
        if file is None:
            if previous:
                text = f'previous terminated container "{name}" in pod "{pod}" not found'
            else:
                state = worker.cell.state.of(name)
                text = f'container "{name}" in pod "{pod}" is waiting to start: {state.message or state.reason}'
            raise web.HTTPBadRequest(text=text)
        seconds = _number(request, "sinceSeconds")
        query = logs.Query(
            tail=_number(request, "tailLines"),
            since=logs.since_text(seconds=seconds, time_text=request.query.get("sinceTime")),
            timestamps=_flag(request, "timestamps"),
            limit_bytes=_number(request, "limitBytes"),
        )
        shown, offset = logs.read(file.path, query)
        if not _flag(request, "follow"):
            return web.Response(body=shown, content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(shown)
        sent = len(shown)
        more = logs.Query(timestamps=query.timestamps)
        turned = file.rotations
        while query.limit_bytes is None or sent < query.limit_bytes:
            if file.path.exists():
                if file.rotations != turned:
                    turned = file.rotations
                    rest, _ = logs.read_from(file.path.with_suffix(".log.1"), offset, more)
                    await response.write(rest)
                    offset = 0
                text_bytes, offset = logs.read_from(file.path, offset, more)
                if text_bytes:
                    left = None if query.limit_bytes is None else query.limit_bytes - sent
                    await response.write(text_bytes[:left])
                    sent += len(text_bytes)
                    continue
            if file.closed:
                break
            await file.changed()
        await response.write_eof()
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        name = request.match_info["container"]
        if name not in worker.processes:
            raise web.HTTPBadRequest(text=f'container "{name}" in pod "{worker.key[1]}" is not running')
        options = streams.ExecOptions(
            argv=request.query.getall("command", []),
            stdin=_flag(request, "stdin") or _flag(request, "input"),
            stdout=_flag(request, "stdout") or _flag(request, "output"),
            stderr=_flag(request, "stderr") or _flag(request, "error"),
            tty=_flag(request, "tty"),
        )
        if not options.argv:
            raise web.HTTPBadRequest(text="you must specify at least 1 command for the container")
        return await _websocket(request, lambda socket_: streams.run_exec(worker, name, options, socket_))

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        ports = [int(port) for text in request.query.getall("ports", []) for port in text.split(",")]
        ports += [int(port) for port in request.query.getall("port", [])]
        return await _websocket(request, lambda socket_: streams.forward(worker, ports, socket_))


@web.middleware
async def _administrators_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Any client of the cluster's CA gets this far; only the API server's own certificate is in this group."""
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    subject = [pair for rdn in (certificate or {}).get("subject", ()) for pair in rdn]
    if ("organizationName", ADMIN_GROUP) not in subject:
        name = next((value for key, value in subject if key == "commonName"), "nobody")
        raise web.HTTPForbidden(
            text=f"{name} may not use the kubelet API: expected a certificate of group {ADMIN_GROUP}"
        )
    return await handler(request)


async def _websocket(
    request: web.Request, serve: Callable[[web.WebSocketResponse], Awaitable[None]]
) -> web.WebSocketResponse:
    response = web.WebSocketResponse(protocols=streams.PROTOCOLS, max_msg_size=0, autoping=True)
    await response.prepare(request)
    try:
        await serve(response)
    finally:
        await asyncio.shield(response.close())
    return response
