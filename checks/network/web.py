"""How web sites are reached: over HTTPS alone, by their own name, over every address, and with a way to report a
leak."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from checks.network import example_pages as made
from checks.network._html import host_of, title
from checks.network._http import WHOLE, Response, answer, must_be_site, must_work, spoken
from checks.network._site import NoSuchPage, Page, Site
from checks.network.ports import Sweep
from scanner import (
    DATA_FIRST,
    NO_GAP,
    SECURE_DEFAULT,
    SECURE_DEPLOYMENT,
    Absent,
    Cause,
    Each,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    State,
    Target,
    Verdict,
    check,
    examples,
    exchanges,
    fact,
    holds,
    probe,
    table,
)

_DECREE: Final = (
    "Besluit beveiligde verbinding met overheidswebsites en -webapplicaties (in force since 1 July 2023)"
)
_INTERNET_NL: Final = "Internet.nl, test of web sites, HTTPS"
_DIGID: Final = "DigiD norm 3.0, U/WA.05"


# --- over HTTPS alone -----------------------------------------------------------------------------------------


@check(
    "web.https-available",
    principle=DATA_FIRST,
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    platform="web",
    title_nl="Een website die over HTTP antwoordt, is er ook over HTTPS",
    why_nl=(
        "Zonder HTTPS leest en verandert iedereen onderweg wat bezoekers zien en invullen. Voor overheden is"
        " het wet."
    ),
    fix="certbot --nginx -d NAME    # or a certificate of your own CA, and 'listen 443 ssl;'",
    verify="curl --silent --show-error --head https://NAME/",
    references=(_DECREE, f"{_INTERNET_NL} (HTTPS available)", _DIGID),
)
def https_available(page: Page, pages: list[Page]) -> Verdict:
    """A web site that answers over HTTP is there over HTTPS as well.

    Without HTTPS everyone on the way reads and changes what visitors see and fill in. For governments it is law. It is
    sought where HTTP sends the visitor, else on port 443, under the same name and at the same address. What sends back
    to HTTP is not there.
    """
    port = page.site.port if page.site.tls else 443
    if not page.site.tls and _leads_to_https(page, page.location):
        port = urlsplit(page.location).port or 443
    secure = [
        str(one)
        for one in pages
        if one.site.tls
        and (one.site.name, one.site.port) == (page.site.name, port)
        and one.site.further_address == page.site.further_address
        and not _leads_back(one)
    ]
    return holds(
        bool(secure), f"over HTTPS: {', '.join(secure) or 'nothing answers'}", "an answer over HTTPS"
    )


def _leads_to_https(page: Page, location: str) -> bool:
    """Whether a browser is sent to HTTPS on the same host."""
    return location.lower().startswith("https://") and host_of(location) == page.site.name


def _leads_back(page: Page) -> bool:
    """Whether a browser is sent to HTTP on the same host."""
    return page.location.lower().startswith("http://") and host_of(page.location) == page.site.name


def _plain(page: Page) -> None:
    if page.site.tls:
        raise Absent("this site is over TLS")
    if not page.site.named:
        raise NotUnderstood("the inventory gives no name for this site; set the 'server_name' of its service")


@check(
    "web.https-redirect",
    principle=(DATA_FIRST, SECURE_DEFAULT),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="web",
    title_nl="HTTP stuurt de bezoeker eerst door naar HTTPS op dezelfde naam",
    why_nl=(
        "Wie een adres intikt, komt vaak binnen over HTTP. Dan hoort er niets te staan dan een verwijzing naar HTTPS,"
        " op dezelfde naam: anders onthoudt de browser HSTS niet voor die naam."
    ),
    fix="# nginx, in the server that listens on port 80:\nreturn 301 https://$server_name$request_uri;",
    verify="curl --silent --head http://NAME/ | grep -i '^location'",
    references=(_DECREE, f"{_INTERNET_NL} (HTTPS redirect)", "RFC 6797 section 7.2", _DIGID),
)
def https_redirect(page: Page) -> Verdict:
    """HTTP first sends the visitor on to HTTPS on the same name.

    Who types an address often comes in over HTTP. Nothing should be there but a reference to HTTPS, on the same
    name: else a browser does not remember HSTS for that name.
    """
    _plain(page)
    status = page.answer.status
    if page.location:
        good = _leads_to_https(page, page.location)
        return holds(good, f"{status}, to {page.location}", f"to https://{page.site.name}/")
    if status == 426:
        raise Absent("HTTP is refused: 426 Upgrade Required")
    if status == 401:
        return holds(False, "401: asks for a password in the clear", f"to https://{page.site.name}/")
    if status >= 300:
        raise NotUnderstood(
            f"the front page answers {status}: whether other paths have content cannot be seen"
        )
    return holds(False, f"{status}: a page over HTTP", f"to https://{page.site.name}/")


@check(
    "web.redirect-permanent",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    platform="web",
    title_nl="De verwijzing van HTTP naar HTTPS is blijvend",
    why_nl=(
        "Een blijvende verwijzing (301, 308) onthouden browsers en zoekmachines: de volgende keer gaat er"
        " niets over HTTP."
    ),
    fix="# nginx, in the server that listens on port 80:\nreturn 301 https://$server_name$request_uri;",
    verify="curl --silent --head http://NAME/ | head -1",
    references=("RFC 9110 sections 15.4.2 and 15.4.9",),
)
def redirect_permanent(page: Page) -> Verdict:
    """The redirect from HTTP to HTTPS is permanent.

    Browsers and search engines remember a permanent redirect (301, 308): the next time nothing goes over HTTP.
    """
    _plain(page)
    if not page.location.lower().startswith("https://"):
        raise Absent("HTTP sends nobody on to HTTPS")
    return holds(page.answer.status in {301, 308}, f"{page.answer.status}", "301 or 308")


@check(
    "web.https-everywhere",
    principle=(DATA_FIRST, SECURE_DEFAULT),
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    platform="web",
    title_nl="Niet alleen de voorpagina gaat van HTTP naar HTTPS",
    why_nl=(
        "Links naar binnenpagina's beginnen vaak nog met http. Als alleen de voorpagina doorverwijst, gaat de"
        " rest onbeveiligd."
    ),
    fix="# nginx, in the server that listens on port 80:\nreturn 301 https://$server_name$request_uri;",
    verify="curl --silent --head http://NAME/keurmeester-no-such-page | grep -i '^location'",
    references=(_DECREE, "RFC 6797 section 7.2"),
)
def https_everywhere(missing: NoSuchPage) -> Verdict:
    """It is not the front page alone that goes from HTTP to HTTPS.

    Links to inner pages often still begin with http. When only the front page sends on, all else goes in the clear.
    Asked is a path that does not exist.
    """
    _plain(missing.page)
    if not _leads_to_https(missing.page, missing.page.location):
        raise Absent("the front page itself does not go to HTTPS")
    found = missing.answer
    location = found.value("Location") if found.is_redirect else ""
    if not location and found.status not in {200, 404, 410}:
        raise NotUnderstood(f"a path that does not exist answers {found.status}")
    good = _leads_to_https(missing.page, location)
    return holds(
        good, f"{found.status}{location and f', to {location}'}", f"to https://{missing.page.site.name}/"
    )


@check(
    "web.redirect-secure",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="web",
    title_nl="HTTPS stuurt nooit terug naar HTTP",
    why_nl="Eén stap over HTTP is genoeg om een bezoeker op een andere site te laten belanden.",
    fix="# nginx: write relative redirects, or the scheme in full\nabsolute_redirect off;",
    verify="curl --silent --head --location https://NAME/ | grep -i '^location'",
    references=(f"{_INTERNET_NL} (HTTPS redirect)", "RFC 9110 section 10.2.2"),
)
def redirect_secure(page: Page) -> Verdict:
    """HTTPS never sends back to HTTP.

    One step over HTTP is enough to let a visitor end up on another site.
    """
    if not page.site.tls:
        raise Absent("this site is not over TLS")
    if not page.location:
        raise Absent("the front page does not send on")
    scheme = urlsplit(page.location).scheme.lower()
    return holds(scheme in {"", "https"}, f"{page.answer.status}, to {page.location}", "https")


# --- HSTS -----------------------------------------------------------------------------------------------------

YEAR: Final = 31536000
_DIRECTIVE: Final = re.compile(r"\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*(\"[^\"]*\"|[^\s;\"]+))?\s*")


@dataclass(frozen=True)
class Hsts:
    """A Strict-Transport-Security header as a browser takes it."""

    seconds: int
    subdomains: bool
    preload: bool


def _hsts(value: str) -> Hsts | None:
    """What RFC 6797 section 6.1 makes of it; None when a browser ignores it."""
    found: dict[str, str] = {}
    for part in value.split(";"):
        if not part.strip():
            continue
        directive = _DIRECTIVE.fullmatch(part)
        if directive is None or directive[1].lower() in found:
            return None
        found[directive[1].lower()] = (directive[2] or "").strip('"')
    if not re.fullmatch(r"[0-9]{1,12}", found.get("max-age", "")):
        return None
    return Hsts(int(found["max-age"]), "includesubdomains" in found, "preload" in found)


def _first_hsts(page: Page) -> tuple[str, Hsts | None]:
    """The first such header, the only one that counts (RFC 6797 section 8.1)."""
    if not page.site.tls:
        raise Absent("this site is not over TLS")
    if not page.site.named:
        raise NotUnderstood("HSTS is for names alone; set the 'server_name' of this service")
    values = page.answer.values("Strict-Transport-Security")
    if not values and page.answer.status >= 400:
        raise NotUnderstood(f"the front page answers {page.answer.status}; other pages may have the header")
    return (values[0], _hsts(values[0])) if values else ("", None)


@dataclass(frozen=True, kw_only=True)
class HstsRow(Row):
    """A claim about the HSTS of a site."""

    holds: Callable[[Hsts], bool]
    expected: str


_HSTS_FIX: Final = (
    'add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;    # nginx'
)
_HSTS_VERIFY: Final = "curl --silent --head https://NAME/ | grep -i '^strict-transport-security'"


@table(
    HstsRow(
        id="web.hsts",
        principle=(DATA_FIRST, SECURE_DEFAULT),
        severity=Severity.HIGH,
        layer=Layer.DATA,
        title="A browser remembers that the site is for HTTPS only",
        why=(
            "With HSTS a browser goes to HTTPS by itself the next time, and no warning can be clicked away. For"
            " governments it is law."
        ),
        title_nl="De browser onthoudt dat de site alleen over HTTPS gaat",
        why_nl=(
            "Met HSTS gaat de browser de volgende keer vanzelf naar HTTPS, en is een waarschuwing niet weg te klikken."
            " Voor overheden is het wet."
        ),
        fix=_HSTS_FIX,
        verify=_HSTS_VERIFY,
        references=(_DECREE, "RFC 6797", f"{_INTERNET_NL} (HSTS)", _DIGID),
        holds=lambda hsts: hsts.seconds > 0,
        expected="Strict-Transport-Security with a max-age, on the first answer",
    ),
    HstsRow(
        id="web.hsts-year",
        principle=(DATA_FIRST, SECURE_DEFAULT),
        severity=Severity.MEDIUM,
        layer=Layer.DATA,
        title="HSTS lasts for a year at least",
        why="Who comes by less often than HSTS lasts, begins without protection each time.",
        title_nl="HSTS geldt minstens een jaar",
        why_nl="Wie minder vaak langskomt dan HSTS duurt, begint elke keer zonder bescherming.",
        fix=_HSTS_FIX,
        verify=_HSTS_VERIFY,
        references=(f"{_INTERNET_NL} (HSTS: at least 31536000 seconds)", "RFC 6797 section 6.1.1"),
        holds=lambda hsts: hsts.seconds >= YEAR,
        expected=f"max-age of {YEAR} or more",
    ),
    HstsRow(
        id="web.hsts-subdomains",
        principle=SECURE_DEFAULT,
        severity=Severity.LOW,
        layer=Layer.DATA,
        title="HSTS holds for the names below as well",
        why="Without it a made-up name below yours can be shown over HTTP, and set cookies for your site.",
        title_nl="HSTS geldt ook voor de namen eronder",
        why_nl="Anders is een verzonnen naam onder de uwe over HTTP te tonen, en die kan cookies zetten voor uw site.",
        fix=_HSTS_FIX,
        verify=_HSTS_VERIFY,
        references=("RFC 6797 sections 6.1.2 and 14.4",),
        holds=lambda hsts: hsts.seconds > 0 and hsts.subdomains,
        expected="includeSubDomains",
    ),
    platform="web",
)  # fmt: skip
def hsts_says(page: Page, *, row: HstsRow) -> Verdict:
    """The HSTS header of the first answer over HTTPS says what the row claims."""
    value, hsts = _first_hsts(page)
    if hsts is None:
        return holds(False, f"not valid: {value}" if value else "no such header", row.expected)
    return holds(row.holds(hsts), value, row.expected)


@check(
    "web.hsts-not-over-http",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    platform="web",
    title_nl="HTTP zelf geeft geen HSTS mee",
    why_nl="Browsers negeren HSTS over HTTP. Staat het er toch, dan is de configuratie door elkaar geraakt.",
    fix="# nginx: move add_header Strict-Transport-Security into the server that listens on 443",
    verify="curl --silent --head http://NAME/ | grep -i '^strict-transport-security'    # prints nothing",
    references=("RFC 6797 section 7.2",),
)
def hsts_not_over_http(page: Page) -> Verdict:
    """HTTP itself gives no HSTS.

    Browsers ignore HSTS over HTTP. When it is there the configuration has been mixed up.
    """
    if page.site.tls:
        raise Absent("this site is over TLS")
    values = page.answer.values("Strict-Transport-Security")
    return holds(not values, ", ".join(values) or "no such header", "no such header")


# --- names and addresses --------------------------------------------------------------------------------------


@check(
    "web.answers",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De site antwoordt onder elke naam die zij heeft",
    why_nl="Werkt example.nl niet en www.example.nl wel, dan wennen mensen aan fouten en aan omwegen.",
    fix="# nginx: name both, and send one on to the other\nserver_name example.nl www.example.nl;",
    verify="curl --silent --head https://example.nl/ && curl --silent --head https://www.example.nl/",
    references=("RFC 9110 section 7.4",),
)
def answers(page: Page) -> Verdict:
    """The site answers under every name it has.

    When www.example.nl works and example.nl does not, people get used to faults and detours. The names are those of
    the inventory (server_name and domains).
    """
    status = page.answer.status
    if 400 <= status < 500 and status not in {400, 401, 421, 426}:
        raise NotUnderstood(
            f"the front page answers {status}: whether there is a site behind it cannot be told"
        )
    return holds(
        status < 400 or status in {401, 426}, f"{status}", "a page, a redirect or a request to log in"
    )


@fact
class BothWays:
    """A site that answers on an IPv4 and on an IPv6 address."""

    site: Site
    four: str
    six: str

    def __str__(self) -> str:
        return str(self.site)


@probe("outside")
def both_ways(sites: list[Site], sweeps: list[Sweep]) -> list[BothWays]:
    """The first address of each kind on which the port of a site is open."""
    reached = [one for sweep in sweeps for one in sweep.addresses]
    found = []
    for site in dict.fromkeys(replace(site, further_address="") for site in sites):
        at = {
            ip_address(one.address).version: one.address for one in reversed(reached) if site.port in one.open
        }
        if len(at) == 2:
            found.append(BothWays(site, at[4], at[6]))
    return found


@fact
class SiteOverIpv6:
    """What a site answers over IPv4 and over IPv6."""

    site: Site
    four: Response
    six: Response

    def __str__(self) -> str:
        return str(self.site)


@probe(
    "outside",
    over_four=Each(BothWays, lambda both: both.site.ask(address=both.four, read=WHOLE)),
    over_six=Each(BothWays, lambda both: both.site.ask(address=both.six, read=WHOLE)),
)
def twin(over_four: Raw, over_six: Raw, both: BothWays) -> SiteOverIpv6:
    """Two answers in HTTP of the site itself; as much of both, so that a title is in both or in none."""
    four, six = answer(over_four), answer(over_six)
    for kind, found in (("IPv4", four), ("IPv6", six)):
        must_be_site(found)
        must_work(found, f"the site over {kind}")
    return SiteOverIpv6(both.site, four, six)


#: Headers that are part of what a site promises, and so the same over both.
_PROMISES: Final = (
    "Content-Type", "Location", "Strict-Transport-Security", "Content-Security-Policy", "X-Content-Type-Options",
    "X-Frame-Options", "Referrer-Policy",
)  # fmt: skip


@check(
    "web.same-over-ipv6",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Over IPv6 staat dezelfde site als over IPv4",
    why_nl="Wat over IPv6 anders antwoordt, is vaak een vergeten server: zonder de regels die over IPv4 wel gelden.",
    fix="# nginx, in the same server:\nlisten 443 ssl;\nlisten [::]:443 ssl;",
    verify="curl -4 --silent --head https://NAME/ ; curl -6 --silent --head https://NAME/",
    references=("Internet.nl, test of web sites, IPv6 (same content over IPv6 and IPv4)",),
)
def same_over_ipv6(twin: SiteOverIpv6) -> Verdict:
    """Over IPv6 there is the same site as over IPv4.

    What answers differently over IPv6 is often a forgotten server, without the rules that hold over IPv4. Compared
    are the status, the title and the headers that make a promise; what differs from visit to visit is not.
    """
    statuses = (twin.four.status, twin.six.status)
    differs = [f"status {statuses[0]} and {statuses[1]}"] if statuses[0] != statuses[1] else []
    for name in _PROMISES:
        steady = _where if name == "Location" else _steady
        four, six = (steady(one.values(name)) for one in (twin.four, twin.six))
        if four != six:
            differs.append(f"{name}: {', '.join(four)[:80] or 'none'} and {', '.join(six)[:80] or 'none'}")
    if (four_title := title(twin.four.text)) != (six_title := title(twin.six.text)):
        differs.append(f"title: {four_title[:80] or 'none'} and {six_title[:80] or 'none'}")
    return holds(not differs, "; ".join(differs) or f"the same: {twin.four.status}", "the same")


def _steady(values: tuple[str, ...]) -> tuple[str, ...]:
    """Without nonces, which are new for every visit."""
    return tuple(re.sub(r"'nonce-[^']*'", "'nonce'", value) for value in values)


def _where(values: tuple[str, ...]) -> tuple[str, ...]:
    """Redirects without their query and parameters: to a login they take along what is new for every visit."""
    return tuple(re.split("[?;]", value, maxsplit=1)[0] for value in values)


# --- addresses that leak --------------------------------------------------------------------------------------


@fact
class OldQuestion:
    """What a site answers in HTTP/1.0, where no name is asked for; None when it ends the connection."""

    page: Page
    answer: Response | None

    def __str__(self) -> str:
        return str(self.page)


@probe("outside", old=Each(Page, lambda page: page.site.ask(version="1.0")))
def old_question(old: Raw, page: Page) -> OldQuestion:
    """An answer in HTTP, or an end without one: the front page has shown that the server speaks it.

    That it is busy tells nothing, but that it does not know the version (505) is an answer.
    """
    (exchange,) = exchanges(old)
    if not exchange.received and exchange.end in {"closed", "reset"}:
        return OldQuestion(page, None)
    found = answer(old)
    must_be_site(found, blocked_too=False)
    if found.status != 505:
        must_work(found, "HTTP/1.0")
    return OldQuestion(page, found)


_WITH_ADDRESS: Final = (
    "Location",
    "Content-Location",
    "WWW-Authenticate",
    "Via",
    "X-Backend-Server",
    "X-Served-By",
)
_ADDRESS: Final = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")


def _private(text: str, known: set[str]) -> list[str]:
    """The addresses of private networks in a text, but for those that are known anyway."""
    return [one for one in _ADDRESS.findall(text) if one not in known and _is_private(one)]


def _is_private(text: str) -> bool:
    try:
        return ip_address(text).is_private
    except ValueError:
        return False


@check(
    "web.no-internal-address",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De site verraadt geen adres van het interne netwerk",
    why_nl=(
        "Een oude vraag zonder naam (HTTP/1.0) laat sommige servers hun interne adres noemen: een kaart voor"
        " een aanvaller."
    ),
    fix=(
        "server_name_in_redirect on;    # nginx\n"
        "appcmd.exe set config -section:system.webServer/serverRuntime -alternateHostName:NAME    # IIS"
    ),
    verify="printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -connect NAME:443 | grep -i '^location'",
    references=("CVE-2000-0649",),
)
def no_internal_address(old: OldQuestion, target: Target) -> Verdict:
    """The site gives away no address of the internal network.

    An old question without a name (HTTP/1.0) makes some servers name their internal address: a map for an attacker.
    The address that was asked is no secret.
    """
    if old.answer is None:
        return holds(True, "HTTP/1.0 without a name is not answered", "none")
    known = {old.page.site.name, target.address}
    found = [
        f"{name}: {value}"
        for name in _WITH_ADDRESS
        for value in old.answer.values(name)
        if _private(value, known)
    ]
    return holds(not found, "; ".join(found) or f"{old.answer.status}, no address in the headers", "none")


# --- examples -------------------------------------------------------------------------------------------------

_PAGE: Final = made.page()
_TO_HTTPS: Final = made.redirect("https://www.example.nl/")
_TO_OTHER: Final = made.redirect("https://portal.example.nl/")
_NOT_FOUND: Final = made.NOT_FOUND
_TLS_ALERT: Final = "\x15\x03\x01\x00\x02\x02\x46"
_HTTPS_ONLY: Final = """\
HTTP/1.1 400 Bad Request
Server: nginx
Content-Type: text/html
Content-Length: 62

