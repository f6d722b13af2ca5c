"""Echo: a deployed workload; Apps: several of them by name."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeclient.resources import PODS, SERVICES
from meshtest.echo.call import Call, Plan
from meshtest.echo.checks import Check
from meshtest.echo.config import EchoConfig, Port
from meshtest.echo.control import Control
from meshtest.echo.responses import Response
from meshtest.framework.errors import AuthorError
from meshtest.framework.manifests import author
from meshtest.framework.mesh import Mesh, PodRef
from meshtest.kube.client import is_ready

if TYPE_CHECKING:
    from meshtest.environment import Cluster
    from meshtest.framework.context import TestContext

DEFAULT_PORTS = {"http": 80, "ws": 80, "http2": 80, "https": 443}
OPTIONS = frozenset(
    {"http_version", "follow_redirects", "new_connection", "body", "server_first", "sni", "alpn", "ca", "cert"}
    | {"address"}
)


@dataclass(frozen=True, slots=True)
class Pod:
    """One ready pod of an echo."""

    name: str
    ip: str
    version: str


class Echo:
    """A deployed echo. In templates and texts it reads as its full host name."""

    def __init__(self, ctx: TestContext, cluster: Cluster, config: EchoConfig, control: Control) -> None:
        self._ctx, self._control = ctx, control
        self.cluster, self.config = cluster, config
        self._pods: tuple[Pod, ...] | None = None
        self._address = ""

    @property
    def name(self) -> str:
        """The service's short name."""
        return self.config.name

    @property
    def namespace(self) -> str:
        """Where it is."""
        return self.config.namespace

    @property
    def host(self) -> str:
        """The service's full name."""
        return self.config.host()

    @property
    def identity(self) -> str:
        """Its identity as the mesh proves it to peers."""
        return self.mesh.identity(self.namespace, self.config.account)

    @property
    def mesh(self) -> Mesh:
        """The mesh under test."""
        return self._ctx.mesh

    @property
    def address(self) -> str:
        """The service's cluster address."""
        if not self._address:
            service = self.cluster.kube.get(SERVICES, self.name, self.namespace)
            self._address = service["spec"]["clusterIP"]
        return self._address

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Its ready pods, by version and name; looked up once, `refresh()` looks again."""
        if self._pods is None:
            self.refresh()
        return self._pods or ()

    def refresh(self) -> None:
        """Look the pods up again, after a test has changed them."""
        found = self.cluster.kube.list(PODS, self.namespace, label_selector=f"app={self.name}")
        pods = [
            Pod(pod["metadata"]["name"], pod["status"]["podIP"], pod["metadata"]["labels"].get("version", ""))
            for pod in found
            if is_ready(pod)
        ]
        self._pods = tuple(sorted(pods, key=lambda pod: (pod.version, pod.name)))

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of its subsets."""
        return tuple(subset.version for subset in self.config.subsets)

    def call(
        self,
        to: Echo | str,
        *,
        port: str | int = "http",
        scheme: str | None = None,
        path: str = "/",
        method: str = "GET",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        host: str | None = None,
        count: int | None = None,
        concurrency: int = 8,
        timeout: float = 10.0,
        check: Check | Sequence[Check] | None = None,
        **options: Any,
    ) -> Call:
        """A call from this echo's first pod: to another echo's port by name, or to any host and port number.

        headers: names and values, in order, repeats allowed. host: the authority, instead of the target's. count:
        default what the checks need. timeout: seconds for each request. check: send and check at once.
        options: http_version "1.0", follow_redirects, new_connection (for each request), body, server_first, sni,
        alpn, ca, cert (PEM), address (connect there). Every call opens connections of its own.
        """
        if unknown := sorted(set(options) - OPTIONS):
            raise AuthorError(f"{author()}: call(): no option {unknown[0]!r}; options are {', '.join(sorted(OPTIONS))}")
        pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        if host is not None:
            pairs = (("Host", host), *pairs)
        target = to if isinstance(to, Echo) else None
        name = target.host if target else str(to)
        chosen_scheme, number = _port_of(target, port, scheme)
        if target is not None and _is_server_first(target, port):
            options = {"server_first": True, **options}
        plan = Plan(chosen_scheme, name, number, path, method, pairs, concurrency, timeout, options)
        call = Call(self, plan, target, count)
        if check is not None:
            call.check(*([check] if not isinstance(check, Sequence) else check))
        return call

    def ask(self, spec: Mapping[str, Any], deadline: float) -> list[dict[str, Any]]:
        """Have the first pod make a call; the responses' data."""
        if not self.pods:
            raise AuthorError(f"echo {self.namespace}/{self.name} has no ready pod to call from")
        with self._ctx.phase("calls"):
            return self._control.call(self.namespace, self.pods[0].name, spec, deadline)

    def arrivals(self, responses: Iterable[Response]) -> dict[str, int]:
        """How often each of these requests arrived at this echo's pods, by request id; only those that did."""
        ids = [response.id for response in responses]
        total: Counter[str] = Counter()
        for pod in self.pods:
            total.update(self._control.arrivals(self.namespace, pod.name, ids))
        return dict(total)

    def wait_arrivals(self, responses: Sequence[Response], at_least: int, *, deadline_s: float = 5.0) -> dict[str, int]:
        """Poll `arrivals` until `at_least` of these requests have come, as copies come after the answer.

        Errors: AssertionError that shows how many had come.
        """
        deadline = time.monotonic() + deadline_s
        while True:
            found = self.arrivals(responses)
            if len(found) >= at_least:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.name}: expected at least {at_least} of {len(responses)} requests to arrive within "
                    f"{deadline_s:g} s, got {len(found)}"
                )
            time.sleep(0.02)

    def reference(self) -> PodRef:
        """The pod that calls."""
        return self.references()[0]

    def references(self) -> list[PodRef]:
        """All pods."""
        return [PodRef(self.cluster.name, self.namespace, pod.name) for pod in self.pods]

    def __str__(self) -> str:
        return self.host

    def __repr__(self) -> str:
        return f"<Echo {self.namespace}/{self.name}>"


def _port_of(target: Echo | None, port: str | int, scheme: str | None) -> tuple[str, int]:
    if target is None:
        chosen = scheme or "http"
        if isinstance(port, int):
            return chosen, port
        if port not in DEFAULT_PORTS:
            raise AuthorError(f"{author()}: call() to a host: port={port!r}, expected a number")
        return scheme or port, DEFAULT_PORTS[port]
    if isinstance(port, int):
        return scheme or "http", port
    found: Port = target.config.port(port)
    return scheme or found.scheme, found.service_port


def _is_server_first(target: Echo, port: str | int) -> bool:
    return isinstance(port, str) and target.config.port(port).protocol == "tcp-server"


class UnknownApp(AuthorError, AttributeError, KeyError):
    """There is no app of that name. Also what attributes and mappings raise, so that hasattr() and get() work."""

    __str__ = Exception.__str__  # KeyError's would quote the message


class Apps(Mapping[str, Echo]):
    """Echoes by name, as items or as attributes: `apps.b`, `apps["b"]`."""

    def __init__(self, echoes: Iterable[Echo]) -> None:
        self._echoes = {echo.name: echo for echo in echoes}

    def __getitem__(self, name: str) -> Echo:
        if name not in self._echoes:
            raise UnknownApp(f"{author()}: no app {name!r}; hint: there are {', '.join(self._echoes) or 'none'}")
        return self._echoes[name]

    def __getattr__(self, name: str) -> Echo:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._echoes)

    def __len__(self) -> int:
        return len(self._echoes)
