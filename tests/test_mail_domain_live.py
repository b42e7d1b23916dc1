"""Each check of mail moves with the real zone, policy host or mail server: good, then one thing wrong, then good again.

Every check has a domain of its own, and all of them are looked at in one scan: three scans in all.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scanner.model import Finding, State
from tests.outside import look, server_at, told
from tests.servers.authority import DV, Authority
from tests.servers.mail_host import MAIL_HOST, POLICY_HOST, policies, postfix
from tests.servers.names import RESOLVER, Names, Zone

pytestmark = pytest.mark.server

POLICY: Final = "version: STSv1\nmode: enforce\nmx: *.DOMAIN\nmax_age: 2592000\n"
SPF: Final = "v=spf1 mx include:spf.provider.test -all"
GOOD: Final = f"""
@ MX 10 mail
mail A {MAIL_HOST}
mail AAAA 2001:db8::25
_25._tcp.mail TLSA 3 1 1 {"ab" * 32}
_25._tcp.mail TLSA 3 1 1 {"cd" * 32}
@ TXT "{SPF}"
selector1._domainkey TXT KEY
_dmarc TXT "v=DMARC1; p=reject; rua=mailto:dmarc@reports.test"
_mta-sts TXT "v=STSv1; id=1"
mta-sts A {POLICY_HOST}
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"
"""
PARKED: Final = """
@ MX 0 .
@ TXT "v=spf1 -all"
_dmarc TXT "v=DMARC1; p=reject; rua=mailto:dmarc@reports.test"
"""
OTHERS: Final = (
    Zone("provider.test", 'spf TXT "v=spf1 a:out.provider.test -all"\nout A 192.0.2.26'),
    Zone("reports.test", '*._report._dmarc TXT "v=DMARC1"'),
    Zone("elders.test"),
)
REVERSE: Final = "0.127.in-addr.arpa"


@cache
def key(bits: int) -> str:
    """A DKIM record of a key that was just made, as strings of a zone file."""
    made = rsa.generate_private_key(65537, bits).public_key()
    der = made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


@dataclass(frozen=True)
class Flip:
    """What is done: ``text`` replaced in the records, other ``zone`` fields, or another ``policy``."""

    text: tuple[str, str] = ("", "")
    zone: Mapping[str, object] | None = None
    policy: tuple[str, str] = ("", "")
    good: str = GOOD


FLIPS: Final[dict[str, Flip]] = {
    "spf.present": Flip((f'@ TXT "{SPF}"', f'@ TXT "{SPF}"\n@ TXT "v=spf1 -all"')),
    "spf.valid": Flip(("spf.provider.test", "gone.provider.test")),
    "spf.lookups": Flip((SPF, f"v=spf1 {'mx ' * 11}-all")),
    "spf.void-lookups": Flip((SPF, "v=spf1 mx a:x.elders.test a:y.elders.test a:z.elders.test -all")),
    "spf.policy": Flip(("-all", "?all")),
    "spf.no-ptr": Flip(("v=spf1 mx", "v=spf1 mx ptr")),
    "dkim.present": Flip(("selector1._domainkey TXT KEY\n", "")),
    "dkim.key-strength": Flip(("KEY", "SHORT")),
    "dkim.not-testing": Flip(("KEY", '"t=y; " KEY')),
    "dmarc.present": Flip(("p=reject", "p=rejct")),
    "dmarc.policy": Flip(("p=reject", "p=none")),
    "dmarc.subdomains": Flip(("p=reject", "p=reject; sp=none")),
    "dmarc.everyone": Flip(("p=reject", "p=reject; pct=50")),
    "dmarc.reports": Flip(("dmarc@reports.test", "dmarc@elders.test")),
    "mx.resolves": Flip((f"mail A {MAIL_HOST}\nmail AAAA 2001:db8::25\n", "")),
    "mx.ipv6": Flip(("mail AAAA 2001:db8::25\n", "")),
    "mx.signed": Flip(zone={"signing": None}),
    "mx.none-closed": Flip(('@ TXT "v=spf1 -all"', ""), good=PARKED),
    "dane.present": Flip(("_25._tcp.mail TLSA", "_26._tcp.mail TLSA")),
    "dane.well-formed": Flip(("TLSA 3 1 1 ab", "TLSA 1 1 1 ab")),
    "dane.rollover": Flip((f"_25._tcp.mail TLSA 3 1 1 {'cd' * 32}\n", "")),
    "mta-sts.record": Flip(('_mta-sts TXT "v=STSv1; id=1"\n', "")),
    "mta-sts.policy": Flip(policy=("enforce", "testing")),
    "tls-rpt.record": Flip(("mailto:tls@reports.test", "tls@reports.test")),
    "mx.greeting-name": Flip((f"mail A {MAIL_HOST}\nmail AAAA 2001:db8::25\n", "")),
    "mx.reverse-name": Flip((f"mail A {MAIL_HOST}", "mail A 192.0.2.25")),
}
ELSEWHERE: Final = {"mx.greeting-name", "mx.reverse-name"}


def domain(check: str) -> str:
    return f"{check.replace('.', '-')}.test"


def zone(check: str, flipped: bool = False) -> Zone:
    flip = FLIPS[check]
    made = Zone(domain(check), flip.good)
    if flipped:
        assert not flip.text[0] or flip.text[0] in flip.good
        made = replace(made, records=flip.good.replace(*flip.text), **(flip.zone or {}))  # type: ignore[arg-type]
    records = (
        made.records.replace("KEY", key(2048)).replace("SHORT", key(1024)).replace("DOMAIN", domain(check))
    )
    return replace(made, records=records)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, list[Finding]]]]:
    """What is seen before, when all is wrong, and afterwards."""
    texts = {f"mta-sts.{domain(check)}": POLICY.replace("DOMAIN", domain(check)) for check in FLIPS}
    before = dict(texts)
    reverse = Zone(REVERSE, f"1.0 PTR mail.{domain('mx.reverse-name')}.")
    zones = [zone(check) for check in FLIPS]
    public, folder = Authority(), tmp_path_factory.mktemp("policies")
    (folder / "root").write_bytes(public.root.pem)
    with (
        pytest.MonkeyPatch.context() as patch,
        Names(
            tmp_path_factory.mktemp("names"), [*zones, *OTHERS, reverse], ("test", "127.in-addr.arpa")
        ) as names,
        policies(folder, texts, public.issue(*texts, policies=(DV,))),
        postfix(f"mail.{domain('mx.greeting-name')}") as port,
    ):
        patch.setenv("SSL_CERT_FILE", str(folder / "root"))  # all that the system trusts
        targets = (
            server_at(
                MAIL_HOST, {"port": port, "name": "smtp"}, domains=tuple(domain(check) for check in FLIPS)
            ),
            server_at(POLICY_HOST, name="policies"),
        )

        def scan() -> dict[str, list[Finding]]:
            return look(*targets, only=FLIPS, resolvers=(RESOLVER,), dns_anchors=(str(names.anchor),))

        found = [scan()]
        names.change(*(zone(check, flipped=True) for check in FLIPS))
        texts |= {
            name: text.replace("enforce", "testing") for name, text in texts.items() if "sts-policy" in name
        }
        found.append(scan())
        names.change(*zones)
        texts |= before
        found.append(scan())
        yield found


def about(check: str, findings: list[Finding]) -> list[Finding]:
    """The findings on the domain of this check, or on the mail server."""
    return [
        one
        for one in findings
        if one.target == "server" and (check in ELSEWHERE or one.subject.endswith(domain(check)))
    ]


@pytest.mark.parametrize("check", FLIPS)
def test_the_verdict_follows(check: str, scans: list[dict[str, list[Finding]]]) -> None:
    seen = [about(check, found[check]) for found in scans]
    assert [[one.status for one in some] for some in seen] == [[State.PASS], [State.FAIL], [State.PASS]], (
        "\n".join(map(told, seen))
    )


def test_all_that_is_good_passes_everywhere(scans: list[dict[str, list[Finding]]]) -> None:
    seen = [one for found in scans[::2] for findings in found.values() for one in findings]
    assert {one.status for one in seen} == {State.PASS, State.NOTAPPLICABLE}, told(
        one for one in seen if one.status not in {State.PASS, State.NOTAPPLICABLE}
    )
