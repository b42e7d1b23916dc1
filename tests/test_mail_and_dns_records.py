"""Records that somebody else wrote: read as the RFCs say, and never at the cost of our time."""

from __future__ import annotations

import time

import pytest

from checks.network import spf
from checks.network.answers import Answers, askable
from checks.network.dns import record_questions
from checks.network.example_answers import Said
from checks.network.mail_records import DMARC, MTA_STS, organisational, tags, versioned
from checks.network.mail_sender import _dkim_key, _read_dmarc
from scanner import NotUnderstood, Raw


def answers(*records: str, asked: tuple[tuple[str, str], ...]) -> Answers:
    return Answers(Raw(out=str(Said(asked, *records)).encode()))


@pytest.mark.parametrize(
    ("term", "fault"),
    [
        ("a", ""), ("a:gemeente.test/24//64", ""), ("a/24", ""), ("mx//128", ""), ("ip4:192.0.2.1", ""),
        ("ip6:2001:db8::1", ""), ("exists:%{ir}.%{v}._spf.%{d2}", ""), ("include:_spf.gemeente.test", ""),
        ("redirect=gemeente.test", ""), ("unknown=anything", ""), ("ptr:gemeente.test", ""), ("-all", ""),
        ("a/33", "too long"), ("mx//129", "too long"), ("ip4:2001:db8::1", "no ip4"), ("ip6:192.0.2.1", "no ip6"),
        ("ip4=192.0.2.1", ""), ("include", "no domain"), ("include:", "no domain"), ("all:x", "takes nothing"),
        ("+redirect=x", "no qualifier"), ("redirect=", "no domain"), ("foo", "no mechanism"), ("%", "no term"),
        ("exists:%{x", "no domain"), ("a:", "no domain"), ("include:localhost", "no domain"),
        ("a:192.0.2.1", "no domain"),
        ("include:gemeente.test.", ""), ("exists:%{h}", ""), ("ip4:192.0.2.0/255.255.255.0", "no ip4"),
        ("ip4:192.0.2.0/08", "no ip4"), ("a/08", "prefix length"), ("ptr:gemeente.test/24", "no domain"), ("ptr", ""),
        ("exists:%{q}.test", "no domain"), ("a:x..test", "no domain name"), (f"a:{'x' * 64}.test", "no domain name"),
        ("a:gemeente.123", "no domain"), ("a:gemeente.x-1", ""), ("a:gemeente.x-", "no domain"),
    ],
)  # fmt: skip
def test_a_term_of_spf(term: str, fault: str) -> None:
    (one,) = spf.terms(f"v=spf1 {term}")
    assert (fault in one.fault) if fault else not one.fault


def test_spf_is_followed_counted_and_never_round() -> None:
    world = (
        'a.test. IN TXT "v=spf1 include:b.test a:gone.test mx redirect=c.test"',
        'b.test. IN TXT "v=spf1 ptr a -all"',
        'c.test. IN TXT "v=spf1 include:a.test ?all"',
        "a.test. IN MX 10 mail.a.test.",
    )
    asked = (
        ("a.test", "TXT"), ("b.test", "TXT"), ("c.test", "TXT"), ("gone.test", "A"), ("gone.test", "AAAA"),
        ("a.test", "MX"), ("b.test", "A"), ("b.test", "AAAA"),
    )  # fmt: skip
    walk = spf.follow("a.test", answers(*world, asked=asked))
    assert (walk.lookups, walk.all_, walk.missing) == (7, "?", [])
    assert walk.voids == ["b.test A", "gone.test A"]
    assert walk.ptr == ["b.test: ptr"]
    assert walk.faults == ["include:a.test: goes round"]
    assert spf.unasked("a.test", answers(*world, asked=asked[:1])) == (
        ("b.test", "TXT"), ("gone.test", "A"), ("gone.test", "AAAA"), ("a.test", "MX"), ("c.test", "TXT"),
    )  # fmt: skip


def test_a_flood_of_spf_is_not_followed_to_its_end() -> None:
    record = " ".join(
        f'"{" ".join(f"include:b.test a:h{n}.test" for n in range(at, at + 8))} "' for at in range(0, 120, 8)
    )
    flood = answers(
        f'a.test. IN TXT "v=spf1 " {record}',
        f'b.test. IN TXT "v=spf1 " {record.replace("b.test", "c.test")}',
        f'c.test. IN TXT "v=spf1 " {record.replace("b.test", "d.test")}',
        asked=(("a.test", "TXT"), ("b.test", "TXT"), ("c.test", "TXT")),
    )
    walk = spf.follow("a.test", flood)
    assert walk.cut_off
    assert walk.lookups < 110
    assert 0 < len(spf.unasked("a.test", flood)) < 210


