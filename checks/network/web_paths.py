"""Paths of web sites that are not for visitors: what was left behind, tells of the insides, or needs a login.

The known paths are in web_paths.csv, each with what it is recognised by and the source of that.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from checks.network import example_pages as made
from checks.network._html import elements
from checks.network._http import WHOLE, Response, answer, must_work, spoken
from checks.network._site import Site, front_of
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
    fact,
    holds,
    probe,
)

_KNOCK: Final = Impact.KNOCK


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
    """What a site answers to the question for a known path; ``front`` is its front page."""

    attempt: Attempt
    answer: Response
    front: Response


def _ask(attempt: Attempt) -> Dialogue:
    return attempt.site.ask(attempt.path, read=1 << 16, impact=_KNOCK)


def _front(attempt: Attempt) -> Dialogue:
    return front_of(attempt.site)


def _attempted(raw: Raw, front: Raw, attempt: Attempt) -> Attempted:
    try:
        return Attempted(attempt, answer(raw), answer(front))
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


@probe(
    "outside",
    left=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "leftover"),
    talk=Each(Attempt, _front),
)
def leftover(left: Raw, talk: Raw, attempt: Attempt) -> Leftover:
    """An answer in HTTP."""
    return Leftover(_attempted(left, talk, attempt))


@probe(
    "outside",
    status=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "status"),
    talk=Each(Attempt, _front),
)
def status_page(status: Raw, talk: Raw, attempt: Attempt) -> StatusPage:
    """An answer in HTTP."""
    return StatusPage(_attempted(status, talk, attempt))


@probe(
    "outside",
    manage=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "management"),
    talk=Each(Attempt, _front),
)
def management_page(manage: Raw, talk: Raw, attempt: Attempt) -> ManagementPage:
    """An answer in HTTP."""
    return ManagementPage(_attempted(manage, talk, attempt))


def _nothing_there(found: Attempted) -> Verdict:
    """Whether what the path is known for is not shown: an error, a redirect, or something else altogether."""
    told, attempt = found.answer, found.attempt
    known = next(one for one in known_paths()[attempt.kind] if one.path == attempt.path)
    if told.status in {200, 203, 206} and known.marker.search(told.body.decode("latin-1")):
        return holds(False, f"{told.status}: {known.what}", "not there")
    must_work(told, attempt.path)
    if 200 <= told.status < 300:
        if not told.complete:
            raise NotUnderstood(f"{attempt.path} answers {told.status}, and more than was read")
        told.text  # noqa: B018 -- raises when it is compressed, and so was not seen
    if told.is_redirect and _same_page(attempt.site, attempt.path, told.value("Location")):
        raise NotUnderstood(f"moved, and not asked there: {told.value('Location')[:200]}")
    return holds(True, f"{told.status}" + (", something else" if told.status < 300 else ""), "not there")


def _same_page(site: Site, path: str, location: str) -> bool:
    """Whether a redirect within the site only gives the path another shape: /nl/phpmyadmin for /phpmyadmin/."""
    moved = urlsplit(site.path_of(location) or "").path.lower()
    return urlsplit(path).path.strip("/").lower() in moved


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
    told, front = found.attempted.answer, found.attempted.front
    if told.status in {401, 403} and front.status == told.status:
        raise NotUnderstood(f"the whole site answers {told.status}, this path as well")
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
class ProtectedPage:
    """What a protected path answers to who has not logged in; ``front`` is the front page of its site."""

    protected: ProtectedPath
    answer: Response
    front: Response

    def __str__(self) -> str:
        return str(self.protected)


@probe(
    "outside",
    closed=Each(ProtectedPath, lambda one: one.site.ask(one.path, read=WHOLE, impact=_KNOCK)),
    talk=Each(ProtectedPath, lambda one: front_of(one.site)),
)
def protected_page(closed: Raw, talk: Raw, protected: ProtectedPath) -> ProtectedPage:
    """Two answers in HTTP; the front page is asked for once, however many paths there are."""
    try:
        return ProtectedPage(protected, answer(closed), answer(talk))
    except Absent as other:
        raise NotUnderstood(f"the inventory says that this is a web site; {other}") from None


#: Words by which a login is known, as whole parts of an address.
_LOGIN: Final = re.compile(
    r"(?i)(?:^|[/?&=._-])(?:log-?[io]n|inloggen|aanmelden|sign-?in|sso|saml2?|oauth2?|openid|oidc|adfs|cas|digid|eherkenning"
    r"|eidas|authn?|authenticat\w*|authorize)(?=$|[/?&=._#-])"
)


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
def protected_path(found: ProtectedPage) -> Verdict:
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
        if not _LOGIN.search(location):
            raise NotUnderstood(f"sends on to what may be no login: {location[:200]}")
        return holds(True, f"{told.status}, to {location}", expected)
    if 200 <= told.status < 300:
        asks = _asks_password(told)
        if not asks and not told.complete:
            raise NotUnderstood("only the beginning of the page was read")
        if asks and _asks_password(found.front):
            raise NotUnderstood("every page asks for a password: what else this one shows cannot be told")
        return holds(asks, f"{told.status}: {'asks for a password' if asks else 'a page'}", expected)
    raise NotUnderstood(f"{path} answers {told.status}: whether it is protected cannot be told")


# --- examples -------------------------------------------------------------------------------------------------

_PAGE: Final = made.page(body="<title>Gemeente Zandmeer</title><p>Welkom")
_TO_LOGIN: Final = made.redirect("https://login.example.nl/?back=%2Fmijn", "302 Found")
_NO_CONSENT: Final = Gap(State.ERROR, Cause.POLICY, "the inventory consents to look; write 'consent: knock'")


_403: Final = "HTTP/1.1 403 Forbidden\nContent-Length: 0\n\n"


def _paths(kind: str, path: str, text: object, front: str = _PAGE) -> dict[str, object]:
    """An example in which one known path gives this answer, and the others are not found."""
    source = {"leftover": "left", "status": "status", "management": "manage"}[kind]
    said = {f"https://www.example.nl{known.path}": made.NOT_FOUND for known in known_paths()[kind]}
    return made.site(front, **{source: {**said, f"https://www.example.nl{path}": text}})


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
        _paths("leftover", "/.env", made.NOT_FOUND),
        _paths("leftover", "/.env", _PAGE),
        _paths("leftover", "/.env", made.page(body="<script>\nAPI_URL='/'\nABC=1\n</script>")),
        _paths("leftover", "/.git/HEAD", _file("text/plain", "ref: refs/", status="403 Forbidden")),
        _paths("leftover", "/.git/HEAD", _TO_LOGIN),
    ],
    fails=[
        _paths("leftover", "/.git/HEAD", _GIT),
        _paths("leftover", "/.env", _ENV),
        _paths("leftover", "/.env", _file("text/html", "# settings\n\nDB_HOST=db\n")),
        _paths("leftover", "/backup.zip", _ZIP_BEGINS),
        _paths("leftover", "/backup.tar.gz", _TARBALL),
    ],
    unknown=[
        _paths("leftover", "/.env", made.BUSY),
        _paths("leftover", "/.env", _403, _403),
        _paths("leftover", "/.env", _file("text/html\nContent-Encoding: gzip", "\x1f\x8b\x08")),
        _paths("leftover", "/.env", spoken("HTTP/1.1 200 OK\nContent-Length: 900000\n\nabc", end="done")),
    ],
    notapplicable={
        **_paths("leftover", "/.env", made.NOT_FOUND),
        **made.undeclared(22, "SSH-2.0-OpenSSH_9.2\r\n"),
    },
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
        _paths("management", "/phpmyadmin/", made.redirect("/nl/")),
    ],
    unknown=_paths("management", "/phpmyadmin/", made.redirect("/phpMyAdmin/")),
    fails=[
        _paths("management", "/phpmyadmin/", made.page(body="<title>phpMyAdmin</title>")),
        _paths("management", "/wp-login.php", made.page(body='<input type="submit" name="wp-submit">')),
    ],
)


_PROTECTED: Final = [{**made.HTTPS, "protected": ["/mijn"]}]


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
        _closed(made.NOT_FOUND),
        _closed(made.BUSY),
        _closed("HTTP/1.1 301 Moved\nLocation: /mijn/\nContent-Length: 0\n\n"),
        _closed("HTTP/1.1 302 Found\nLocation: /mijn/overzicht\nContent-Length: 0\n\n"),
        _closed("HTTP/1.1 302 Found\nLocation: /mijn/authors\nContent-Length: 0\n\n"),
        {**_closed(_LOGIN_FORM), **made.site(_LOGIN_FORM, services=_PROTECTED, closed=_LOGIN_FORM)},
        _closed("\x15\x03\x01\0\x02\x02\x28"),
    ],
    notapplicable=[
        made.site(_PAGE),
        _closed(_TO_LOGIN.replace("login.example.nl/?back=%2Fmijn", "www.example.nl/mijn"), made.HTTP),
    ],
)
