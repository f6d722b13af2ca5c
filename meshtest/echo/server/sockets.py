"""Listening sockets, addresses and TLS: what all protocols share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import Any

from meshtest.echo.server.options import Listen


def listening_sockets(listen: Listen) -> list[socket.socket]:
    """Bound sockets; for all addresses one of each family that the machine has."""
    addresses = [listen.address] if listen.address else ["0.0.0.0", "::"]
    sockets = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = None
        try:
            # asyncio switches Nagle off only where the protocol is named.
            sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address, listen.port))
        except OSError as error:
            if sock is not None:
                sock.close()
            if address == "::":
                continue  # a namespace without IPv6
            raise OSError(error.errno, f"cannot listen on {address}:{listen.port}: {error.strerror}") from error
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def address_of(transport: asyncio.BaseTransport | None, which: str) -> tuple[str, int]:
    """`peername` or `sockname` of a transport; ("", 0) once it is gone."""
    found = transport.get_extra_info(which) if transport is not None else None
    return (found[0], found[1]) if found else ("", 0)


def tls_details(transport: asyncio.BaseTransport | None) -> dict[str, Any] | None:
    """Version, ALPN, SNI and cipher as the server saw them; None in clear text."""
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    if tls is None:
        return None
    return {
        "version": tls.version(),
        "alpn": tls.selected_alpn_protocol(),
        "sni": getattr(tls, "sni", None),
        "cipher": (tls.cipher() or ("",))[0],
        "client_certificate": bool(tls.getpeercert(True)),
    }


def server_tls(cert: str, key: str, hostname: str, alpn: list[str]) -> ssl.SSLContext:
    """A server's context from PEM files, or with a certificate made now for `hostname`, which nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if alpn:
        context.set_alpn_protocols(alpn)

    def remember(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        tls.sni = name  # type: ignore[union-attr]

    context.sni_callback = remember
    if cert:
        context.load_cert_chain(cert, key or None)
    else:
        # The ssl module loads only from files; an anonymous one leaves nothing behind.
        with contextlib.closing(_Memory(_self_signed(hostname))) as memory:
            context.load_cert_chain(memory.path)
    return context


class _Memory:
    def __init__(self, content: bytes) -> None:
        self._fd = os.memfd_create("pem")
        os.write(self._fd, content)
        self.path = f"/proc/self/fd/{self._fd}"

    def close(self) -> None:
        os.close(self._fd)


def _self_signed(hostname: str) -> bytes:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, (hostname or "echo")[:64])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname or "echo")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
