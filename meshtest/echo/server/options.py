"""The command line of the echo program, as data."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONTROL_PORT = 17171


@dataclass(frozen=True, slots=True)
class Listen:
    """One listening port. `address` is empty for all addresses of both families."""

    port: int
    address: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What to serve, and who to say we are."""

    http: tuple[Listen, ...] = ()
    https: tuple[Listen, ...] = ()
    grpc: tuple[Listen, ...] = ()
    tcp: tuple[Listen, ...] = ()
    tls: tuple[Listen, ...] = ()
    tcp_server_first: tuple[Listen, ...] = ()
    control: Listen = Listen(CONTROL_PORT, "127.0.0.1")
    version: str = "v1"
    cluster: str = ""
    namespace: str = ""
    service: str = ""
    hostname: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    """PEM files; without them a self-signed certificate is made at the start."""


def parse_listen(text: str, pod_ip: str = "") -> Listen:
    """`8080`, `127.0.0.1:8084`, `[::1]:8084`, `localhost:8084` or `pod:8082` (the pod's own address)."""
    address, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 <= int(port) < 65536:
        raise argparse.ArgumentTypeError(
            f"port {text!r}: expected PORT or ADDRESS:PORT, such as 8080 or localhost:8084"
        )
    address = address.strip("[]")
    return Listen(int(port), {"localhost": "127.0.0.1", "pod": pod_ip}.get(address, address))


def parse_options(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Options:
    """The options from arguments without the program's name; the environment fills in what the pod knows of itself."""
    env = os.environ if env is None else env
    pod_ip = env.get("INSTANCE_IP") or env.get("POD_IP", "")

    def listen(text: str) -> Listen:
        return parse_listen(text, pod_ip)

    parser = argparse.ArgumentParser(prog="echo", description="Answers with what it saw; sends what it is asked to.")
    ports = {
        "http": "HTTP/1.x, HTTP/2 with prior knowledge, and WebSocket",
        "http2": "the same as --http, by the name of what the service calls the port",
        "ws": "the same as --http",
        "https": "HTTP over TLS, versions by ALPN",
        "grpc": "gRPC",
        "tcp": "one JSON line for each line received",
        "tls": "the same as --tcp, over TLS",
        "tcp-server-first": "as --tcp, after a greeting",
    }
    for name, text in ports.items():
        parser.add_argument(f"--{name}", type=listen, action="append", default=[], metavar="[ADDRESS:]PORT", help=text)
    parser.add_argument("--control", type=listen, default=Listen(CONTROL_PORT, "127.0.0.1"), metavar="[ADDRESS:]PORT")
    parser.add_argument("--version", default=env.get("ECHO_VERSION", "v1"))
    parser.add_argument("--cluster", default=env.get("CLUSTER_ID", ""))
    parser.add_argument("--namespace", default=env.get("NAMESPACE") or env.get("POD_NAMESPACE", ""))
    parser.add_argument("--service", default=env.get("SERVICE", ""))
    parser.add_argument("--hostname", default="")
    parser.add_argument("--tls-cert", default="")
    parser.add_argument("--tls-key", default="")
    args = parser.parse_args(list(argv))
    return Options(
        http=(*args.http, *args.http2, *args.ws),
        https=tuple(args.https),
        grpc=tuple(args.grpc),
        tcp=tuple(args.tcp),
        tls=tuple(args.tls),
        tcp_server_first=tuple(args.tcp_server_first),
        control=args.control,
        version=args.version,
        cluster=args.cluster,
        namespace=args.namespace,
        service=args.service,
        hostname=args.hostname or env.get("HOSTNAME") or socket.gethostname(),
        tls_cert=args.tls_cert,
        tls_key=args.tls_key,
    )
