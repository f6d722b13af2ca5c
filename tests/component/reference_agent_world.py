"""Run by test_reference_agent in a network namespace of its own: a control plane with one cluster, the agent, Envoy.

Prints one JSON object with what happened. The first argument is an empty directory.
"""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import config_source_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from reference.agent import main as agent
from reference.agent.settings import Files, HostPort, Settings
from reference.controlplane.ca.server_certificate import ServerCertificate
from reference.controlplane.ca.service import CertificateService
from reference.controlplane.ca.signing import Signer, make_root, now
from reference.controlplane.ca.tokens import bearer
from reference.controlplane.xds.identity import Identity, from_sans
from reference.controlplane.xds.server import Context, DiscoveryServer
from reference.controlplane.xds.types import CDS, EDS, Resources, short

NAME = "istiod.istio-system.svc"
SETTINGS = Settings(
    pod="p",
    namespace="ns",
    service_account="sa",
    addresses=("127.0.0.1",),
    ca=HostPort("127.0.0.1", 15012),
    discovery=HostPort("127.0.0.1", 15013),
    control_plane_name=NAME,
    drain_seconds=1.0,
)


@dataclass(frozen=True)
class Raw:
    name: str
    version: str
    type_url: str
    body: bytes


class World:
    """One cluster, whose endpoints Envoy must ask for."""

    sequence = 1
    version = 1

    def generate(self, proxy: str, type_url: str, names: frozenset[str] | None) -> Resources:
        del proxy
        if type_url == CDS:
            cluster = cluster_pb2.Cluster(name="one", alt_stat_name=f"one{self.version}")
            cluster.type = cluster_pb2.Cluster.EDS
            cluster.eds_cluster_config.eds_config.ads.SetInParent()
            cluster.eds_cluster_config.eds_config.resource_api_version = config_source_pb2.V3
            return {"one": Raw("one", str(self.version), CDS, cluster.SerializeToString())}
        if type_url == EDS:
            body = endpoint_pb2.ClusterLoadAssignment(cluster_name="one").SerializeToString()
            return {name: Raw(name, "1", EDS, body) for name in names or ()}
        return {}


async def authenticate(context: Context) -> Identity | None:
    names = context.auth_context().get("x509_subject_alternative_name") or ()
    identity = from_sans([name.decode() for name in names])
    if identity is None and bearer(context.invocation_metadata()) == "token":
        return Identity("cluster.local", "ns", "sa")
    return identity


async def ready(session: aiohttp.ClientSession) -> int:
    """The first answer of the readiness port; it holds the request while Envoy starts."""
    async with asyncio.timeout(20):
        for _ in range(2000):
            try:
                async with session.get("http://127.0.0.1:15021/healthz/ready") as answer:
                    return answer.status
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)
    return 0


async def main(directory: Path) -> dict[str, Any]:
    signer, world = Signer(make_root("cluster.local", now())), World()
    (directory / "root.pem").write_bytes(signer.root_pem)
    (directory / "token").write_text("token\n")
    files = Files(directory / "token", directory / "root.pem", directory / "sds", directory / "envoy.json")
    discovery: DiscoveryServer[str] = DiscoveryServer(world, lambda node: str(node.id), authenticate)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((discovery.handler(), CertificateService(signer, authenticate).handler()))
    certificate = ServerCertificate(signer, [NAME])
    server.add_secure_port("127.0.0.1:15012", certificate.credentials(require_client=False))
    server.add_secure_port("127.0.0.1:15013", certificate.credentials(require_client=True))
    await server.start()
    running = asyncio.create_task(agent.proxy(SETTINGS, files))
    async with aiohttp.ClientSession() as session:
        status = await ready(session)
        (connection,) = discovery.connections
        world.version, world.sequence = 2, 2
        changed = asyncio.Event()
        discovery.connections.on_change.append(changed.set)
        connection.push({CDS}, 2, 2)
        async with asyncio.timeout(5):
            while not connection.settled(2):
                changed.clear()
                await changed.wait()
        async with session.get("http://127.0.0.1:15020/stats/prometheus") as answer:
            metrics = await answer.text()
    mode = (directory / "envoy.json").stat().st_mode & 0o777
    os.kill(os.getpid(), signal.SIGTERM)
    code = await running
    await server.stop(None)
    return {
        "ready": status,
        "identity": connection.identity,
        "responses": {short(url): each.responses for url, each in connection.subscriptions.items()},
        "metrics": "envoy_server_live" in metrics,
        "bootstrap_mode": mode,
        "exit": code,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
