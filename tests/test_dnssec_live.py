"""Aliases and views from within, through real name servers: each is seen for what it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import dns.message
import dns.name
import pytest

from checks.network.answers import Answers
from checks.network.dnssec import Status, Validator, chain_questions, read_anchors
from scanner import Exchange, Raw, Turn, exchanges
from scanner.channels.dns import look_up
from scanner.evaluate import scan_time
from scanner.model import Finding, State
from scanner.sources import Lookup
from scanner.transcript import write
from tests.outside import look, server_at, told
from tests.servers.names import RESOLVER, SECOND, Names, Signing, Zone

pytestmark = pytest.mark.server

CHAIN: Final = "dnssec.chain-valid"
#: What is taken out of a zone that is not signed within, though its parent has a DS.
UNSIGNED: Final = r"\s(RRSIG|NSEC|DNSKEY)\s"
ZONES: Final = (
    Zone(
        "alias.test",
        "www A 192.0.2.1\n*.wild CNAME www\nb.wild A 192.0.2.2\nold DNAME new\nx.new A 192.0.2.1\n"
        "saas CNAME app.saas.test.\napex CNAME saas.test.\n",
    ),
    Zone("saas.test", "app A 192.0.2.1\n@ A 192.0.2.1\n", None),
    Zone("not.delegated.alias.test"),
    Zone("inside.test", "www A 192.0.2.1\n", Signing(without=UNSIGNED)),
    Zone("hashed.test", "www A 192.0.2.1\n*.wild CNAME www\n", Signing(salt="")),
)
#: What is looked at -> what becomes of it.
SEEN: Final = {
    ("a.wild.alias.test", CHAIN): State.PASS,
    ("a.wild.hashed.test", CHAIN): State.PASS,
    **{
        (f"{name}.alias.test", check): State.PASS
        for name in ("saas", "apex", "x.old")
        for check in (
            CHAIN,
            "dnssec.signed",
            "dnssec.signatures-fresh",
            "dnssec.ds-digest",
            "dnssec.algorithm",
        )
    },
    ("not.delegated.alias.test", CHAIN): State.UNKNOWN,
    ("not.delegated.alias.test", "dnssec.signed"): State.UNKNOWN,
    ("inside.test", CHAIN): State.UNKNOWN,
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    with Names(tmp_path_factory.mktemp("names"), ZONES) as running:
        yield running


@pytest.fixture(scope="module")
def found(names: Names) -> list[Finding]:
    seen = look(
        server_at(SECOND, domains=tuple(dict.fromkeys(name for name, _ in SEEN))),
        only={check for _, check in SEEN},
        resolvers=(RESOLVER,),
        dns_anchors=(str(names.anchor),),
    )
    return [one for findings in seen.values() for one in findings]


def test_a_wildcard_does_not_reach_past_a_name_that_is_there(names: Names) -> None:
    """What a wildcard gave for one name, told of another, beside a true denial of that other name."""
    name, other = "a.b.wild.alias.test", "a.wild.alias.test"
    asked = ((name, "CNAME"), (other, "CNAME"), *chain_questions("alias.test"))
    denied, given, *chain = exchanges(look_up(Lookup(questions=asked, limit=1 << 18), [RESOLVER]))

    def status(one: Exchange) -> Status:
        validator = Validator(
            Answers(Raw(out=write([one, *chain]))),
            read_anchors(names.anchor.read_text()),
            scan_time(time.time()),
        )
        return validator.answer(one.ask.split()[0], "CNAME", under="alias.test").status

    assert (status(given), status(denied)) == (Status.SECURE, Status.SECURE)
    message, wild = dns.message.from_wire(denied.received), dns.message.from_wire(given.received)
    for rrset in wild.answer:
        if rrset.name == dns.name.from_text(other):
            message.answer.append(rrset)
            rrset.name = dns.name.from_text(name)
    assert status(Exchange(denied.ask, (Turn(b"", message.to_wire()),), "done")) is Status.BOGUS


@pytest.mark.parametrize(("name", "check"), SEEN)
def test_a_name_is_seen_for_what_it_is(name: str, check: str, found: list[Finding]) -> None:
    ours = [one for one in found if (one.subject, one.check) == (name, check)]
    print(told(ours or found))
    assert [one.status for one in ours] == [SEEN[name, check]]
