"""xDS and the CA over real TLS: who gets in, how the others are refused. No cluster: a fake judges the tokens."""

import datetime
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import grpc
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from kubeclient import Client, Obj, Resource
from kubeclient.resources import TOKEN_REVIEWS
from reference.agent.certificates import make_request
from reference.controlplane.authentication import authenticator
from reference.controlplane.ca import istio_ca_pb2 as pb
from reference.controlplane.ca.server_certificate import ServerCertificate
from reference.controlplane.ca.service import CertificateService
from reference.controlplane.ca.signing import Signer, make_root, now
from reference.controlplane.ca.tokens import TokenReviewer
from reference.controlplane.xds.identity import Identity
from reference.controlplane.xds.server import DiscoveryServer
from reference.controlplane.xds.types import CDS, Resources

pytestmark = pytest.mark.anyio
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CA = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
GOOD = Identity("cluster.local", "ns", "sa")
OPTIONS = [("grpc.ssl_target_name_override", "istiod.istio-system.svc")]


class Empty:
    """A world without resources."""

    sequence = 1

    def generate(self, proxy: str, type_url: str, names: frozenset[str] | None) -> Resources:
        del proxy, type_url, names
        return {}


class Judge:
    """An API server that knows the token "good" for the CA's audience, and "other" for its own alone."""

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        assert resource is TOKEN_REVIEWS
        known = {"good": "istio-ca", "other": "https://kubernetes.default.svc"}
        audience = known.get(obj["spec"]["token"])
        if audience not in obj["spec"]["audiences"]:
            return {"status": {"authenticated": False}}
        user = {"username": "system:serviceaccount:ns:sa"}
        return {"status": {"authenticated": True, "audiences": [audience], "user": user}}


