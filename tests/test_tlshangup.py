"""A server that refuses without a word is understood, and a network that loses connections is never taken for one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, Final, TypeAlias

import pytest

from checks.network.example_tls import Server, walked
from checks.network.ports import TlsPort
from checks.network.tls_endpoint import Part, TlsOffer, tls_offer
from scanner import Blind, tlsanswer, tlshangup
from scanner.model import Raw
from scanner.tlswalk import Question, Visit
from scanner.transcript import End, Exchange, Turn, write

NAME: Final = "www.example.nl"
CBC: Final = ("TLS_RSA_WITH_AES_128_CBC_SHA",)
OLD: Final = ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", *CBC)
NEW: Final = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
ENDS: Final[tuple[End, ...]] = ("reset", "closed")
SUITES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "new": {"TLSv1.3": NEW, "TLSv1.2": OLD[:2]},
    "old": {"TLSv1.2": OLD},
    "weak": {"TLSv1.3": NEW, "TLSv1.2": OLD, "TLSv1.1": CBC, "TLSv1": CBC, "SSLv3": CBC},
}
#: Servers that refuse without a word: one as it should be, an old one, and one that accepts much.
SERVERS: Final = {
    f"{name}, {end}": Server(
        suites, schemes=("rsa_pkcs1_sha256", "rsa_pss_rsae_sha256"), chain=(b"leaf",), hangs_up=end
    )
    for name, suites in SUITES.items()
    for end in ENDS
}

Lost: TypeAlias = Callable[[int, Question], bool]
"""Whether the so manieth connection is lost, on which this is asked."""


def _walked(name: str, lost: Lost) -> list[Exchange]:
    """What the prober writes down of a server behind a network that loses connections."""
    numbers = count()

    def answer(asked: Question) -> Exchange:
        gone = Exchange(asked.ask, (Turn(asked.hello, b""),), SERVERS[name].hangs_up or "reset")
        return gone if lost(next(numbers), asked) else SERVERS[name].exchange(asked)

    return walked(answer)


def _offer(seen: list[Exchange]) -> TlsOffer:
    return tls_offer(Raw(out=write(seen)), TlsPort(443, NAME))


def _parts(offer: TlsOffer) -> dict[tuple[str, str], Part[Any]]:
    """All that a refusal decides."""
    families = {
        "version": offer.version, "suites": offer.suites, "groups": offer.groups, "schemes": offer.schemes,
    }  # fmt: skip
    return {(what, name): part for what, parts in families.items() for name, part in parts.items()}


def _wrong(name: str, lost: Lost) -> list[tuple[str, str]]:
    """What is said to be established and is not so."""
    truth = _parts(_offer(_walked(name, lambda number, asked: False)))
    try:
        found = _parts(_offer(_walked(name, lost)))
    except Blind:
        return []
    return [
        key
        for key, part in found.items()
        if part.established
        and (
            part.seen != truth[key].whole if key[0] == "version" else set(part.seen) != set(truth[key].whole)
        )
    ]


def _long_hello() -> bytes:
    """One that is accepted, longer than what is refused."""
    visit = Visit(NAME)
    return visit.hello(0x0303, tuple(range(0xC000, 0xC040)), schemes=(0x0403,), groups=(29,)).record


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_refuses_without_a_word_is_understood(name: str) -> None:
    seen = _walked(name, lambda number, asked: False)
    offer = _offer(seen)
    expected = [version for version in offer.version if version in SERVERS[name].suites]
    assert list(offer.accepted.whole) == expected
    for version, suites in SERVERS[name].suites.items():
        assert tuple(suite.name for suite in offer.order[version].whole) == tuple(suites)
    assert all(part.established for part in _parts(offer).values())
    hellos = {
        one.asked
        for one in tlsanswer.read_all(seen)
        if one.exchange.end in tlshangup.ENDED and not one.received
    }
    again = sum(one.end in tlshangup.ENDED and not one.received for one in seen) - len(hellos)
    controls = sum(one.ask == tlshangup.CONTROL for one in seen)
    assert (
        again + controls <= len(hellos) * 4 + 11
    )  # what it costs, and only such servers; SSL 2 is asked twice


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("rate", [0.03, 0.1, 0.2, 0.5])
def test_connections_lost_at_random_are_no_refusals(name: str, rate: float) -> None:
    dice = Random(20)
    assert not any(_wrong(name, lambda number, asked: dice.random() < rate) for _ in range(6))


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("servers", [2, 3, 4, 5])
def test_a_dead_server_behind_a_balancer_is_no_refusal(name: str, servers: int) -> None:
    for turn in range(servers):
        assert not _wrong(name, lambda number, asked, turn=turn: number % servers == turn)  # type: ignore[misc]


def test_a_network_that_is_down_for_a_while_is_no_refusal() -> None:
    for began in range(5, 60, 5):
        for gone in (3, 10, 30):
            assert not _wrong(
                "weak, reset",
                lambda number, asked, began=began, gone=gone: began <= number < began + gone,  # type: ignore[misc]
            )


@pytest.mark.parametrize("size", [150, 300, 450, 550, 650])
def test_a_server_that_chokes_on_a_long_hello_has_not_refused_what_is_in_it(size: int) -> None:
    assert not _wrong("weak, closed", lambda number, asked: len(asked.hello) > size)


def test_one_reset_of_a_control_makes_all_of_them_losses() -> None:
    seen = _walked("new, reset", lambda number, asked: False)
    answers = tlsanswer.read_all(seen)
    assert tlshangup.refusals(answers)
    last = max(at for at, one in enumerate(seen) if one.ask == tlshangup.CONTROL)
    seen[last] = Exchange(tlshangup.CONTROL, (Turn(seen[last].turns[0].sent, b""),), "reset")
    assert not tlshangup.refusals(tlsanswer.read_all(seen))


def test_a_server_that_has_words_for_a_refusal_does_not_hang_up() -> None:
    polite = Server({"TLSv1.2": OLD}, chain=(b"leaf",))
    asked = Question("suites TLSv1", Visit(NAME).hello(0x0301, (0x2F,)).record)
    lost = Exchange(asked.ask, (Turn(asked.hello, b""),), "reset")
    walked = [polite.exchange(Question("chain", _long_hello())), lost]
    assert tlshangup.doubtful(tlsanswer.read_all(walked))
    refused = polite.exchange(Question("suites TLSv1.1", Visit(NAME).hello(0x0302, (0x2F,)).record))
    assert not tlshangup.doubtful(tlsanswer.read_all([*walked, refused]))
