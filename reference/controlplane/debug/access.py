"""Who may see debug pages: callers on loopback; `authorization` asks the API server about the others. Pure."""

import ipaddress


def is_loopback(remote: str | None) -> bool:
    """Whether a peer address is this pod's own loopback."""
    if not remote:
        return False
    try:
        return ipaddress.ip_address(remote.partition("%")[0]).is_loopback
    except ValueError:
        return False


def bearer_token(header: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
