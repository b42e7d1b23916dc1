"""BER (ITU-T X.690) as LDAP and SNMP use it: tag, length, value; no more of it than that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scanner import NotUnderstood

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
OCTETS: Final = 0x04
OBJECT: Final = 0x06
NULL: Final = 0x05
ENUMERATED: Final = 0x0A


def tlv(tag: int, *parts: bytes) -> bytes:
    """An element with these parts as its value."""
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width, "big") + value


def integer(number: int, tag: int = INTEGER) -> bytes:
    """A whole number that is not negative."""
    return tlv(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that follow each other: tag and value. Raises NotUnderstood when one is cut short."""
    at = 0
    while at < len(data):
        if len(data) - at < 2:
            raise NotUnderstood("an element that is cut short")
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4:
                raise NotUnderstood("an element of a length that nobody writes")
            size, start = int.from_bytes(data[start : start + width], "big"), start + width
        value = data[start : start + size]
        if len(value) != size:
            raise NotUnderstood("an element that is cut short")
        yield tag, value
        at = start + size


def number(value: bytes) -> int:
    """The value of an INTEGER or ENUMERATED. Raises NotUnderstood when it has no or too many bytes."""
    if not 1 <= len(value) <= 8:
        raise NotUnderstood("a number of a size that nobody writes")
    return int.from_bytes(value, "big", signed=True)
