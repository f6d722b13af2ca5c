"""The embedded cluster without a mesh: start, API under load, watch fan-out, idle cost, Services."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.memory import descendants, proportional_kb
from benchmarks.services import load_and_change
from benchmarks.statistics import timed
from kubeclient import Client, connection_from_kubeconfig
from kubeclient.resources import SERVICE_ACCOUNTS
from meshtest.embedded import ClusterSet, ClusterSetSpec, ClusterSpec

NAMESPACE, ACCOUNT = "default", "benchmark"
THREE = (
    ClusterSpec("cluster-0", network="network-0"),
    ClusterSpec("cluster-1", network="network-0", pod_cidr="10.245.0.0/16"),
    ClusterSpec("cluster-2", network="network-1"),
)
SETTLE_SECONDS, IDLE_SECONDS = 3.0, 10.0
LOAD_TIMEOUT = 120.0


def measure() -> dict[str, float]:
    """`cluster_up_s`, `clusters3_up_s`: start to ready nodes; `idle_cpu_percent` of one core over 10 s, `idle_rss_mb`
    proportional; `configmap_get_per_s`, `configmap_create_per_s`: 8 TLS connections of a service account with a Role;
    `watch100_p99_ms`: before a write to its arrival at each of 100 watchers; `services1000_load_ms`: the first list of
    1,000 Services to all in force; `service_change_ms`: one Service's endpoints, the median of 10 changes.
    """
    with timed() as three_up:
        three = ClusterSet.start(ClusterSetSpec(_run_id(), THREE))
    three.stop()
    with timed() as up:
        cluster = ClusterSet.start(ClusterSetSpec(_run_id()))
    with cluster:
        idle = _idle(cluster.pid)
        connection = connection_from_kubeconfig(cluster.kubeconfig())
        token = asyncio.run(_service_account(Client(connection)))
        load = _load(connection.server, token, str(cluster.state_dir / "cluster-0" / "pki" / "ca.crt"))
    return {"cluster_up_s": up.seconds, "clusters3_up_s": three_up.seconds, **idle, **load, **load_and_change()}


def _run_id() -> str:
    return f"bench-{secrets.token_hex(3)}"


def _idle(supervisor: int) -> dict[str, float]:
    time.sleep(SETTLE_SECONDS)
    began, before = time.monotonic(), _cpu_seconds(supervisor)
    time.sleep(IDLE_SECONDS)
    spent, passed = _cpu_seconds(supervisor) - before, time.monotonic() - began
    memory = sum(proportional_kb(pid) for pid in descendants(supervisor)) / 1024
    return {"idle_cpu_percent": 100 * spent / passed, "idle_rss_mb": memory}


def _cpu_seconds(supervisor: int) -> float:
    """User and system time of the supervisor and all below it, to the nanosecond."""
    total = 0
    for pid in descendants(supervisor):
        total += sum(int(stat.read_text().split()[0]) for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return total / 1e9


async def _service_account(client: Client) -> str:
    """An account that may read, write and watch ConfigMaps of its namespace, and nothing else; its token."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "update", "watch"]}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    metadata = {"name": ACCOUNT}
    async with client:
        await client.create(SERVICE_ACCOUNTS, {"metadata": {**metadata, "namespace": NAMESPACE}})
        await client.request("POST", f"{rbac}/roles", body={"metadata": metadata, "rules": [rule]})
        binding = {"metadata": metadata, "roleRef": reference, "subjects": [subject]}
        await client.request("POST", f"{rbac}/rolebindings", body=binding)
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        answer = await client.request("POST", path, body={"spec": {"expirationSeconds": 3600}})
    token: str = answer["status"]["token"]
    return token


def _load(server: str, token: str, ca: str) -> dict[str, float]:
    """Errors: RuntimeError with the load process' output."""
    command = [sys.executable, "-m", "benchmarks.load"]
    given = json.dumps({"server": server, "token": token, "ca": ca, "namespace": NAMESPACE})
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=LOAD_TIMEOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
