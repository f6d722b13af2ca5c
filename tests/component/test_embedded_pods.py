"""Pods on an embedded node: what runs in them, how they start, fail, change and end. Bound to the node by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kubeclient import ApiError, Client, connection_from_kubeconfig
from kubeclient.resources import CONFIG_MAPS, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS
from kubeclient.streams import LogOptions
from meshtest.embedded import ClusterSet, ClusterSetSpec

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts"),
]

Obj = dict[str, Any]
NODE = "cluster-0-node-0"


@pytest.fixture(scope="module")
def embedded() -> Iterator[ClusterSet]:
    with ClusterSet.start(ClusterSetSpec(f"t-pods-{uuid.uuid4().hex[:6]}")) as started:
        yield started


class Pods:
    """Pods of one test, in a namespace of its own."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    async def create(self, name: str, *containers: Obj, **spec: object) -> Obj:
        """A pod on the node; containers get name, image and a short grace period where they say none."""
        named = [{"name": f"c{n}", "image": "meshtest/host", **c} for n, c in enumerate(containers)]
        body = {
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name}},
            "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 1, "containers": named, **spec},
        }
        return await self.client.create(PODS, body)

    async def get(self, name: str) -> Obj:
        return await self.client.get(PODS, name, self.namespace)

    async def until(self, name: str, holds: Callable[[Obj], object], seconds: float = 10.0) -> Obj:
        """The pod, once something holds of its status; fails with the last status."""
        deadline = time.monotonic() + seconds
        while True:
            pod = await self.get(name)
            if holds(pod.get("status", {})):
                return pod
            assert time.monotonic() < deadline, json.dumps(pod.get("status"), indent=1)
            await asyncio.sleep(0.01)

    async def ready(self, name: str) -> Obj:
        return await self.until(name, is_ready)

    async def gone(self, name: str, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                await self.get(name)
            except ApiError as error:
                assert error.is_not_found
                return
            assert time.monotonic() < deadline, f"pod {name} is still there"
            await asyncio.sleep(0.01)

    async def output(self, name: str) -> str:
        """What a pod's container c0 wrote by the time it was done."""
        await self.until(name, lambda s: s.get("phase") in ("Succeeded", "Failed"))
        return await self.client.logs(self.namespace, name, LogOptions(container="c0"))

    async def sh(self, script: str, **spec: object) -> str:
        """Run a script in a pod that runs once; its output."""
        name = f"sh-{uuid.uuid4().hex[:5]}"
        container = {"command": ["sh", "-c", f"exec 2>&1; {script}"], **spec.pop("container", {})}  # type: ignore[dict-item]
        await self.create(name, container, restartPolicy="Never", **spec)
        return await self.output(name)


def is_ready(status: Obj) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())


def container_state(status: Obj, name: str = "c0", key: str = "containerStatuses") -> Obj:
    found = [c for c in status.get(key) or () if c["name"] == name]
    return found[0] if found else {"state": {}, "restartCount": 0}


def waiting_reason(status: Obj, name: str = "c0") -> str:
    return str(container_state(status, name)["state"].get("waiting", {}).get("reason", ""))


@pytest.fixture
async def client(embedded: ClusterSet) -> AsyncIterator[Client]:
    async with Client(connection_from_kubeconfig(embedded.kubeconfig())) as opened:
        yield opened


@pytest.fixture
async def pods(client: Client) -> AsyncIterator[Pods]:
    namespace = f"n-{uuid.uuid4().hex[:6]}"
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    for resource, body in (
        (SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": namespace}}),
        (CONFIG_MAPS, {"metadata": {"name": "kube-root-ca.crt", "namespace": namespace}, "data": {"ca.crt": "x"}}),
    ):
        with suppress(ApiError):  # the controllers were quicker
            await client.create(resource, body)
    yield Pods(client, namespace)
    for pod in await client.list(PODS, namespace):
        with suppress(ApiError):
            await client.delete(PODS, pod["metadata"]["name"], namespace, grace_seconds=0)


SLEEP = {"command": ["sleep", "600"]}
TRAPPING = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"


async def test_the_node_is_ready_and_says_how_to_reach_it(client: Client) -> None:
    node = await client.get(NODES, NODE)
    assert {"type": "InternalIP", "address": "172.31.0.10"} in node["status"]["addresses"]
    assert node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 10250
    assert [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"] == ["True"]


async def test_two_pods_reach_each_other_and_a_probe_decides_on_ready(pods: Pods) -> None:
    server = {
        "command": ["sh", "-c", "sleep 0.3; exec python3 -m http.server 8080"],
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"port": "web", "path": "/etc/hostname"}, "periodSeconds": 1},
    }
    await pods.create("server", server)
    before = await pods.until("server", lambda s: container_state(s)["state"].get("running"))
    assert not is_ready(before["status"])
    address = (await pods.ready("server"))["status"]["podIP"]
    assert await pods.sh(f"curl -sm 5 http://{address}:8080/etc/hostname") == "server\n"


