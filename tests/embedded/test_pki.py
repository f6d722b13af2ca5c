"""Certificates say who may call, and nothing secret is readable by others."""

import stat
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from meshtest.embedded import pki


def test_server_certificate_covers_every_address(tmp_path: Path) -> None:
    cluster = pki.write_cluster_pki(tmp_path / "pki", "c0", ["172.31.0.1", "10.96.0.1", "api.test"])
    cert = x509.load_pem_x509_certificate(cluster.cert("apiserver").read_bytes())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"kubernetes.default.svc", "localhost", "api.test"} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(ip) for ip in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "::1", "172.31.0.1", "10.96.0.1"}


def test_clients_carry_user_and_groups(tmp_path: Path) -> None:
    cluster = pki.write_cluster_pki(tmp_path / "pki", "c0", [])
    pki.write_node_cert(cluster, "node-0", ["172.31.0.2"])

    def subject(name: str) -> tuple[str, list[str]]:
        cert = x509.load_pem_x509_certificate(cluster.cert(name).read_bytes())
        cert.verify_directly_issued_by(cluster.ca().cert)
        attributes = cert.subject.get_attributes_for_oid
        orgs = [str(a.value) for a in attributes(NameOID.ORGANIZATION_NAME)]
        return str(attributes(NameOID.COMMON_NAME)[0].value), orgs

    assert subject("admin") == (pki.ADMIN_USER, ["system:masters"])
    assert subject("controllers") == (pki.CONTROLLERS_USER, [])
    assert subject("node-node-0") == ("system:node:node-0", ["system:nodes"])


def test_secrets_are_private(tmp_path: Path) -> None:
    cluster = pki.write_cluster_pki(tmp_path / "pki", "c0", [])
    config = pki.kubeconfig(tmp_path / "config", "https://127.0.0.1:6443", cluster, "admin")
    private = [config, *cluster.directory.glob("*.key")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}
    assert stat.S_IMODE(cluster.directory.stat().st_mode) == 0o700
    assert yaml.safe_load(config.read_text())["current-context"] == "admin@c0"
