"""Paths of web sites that are not for visitors: what was left behind, tells of the insides, or needs a login.

The known paths are in web_paths.csv, each with what it is recognised by (in the page, or in the realm of a 401) and the
source of that. A site gets one finding for all paths of a kind.
"""

from __future__ import annotations

import csv
import html
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from checks.network import example_pages as made
from checks.network._html import elements, host_of, joined, title
from checks.network._http import WHOLE, Response, answer, must_be_site, must_work, spoken
from checks.network._site import MADE_UP, Site, front_of
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    SECURE_DEPLOYMENT,
    Absent,
    Blind,
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
    realm: re.Pattern[str] | None
    what: str

    def recognises(self, told: Response) -> bool:
        """Whether this answer is what the path is known for, or asks for the password of that."""
        if told.status == 401 and self.realm:
            return any(self.realm.search(value) for value in told.values("WWW-Authenticate"))
        return told.status in {200, 203, 206} and bool(self.marker.search(told.body.decode("latin-1")))


@lru_cache
def known_paths() -> dict[str, tuple[Known, ...]]:
    """The paths of web_paths.csv, by kind."""
    found: dict[str, tuple[Known, ...]] = {}
    for row in csv.DictReader(files(__package__).joinpath("web_paths.csv").read_text().splitlines()):
        realm = re.compile(row["realm"]) if row["realm"] else None
        known = Known(row["path"], re.compile(row["marker"]), realm, row["what"])
        found[row["kind"]] = (*found.get(row["kind"], ()), known)
    return found


@fact
class Door:
    """A site, what its front page answers and what a path that does not exist, or why there is no answer."""

    site: Site
    front: Response | Gap
    missing: Response | Gap

    def __str__(self) -> str:
        return str(self.site)

    @property
    def elsewhere(self) -> Site | None:
        """The site that both lead to, when that is this name over HTTPS."""
        sites = {_over_https(self.site, one) for one in (self.front, self.missing)}
        return sites.pop() if len(sites) == 1 else None


def _over_https(site: Site, told: Response | Gap) -> Site | None:
    location = told.value("Location") if isinstance(told, Response) and told.is_redirect else ""
    if site.tls or not location.lower().startswith("https://") or host_of(location) != site.name:
        return None
    try:
        return replace(site, tls=True, port=urlsplit(location).port or 443)
    except ValueError:
        return None


@probe(
    "outside",
    talk=Each(Site, front_of),
    missed=Each(Site, lambda site: site.ask(MADE_UP, read=WHOLE)),
)
def door(talk: Raw | Gap, missed: Raw | Gap, site: Site) -> Door:
    """Both are asked by other checks as well. What is positively no HTTP on a port that nobody declared is no site."""
    found = []
    for raw in (talk, missed):
        try:
            found.append(raw if isinstance(raw, Gap) else answer(raw))
        except Absent as other:
            if not site.declared:
                raise
            found.append(_unknown(f"the inventory says that this is a web site; {other}"))
        except NotUnderstood as reason:
            found.append(_unknown(str(reason)))
    return Door(site, *found)


def _unknown(detail: str) -> Gap:
    return Gap(State.UNKNOWN, Cause.PARSE, detail)


@fact
class Attempt:
    """One known path on one site; ``front`` and ``missing`` are as those of its door."""

    site: Site
    kind: str
    path: str
    front: Response | Gap
    missing: Response

    def __str__(self) -> str:
        return self.site.url(self.path)

    @property
    def further_address(self) -> str:
        """As that of its site."""
        return self.site.further_address


@probe("outside")
def attempts(doors: list[Door]) -> list[Attempt]:
    """Every known path on every site: but none where it cannot be told how a path that is not there answers."""
    return [
        Attempt(door.site, kind, known.path, door.front, door.missing)
        for door in doors
        if isinstance(door.missing, Response)
        for kind, paths in known_paths().items()
        for known in paths
        if kind != "leftover" or not _judged_there(door, doors)
    ]


def _judged_there(door: Door, doors: list[Door]) -> bool:
    """Whether this site sends all on to another that is asked for its files.

    That goes for files alone: a status page or one for management is often meant for HTTP, beside a redirect of the
    rest.
    """
    return any(replace(other.site, declared=door.site.declared) == door.elsewhere for other in doors)


