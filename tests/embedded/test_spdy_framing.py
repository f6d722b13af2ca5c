"""SPDY/3 frames: there and back, cut anywhere, and refused when they are none."""

from __future__ import annotations

import zlib

import pytest

from meshtest.embedded import spdy
from meshtest.embedded.spdy import Control, Data, Decoder, Encoder, SpdyError

FRAMES: list[spdy.Frame] = [
    Control(spdy.SYN_STREAM, 1, {"streamtype": "error", "port": "8080", "requestid": "0"}),
    Control(spdy.SYN_STREAM, 3, {"streamtype": "data", "port": "8080", "requestid": "0"}, fin=True),
    Control(spdy.SYN_REPLY, 1),
    Control(spdy.HEADERS, 1, {"a": ""}),
    Data(3, b"hello"),
    Data(3, b"", fin=True),
    Control(spdy.SETTINGS),
    Control(spdy.PING, value=7),
    Control(spdy.WINDOW_UPDATE, 3, value=65536),
    Control(spdy.RST_STREAM, 1, value=5),
    Control(spdy.GOAWAY, 3),
]


def test_the_dictionary_is_the_published_one() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


@pytest.mark.parametrize("step", [1, 3, 8, 4096])
def test_frames_come_back_however_they_are_cut(step: int) -> None:
    encoder, decoder = Encoder(), Decoder()
    wire = b"".join(encoder.encode(frame) for frame in FRAMES)
    got = [frame for at in range(0, len(wire), step) for frame in decoder.feed(wire[at : at + step])]
    assert got == FRAMES


def test_bytes_of_the_fixed_part() -> None:
    assert Encoder().encode(Data(5, b"ab", fin=True)) == b"\0\0\0\5\1\0\0\2ab"
    assert Encoder().encode(Control(spdy.PING, value=1)) == b"\x80\3\0\6\0\0\0\4\0\0\0\1"


def test_a_kind_nobody_knows_is_passed_over() -> None:
    assert list(Decoder().feed(b"\x80\3\0\x63\0\0\0\2xx\0\0\0\1\0\0\0\1y")) == [Data(1, b"y")]


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "at most"),
        (b"\x80\2\0\1\0\0\0\0", "version: expected 3, got 2"),
        (b"\x80\3\0\6\0\0\0\1x", "cut short"),
        (b"\x80\3\0\2\0\0\0\x0c\0\0\0\1deflate?", "headers"),
    ],
)
def test_what_is_not_spdy_is_refused(wire: bytes, says: str) -> None:
    with pytest.raises(SpdyError, match=says):
        list(Decoder().feed(wire))


def test_headers_that_unpack_to_too_much_are_refused() -> None:
    bomb = Encoder().encode(Control(spdy.SYN_STREAM, 1, {"a": "x" * (spdy.LARGEST_HEADERS + 1)}))
    with pytest.raises(SpdyError, match="at most"):
        list(Decoder().feed(bomb))
