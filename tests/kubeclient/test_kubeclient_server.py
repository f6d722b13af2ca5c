"""The client against small servers in the same process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from kubeclient import ApiError, Client, Connection, ConnectionFailed, Event, Informer, Obj, UnknownKind
from kubeclient.resources import CONFIG_MAPS

pytestmark = pytest.mark.anyio
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAPS = "/api/v1/namespaces/default/configmaps"


@asynccontextmanager
async def serving(*routes: tuple[str, str, Handler]) -> AsyncIterator[Client]:
    app = web.Application()
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    async with TestServer(app) as server, Client(Connection(str(server.make_url("")).rstrip("/"))) as client:
        yield client


def config_map(name: str, version: int, **data: str) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": str(version)},
        "data": data,
    }


async def test_create_adds_kind_and_namespace() -> None:
    async def create(request: web.Request) -> web.Response:
        return web.json_response(orjson.loads(await request.read()))

    async with serving(("POST", MAPS, create)) as client:
        made = await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert (made["apiVersion"], made["kind"]) == ("v1", "ConfigMap")


async def test_a_refusal_carries_the_status() -> None:
    async def refuse(_request: web.Request) -> web.Response:
        status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": 'configmaps "a" not found'}
        return web.json_response(status, status=404)

    async with serving(("GET", f"{MAPS}/a", refuse)) as client:
        with pytest.raises(ApiError, match=r'GET /api.*/a: 404 NotFound: configmaps "a" not found') as caught:
            await client.get(CONFIG_MAPS, "a")
    assert caught.value.is_not_found


async def test_no_server_is_named_with_a_hint() -> None:
    async with Client(Connection("http://127.0.0.1:1")) as client:
        with pytest.raises(ConnectionFailed, match=r"API server http://127.0.0.1:1: GET .*is the cluster up"):
            await client.get(CONFIG_MAPS, "a")


async def test_a_busy_server_is_asked_again() -> None:
    answers = [429, 200]

    async def busy(_request: web.Request) -> web.Response:
        code = answers.pop(0)
        return web.json_response({}, status=code, headers={"Retry-After": "0"} if code == 429 else {})

    async with serving(("GET", f"{MAPS}/a", busy)) as client:
        await client.get(CONFIG_MAPS, "a")
    assert not answers


async def test_apply_finds_the_resource_of_an_unknown_kind_once() -> None:
    asked = []

    async def discover(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"resources": [{"name": "widgets", "kind": "Widget", "namespaced": True}]})

    async def apply(request: web.Request) -> web.Response:
        assert request.content_type == "application/apply-patch+yaml"
        assert request.query["fieldManager"] == "kubeclient"
        return web.json_response(orjson.loads(await request.read()))

    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}}
    path = "/apis/example.com/v1/namespaces/n/widgets/w"
    async with serving(("GET", "/apis/example.com/v1", discover), ("PATCH", path, apply)) as client:
        await client.apply(widget)
        assert await client.apply(widget) == widget
        with pytest.raises(UnknownKind, match=r"no kind Gadget in example\.com/v1; hint: it has Widget$"):
            await client.apply({**widget, "kind": "Gadget"})
    assert len(asked) == 2


@pytest.mark.parametrize("said", ['pods "nopod" not found', ""], ids=["with a Status", "and without"])
async def test_a_refused_stream_tells_what_the_server_said(said: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        if not said and "Upgrade" not in request.headers:
            return web.Response(status=400, text="Upgrade request required")
        status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": said}
        return web.json_response(status, status=404)

    path = "/api/v1/namespaces/default/pods/nopod/exec"
    expected = r"exec \['true'\] in default/nopod/x: 404 " + (f"NotFound: {said}$" if said else ": the server refused")
    async with serving(("GET", path, refuse)) as client:
        with pytest.raises(ApiError, match=expected) as caught:
            await client.exec("default", "nopod", "x", ["true"])
    assert caught.value.is_not_found


async def test_a_strict_apply_asks_the_server_to_refuse_unknown_fields() -> None:
    asked = []

    async def apply(request: web.Request) -> web.Response:
        asked.append(request.query.get("fieldValidation"))
        return web.json_response({})

    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    async with serving(("PATCH", f"{MAPS}/a", apply)) as client:
        await client.apply(obj)
        await client.apply(obj, strict=True)
    assert asked == [None, "Strict"]


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [(410, "Expired", "too old"), (504, "Timeout", "Too large resource version: 5, current: 2")],
    ids=["too old", "of a server that lost its memory"],
)
async def test_an_informer_lists_watches_and_lists_again_when_its_version_is_unknown(
    code: int, reason: str, message: str
) -> None:
    lists = [
        {"metadata": {"resourceVersion": "5"}, "items": [config_map("a", 1), config_map("b", 2)]},
        {"metadata": {"resourceVersion": "20"}, "items": [config_map("a", 6), config_map("big", 7)]},
    ]
    watches = {
        "5": [
            {"type": "MODIFIED", "object": config_map("a", 6, key="x" * 3_000_000)},
            {"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": reason, "message": message}},
        ],
        "20": [{"type": "DELETED", "object": config_map("big", 21)}],
    }
    over = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(lists.pop(0))
        response = web.StreamResponse()
        await response.prepare(request)
        for event in watches[request.query["resourceVersion"]]:
            await response.write(orjson.dumps(event) + b"\n")
        if request.query["resourceVersion"] == "20":
            await over.wait()
        return response

    seen: list[tuple[str, str, bool]] = []
    done = asyncio.Event()

    def note(event: Event) -> None:
        name = event.obj["metadata"]["name"]
        seen.append((event.type, name, event.old is not None))
        if (event.type, name) == ("DELETED", "big"):
            done.set()

    async with serving(("GET", "/api/v1/configmaps", serve)) as client:
        informer = Informer(client, CONFIG_MAPS)
        informer.subscribe(note)
        running = asyncio.create_task(informer.run())
        await asyncio.wait_for(done.wait(), 10)
        assert informer.synced.is_set()
        assert list(informer.store) == [("default", "a")]
        assert informer.resource_version == "21"
        over.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert seen == [
        ("ADDED", "a", False),
        ("ADDED", "b", False),
        ("MODIFIED", "a", True),
        ("DELETED", "b", True),
        ("ADDED", "big", False),
        ("DELETED", "big", True),
    ]


async def test_exec_gathers_both_outputs_and_the_exit_code() -> None:
    async def serve(request: web.Request) -> web.WebSocketResponse:
        assert request.query.getall("command") == ["cat", "-"]
        websocket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await websocket.prepare(request)
        received = b""
        async for message in websocket:
            if message.type is WSMsgType.BINARY and message.data == b"\xff\x00":
                break
            received += message.data[1:]
        await websocket.send_bytes(b"\x01" + received)
        await websocket.send_bytes(b"\x02complaint")
        status = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
        await websocket.send_bytes(b"\x03" + orjson.dumps(status))
        await websocket.close()
        return websocket

    async with serving(("GET", "/api/v1/namespaces/n/pods/p/exec", serve)) as client:
        result = await client.exec("n", "p", None, ["cat", "-"], b"z" * 100_000)
    assert (result.stdout, result.stderr, result.exit_code) == (b"z" * 100_000, b"complaint", 7)


async def test_a_forwarded_port_is_a_socket() -> None:
    async def serve(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await websocket.prepare(request)
        for channel in (0, 1):
            await websocket.send_bytes(bytes([channel]) + (8080).to_bytes(2, "little"))
        async for message in websocket:
            await websocket.send_bytes(b"\x00" + message.data[1:].upper())
        return websocket

    async with serving(("GET", "/api/v1/namespaces/n/pods/p/portforward", serve)) as client:
        forwarded = await client.port_forward("n", "p", 8080)
        forwarded.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=forwarded)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"HELLO"
        writer.close()
        await writer.wait_closed()