@dataclass(frozen=True)
class Attempted:
    """What a site answers to the question for a known path, or why there is no answer."""

    attempt: Attempt
    answer: Response | Gap

    def __str__(self) -> str:
        return str(self.attempt)


def _ask(attempt: Attempt) -> Dialogue:
    return attempt.site.ask(attempt.path, read=1 << 16, impact=_KNOCK)


def _attempted(raw: Raw | Gap, attempt: Attempt) -> Attempted:
    """The front page has shown that HTTP is spoken here: another protocol tells nothing of this path."""
    if isinstance(raw, Gap):
        return Attempted(attempt, raw)
    try:
        return Attempted(attempt, answer(raw))
    except (Absent, NotUnderstood) as reason:
        return Attempted(attempt, _unknown(str(reason)))


@fact
class Leftover:
    """What is answered for a path where makers leave something behind."""

    attempted: Attempted


@fact
class StatusPage:
    """What is answered for a path where software tells about itself."""

    attempted: Attempted


@fact
class ManagementPage:
    """What is answered for a path where software is managed."""

    attempted: Attempted


@probe("outside", left=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "leftover"))
def leftover(left: Raw | Gap, attempt: Attempt) -> Leftover:
    """An answer in HTTP, or why there is none."""
    return Leftover(_attempted(left, attempt))


@probe("outside", status=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "status"))
def status_page(status: Raw | Gap, attempt: Attempt) -> StatusPage:
    """As `leftover`."""
    return StatusPage(_attempted(status, attempt))


@probe("outside", manage=Each(Attempt, _ask, when=lambda attempt: attempt.kind == "management"))
def management_page(manage: Raw | Gap, attempt: Attempt) -> ManagementPage:
    """As `leftover`."""
    return ManagementPage(_attempted(manage, attempt))


def _none_there(door: Door, tried: Iterable[Attempted]) -> Verdict:
    """Whether none of the known paths shows what it is known for. One that was not seen takes no fail away."""
    if isinstance(door.missing, Gap):
        raise _unclear([(MADE_UP, door.missing)])
    shown: list[str] = []
    unclear: list[tuple[str, Gap]] = []
    statuses: Counter[int] = Counter()
    for one in (one for one in tried if one.attempt.site == door.site):
        try:
            told = _seen(one)
        except NotUnderstood as reason:
            unclear.append((one.attempt.path, _unknown(str(reason))))
            continue
        if isinstance(told, Gap):
            unclear.append((one.attempt.path, told))
            continue
        statuses[told.status] += 1
        if (known := _known(one)).recognises(told):
            shown.append(f"{known.path}: {told.status}, {known.what}")
    expected = "none of the known paths is there"
    if shown:
        return holds(False, "; ".join(shown), expected)
    if unclear:
        raise _unclear(unclear)
    if not statuses:
        raise Absent(f"all leads to {door.elsewhere}, and is judged there")
    counted = ", ".join(f"{status} ({count})" for status, count in sorted(statuses.items()))
    return holds(True, f"{statuses.total()} paths asked for: {counted}", expected)


def _unclear(gaps: list[tuple[str, Gap]]) -> Blind | NotUnderstood:
    """The worst of them in words: an error before what was not understood."""
    path, worst = min(gaps, key=lambda one: one[1].state is not State.ERROR)
    more = f"; and {len(gaps) - 1} more of these paths" if len(gaps) > 1 else ""
    told = f"{path}: {worst.detail}{more}"
    return Blind(told, worst.cause) if worst.state is State.ERROR else NotUnderstood(told)


def _known(one: Attempted) -> Known:
    return next(known for known in known_paths()[one.attempt.kind] if known.path == one.attempt.path)


