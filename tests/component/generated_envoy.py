"""Runs the real Envoy on generated resources, without a control plane and without namespaces.

`bootstrap` makes everything static that would come over ADS and SDS, and moves the addresses: outbound listeners bind
where the test says, inbound listeners bind to the address that stands for the pod, and the application's address is
fixed. What is being tested - filter chains, routes, clusters, TLS - stays as generated.
"""

import datetime
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2

from reference.controlplane.generate import CDS, EDS, LDS, RDS, Proxy
from tests.reference.generate.mesh_state import Mesh

ENVOY = str(resources.files("envoy") / "_bin" / "envoy")
_MANAGER = "envoy.filters.network.http_connection_manager"


@dataclass(frozen=True)
class Keys:
    """Paths of PEM files."""

    certificate: str
    key: str
    root: str


class Authority:
    """A certificate authority for one test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "test")])
        self._root = self._sign(self._name, self._key.public_key(), None)

    def _sign(self, subject: x509.Name, public: ec.EllipticCurvePublicKey, uri: str | None) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=uri is None, path_length=None), critical=True)
        )
        if uri is not None:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
            builder = builder.add_extension(names, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, uri: str) -> Keys:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([]), key.public_key(), uri)
        stem = self._directory / uri.rpartition("/")[2]
        paths = {
            "certificate": stem.with_suffix(".crt"),
            "key": stem.with_suffix(".key"),
            "root": stem.with_suffix(".ca"),
        }
        pem = serialization.Encoding.PEM
        paths["certificate"].write_bytes(certificate.public_bytes(pem))
        paths["root"].write_bytes(self._root.public_bytes(pem))
        paths["key"].write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return Keys(**{name: str(path) for name, path in paths.items()})


@dataclass(frozen=True)
class Move:
    """Where things are in the test. `outbound`: listener name -> (address, port); listeners that are not named are
    left out. `inbound`: (address, port) that the inbound listener binds. `application`: (address, port) behind it."""

    outbound: Mapping[str, tuple[str, int]]
    inbound: tuple[str, int] | None = None
    application: tuple[str, int] | None = None


def bootstrap(mesh: Mesh, proxy: Proxy, keys: Keys, move: Move | None, admin: str) -> bytes:
    """A static bootstrap. Without `move` everything stays where it is: good for validation only."""
    made = bootstrap_pb2.Bootstrap()
    made.node.id, made.node.cluster = proxy.id, "test"
    made.admin.address.pipe.path = admin
    clusters = mesh.generate(proxy, CDS)
    assignments = mesh.generate(proxy, EDS, *clusters)
    for name, entry in clusters.items():
        cluster = cluster_pb2.Cluster.FromString(entry.body)
        _inline_cluster(cluster, assignments.get(name), keys, move)
        made.static_resources.clusters.append(cluster)
    for name, entry in mesh.generate(proxy, LDS).items():
        listener = listener_pb2.Listener.FromString(entry.body)
        _inline_listener(listener, mesh, proxy, keys)
        if move is not None and not _moved(listener, name, move):
            continue
        made.static_resources.listeners.append(listener)
    content: bytes = made.SerializeToString()
    return content


def _moved(listener: Any, name: str, move: Move) -> bool:
    target = move.inbound if name == "virtualInbound" else move.outbound.get(name)
    if target is None:
        return False
    listener.address.socket_address.address, listener.address.socket_address.port_value = target
    listener.ClearField("bind_to_port")
    listener.ClearField("use_original_dst")
    return True


def _inline_cluster(cluster: Any, assignment: Any, keys: Keys, move: Move | None) -> None:
    if cluster.type == cluster_pb2.Cluster.EDS:
        cluster.type = cluster_pb2.Cluster.STATIC
        cluster.ClearField("eds_cluster_config")
        if assignment is not None:
            cluster.load_assignment.CopyFrom(endpoint_pb2.ClusterLoadAssignment.FromString(assignment.body))
    if move is not None and move.application is not None and cluster.name.startswith("inbound|"):
        cluster.type = cluster_pb2.Cluster.STATIC
        cluster.lb_policy = cluster_pb2.Cluster.ROUND_ROBIN
        cluster.ClearField("upstream_bind_config")
        cluster.load_assignment.cluster_name = cluster.name
        address = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = move.application
    if cluster.HasField("transport_socket"):
        _inline_tls(cluster.transport_socket, tls_pb2.UpstreamTlsContext(), keys)
    for match in cluster.transport_socket_matches:
        _inline_tls(match.transport_socket, tls_pb2.UpstreamTlsContext(), keys)


def _inline_tls(socket: Any, context: Any, keys: Keys) -> None:
    if socket.name != "envoy.transport_sockets.tls":
        return
    assert socket.typed_config.Unpack(context)
    common = context.common_tls_context
    if not common.tls_certificate_sds_secret_configs:
        return
    common.ClearField("tls_certificate_sds_secret_configs")
    certificate = common.tls_certificates.add()
    certificate.certificate_chain.filename, certificate.private_key.filename = keys.certificate, keys.key
    validation = common_pb2.CertificateValidationContext()
    validation.CopyFrom(common.combined_validation_context.default_validation_context)
    validation.trusted_ca.filename = keys.root
    common.validation_context.CopyFrom(validation)
    socket.typed_config.Pack(context)


def _inline_listener(listener: Any, mesh: Mesh, proxy: Proxy, keys: Keys) -> None:
    chains = list(listener.filter_chains)
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    for chain in chains:
        if chain.HasField("transport_socket"):
            _inline_tls(chain.transport_socket, tls_pb2.DownstreamTlsContext(), keys)
        for entry in chain.filters:
            if entry.name != _MANAGER:
                continue
            manager = hcm_pb2.HttpConnectionManager()
            assert entry.typed_config.Unpack(manager)
            if manager.HasField("rds"):
                name = manager.rds.route_config_name
                routes = mesh.generate(proxy, RDS, name)[name]
                manager.route_config.CopyFrom(route_pb2.RouteConfiguration.FromString(routes.body))
                entry.typed_config.Pack(manager)


def validate(directory: Path, content: bytes) -> str:
    """Envoy's complaint about a bootstrap; empty when it accepts."""
    path = directory / "validate.pb"
    path.write_bytes(content)
    done = subprocess.run(
        [ENVOY, "--mode", "validate", "-c", str(path), "-l", "warning"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


class Running:
    """Envoy processes of a test; ended when the block ends."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._processes = directory, list[subprocess.Popen[bytes]]()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def start(self, name: str, content: bytes) -> Path:
        """Starts one; returns the file with its output, the access log included."""
        config, log = self._directory / f"{name}.pb", self._directory / f"{name}.log"
        config.write_bytes(content)
        command = [ENVOY, "-c", str(config), "--concurrency", "1", "-l", "warning", "--disable-hot-restart"]
        with log.open("wb") as output:
            self._processes.append(
                subprocess.Popen([*command, "--file-flush-interval-msec", "10"], stdout=output, stderr=output)
            )
        return log


def wait_listening(ports: Iterable[tuple[str, int]], seconds: float = 10) -> None:
    import socket

    deadline = time.monotonic() + seconds
    for target in ports:
        while True:
            try:
                socket.create_connection(target, timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def free_port(host: str = "127.0.0.1") -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def get(url: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
