"""We say of SPF and DMARC records what checkdmarc says; each difference is explained in a file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from scanner.model import Finding, State
from tests.oracles.dns_peers import checkdmarc
from tests.outside import look, server_at
from tests.servers.names import RESOLVER, SECOND, Names, Zone

pytestmark = pytest.mark.server

REJECT: Final = "v=DMARC1; p=reject; rua=mailto:dmarc@reports.test"
PLAIN: Final = "v=spf1 mx -all"
#: Name -> SPF records, DMARC record, further records.
CASES: Final[dict[str, tuple[tuple[str, ...], str, str]]] = {
    "plain": ((PLAIN,), REJECT, ""),
    "soft": (("v=spf1 mx ~all",), "v=DMARC1; p=quarantine", ""),
    "neutral": (("v=spf1 mx ?all",), "v=DMARC1; p=none", ""),
    "open": (("v=spf1 +all",), "v=DMARC1;p=none;sp=reject;pct=50", ""),
    "endless": (("v=spf1 mx",), "v=DMARC1; p=reject; sp=none", ""),
    "none": ((), "", ""),
    "two": ((PLAIN, "v=spf1 -all"), "v=DMARC1; p=rejct", ""),
    "bad-address": (("v=spf1 ip4:192.0.2.300 -all",), "v=DMARC1; rua=mailto:dmarc@reports.test", ""),
    "bad-term": (("v=spf1 mx foo -all",), "v=DMARC1; p=reject; pct=abc", ""),
    "include": (("v=spf1 include:spf.provider.test -all",), "v=DMARC1; p=reject; adkim=s; aspf=x", ""),
    "include-gone": (("v=spf1 include:gone.provider.test -all",), "v=DMARC1; p=reject; ruf=mailto:f@reports.test", ""),
    "include-nested": (("v=spf1 include:more.provider.test -all",), "v=DMARC1; p=reject; fo=1:d", ""),
    "include-loop": (("v=spf1 include:include-loop.test -all",), "v=DMARC1; p=reject; unknown=1", ""),
    "redirect": (("v=spf1 redirect=spf.provider.test",), "v=DMARC1 p=reject", ""),
    "redirect-gone": (("v=spf1 redirect=gone.provider.test",), "v=DMARC1; p=REJECT", ""),
    "eleven": (("v=spf1 " + "mx " * 11 + "-all",), "v=DMARC1; p=reject; rua=mailto:a@reports.test!10m", ""),
    "ten": (("v=spf1 " + "a:out.provider.test " * 10 + "-all",), "v=DMARC1; p=reject; rua=dmarc@reports.test", ""),
    "voids": (("v=spf1 a:x.elders.test a:y.elders.test a:z.elders.test -all",), "v=DMARC1; p=reject;;", ""),
    "two-voids": (("v=spf1 a:x.elders.test a:y.elders.test -all",), "p=reject; v=DMARC1", ""),
    "ptr": (("v=spf1 ptr -all",), "v=DMARC1; p=reject; p=none", ""),
    "six": (("v=spf1 ip6:2001:db8::/32 ip4:192.0.2.0/24 -all",), "v=DMARC2; p=reject", ""),
    "long-prefix": (("v=spf1 ip4:192.0.2.0/33 -all",), "v=DMARC1; p=reject; ri=86400", ""),
    "exists": (("v=spf1 exists:%{i}.out.provider.test -all",), "v=DMARC1; p=reject; psd=n", ""),
    "capitals": (("V=SPF1 MX -ALL",), "v=DMARC1; p=reject; sp=quarantine", ""),
    "after-all": (("v=spf1 -all mx",), "v=DMARC1; p=reject; np=reject", ""),
    "fault-after-all": (("v=spf1 -all foo",), "v=DMARC1; p=reject; np=none", ""),
    "netmask": (("v=spf1 ip4:192.0.2.0/255.255.255.0 -all",), "v=DMARC1; p=reject; t=y", ""),
    "two-redirects": (("v=spf1" + " redirect=spf.provider.test" * 2,), "v=DMARC1; p=quarantine; t=n", ""),
    "empty-label": (("v=spf1 include:spf..test -all",), "v=DMARC1; p=reject; pct=100", ""),
    "hundreds": (("v=spf1 " + "ip4:192.0.2.1 " * 14 + "-all",), "v = DMARC1; p=reject", ""),
    "other-txt": ((PLAIN, "some-verification=1"), REJECT, "_dmarc TXT \"other=1\"\n"),
}  # fmt: skip
OTHERS: Final = (
    Zone(
        "provider.test",
        'spf TXT "v=spf1 a:out.provider.test ~all"\nout A 192.0.2.26\n'
        'more TXT "v=spf1 include:spf.provider.test -all"\n',
    ),
    Zone("reports.test", '*._report._dmarc TXT "v=DMARC1"'),
    Zone("elders.test"),
)
CHECKS: Final = (
    "spf.present",
    "spf.valid",
    "spf.lookups",
    "spf.void-lookups",
    "spf.policy",
    "dmarc.present",
    "dmarc.policy",
)


def zone(name: str) -> Zone:
    spf, dmarc, more = CASES[name]
    lines = ["@ MX 10 mail", "mail A 192.0.2.25", *(f'@ TXT "{one}"' for one in spf)]
    if dmarc:
        lines.append('_dmarc TXT "{}"'.format(dmarc.replace(";", "\\;")))
    return Zone(f"{name}.test", "\n".join(lines) + f"\n{more}")


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, list[Finding]], dict[str, Any]]]:
    """What we say, and what checkdmarc says."""
    zones = [zone(name) for name in CASES]
    with Names(tmp_path_factory.mktemp("names"), [*zones, *OTHERS]) as names:
        target = server_at(SECOND, domains=tuple(one.name for one in zones))
        ours = look(target, only=CHECKS, resolvers=(RESOLVER,), dns_anchors=(str(names.anchor),))
        yield ours, checkdmarc(*(one.name for one in zones))


def verdict(found: dict[str, list[Finding]], domain: str, *checks: str) -> str:
    states = {one.status for check in checks for one in found[check] if one.subject == domain}
    if State.FAIL in states:
        return "fail"
    return "unknown" if states & {State.ERROR, State.UNKNOWN} else "pass" if State.PASS in states else "fail"


def theirs(found: dict[str, Any]) -> dict[str, str]:
    spf, dmarc = found["spf"], found["dmarc"]
    ends = (spf.get("parsed") or {}).get("all")
    if isinstance(ends, dict):
        ends = ends.get("value", ends.get("action"))
    policy = ((dmarc.get("tags") or {}).get("p") or {}).get("value", "")
    said = {"spf": "pass" if spf["valid"] else "fail", "dmarc": "pass" if dmarc["valid"] else "fail"}
    # Of a record that is not valid it reads no policy.
    if spf["valid"]:
        said["spf-policy"] = "pass" if ends in ("fail", "softfail") else "fail"
    if dmarc["valid"]:
        said["dmarc-policy"] = "pass" if policy in ("quarantine", "reject") else "fail"
    return said


def test_we_say_what_checkdmarc_says(seen: tuple[dict[str, list[Finding]], dict[str, Any]]) -> None:
    found, other = seen
    different = set()
    for name in CASES:
        domain = f"{name}.test"
        ours = {
            "spf": verdict(found, domain, "spf.present", "spf.valid", "spf.lookups", "spf.void-lookups"),
            "spf-policy": verdict(found, domain, "spf.policy"),
            "dmarc": verdict(found, domain, "dmarc.present"),
            "dmarc-policy": verdict(found, domain, "dmarc.policy"),
        }
        for what, said in theirs(other[domain]).items():
            if said != ours[what]:
                different.add(("checkdmarc", domain, what, ours[what], said))
    path = Path(__file__).parent / "oracles" / "dns_differences.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    explained = {
        (row["oracle"], row["name"], row["type"], row["ours"], row["theirs"])
        for row in rows
        if row["oracle"] == "checkdmarc"
    }
    assert all(row["why"] for row in rows)
    assert len(CASES) >= 20
    assert different == explained, "\n".join(",".join(one) for one in sorted(different ^ explained))


def test_we_count_what_checkdmarc_counts(seen: tuple[dict[str, list[Finding]], dict[str, Any]]) -> None:
    found, other = seen
    counted = {
        one.subject: one.observed for one in found["spf.lookups"] if one.status in (State.PASS, State.FAIL)
    }
    both = {
        domain: (observed, f"{other[domain]['spf']['dns_lookups']} lookups")
        for domain, observed in counted.items()
        if other[domain]["spf"].get("valid")
    }
    assert len(both) >= 10
    assert {domain: pair for domain, pair in both.items() if pair[0] != pair[1]} == {}
