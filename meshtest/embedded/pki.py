"""Keys and certificates of one embedded cluster: its CA, who may call its API server, and kubeconfig files.

Everything is ECDSA P-256. Key files and kubeconfigs are written with mode 0600 into a directory of mode 0700.
User names and groups follow https://kubernetes.io/docs/setup/best-practices/certificates/.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADMIN_USER = "kubernetes-admin"
ADMIN_GROUP = "system:masters"
CONTROLLERS_USER = "system:kube-controller-manager"
NODES_GROUP = "system:nodes"
KUBELET_CLIENT_USER = "kube-apiserver-kubelet-client"

_LIFETIME = datetime.timedelta(days=365)
_BACKDATE = datetime.timedelta(days=1)  # a clock that is set back must not make certificates "not yet valid"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def cert_pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_to_pem(self.key)


@dataclass(frozen=True, slots=True)
class ClusterPki:
    """Where `write_cluster_pki` put things; all paths lie in ``directory``."""

    directory: Path
    cluster: str

    @property
    def ca_cert(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.directory / "ca.key"

    @property
    def sa_key(self) -> Path:
        """Signs service-account tokens (ES256)."""
        return self.directory / "sa.key"

    def cert(self, name: str) -> Path:
        """Certificate of ``apiserver``, ``apiserver-kubelet-client``, ``admin``, ``controllers`` or ``node-NAME``."""
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def ca(self) -> KeyPair:
        return load_pair(self.ca_cert, self.ca_key)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_pair(cert: Path, key: Path) -> KeyPair:
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key}: expected an ECDSA key, got {type(private).__name__}; it was not written by meshtest")
    return KeyPair(x509.load_pem_x509_certificate(cert.read_bytes()), private)


def make_ca(cn: str) -> KeyPair:
    """A self-signed CA."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = _builder(name, name, key.public_key(), key.public_key(), _LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(ca=True), critical=True)
    return KeyPair(builder.sign(key, hashes.SHA256()), key)


def issue(
    ca: KeyPair,
    cn: str,
    orgs: Sequence[str] = (),
    dns: Iterable[str] = (),
    ips: Iterable[str] = (),
    *,
    client: bool = False,
    server: bool = False,
) -> KeyPair:
    """A certificate for ``cn``, with a new key. ``orgs`` become the user's groups when it is a client's."""
    key = new_key()
    subject = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, org) for org in orgs),
            x509.NameAttribute(NameOID.COMMON_NAME, cn),
        ]
    )
    cert = sign_certificate(ca, subject, key.public_key(), dns, ips, client=client, server=server)
    return KeyPair(cert, key)


def sign_certificate(
    ca: KeyPair,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    dns: Iterable[str] = (),
    ips: Iterable[str] = (),
    *,
    client: bool = False,
    server: bool = False,
    lifetime: datetime.timedelta = _LIFETIME,
) -> x509.Certificate:
    """A leaf certificate for a key that the caller holds (or that a CSR carries)."""
    builder = _builder(subject, ca.cert.subject, public_key, ca.key.public_key(), lifetime)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(ca=False), critical=True)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] * client + [ExtendedKeyUsageOID.SERVER_AUTH] * server
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca.key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read; it has that mode from its first byte."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def write_pair(pki: ClusterPki, name: str, pair: KeyPair) -> None:
    write_private(pki.key(name), pair.key_pem)
    pki.cert(name).write_bytes(pair.cert_pem)


def write_cluster_pki(
    directory: Path, cluster: str, addresses: Sequence[str], dns_domain: str = "cluster.local"
) -> ClusterPki:
    """Everything that one API server needs, its CA and the clients ``admin`` and ``controllers``.

    addresses: IP addresses and names under which the API server is reached, beside loopback and
    ``kubernetes.default.svc`` and its spellings. Nodes are added with `write_node_cert`.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    pki = ClusterPki(directory, cluster)
    ca = make_ca(f"meshtest-{cluster}-ca")
    write_pair(pki, "ca", ca)
    ips, names = _split_addresses(addresses)
    server = issue(
        ca,
        "kube-apiserver",
        dns=[
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{dns_domain}",
            *names,
        ],
        ips=dict.fromkeys(["127.0.0.1", "::1", *ips]),
        server=True,
    )
    write_pair(pki, "apiserver", server)
    write_pair(pki, "apiserver-kubelet-client", issue(ca, KUBELET_CLIENT_USER, [ADMIN_GROUP], client=True))
    write_pair(pki, "admin", issue(ca, ADMIN_USER, [ADMIN_GROUP], client=True))
    write_pair(pki, "controllers", issue(ca, CONTROLLERS_USER, client=True))
    write_private(pki.sa_key, key_to_pem(new_key()))
    return pki


def write_node_cert(pki: ClusterPki, node: str, addresses: Sequence[str]) -> tuple[Path, Path]:
    """Certificate and key of node ``node``: client of the API server and server of its kubelet API."""
    ips, names = _split_addresses(addresses)
    pair = issue(pki.ca(), f"system:node:{node}", [NODES_GROUP], dns=[node, *names], ips=ips, client=True, server=True)
    write_pair(pki, f"node-{node}", pair)
    return pki.cert(f"node-{node}"), pki.key(f"node-{node}")


def _split_addresses(addresses: Sequence[str]) -> tuple[list[str], list[str]]:
    ips: list[str] = []
    names: list[str] = []
    for address in addresses:
        try:
            ips.append(str(ipaddress.ip_address(address)))
        except ValueError:
            names.append(address)
    return ips, names


def kubeconfig(path: Path, server: str, pki: ClusterPki, user: str, namespace: str = "default") -> Path:
    """Write a kubeconfig with everything inline; ``user`` names a pair of ``pki`` (``admin``, ``controllers``,
    ``node-NAME``), ``server`` is an https URL. JSON is YAML, so kubectl reads it.
    """

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    context = f"{user}@{pki.cluster}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": pki.cluster, "cluster": {"server": server, "certificate-authority-data": inline(pki.ca_cert)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": inline(pki.cert(user)),
                    "client-key-data": inline(pki.key(user)),
                },
            }
        ],
        "contexts": [
            {"name": context, "context": {"cluster": pki.cluster, "user": user, "namespace": namespace}},
        ],
        "current-context": context,
        "preferences": {},
    }
    write_private(path, json.dumps(document, indent=1).encode())
    return path
