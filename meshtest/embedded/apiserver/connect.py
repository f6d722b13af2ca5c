"""Subresources that are connections: pod logs, exec, attach, port-forward, and HTTP proxies to pods, services, nodes.

The kubelet of the pod's node is the other end; it knows us by our client certificate.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from .call import User
from .core import Core
from .dial import Unreachable, service_endpoint
from .errors import StatusError, bad_request, internal
from .kinds import Kind
from .reads import get
from .request import Target
from .store import Item

Obj = dict[str, Any]
_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "authorization",
    ]
)
_LOG_OPTIONS = ("follow", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "previous", "limitBytes")


async def connect(
    core: Core, request: web.BaseRequest, user: User, kind: Kind, target: Target, query: Mapping[str, str]
) -> web.StreamResponse:
    del user
    try:
        if target.subresource == "proxy":
            return await _proxy(core, request, kind, target)
        if kind.key != "pods":
            raise bad_request(f"{kind.plural} have no subresource {target.subresource}")
        pod = get(core.store, kind, target.namespace, target.name)
        if target.subresource == "log":
            return await _logs(core, request, pod, query)
        return await _streams(core, request, pod, target.subresource, query)
    except (aiohttp.ClientError, Unreachable, TimeoutError, OSError) as error:
        if isinstance(error, ConnectionResetError) or request.transport is None:
            raise
        raise internal(f"error trying to reach {target.path}: {error}") from None


def _kubelet(core: Core, pod: Item) -> str:
    """``https://ADDRESS:PORT`` of the kubelet that runs a pod."""
    name = pod.obj["spec"].get("nodeName")
    if not name:
        raise bad_request(f"pod {pod.name} does not have a host assigned")
    node = core.store.collection("nodes").get("", name)
    if node is None:
        raise internal(f'node "{name}" of pod {pod.name} does not exist')
    return kubelet_url(node)


def kubelet_url(node: Item) -> str:
    status = node.obj.get("status") or {}
    addresses = {each["type"]: each["address"] for each in reversed(status.get("addresses") or [])}
    address = addresses.get("InternalIP")
    if not address:
        raise internal(f'node "{node.name}" has no InternalIP')
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 10250)
    host = f"[{address}]" if ":" in address else address
    return f"https://{host}:{port}"


def _container(pod: Item, wanted: str) -> str:
    spec = pod.obj["spec"]
    names = [c["name"] for key in ("containers", "initContainers", "ephemeralContainers") for c in spec.get(key) or []]
    if wanted:
        if wanted not in names:
            raise bad_request(f"container {wanted} is not valid for pod {pod.name}")
        return wanted
    regular = [c["name"] for c in spec["containers"]]
    if len(regular) == 1:
        return str(regular[0])
    default = (pod.obj["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if default in regular:
        return str(default)
    raise bad_request(f"a container name must be specified for pod {pod.name}, choose one of: [{' '.join(names)}]")


async def _logs(core: Core, request: web.BaseRequest, pod: Item, query: Mapping[str, str]) -> web.StreamResponse:
    container = _container(pod, query.get("container", ""))
    if not pod.obj["spec"].get("nodeName"):
        return web.Response(text="")
    url = f"{_kubelet(core, pod)}/containerLogs/{pod.namespace}/{pod.name}/{container}"
    options = {key: query[key] for key in _LOG_OPTIONS if key in query}
    session, tls = core.connections.session(), core.connections.kubelet_tls()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with session.get(url, params=options, ssl=tls, timeout=timeout) as answer:
        if answer.status != 200:
            raise _kubelet_error(answer.status, await answer.text())
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _kubelet_error(code: int, text: str) -> StatusError:
    text = text.strip() or f"the kubelet answered {code}"
    if code == 404:
        return StatusError(404, "NotFound", text)
    return bad_request(text) if code < 500 else internal(text)


async def _streams(
    core: Core, request: web.BaseRequest, pod: Item, what: str, query: Mapping[str, str]
) -> web.StreamResponse:
    path = {"exec": "exec", "attach": "attach", "portforward": "portForward"}[what]
    url = f"{_kubelet(core, pod)}/{path}/{pod.namespace}/{pod.name}"
    parameters = [(key, value) for key, value in request.query.items() if key != "container"]
    if what != "portforward":
        url += f"/{_container(pod, query.get('container', ''))}"
        if what == "exec" and "command" not in query:
            raise bad_request("you must specify at least one command for the container")
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise bad_request("Upgrade request required: only WebSocket is supported for streams")
    offered = [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if each.strip()]
    session, tls = core.connections.session(), core.connections.kubelet_tls()
    try:
        backend = await session.ws_connect(
            url, params=parameters, protocols=offered, ssl=tls, max_msg_size=0, compress=0, autoping=True
        )
    except aiohttp.WSServerHandshakeError as error:
        raise _kubelet_error(error.status, error.message) from None
    try:
        chosen = [backend.protocol] if backend.protocol else []
        client = web.WebSocketResponse(protocols=chosen, max_msg_size=0, compress=False, timeout=1.0)
        await client.prepare(request)
        await _splice(client, backend)
        return client
    finally:
        await backend.close()


async def _splice(client: web.WebSocketResponse, backend: aiohttp.ClientWebSocketResponse) -> None:
    """Messages both ways until one side ends."""

    async def pump(source: Any, sink: Any) -> None:
        async for message in source:
            if message.type is aiohttp.WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await sink.send_str(message.data)

    upward = asyncio.ensure_future(pump(client, backend))
    downward = asyncio.ensure_future(pump(backend, client))
    try:
        await asyncio.wait((upward, downward), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (upward, downward):
            task.cancel()
        await asyncio.gather(upward, downward, return_exceptions=True)
    await client.close(code=backend.close_code or 1000)


async def _proxy(core: Core, request: web.BaseRequest, kind: Kind, target: Target) -> web.StreamResponse:
    scheme, name, port = _split_name(target.name)
    tls: ssl.SSLContext | bool = True
    if kind.key == "nodes":
        base = kubelet_url(get(core.store, kind, "", name))
        tls = core.connections.kubelet_tls()
    else:
        host, number = _proxy_address(core, kind, target.namespace, name, port)
        base = f"{scheme or 'http'}://{f'[{host}]' if ':' in host else host}:{number}"
        tls = core.connections.insecure_tls()
    headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
    session = core.connections.session()
    async with session.request(
        request.method,
        f"{base}/{target.rest}",
        params=request.query,
        headers=headers,
        data=await request.read() or None,
        ssl=tls,
        allow_redirects=False,
    ) as answer:
        kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
        kept.pop("Content-Length", None)
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _split_name(text: str) -> tuple[str, str, str]:
    """``[scheme:]name[:port]``."""
    parts = text.split(":")
    if len(parts) == 1:
        return "", parts[0], ""
    if len(parts) == 2:
        return "", parts[0], parts[1]
    return parts[0], parts[1], parts[2]


def _proxy_address(core: Core, kind: Kind, namespace: str, name: str, port: str) -> tuple[str, int]:
    item = get(core.store, kind, namespace, name)
    if kind.key == "services":
        ports = item.obj["spec"].get("ports") or [{}]
        wanted = port or ports[0].get("port", 80)
        return service_endpoint(core.store, namespace, name, int(wanted) if str(wanted).isdigit() else wanted)
    address = (item.obj.get("status") or {}).get("podIP")
    if not address:
        raise bad_request(f"pod {name} has no address")
    if port.isdigit():
        return address, int(port)
    for container in item.obj["spec"]["containers"]:
        for each in container.get("ports") or []:
            if not port or each.get("name") == port:
                return address, each["containerPort"]
    return address, 80
