"""What web sites refuse: methods, names and paths that are not for visitors. Nothing that is asked here changes
anything."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from checks.network import example_pages as made
from checks.network._html import elements, host_of, title
from checks.network._http import WHOLE, Response, answer, spoken
from checks.network._site import MADE_UP, STRANGE, Page, Site
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    SECURE_DEPLOYMENT,
    Absent,
    Cause,
    Dialogue,
    Each,
    Gap,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
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
)

_DIGID: Final = "DigiD norm 3.0, U/PW.02"
_KNOCK: Final = Impact.KNOCK


def _broken(found: Response, what: str) -> None:
    """Raises NotUnderstood when the server failed, or had no time: that refuses nothing."""
    if found.status == 429 or (found.status >= 500 and found.status != 501):
        raise NotUnderstood(f"{what} answers {found.status}")


# --- methods --------------------------------------------------------------------------------------------------

#: A header that TRACE sends back, and nothing else knows.
_ECHO: Final = "keurmeester-echo"
_DEPTH: Final = (("Depth", "0"),)


@fact
class Methods:
    """What a site answers to methods that are not for visitors; ``page`` shows that it does answer visitors."""

    page: Page
    trace: Response
    front: Response
    propfind: Response
    options: Response
    delete: Response
    nonsense: Response
    get: Response

    def __str__(self) -> str:
        return str(self.page)


@probe(
    "outside",
    trace=Each(
        Page, lambda page: page.site.ask(method="TRACE", headers=(("X-Keurmeester", _ECHO),), impact=_KNOCK)
    ),
    front=Each(Page, lambda page: page.site.ask("/", "PROPFIND", headers=_DEPTH, impact=_KNOCK)),
    propfind=Each(Page, lambda page: page.site.ask(MADE_UP, "PROPFIND", headers=_DEPTH, impact=_KNOCK)),
    options=Each(Page, lambda page: page.site.ask(MADE_UP, "OPTIONS", impact=_KNOCK)),
    delete=Each(Page, lambda page: page.site.ask(MADE_UP, "DELETE", impact=_KNOCK)),
    nonsense=Each(Page, lambda page: page.site.ask(MADE_UP, "KEURMEESTER", impact=_KNOCK)),
    missed=Each(Page, lambda page: page.site.ask(MADE_UP, read=WHOLE)),
)
def methods(
    trace: Raw, front: Raw, propfind: Raw, options: Raw, delete: Raw, nonsense: Raw, missed: Raw, page: Page
) -> Methods:
    """Answers in HTTP. All but the first two are about a path that does not exist; nothing is ever put."""
    asked = (trace, front, propfind, options, delete, nonsense, missed)
    return Methods(page, *(answer(raw) for raw in asked))


@check(
    "web.trace-refused",
    principle=(SECURE_DEFAULT, DEFAULT_DENY),
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="TRACE wordt geweigerd",
    why_nl="TRACE zegt terug wat de server kreeg: ook de cookies en sleutels die een proxy er onderweg aan toevoegde.",
    fix="TraceEnable Off    # Apache",
    verify="curl --silent --include --request TRACE https://NAME/",
    references=("RFC 9110 section 9.3.8", _DIGID),
)
def trace_refused(found: Methods) -> Verdict:
    """TRACE is refused.

    TRACE says back what the server got: also the cookies and keys that a proxy added on the way. Refused it is when
    nothing of the question comes back.
    """
    told = found.trace
    if _ECHO in told.body.decode("latin-1") or (told.status == 200 and told.kind == "message/http"):
        return holds(False, f"{told.status}: says back what it was sent", "405, 501 or the like")
    _broken(told, "TRACE")
    if told.value("Content-Encoding") or not told.complete:
        raise NotUnderstood("the answer to TRACE is compressed, or more than was read")
    return holds(True, f"{told.status}, nothing is said back", "405, 501 or the like")


@check(
    "web.webdav-refused",
    principle=(SECURE_DEFAULT, DEFAULT_DENY),
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="WebDAV wordt geweigerd aan wie niet is ingelogd",
    why_nl="Met WebDAV is een website een map: wie erbij kan, ziet alle bestanden, en kan er vaak in schrijven.",
    fix="Dav Off    # Apache\ndav_methods off;    # nginx\nUninstall-WindowsFeature Web-DAV-Publishing    # IIS",
    verify="curl --silent --include --request PROPFIND --header 'Depth: 0' https://NAME/",
    references=("RFC 4918 section 9.1", _DIGID),
)
def webdav_refused(found: Methods) -> Verdict:
    """WebDAV is refused to who has not logged in.

    With WebDAV a web site is a folder: who gets at it sees all files, and can often write in it. Asked is what the
    front page and a path that does not exist are (PROPFIND); nothing is written. Refused it is when the answer says
    so, or is the one to a method that does not exist.
    """
    told = found.propfind
    for what, one in (("/", found.front), (MADE_UP, told)):
        if one.status == 207 or (one.status < 300 and re.search(rb"<(?:[\w-]+:)?multistatus[\s>]", one.body)):
            return holds(False, f"PROPFIND of {what}: {one.status}, tells what it holds", "refused")
        _broken(one, f"PROPFIND of {what}")
    classes = ", ".join(found.options.values("DAV"))
    observed = f"PROPFIND: {found.front.status} and {told.status}; WebDAV: {classes or 'does not say'}"
    if told.status in {401, 403}:
        return holds(True, observed, "refused")
    if classes and told.status in {404, 409, 410}:
        return holds(False, observed, "refused")
    like_nonsense = told.status == found.nonsense.status and found.front.status not in {404, 410}
    if not classes and (told.status in {405, 501} or like_nonsense):
        return holds(True, observed, "refused")
    raise NotUnderstood(f"{observed}: neither spoken nor refused")


_WRITING: Final = frozenset({"PUT", "DELETE", "PATCH", "MKCOL", "MOVE", "COPY", "PROPPATCH"})


@check(
    "web.write-methods-refused",
    principle=(SECURE_DEFAULT, DEFAULT_DENY),
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Wie niet is ingelogd, kan niets plaatsen of weghalen",
    why_nl="Een server die PUT of DELETE van iedereen aanneemt, laat de site veranderen door wie langskomt.",
    fix=(
        "limit_except GET HEAD POST { deny all; }    # nginx\n"
        "<LimitExcept GET HEAD POST>Require all denied</LimitExcept>    # Apache"
    ),
    verify="curl --silent --include --request DELETE https://NAME/keurmeester-no-such-page",
    references=("RFC 9110 section 9.3.5", "OWASP ASVS 4.0.3, 14.5.1", _DIGID),
)
def write_methods_refused(found: Methods) -> Verdict:
    """Who has not logged in can place or take away nothing.

    A server that takes PUT or DELETE from everyone lets the site be changed by who comes by. Asked is to delete a
    path that does not exist, and what it allows there (OPTIONS).
    """
    told, got = found.delete, found.get
    allowed = {one.strip().upper() for value in found.options.values("Allow") for one in value.split(",")} - {
        ""
    }
    offered = sorted(_WRITING & allowed) if found.options.status < 300 else []
    observed = f"DELETE: {told.status}; allowed: {', '.join(sorted(allowed)) or 'does not say'}"
    if told.status in {401, 403, 405, 501} and not offered:
        return holds(True, observed, "refused")
    if 200 <= told.status < 300 and got.status in {404, 410}:
        return holds(False, observed, "refused")
    if (
        told.status in {404, 410}
        and {"PUT", "DELETE"} & set(offered)
        and found.nonsense.status in {400, 405, 501}
    ):
        # It says that it deletes, it looked for what to delete, and it does refuse what it does not do.
        return holds(False, observed, "refused")
    if told.is_redirect and got.is_redirect and told.values("Location") == got.values("Location"):
        return holds(not offered, f"{observed}, as for every question", "refused")
    _broken(told, "DELETE")
    if allowed and not offered and found.options.status < 300:
        return holds(True, observed, "refused")
    raise NotUnderstood(f"{observed}: neither taken nor refused")


# --- other names ----------------------------------------------------------------------------------------------


@fact
class OtherName:
    """What a site answers when it is asked for by a name that is not its own.

    ``refusal`` says how the connection was ended, when that was the answer.
    """

    page: Page
    refusal: str
    answer: Response | None

    def __str__(self) -> str:
        return str(self.page)


def _other(raw: Raw, page: Page) -> OtherName:
    (exchange,) = exchanges(raw)
    if not exchange.received and exchange.end in {"closed", "reset"}:
        alert = exchange.note if exchange.note.startswith("TLS:") else ""
        return OtherName(page, alert or f"connection {exchange.end}", None)
    return OtherName(page, "", answer(raw))


@probe("outside", strange=Each(Page, lambda page: page.site.ask(host=STRANGE, read=WHOLE, impact=_KNOCK)))
def other_name(strange: Raw, page: Page) -> OtherName:
    """An answer in HTTP, or an end without one: the front page has shown that the server answers to its own name."""
    return _other(strange, page)


@fact
class OtherServerName:
    """The same, when the other name is asked for in TLS as well."""

    other: OtherName

    def __str__(self) -> str:
        return str(self.other)


@probe(
    "outside",
    bad_name=Each(
        Page,
        lambda page: page.site.ask(host=STRANGE, server_name=STRANGE, read=WHOLE, impact=_KNOCK),
        when=lambda page: page.site.tls,
    ),
)
def other_server_name(bad_name: Raw, page: Page) -> OtherServerName:
    """As `other_name`."""
    return OtherServerName(_other(bad_name, page))


def _no_content(other: OtherName) -> Verdict:
    expected = "no connection, an error, or on to the site's own name"
    told, own = other.answer, other.page.answer
    if told is None:
        return holds(True, other.refusal, expected)
    _broken(told, "another name")
    if told.status >= 400:
        return holds(True, f"{told.status}", expected)
    if told.is_redirect:
        return _led_on(other, told.value("Location"), expected)
    if own.status != 200 or told.status != 200:
        raise NotUnderstood(f"another name answers {told.status}, its own {own.status}")
    same_title = title(told.text) and title(told.text) == title(own.text)
    if told.body == own.body or same_title:
        return holds(False, f"the same page as for {other.page.site.name}", expected)
    if told.complete and (not told.body.strip() or (title(told.text) and title(own.text))):
        return holds(True, f"another page: {title(told.text)[:80] or 'empty'}", expected)
    raise NotUnderstood("another page, of which cannot be told whether it is the site's")


def _led_on(other: OtherName, location: str, expected: str) -> Verdict:
    """A redirect to a name of its own is fine; one that keeps the strange name leads to where all is answered."""
    if host_of(location) not in {"", STRANGE}:
        return holds(True, f"{other.answer and other.answer.status}, to {location}", expected)
    if urlsplit(location).scheme.lower() == "https" and not other.page.site.tls:
        raise Absent("HTTP sends every name on to HTTPS; what that answers is judged there")
    own = other.page.location
    if (
        urlsplit(location)._replace(scheme="", netloc="") == urlsplit(own)._replace(scheme="", netloc="")
        and own
    ):
        return holds(False, f"as for {other.page.site.name}: to {location}", expected)
    raise NotUnderstood(f"sends on to {location[:200]}")


_CATCH_ALL: Final = (
    "# nginx:\nserver { listen 443 ssl default_server; ssl_reject_handshake on; }\n"
    "server { listen 80 default_server; return 444; }"
)


@check(
    "web.other-host",
    principle=(DEFAULT_DENY, FAIL_SECURE),
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Onder een vreemde naam is de site er niet",
    why_nl=(
        "Wie de server op adres afzoekt, of een eigen naam naar dit adres laat wijzen, krijgt anders de"
        " toepassing te zien."
    ),
    fix=_CATCH_ALL,
    verify="curl --silent --include --header 'Host: keurmeester.invalid' https://NAME/",
    references=("RFC 9110 section 7.4", "OWASP WSTG 4.2, WSTG-INPV-17"),
)
def other_host(other: OtherName) -> Verdict:
    """Under a strange name the site is not there.

    Who searches for servers by address, or lets a name of his own point to this address, otherwise gets to see the
    application.
    """
    if not other.page.site.named:
        raise NotUnderstood("the inventory gives no name for this site; set the 'server_name' of its service")
    return _no_content(other)


@check(
    "web.other-server-name",
    principle=(DEFAULT_DENY, FAIL_SECURE),
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Ook wie in TLS om een vreemde naam vraagt, krijgt de site niet",
    why_nl=(
        "Anders toont de server aan elke voorbijganger zijn certificaat en zijn toepassing, bij welke naam"
        " dan ook."
    ),
    fix=_CATCH_ALL,
    verify="curl --insecure --include --connect-to ::NAME: https://keurmeester.invalid/",
    references=("RFC 6066 section 3", "RFC 9110 section 7.4"),
)
def other_server_name_refused(found: OtherServerName) -> Verdict:
    """Who asks for a strange name in TLS does not get the site either.

    Else the server shows its certificate and its application to every passer-by, by whatever name.
    """
    if not found.other.page.site.named:
        raise NotUnderstood("the inventory gives no name for this site; set the 'server_name' of its service")
    return _no_content(found.other)


@check(
    "web.host-not-copied",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De site neemt een vreemde naam niet over in haar antwoord",
    why_nl=(
        "Zo belandt de naam van een aanvaller in een doorverwijzing of in een mail voor een nieuw wachtwoord, met de"
        " sleutel erbij."
    ),
    fix="return 301 https://$server_name$request_uri;    # nginx, never $host\nUseCanonicalName On    # Apache",
    verify="curl --silent --include --header 'Host: keurmeester.invalid' https://NAME/ | grep keurmeester.invalid",
    references=("OWASP WSTG 4.2, WSTG-INPV-17", "CWE-644"),
)
def host_not_copied(other: OtherName) -> Verdict:
    """The site does not take over a strange name in its answer.

    That way the name of an attacker ends up in a redirect or in a mail for a new password, with the key along.
    """
    told = other.answer
    if told is None:
        return holds(True, other.refusal, "not in the answer")
    _broken(told, "another name")
    where = [name for name, value in told.headers if STRANGE in value.lower()]
    if told.is_html and told.status < 400:
        named = (value for one in elements(told.text) for value in one.attributes.values())
        where += ["a link in the page"] * any(host_of(value) == STRANGE for value in named)
        if not where and not told.complete:
            raise NotUnderstood("only the beginning of the page was read")
    return holds(
        not where, f"in {', '.join(where)}" if where else f"{told.status}, not in it", "not in the answer"
    )


# --- paths that nobody should find ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """A path that is known to hold what is not for visitors, and how that is recognised."""

    path: str
    marker: re.Pattern[str]
    what: str


@lru_cache
def known_paths() -> dict[str, tuple[Known, ...]]:
    """The paths of web_paths.csv, by kind."""
    found: dict[str, tuple[Known, ...]] = {}
    for row in csv.DictReader(files(__package__).joinpath("web_paths.csv").read_text().splitlines()):
        known = Known(row["path"], re.compile(row["marker"]), row["what"])
        found[row["kind"]] = (*found.get(row["kind"], ()), known)
    return found


@fact
class Attempt:
    """One known path on one site."""

    site: Site
    kind: str
    path: str

    def __str__(self) -> str:
        return self.site.url(self.path)


@probe("outside")
def attempts(sites: list[Site]) -> list[Attempt]:
    """Every known path on every site."""
    return [
        Attempt(site, kind, known.path)
        for site in sites
        for kind, paths in known_paths().items()
        for known in paths
    ]


@dataclass(frozen=True)
class Attempted:
    """What a site answers to the question for a known path."""

    attempt: Attempt
    answer: Response


def _ask(attempt: Attempt) -> Dialogue:
    return attempt.site.ask(attempt.path, read=1 << 16, impact=_KNOCK)


def _attempted(raw: Raw, attempt: Attempt) -> Attempted:
    try:
        return Attempted(attempt, answer(raw))
    except Absent as other:
        if attempt.site.declared:
            raise NotUnderstood(f"the inventory says that this is a web site; {other}") from None
        raise


@fact
class Leftover:
    """What is answered for a path where makers leave something behind."""

    attempted: Attempted

    def __str__(self) -> str:
        return str(self.attempted.attempt)


@fact
class StatusPage:
    """What is answered for a path where software tells about itself."""

    attempted: Attempted

    def __str__(self) -> str:
        return str(self.attempted.attempt)


@fact
class ManagementPage:
    """What is answered for a path where software is managed."""

    attempted: Attempted

    def __str__(self) -> str:
        return str(self.attempted.attempt)


@probe("outside", left=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "leftover"))
def leftover(left: Raw, attempt: Attempt) -> Leftover:
    """An answer in HTTP."""
    return Leftover(_attempted(left, attempt))


@probe("outside", status=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "status"))
def status_page(status: Raw, attempt: Attempt) -> StatusPage:
    """An answer in HTTP."""
    return StatusPage(_attempted(status, attempt))


@probe("outside", manage=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "management"))
def management_page(manage: Raw, attempt: Attempt) -> ManagementPage:
    """An answer in HTTP."""
    return ManagementPage(_attempted(manage, attempt))


def _nothing_there(found: Attempted) -> Verdict:
    """Whether what the path is known for is not shown: an error, a redirect, or something else altogether."""
    told, attempt = found.answer, found.attempt
    known = next(one for one in known_paths()[attempt.kind] if one.path == attempt.path)
    if told.status in {200, 203, 206} and known.marker.search(told.body.decode("latin-1")):
        return holds(False, f"{told.status}: {known.what}", "not there")
    _broken(told, attempt.path)
    if 200 <= told.status < 300:
        if not told.complete:
            raise NotUnderstood(f"{attempt.path} answers {told.status}, and more than was read")
        told.text  # noqa: B018 -- raises when it is compressed, and so was not seen
    return holds(True, f"{told.status}" + (", something else" if told.status < 300 else ""), "not there")


@check(
    "web.nothing-left-behind",
    principle=(DATA_FIRST, SECURE_DEPLOYMENT),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="web",
    title_nl="Er staan geen kopieën, wachtwoorden of broncode op de site",
    why_nl="Deze paden worden dag en nacht afgezocht. Wat er blijft liggen, heeft een ander binnen een dag.",
    fix="location ~ /\\.(?!well-known/) { return 404; }    # nginx; and take the file away",
    verify="curl --silent --include https://NAME/.git/HEAD",
    references=("OWASP WSTG 4.2, WSTG-CONF-04", "CWE-538"),
)
def nothing_left_behind(found: Leftover) -> Verdict:
    """There are no copies, passwords or source code on the site.

    These paths are searched day and night. What is left lying there, another has within a day. Whether it is what
    it seems is told by its first bytes.
    """
    return _nothing_there(found.attempted)


@check(
    "web.no-status-page",
    principle=(SECURE_DEFAULT, DATA_FIRST),
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De software vertelt bezoekers niets over zichzelf",
    why_nl="Op een statuspagina staan adressen van bezoekers, instellingen en soms wachtwoorden.",
    fix="<Location /server-status>Require local</Location>    # Apache\nallow 127.0.0.1; deny all;    # nginx",
    verify="curl --silent --include https://NAME/server-status",
    references=("OWASP WSTG 4.2, WSTG-CONF-05", "CWE-497"),
)
def no_status_page(found: StatusPage) -> Verdict:
    """The software tells visitors nothing about itself.

    On a status page there are addresses of visitors, settings and sometimes passwords.
    """
    return _nothing_there(found.attempted)


@check(
    "web.no-management-page",
    principle=(DEFAULT_DENY, SECURE_DEFAULT),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="web",
    title_nl="De beheerpagina's zijn hiervandaan niet te bereiken",
    why_nl=(
        "Een inlogscherm voor beheerders is een deur waar iedereen aan kan morrelen. Laat het alleen het"
        " beheernetwerk zien."
    ),
    fix="location /phpmyadmin/ { allow 192.0.2.128/26; deny all; }    # nginx: the network of administrators",
    verify="curl --silent --include https://NAME/phpmyadmin/",
    references=("BIO2 8.20.02", "OWASP WSTG 4.2, WSTG-CONF-05"),
)
def no_management_page(found: ManagementPage) -> Verdict:
    """The pages for management cannot be reached from here.

    A screen where administrators log in is a door that everyone can try. Show it to the network of administrators
    alone. From where was looked, stands in the report.
    """
    return _nothing_there(found.attempted)


# --- paths behind a login -------------------------------------------------------------------------------------


@fact
class ProtectedPath:
    """A path that the inventory says nobody sees without logging in."""

    site: Site
    path: str

    def __str__(self) -> str:
        return self.site.url(self.path)


@probe("outside")
def protected_paths(sites: list[Site], target: Target) -> list[ProtectedPath]:
    """The protected paths of the service on each port."""
    paths = {one.port: one.protected for one in target.services or () if one.protocol == "tcp"}
    return [ProtectedPath(site, path) for site in sites for path in paths.get(site.port, ())]


@fact
class Stranger:
    """What a protected path answers to who has not logged in."""

    protected: ProtectedPath
    answer: Response

    def __str__(self) -> str:
        return str(self.protected)


@probe(
    "outside",
    closed=Each(ProtectedPath, lambda one: one.site.ask(one.path, read=WHOLE, impact=_KNOCK)),
)
def stranger(closed: Raw, protected: ProtectedPath) -> Stranger:
    """An answer in HTTP."""
    try:
        return Stranger(protected, answer(closed))
    except Absent as other:
        raise NotUnderstood(f"the inventory says that this is a web site; {other}") from None


def _asks_password(response: Response) -> bool:
    return response.is_html and any(
        one.tag == "input" and one.get("type").lower() == "password" for one in elements(response.text)
    )


@check(
    "web.protected-path",
    principle=(FAIL_SECURE, DEFAULT_DENY),
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    platform="web",
    title_nl="Wat achter een login hoort, is zonder sessie niet te zien",
    why_nl=(
        "Een login helpt niet als de pagina erachter ook zonder opengaat. Dit is het eerste wat een aanvaller"
        " probeert."
    ),
    fix="auth_request /session;    # nginx, or ask for a session in the application, for every path unless excepted",
    verify="curl --silent --include https://NAME/mijn",
    references=("OWASP ASVS 4.0.3, 4.1.1 and 4.1.5", "DigiD norm 3.0, U/TV.01"),
)
def protected_path(found: Stranger) -> Verdict:
    """What belongs behind a login is not to be seen without a session.

    A login does not help when the page behind it opens without one too. It is the first thing an attacker tries.
    The paths are those that the inventory lists as ``protected``.
    """
    told, site, path = found.answer, found.protected.site, found.protected.path
    expected = "401, 403, or on to a login"
    if told.status in {401, 403}:
        return holds(True, f"{told.status}", expected)
    if told.is_redirect:
        location = told.value("Location")
        if not site.tls and location.lower().startswith("https://"):
            raise Absent("HTTP sends on to HTTPS; what that answers is judged there")
        if urlsplit(location).path.rstrip("/") == urlsplit(path).path.rstrip("/"):
            raise NotUnderstood(f"sends on to the same path: {location[:200]}")
        return holds(True, f"{told.status}, to {location}", expected)
    if 200 <= told.status < 300:
        asks = _asks_password(told)
        if not asks and not told.complete:
            raise NotUnderstood("only the beginning of the page was read")
        return holds(asks, f"{told.status}: {'asks for a password' if asks else 'a page'}", expected)
    raise NotUnderstood(f"{path} answers {told.status}: whether it is protected cannot be told")


# --- examples -------------------------------------------------------------------------------------------------

_PAGE: Final = made.page(body="<title>Gemeente Zandmeer</title><p>Welkom")
_405: Final = "HTTP/1.1 405 Not Allowed\nContent-Length: 0\n\n"
_404: Final = "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"
_BUSY: Final = "HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n"
_ALLOW: Final = "HTTP/1.1 200 OK\nAllow: {}\nContent-Length: 0\n\n"
_CLOSED: Final = spoken("", end="closed")
_ALERT: Final = spoken("", end="reset", note="TLS: TLSV1_UNRECOGNIZED_NAME")
_NO_CONSENT: Final = Gap(State.ERROR, Cause.POLICY, "the inventory consents to look; write 'consent: knock'")


def _methods(talk: str = _PAGE, **more: object) -> dict[str, object]:
    refused = dict.fromkeys(("trace", "front", "propfind", "options", "delete", "nonsense"), _405)
    return made.site(talk, **{**refused, "missed": _404, **more})


_ECHOED: Final = """\
HTTP/1.1 200 OK
Content-Type: text/plain

