"""Kube: one cluster's API for blocking callers."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from kubeclient import ApiError, Client, ExecResult, Obj, Resource, connection_from_kubeconfig
from kubeclient.resources import PODS
from kubeclient.streams import LogOptions
from meshtest.kube.dialers import Dialer, PortForwardDialer
from meshtest.kube.errors import DeadlineExceeded
from meshtest.kube.loop import LoopThread

T = TypeVar("T")
FIELD_MANAGER = "meshtest"
Objects = list[Obj]
Resources = list[Resource]
Condition = Callable[[Obj | None], bool]
"""Whether a wait is over, by the object's present state; None stands for "does not exist"."""


class Kube:
    """Blocking verbs on one cluster; safe from several threads. Deadlines are in seconds.

    Errors, of all verbs: kubeclient.ApiError when the server refuses, kubeclient.ConnectionFailed when it is gone.
    """

    def __init__(self, client: Client, loop: LoopThread, dialer: Dialer | None = None) -> None:
        self.client = client
        self.loop = loop
        self.dialer: Dialer = dialer or PortForwardDialer()

    @classmethod
    def open(cls, kubeconfig: Path, loop: LoopThread, dialer: Dialer | None = None) -> "Kube":
        """On the current context of a kubeconfig. Nothing is sent yet."""
        return cls(Client(connection_from_kubeconfig(kubeconfig), user_agent="meshtest"), loop, dialer)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that uses `client` on the loop that it belongs to."""
        return self.loop.run(coroutine)

    def close(self) -> None:
        """Close the session; the loop is its owner's to close."""
        self.run(self.client.close())

    # -- objects ----------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Obj:
        """The object. Errors: ApiError with is_not_found."""
        return self.run(self.client.get(resource, name, namespace))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Obj | None:
        """The object, or None where there is none."""
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Objects:
        """Objects of a namespace; of all namespaces when None."""
        return list(
            self.run(
                self.client.list(resource, namespace, label_selector=label_selector, field_selector=field_selector)
            )
        )

    def create(self, resource: Resource, obj: Obj, namespace: str | None = None) -> Obj:
        """Create; the answer has uid and resourceVersion."""
        return self.run(self.client.create(resource, obj, namespace))

    def apply(self, *objects: Obj, field_manager: str = FIELD_MANAGER, strict: bool = False) -> Objects:
        """Server-side apply in the given order, one after another; the answers. The first refusal ends it.

        strict: fields that the kind's schema does not know are refused (400, `unknown field`) instead of dropped.
        """

        async def each() -> Objects:
            return [await self.client.apply(obj, field_manager=field_manager, strict=strict) for obj in objects]

        return self.run(each())

    def apply_together(self, objects: Iterable[Obj], field_manager: str = FIELD_MANAGER) -> Objects:
        """Server-side apply of objects that need no order, all at once."""

        async def each() -> Objects:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.client.apply(obj, field_manager=field_manager)) for obj in objects]
            return [task.result() for task in tasks]

        return self.run(each())

    def resources(self, objects: Iterable[Obj]) -> Resources:
        """Where each object lives, by its apiVersion and kind. Errors: kubeclient.UnknownKind."""

        async def each() -> Resources:
            return [await self.client.resource_for(obj) for obj in objects]

        return self.run(each())

    def patch(self, resource: Resource, name: str, body: Any, namespace: str | None = None) -> Obj:
        """JSON merge patch."""
        return self.run(self.client.patch(resource, name, body, namespace))

    def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> Obj | None:
        """Delete; the server's answer, or None where there was nothing."""
        try:
            return self.run(self.client.delete(resource, name, namespace, grace_seconds=grace_seconds))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    # -- waiting ----------------------------------------------------------------------------------------------------

    def wait_for(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        until: Condition,
        what: str,
        deadline_s: float = 30.0,
    ) -> Obj | None:
        """Watch one object until `until` holds; answers the object then (None: it does not exist).

        `what` names the awaited state in the message. Errors: DeadlineExceeded that shows what was last seen.
        """
        return self.run(self._wait_for(resource, name, namespace, until, what, deadline_s))

    def wait_gone(
        self, resource: Resource, name: str, namespace: str | None = None, *, deadline_s: float = 30.0
    ) -> None:
        """Until the object does not exist."""
        self.wait_for(resource, name, namespace, until=lambda obj: obj is None, what="gone", deadline_s=deadline_s)

    async def _wait_for(
        self, resource: Resource, name: str, namespace: str | None, until: Condition, what: str, deadline_s: float
    ) -> Obj | None:
        last: Obj | None = None
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    selector = f"metadata.name={name}"
                    found = await self.client.list(resource, namespace, field_selector=selector)
                    last = found[0] if found else None
                    if until(last):
                        return last
                    events = self.client.watch(
                        resource, namespace, field_selector=selector, resource_version=found.resource_version
                    )
                    try:
                        async with aclosing(events) as stream:  # type: ignore[type-var]
                            async for event in stream:
                                last = None if event.type == "DELETED" else event.obj
                                if until(last):
                                    return last
                    except ApiError as error:
                        if not error.is_gone:
                            raise
        except TimeoutError:
            where = f"{namespace}/" if namespace else ""
            seen = "it does not exist" if last is None else f"last seen: {_summary(last)}"
            raise DeadlineExceeded(
                f"{resource.kind} {where}{name}: expected {what} within {deadline_s:g} s; {seen}"
            ) from None

    # -- pods -------------------------------------------------------------------------------------------------------

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        tail_lines: int | None = None,
        since_time: str | None = None,
        previous: bool = False,
    ) -> str:
        """A container's log as text."""
        options = LogOptions(container=container, tail_lines=tail_lines, since_time=since_time, previous=previous)
        return self.run(self.client.logs(namespace, pod, options))

    def exec(
        self,
        namespace: str,
        pod: str,
        command: Sequence[str],
        *,
        container: str | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command in a container and wait for its end."""
        return self.run(self.client.exec(namespace, pod, container, command, stdin))

    def dial(self, namespace: str, pod: str, port: int) -> socket.socket:
        """A blocking stream socket to a port of the pod, loopback-only ports included. Errors: DialError."""
        connection = self.run(self.dialer.dial(self.client, namespace, pod, port))
        connection.setblocking(True)
        return connection

    def ready_pods(self, namespace: str, label_selector: str) -> Objects:
        """Pods that are Ready and not on their way out."""
        return [pod for pod in self.list(PODS, namespace, label_selector=label_selector) if is_ready(pod)]


def is_ready(pod: Obj) -> bool:
    """Whether a pod is Ready and not being deleted."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions: Sequence[Mapping[str, Any]] = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _summary(obj: Obj) -> str:
    """What explains a wait that failed: the status, short."""
    status = obj.get("status") or {}
    text = repr(status) if status else f"resourceVersion {obj['metadata'].get('resourceVersion')}, no status"
    return text if len(text) < 1500 else text[:1500] + "…"
