"""Whether a web site says where to report a leak: security.txt (RFC 9116)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from checks.network import example_pages as made
from checks.network._http import answer, must_be_site
from checks.network._site import Page, Site
from scanner import (
    SECURE_DEPLOYMENT,
    Absent,
    Each,
    Layer,
    NotUnderstood,
    Raw,
    ScanTime,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_SECURITY_TXT: Final = "/.well-known/security.txt"
_FIELD: Final = re.compile(r"([A-Za-z0-9-]{1,40}):[ \t]*(\S.{0,2000})")
_SIGNED: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE: Final = "-----BEGIN PGP SIGNATURE-----"


@fact
class SecurityTxt:
    """What a site answers to the question for its security.txt; ``text`` only when there is one."""

    site: Site
    status: int
    kind: str
    found: bool
    signed: bool
    fields: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return str(self.site)

    def values(self, name: str) -> list[str]:
        """The values of all fields of that name, in order."""
        return [value for one, value in self.fields if one.lower() == name.lower()]


def _asks_security_txt(page: Page) -> bool:
    return page.site.tls and page.site.named and (page.site.declared or page.site.port == 443)


@probe(
    "outside",
    security=Each(Page, lambda page: page.site.ask(_SECURITY_TXT, read=65536), when=_asks_security_txt),
)
def security_txt(security: Raw, page: Page, sites: list[Site]) -> SecurityTxt:
    """RFC 9116: lines of 'Field: value' in plain text, perhaps signed with OpenPGP. Redirects are not followed."""
    found = answer(security)
    must_be_site(found)
    if found.is_redirect:
        location = found.value("Location")
        known = {other.url(_SECURITY_TXT) for other in sites if other.tls} - {page.site.url(_SECURITY_TXT)}
        if location in known:
            raise Absent(f"security.txt is that of {location}, and is judged there")
        raise NotUnderstood(f"security.txt is elsewhere, which was not asked: {location[:200]}")
    if found.status != 200:
        if found.status in {401, 403, 404, 410}:
            return SecurityTxt(page.site, found.status, "", False, False, ())
        raise NotUnderstood(f"the question for security.txt answers {found.status}")
    text = found.whole
    lines = [line.rstrip("\r") for line in text.split("\n")]
    signed = lines[0] == _SIGNED and _SIGNATURE in lines
    if signed:
        lines = lines[: lines.index(_SIGNATURE)]
    fields = tuple((match[1], match[2].strip()) for line in lines if (match := _FIELD.fullmatch(line)))
    is_file = found.kind == "text/plain" and any(name.lower() == "contact" for name, _ in fields)
    return SecurityTxt(page.site, 200, found.kind, is_file, signed, fields)


@check(
    "web.security-txt",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.GOVERNANCE,
    platform="web",
    title_nl="De site zegt in security.txt waar een lek te melden is",
    why_nl=(
        "Wie een lek vindt, wil het kwijt. Zonder adres belandt het bij niemand, of op straat. Verplicht (pas"
        " toe of leg uit)."
    ),
    fix=(
        "printf 'Contact: mailto:security@example.nl\\nExpires: 2027-06-30T00:00:00Z\\n'"
        " > /var/www/html/.well-known/security.txt"
    ),
    verify="curl --silent --include https://NAME/.well-known/security.txt",
    references=(
        "RFC 9116",
        "Forum Standaardisatie: security.txt",
        "Internet.nl, test of web sites, security.txt",
    ),
)
def security_txt_present(file: SecurityTxt) -> Verdict:
    """The site says in security.txt where to report a leak.

    Who finds a leak wants to tell. Without an address it ends up with nobody, or in the street. Mandatory for Dutch
    governments (apply or explain).
    """
    observed = "; ".join(f"Contact: {one}" for one in file.values("Contact"))
    if not file.found:
        observed = f"{file.status} {file.kind}".strip() + (", no security.txt" if file.status == 200 else "")
        return holds(False, observed, "text/plain with a Contact, over HTTPS")
    bad = [
        one
        for one in file.values("Contact")
        if not re.match(r"(?i)(?:mailto:[^@\s]+@|https://|tel:)\S+", one)
    ]
    return holds(not bad, observed, "each Contact is mailto:, https: or tel:")


def _expires(file: SecurityTxt) -> datetime:
    if not file.found:
        raise Absent("there is no security.txt")
    values = file.values("Expires")
    try:
        (value,) = values
        found = datetime.fromisoformat(value.upper())
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        raise NotUnderstood(f"not one date: Expires {', '.join(values)[:80] or 'is not there'}") from None


@check(
    "web.security-txt-current",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.GOVERNANCE,
    platform="web",
    title_nl="security.txt is niet verlopen, en geldt niet langer dan een jaar",
    why_nl="Een verlopen adres leest niemand meer. De datum dwingt om elk jaar na te gaan of het adres nog klopt.",
    fix=(
        "sed -i \"s/^Expires:.*/Expires: $(date -u -d '+300 days' +%Y-%m-%dT00:00:00Z)/\""
        " /var/www/html/.well-known/security.txt"
    ),
    verify="curl --silent https://NAME/.well-known/security.txt | grep -i '^expires'",
    references=("RFC 9116 section 2.5.5",),
)
def security_txt_current(
    file: SecurityTxt, now: ScanTime, *, days: Annotated[int, "days ahead that it may expire at most"] = 366
) -> Verdict:
    """security.txt has not expired, and does not hold for longer than a year.

    Nobody reads an address that has expired. The date makes one check each year whether the address is still right.
    """
    if file.found and len(file.values("Expires")) != 1:
        return holds(False, f"{len(file.values('Expires'))} Expires fields", "one")
    ends = _expires(file)
    good = now < ends <= now + timedelta(days=days)
    return holds(good, f"Expires {ends:%Y-%m-%d}", f"after {now:%Y-%m-%d}, within {days} days")


@check(
    "web.security-txt-genuine",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.GOVERNANCE,
    platform="web",
    title_nl="security.txt noemt zijn eigen adres, en is ondertekend",
    why_nl=(
        "Wie een server overneemt, zet er zijn eigen meldadres op. Een handtekening en het adres in het"
        " bestand verraden dat."
    ),
    fix="echo 'Canonical: https://NAME/.well-known/security.txt' >> security.txt\ngpg --clearsign security.txt",
    verify="curl --silent https://NAME/.well-known/security.txt | gpg --verify",
    references=("RFC 9116 sections 2.3 and 2.5.2",),
)
def security_txt_genuine(file: SecurityTxt) -> Verdict:
    """security.txt names its own address, and is signed.

    Who takes over a server puts his own address there. A signature and the address in the file give that away. The
    signature itself is not verified: whose key it should be is not known here.
    """
    if not file.found:
        raise Absent("there is no security.txt")
    canonical = file.values("Canonical")
    own = file.site.url(_SECURITY_TXT) in canonical
    observed = (
        f"{'signed' if file.signed else 'not signed'}; Canonical {', '.join(canonical)[:200] or 'none'}"
    )
    return holds(file.signed and own, observed, f"signed; Canonical {file.site.url(_SECURITY_TXT)}")


# --- examples -------------------------------------------------------------------------------------------------

_SECURITY: Final = """\
HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8

