"""TLS from the caller's side."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

from meshtest.echo.server.calls import CallSpec


def client_tls(call: CallSpec) -> ssl.SSLContext:
    """A context with the call's roots, client certificate and ALPN. Without roots the server is not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if call.ca:
        context.load_verify_locations(cadata=call.ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if call.alpn:
        context.set_alpn_protocols(list(call.alpn))
    if call.cert:
        memory = os.memfd_create("pem")
        try:
            os.write(memory, call.cert.encode())
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
    return context


def peer_details(transport: asyncio.BaseTransport) -> dict[str, Any] | None:
    """What the handshake agreed on; None in clear text. `certificate` is the peer's, DER in hex."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    return {
        "version": tls.version(),
        "alpn": tls.selected_alpn_protocol(),
        "cipher": (tls.cipher() or ("",))[0],
        "certificate": (tls.getpeercert(True) or b"").hex(),
    }
