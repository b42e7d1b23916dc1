"""The chain of DNSSEC, on what real name servers answered: nothing that is missing or changed makes it better."""

from __future__ import annotations

import random
from datetime import timedelta

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from checks.network import example_chains as recorded
from checks.network.answers import Answers
from checks.network.dns_signing import signing_questions
from checks.network.dnssec import Outcome, Status, Validator, chain_questions, read_anchors
from scanner import Exchange, NotUnderstood, Raw, ScanTime, Turn, exchanges
from scanner.evaluate import scan_time
from scanner.transcript import write

NOW = scan_time(recorded.TAKEN.timestamp())
NAME = "good.test"


def chain(
    answers: list[Exchange], anchors: str = recorded.ANCHOR, now: ScanTime = NOW, name: str = NAME
) -> Outcome:
    return Validator(Answers(Raw(out=write(answers))), read_anchors(anchors), now).chain(name)


def good(name: str = NAME) -> list[Exchange]:
    return exchanges(Raw(out=recorded.recorded(f"chain {name}").encode()))


def changed(one: Exchange, wire: bytes) -> Exchange:
    return Exchange(one.ask, (Turn(one.sent, wire),), one.end, one.to)


def without(one: Exchange, *kinds: str) -> Exchange:
    message = dns.message.from_wire(one.received)
    dropped = {dns.rdatatype.from_text(kind) for kind in kinds}
    for section in (message.answer, message.authority):
        section[:] = [rrset for rrset in section if rrset.rdtype not in dropped]
    return changed(one, message.to_wire())


def test_the_recorded_chain_is_secure() -> None:
    outcome = chain(good())
    assert (outcome.status, str(outcome.zone)) == (Status.SECURE, "good.test.")


def test_another_root_than_the_trusted_one_establishes_nothing() -> None:
    outcome = chain(good(), anchors="")
    assert outcome.status is Status.UNESTABLISHED
    assert "no DNSKEY of the root is the one of a trust anchor" in outcome.why


def test_an_anchor_of_ones_own_below_the_root_is_where_the_chain_begins() -> None:
    keys = next(one for one in good() if one.ask == "test DNSKEY")
    message = dns.message.from_wire(keys.received)
    (rrset,) = [one for one in message.answer if one.rdtype == dns.rdatatype.DNSKEY]
    outcome = chain(good()[2:], anchors=rrset.to_text())
    assert outcome.status is Status.SECURE


def test_a_resolver_that_passes_no_signatures_on_establishes_nothing() -> None:
    outcome = chain([without(one, "RRSIG", "NSEC", "NSEC3") for one in good()])
    assert outcome.status is Status.UNESTABLISHED
    assert "does not speak DNSSEC" in outcome.why


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (ask, kind)
        for ask in ("test DNSKEY", "test DS", "good.test DNSKEY", "good.test DS")
        for kind in ("RRSIG", ask.split()[1])
    ],
)
def test_one_answer_without_its_proof_is_never_secure(ask: str, kind: str) -> None:
    outcome = chain([without(one, kind) if one.ask == ask else one for one in good()])
    assert outcome.status is Status.BOGUS


@pytest.mark.parametrize("days", [-3, 40])
def test_at_another_time_the_signatures_do_not_hold(days: int) -> None:
    now = scan_time((recorded.TAKEN + timedelta(days=days)).timestamp())
    assert chain(good(), now=now).status is Status.UNESTABLISHED  # the root's do not either
    message = dns.message.from_wire(next(one for one in good() if one.ask == "good.test DNSKEY").received)
    (key,) = [one for one in message.answer if one.rdtype == dns.rdatatype.DNSKEY]
    assert chain(good(), anchors=key.to_text(), now=now).status is Status.BOGUS


def test_the_proof_of_an_unsigned_zone_must_be_signed_itself() -> None:
    answers = good("unsigned.test")
    assert chain(answers, name="unsigned.test").status is Status.INSECURE
    for dropped in ("NSEC", "RRSIG"):
        bare = [without(one, dropped) if one.ask == "unsigned.test DS" else one for one in answers]
        assert chain(bare, name="unsigned.test").status is Status.BOGUS


def test_a_denial_of_another_name_proves_nothing() -> None:
    denial = next(one for one in good("unsigned.test") if one.ask == "unsigned.test DS")
    message = dns.message.from_wire(denial.received)
    asked = dns.message.from_wire(next(one for one in good() if one.ask == "good.test DS").received)
    message.question = asked.question
    moved = Exchange("good.test DS", (Turn(b"", message.to_wire()),), "done")
    outcome = chain([moved if one.ask == "good.test DS" else one for one in good()])
    assert outcome.status is Status.BOGUS


def test_a_server_that_has_the_child_only_tells_nothing_of_its_ds() -> None:
    answers = good()
    asked = next(one for one in answers if one.ask == "good.test DS")
    message = dns.message.from_wire(asked.received)
    message.answer = []
    message.authority = [
        dns.rrset.from_text("good.test.", 60, "IN", "SOA", "ns1.good.test. host.good.test. 1 2 3 4 5")
    ]
    own = changed(asked, message.to_wire())
    outcome = chain([own if one is asked else one for one in answers])
    assert outcome.status is Status.UNESTABLISHED
    assert "a view of its own" in outcome.why


def test_no_byte_can_be_changed_for_another_key() -> None:
    answers, dice = good(), random.Random(4035)
    keys = chain(answers).keys
    for at, one in enumerate(answers):
        for place in range(0, len(one.received), 11):
            wire = bytearray(one.received)
            wire[place] ^= 1 << dice.randrange(8)
            try:
                outcome = chain([*answers[:at], changed(one, bytes(wire)), *answers[at + 1 :]])
            except NotUnderstood:
                continue
            if outcome.status is Status.SECURE:
                # A time to live, a flag, or a record that nothing rests on.
                assert outcome.keys == keys


def test_what_was_not_asked_is_not_known() -> None:
    with pytest.raises(NotUnderstood, match=r"good\.test DNSKEY was not asked"):
        chain([one for one in good() if one.ask != "good.test DNSKEY"])


def test_every_label_is_asked_from_the_root_down() -> None:
    assert chain_questions("a.b.nl") == (
        (".", "DNSKEY"), ("nl", "DS"), ("nl", "DNSKEY"), ("b.nl", "DS"), ("b.nl", "DNSKEY"), ("a.b.nl", "DS"),
        ("a.b.nl", "DNSKEY"),
    )  # fmt: skip
    assert [f"{name} {kind}" for name, kind in signing_questions(NAME)] == [one.ask for one in good()]


def test_anchors_that_are_none_are_refused() -> None:
    for text in (". IN A 192.0.2.1", "\0garbage", ". IN DS 1 2"):
        with pytest.raises((NotUnderstood, ValueError)):
            read_anchors(text)


def test_an_answer_to_another_question_is_not_understood() -> None:
    answers = good()
    with pytest.raises(NotUnderstood, match="to another question"):
        Answers(Raw(out=write([changed(answers[0], answers[1].received)])))
    with pytest.raises(NotUnderstood):
        Answers(Raw(out=write([changed(answers[0], b"\0garbage")])))