async def test_a_container_has_a_root_of_its_own(pods: Pods, embedded: ClusterSet) -> None:
    marker = Path(f"/marker-{uuid.uuid4().hex}")
    output = await pods.sh(f"touch {marker} && ls {marker}; hostname; ls /run/meshtest; echo $$$$; ls -d /root/.ssh")
    assert output.splitlines()[0] == str(marker) and not marker.exists()  # noqa: ASYNC240
    assert embedded.run_id not in output
    assert "\n1\n" in output, "its program is process 1"


async def test_user_group_and_capabilities(pods: Pods) -> None:
    user = {"container": {"securityContext": {"runAsUser": 1337, "runAsGroup": 1337}}}
    output = await pods.sh("id -u; id -g; grep CapEff /proc/self/status; echo x > /dev/stdout; touch /x", **user)
    assert output.splitlines()[:4] == ["1337", "1337", "CapEff:\t0000000000000000", "x"]
    assert "Permission denied" in output
    bounds = await pods.sh("grep CapBnd /proc/self/status; ls /etc/shadow", **user)
    assert int(bounds.split()[1], 16) & 1 << 21 == 0, "no set-user-ID program gives SYS_ADMIN back"
    assert "/etc/shadow': No such file" in bounds
    assert "Operation not permitted" in await pods.sh("ip link add d0 type bridge")
    admin = {"container": {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}}
    assert await pods.sh("ip link add d0 type bridge && echo made", **admin) == "made\n"


async def test_python_of_the_environment_runs_for_any_user(pods: Pods) -> None:
    user = {"container": {"securityContext": {"runAsUser": 1337}}}
    code = "import grpc, meshtest.embedded, aiohttp; print('fine')"
    assert await pods.sh(f'{sys.executable} -c "{code}"', **user) == "fine\n"
    stray = Path(sys.prefix) / f"stray-{uuid.uuid4().hex}"
    await pods.sh(f"touch {stray}")
    assert not stray.exists(), "the machine's own files cannot be changed"


async def test_environment_volumes_and_tokens(pods: Pods, client: Client) -> None:
    await client.create(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": pods.namespace}, "data": {"k": "one"}})
    token = {"serviceAccountToken": {"path": "token", "audience": "istio-ca", "expirationSeconds": 3600}}
    await pods.create(
        "p",
        {
            "command": [
                "sh",
                "-c",
                "id=$(cut -d. -f2 /data/token); echo $IP $KUBERNETES_SERVICE_HOST $id; touch /said; exec sleep 600",
            ],
            "readinessProbe": {"exec": {"command": ["test", "-e", "/said"]}, "periodSeconds": 1},
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "volumeMounts": [{"name": "cm", "mountPath": "/config"}, {"name": "data", "mountPath": "/data"}],
        },
        volumes=[{"name": "cm", "configMap": {"name": "cm"}}, {"name": "data", "projected": {"sources": [token]}}],
    )
    pod = await pods.ready("p")
    address, api, claims = (await client.logs(pods.namespace, "p")).split()
    assert (address, api) == (pod["status"]["podIP"], "10.96.0.1")
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert told["aud"] == ["istio-ca"] and told["sub"] == f"system:serviceaccount:{pods.namespace}:default"

    await client.patch(CONFIG_MAPS, "cm", {"data": {"k": "two"}}, pods.namespace)
    deadline = time.monotonic() + 3
    while (await client.exec(pods.namespace, "p", "c0", ["cat", "/config/k"])).stdout != b"two":
        assert time.monotonic() < deadline, "a changed config map reaches the running pod"
        await asyncio.sleep(0.01)


async def test_init_containers_and_sidecars_start_in_order(pods: Pods) -> None:
    shared = {"volumeMounts": [{"name": "v", "mountPath": "/v"}], "image": "meshtest/host"}
    order = "echo $0 >> /v/order"
    said = {"readinessProbe": {"exec": {"command": ["test", "-e", "/v/said"]}, "periodSeconds": 1}}
    await pods.create(
        "p",
        {"command": ["sh", "-c", f"{order}; cat /v/order; touch /v/said; exec sleep 600", "main"], **said, **shared},
        volumes=[{"name": "v", "emptyDir": {}}],
        initContainers=[
            {"name": "first", "command": ["sh", "-c", f"sleep 0.1; {order}", "first"], **shared},
            {
                "name": "side",
                "restartPolicy": "Always",
                "command": ["sh", "-c", f"sleep 0.2; {order}; touch /v/started; exec sleep 600", "side"],
                "startupProbe": {"exec": {"command": ["test", "-e", "/v/started"]}, "periodSeconds": 1},
                **shared,
            },
            {"name": "last", "command": ["sh", "-c", order, "last"], **shared},
        ],
    )
    pod = await pods.ready("p")
    assert (await pods.client.logs(pods.namespace, "p", LogOptions(container="c0"))).split() == [
        "first",
        "side",
        "last",
        "main",
    ]
    side = container_state(pod["status"], "side", "initContainerStatuses")
    assert side["ready"] and side["started"]


async def test_a_failing_container_is_restarted_with_backoff_and_its_last_run_is_shown(pods: Pods) -> None:
    await pods.create("p", {"command": ["sh", "-c", "echo run; echo why > /dev/termination-log; exit 3"]})
    pod = await pods.until("p", lambda s: waiting_reason(s) == "CrashLoopBackOff")
    last = container_state(pod["status"])["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"].strip()) == (3, "Error", "why")
    assert container_state(pod["status"])["restartCount"] >= 1
    previous = await pods.client.logs(pods.namespace, "p", LogOptions(previous=True))
    assert previous == "run\n"


