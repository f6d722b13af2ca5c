"""The agent with a real Envoy: from token to certificate to configuration to ready, and out again; and nft."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reference.agent.rules import from_annotations, nft_script

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces")
WORLD = Path(__file__).with_name("reference_agent_world.py")
PREFIX = "traffic.sidecar.istio.io/"


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("agent")
    script = f"ip link set lo up && exec {sys.executable} {WORLD} {directory}"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def test_envoy_becomes_ready_with_the_certificate_that_the_agent_got(happened: dict[str, Any]) -> None:
    assert happened["ready"] == 200
    assert happened["identity"] == "spiffe://cluster.local/ns/ns/sa/sa"


def test_a_changed_cluster_settles_because_its_endpoints_are_sent_again(happened: dict[str, Any]) -> None:
    assert happened["responses"]["CDS"] == 2
    assert happened["responses"]["EDS"] >= 2


def test_envoy_s_metrics_come_through_the_agent(happened: dict[str, Any]) -> None:
    assert happened["metrics"]


def test_the_bootstrap_is_nobody_else_s_business(happened: dict[str, Any]) -> None:
    assert happened["bootstrap_mode"] == 0o600


def test_sigterm_ends_envoy_with_its_own_exit_code(happened: dict[str, Any]) -> None:
    assert happened["exit"] == 0


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {"excludeInboundPorts": "22,9000", "excludeOutboundPorts": "443", "excludeOutboundIPRanges": "10.0.0.0/8"},
        {"includeInboundPorts": "8080", "includeOutboundIPRanges": "10.96.0.0/16", "includeOutboundPorts": "5000"},
        {"includeInboundPorts": "", "includeOutboundIPRanges": ""},
    ],
    ids=["default", "excludes", "includes", "nothing"],
)
def test_nft_takes_the_packet_rules_twice(annotations: dict[str, str]) -> None:
    script = nft_script(from_annotations({PREFIX + name: value for name, value in annotations.items()}))
    command = ["unshare", "--net", "sh", "-c", "nft -f - && nft list table inet istio"]
    done = subprocess.run(command, input=script + script, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("chain") == 2