@pytest.mark.parametrize(
    "name", ["x" * 64 + ".test", "a..test", r"a\999.test", "a." * 60 + "test", ".test", "b%{", "\\"]
)
def test_a_name_that_is_none_asks_nothing(name: str) -> None:
    quoted = name.replace("\\", "\\\\")
    for term in (
        f"include:{quoted}",
        f"a:{quoted}",
        f"mx:{quoted}",
        f"exists:{quoted}",
        f"redirect={quoted}",
    ):
        hostile = answers(f'a.test. IN TXT "v=spf1 {term}"', asked=(("a.test", "TXT"),))
        assert spf.unasked("a.test", hostile) == ()
        walk = spf.follow("a.test", hostile)
        assert walk.faults or walk.missing


def test_what_is_included_again_and_again_costs_no_time() -> None:
    networks = " ".join(
        f'"{" ".join(f"ip4:10.{a}.{b}.{c}" for c in range(14))} "' for a in range(15) for b in range(20)
    )
    includes = " ".join(['"' + "include:b.test " * 14 + '"'] * 7)
    heavy = answers(
        f'a.test. IN TXT "v=spf1 " {includes} "-all"',
        f'b.test. IN TXT "v=spf1 " {networks} "-all"',
        asked=(("a.test", "TXT"), ("b.test", "TXT")),
    )
    began = time.monotonic()
    walk = spf.follow("a.test", heavy)
    assert (walk.lookups, len(walk.networks), walk.open_to) == (98, 4200, [])
    assert time.monotonic() - began < 2


def test_tags_are_read_and_twice_is_once_too_often() -> None:
    assert tags("v=DMARC1 ; P = reject;; ") == {"v": "DMARC1", "p": "reject"}
    for wrong in ("v=1; p", "v=1; v=2", "=1", "a b=1"):
        with pytest.raises(ValueError):
            tags(wrong)
    written = ("v=DMARC1", "v=DMARC12; p=none", "v = DMARC1;p=none", " v=DMARC1; p=none", "v=DMARC1\n", "x")
    assert versioned(written, DMARC) == ("v=DMARC1", "v = DMARC1;p=none")
    assert versioned(("v=STSv1; id=1", "v = STSv1; id=1", " v=STSv1;"), MTA_STS) == ("v=STSv1; id=1",)


def test_a_policy_stands_at_the_domain_or_above_never_at_the_top() -> None:
    assert list(organisational("a.b.gemeente.nl")) == ["a.b.gemeente.nl", "b.gemeente.nl", "gemeente.nl"]
    assert list(organisational("nl")) == ["nl"]


def test_whitespace_without_end_costs_no_time() -> None:
    began = time.monotonic()
    space, dots = " " * 60000, "a." * 30000
    for record in (
        f"v=DMARC1; p=reject;{space}x",
        f"v=DMARC1; p=reject; rua=mailto:x@{dots}!",
        f"v=DMARC1;p={space}",
    ):
        policy = _read_dmarc("a.test", (record,))
        assert policy.outside == ()
    _dkim_key("s", f"v=DKIM1; t={space}:{space}; p={space}")
    versioned((f"v{space}=", space), DMARC)
    list(spf.terms(f"v=spf1 a:{dots}/ {'%{' * 30000} ip4:{dots} {space}"))
    assert time.monotonic() - began < 2


def test_a_name_that_someone_else_wrote_is_asked_only_when_it_is_one() -> None:
    assert askable("mail.gemeente.test")
    for name in ("", "a." * 30 + "test", "x" * 300, r"mail\032server.test"):
        assert not askable(name)
    for name in ("x" * 64 + ".test", "a..test", ".", "é.test"):
        assert not askable(name)


def test_the_record_that_is_asked_is_the_record_that_is_answered() -> None:
    found = answers("gemeente.test. IN A 192.0.2.1", asked=record_questions("gemeente.test"))
    assert found("gemeente.test", "A").texts == ("192.0.2.1",)
    assert found("www.gemeente.test", "A").no_such_name
    with pytest.raises(NotUnderstood, match="was not asked"):
        found("gemeente.test", "TXT")
    assert "gemeente.test A: 192.0.2.1" in repr(found)
