"""RADIUS and EAP, byte for byte: the RFC's own packets, what is no packet, and what is kept."""

from __future__ import annotations

import hmac
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as some

from scanner import radius
from scanner.transcript import Exchange, Turn

#: RFC 2865 section 7.1.
SECRET = b"xyzzy5461"
REQUEST = bytes.fromhex(
    "01000038 0f403f94 73978057 bd83d5cb 98f4227a 01066e65 6d6f0212 0dbe708d 93d413ce 3196e43f 782a0aee"
    "0406c0a8 01100506 00000003"
)
ACCEPT = bytes.fromhex(
    "02000026 86fe220e 7624ba2a 1005f6bf 9b55e0b2 06060000 00010f06 00000000 0e06c0a8 0103"
)


def test_an_answer_is_of_who_knows_the_secret() -> None:
    assert radius.is_genuine(ACCEPT, REQUEST, SECRET)
    assert not radius.is_genuine(ACCEPT, REQUEST, b"another")
    assert not radius.is_genuine(ACCEPT[:-1] + b"\x04", REQUEST, SECRET)
    assert not radius.is_genuine(ACCEPT, REQUEST[:1] + b"\x01" + REQUEST[2:], SECRET)


def test_an_answer_with_eap_is_signed_or_does_not_count() -> None:
    eap = (radius.EAP_MESSAGE, bytes([radius.FAILURE, 0, 0, 4]))
    unsigned = radius.written(radius.ACCESS_REJECT, 0, bytes(16), [eap])
    proved = _answered(unsigned)
    assert not radius.is_genuine(proved, REQUEST, SECRET)
    assert radius.is_genuine(_answered(_signed([eap])), REQUEST, SECRET)
    assert not radius.is_genuine(_answered(_signed([eap], b"another")), REQUEST, SECRET)


def _signed(attributes: list[tuple[int, bytes]], secret: bytes = SECRET) -> bytes:
    blank = [(radius.MESSAGE_AUTHENTICATOR, bytes(16)), *attributes]
    over = radius.written(radius.ACCESS_REJECT, 0, REQUEST[4:20], blank)
    return radius.written(
        radius.ACCESS_REJECT,
        0,
        bytes(16),
        [(radius.MESSAGE_AUTHENTICATOR, hmac.digest(secret, over, "md5")), *attributes],
    )


def _answered(data: bytes) -> bytes:
    return data[:4] + md5(data[:4] + REQUEST[4:20] + data[20:] + SECRET).digest() + data[20:]


def test_what_is_made_with_the_secret_is_not_kept() -> None:
    kept = radius.packet(radius.redacted(REQUEST))
    assert kept.authenticator == REQUEST[4:20]
    assert kept.value(radius.USER_NAME) == b"nemo"
    assert kept.value(2) == bytes(16)  # User-Password
    assert radius.packet(radius.redacted(ACCEPT)).authenticator == bytes(16)
    assert not radius.is_genuine(radius.redacted(ACCEPT), REQUEST, SECRET)


@pytest.mark.parametrize("size", [0, 1, radius.PIECE, radius.PIECE + 1, 3 * radius.PIECE])
def test_what_is_said_in_pieces_is_put_together_again(size: int) -> None:
    said = bytes(one % 251 for one in range(size))
    turns = [
        Turn(
            radius.access_request(at, bytes(16), radius.response(at, 13, piece), b"-", "", b""),
            b"",
        )
        for at, piece in enumerate(radius.pieces(said))
    ]
    assert radius.within(Exchange("EAP", tuple(turns), "done"), "chain").sent == said


@given(some.binary(max_size=80))
def test_garbage_is_no_packet(data: bytes) -> None:
    for start in (b"", ACCEPT[:20]):
        try:
            _ = radius.packet(start + data).eap
            radius.redacted(start + data)
            radius.is_genuine(start + data, REQUEST, SECRET)
        except ValueError:
            pass
