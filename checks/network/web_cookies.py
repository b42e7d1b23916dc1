"""Cookies and sessions of web sites: who gets to see them, and where they end up."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from checks.network import example_pages as made
from checks.network._html import elements, host_of
from checks.network._http import Response, answer
from checks.network._site import Landing, Page, landing_of
from checks.network.web_headers import DIGID, show
from scanner import (
    DATA_FIRST,
    SECURE_DEFAULT,
    Absent,
    Each,
    Layer,
    NotUnderstood,
    Row,
    Severity,
    Timed,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    table,
)


@dataclass(frozen=True)
class Cookie:
    """One cookie as a browser takes it (RFC 6265 section 5.2)."""

    name: str
    attributes: dict[str, str]

    @property
    def same_site(self) -> str:
        """Lax, Strict or None in lower case; empty when it does not say."""
        return self.attributes.get("samesite", "")


@fact
class Cookies:
    """The cookies that the way to the front page sets, and over what."""

    page: Page
    cookies: tuple[Cookie, ...]

    def __str__(self) -> str:
        return str(self.page)


def _cookie(line: str, now: float) -> Cookie | None:
    """None for a line that takes a cookie away: Max-Age goes before Expires (RFC 6265 section 5.3)."""
    pair, *rest = line.split(";")
    name, equals, _ = pair.partition("=")
    attributes = {}
    for part in rest:
        key, _, given = part.partition("=")
        attributes[key.strip().lower()] = given.strip().lower()
    lasts = attributes.get("max-age", "")
    if re.fullmatch(r"-?[0-9]+", lasts):
        gone = lasts.startswith("-") or not lasts.strip("0")
    else:
        gone = _is_past(attributes.get("expires", ""), now)
    return None if gone else Cookie(name.strip() if equals else "", attributes)


def _is_past(expires: str, now: float) -> bool:
    """Whether a date of HTTP, which is in UTC, has come; a date that cannot be read is ignored."""
    try:
        return parsedate_to_datetime(expires).replace(tzinfo=UTC).timestamp() <= now
    except (ValueError, OverflowError):
        return False


@probe("outside", landed=Each(Page, landing_of))
def cookies(landed: Timed, page: Page) -> Cookies:
    """The Set-Cookie headers of the front page and of the page it leads to within the site."""
    lines = (*page.answer.values("Set-Cookie"), *answer(landed).values("Set-Cookie"))
    found = tuple(one for line in dict.fromkeys(lines) if (one := _cookie(line, landed.at)))
    if not found:
        raise Absent("no cookie is set")
    return Cookies(page, found)


@dataclass(frozen=True, kw_only=True)
class CookieRow(Row):
    """A claim about every cookie that is set."""

    good: Callable[[Cookie, bool], bool]
    expected: str
    layer: Layer = Layer.APPLICATION


#: Cookies that a script in the page must read: tokens against forged requests that it sends back in a header.
_FOR_SCRIPTS: Final = re.compile(
    r"(?i)(?:__(?:host|secure)-)?(?:xsrf-token|csrftoken|csrf-token|_csrf_token)"
)


def _prefixed(cookie: Cookie, tls: bool) -> bool:
    """RFC 6265bis section 4.1.3: a browser refuses a cookie whose prefix promises what it does not do."""
    name, attributes = cookie.name.lower(), cookie.attributes
    if not tls or "secure" not in attributes:
        return False
    if name.startswith("__host-"):
        return attributes.get("path") == "/" and not attributes.get("domain")
    return name.startswith("__secure-")


_COOKIE_FIX: Final = (
    "Set-Cookie: __Host-session=...; Path=/; Secure; HttpOnly; SameSite=Lax    # what the site sends"
)

COOKIES: Final = (
    CookieRow(
        id="web.cookie-secure",
        principle=(DATA_FIRST, SECURE_DEFAULT),
        severity=Severity.HIGH,
        title="Cookies go over HTTPS alone",
        why="One picture over HTTP is enough to see a cookie without Secure go by, and to take over the session.",
        title_nl="Cookies gaan alleen over HTTPS",
        why_nl=(
            "Eén plaatje over HTTP is genoeg om een cookie zonder Secure voorbij te zien komen, en de sessie"
            " over te nemen."
        ),
        fix=_COOKIE_FIX,
        verify=show("Set-Cookie"),
        references=(DIGID, "RFC 6265 section 4.1.2.5", "OWASP ASVS 4.0.3, 3.4.1"),
        good=lambda cookie, tls: tls and "secure" in cookie.attributes,
        expected="Secure, over HTTPS",
    ),
    CookieRow(
        id="web.cookie-http-only",
        principle=SECURE_DEFAULT,
        severity=Severity.MEDIUM,
        title="Scripts cannot read the cookies",
        why=(
            "A script that got into the page otherwise takes the session along. Tokens that a script must"
            " read are exempt."
        ),
        title_nl="Scripts kunnen de cookies niet lezen",
        why_nl=(
            "Een binnengedrongen script neemt anders de sessie mee. Tokens die een script moet lezen, zijn"
            " uitgezonderd."
        ),
        fix=_COOKIE_FIX,
        verify=show("Set-Cookie"),
        references=(DIGID, "RFC 6265 section 4.1.2.6", "OWASP ASVS 4.0.3, 3.4.2"),
        good=lambda cookie, tls: "httponly" in cookie.attributes or bool(_FOR_SCRIPTS.fullmatch(cookie.name)),
        expected="HttpOnly",
    ),
    CookieRow(
        id="web.cookie-same-site",
        principle=SECURE_DEFAULT,
        severity=Severity.MEDIUM,
        title="Cookies do not go along with requests of other sites",
        why="Otherwise another site can let the visitor do something here unknowingly, with his own session.",
        title_nl="Cookies gaan niet mee met vragen vanaf andere sites",
        why_nl="Anders kan een andere site de bezoeker hier ongemerkt iets laten doen, met zijn eigen sessie.",
        fix=_COOKIE_FIX,
        verify=show("Set-Cookie"),
        references=("RFC 6265bis section 4.1.2.7", "OWASP ASVS 4.0.3, 3.4.3"),
        good=lambda cookie, tls: cookie.same_site in {"lax", "strict"},
        expected="SameSite=Lax or Strict",
    ),
    CookieRow(
        id="web.cookie-prefix",
        principle=SECURE_DEFAULT,
        severity=Severity.LOW,
        title="The name of a cookie says that it is bound to this site",
        why="A cookie that is called __Host- cannot be planted by another name in the domain, or over HTTP.",
        title_nl="De naam van een cookie zegt dat zij bij deze site hoort",
        why_nl="Een cookie die __Host- heet, kan niet door een andere naam in het domein of over HTTP zijn gezet.",
        fix=_COOKIE_FIX,
        verify=show("Set-Cookie"),
        references=("RFC 6265bis section 4.1.3", "OWASP ASVS 4.0.3, 3.4.4"),
        good=_prefixed,
        expected="__Host- (or __Secure-), and what that promises",
    ),
)


@table(*COOKIES, platform="web")
def cookies_say(found: Cookies, *, row: CookieRow) -> Verdict:
    """Every cookie that is set says what the row claims."""
    tls = found.page.site.tls
    wrong = [one.name or "(no name)" for one in found.cookies if not row.good(one, tls)]
    over = "" if tls else " over HTTP"
    observed = f"not so: {', '.join(wrong)}{over}" if wrong else f"all {len(found.cookies)} cookies"
    return holds(not wrong, observed, row.expected)


@check(
    "web.cache-personal",
    principle=DATA_FIRST,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Een antwoord met een cookie wordt niet voor anderen bewaard",
    why_nl="Een cache onderweg die het bewaart, geeft de cookie van de een aan de ander, of diens pagina.",
    fix='add_header Cache-Control "no-store" always;    # nginx, where pages are personal',
    verify=show("Cache-Control"),
    references=(DIGID, "RFC 9111 section 7.3", "OWASP ASVS 4.0.3, 8.2.1"),
)
def cache_personal(landing: Landing) -> Verdict:
    """An answer with a cookie is not kept for others.

    A cache on the way that keeps it gives the cookie of one to another, or their page.
    """
    setting = [one for one in (landing.page.answer, landing.answer) if one.values("Set-Cookie")]
    if not setting:
        raise Absent("no cookie is set")
    kept = [one for one in setting if _is_kept(one)]
    values = [", ".join(one.values("Cache-Control")) or "no Cache-Control" for one in kept or setting]
    return holds(not kept, "; ".join(dict.fromkeys(values)), "no-store, private or no-cache")


#: Statuses that a cache keeps when nothing is said of it (RFC 9110 section 15.1).
_KEPT: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
#: What lets it keep any answer (RFC 9111 section 3).
_MAY_KEEP: Final = frozenset({"public", "max-age", "s-maxage"})


def _is_kept(response: Response) -> bool:
    said = _directives(response)
    if {"no-store", "private", "no-cache"} & set(said):
        return False
    told = _MAY_KEEP & {one.partition("=")[0].strip() for one in said} or response.values("Expires")
    return bool(told) or response.status in _KEPT


def _directives(response: Response) -> list[str]:
    """The directives that hold for all of an answer: 'private="x"' is about one header alone (RFC 9111 5.2.2.7)."""
    return [part.strip().lower() for one in response.values("Cache-Control") for part in one.split(",")]


_SESSION: Final = re.compile(
    r"(?i)(?:[;?&](?:jsessionid|phpsessid|aspsessionid\w*|asp\.net_sessionid|cfid|session_?id)=[\w.!-]{8,}"
    r"|/\(S\([a-z0-9]{24}\)\)/)"
)


@check(
    "web.no-session-in-url",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Er staat geen sessie in een adres",
    why_nl="Een adres belandt in logboeken, bladwijzers en bij andere sites. Wie het heeft, heeft de sessie.",
    fix=(
        "<tracking-mode>COOKIE</tracking-mode>    # web.xml, session-config\n"
        "session.use_only_cookies = 1    # php.ini"
    ),
    verify="curl --silent https://NAME/ | grep -i -E 'jsessionid|phpsessid'    # prints nothing",
    references=(DIGID, "OWASP ASVS 4.0.3, 3.1.1"),
)
def no_session_in_url(landing: Landing) -> Verdict:
    """There is no session in an address.

    An address ends up in logs, bookmarks and with other sites. Who has it, has the session. Looked at are the
    links, forms and redirect of the front page.
    """
    found = _SESSION.findall(landing.page.location)
    if landing.answer.status >= 400 and not found:
        raise NotUnderstood(f"the front page answers {landing.answer.status}")
    if landing.answer.is_html:
        text = landing.answer.text
        own = {"", landing.page.site.name}
        addresses = (one.get(name) for one in elements(text) for name in ("href", "action", "src"))
        found += [
            match[0]
            for address in addresses
            if host_of(address) in own and (match := _SESSION.search(address))
        ]
        if not found and not landing.answer.complete:
            raise NotUnderstood("only the beginning of the page was read")
    elif not found:
        raise Absent(f"no page for a browser: {landing.answer.kind or 'empty'}")
    named = dict.fromkeys(re.sub(r"=.*", "=...", one) for one in found)
    return holds(not found, ", ".join(named) or "none in the front page", "none")


# --- examples -------------------------------------------------------------------------------------------------


def _with(*headers: str, **more: str) -> dict[str, object]:
    return made.site(made.page(*headers, **more))


_BARE: Final = _with()
_JSON: Final = made.site(made.JSON)
_TO_NL: Final = made.redirect("/nl/", "302 Found")
_TO_PORTAL: Final = made.redirect("https://portal.example.nl/", "302 Found")


def _cookies(*lines: str) -> dict[str, object]:
    return _with(*(f"Set-Cookie: {line}" for line in lines))


_GOOD_COOKIE: Final = "__Host-session=3f9c; Path=/; Secure; HttpOnly; SameSite=Lax"
_GONE_COOKIE: Final = "old=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
_OVER_HTTP: Final = made.plain(made.page(f"Set-Cookie: {_GOOD_COOKIE}"))
examples(
    "web.cookie-secure",
    passes=[
        _cookies(_GOOD_COOKIE),
        _cookies("a=1;SECURE", _GONE_COOKIE),
        made.site(_TO_NL, landed=made.page(f"Set-Cookie: {_GOOD_COOKIE}")),
    ],
    fails=[
        _cookies(_GOOD_COOKIE, "lang=nl; Path=/"),
        _cookies("a=1; Max-Age=3600; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        _cookies("a=1; Expires=Fri, 01 Jan 2038 19:70:00 GMT"),
        _cookies("a=Secure; Path=/secure"),
        _OVER_HTTP,
        made.site(_TO_PORTAL.replace("Content-Length", "Set-Cookie: a=1\nContent-Length"), landed=_TO_PORTAL),
    ],
    notapplicable=[
        _BARE,
        _cookies(_GONE_COOKIE),
        _cookies("old=; Max-Age=0"),
        _cookies(
            "old=; Expires=Fri, 31-Dec-1999 23:00:00 GMT",
            "old=deleted; expires=Sun, 06 Sep 2026 08:00:00 GMT",
        ),
    ],
)
examples(
    "web.cookie-http-only",
    passes=[_cookies(_GOOD_COOKIE), _cookies(_GOOD_COOKIE, "XSRF-TOKEN=1; Secure")],
    fails=[_cookies("session=1; Secure"), _cookies("not-XSRF-TOKEN=1; Secure")],
)
examples(
    "web.cookie-same-site",
    passes=[_cookies(_GOOD_COOKIE), _cookies("a=1; samesite=STRICT")],
    fails=[_cookies("a=1; Secure"), _cookies("a=1; SameSite=None; Secure"), _cookies("a=1; SameSite")],
)
examples(
    "web.cookie-prefix",
    passes=[_cookies(_GOOD_COOKIE), _cookies("__Secure-a=1; Secure; Domain=example.nl")],
    fails=[
        _cookies("session=1; Secure"),
        _cookies("__Host-a=1; Secure; Path=/; Domain=example.nl"),
        _cookies("__Host-a=1; Secure; Path=/mijn"),
        _cookies("__Host-a=1; Path=/"),
    ],
)
_SETTING: Final = _TO_NL.replace("Content-Length", f"Set-Cookie: {_GOOD_COOKIE}\nContent-Length")
examples(
    cache_personal,
    passes=[
        _with(f"Set-Cookie: {_GOOD_COOKIE}", "Cache-Control: no-store, max-age=0"),
        _with(f"Set-Cookie: {_GOOD_COOKIE}", "Cache-Control: max-age=60, Private"),
        made.site(_SETTING, landed=made.page()),
    ],
    fails=[
        _cookies(_GOOD_COOKIE),
        _with(f"Set-Cookie: {_GOOD_COOKIE}", "Cache-Control: public, max-age=600"),
        made.site(_SETTING.replace("302 Found", "301 Moved Permanently"), landed=made.page()),
        made.site(_SETTING.replace("Server: nginx", "Cache-Control: max-age=60"), landed=made.page()),
        _with(f"Set-Cookie: {_GOOD_COOKIE}", 'Cache-Control: private="x-user", max-age=600'),
    ],
    notapplicable=_BARE,
)
examples(
    no_session_in_url,
    passes=[
        _BARE,
        _with(body="<a href='/?q=1'>a</a><!-- <a href='/;jsessionid=0123456789'> -->"),
        _with(body="<a href='https://other.example/;jsessionid=0123456789'>a</a>"),
    ],
    fails=[
        _with(body="<a href='/start;jsessionid=5AC6268DD8D4D5D1FDF5D41E9F2FD960'>a</a>"),
        _with(body="<form action=/zoek?PHPSESSID=r2t5uvjq435r4q7ib3vtdjq120>"),
        made.site(_TO_NL.replace("/nl/", "/(S(lit3py55t21z5v55vlm25s55))/"), landed=made.page()),
    ],
    unknown=made.site(made.page().replace("Content-Length: ", "Content-Length: 9"), landed=made.page()),
    notapplicable=_JSON,
)
