"""Health probes of the application, asked through the agent because the kubelet's own requests would be captured.

The injector rewrites `httpGet`, `tcpSocket` and `grpc` probes to `/app-health/<container>/{livez,readyz,startupz}` on
the agent's port and hands over the originals; the agent makes the original request from the proxy's user, whose traffic
is not captured.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc

from reference.controlplane.xds.encode import field

SKIPPED_HEADERS = {"host", "connection", "content-length", "accept-encoding"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the kubelet is told."""

    status: int
    text: str


def timeout_of(probe: Mapping[str, Any]) -> float:
    return float(probe.get("timeoutSeconds") or 1)


async def check(probe: Mapping[str, Any], session: aiohttp.ClientSession, headers: Mapping[str, str]) -> Outcome:
    """Makes the probe that a pod spec describes, against 127.0.0.1."""
    try:
        async with asyncio.timeout(timeout_of(probe)):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], session, headers)
            if "tcpSocket" in probe:
                return await _tcp(int(probe["tcpSocket"]["port"]))
            if "grpc" in probe:
                return await _grpc(int(probe["grpc"]["port"]), probe["grpc"].get("service") or "")
    except TimeoutError:
        return Outcome(503, f"no answer in {timeout_of(probe)} s")
    except (OSError, aiohttp.ClientError) as error:
        return Outcome(503, f"{type(error).__name__}: {error}")
    return Outcome(500, f"probe: expected httpGet, tcpSocket or grpc, got {sorted(probe)}")


async def _http(get: Mapping[str, Any], session: aiohttp.ClientSession, headers: Mapping[str, str]) -> Outcome:
    scheme = str(get.get("scheme") or "HTTP").lower()
    path = str(get.get("path") or "/")
    url = f"{scheme}://127.0.0.1:{int(get['port'])}{path if path.startswith('/') else '/' + path}"
    sent = {name: value for name, value in headers.items() if name.lower() not in SKIPPED_HEADERS}
    sent.update({each["name"]: each["value"] for each in get.get("httpHeaders") or []})
    async with session.get(url, headers=sent, ssl=False, allow_redirects=False) as response:
        return Outcome(response.status, "")


async def _tcp(port: int) -> Outcome:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return Outcome(200, "")


async def _grpc(port: int, service: str) -> Outcome:
    """grpc.health.v1: request field 1 is the service, response field 1 the status, 1 = SERVING."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = await call(field(1, service.encode()) if service else b"")
        except grpc.aio.AioRpcError as error:
            return Outcome(503, f"{error.code().name}: {error.details()}")
    return Outcome(200, "") if answer == b"\x08\x01" else Outcome(503, "not serving")
