"""Aliases and views from within, through real name servers: each is seen for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from scanner.model import Finding, State
from tests.outside import look, server_at, told
from tests.servers.names import RESOLVER, SECOND, Names, Signing, Zone

pytestmark = pytest.mark.server

CHAIN: Final = "dnssec.chain-valid"
#: What is taken out of a zone that is not signed within, though its parent has a DS.
UNSIGNED: Final = r"\s(RRSIG|NSEC|DNSKEY)\s"
ZONES: Final = (
    Zone(
        "alias.test",
        "www A 192.0.2.1\n*.wild CNAME www\nold DNAME new\nx.new A 192.0.2.1\n"
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
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Finding]]:
    domains = tuple(dict.fromkeys(name for name, _ in SEEN))
    with Names(tmp_path_factory.mktemp("names"), ZONES) as names:
        seen = look(
            server_at(SECOND, domains=domains),
            only={check for _, check in SEEN},
            resolvers=(RESOLVER,),
            dns_anchors=(str(names.anchor),),
        )
        yield [one for findings in seen.values() for one in findings]


@pytest.mark.parametrize(("name", "check"), SEEN)
def test_a_name_is_seen_for_what_it_is(name: str, check: str, found: list[Finding]) -> None:
    ours = [one for one in found if (one.subject, one.check) == (name, check)]
    print(told(ours or found))
    assert [one.status for one in ours] == [SEEN[name, check]]