# Report what you find
Contact: mailto:security@example.nl
Contact: https://www.example.nl/report
Expires: 2027-06-30T00:00:00Z
Canonical: https://www.example.nl/.well-known/security.txt
"""


def _file(text: str) -> dict[str, object]:
    return made.site(made.page(), security=text)


_SIGNED_FILE: Final = _SECURITY.replace(
    "# Report", "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n# Report"
) + ("-----BEGIN PGP SIGNATURE-----\n\niHUEARYKAB0WIQ\n-----END PGP SIGNATURE-----\n")
_AT_WWW: Final = made.redirect("https://www.example.nl/.well-known/security.txt")
_FROM_APEX: Final = {"https://www.example.nl/": _SECURITY, "https://example.nl/": _AT_WWW}
examples(
    security_txt_present,
    passes=[
        made.site(made.page(), target={"domains": ["example.nl"]}, security=_FROM_APEX),
        _file(_SECURITY),
        _file(_SECURITY.replace("\nContact", "\r\nContact")),
        _file(_SIGNED_FILE),
    ],
    fails=[
        _file(made.NOT_FOUND),
        _file(made.page(body="Contact: mailto:security@example.nl\n")),
        _file(_SECURITY.replace("Contact:", "Contact us at")),
        _file(_SECURITY.replace("mailto:", "")),
        _file(_SECURITY.replace("https://www.example.nl/report", "http://www.example.nl/report")),
    ],
    unknown=[
        _file(made.redirect("https://portal.example.nl/")),
        _file(made.BUSY),
        _file(made.page("cf-mitigated: challenge", status="403 Forbidden")),
        _file(_SECURITY.replace("utf-8\n", "utf-8\nContent-Encoding: gzip\n")),
    ],
    notapplicable=made.plain(made.page()),
)
examples(
    security_txt_current,
    passes=_file(_SECURITY),
    fails=[
        _file(_SECURITY.replace("2027-06-30", "2026-06-30")),
        _file(_SECURITY.replace("2027-06-30", "2036-06-30")),
        _file(_SECURITY.replace("Expires:", "Valid:")),
        _file(_SECURITY + "Expires: 2027-01-01T00:00:00Z\n"),
    ],
    unknown=_file(_SECURITY.replace("2027-06-30T00:00:00Z", "30 June 2027")),
    notapplicable=_file(made.NOT_FOUND),
)
examples(
    security_txt_genuine,
    passes=_file(_SIGNED_FILE),
    fails=[
        _file(_SECURITY),
        _file(_SIGNED_FILE.replace("Canonical: https://www", "Canonical: https://evil")),
    ],
    notapplicable=_file(made.NOT_FOUND),
)
