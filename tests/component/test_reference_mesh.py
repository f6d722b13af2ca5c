"""The reference mesh on an embedded cluster: injection, mutual TLS, admission, the settled barrier, what leaks."""

import array
import asyncio
import contextlib
import itertools
import json
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from kubeclient import ApiError, Client, Resource, connection_from_kubeconfig
from kubeclient.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
    SERVICES,
    VALIDATING_WEBHOOKS,
)
from meshtest.embedded import ClusterSet, ClusterSetSpec
from reference.agent.certificates import make_request
from reference.controlplane.ca import istio_ca_pb2 as pb
from reference.install import InstallValues, install, uninstall

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts"),
]
Obj = dict[str, Any]
DESTINATION_RULES = Resource("networking.istio.io", "v1", "destinationrules", "DestinationRule")
VIRTUAL_SERVICES = Resource("networking.istio.io", "v1", "virtualservices", "VirtualService")
SYSTEM = "istio-system"
SECONDS = 60


@dataclass(frozen=True)
class Pod:
    namespace: str
    name: str


class Mesh:
    """A cluster with the mesh, two injected apps `a` and `b` in `apps`, and `c` without sidecar in `plain`."""

    def __init__(self, cluster: ClusterSet, client: Client) -> None:
        self.cluster, self.client = cluster, client

    async def pod(self, namespace: str, app: str) -> Pod:
        found = await self.client.list(PODS, namespace, label_selector=f"app={app}")
        living = [each for each in found if not each["metadata"].get("deletionTimestamp")]
        return Pod(namespace, living[0]["metadata"]["name"])

    async def http(self, pod: Pod, port: int, method: str, path: str, body: Obj | None = None) -> tuple[int, Any]:
        """A request from inside the pod, to its loopback."""
        reader, writer = await asyncio.open_connection(sock=await asyncio.to_thread(self._dial, pod, port))
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        answer = await reader.read()
        writer.close()
        headers, _, text = answer.partition(b"\r\n\r\n")
        status = int(headers.split()[1])
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def _dial(self, pod: Pod, port: int) -> socket.socket:
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.cluster.dial_path()))
            question = {"namespace": pod.namespace, "pod": pod.name, "port": port}
            control.sendall(json.dumps(question).encode() + b"\n")
            data, ancillary, _, _ = control.recvmsg(4096, 64)
        if not ancillary:
            raise ConnectionError(data.decode())
        made = socket.socket(fileno=array.array("i", ancillary[0][2])[0])
        made.setblocking(False)
        return made

    async def call(self, source: Pod, url: str) -> Obj:
        """What `curl` in the source's application container got: the echo's report."""
        done = await self.client.exec(source.namespace, source.name, "app", ["curl", "-sS", "-m", "5", url])
        assert done.stdout, f"{url} from {source}: {done.stderr!r}"
        report: Obj = json.loads(done.stdout)
        return report

    async def settle(self, *objects: Obj, absent: bool = False) -> tuple[int, Obj]:
        refs: list[Obj] = []
        for obj in objects:
            meta, kind = obj["metadata"], obj["kind"]
            ref: Obj = {"group": "networking.istio.io", "kind": kind, "name": meta["name"], "uid": meta["uid"]}
            ref["namespace"] = meta["namespace"]
            refs.append({**ref, "absent": True} if absent else {**ref, "resourceVersion": meta["resourceVersion"]})
        istiod = await self.pod(SYSTEM, "istiod")
        return await self.http(istiod, 15014, "POST", "/debug/settled", {"objects": refs, "timeout": 10})

    @asynccontextmanager
    async def forwarded(self, pod: Pod, port: int) -> AsyncIterator[int]:
        """A port of this host's loopback that leads to the pod's."""

        open_now: set[asyncio.Task[None]] = set()

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
            target.close()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            made = await asyncio.to_thread(self._dial, pod, port)
            far_reader, far_writer = await asyncio.open_connection(sock=made)
            try:
                await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
            finally:
                for each in (writer, far_writer):
                    each.close()
                    with contextlib.suppress(ConnectionError):
                        await each.wait_closed()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            open_now.add(asyncio.create_task(serve(reader, writer)))

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                for each in open_now:
                    each.cancel()
                await asyncio.gather(*open_now, return_exceptions=True)

    async def ready(self, namespace: str, name: str) -> None:
        async def available() -> bool:
            status = (await self.client.get(DEPLOYMENTS, name, namespace)).get("status") or {}
            return bool(status.get("availableReplicas"))

        await until(available)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Asks the API server again and again, for a minute at most."""
    async with asyncio.timeout(SECONDS):
        for _ in itertools.count():
            if await condition():
                return
            await asyncio.sleep(0.05)


async def trusted(client: Client) -> bool:
    hooks = [hook for config in await client.list(VALIDATING_WEBHOOKS) for hook in config["webhooks"]]
    return all(hook["clientConfig"].get("caBundle") for hook in hooks)


async def gone(client: Client, namespace: str) -> bool:
    return all(each["metadata"]["name"] != namespace for each in await client.list(NAMESPACES))


async def granted(client: Client, namespace: str, account: str) -> str:
    """A token of a new service account that may get the debug pages."""
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": account}}, namespace)
    rules = [{"nonResourceURLs": ["/debug/*"], "verbs": ["get"]}]
    await client.create(CLUSTER_ROLES, {"metadata": {"name": account}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account}
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
    await client.create(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": account}, "roleRef": role, "subjects": subjects})
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str((await client.request("POST", path, body=asked))["status"]["token"])


def app(name: str, namespace: str) -> list[Obj]:
    container = {
        "name": "app",
        "image": "meshtest/echo",
        "args": ["--http", "8080", "--version", "v1"],
        "readinessProbe": {"tcpSocket": {"port": 8080}},
    }
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"app": name}, "ports": ports},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
        },
    ]


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterSet]:
    with ClusterSet.start(ClusterSetSpec(f"t-mesh-{uuid.uuid4().hex[:6]}")) as started:
        asyncio.run(set_up(started))
        yield started


async def set_up(started: ClusterSet) -> None:
    async with Client(connection_from_kubeconfig(started.kubeconfig())) as client:
        mesh = Mesh(started, client)
        await install(client, InstallValues())
        await mesh.ready(SYSTEM, "istiod")
        await until(lambda: trusted(client))
        for name, labels in (("apps", {"istio-injection": "enabled"}), ("plain", {})):
            await client.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
        for obj in [*app("a", "apps"), *app("b", "apps"), *app("c", "plain")]:
            resource = SERVICES if obj["kind"] == "Service" else DEPLOYMENTS
            await client.create(resource, obj, obj["metadata"]["namespace"])
        for namespace, name in (("apps", "a"), ("apps", "b"), ("plain", "c")):
            await mesh.ready(namespace, name)


@pytest.fixture
async def mesh(cluster: ClusterSet) -> AsyncIterator[Mesh]:
    async with Client(connection_from_kubeconfig(cluster.kubeconfig())) as client:
        yield Mesh(cluster, client)


def virtual_service(**spec: Any) -> Obj:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": f"t-{uuid.uuid4().hex[:6]}", "namespace": "apps"},
        "spec": {"hosts": ["b"], **spec},
    }


async def test_pods_of_a_labelled_namespace_get_a_sidecar_and_others_do_not(mesh: Mesh) -> None:
    injected = await mesh.pod("apps", "a")
    spec = (await mesh.client.get(PODS, injected.name, "apps"))["spec"]
    assert [each["name"] for each in spec["containers"]] == ["app", "istio-proxy"]
    plain = await mesh.pod("plain", "c")
    assert len((await mesh.client.get(PODS, plain.name, "plain"))["spec"]["containers"]) == 1


async def test_between_sidecars_traffic_is_mutual_tls_with_spiffe_identities(mesh: Mesh) -> None:
    report = await mesh.call(await mesh.pod("apps", "a"), "http://b/path")
    assert report["identity"] == "spiffe://cluster.local/ns/apps/sa/default"
    assert report["source"]["address"] == "127.0.0.6", "the application sees the sidecar, not the client"


async def test_a_client_without_sidecar_gets_through_in_plain_text(mesh: Mesh) -> None:
    report = await mesh.call(await mesh.pod("plain", "c"), "http://b.apps/")
    assert report["hostname"].startswith("b-") and report["identity"] is None


async def test_a_server_without_sidecar_is_reached_in_plain_text(mesh: Mesh) -> None:
    report = await mesh.call(await mesh.pod("apps", "a"), "http://c.plain/")
    assert report["hostname"].startswith("c-") and report["identity"] is None


async def test_a_pod_reaches_itself_through_its_service(mesh: Mesh) -> None:
    report = await mesh.call(await mesh.pod("apps", "a"), "http://a/")
    assert report["hostname"].startswith("a-")


async def test_a_virtual_service_holds_for_requests_after_the_barrier(mesh: Mesh) -> None:
    route = {"headers": {"request": {"set": {"x-settled": "yes"}}}, "route": [{"destination": {"host": "b"}}]}
    made = await mesh.client.create(VIRTUAL_SERVICES, virtual_service(http=[route]), "apps")
    status, answer = await mesh.settle(made)
    assert (status, answer["settled"]) == (200, True), answer
    assert len(answer["concerned"]) == 2
    source = await mesh.pod("apps", "a")
    headers = dict((await mesh.call(source, "http://b/"))["headers"])
    assert headers.get("x-settled") == "yes"
    await mesh.client.delete(VIRTUAL_SERVICES, made["metadata"]["name"], "apps")
    status, answer = await mesh.settle(made, absent=True)
    assert status == 200, answer
    assert "x-settled" not in dict((await mesh.call(source, "http://b/"))["headers"])


async def test_after_the_barrier_nothing_warms(mesh: Mesh) -> None:
    """A subset that is new and the route to it come at once; whoever calls then must not meet a cluster that warms."""
    source = await mesh.pod("apps", "a")
    spec = {"scheme": "http", "host": "b", "port": 80, "count": 50, "concurrency": 10, "new_connection": True}
    for number in range(25):  # Few are not enough: without barrier ten went well once.
        subset = f"s{number}-{uuid.uuid4().hex[:4]}"
        rule = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": subset, "namespace": "apps"},
            "spec": {"host": "b", "subsets": [{"name": subset, "labels": {"app": "b"}}]},
        }
        route = {
            "headers": {"response": {"set": {"x-subset": subset}}},
            "route": [{"destination": {"host": "b", "subset": subset}}],
        }
        # Both orders: whichever the control plane sees first, alone or together.
        pairs = [(DESTINATION_RULES, rule), (VIRTUAL_SERVICES, virtual_service(http=[route]))]
        made = await asyncio.gather(
            *(mesh.client.create(kind, obj, "apps") for kind, obj in (pairs if number % 2 else reversed(pairs)))
        )
        status, answer = await mesh.settle(*made)
        assert status == 200, answer
        status, answer = await mesh.http(source, 17171, "POST", "/call", spec)
        assert status == 200, answer
        wrong = [
            each
            for each in answer["responses"]
            if each.get("status") != 200 or ["x-subset", subset] not in each["headers"]
        ]
        assert len(answer["responses"]) == 50
        assert not wrong, f"subset {number}: {len(wrong)} of 50 went wrong, such as {wrong[0]}"
        for (kind, _), obj in zip(pairs if number % 2 else reversed(pairs), made, strict=True):
            await mesh.client.delete(kind, obj["metadata"]["name"], "apps")
        status, answer = await mesh.settle(*made, absent=True)
        assert status == 200, answer


@pytest.mark.parametrize("token", ["", "nonsense", "of another audience"])
async def test_the_ca_signs_nothing_for_a_caller_without_the_right_token(mesh: Mesh, token: str) -> None:
    istiod = await mesh.pod(SYSTEM, "istiod")
    if token == "of another audience":
        source = await mesh.pod("plain", "c")
        path = "/var/run/secrets/kubernetes.io/serviceaccount/token"
        token = (await mesh.client.exec(source.namespace, source.name, "app", ["cat", path])).stdout.decode().strip()
    root = (await mesh.client.get(CONFIG_MAPS, "istio-ca-root-cert", "plain"))["data"]["root-cert.pem"].encode()
    options = [("grpc.ssl_target_name_override", f"istiod.{SYSTEM}.svc")]
    credentials = grpc.ssl_channel_credentials(root)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with (
        mesh.forwarded(istiod, 15012) as port,
        grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel,
    ):
        call = channel.unary_unary(
            "/istio.v1.auth.IstioCertificateService/CreateCertificate",
            request_serializer=pb.IstioCertificateRequest.SerializeToString,
            response_deserializer=pb.IstioCertificateResponse.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(pb.IstioCertificateRequest(csr=make_request().csr.decode()), metadata=metadata, timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, caught.value.details()


async def test_an_invalid_virtual_service_is_refused_with_path_and_expectation(mesh: Mesh) -> None:
    bad = virtual_service(http=[{"route": [{"destination": {"host": "b"}}], "timeout": "soon"}])
    with pytest.raises(ApiError) as caught:
        await mesh.client.create(VIRTUAL_SERVICES, bad, "apps")
    assert "spec.http[0].timeout" in caught.value.message
    assert "soon" in caught.value.message


async def test_an_unknown_object_times_out_as_unseen(mesh: Mesh) -> None:
    istiod = await mesh.pod(SYSTEM, "istiod")
    ref = {"group": "networking.istio.io", "kind": "VirtualService", "namespace": "apps", "name": "no", "uid": "u"}
    body = {"objects": [ref], "timeout": 0.05}
    status, answer = await mesh.http(istiod, 15014, "POST", "/debug/settled", body)
    assert (status, answer["unseen"]) == (504, ["VirtualService apps/no"])


async def test_debug_pages_are_for_loopback_or_who_was_granted_them_and_metrics_for_all(mesh: Mesh) -> None:
    istiod = await mesh.pod(SYSTEM, "istiod")
    for page in ("syncz", "connections", "configz", "registryz", "endpointz", "mesh", "push_status", "list"):
        status, answer = await mesh.http(istiod, 15014, "GET", f"/debug/{page}")
        assert status == 200, f"{page}: {answer}"
    source = await mesh.pod("plain", "c")

    async def from_a_pod(path: str, *more: str) -> str:
        url = f"http://istiod.{SYSTEM}:15014{path}"
        command = ["curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", *more, url]
        done = await mesh.client.exec(source.namespace, source.name, "app", command)
        return done.stdout.decode()

    assert await from_a_pod("/debug/syncz") == "401"
    assert await from_a_pod("/debug/syncz", "-H", "Authorization: Bearer nonsense") == "401"
    assert await from_a_pod("/metrics") == "200"
    path = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    read = await mesh.client.exec(source.namespace, source.name, "app", ["cat", path])
    pod = f"Authorization: Bearer {read.stdout.decode().strip()}"
    other = await mesh.pod("apps", "a")
    for page in ("/debug", "/debug/syncz", f"/debug/config_dump?proxyID={other.name}.apps"):
        assert await from_a_pod(page, "-H", pod) == "403", page
    auditor = f"Authorization: Bearer {await granted(mesh.client, 'plain', 'auditor')}"
    for page in ("/debug", "/debug/syncz", f"/debug/config_dump?proxyID={other.name}.apps"):
        assert await from_a_pod(page, "-H", auditor) == "200", page


async def test_the_root_is_in_every_namespace_and_its_key_in_none(mesh: Mesh) -> None:
    for namespace in ("apps", "plain", "default", SYSTEM):
        found = await mesh.client.get(CONFIG_MAPS, "istio-ca-root-cert", namespace)
        assert found["data"]["root-cert.pem"].startswith("-----BEGIN CERTIFICATE-----")
        assert "PRIVATE KEY" not in json.dumps(found)


async def test_a_pod_that_vanishes_does_not_hold_the_barrier(mesh: Mesh) -> None:
    victim = await mesh.pod("apps", "b")
    await mesh.client.delete(PODS, victim.name, "apps", grace_seconds=0)
    route = {"route": [{"destination": {"host": "b"}}]}
    made = await mesh.client.create(VIRTUAL_SERVICES, virtual_service(http=[route]), "apps")
    status, answer = await mesh.settle(made)
    assert status == 200, answer
    await mesh.client.delete(VIRTUAL_SERVICES, made["metadata"]["name"], "apps")


async def test_uninstalling_leaves_no_object_of_the_mesh(mesh: Mesh) -> None:
    """Last in this module: afterwards there is no mesh."""
    await uninstall(mesh.client, InstallValues())
    assert not await mesh.client.list(VALIDATING_WEBHOOKS)
    await until(lambda: gone(mesh.client, SYSTEM))
