"""SPDY/3 framing, as far as Kubernetes streams use it (exec, port-forward); bytes in, frames out, no I/O.

Format: SPDY Protocol Draft 3, section 2. Windows are neither kept nor announced: the library of Kubernetes' Go clients
ignores them as well, and TCP holds back who is too quick.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 0x01
LARGEST_FRAME = 1 << 20
LARGEST_HEADERS = 64 << 10
_VERSION = 3

# Section 2.6.10.1: words with their lengths before them, then a text without any.
_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_WORDS = [*_NAMES.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack("!I", len(word)) + word.encode() for word in _WORDS) + _TAIL.encode()


class SpdyError(ValueError):
    """The other side does not speak SPDY/3; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream; ``fin``: its sender has no more."""

    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """A control frame. ``value`` is the status of RST_STREAM and GOAWAY, the delta of WINDOW_UPDATE, the id of PING."""

    kind: int
    stream: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    value: int = 0
    fin: bool = False


Frame = Data | Control


class Encoder:
    """Frames to bytes. Compressed headers depend on those before: write what it returns in the order of the calls."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        if isinstance(frame, Data):
            return struct.pack("!II", frame.stream, (FIN if frame.fin else 0) << 24 | len(frame.data)) + frame.data
        if frame.kind == SYN_STREAM:
            body = struct.pack("!IIBB", frame.stream, 0, 0, 0) + self._pack(frame.headers)
        elif frame.kind in (SYN_REPLY, HEADERS):
            body = struct.pack("!I", frame.stream) + self._pack(frame.headers)
        elif frame.kind in (RST_STREAM, GOAWAY, WINDOW_UPDATE):
            body = struct.pack("!II", frame.stream, frame.value)
        elif frame.kind == PING:
            body = struct.pack("!I", frame.value)
        elif frame.kind == SETTINGS:
            body = struct.pack("!I", 0)
        else:
            raise ValueError(f"SPDY control frame: expected a known kind, got {frame.kind}")
        flags = FIN if frame.fin else 0
        return struct.pack("!HHI", 0x8000 | _VERSION, frame.kind, flags << 24 | len(body)) + body

    def _pack(self, headers: Mapping[str, str]) -> bytes:
        plain = [struct.pack("!I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                plain += struct.pack("!I", len(text)), text
        return self._deflate.compress(b"".join(plain)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


class Decoder:
    """Bytes to frames, however the bytes are cut. Header names come in lower case."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now; kinds that SPDY/3 does not know are left out. Raises `SpdyError`."""
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            length = second & 0xFFFFFF
            if length > LARGEST_FRAME:
                raise SpdyError(f"SPDY frame: expected at most {LARGEST_FRAME} bytes, got {length}")
            if len(self._buffer) < 8 + length:
                return
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            fin = bool(second >> 24 & FIN)
            if not first & 0x80000000:
                yield Data(first, body, fin)
            elif first >> 16 & 0x7FFF != _VERSION:
                raise SpdyError(f"SPDY version: expected {_VERSION}, got {first >> 16 & 0x7FFF}")
            elif (frame := self._control(first & 0xFFFF, body, fin)) is not None:
                yield frame

    def _control(self, kind: int, body: bytes, fin: bool) -> Control | None:
        try:
            if kind == SYN_STREAM:
                stream, _ = struct.unpack_from("!II", body)
                return Control(kind, stream & 0x7FFFFFFF, self._unpack(body[10:]), fin=fin)
            if kind in (SYN_REPLY, HEADERS):
                (stream,) = struct.unpack_from("!I", body)
                return Control(kind, stream & 0x7FFFFFFF, self._unpack(body[4:]), fin=fin)
            if kind in (RST_STREAM, GOAWAY, WINDOW_UPDATE):
                stream, value = struct.unpack_from("!II", body)
                return Control(kind, stream & 0x7FFFFFFF, value=value)
            if kind == PING:
                return Control(kind, value=struct.unpack_from("!I", body)[0])
        except struct.error as error:
            raise SpdyError(f"SPDY control frame {kind} is cut short: {error}") from None
        return Control(kind) if kind == SETTINGS else None

    def _unpack(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, LARGEST_HEADERS)
        except zlib.error as error:
            raise SpdyError(f"SPDY headers: {error}") from None
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"SPDY headers: expected at most {LARGEST_HEADERS} bytes, got more")
        (count,) = struct.unpack_from("!I", plain)
        offset, texts = 4, []
        for _ in range(2 * count):
            (length,) = struct.unpack_from("!I", plain, offset)
            offset += 4 + length
            if offset > len(plain):
                raise SpdyError(f"SPDY headers: expected {offset} bytes, got {len(plain)}")
            texts.append(plain[offset - length : offset].decode("utf-8", "replace"))
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}
