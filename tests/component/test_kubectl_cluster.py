"""A whole embedded cluster, driven by real kubectl: workloads, logs, exec, cp, wait, namespaces that drain."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshtest.embedded import ClusterSet, ClusterSetSpec, ClusterSpec

Kubectl = Callable[..., subprocess.CompletedProcess[str]]
SCRIPT = "trap 'exit 0' TERM; echo started; while true; do sleep 0.1; done"


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if shutil.which("kubectl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kubectl is not on PATH, and CI must not skip this; install kubectl 1.30 or later")
        pytest.skip("kubectl is not on PATH; install kubectl 1.30 or later to run this")
    if os.geteuid() != 0:
        pytest.skip("the embedded cluster needs root")
    spec = ClusterSetSpec(
        run_id=f"t-kubectl-{uuid.uuid4().hex[:6]}",
        clusters=(ClusterSpec(name="cluster-0"),),
        state_root=tmp_path_factory.mktemp("state"),
    )
    cluster_set = ClusterSet.start(spec)
    try:
        yield cluster_set.kubeconfig("cluster-0")
    finally:
        cluster_set.stop()


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Kubectl:
    def run(*args: str, stdin: str | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, f"kubectl {' '.join(args)}: {done.stdout}{done.stderr}"
        return done

    return run


def test_deployment_from_apply_to_gone(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "work")
    here = ("-n", "work")
    create = ("create", "deployment", "d", "--image=meshtest/host", "--replicas=2", "--dry-run=client", "-o", "yaml")
    manifest = kubectl(*create, *here, "--", "/bin/sh", "-c", SCRIPT).stdout
    kubectl("apply", *here, "-f", "-", stdin=manifest)
    kubectl("rollout", "status", "deployment/d", *here, "--timeout=30s")
    kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=d", *here, "--timeout=10s")
    row = kubectl("get", "deployment", "d", *here, "--no-headers").stdout.split()
    assert row[:4] == ["d", "2/2", "2", "2"]
    assert "Scaled up replica set" in kubectl("describe", "deployment", "d", *here).stdout
    assert kubectl("logs", "deployment/d", *here).stdout == "started\n"
    kubectl("expose", "deployment", "d", "--port=80", *here)
    pods = json.loads(kubectl("get", "pods", *here, "-o", "json").stdout)["items"]
    addresses = {pod["status"]["podIP"] for pod in pods}
    get = ("get", "endpointslices", "-l", "kubernetes.io/service-name=d", *here, "-o", "json")
    kubectl("wait", "--for=jsonpath={.endpoints[1].conditions.ready}=true", *get[1:-2], "--timeout=10s")
    slices = json.loads(kubectl(*get).stdout)["items"]
    assert {a for piece in slices for each in piece["endpoints"] for a in each["addresses"]} == addresses
    kubectl("scale", "deployment", "d", "--replicas=1", *here)
    kubectl("rollout", "status", "deployment/d", *here, "--timeout=30s")
    kubectl("delete", "namespace", "work", "--timeout=30s")
    kubectl("get", "namespace", "work", code=1)


def test_exec_cp_and_exit_codes(kubectl: Kubectl) -> None:
    kubectl("run", "p", "--image=meshtest/host", "--command", "--", "/bin/sh", "-c", SCRIPT)
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    assert kubectl("exec", "p", "--", "hostname").stdout == "p\n"
    assert kubectl("exec", "-i", "p", "--", "cat", stdin="through\n").stdout == "through\n"
    kubectl("exec", "p", "--", "/bin/sh", "-c", "exit 7", code=7)
    refused = kubectl("logs", "p", "-c", "nope", code=1)
    assert "container nope is not valid for pod p" in refused.stderr
    kubectl("delete", "pod", "p", "--timeout=30s")
    kubectl("get", "pod", "p", code=1)