def _seen(one: Attempted) -> Response | Gap:
    """The answer, when it can be judged: what is there is recognised, or it says positively that nothing is."""
    told, attempt, known = one.answer, one.attempt, _known(one)
    if isinstance(told, Gap):
        return told
    if known.recognises(told):
        if known.recognises(attempt.missing):
            raise NotUnderstood("the same is shown for a path that does not exist")
        return told
    if isinstance(attempt.front, Gap):
        return attempt.front
    must_work(told, attempt.path)
    must_be_site(told, blocked_too=False)
    if told.status in {401, 403} and told.status == attempt.front.status:
        raise NotUnderstood(f"the whole site answers {told.status}, this path as well")
    if told.status == 401 and attempt.kind == "management":
        raise NotUnderstood("401: something asks for a password there")
    if 200 <= told.status < 300:
        if not told.complete:
            raise NotUnderstood(f"{told.status}, and more than was read")
        told.text  # noqa: B018 -- raises when it is compressed, and so was not seen
    if told.is_redirect and _same_page(attempt.site, attempt.path, told.value("Location")):
        raise NotUnderstood(f"moved, and not asked there: {told.value('Location')[:200]}")
    return told


def _same_page(site: Site, path: str, location: str) -> bool:
    """Whether a redirect within the site only gives the path another shape: /nl/phpmyadmin for /phpmyadmin/."""
    moved = urlsplit(site.path_of(joined(site.url(path), location)) or "").path.lower()
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
def nothing_left_behind(door: Door, found: list[Leftover]) -> Verdict:
    """There are no copies, passwords or source code on the site.

    These paths are searched day and night. What is left lying there, another has within a day. Whether it is what
    it seems is told by its first bytes.
    """
    return _none_there(door, (one.attempted for one in found))


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
def no_status_page(door: Door, found: list[StatusPage]) -> Verdict:
    """The software tells visitors nothing about itself.

    On a status page there are addresses of visitors, settings and sometimes passwords.
    """
    return _none_there(door, (one.attempted for one in found))


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
def no_management_page(door: Door, found: list[ManagementPage]) -> Verdict:
    """The pages for management cannot be reached from here.

    A screen where administrators log in is a door that everyone can try. Show it to the network of administrators
    alone. From where was looked, stands in the report.
    """
    return _none_there(door, (one.attempted for one in found))


# --- paths behind a login -------------------------------------------------------------------------------------


@fact
class ProtectedPath:
    """A path that the inventory says nobody sees without logging in."""

    site: Site
    path: str

    def __str__(self) -> str:
        return self.site.url(self.path)

    @property
    def further_address(self) -> str:
        """As that of its site."""
        return self.site.further_address


@probe("outside")
def protected_paths(sites: list[Site], target: Target) -> list[ProtectedPath]:
    """The protected paths of the service on each port."""
    paths = {one.port: one.protected for one in target.services or () if one.protocol == "tcp"}
    return [ProtectedPath(site, path) for site in sites for path in paths.get(site.port, ())]


@fact
class ProtectedPage:
    """What a protected path answers to who has not logged in.

    ``front`` is the front page of its site, ``missing`` what it answers for a path that does not exist.
    """

    protected: ProtectedPath
    answer: Response
    front: Response
    missing: Response

    def __str__(self) -> str:
        return str(self.protected)


@probe(
    "outside",
    closed=Each(ProtectedPath, lambda one: one.site.ask(one.path, read=WHOLE, impact=_KNOCK)),
    talk=Each(ProtectedPath, lambda one: front_of(one.site)),
    missed=Each(ProtectedPath, lambda one: one.site.ask(MADE_UP, read=WHOLE)),
)
def protected_page(closed: Raw, talk: Raw, missed: Raw, protected: ProtectedPath) -> ProtectedPage:
    """Answers in HTTP; the front page is asked for once, however many paths there are."""
    try:
        found = ProtectedPage(protected, answer(closed), answer(talk), answer(missed))
    except Absent as other:
        raise NotUnderstood(f"the inventory says that this is a web site; {other}") from None
    must_be_site(found.answer)
    return found


#: Words by which a login is known, as whole parts of an address.
_LOGIN: Final = re.compile(
    r"(?i)(?:^|[/?&=._-])(?:log-?[io]n|inloggen|aanmelden|sign-?in|sso|saml2?|oauth2?|openid|oidc|adfs|cas|digid|eherkenning"
    r"|eidas|authn?|authenticat\w*|authorize)(?=$|[/?&=._#-])"
)