async def test_unknown_images_and_programs_say_what_to_do(pods: Pods) -> None:
    await pods.create("image", {"image": "nginx:1.27", "command": ["sh"]})
    pod = await pods.until("image", lambda s: waiting_reason(s) in ("ErrImagePull", "ImagePullBackOff"))
    assert "expected one of" in container_state(pod["status"])["state"]["waiting"]["message"]
    await pods.create("program", {"command": ["no-such-program"]}, restartPolicy="Never")
    pod = await pods.until("program", lambda s: s.get("phase") == "Failed")
    ended = container_state(pod["status"])["state"]["terminated"]
    assert ended["reason"] == "StartError" and "no-such-program" in ended["message"]


async def test_a_pod_waits_for_config_that_comes_later(pods: Pods, client: Client) -> None:
    reference = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "k"}}}
    await pods.create("p", {**SLEEP, "env": [reference]})
    await pods.until("p", lambda s: waiting_reason(s) == "CreateContainerConfigError")
    await client.create(CONFIG_MAPS, {"metadata": {"name": "late", "namespace": pods.namespace}, "data": {"k": "v"}})
    await pods.ready("p")


async def test_liveness_restarts_a_container(pods: Pods) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "/sick"]}, "periodSeconds": 1, "failureThreshold": 1}
    await pods.create("p", {"command": ["sh", "-c", f"({TRAPPING})"], "livenessProbe": probe})
    await pods.ready("p")
    await pods.client.exec(pods.namespace, "p", "c0", ["touch", "/sick"])
    pod = await pods.until("p", lambda s: container_state(s)["restartCount"] == 1 and is_ready(s))
    assert container_state(pod["status"])["lastState"]["terminated"]["exitCode"] in (0, 137)


async def test_deletion_gives_the_program_its_grace_and_then_frees_everything(pods: Pods, embedded: ClusterSet) -> None:
    await pods.create("polite", {"command": ["sh", "-c", TRAPPING]}, terminationGracePeriodSeconds=30)
    await pods.create("stubborn", SLEEP)
    uid = (await pods.ready("polite"))["metadata"]["uid"]
    await pods.ready("stubborn")
    began = time.monotonic()
    await pods.client.delete(PODS, "polite", pods.namespace)
    await pods.gone("polite")
    assert time.monotonic() - began < 2, "it ended on SIGTERM, long before its grace period"
    assert not (embedded.state_dir / "cluster-0" / NODE / "pods" / uid).exists()
    await pods.client.delete(PODS, "stubborn", pods.namespace)
    await pods.gone("stubborn")
    assert time.monotonic() - began >= 1


async def test_hooks_run(pods: Pods) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo post > /proc/1/fd/1"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stop > /proc/1/fd/1; sleep 0.2"]}},
    }
    await pods.create("p", {"command": ["sh", "-c", TRAPPING], "lifecycle": hooks}, terminationGracePeriodSeconds=10)
    await pods.ready("p")
    lines: list[str] = []

    async def follow() -> None:
        async for chunk in pods.client.follow_logs(pods.namespace, "p"):
            lines.append(chunk.decode())

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.1)
    await pods.client.delete(PODS, "p", pods.namespace)
    await asyncio.wait_for(following, 5)
    assert sorted("".join(lines).split()) == ["bye", "post", "stop", "up"]


