"""Probes and hooks: one check against a container, and how a row of results becomes a verdict.

Checks reach a pod as a kubelet's do: from the node's namespace, at the pod's address.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from meshtest.embedded import linux
from meshtest.embedded.node.states import Obj

# argv -> exit code and output; made by whoever can execute in the container
Execute = Callable[[list[str]], Awaitable[tuple[int, str]]]

FIRST_RETRY = 0.01
EAGERNESS = 0.15


@dataclass(frozen=True, slots=True)
class Target:
    """What a check is about: the container, its pod's address, and the namespace to reach it from."""

    container: Obj
    address: str
    netns_fd: int
    execute: Execute


@dataclass(frozen=True, slots=True)
class Verdict:
    """Consecutive results so far. healthy None: not decided yet."""

    successes: int = 0
    failures: int = 0
    healthy: bool | None = None


def judge(verdict: Verdict, ok: bool, probe: Obj) -> Verdict:
    """The verdict after one more result, by the probe's thresholds."""
    if ok:
        successes = verdict.successes + 1
        healthy = True if successes >= int(probe.get("successThreshold") or 1) else verdict.healthy
        return Verdict(successes, 0, healthy)
    failures = verdict.failures + 1
    healthy = False if failures >= int(probe.get("failureThreshold") or 3) else verdict.healthy
    return replace(verdict, successes=0, failures=failures, healthy=healthy)


def period(probe: Obj) -> float:
    """Seconds between checks."""
    return float(probe.get("periodSeconds") or 10)


def timeout(probe: Obj) -> float:
    """Seconds that one check may take."""
    return float(probe.get("timeoutSeconds") or 1)


def pause(probe: Obj, elapsed: float, passed: bool) -> float:
    """Seconds until the next check, given for how long it has been probed and whether it has passed yet.

    Until it has, checks come more often than the period asks, so that a pod counts as Ready at most a seventh later
    than it is. Of these only as many count as failures as the period would have seen.
    """
    return period(probe) if passed else min(max(FIRST_RETRY, EAGERNESS * elapsed), period(probe))


async def check(handler: Obj, target: Target, seconds: float) -> tuple[bool, str]:
    """One check (a probe's or a hook's handler): passed or not, and why not."""
    try:
        async with asyncio.timeout(seconds):
            if "exec" in handler:
                code, output = await target.execute(list(handler["exec"]["command"]))
                return code == 0, f"exit code {code}: {output.strip()[:500]}"
            if "httpGet" in handler:
                return await _http(handler["httpGet"], target)
            if "tcpSocket" in handler:
                return await _tcp(handler["tcpSocket"], target)
            if "grpc" in handler:
                return await _grpc(handler["grpc"], target)
            if "sleep" in handler:
                await asyncio.sleep(float(handler["sleep"]["seconds"]))
                return True, ""
            return False, f"unknown kind of check: {', '.join(handler)}"
    except TimeoutError:
        return False, f"timed out after {seconds:g} s"
    except OSError as error:
        return False, str(error)


def port_number(container: Obj, port: int | str) -> int:
    """A port given by number or by the name that the container gives it. ValueError for an unknown name."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for declared in container.get("ports") or ():
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise ValueError(f"container {container['name']} has no port named {port!r}")


async def _connect(
    target: Target, host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = linux.socket_in(target.netns_fd)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        return await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=host if tls else None)
    except BaseException:
        sock.close()
        raise


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _http(get: Obj, target: Target) -> tuple[bool, str]:
    try:
        port = port_number(target.container, get["port"])
    except ValueError as error:
        return False, str(error)
    host = get.get("host") or target.address
    tls = _unverified() if str(get.get("scheme", "HTTP")).upper() == "HTTPS" else None
    reader, writer = await _connect(target, host, port, tls)
    try:
        headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.34", "Accept": "*/*", "Connection": "close"}
        headers.update({h["name"]: h["value"] for h in get.get("httpHeaders") or ()})
        path = get.get("path") or "/"
        lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = (await reader.readline()).decode(errors="replace").split(" ", 2)
        code = int(answer[1]) if len(answer) > 1 and answer[1].isdigit() else 0
        return 200 <= code < 400, f"HTTP probe failed with statuscode: {code}"
    finally:
        writer.close()


async def _tcp(socket: Obj, target: Target) -> tuple[bool, str]:
    try:
        port = port_number(target.container, socket["port"])
    except ValueError as error:
        return False, str(error)
    _, writer = await _connect(target, socket.get("host") or target.address, port)
    writer.close()
    return True, ""


async def _grpc(grpc: Obj, target: Target) -> tuple[bool, str]:
    from meshtest.embedded.node.grpchealth import health_status  # h2 is not needed to start a cluster

    reader, writer = await _connect(target, target.address, int(grpc["port"]))
    try:
        return await health_status(reader, writer, str(grpc.get("service") or ""))
    finally:
        writer.close()