@dataclass(frozen=True)
class Plane:
    signer: Signer
    token_port: int
    certificate_port: int

    def channel(self, port: int, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
        trust = credentials or grpc.ssl_channel_credentials(self.signer.root_pem)
        return grpc.aio.secure_channel(f"127.0.0.1:{port}", trust, OPTIONS)

    def client(self, signer: Signer, uri: str = str(GOOD)) -> grpc.ChannelCredentials:
        """Credentials of a workload whose certificate `signer` made."""
        request = make_request()
        leaf = signer.workload(request.csr, uri, datetime.timedelta(hours=1), now())
        return grpc.ssl_channel_credentials(self.signer.root_pem, request.key, leaf)


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    signer = Signer(make_root("cluster.local", now()))
    certificate = ServerCertificate(signer, ["istiod.istio-system.svc"])
    authenticate = authenticator(TokenReviewer(cast(Client, Judge()), "cluster.local"), "cluster.local")
    discovery: DiscoveryServer[str] = DiscoveryServer(Empty(), lambda node: str(node.id), authenticate)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((discovery.handler(), CertificateService(signer, authenticate).handler()))
    tokens = server.add_secure_port("127.0.0.1:0", certificate.credentials(require_client=False))
    certificates = server.add_secure_port("127.0.0.1:0", certificate.credentials(require_client=True))
    await server.start()
    yield Plane(signer, tokens, certificates)
    await server.stop(None)


async def subscribe(channel: grpc.aio.Channel, namespace: str = "ns", account: str = "sa", token: str = "") -> str:
    """Opens a stream and asks for clusters; the type URL that was answered."""
    node = base_pb2.Node(id="sidecar~10.0.0.1~p.ns~ns.svc.cluster.local")
    node.metadata.update({"NAMESPACE": namespace, "SERVICE_ACCOUNT": account})
    call = channel.stream_stream(
        ADS,
        request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
        response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
    )
    stream = call(metadata=(("authorization", f"Bearer {token}"),) if token else (), timeout=10)
    await stream.write(discovery_pb2.DeltaDiscoveryRequest(node=node, type_url=CDS))
    answer = await stream.read()
    if answer is grpc.aio.EOF:
        raise AssertionError(f"the stream ended with {await stream.code()}: {await stream.details()}")
    stream.cancel()
    return str(answer.type_url)


async def sign(channel: grpc.aio.Channel, token: str = "") -> list[str]:
    call = channel.unary_unary(
        CA,
        request_serializer=pb.IstioCertificateRequest.SerializeToString,
        response_deserializer=pb.IstioCertificateResponse.FromString,
    )
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    answer = await call(pb.IstioCertificateRequest(csr=make_request().csr.decode()), metadata=metadata, timeout=10)
    return list(answer.cert_chain)


async def refused(code: grpc.StatusCode, attempt: object) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await attempt  # type: ignore[misc]
    assert caught.value.code() is code, caught.value.details()
    return str(caught.value.details())


@pytest.mark.parametrize("token", ["", "bad", "other"])
async def test_xds_refuses_a_stream_without_credentials(plane: Plane, token: str) -> None:
    async with plane.channel(plane.token_port) as channel:
        details = await refused(grpc.StatusCode.UNAUTHENTICATED, subscribe(channel, token=token))
    assert "client certificate" in details and "token" in details


@pytest.mark.parametrize("token", ["", "bad", "other"])
async def test_the_ca_refuses_a_request_without_credentials(plane: Plane, token: str) -> None:
    async with plane.channel(plane.token_port) as channel:
        await refused(grpc.StatusCode.UNAUTHENTICATED, sign(channel, token))


async def test_the_certificate_port_refuses_a_client_without_certificate(plane: Plane) -> None:
    async with plane.channel(plane.certificate_port) as channel:
        await refused(grpc.StatusCode.UNAVAILABLE, subscribe(channel, token="good"))


async def test_the_certificate_port_refuses_a_certificate_of_another_root(plane: Plane) -> None:
    stranger = plane.client(Signer(make_root("cluster.local", now())))
    async with plane.channel(plane.certificate_port, stranger) as channel:
        await refused(grpc.StatusCode.UNAVAILABLE, subscribe(channel))


async def test_a_client_refuses_a_control_plane_of_another_root(plane: Plane) -> None:
    trust = grpc.ssl_channel_credentials(make_root("cluster.local", now()).certificate)
    async with plane.channel(plane.token_port, trust) as channel:
        await refused(grpc.StatusCode.UNAVAILABLE, sign(channel, "good"))


@pytest.mark.parametrize(
    ("namespace", "account", "what"), [("other", "sa", "NAMESPACE"), ("ns", "other", "SERVICE_ACCOUNT")]
)
async def test_a_proxy_may_not_claim_to_be_another(plane: Plane, namespace: str, account: str, what: str) -> None:
    async with plane.channel(plane.token_port) as channel:
        attempt = subscribe(channel, namespace, account, "good")
        assert what in await refused(grpc.StatusCode.PERMISSION_DENIED, attempt)


async def test_a_token_opens_xds_and_the_ca(plane: Plane) -> None:
    async with plane.channel(plane.token_port) as channel:
        assert await subscribe(channel, token="good") == CDS
        chain = await sign(channel, "good")
    assert chain[-1].encode() == plane.signer.root_pem


async def test_a_certificate_opens_xds_and_renews_itself(plane: Plane) -> None:
    async with plane.channel(plane.certificate_port, plane.client(plane.signer)) as channel:
        assert await subscribe(channel) == CDS
        assert len(await sign(channel)) == 2


async def test_a_certificate_without_spiffe_name_is_nobody(plane: Plane) -> None:
    odd = plane.client(plane.signer, "https://example.com/workload")
    async with plane.channel(plane.certificate_port, odd) as channel:
        await refused(grpc.StatusCode.UNAUTHENTICATED, subscribe(channel))


async def test_a_certificate_of_another_trust_domain_is_nobody(plane: Plane) -> None:
    foreign = plane.client(plane.signer, "spiffe://elsewhere/ns/ns/sa/sa")
    async with plane.channel(plane.certificate_port, foreign) as channel:
        await refused(grpc.StatusCode.UNAUTHENTICATED, subscribe(channel))