async def test_exec_carries_streams_and_exit_code(pods: Pods) -> None:
    await pods.create("p", {**SLEEP, "env": [{"name": "A", "value": "1"}]})
    await pods.ready("p")
    result = await pods.client.exec(
        pods.namespace, "p", "c0", ["sh", "-c", "cat; echo err$A >&2; exit 7"], stdin=b"x" * 100_000
    )
    assert (len(result.stdout), result.stderr, result.exit_code) == (100_000, b"err1\n", 7)
    with pytest.raises(ApiError, match="no-such"):
        await pods.client.exec(pods.namespace, "p", "c0", ["no-such"])


async def test_dial_connects_into_a_pod(pods: Pods, embedded: ClusterSet) -> None:
    await pods.create("p", {"command": ["sh", "-c", "cd /; exec python3 -m http.server 8080 --bind 127.0.0.1"]})
    await pods.ready("p")

    def dial(**request: object) -> tuple[Obj, list[int]]:
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(embedded.dial_path()))
            control.sendall(json.dumps(request).encode() + b"\n")
            data, fds, _, _ = socket.recv_fds(control, 4096, 1)
            return json.loads(data), list(fds)

    deadline = time.monotonic() + 5
    while True:
        answer, fds = dial(namespace=pods.namespace, pod="p", port=8080)
        if fds or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.02)
    assert answer == {"ok": True}
    with socket.socket(fileno=fds[0]) as connection:
        connection.settimeout(5)
        connection.sendall(b"GET /etc/hostname HTTP/1.0\r\n\r\n")
        assert b" 200 " in connection.recv(100)
    refused, fds = dial(namespace=pods.namespace, pod="nobody", port=1)
    assert fds == [] and "nobody is not running" in refused["error"]
    assert embedded.dial_path().stat().st_mode & 0o077 == 0

    _, fds = dial(node=NODE, host="172.31.0.10", port=10250)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.socket(fileno=fds[0]) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
        context.wrap_socket(plain) as kubelet,
    ):
        kubelet.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kubelet.recv(100) == b"", "the kubelet serves nobody without a client certificate"
        raise ConnectionError


HEALTH = """
import grpc, concurrent.futures as f
check = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\\x08\\x01")
server = grpc.server(f.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})])
server.add_insecure_port("0.0.0.0:9000")
server.start()
server.wait_for_termination()
"""


async def test_grpc_and_tcp_probes(pods: Pods) -> None:
    probe = {"periodSeconds": 1, "failureThreshold": 20}
    served = {
        "command": [sys.executable, "-c", HEALTH],
        "startupProbe": {"tcpSocket": {"port": 9000}, **probe},
        "readinessProbe": {"grpc": {"port": 9000}, **probe},
    }
    await pods.create("p", served)
    await pods.ready("p")
    await pods.create("q", {**SLEEP, "readinessProbe": {"grpc": {"port": 9000}, "periodSeconds": 1}})
    await pods.until("q", lambda s: container_state(s)["state"].get("running"))
    assert not is_ready((await pods.get("q"))["status"])


async def test_exec_with_a_terminal(pods: Pods, client: Client) -> None:
    await pods.create("p", SLEEP)
    await pods.ready("p")
    connection = client.connection
    path = f"{connection.server}/api/v1/namespaces/{pods.namespace}/pods/p/exec"
    params = [("command", "sh"), ("stdin", "true"), ("stdout", "true"), ("tty", "true"), ("container", "c0")]
    assert connection.ssl is not None
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(path, params=params, ssl=connection.ssl, protocols=("v5.channel.k8s.io",)) as terminal,
    ):
        await terminal.send_bytes(b"\x04" + json.dumps({"Width": 123, "Height": 45}).encode())
        await terminal.send_bytes(b"\x00stty size; test -t 0 && echo ter''minal; exit 5\n")
        shown, status = b"", b""
        async for message in terminal:
            if message.data[:1] == b"\x01":
                shown += message.data[1:]
            elif message.data[:1] == b"\x03":
                status = message.data[1:]
        assert b"45 123" in shown and b"terminal" in shown
        assert json.loads(status)["details"]["causes"][0]["message"] == "5"


async def test_port_forward(pods: Pods) -> None:
    await pods.create("p", {"command": ["sh", "-c", "cd /; exec python3 -m http.server 8080 --bind 127.0.0.1"]})
    await pods.ready("p")
    deadline = time.monotonic() + 5
    while True:
        connection = await pods.client.port_forward(pods.namespace, "p", 8080)
        with connection:
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, b"GET /etc/hostname HTTP/1.0\r\n\r\n")
            answer = await loop.sock_recv(connection, 100)
        if answer or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.05)
    assert b" 200 " in answer
