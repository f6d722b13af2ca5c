"""Protobuf's wire format, where building messages would be too slow: encoded parts are put together as bytes.

A message's fields may come in any order, and what is encoded once can be used in any number of messages
(https://protobuf.dev/programming-guides/encoding/).
"""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field: text, bytes or a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def flag(number: int) -> bytes:
    """A bool that is true."""
    return varint(number << 3) + b"\x01"
