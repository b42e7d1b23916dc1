"""The bytes of TLS: what is built is read back, what real servers said is understood, and nonsense is a ValueError."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import tlskeys, tlsnames, tlswire
from scanner.tlsanswer import is_hello, read
from scanner.tlsnames import GROUPS, SCHEMES, SSL2_SUITES, SUITES, TLS12, TLS13, VERSIONS
from scanner.tlswalk import NEW_GROUPS, NEW_SUITES, OLD_GROUPS, OLD_SUITES, Question, Survey, Visit
from scanner.tlswire import Flight, flight, vector
from scanner.transcript import Exchange, Turn

RANDOM = bytes(range(32))

# --- the tables -----------------------------------------------------------------------------------------------


def test_the_tables_hold_what_is_registered() -> None:
    assert len(SUITES) > 370
    assert {0x11EB, 0x11EC, 0x11ED, 0x6399} <= GROUPS.keys()
    assert SUITES[0xC02F].name == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert (SUITES[0x0003].export, SUITES[0x0003].bits) == (True, 40)
    assert SUITES[0x001D].cipher == "Skipjack-CBC"
    assert SSL2_SUITES[0x010080].name == "SSL_CK_RC4_128_WITH_MD5"
    assert SCHEMES[0x0804].hash == "SHA-256"


def test_no_number_is_one_of_those_that_mean_nothing() -> None:
    grease = {number << 8 | number for number in range(0x0A, 0x100, 0x10)}
    assert not grease & (SUITES.keys() | GROUPS.keys() | SCHEMES.keys())
    assert not {0x00FF, 0x5600, 0x0000} & SUITES.keys()


@pytest.mark.parametrize(
    "table", [SUITES, SSL2_SUITES, GROUPS, SCHEMES], ids=["suites", "ssl2", "groups", "schemes"]
)
def test_every_row_makes_sense(table: dict[int, tlsnames.Suite]) -> None:
    assert len({one.name for one in table.values()}) == len(table)
    assert all(one.first <= one.last and one.first in VERSIONS.values() for one in table.values())


def test_every_suite_is_offered_in_one_way() -> None:
    assert set(OLD_SUITES) | set(NEW_SUITES) == SUITES.keys()
    assert not set(OLD_SUITES) & set(NEW_SUITES)
    assert set(OLD_GROUPS) | set(NEW_GROUPS) == GROUPS.keys()


def euler(bits: int) -> int:
    """That many bits of e, behind the point."""
    term = total = 1 << (bits + 64)
    count = 1
    while term:
        term //= count
        total += term
        count += 1
    return total >> 64


def pi(bits: int) -> int:
    """That many bits of pi, behind the point (Machin)."""
    one = 1 << (bits + 64)

    def arctangent(number: int) -> int:
        power = total = one // number
        odd, sign = 3, -1
        while power:
            power //= number * number
            total += sign * (power // odd)
            odd, sign = odd + 2, -sign
        return total

    return 4 * (4 * arctangent(5) - arctangent(239)) >> 64


@pytest.mark.parametrize(
    ("bits", "offset"), [(2048, 560316), (3072, 2625351), (4096, 5736041), (6144, 15705020), (8192, 10965728)]
)
def test_the_primes_of_rfc_7919_are_the_formula(bits: int, offset: int) -> None:
    prime = (1 << bits) - (1 << bits - 64) + ((euler(bits - 130) + offset) << 64) - 1
    assert tlsnames.prime_name(prime.to_bytes(bits // 8)) == f"ffdhe{bits}"


@pytest.mark.parametrize(
    ("bits", "offset"),
    [
        (768, 149686),
        (1024, 129093),
        (1536, 741804),
        (2048, 124476),
        (3072, 1690314),
        (4096, 240904),
        (8192, 4743158),
    ],
)
def test_the_primes_of_rfc_2409_and_3526_are_the_formula(bits: int, offset: int) -> None:
    prime = (1 << bits) - (1 << bits - 64) - 1 + ((pi(bits - 130) + offset) << 64)
    assert tlsnames.prime_name(b"\0" + prime.to_bytes(bits // 8)) == f"MODP {bits}"


# --- what we say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", list(VERSIONS.values())[1:])
def test_a_hello_is_read_back(number: int) -> None:
    made = Visit("www.example.nl", lambda size: RANDOM[:size]).hello(number, OLD_SUITES[:9])
    ((kind, body),) = flight(made.record).messages
    assert kind == tlswire.CLIENT_HELLO
    assert tlswire.read_client_hello(body) == made
    assert max(made.versions) == number
    assert made.server_name == ("" if number == tlswire.SSL3 else "www.example.nl")
    assert is_hello(made.record)


def test_a_hello_of_ssl2_is_read_back() -> None:
    made = tlswire.ssl2_client_hello(tuple(SSL2_SUITES), RANDOM[:16])
    assert tlswire.read_ssl2_client_hello(made) == tuple(SSL2_SUITES)
    assert is_hello(made)


# --- what comes back ------------------------------------------------------------------------------------------


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2) + vector(data)


def hello(version: int, suite: int, more: bytes = b"", random: bytes = RANDOM) -> bytes:
    return version.to_bytes(2) + random + b"\0" + suite.to_bytes(2) + b"\0" + (vector(more) if more else b"")


def said(*messages: tuple[int, bytes], version: int = TLS12) -> bytes:
    return b"".join(tlswire.record(tlswire.HANDSHAKE, version, tlswire.message(*one)) for one in messages)


def test_a_hello_retry_request_names_suite_and_group_in_clear() -> None:
    more = extension(tlswire.SUPPORTED_VERSIONS, b"\3\4") + extension(tlswire.KEY_SHARE, b"\x11\xec")
    found = tlswire.server_hello(hello(TLS12, 0x1302, more, tlswire.RETRY))
    assert (found.version, found.suite, found.group, found.retry) == (TLS13, 0x1302, 0x11EC, True)


def test_messages_split_over_records_and_records_over_reads() -> None:
    body = hello(TLS12, 0xC02F)
    whole = tlswire.message(tlswire.SERVER_HELLO, body) + tlswire.message(tlswire.SERVER_HELLO_DONE, b"")
    records = b"".join(
        tlswire.record(tlswire.HANDSHAKE, TLS12, whole[at : at + 5]) for at in range(0, len(whole), 5)
    )
    assert [kind for kind, _ in flight(records).messages] == [tlswire.SERVER_HELLO, tlswire.SERVER_HELLO_DONE]
    seen = [len(flight(records[:size]).messages) for size in range(len(records) + 1)]
    assert all(before <= after for before, after in pairwise(seen))
    assert seen[-1] == 2


def test_an_alert_ends_the_flight() -> None:
    found = flight(tlswire.record(tlswire.ALERT, TLS12, b"\2\x28") + b"and whatever comes behind it")
    assert str(found.alert) == "handshake_failure"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request",
        b"\x16\x02\x00\x00\x01\x00",
        b"\x16\x03\x03\x00\x00",
        b"\x16\x03\x03\xff\xff",
        b"\x15\x03\x03\x00\x03\x02\x28\x00",
        tlswire.record(tlswire.HANDSHAKE, TLS12, b"\x0b\xff\xff\xff"),
    ],
)
def test_what_is_no_tls_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        flight(data)


def ske(*parts: bytes) -> bytes:
    return b"".join(parts)


SIGNED = vector(b"signature")


@pytest.mark.parametrize(
    ("suite", "version", "body", "expected"),
    [
        (0xC02F, TLS12, ske(b"\3\0\x1d", vector(b"k" * 32, 1), b"\x08\x04", SIGNED), (0x1D, 0, 0x0804)),
        (0xC013, 0x0301, ske(b"\3\0\x17", vector(b"k" * 65, 1), SIGNED), (0x17, 0, None)),
        (0xC018, TLS12, ske(b"\3\0\x17", vector(b"k" * 65, 1)), (0x17, 0, None)),
        (
            0x0033,
            0x0301,
            ske(vector(b"\x80" + b"p" * 63), vector(b"\2"), vector(b"y"), SIGNED),
            (None, 512, None),
        ),
        (0x0034, TLS12, ske(vector(b"\x80" + b"p" * 127), vector(b"\2"), vector(b"y")), (None, 1024, None)),
        (0x0003, 0x0300, ske(vector(b"\x80" + b"m" * 63), vector(b"\1\0\1"), SIGNED), (None, 512, None)),
        (0xC037, TLS12, ske(vector(b"hint"), b"\3\0\x1e", vector(b"k", 1)), (0x1E, 0, None)),
        (0x008C, TLS12, ske(vector(b"hint")), (None, 0, None)),
    ],
)
def test_key_exchanges_of_every_kind(
    suite: int, version: int, body: bytes, expected: tuple[int | None, int, int | None]
) -> None:
    found = tlswire.key_exchange(body, suite, version)
    assert (found.group, found.bits, found.scheme) == expected
    for size in (*range(len(body)), len(body) + 1):
        with pytest.raises(ValueError):
            tlswire.key_exchange((body + b"x")[:size], suite, version)


def test_certificates_and_what_comes_with_them() -> None:
    old = vector(vector(b"leaf", 3) + vector(b"issuer", 3), 3)
    assert tlswire.certificates(old) == [b"leaf", b"issuer"]
    status = b"\1" + vector(b"ocsp", 3)
    new = b"\0" + vector(
        vector(b"leaf", 3)
        + vector(extension(tlswire.STATUS_REQUEST, status))
        + vector(b"issuer", 3)
        + b"\0\0",
        3,
    )
    found = tlswire.certificates13(new)
    assert (found.chain, found.staple) == ((b"leaf", b"issuer"), b"ocsp")
    assert tlswire.certificate_status(status) == b"ocsp"


def test_which_client_certificates_are_asked_for() -> None:
    names = vector(vector(b"CA"))
    asked = tlswire.certificate_request(vector(b"\1\x40", 1) + vector(b"\4\3") + names, TLS12)
    assert (asked.authorities, asked.schemes) == ((b"CA",), (0x0403,))
    more = extension(13, vector(b"\4\3")) + extension(47, names)
    assert tlswire.certificate_request(b"\0" + vector(more), TLS13) == asked


def test_tickets_say_how_much_early_data() -> None:
    body = (
        (7200).to_bytes(4)
        + bytes(4)
        + vector(b"n", 1)
        + vector(b"ticket")
        + vector(extension(42, b"\0\0\x40\0"))
    )
    assert tlswire.session_ticket(body) == tlswire.Ticket(7200, 0x4000)


def test_a_server_hello_of_ssl2() -> None:
    suites = b"\1\0\x80\2\0\x80"
    body = b"\4\0\1\0\2" + b"\0\4" + b"\0\6" + b"\0\2" + b"cert" + suites + b"id"
    data = (0x8000 | len(body)).to_bytes(2) + body
    assert tlswire.ssl2_server_hello(data) == tlswire.Ssl2ServerHello(b"cert", (0x010080, 0x020080))
    assert tlswire.ssl2_server_hello(data[:-1]) is None
    with pytest.raises(ValueError):
        tlswire.ssl2_server_hello(b"\x15\3\1\0\2\2\x28")


READERS = [
    flight,
    tlswire.server_hello,
    tlswire.read_client_hello,
    tlswire.certificates,
    tlswire.certificates13,
    tlswire.certificate_status,
    tlswire.session_ticket,
    tlswire.encrypted_extensions,
    tlswire.ssl2_server_hello,
    tlswire.read_ssl2_client_hello,
    lambda data: tlswire.certificate_request(data, TLS12),
    lambda data: tlswire.certificate_request(data, TLS13),
    *(
        lambda data, suite=suite: tlswire.key_exchange(data, suite, TLS12)
        for suite in (0xC02F, 0x33, 3, 0x8C, 0xC01D)
    ),
]


@pytest.mark.parametrize("reader", READERS)
@given(data=st.binary(max_size=80))
def test_nonsense_is_a_value_error_and_nothing_else(reader: object, data: bytes) -> None:
    try:
        reader(data)  # type: ignore[operator]
    except ValueError:
        return


def question() -> Question:
    asked = next(next(iter(next(iter(Survey(Visit("a.nl", lambda size: RANDOM[:size]), "chain").stages())))))
    assert isinstance(asked, Question)
    return asked


SENT = question().hello


@given(
    received=st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"\x16\3\3\0" + vector(data, 1))
)
def test_an_answer_to_a_hello_never_raises_but_value_error(received: bytes) -> None:
    answer = read(Exchange("chain", (Turn(SENT, received),), "closed"))
    try:
        assert not (answer.accepted and answer.refused)
        _ = (answer.turned_away, answer.complete, answer.whole, answer.chain, answer.group, answer.staple)
    except ValueError:
        return


# --- keys -----------------------------------------------------------------------------------------------------


def test_the_key_schedule_is_that_of_rfc_8448() -> None:
    """RFC 8448 section 3, simple 1-RTT handshake: the shared secret, and the traffic secret it leads to."""
    shared = bytes.fromhex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d")
    zero, digest = bytes(32), tlskeys._CIPHERS[0x1301][0]
    early = tlskeys._extract(zero, zero, digest)
    assert early.hex() == "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"
    derived = tlskeys._expand(early, "derived", sha256(b"").digest(), 32, digest)
    assert derived.hex() == "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"
    secret = tlskeys._extract(derived, shared, digest)
    assert secret.hex() == "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"


@pytest.mark.parametrize("group", tlskeys.GROUPS[:5])
def test_both_sides_come_to_the_same_secret(group: int) -> None:
    ours, theirs = tlskeys.key_share(group, b"ours"), tlskeys.key_share(group, b"theirs")
    assert tlskeys.shared(group, b"ours", theirs) == tlskeys.shared(group, b"theirs", ours)


@pytest.mark.parametrize("suite", tlskeys.SUITES)
def test_a_record_that_was_touched_does_not_open(suite: int) -> None:
    sealed = tlskeys.Direction(b"s" * 48, suite).seal(tlswire.HANDSHAKE, b"words")
    assert tlskeys.Direction(b"s" * 48, suite).open(sealed) == (tlswire.HANDSHAKE, b"words")
    with pytest.raises(ValueError):
        tlskeys.Direction(b"s" * 48, suite).open(sealed[:-1] + b"\0")


def test_a_flight_is_empty_before_anything_came() -> None:
    assert flight(b"") == Flight((), None, ())