TRACE / HTTP/1.1
X-Keurmeester: keurmeester-echo
"""
_MULTISTATUS: Final = """\
HTTP/1.1 207 Multi-Status
Content-Type: application/xml

<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>/</D:href></D:response></D:multistatus>"""
_TO_LOGIN: Final = (
    "HTTP/1.1 302 Found\nLocation: https://login.example.nl/?back=%2Fmijn\nContent-Length: 0\n\n"
)

examples(
    trace_refused,
    passes=[
        _methods(),
        _methods(trace=_PAGE),
        _methods(trace="HTTP/1.1 501 Not Implemented\nContent-Length: 0\n\n"),
    ],
    fails=[_methods(trace=_ECHOED), _methods(trace=_ECHOED.replace("200 OK", "403 Forbidden"))],
    unknown=[
        _methods(trace=_BUSY),
        _methods(trace=_CLOSED),
        _methods(trace=_PAGE.replace("Length: ", "Length: 9")),
    ],
    error=_methods(trace=_NO_CONSENT),
)
_DAV: Final = _ALLOW.replace("Allow", "DAV: 1,2\nAllow").format("OPTIONS,MKCOL,PUT,LOCK")
_403: Final = _404.replace("404 Not Found", "403 Forbidden")
examples(
    webdav_refused,
    passes=[
        _methods(),
        _methods(front=_PAGE, propfind=_404, nonsense=_404),
        _methods(front=_403, propfind=_403, options=_DAV),
    ],
    fails=[
        _methods(front=_MULTISTATUS),
        _methods(front=_MULTISTATUS.replace("207 Multi-Status", "200 OK")),
        _methods(propfind=_404, options=_DAV),
    ],
    unknown=[
        _methods(propfind=_BUSY),
        _methods(_404, front=_404, propfind=_404, nonsense=_404),
        _methods(options=_DAV),
        _methods(propfind=_404),
    ],
)
examples(
    write_methods_refused,
    passes=[
        _methods(),
        _methods(delete=_404, options=_ALLOW.format("GET, HEAD, OPTIONS")),
        _methods(delete=_TO_LOGIN, missed=_TO_LOGIN),
    ],
    fails=[
        _methods(delete="HTTP/1.1 204 No Content\n\n"),
        _methods(delete="HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        _methods(delete=_404, options=_ALLOW.format("OPTIONS,MKCOL,PUT,LOCK")),
    ],
    unknown=[
        _methods(delete=_404),
        _methods(delete=_PAGE, missed=_PAGE),
        _methods(delete=_BUSY),
        _methods(options=_ALLOW.format("GET, PUT, DELETE")),
        _methods(delete=_404, nonsense=_404, options=_ALLOW.format("GET, PUT, DELETE")),
    ],
)


def _named(strange: object, talk: str = _PAGE) -> dict[str, object]:
    return made.site(talk, strange=strange)


def _bad(bad_name: object, talk: str = _PAGE) -> dict[str, object]:
    return made.site(talk, bad_name=bad_name)


_TO_SITE: Final = "HTTP/1.1 301 Moved Permanently\nLocation: https://www.example.nl/\nContent-Length: 0\n\n"
_TO_STRANGE: Final = _TO_SITE.replace("www.example.nl", "keurmeester.invalid")
_TO_NL: Final = "HTTP/1.1 302 Found\nLocation: /nl/\nContent-Length: 0\n\n"
_NAMELESS: Final = [{**made.HTTPS, "server_name": ""}]
_OTHER_PAGE: Final = made.page(body="<title>Welcome to nginx!</title>")
examples(
    other_host,
    passes=[
        _named(_404),
        _named("HTTP/1.1 421 Misdirected Request\nContent-Length: 0\n\n"),
        _named(_CLOSED),
        _named(_TO_SITE),
        _named(_OTHER_PAGE),
        _named("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ],
    fails=[
        _named(_PAGE),
        _named(_PAGE.replace("Welkom", "Hallo!")),
        _named(_TO_NL, _TO_NL),
        _named(_TO_STRANGE.replace("invalid/", "invalid/nl/"), _TO_NL),
    ],
    unknown=[
        _named(_BUSY),
        _named("<p>hello</p>"),
        _named(_TO_STRANGE),
        _named(made.page(body="<p>Welkom")),
        made.site(_PAGE, strange=_404, services=_NAMELESS),
    ],
    notapplicable=made.plain(_TO_SITE, strange=_TO_STRANGE),
    error=_named(_NO_CONSENT),
)
examples(
    other_server_name_refused,
    passes=[_bad(_ALERT), _bad(_404)],
    fails=_bad(_PAGE),
    unknown=_bad("\x15\x03"),
    notapplicable=made.plain(_PAGE),
)
examples(
    host_not_copied,
    passes=[_named(_404), _named(_ALERT), _named(_TO_SITE), _named(_PAGE)],
    fails=[
        _named(_TO_STRANGE),
        made.plain(_TO_SITE, strange=_TO_STRANGE),
        _named(made.page(body="<link rel=canonical href='https://keurmeester.invalid/'>")),
        _named("HTTP/1.1 200 OK\nSet-Cookie: a=1; Domain=keurmeester.invalid\nContent-Length: 0\n\n"),
    ],
    unknown=_named(_BUSY),
)


def _paths(kind: str, path: str, text: object) -> dict[str, object]:
    """An example in which one known path gives this answer, and the others are not found."""
    source = {"leftover": "left", "status": "status", "management": "manage"}[kind]
    said = {f"https://www.example.nl{known.path}": _404 for known in known_paths()[kind]}
    return made.site(_PAGE, **{source: {**said, f"https://www.example.nl{path}": text}})


def _file(kind: str, body: str, status: str = "200 OK") -> str:
    return f"HTTP/1.1 {status}\nContent-Type: {kind}\nContent-Length: {len(body)}\n\n{body}"


_GIT: Final = _file("application/octet-stream", "ref: refs/heads/main\n")
_ENV: Final = _file("text/plain", "APP_ENV=production\nDB_PASSWORD=geheim\n")
_ZIP_BEGINS: Final = spoken(
    "HTTP/1.1 200 OK\nContent-Type: application/zip\nContent-Length: 900000000\n\nPK\x03\x04\x14\0",
    end="done",
)
_TARBALL: Final = _file("application/x-gzip\nContent-Encoding: x-gzip", "\x1f\x8b\x08\x00\x00\x00")
examples(
    nothing_left_behind,
    passes=[
        _paths("leftover", "/.env", _404),
        _paths("leftover", "/.env", _PAGE),
        _paths("leftover", "/.git/HEAD", _file("text/plain", "ref: refs/", status="403 Forbidden")),
        _paths("leftover", "/.git/HEAD", _TO_LOGIN),
    ],
    fails=[
        _paths("leftover", "/.git/HEAD", _GIT),
        _paths("leftover", "/.env", _ENV),
        _paths("leftover", "/backup.zip", _ZIP_BEGINS),
        _paths("leftover", "/backup.tar.gz", _TARBALL),
    ],
    unknown=[
        _paths("leftover", "/.env", _BUSY),
        _paths("leftover", "/.env", _file("text/html\nContent-Encoding: gzip", "\x1f\x8b\x08")),
        _paths("leftover", "/.env", spoken("HTTP/1.1 200 OK\nContent-Length: 900000\n\nabc", end="done")),
    ],
    notapplicable={**_paths("leftover", "/.env", _404), **made.undeclared(22, "SSH-2.0-OpenSSH_9.2\r\n")},
    error=_paths("leftover", "/.env", _NO_CONSENT),
)
examples(
    no_status_page,
    passes=_paths("status", "/server-status", _PAGE),
    fails=[
        _paths(
            "status", "/server-status", made.page(body="<h1>Apache Server Status for www.example.nl</h1>")
        ),
        _paths("status", "/nginx_status", _file("text/plain", "Active connections: 1 \nserver accepts")),
        _paths("status", "/actuator", _file("application/json", '{"_links":{"self":{"href":"/actuator"}}}')),
    ],
)
examples(
    no_management_page,
    passes=[
        _paths("management", "/manager/html", "HTTP/1.1 401 Unauthorized\nContent-Length: 0\n\n"),
        _paths("management", "/phpmyadmin/", _PAGE),
    ],
    fails=[
        _paths("management", "/phpmyadmin/", made.page(body="<title>phpMyAdmin</title>")),
        _paths("management", "/wp-login.php", made.page(body='<input type="submit" name="wp-submit">')),
    ],
)


def _closed(text: str, services: dict[str, object] = made.HTTPS) -> dict[str, object]:
    return made.site(_PAGE, services=[{**services, "protected": ["/mijn"]}], closed=text)


_LOGIN_FORM: Final = made.page(
    body="<form method=post><input name=user><INPUT TYPE=password name=pass></form>"
)
examples(
    protected_path,
    passes=[
        _closed("HTTP/1.1 403 Forbidden\nContent-Length: 0\n\n"),
        _closed(_TO_LOGIN),
        _closed(_LOGIN_FORM),
    ],
    fails=[_closed(_PAGE), _closed(_file("application/json", '{"bsn": "..."}'))],
    unknown=[
        _closed(_404),
        _closed(_BUSY),
        _closed("HTTP/1.1 301 Moved\nLocation: /mijn/\nContent-Length: 0\n\n"),
        _closed("\x15\x03\x01\0\x02\x02\x28"),
    ],
    notapplicable=[
        made.site(_PAGE),
        _closed(_TO_LOGIN.replace("login.example.nl/?back=%2Fmijn", "www.example.nl/mijn"), made.HTTP),
    ],
)
