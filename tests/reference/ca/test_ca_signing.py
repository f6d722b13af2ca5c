"""What the CA signs, and what it refuses."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from reference.agent.certificates import make_request
from reference.controlplane.ca.authority import root_config_map, root_of, secret_of
from reference.controlplane.ca.signing import BadRequest, Signer, make_root
from reference.controlplane.ca.tokens import bearer, review_body, user_info

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
URI = "spiffe://cluster.local/ns/a/sa/b"


def signer() -> Signer:
    return Signer(make_root("cluster.local", NOW))


def names(pem: bytes) -> list[str]:
    leaf = x509.load_pem_x509_certificate(pem)
    return [str(each.value) for each in leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_a_leaf_names_the_caller_and_nobody_else_whatever_the_request_says() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("evil.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem = signer().workload(greedy, URI, None, NOW)
    leaf = x509.load_pem_x509_certificate(pem)
    assert names(pem) == [URI]
    assert list(leaf.subject) == []
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_a_leaf_verifies_against_the_root() -> None:
    made = signer()
    leaf = x509.load_pem_x509_certificate(made.workload(make_request().csr, URI, None, NOW))
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(made.root_pem))


def test_the_lifetime_is_a_day_unless_asked_otherwise() -> None:
    def life(asked: datetime.timedelta | None) -> datetime.timedelta:
        leaf = x509.load_pem_x509_certificate(signer().workload(make_request().csr, URI, asked, NOW))
        return leaf.not_valid_after_utc - NOW

    assert life(None) == life(datetime.timedelta(0)) == datetime.timedelta(hours=24)
    assert life(datetime.timedelta(hours=1)) == datetime.timedelta(hours=1)
    with pytest.raises(BadRequest, match="at most 90 days"):
        life(datetime.timedelta(days=91))


@pytest.mark.parametrize("csr", [b"", b"nonsense"])
def test_what_is_no_request_is_refused(csr: bytes) -> None:
    with pytest.raises(BadRequest, match="csr"):
        signer().workload(csr, URI, None, NOW)


def test_a_key_of_another_kind_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    with pytest.raises(BadRequest, match="EC or RSA"):
        signer().workload(csr.public_bytes(serialization.Encoding.PEM), URI, None, NOW)


def test_a_server_certificate_has_its_dns_names() -> None:
    pair = signer().server(["istiod.istio-system.svc", "istiod"], NOW)
    assert names(pair.certificate) == ["istiod.istio-system.svc", "istiod"]


def test_a_root_survives_its_secret() -> None:
    root = make_root("cluster.local", NOW)
    assert root_of(secret_of(root, "istio-system")) == root
    with pytest.raises(ValueError, match=r"ca-key\.pem"):
        secret = secret_of(root, "istio-system")
        del secret["data"]["ca-key.pem"]
        root_of(secret)
    assert "PRIVATE" not in root_config_map(root.certificate, "ns")["data"]["root-cert.pem"]


def test_bearer_tokens_are_read_from_metadata() -> None:
    assert bearer([("authorization", "Bearer t")]) == "t"
    assert bearer([("authorization", "bearer  t ")]) == "t"
    assert bearer([("authorization", "Basic t")]) is None
    assert bearer([("authorization", "Bearer ")]) is None
    assert bearer([]) is None


def test_a_review_counts_only_when_authenticated_for_the_audience() -> None:
    good = {"authenticated": True, "audiences": ["istio-ca"], "user": {"username": "system:serviceaccount:a:b"}}
    assert review_body("t", ["istio-ca"])["spec"] == {"token": "t", "audiences": ["istio-ca"]}
    assert user_info({"status": good}, ["istio-ca"]) == {"username": "system:serviceaccount:a:b"}
    assert user_info({"status": {**good, "authenticated": False}}, ["istio-ca"]) is None
    assert user_info({"status": {**good, "audiences": ["other"]}}, ["istio-ca"]) is None
    assert user_info({"status": {**good, "audiences": []}}, ["istio-ca"]) is None
    assert user_info({}, ["istio-ca"]) is None