<center>The plain HTTP request was sent to HTTPS port</center>"""
_GONE: Final = spoken("", end="reset", note="TLS: TLSV1_ALERT_INTERNAL_ERROR")

examples(
    https_available,
    passes=[made.both(_TO_HTTPS, _PAGE), made.both(_PAGE, _PAGE)],
    fails=[
        made.plain(_PAGE),
        made.plain(_TO_HTTPS),
        made.both(_TO_HTTPS.replace("example.nl/", "example.nl:8443/"), _PAGE),
        made.both(_PAGE, made.redirect("http://www.example.nl/")),
    ],
    unknown=[made.both(_TO_HTTPS, _GONE), made.plain("<h1>HTTP/0.9</h1>")],
    error=made.both(_TO_HTTPS, Gap(State.ERROR, Cause.TIMEOUT, "no complete answer in 10 seconds")),
)
examples(
    https_redirect,
    passes=[
        made.plain(_TO_HTTPS),
        made.plain(_TO_HTTPS.replace("https://www.example.nl/", "HTTPS://WWW.example.nl:8443/nl")),
    ],
    fails=[
        made.plain(_PAGE),
        made.plain(_TO_OTHER),
        made.plain(_TO_HTTPS.replace("https:", "http:")),
        made.plain(_TO_HTTPS.replace("https://www.example.nl/", "/nl/")),
        made.plain(_TO_HTTPS.replace("https://www.example.nl/", "https://www.example.nl@evil.example/")),
        made.plain("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=x\nContent-Length: 0\n\n"),
    ],
    unknown=[
        made.plain(_NOT_FOUND),
        made.plain(_TO_HTTPS, target={"services": [{"port": 80, "name": "http"}]}),
        made.plain(
            _TO_HTTPS.replace("Content-Length: 0", "Location: https://other.example/\nContent-Length: 0")
        ),
        made.plain(_HTTPS_ONLY),
    ],
    notapplicable=[
        made.site(_PAGE),
        made.plain("HTTP/1.1 426 Upgrade Required\nUpgrade: TLS/1.2\nContent-Length: 0\n\n"),
        made.undeclared(8080, _TLS_ALERT),
        made.undeclared(8080, _HTTPS_ONLY),
    ],
)
examples(
    redirect_permanent,
    passes=[made.plain(_TO_HTTPS), made.plain(_TO_HTTPS.replace("301 Moved", "308 Moved"))],
    fails=made.plain(_TO_HTTPS.replace("301 Moved Permanently", "302 Found")),
    notapplicable=made.plain(_PAGE),
)
examples(
    https_everywhere,
    passes=made.plain(
        _TO_HTTPS, missed=_TO_HTTPS.replace("example.nl/", "example.nl/keurmeester-no-such-page")
    ),
    fails=[made.plain(_TO_HTTPS, missed=_NOT_FOUND), made.plain(_TO_HTTPS, missed=_TO_OTHER)],
    unknown=made.plain(_TO_HTTPS, missed="HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n"),
    notapplicable=[made.site(_PAGE, missed=_NOT_FOUND), made.plain(_NOT_FOUND, missed=_NOT_FOUND)],
)
examples(
    redirect_secure,
    passes=[made.site(_TO_OTHER), made.site(_TO_HTTPS.replace("https://www.example.nl/", "/nl/"))],
    fails=made.site(_TO_HTTPS.replace("https:", "http:")),
    notapplicable=[made.site(_PAGE), made.plain(_TO_HTTPS)],
)


_NO_TLS: Final = spoken("", end="reset", note="TLS: WRONG_VERSION_NUMBER")


def _with_hsts(*values: str, status: str = "200 OK") -> dict[str, object]:
    return made.site(made.page(*(f"Strict-Transport-Security: {value}" for value in values), status=status))


examples(
    "web.hsts",
    passes=[
        _with_hsts("max-age=31536000"),
        _with_hsts('max-age="63072000" ; includeSubDomains;preload'),
        _with_hsts("max-age=31536000", status="404 Not Found"),
        made.site(_TO_OTHER.replace("Server: nginx", "Strict-Transport-Security: max-age=300")),
    ],
    fails=[
        _with_hsts(),
        _with_hsts("max-age=0"),
        _with_hsts("includeSubDomains"),
        _with_hsts("max-age=1000, max-age=31536000"),
        _with_hsts("max-age=10; max-age=31536000"),
        _with_hsts("max-age: 31536000"),
        _with_hsts("", "max-age=31536000"),
    ],
    unknown=[
        made.site(_NO_TLS),
        _with_hsts(status="403 Forbidden"),
        made.site(_PAGE, services=[{**made.HTTPS, "server_name": ""}]),
        made.site(_PAGE.replace("Content-Length", "Transfer-Encoding: chunked\nContent-Length")),
    ],
    notapplicable=[made.plain(_PAGE), made.undeclared(443, _NO_TLS)],
)
examples(
    "web.hsts-year",
    passes=_with_hsts("max-age=31536000"),
    fails=[_with_hsts("max-age=31535999"), _with_hsts("max-age=300", "max-age=31536000")],
)
examples(
    "web.hsts-subdomains",
    passes=_with_hsts("max-age=31536000; INCLUDESUBDOMAINS"),
    fails=[_with_hsts("max-age=31536000"), _with_hsts("max-age=0; includeSubDomains")],
)
examples(
    hsts_not_over_http,
    passes=made.plain(_TO_HTTPS),
    fails=made.plain(_TO_HTTPS.replace("Server: nginx", "Strict-Transport-Security: max-age=31536000")),
    notapplicable=made.site(_PAGE),
)
_ERROR: Final = "HTTP/1.1 {}\nContent-Length: 0\n\n"
examples(
    answers,
    passes=[made.site(_PAGE), made.site(_TO_OTHER), made.site(_ERROR.format("401 Unauthorized"))],
    fails=[
        made.site(_ERROR.format("421 Misdirected Request")),
        made.site(_ERROR.format("502 Bad Gateway")),
        made.site(_ERROR.format("400 Bad Request")),
    ],
    unknown=[
        made.site(_NOT_FOUND),
        made.site(
            made.page(status="400 Bad Request", body="<center>No required SSL certificate was sent</center>")
        ),
    ],
)
_CHALLENGE: Final = made.page("cf-mitigated: challenge", status="403 Forbidden")
_TWO: Final = {"addresses": ["192.0.2.10", "2001:db8::10"]}
_OTHER_PAGE: Final = made.page(body="<!doctype html><title>Welcome to nginx!</title>\n")
_NONCE: Final = "Content-Security-Policy: script-src 'nonce-{}'"
examples(
    same_over_ipv6,
    passes=[
        made.site(_PAGE, over_four=_PAGE, over_six=_PAGE, **_TWO),
        made.site(
            _PAGE,
            over_four=_TO_OTHER.replace("example.nl/", "example.nl/login?state=8f14"),
            over_six=_TO_OTHER.replace("example.nl/", "example.nl/login?state=e45f"),
            **_TWO,
        ),
        made.site(
            _PAGE,
            over_four=made.redirect("/portaal;jsessionid=8F14", "302 Found"),
            over_six=made.redirect("/portaal;jsessionid=E45F", "302 Found"),
            **_TWO,
        ),
        made.site(
            _PAGE,
            over_four=made.page(_NONCE.format("aaaa")),
            over_six=made.page(_NONCE.format("bbbb")),
            **_TWO,
        ),
    ],
    fails=[
        made.site(_PAGE, over_four=_PAGE, over_six=_NOT_FOUND, **_TWO),
        made.site(_PAGE, over_four=_PAGE, over_six=_OTHER_PAGE, **_TWO),
        made.site(_PAGE, over_four=made.page("X-Frame-Options: DENY"), over_six=_PAGE, **_TWO),
    ],
    unknown=[
        made.site(_PAGE, over_four=_PAGE, over_six=_GONE, **_TWO),
        made.site(_PAGE, over_four=_PAGE, over_six="HTTP/1.1 502 Bad Gateway\nContent-Length: 0\n\n", **_TWO),
        made.site(_PAGE, over_four=_PAGE, over_six=made.page(status="429 Too Many Requests"), **_TWO),
        made.site(_PAGE, over_four=_PAGE, over_six=_CHALLENGE, **_TWO),
    ],
    notapplicable=made.site(_PAGE),
)

examples(
    no_internal_address,
    passes=[
        made.site(_PAGE, old=_PAGE),
        made.site(_PAGE, old=spoken("", end="closed")),
        made.site(_PAGE, old="HTTP/1.1 505 HTTP Version Not Supported\nContent-Length: 0\n\n"),
        made.site(_PAGE, old=_TO_OTHER.replace("portal.example.nl", "192.0.20.1")),
    ],
    fails=made.site(_PAGE, old=_TO_OTHER.replace("portal.example.nl", "10.20.30.40")),
    unknown=[
        made.site(_PAGE, old="10.20.30.40"),
        made.site(_PAGE, old=_CHALLENGE),
        made.site(_PAGE, old=made.BUSY),
    ],
)