#: What a page sends to where one logs in: SAML 2.0 HTTP POST binding (section 3.5.4), WS-Federation (section 13.2.1).
_SIGN_IN: Final = frozenset({"samlrequest", "wsignin1.0"})
_REFRESH: Final = re.compile(r"(?i)\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?[\"']?(.*?)[\"']?\s*")
_UNSEEN: Final = re.compile(
    r"(?is)<!--.*?(?:-->|\Z)|<(script|style|noscript|title|template)\b.*?(?:</\1\s*>|\Z)|<[^>]*(?:>|\Z)"
)


def _leads_to_login(protected: ProtectedPath, location: str) -> bool:
    """Whether an address is that of a login by its words, but for those of the site's name and of the asked path."""
    other = re.sub(re.escape(protected.site.name), "", location, flags=re.IGNORECASE)
    return _LOGIN.search(other.replace(protected.path.rstrip("/"), "")) is not None


def _asks_login(response: Response, protected: ProtectedPath) -> bool:
    """Whether the page has a field for a password, or sends the visitor on to where one logs in."""
    for one in elements(response.text) if response.is_html else ():
        hidden = one.tag == "input" and {one.get("name").lower(), one.get("value").lower()} & _SIGN_IN
        if hidden or (one.tag == "input" and one.get("type").lower() == "password"):
            return True
        onward = (
            _REFRESH.fullmatch(one.get("content")) if one.get("http-equiv").lower() == "refresh" else None
        )
        if onward and _leads_to_login(protected, onward[1]):
            return True
    return False


def _must_show(found: ProtectedPage) -> None:
    """Raises NotUnderstood when the page need not be what belongs behind the login."""
    told = found.answer
    for what, other in (("the front page", found.front), ("a path that does not exist", found.missing)):
        same_title = told.is_html and title(told.text) and title(told.text) == title(other.text)
        if other.status == told.status and (other.body == told.body or same_title):
            raise NotUnderstood(f"the same page as for {what}: what it shows after that cannot be told")
    if told.is_html and not html.unescape(_UNSEEN.sub("", told.text)).strip():
        raise NotUnderstood("a page without words: what its scripts show cannot be told")


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
    if told.status == 403 and found.front.status == 403:
        raise NotUnderstood("the whole site answers 403, this path as well")
    if told.status in {401, 403}:
        return holds(True, f"{told.status}", expected)
    if told.is_redirect:
        location = told.value("Location")
        if not site.tls and location.lower().startswith("https://"):
            raise Absent("HTTP sends on to HTTPS; what that answers is judged there")
        if not _leads_to_login(found.protected, location):
            raise NotUnderstood(f"sends on to what may be no login: {location[:200]}")
        return holds(True, f"{told.status}, to {location}", expected)
    if 200 <= told.status < 300:
        asks = _asks_login(told, found.protected)
        if asks and _asks_login(found.front, found.protected):
            raise NotUnderstood("every page asks to log in: what else this one shows cannot be told")
        if not asks and not told.complete:
            raise NotUnderstood("only the beginning of the page was read")
        if not asks:
            _must_show(found)
        return holds(asks, f"{told.status}: {'asks to log in' if asks else 'a page'}", expected)
    raise NotUnderstood(f"{path} answers {told.status}: whether it is protected cannot be told")


# --- examples -------------------------------------------------------------------------------------------------

_PAGE: Final = made.page(body="<title>Gemeente Zandmeer</title><p>Welkom")
_TO_LOGIN: Final = made.redirect("https://login.example.nl/?back=%2Fmijn", "302 Found")
_NO_CONSENT: Final = Gap(State.ERROR, Cause.POLICY, "the inventory consents to look; write 'consent: knock'")


_403: Final = "HTTP/1.1 403 Forbidden\nContent-Length: 0\n\n"
_401: Final = 'HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm="{}"\nContent-Length: 0\n\n'
_PHPMYADMIN: Final = made.page(body="<title>phpMyAdmin</title>")
_CHALLENGE: Final = made.page(
    "cf-mitigated: challenge", status="403 Forbidden", body="<title>Just a moment...</title>"
)
_REJECTED: Final = made.page(
    body="<html><head><title>Request Rejected</title></head><body>The requested URL was rejected. Please consult with"
    " your administrator.<br><br>Your support ID is: 4045204596866416688<br></body></html>"
)


