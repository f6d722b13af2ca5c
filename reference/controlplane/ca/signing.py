"""Roots, workload and server certificates. ECDSA P-256 throughout.

SPIFFE X.509 SVID rules (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md): exactly one URI name in a
leaf, the URI critical when there is no subject, digitalSignature key usage, no CA flag.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_LIFETIME = datetime.timedelta(days=3650)
WORKLOAD_LIFETIME = datetime.timedelta(hours=24)
LONGEST_LIFETIME = datetime.timedelta(days=90)
SKEW = datetime.timedelta(minutes=2)
"""Certificates are valid from this long before now: clocks of nodes differ."""


class BadRequest(ValueError):
    """The CSR or what was asked for cannot be signed; the message says why."""


@dataclass(frozen=True, slots=True)
class Root:
    """The mesh's root: certificate and key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A leaf with its chain, and its key; PEM."""

    certificate: bytes
    key: bytes


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_root(organization: str, at: datetime.datetime) -> Root:
    """A new self-signed root, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - SKEW)
        .not_valid_after(at + ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Root(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=not sign,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


class Signer:
    """Signs with one root. `root_pem` is what peers have to trust."""

    def __init__(self, root: Root) -> None:
        self.root_pem = root.certificate
        self._certificate = x509.load_pem_x509_certificate(root.certificate)
        key = serialization.load_pem_private_key(root.key, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise BadRequest(f"root key: expected an EC or RSA key, got {type(key).__name__}")
        self._key = key

    def workload(self, csr_pem: bytes, uri: str, lifetime: datetime.timedelta | None, at: datetime.datetime) -> bytes:
        """A leaf for the CSR's public key that names `uri` and nothing else, PEM.

        lifetime: None or not positive means 24 hours; what is longer than 90 days is refused. Raises BadRequest.
        """
        if lifetime is None or lifetime <= datetime.timedelta(0):
            lifetime = WORKLOAD_LIFETIME
        if lifetime > LONGEST_LIFETIME:
            raise BadRequest(f"validity_duration: expected at most {LONGEST_LIFETIME.days} days, got {lifetime}")
        try:
            csr = x509.load_pem_x509_csr(csr_pem)
            key = csr.public_key()
            signed = csr.is_signature_valid
        except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
            raise BadRequest(f"csr: expected a PEM certificate signing request, got {error}") from error
        if not signed:
            raise BadRequest("csr: its signature does not fit its public key")
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise BadRequest(f"csr: expected an EC or RSA key, got {type(key).__name__}")
        return self._sign(key, [x509.UniformResourceIdentifier(uri)], lifetime, at, x509.Name([]))

    def server(self, names: Sequence[str], at: datetime.datetime) -> KeyPair:
        """A server certificate for these DNS names, with a key of its own; valid 24 hours."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        leaf = self._sign(key.public_key(), [x509.DNSName(name) for name in names], WORKLOAD_LIFETIME, at, subject)
        return KeyPair(leaf, _key_pem(key))

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        names: Sequence[x509.GeneralName],
        lifetime: datetime.timedelta,
        at: datetime.datetime,
        subject: x509.Name,
    ) -> bytes:
        end = min(at + lifetime, self._certificate.not_valid_after_utc)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - SKEW)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key()),  # type: ignore[arg-type]
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)
