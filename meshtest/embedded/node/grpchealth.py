"""One call of grpc.health.v1.Health/Check over a connection that already stands.

The gRPC library cannot be given a socket of another network namespace, and must not run in a process that forks; the
call is one HTTP/2 request with a message of one string and an answer of one enum.
"""

from __future__ import annotations

import asyncio
import struct

import h2.config
import h2.connection
import h2.events

SERVING = 1


def encode_request(service: str) -> bytes:
    """HealthCheckRequest{service = 1} as a length-prefixed gRPC message."""
    name = service.encode()
    if len(name) > 127:
        raise ValueError(f"service name of {len(name)} bytes, at most 127 are supported")
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    return struct.pack("!BI", 0, len(message)) + message


def decode_status(data: bytes) -> int:
    """The status (field 1) of a length-prefixed HealthCheckResponse; 0 when it is not there."""
    message = data[5:]
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0


async def health_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: str) -> tuple[bool, str]:
    """Whether the server says SERVING for the service (empty: for itself), and what it said if not."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    connection.send_headers(
        stream,
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", "health"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "kube-probe/1.34"),
        ],
    )
    connection.send_data(stream, encode_request(service), end_stream=True)
    writer.write(connection.data_to_send())
    body, grpc_status = b"", ""
    while True:
        data = await reader.read(65536)
        if not data:
            return False, "connection closed before an answer"
        for event in connection.receive_data(data):
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                headers = {_text(name): _text(value) for name, value in event.headers or ()}
                grpc_status = headers.get("grpc-status", grpc_status)
            elif isinstance(event, h2.events.DataReceived):
                body += event.data or b""
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                status = decode_status(body)
                if status == SERVING:
                    return True, ""
                return False, f"health status {status}, grpc-status {grpc_status or 'none'}"
        writer.write(connection.data_to_send())


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