def _paths(
    kind: str, path: str, text: object, front: str = _PAGE, missed: object = made.NOT_FOUND
) -> dict[str, object]:
    """An example in which one known path gives this answer, and the others are not found."""
    source = {"leftover": "left", "status": "status", "management": "manage"}[kind]
    said = {f"https://www.example.nl{known.path}": made.NOT_FOUND for known in known_paths()[kind]}
    answers = {source: {**said, f"https://www.example.nl{path}": text}, "missed": missed}
    return made.site(front, **answers)


def _file(kind: str, body: str, status: str = "200 OK") -> str:
    return f"HTTP/1.1 {status}\nContent-Type: {kind}\nContent-Length: {len(body)}\n\n{body}"


_GIT: Final = _file("application/octet-stream", "ref: refs/heads/main\n")
_ENV: Final = _file("text/plain", "APP_ENV=production\nDB_PASSWORD=geheim\n")
_ZIP_BEGINS: Final = spoken(
    "HTTP/1.1 200 OK\nContent-Type: application/zip\nContent-Length: 900000000\n\nPK\x03\x04\x14\0",
    end="done",
)
_URL: Final = "https://www.example.nl"
_NONE_LEFT: Final = {_URL + known.path: made.NOT_FOUND for known in known_paths()["leftover"]}
_UNDECLARED: Final = {"target": {"services": [], "domains": ["www.example.nl"]}}
_TARBALL: Final = _file("application/x-gzip\nContent-Encoding: x-gzip", "\x1f\x8b\x08\x00\x00\x00")
examples(
    nothing_left_behind,
    passes=[
        _paths("leftover", "/.env", made.NOT_FOUND),
        _paths("leftover", "/.env", _PAGE),
        _paths("leftover", "/.env", made.page(body="<script>\nAPI_URL='/'\nABC=1\n</script>")),
        _paths("leftover", "/.git/HEAD", _file("text/plain", "ref: refs/", status="403 Forbidden")),
        _paths("leftover", "/.git/HEAD", _TO_LOGIN),
        _paths("leftover", "/.git/HEAD", _REJECTED),
    ],
    fails=[
        _paths("leftover", "/.git/HEAD", _GIT),
        _paths("leftover", "/.env", _ENV),
        _paths("leftover", "/.env", _file("text/html", "# settings\n\nDB_HOST=db\n")),
        _paths("leftover", "/backup.zip", _ZIP_BEGINS),
        _paths("leftover", "/backup.tar.gz", _TARBALL),
        _paths("leftover", "/.env", _ENV, missed=made.BUSY),
    ],
    unknown=[
        _paths("leftover", "/.env", made.BUSY),
        _paths("leftover", "/.env", _403, _403),
        _paths("leftover", "/.env", _file("text/html\nContent-Encoding: gzip", "\x1f\x8b\x08")),
        _paths("leftover", "/.env", spoken("HTTP/1.1 200 OK\nContent-Length: 900000\n\nabc", end="done")),
        _paths("leftover", "/.env", made.NOT_FOUND, missed="?"),
        {**_paths("leftover", "/.env", spoken("220 wait\r\n")), **_UNDECLARED},
    ],
    notapplicable={
        **_paths("leftover", "/.env", made.NOT_FOUND),
        **made.undeclared(22, "SSH-2.0-OpenSSH_9.2\r\n"),
    },
    error=[
        _paths("leftover", "/.env", _NO_CONSENT),
        made.site(
            _PAGE,
            left={**_NONE_LEFT, _URL + "/.env": _NO_CONSENT, _URL + "/id_rsa": "?"},
            missed=made.NOT_FOUND,
        ),
    ],
)
examples(
    no_status_page,
    passes=[
        _paths("status", "/server-status", _PAGE),
        _paths("status", "/debug/pprof/", made.page(body="<title>/debug/pprof/</title> is er niet")),
        _paths("status", "/server-status", _401.format("beheer")),
    ],
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
        _paths("management", "/manager/html", _403),
        _paths("management", "/phpmyadmin/", _PAGE),
        _paths("management", "/phpmyadmin/", made.redirect("/nl/")),
    ],
    unknown=[
        _paths("management", "/phpmyadmin/", made.redirect("/phpMyAdmin/")),
        _paths("management", "/phpmyadmin/", made.redirect("index.php?route=/")),
        _paths("management", "/manager/html", _401.format("intranet")),
        _paths("management", "/phpmyadmin/", _PHPMYADMIN, missed=_PHPMYADMIN),
        _paths("management", "/phpmyadmin/", _CHALLENGE),
    ],
    fails=[
        _paths("management", "/manager/html", _401.format("Tomcat Manager Application")),
        _paths("management", "/phpmyadmin/", _PHPMYADMIN, front=_403),
        _paths("management", "/phpmyadmin/", made.page(body="<title>phpMyAdmin</title>")),
        _paths("management", "/wp-login.php", made.page(body='<input type="submit" name="wp-submit">')),
    ],
)


