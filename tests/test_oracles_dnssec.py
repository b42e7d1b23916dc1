"""We see of signed zones what BIND's and Unbound's validators see; each difference is explained in a file."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from checks.network.answers import Answers
from checks.network.dnssec import Validator, chain_questions, read_anchors
from scanner.channels.dns import look_up
from scanner.evaluate import scan_time
from scanner.sources import Lookup
from tests.oracles.dns_peers import delv, unbound_host
from tests.servers.names import BIND, RESOLVER, Names, Signing, Zone

pytestmark = pytest.mark.server

DATA: Final = "@ A 192.0.2.1\nwww A 192.0.2.1\n*.wild A 192.0.2.7\na.b.c A 192.0.2.8\nalias CNAME www\n"
SIGNED: Final[dict[str, Signing | None]] = {
    "nsec": Signing(),
    "nsec3": Signing(salt=""),
    "salted": Signing(salt="aabb", iterations=10),
    "iterations-50": Signing(salt="", iterations=50),
    "opt-out": Signing(salt="", opt_out=True),
    "unsigned": None,
    "no-ds": Signing(ds="none"),
    "wrong-ds": Signing(ds="wrong"),
    "sha1-ds": Signing(ds="sha1"),
    "expired": Signing(since=-40, until=-10),
    "future": Signing(since=2),
    "rsasha1": Signing(algorithm="RSASHA1", bits=2048),
    "rsasha1-nsec3": Signing(algorithm="NSEC3RSASHA1", bits=2048, salt=""),
    "rsasha256": Signing(algorithm="RSASHA256", bits=2048),
    "rsa-1024": Signing(algorithm="RSASHA256", bits=1024),
    "rsasha512": Signing(algorithm="RSASHA512", bits=2048),
    "p384": Signing(algorithm="ECDSAP384SHA384"),
    "ed25519": Signing(algorithm="ED25519"),
    "ed448": Signing(algorithm="ED448"),
    "tampered": Signing(tampered=("192.0.2.1", "192.0.2.2")),
    "without-nsec": Signing(without=r"\sNSEC\s"),
    "without-nsec3": Signing(salt="", without=r"\sNSEC3\s"),
    "without-keys": Signing(without=r"\sDNSKEY\s"),
    "without-signatures": Signing(without=r"\sRRSIG\s+A\s"),
}
#: Names in each zone and the type asked: there, not there, without the type, from a wildcard, in between.
ASKED: Final = (
    ("{zone}", "A"), ("www.{zone}", "A"), ("www.{zone}", "MX"), ("gone.{zone}", "A"), ("x.wild.{zone}", "A"),
    ("x.wild.{zone}", "MX"), ("b.c.{zone}", "A"), ("x.y.b.c.{zone}", "A"),
)  # fmt: skip
DELEGATED: Final = ("signed.nsec.test", "plain.nsec.test", "signed.opt-out.test", "plain.opt-out.test")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    zones = [Zone(f"{name}.test", DATA, signing) for name, signing in SIGNED.items()]
    below = [Zone(name, DATA, None if name.startswith("plain") else Signing()) for name in DELEGATED]
    with Names(tmp_path_factory.mktemp("names"), [*zones, *below]) as running:
        yield running


def ours(names: Names, name: str, kind: str, resolver: str = RESOLVER, port: int = 53) -> str:
    raw = look_up(
        Lookup(questions=(*chain_questions(name), (name, kind)), limit=1 << 18, timeout=60), [resolver], port
    )
    validator = Validator(Answers(raw), read_anchors(names.anchor.read_text()), scan_time(time.time()))
    return str(validator.answer(name, kind).status)


def explained() -> set[tuple[str, ...]]:
    path = Path(__file__).parent / "oracles" / "dns_differences.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert all(row["why"] for row in rows)
    found = {(row["oracle"], row["name"], row["type"], row["ours"], row["theirs"]) for row in rows}
    return {one for one in found if one[0] in ("delv", "unbound-host")}


def test_we_see_what_other_validators_see(names: Names) -> None:
    cases = [
        (pattern.format(zone=zone), kind)
        for zone in (*(f"{name}.test" for name in SIGNED), *DELEGATED)
        for pattern, kind in ASKED
    ]
    cases += [("gone.test", "A"), ("test", "MX"), ("x.gone.test", "A")]
    different = set()
    for name, kind in cases:
        seen = ours(names, name, kind)
        for oracle, ask in (("delv", delv), ("unbound-host", unbound_host)):
            theirs = ask(names, name, kind)
            if theirs != seen:
                different.add((oracle, name, kind, seen, theirs))
    assert len(cases) > 200
    assert different == explained(), "\n".join(",".join(one) for one in sorted(different ^ explained()))


def through(names: Names, name: str, kind: str, port: int, expected: str) -> str:
    """What we see through BIND; asked again a few times when it could not say, as it does while it is busy."""
    for _ in range(5):
        seen = ours(names, name, kind, BIND, port)
        if seen in (expected, "secure", "insecure", "bogus"):
            break
        time.sleep(1)
    return seen


def test_it_does_not_matter_which_resolver_passes_the_answers_on(names: Names) -> None:
    port = names.start_bind()
    cases = [
        (pattern.format(zone=zone), kind)
        for zone in (*(f"{name}.test" for name in SIGNED), *DELEGATED)
        for pattern, kind in ASKED[:5]
    ]
    different = {
        (name, kind, through_unbound, through_bind)
        for name, kind in cases
        if (through_unbound := ours(names, name, kind))
        != (through_bind := through(names, name, kind, port, through_unbound))
    }
    assert different == set()


def test_never_secure_where_another_validator_is_not(names: Names) -> None:
    assert not [one for one in explained() if one[3] == "secure" and one[4] == "bogus"]
