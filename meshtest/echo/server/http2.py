"""HTTP/2 on h2: one asyncio protocol per connection, one task per request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from meshtest.echo.server.answer import Answer, Answerer, Seen
from meshtest.echo.server.sockets import address_of, tls_details

WINDOW = 1 << 20


class Http2Connection(asyncio.Protocol):
    """What client and server share: h2's state beside a transport, and sending within the flow-control windows."""

    def __init__(self, *, client: bool) -> None:
        config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8", validate_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.transport: asyncio.Transport | None = None
        self._window = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.h2.initiate_connection()
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
        self.h2.increment_flow_control_window(WINDOW)
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.flush()
            self.broken(f"HTTP/2 protocol error: {error}")
            if self.transport is not None:
                self.transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
                self._window.set()
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.broken(f"connection closed by GOAWAY {event.error_code}")
            self.on_event(event)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken(f"connection lost: {exc}" if exc else "connection closed by the peer")
        for task in self._tasks:
            task.cancel()

    def on_event(self, event: h2.events.Event) -> None:
        """One event of the peer, for subclasses."""

    def broken(self, reason: str) -> None:
        """No more answers will come, for subclasses."""

    def flush(self) -> None:
        """Writes what h2 has ready."""
        data = self.h2.data_to_send()
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def spawn(self, work: asyncio.Task[None]) -> None:
        """Keeps a task until it ends; it is cancelled with the connection."""
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)

    async def send(self, stream: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Headers and body and the end of the stream."""
        self.h2.send_headers(stream, headers, end_stream=not body)
        while body:
            size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if size <= 0:
                self.flush()
                self._window.clear()
                await self._window.wait()
                continue
            chunk, body = body[:size], body[size:]
            self.h2.send_data(stream, chunk, end_stream=not body)
        self.flush()


class Http2Server(Http2Connection):
    """Answers every request when it has arrived in whole."""

    def __init__(self, answerer: Answerer) -> None:
        super().__init__(client=False)
        self._answerer = answerer
        self._requests: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}

    def on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._requests[event.stream_id] = (
                [(str(k), str(v)) for k, v in event.headers or ()],
                bytearray(),
            )
        elif isinstance(event, h2.events.DataReceived):
            request = self._requests.get(event.stream_id)
            if request is not None:
                request[1].extend(event.data or b"")
        elif isinstance(event, h2.events.StreamReset):
            self._requests.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded):
            stream = event.stream_id
            request = self._requests.pop(stream, None)
            if request is not None:
                self.spawn(asyncio.ensure_future(self._reply(stream, self._answerer.answer(self._seen(*request)))))

    def _seen(self, headers: list[tuple[str, str]], body: bytearray) -> Seen:
        pseudo = {k: v for k, v in headers if k.startswith(":")}
        path, _, query = pseudo.get(":path", "").partition("?")
        return Seen(
            protocol="HTTP/2",
            method=pseudo.get(":method", ""),
            path=path,
            query=query,
            authority=pseudo.get(":authority", ""),
            headers=[(k, v) for k, v in headers if not k.startswith(":")],
            body=body.decode("utf-8", "replace"),
            source=address_of(self.transport, "peername"),
            destination=address_of(self.transport, "sockname"),
            tls=tls_details(self.transport),
        )

    async def _reply(self, stream: int, answer: Answer) -> None:
        if answer.delay:
            await asyncio.sleep(answer.delay)
        headers = [
            (":status", str(answer.status)),
            ("content-length", str(len(answer.body))),
            *((k.lower(), v) for k, v in answer.headers),
        ]
        try:
            await self.send(stream, headers, answer.body)
        except h2.exceptions.ProtocolError:
            self.flush()  # the caller gave this stream up
