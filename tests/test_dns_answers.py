"""What an answer of the DNS tells, and what it only seems to tell."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rrset
import pytest

from checks.network.answers import Answer, Answers
from scanner import Exchange, NotUnderstood, Raw, Turn
from scanner.transcript import write

NOTHING = "gemeente.test. 300 IN SOA ns1.gemeente.test. host.gemeente.test. 1 2 3 4 5"
ELSEWHERE = "test. 300 IN NS ns1.test."


def answer(*authority: str, flags: int = dns.flags.RA) -> Answer:
    query = dns.message.make_query("gemeente.test", "CAA")
    reply = dns.message.make_response(query)
    reply.flags |= flags
    for line in authority:
        name, ttl, family, kind, data = line.split(None, 4)
        reply.authority.append(dns.rrset.from_text(name, int(ttl), family, kind, data))
    said = Exchange("gemeente.test CAA", (Turn(query.to_wire(), reply.to_wire()),), "done")
    return Answers(Raw(out=write([said])))("gemeente.test", "CAA")


def test_that_nothing_is_there_is_an_answer() -> None:
    for authority in ((NOTHING,), (), (NOTHING, ELSEWHERE)):
        assert answer(*authority).records == []
    assert answer(ELSEWHERE, flags=dns.flags.AA).records == []


def test_who_else_may_know_is_no_answer() -> None:
    with pytest.raises(NotUnderstood, match="who may know"):
        _ = answer(ELSEWHERE).records
