"""Each check of the DNS moves with the real zone: good, then one thing wrong, then good again.

Every check has a domain of its own, and all of them are looked at in one scan: three scans in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from scanner.model import Cause, Finding, State, Target
from tests.outside import look, server_at, told
from tests.servers.names import FIRST, RESOLVER, SECOND, Names, Signing, Zone

pytestmark = pytest.mark.server

GOOD: Final = """
@ A 93.184.215.14
@ AAAA 2606:2800:220:1::1
www A 93.184.215.14
www AAAA 2606:2800:220:1::1
portal CNAME www
@ CAA 0 issue "ca.example"
@ CAA 0 iodef "mailto:security@gemeente.test"
_443._tcp.www TLSA 3 1 1 abababababababababababababababababababababababababababababababab
"""


def servers(*lines: str) -> str:
    return "".join(f"{line}\n" for line in ("@ NS ns1", "@ NS ns2", f"ns1 A {FIRST}", *lines))


@dataclass(frozen=True)
class Flip:
    """What is done to the zone: ``text`` replaced in its records, another ``zone`` field, the ``second`` server's."""

    text: tuple[str, str] = ("", "")
    zone: Mapping[str, object] | None = None
    second: Mapping[str, object] | None = None
    before: Mapping[str, object] | None = None


ADDED: Final = "\n_443._tcp.www"
FLIPS: Final[dict[str, Flip]] = {
    "dnssec.signed": Flip(zone={"signing": None}),
    "dnssec.chain-valid": Flip(zone={"signing": Signing(ds="wrong")}),
    "dnssec.algorithm": Flip(zone={"signing": Signing(algorithm="RSASHA1", bits=2048)}),
    "dnssec.key-size": Flip(
        zone={"signing": Signing(algorithm="RSASHA256", bits=1024)},
        before={"signing": Signing(algorithm="RSASHA256", bits=2048)},
    ),
    "dnssec.nsec3-parameters": Flip(
        zone={"signing": Signing(salt="aabb", iterations=10)}, before={"signing": Signing(salt="")}
    ),
    # Made as for each answer, and the last of a month.
    "dnssec.signatures-fresh": Flip(
        zone={"signing": Signing(since=-29, until=1)}, before={"signing": Signing(until=1)}
    ),
    "dnssec.ds-digest": Flip(zone={"signing": Signing(ds="sha1")}),
    "dns.name-servers-spread": Flip(zone={"servers": servers("ns2 A 127.0.83.9")}),
    "dns.name-servers-resolve": Flip(zone={"servers": servers(f"ns2 A {SECOND}", "@ NS ns3")}),
    "dns.name-servers-ipv6": Flip(zone={"servers": servers(f"ns2 A {SECOND}")}),
    "dns.name-server-authoritative": Flip(
        second={"servers": servers(f"ns2 A {SECOND}", "@ NS ns1.old.test.")}
    ),
    "dns.serial-current": Flip(second={"serial": 4}),
    "dns.soa-timers": Flip(zone={"expire": 7200}),
    "dns.caa-present": Flip(('@ CAA 0 issue "ca.example"', "")),
    "dns.caa-valid": Flip(('"ca.example"', '"https://ca.example/"')),
    "dns.caa-reports": Flip(('@ CAA 0 iodef "mailto:security@gemeente.test"', "")),
    "dns.tlsa-well-formed": Flip((f"TLSA 3 1 1 {'ab' * 32}", f"TYPE52 \\# 23 030101{'ab' * 20}")),
    "dns.no-wildcard": Flip((ADDED, f"\n* A 93.184.215.14{ADDED}")),
    "dns.no-private-addresses": Flip((ADDED, f"\nvpn A 10.1.2.3{ADDED}")),
    "dns.no-dangling-alias": Flip(("portal CNAME www", "portal CNAME gone.test.")),
    "dns.web-ipv6": Flip(("www AAAA 2606:2800:220:1::1", "")),
}


def domain(check: str) -> str:
    return f"{check.replace('.', '-')}.test"


def good(check: str) -> Zone:
    return replace(Zone(domain(check), GOOD, serial=5), **(FLIPS[check].before or {}))  # type: ignore[arg-type]


def bad(check: str) -> Zone:
    flip, zone = FLIPS[check], good(check)
    assert not flip.text[0] or flip.text[0] in zone.records
    return replace(zone, records=zone.records.replace(*flip.text), **(flip.zone or {}))  # type: ignore[arg-type]


def scan(names: Names, target: Target) -> dict[str, list[Finding]]:
    return look(target, only=FLIPS, resolvers=(RESOLVER,), dns_anchors=(str(names.anchor),))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, list[Finding]]]]:
    """What is seen before, when all is wrong, and afterwards."""
    target = server_at(SECOND, domains=tuple(domain(check) for check in FLIPS))
    with Names(tmp_path_factory.mktemp("names"), [good(check) for check in FLIPS]) as names:
        found = [scan(names, target)]
        second = {
            domain(check): replace(good(check), **flip.second)  # type: ignore[arg-type]
            for check, flip in FLIPS.items()
            if flip.second
        }
        names.change(*(bad(check) for check in FLIPS), second=second)
        found.append(scan(names, target))
        names.change(*(good(check) for check in FLIPS))
        found.append(scan(names, target))
        yield found


@pytest.mark.parametrize("check", FLIPS)
def test_the_verdict_follows_the_zone(check: str, scans: list[dict[str, list[Finding]]]) -> None:
    seen = [[one for one in found[check] if domain(check) in one.subject] for found in scans]
    assert [[one.status for one in some] for some in seen] == [[State.PASS], [State.FAIL], [State.PASS]], (
        "\n".join(map(told, seen))
    )


def test_what_is_wrong_with_one_domain_is_told_of_no_other(scans: list[dict[str, list[Finding]]]) -> None:
    wrong = {
        (one.check, one.subject)
        for findings in scans[1].values()
        for one in findings
        if one.status is State.FAIL and domain(one.check) not in one.subject
    }
    # A zone that is not validated, or signed with something else, is so for every check that looks at that.
    assert wrong <= {
        ("dnssec.ds-digest", domain("dnssec.chain-valid")),
        ("dns.name-servers-ipv6", domain("dns.name-servers-spread")),
        ("dns.name-servers-ipv6", domain("dns.name-servers-resolve")),
        ("dns.web-ipv6", domain("dns.no-wildcard")),
    }


def test_a_domain_that_the_resolver_does_not_know_is_not_settled(
    scans: list[dict[str, list[Finding]]],
) -> None:
    found = look(server_at(SECOND, domains=("unheard-of.test",)), only=FLIPS, resolvers=(RESOLVER,))
    seen = {(one.check, one.status) for findings in found.values() for one in findings}
    assert seen == {(check, State.UNKNOWN) for check in FLIPS}
    assert all("inventory: resolvers" in one.observed for findings in found.values() for one in findings)


def test_without_domains_and_without_a_resolver(tmp_path: Path) -> None:
    (one,) = look(server_at(SECOND), only=["dnssec.signed"])["dnssec.signed"]
    assert one.status is State.NOTAPPLICABLE
    found = look(
        server_at(SECOND, domains=("gemeente.test",)), only=["dnssec.signed"], resolvers=("127.0.83.99",)
    )
    (one,) = found["dnssec.signed"]
    assert (one.status, one.cause) == (State.ERROR, Cause.REFUSED)
