"""The client: requests, verbs and watches over one aiohttp session."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import orjson

from kubeclient.connection import Connection
from kubeclient.connector import Connector, wait_for_all
from kubeclient.discovery import Discovery
from kubeclient.errors import ApiError, ConnectionFailed
from kubeclient.resources import Obj, Resource
from kubeclient.streams import ExecResult, LogOptions, exec_command, forward_port
from kubeclient.watch import Event, LineSplitter, parse_event

log = logging.getLogger(__name__)
PatchType = Literal["merge", "json", "strategic", "apply"]
_PATCH_TYPES: Mapping[str, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
WATCH_SECONDS = 600
"""A watch is asked to end after this time; informers resume it."""
RETRIES_WHEN_BUSY = 5
_Params = Mapping[str, str]


class ObjectList(list[Obj]):
    """The items of a list answer, each with apiVersion and kind, and the `resource_version` to watch from."""

    def __init__(self, items: Sequence[Obj], resource_version: str) -> None:
        super().__init__(items)
        self.resource_version = resource_version


class Client:
    """An asynchronous context manager that owns one HTTP session.

    Verbs take a `Resource`. Where a namespace is None, that of the object counts, then the connection's; `list` and
    `watch` then mean all namespaces. Every verb raises ApiError when the server refuses and ConnectionFailed when it
    cannot be reached. `request_seconds` bounds one request (watches and followed logs excepted); `user_agent` tells
    callers apart in audit logs.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str = "kubeclient",
        request_seconds: float = 60.0,
    ) -> None:
        self.connection = connection
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        self._request_seconds = request_seconds
        self._session: aiohttp.ClientSession | None = None
        self._connector: Connector | None = None
        self._discovery = Discovery(self.request)
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends port forwards and closes the session. May be called twice."""
        for task in list(self._pumps):
            task.cancel()
        if self._pumps:
            await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._session is not None:
            goodbyes = self._connector.goodbyes() if self._connector is not None else []
            await self._session.close()
            self._session = self._connector = None
            await wait_for_all(goodbyes)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = self._connector = Connector.to(self.connection)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self._headers,
                read_bufsize=1 << 20,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session

    def authorization(self) -> dict[str, str]:
        """The headers that say who we are; empty for client certificates."""
        token = self.connection.token
        return {"Authorization": f"Bearer {token()}"} if token else {}

    # -- requests ---------------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: _Params | None = None,
        body: Any = None,  # any JSON value
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; `body` is JSON (bytes go out as they are). Answers the parsed JSON, or text where it
        is no JSON.
        """
        for attempt in range(RETRIES_WHEN_BUSY + 1):
            status, retry_after, answer, content_type = await self._exchange(method, path, params, body, headers)
            if status == 429 and retry_after is not None and attempt < RETRIES_WHEN_BUSY:
                await asyncio.sleep(retry_after)
                continue
            break
        if status >= 400:
            raise _api_error(status, answer, f"{method} {path}")
        return orjson.loads(answer) if "json" in content_type else answer.decode(errors="replace")

    async def _exchange(
        self,
        method: str,
        path: str,
        params: _Params | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> tuple[int, float | None, bytes, str]:
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        sent = {
            **({"Content-Type": "application/json"} if data is not None else {}),
            **self.authorization(),
            **(headers or {}),
        }
        try:
            async with asyncio.timeout(self._request_seconds):
                async with self._open().request(
                    method,
                    self.connection.server + path,
                    params=params,
                    data=data,
                    headers=sent,
                    server_hostname=self.connection.server_name,
                    allow_redirects=False,
                ) as response:
                    answer = await response.read()
                    retry_after = response.headers.get("Retry-After")
                    return response.status, float(retry_after) if retry_after else None, answer, response.content_type
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self.failed(error, f"{method} {path}") from error

    def failed(self, error: BaseException, call: str) -> ConnectionFailed:
        """The error to raise when `call` got no answer; names the server and what to look at."""
        what = str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            what, hint = (
                "no answer in time",
                f"waited {self._request_seconds:g} s; is the server overloaded or a webhook hanging?",
            )
        elif isinstance(error, aiohttp.ClientConnectorCertificateError):
            hint = "its certificate is not from the connection's authority; is the kubeconfig of another run?"
        elif isinstance(error, aiohttp.ClientConnectorError):
            hint = "is the cluster up, and the kubeconfig from this run?"
        else:
            hint = "the connection broke; the server may have stopped"
        return ConnectionFailed(f"API server {self.connection.server}: {call}: {what} ({hint})")

    # -- verbs ------------------------------------------------------------------------------------------------------

    def _namespace(self, resource: Resource, namespace: str | None, obj: Obj | None = None) -> str | None:
        if not resource.namespaced:
            return None
        own = obj.get("metadata", {}).get("namespace") if obj else None
        return namespace or own or self.connection.namespace

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> Obj:
        answer: Obj = await self.request("GET", resource.path(self._namespace(resource, namespace), name, subresource))
        return answer

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        resource_version: str | None = None,
    ) -> ObjectList:
        """All objects of one namespace (None: of all), with the version of the list to watch from."""
        params = _selectors(label_selector, field_selector)
        if resource_version is not None:
            params["resourceVersion"] = resource_version
        answer: Obj = await self.request("GET", resource.path(namespace), params=params)
        items = answer.get("items") or []
        for item in items:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return ObjectList(items, str(answer.get("metadata", {}).get("resourceVersion", "")))

    async def create(
        self,
        resource: Resource,
        obj: Obj,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
    ) -> Obj:
        """Creates `obj`; with `name` and `subresource` posts to one (`binding`, `token`, `eviction`)."""
        path = resource.path(self._namespace(resource, namespace, obj), name, subresource)
        answer: Obj = await self.request("POST", path, body=_typed(resource, obj) if subresource is None else obj)
        return answer

    async def replace(self, resource: Resource, obj: Obj, *, subresource: str | None = None) -> Obj:
        """Replaces the object of that name; refused with a conflict if its metadata.resourceVersion is no longer
        current.
        """
        path = resource.path(self._namespace(resource, None, obj), obj["metadata"]["name"], subresource)
        answer: Obj = await self.request("PUT", path, body=_typed(resource, obj))
        return answer

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Any,  # a JSON patch is a list, the others are objects
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        type: PatchType = "merge",
        field_manager: str | None = None,
        force: bool = False,
        strict: bool = False,
    ) -> Obj:
        params = {"fieldManager": field_manager} if field_manager else {}
        if force:
            params["force"] = "true"
        if strict:
            params["fieldValidation"] = "Strict"
        path = resource.path(self._namespace(resource, namespace), name, subresource)
        answer: Obj = await self.request(
            "PATCH", path, params=params, body=body, headers={"Content-Type": _PATCH_TYPES[type]}
        )
        return answer

    async def apply(
        self,
        obj: Obj,
        *,
        resource: Resource | None = None,
        namespace: str | None = None,
        subresource: str | None = None,
        field_manager: str = "kubeclient",
        force: bool = True,
        strict: bool = False,
    ) -> Obj:
        """Server-side apply; without a resource it is found by the object's apiVersion and kind. `strict`: a field that
        the schema does not know is refused, not dropped.
        """
        resource = resource or await self.resource_for(obj)
        return await self.patch(
            resource,
            obj["metadata"]["name"],
            _typed(resource, obj),
            self._namespace(resource, namespace, obj),
            subresource=subresource,
            type="apply",
            field_manager=field_manager,
            force=force,
            strict=strict,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> Obj:
        """Deletes; with `uid` only that very object (a conflict otherwise). Answers the object, or a Status when it is
        gone.
        """
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if propagation:
            options["propagationPolicy"] = propagation
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid:
            options["preconditions"] = {"uid": uid}
        answer: Obj = await self.request(
            "DELETE", resource.path(self._namespace(resource, namespace), name), body=options
        )
        return answer

    async def delete_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Deletes a collection in one request."""
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self.request("DELETE", resource.path(namespace), params=_selectors(label_selector, None), body=options)

    async def resource_for(self, obj: Obj) -> Resource:
        """The resource of an object, by its apiVersion and kind; asks the server for kinds that are not built in."""
        return await self._discovery.find(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))

    async def discover(self) -> Sequence[Resource]:
        """All resources that the server has now, in their preferred versions."""
        return await self._discovery.all()

    # -- streams ----------------------------------------------------------------------------------------------------

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        bookmarks: bool = False,
        seconds: int = WATCH_SECONDS,
    ) -> AsyncIterator[Event]:
        """Events after `resource_version` (None: first an ADDED for all that is), until the server ends the watch.

        Raises ApiError with code 410 when that version is too old. BOOKMARK events come only with `bookmarks`.
        """
        params = {"watch": "true", "timeoutSeconds": str(seconds), **_selectors(label_selector, field_selector)}
        if resource_version is not None:
            params["resourceVersion"] = resource_version
        if bookmarks:
            params["allowWatchBookmarks"] = "true"
        call = f"WATCH {resource.path(namespace)}"
        splitter = LineSplitter()
        async for chunk in self.stream(resource.path(namespace), params, call=call):
            for line in splitter.feed(chunk):
                event = parse_event(line, call)
                if event.type != "BOOKMARK" or bookmarks:
                    yield event

    async def stream(self, path: str, params: _Params, *, call: str = "") -> AsyncIterator[bytes]:
        """The chunks of a GET's answer as they come. Raises ApiError and ConnectionFailed."""
        call = call or f"GET {path}"
        try:
            async with self._open().get(
                self.connection.server + path,
                params=params,
                headers=self.authorization(),
                server_hostname=self.connection.server_name,
            ) as response:
                if response.status >= 400:
                    raise _api_error(response.status, await response.read(), call)
                async for chunk in response.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self.failed(error, call) from error

    async def logs(self, namespace: str, pod: str, options: LogOptions | None = None) -> str:
        """A container's log as text (undecodable bytes replaced)."""
        chunks = [chunk async for chunk in self.follow_logs(namespace, pod, options or LogOptions())]
        return b"".join(chunks).decode(errors="replace")

    async def follow_logs(self, namespace: str, pod: str, options: LogOptions | None = None) -> AsyncIterator[bytes]:
        """A container's log in chunks; with `LogOptions(follow=True)` until the container ends."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        async for chunk in self.stream(path, (options or LogOptions(follow=True)).params()):
            yield chunk

    async def exec(
        self, namespace: str, pod: str, container: str | None, command: Sequence[str], stdin: bytes | None = None
    ) -> ExecResult:
        """Runs a command in a container and waits for its end."""
        return await exec_command(self, self._open(), namespace, pod, container, command, stdin)

    async def port_forward(self, namespace: str, pod: str, port: int) -> socket.socket:
        """A stream socket whose other end is `port` inside the pod; close it to end the forward."""
        forwarded, task = await forward_port(self, self._open(), namespace, pod, port)
        self._pumps.add(task)
        task.add_done_callback(self._pumped)
        return forwarded

    def _pumped(self, task: asyncio.Task[None]) -> None:
        self._pumps.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("%s", error)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    params = {}
    if label_selector:
        params["labelSelector"] = label_selector
    if field_selector:
        params["fieldSelector"] = field_selector
    return params


def _typed(resource: Resource, obj: Obj) -> Obj:
    """The object with apiVersion and kind, without changing the caller's."""
    return (
        obj
        if "kind" in obj and "apiVersion" in obj
        else {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
    )


def _api_error(code: int, answer: bytes, call: str) -> ApiError:
    try:
        status = orjson.loads(answer)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return ApiError(code, "", answer.decode(errors="replace")[:500].strip() or "(empty answer)", {}, call)
    return ApiError(code, str(status.get("reason") or ""), str(status.get("message") or ""), status, call)
