"""Whether the addresses of a domain are covered by validated route origins (RPKI)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Any, Final

from checks.network.dns import DomainRecords, NameServers, record_questions
from checks.network.example_answers import Said
from checks.network.mail_domain import ExchangerRecords
from checks.network.mail_records import mail_questions
from scanner import (
    FAIL_SECURE,
    SECURE_DEPLOYMENT,
    Absent,
    Each,
    Layer,
    NotUnderstood,
    Raw,
    RouteOrigins,
    ScanTime,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)


@fact
class PublicAddresses:
    """The public addresses of the web sites, mail servers and name servers of a target's domains."""

    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.addresses)} addresses"


@fact
class Origins:
    """Which networks may announce them: address -> numbers of autonomous systems, none when nobody says so."""

    made: datetime
    addresses: tuple[tuple[str, tuple[int, ...]], ...]

    def __str__(self) -> str:
        return ", ".join(address for address, _ in self.addresses)


@probe("outside")
def public_addresses(
    domains: list[DomainRecords], servers: list[NameServers], mail: list[ExchangerRecords]
) -> list[PublicAddresses]:
    """All of them, once."""
    web = (
        address
        for one in domains
        for name in (one.domain, f"www.{one.domain}")
        for address in one.addresses(name)
    )
    naming = (address for one in servers for each in one.servers for address in (*each.ipv4, *each.ipv6))
    mailing = (
        address for one in mail for kind in ("A", "AAAA") for address in one.answers(one.host, kind).texts
    )
    found = {address for some in (web, naming, mailing) for address in some if ip_address(address).is_global}
    if not found:
        raise Absent("the domains have no public addresses")
    return [PublicAddresses(tuple(sorted(found)))]


@probe("outside", reply=Each(PublicAddresses, lambda public: RouteOrigins(public.addresses)))
def origins(reply: Raw, public: PublicAddresses) -> Origins:
    """Who may announce each address; AS 0 says that nobody may (RFC 6483 section 4)."""
    seen = json.loads(reply.text)
    if not seen["total"]:
        raise NotUnderstood("the export of route origins is empty")
    numbers: dict[str, set[int]] = {address: set() for address in public.addresses}
    for address, _, _, number in seen["covering"]:
        numbers[address].add(number)
    return Origins(
        datetime.fromtimestamp(seen["generated"], tz=UTC),
        tuple((address, tuple(sorted(found))) for address, found in numbers.items()),
    )


@check(
    "routing.origin-authorised",
    principle=(FAIL_SECURE, SECURE_DEPLOYMENT),
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Voor elk openbaar adres is vastgelegd welk netwerk het mag aankondigen (RPKI)",
    why_nl=(
        "Zonder ROA kan een ander netwerk het verkeer naar website, mail en naamservers naar zich toe trekken, en"
        " niemand weigert dat."
    ),
    fix="whois -h whois.ripe.net ADDRESS    # who holds it; that one makes a ROA at https://my.ripe.net",
    verify="routinator vrps --format json | jq '.roas[] | select(.prefix == \"PREFIX\")'",
    references=("RFC 6811", "Forum Standaardisatie, pas toe of leg uit: RPKI", "Internet.nl, test RPKI"),
    advice="Whether the route that is announced agrees with it, only a view of the routes can tell.",
    advice_nl="Of de aangekondigde route ermee klopt, is alleen te zien met zicht op de routes zelf.",
)
def origin_authorised(
    found: Origins, now: ScanTime, *, days: Annotated[float, "greatest age of the export"] = 7
) -> Verdict:
    """For each public address it is laid down which network may announce it (RPKI).

    Without a ROA another network can draw the traffic to web site, mail and name servers to itself, and nobody refuses
    that. Judged is the inventory's export of a validator (`route_origins`), against the addresses that the DNS gives.
    """
    if found.made < now - timedelta(days=days):
        raise NotUnderstood(f"the export of route origins is of {found.made:%Y-%m-%d}")
    without = [address for address, numbers in found.addresses if not set(numbers) - {0}]
    shown = ", ".join(f"{address} AS{'/'.join(map(str, numbers))}" for address, numbers in found.addresses)
    return holds(not without, f"without: {', '.join(without)}" if without else shown, "a ROA for each")


_SOA: Final = "gemeente.test. IN SOA ns1.gemeente.test. hostmaster.gemeente.test. 7 7200 3600 1209600 3600"


def _world(
    covering: list[list[Any]], made: float = 1795435200, address: str = "93.184.215.14"
) -> dict[str, Any]:
    web = (_SOA, "gemeente.test. IN NS ns1.gemeente.test.", f"gemeente.test. IN A {address}")
    return {
        "domain_records.reply": Said(record_questions("gemeente.test"), *web),
        "name_servers.reply": Said((("ns1.gemeente.test", "A"), ("ns1.gemeente.test", "AAAA")), *web),
        "mail_records.reply": Said(mail_questions("gemeente.test"), *web),
        "anchors": "",
        "origins.reply": json.dumps({"generated": made, "total": 9, "covering": covering}),
        "target": {"domains": ("gemeente.test",)},
    }


examples(
    origin_authorised,
    passes=_world([["93.184.215.14", "93.184.215.0/24", 24, 64496]]),
    fails=[_world([]), _world([["93.184.215.14", "93.184.215.0/24", 24, 0]])],
    notapplicable=[_world([], address="10.0.0.1"), {"target": {}, "anchors": ""}],
    unknown=_world([], made=1700000000),
)