_PROTECTED: Final = [{**made.HTTPS, "protected": ["/mijn"]}]


def _closed(text: str, services: dict[str, object] = made.HTTPS, path: str = "/mijn") -> dict[str, object]:
    listed = [{**services, "protected": [path]}]
    return made.site(_PAGE, services=listed, closed=text, missed=made.NOT_FOUND)


_MINE: Final = made.page(body="<title>Mijn zaken</title><p>U hebt 2 zaken")
_MINE_AS_WELL: Final = spoken(_MINE)
_SHELL: Final = made.page(body="<title>Mijn zaken</title><div id=app></div><script src=/app.js></script>")
_LOGIN_FORM: Final = made.page(
    body="<form method=post><input name=user><INPUT TYPE=password name=pass></form>"
)
examples(
    protected_path,
    passes=[
        _closed("HTTP/1.1 403 Forbidden\nContent-Length: 0\n\n"),
        _closed(_TO_LOGIN),
        _closed(_LOGIN_FORM),
        _closed(
            made.page(body="<form method=post><input type=hidden name=SAMLRequest value=PHNhbWw></form>")
        ),
        _closed(made.page(body="<meta http-equiv=refresh content='0; url=/inloggen?terug=/mijn'>")),
    ],
    fails=[_closed(_MINE), _closed(_file("application/json", '{"bsn": "..."}'))],
    unknown=[
        _closed(_PAGE),
        _closed(_SHELL),
        _closed(_REJECTED),
        {**_closed(_MINE), "missed": _MINE_AS_WELL},
        {**_closed(_403), "talk": spoken(_403)},
        _closed(made.page(body="<meta http-equiv=refresh content='0; url=/nl/mijn'>")),
        _closed(made.NOT_FOUND),
        _closed(made.BUSY),
        _closed("HTTP/1.1 301 Moved\nLocation: /mijn/\nContent-Length: 0\n\n"),
        _closed("HTTP/1.1 302 Found\nLocation: /mijn/overzicht\nContent-Length: 0\n\n"),
        _closed("HTTP/1.1 302 Found\nLocation: /mijn/authors\nContent-Length: 0\n\n"),
        {**_closed(_LOGIN_FORM), **made.site(_LOGIN_FORM, services=_PROTECTED, closed=_LOGIN_FORM)},
        _closed("\x15\x03\x01\0\x02\x02\x28"),
        _closed(
            made.redirect("https://sso.example.nl/mijn/overzicht"),
            {**made.HTTPS, "server_name": "sso.example.nl"},
        ),
        _closed(made.redirect("/sso/mijn/"), path="/sso/mijn"),
        _closed(made.page(body="<meta http-equiv=refresh content='0; url=/sso/mijn/'>"), path="/sso/mijn"),
    ],
    notapplicable=[
        made.site(_PAGE),
        _closed(_TO_LOGIN.replace("login.example.nl/?back=%2Fmijn", "www.example.nl/mijn"), made.HTTP),
    ],
)
