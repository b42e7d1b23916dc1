"""What web sites tell a browser to allow: the headers that the DigiD assessment demands, cookies, and what they
give away.

Judged is the page that a visitor of the front page sees. Every other page should have the same headers; that is not
measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from checks.network import example_pages as made
from checks.network._html import elements, host_of
from checks.network._http import Response, answer
from checks.network._site import Landing, Page, landing_of
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    IN_DEPTH,
    SECURE_DEFAULT,
    Absent,
    Each,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    table,
)

_DIGID: Final = "DigiD norm 3.0, U/PW.02 (NOREA test approach since 2020)"
_INTERNET_NL: Final = "Internet.nl, test of web sites, security options"

Found = tuple[bool, str]
"""Whether a claim holds, and what was seen."""


# --- Content-Security-Policy ----------------------------------------------------------------------------------

Policy = dict[str, tuple[str, ...]]
_STRONG: Final = re.compile(r"'(?:nonce-|sha(?:256|384|512)-)[^']+'")
#: Sources that let in everybody: any host, any host with that scheme, or what is written in the address itself.
_ANYONE: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:|(?:https?://)?\*(?:\.[a-z]{2,})?(?::(?:\d+|\*))?/?)")
#: Schemes that only name what the page itself made.
_OWN: Final = frozenset({"blob:", "filesystem:", "mediastream:"})


def policies(response: Response) -> list[Policy]:
    """The policies in force, each directive once (CSP 3, section 2.2): all of them must allow something."""
    found = []
    for value in response.values("Content-Security-Policy"):
        for text in value.split(","):
            policy: Policy = {}
            for directive in text.split(";"):
                name, *sources = directive.split() or [""]
                policy.setdefault(name.lower(), tuple(sources))
            policy.pop("", None)
            if policy:
                found.append(policy)
    return found


def _open(sources: Iterable[str]) -> list[str]:
    """The sources in a list that let in everybody."""
    return [one for one in sources if _ANYONE.fullmatch(one.lower()) and one.lower() not in _OWN]


def _unsafe(sources: tuple[str, ...]) -> list[str]:
    """What makes a list of script sources worthless (CSP 3, sections 6.7.3 and 8.2)."""
    lowered = [one.lower() for one in sources]
    strict = "'strict-dynamic'" in lowered
    strong = strict or any(_STRONG.fullmatch(one) for one in lowered)
    found = [] if strict else _open(sources)
    found += ["'unsafe-eval'"] if "'unsafe-eval'" in lowered else []
    found += ["'unsafe-inline'"] if "'unsafe-inline'" in lowered and not strong else []
    return found


def _script_faults(policy: Policy) -> list[str]:
    base = policy.get("script-src", policy.get("default-src"))
    lists: Policy = {name: policy[name] for name in ("script-src-elem", "script-src-attr") if name in policy}
    if base is None and len(lists) < 2:
        return ["no script-src or default-src"]
    lists["script-src"] = base or ()
    return [fault for sources in lists.values() for fault in _unsafe(sources)]


def _any_policy(response: Response, faults: Callable[[Policy], list[str]]) -> Found:
    """Whether one policy is without faults: the strictest one decides."""
    known = policies(response)
    if not known:
        return False, "no Content-Security-Policy"
    told = [faults(policy) for policy in known]
    best = min(told, key=len)
    return not best, ", ".join(dict.fromkeys(best)) or "none of these faults"


def _listed(*names: str) -> Callable[[Policy], list[str]]:
    """Faults of directives that must be there and let in not everybody."""

    def faults(policy: Policy) -> list[str]:
        missing = [f"no {name}" for name in names if name not in policy]
        return missing + [f"{name} {one}" for name in names for one in _open(policy.get(name, ()))]

    return faults


def _csp_present(response: Response) -> Found:
    known = policies(response)
    if known:
        return True, "; ".join(response.values("Content-Security-Policy"))
    reported = "; in Report-Only, which forbids nothing"
    return False, "none" + (reported if response.values("Content-Security-Policy-Report-Only") else "")


# --- the other headers ----------------------------------------------------------------------------------------


def _tokens(response: Response, name: str) -> list[str]:
    """The comma separated values of a header, in lower case, without parameters."""
    values = [part for value in response.values(name) for part in value.split(",")]
    return [part.partition(";")[0].strip().lower() for part in values if part.strip()]


def _nosniff(response: Response) -> Found:
    """Fetch, section 3.6: the first value decides."""
    found = _tokens(response, "X-Content-Type-Options")
    return found[:1] == ["nosniff"], ", ".join(found) or "no X-Content-Type-Options"


def _framing(response: Response) -> Found:
    """frame-ancestors where there is one, else X-Frame-Options (CSP 3, section 6.4.2.2)."""
    ancestors = [policy["frame-ancestors"] for policy in policies(response) if "frame-ancestors" in policy]
    if ancestors:
        best = min(ancestors, key=lambda sources: len(_open(sources)))
        return not _open(best), f"frame-ancestors {' '.join(best)}"
    found = set(_tokens(response, "X-Frame-Options"))
    return found in ({"deny"}, {"sameorigin"}), ", ".join(
        sorted(found)
    ) or "no frame-ancestors or X-Frame-Options"


_REFERRER: Final = frozenset(
    {"no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
     "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url"}
)  # fmt: skip
_REFERRER_GOOD: Final = frozenset(
    {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
)


def _referrer(response: Response) -> Found:
    """Referrer Policy, section 8.1: the last value that is known decides."""
    known = [one for one in _tokens(response, "Referrer-Policy") if one in _REFERRER]
    return bool(known) and known[-1] in _REFERRER_GOOD, known[-1] if known else "no Referrer-Policy"


#: The key and the value that browsers understand: a list between brackets, * or self (RFC 9651 section 3.2).
_FEATURE: Final = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=(\((?:[^()\"]|\"[^\"]*\")*\)|\*|self)(?:;[^,]*)?\s*")
_POWERFUL: Final = frozenset({"camera", "microphone", "geolocation", "display-capture", "payment", "usb"})


def _permissions(response: Response) -> Found:
    value = ", ".join(response.values("Permissions-Policy"))
    if not value.strip():
        return False, "no Permissions-Policy"
    features = [_FEATURE.fullmatch(part) for part in re.split(r",(?![^(]*\))", value)]
    known = [match for match in features if match]
    if len(known) != len(features):
        return False, f"not valid: {value}"
    everyone = [match[1] for match in known if match[1] in _POWERFUL and re.search(r"(?:^|[( ])\*", match[2])]
    return not everyone, f"{', '.join(everyone)} for everyone" if everyone else value


def _one_of(name: str, *good: str) -> Callable[[Response], Found]:
    def judge(response: Response) -> Found:
        found = _tokens(response, name)
        return len(set(found)) == 1 and found[0] in good, ", ".join(found) or f"no {name}"

    return judge


@dataclass(frozen=True, kw_only=True)
class HeaderRow(Row):
    """A claim about the headers of a page. ``pages_only`` when it means nothing for what is no HTML."""

    judge: Callable[[Response], Found]
    expected: str
    layer: Layer = Layer.APPLICATION
    pages_only: bool = True


def _header(line: str) -> str:
    name, _, value = line.partition(": ")
    return f'add_header {name} "{value}" always;    # nginx\nHeader always set {name} "{value}"    # Apache'


def _show(name: str) -> str:
    return f"curl --silent --head https://NAME/ | grep -i '^{name.lower()}'"


_CSP: Final = "Content-Security-Policy"
_CSP_GOOD: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

HEADERS: Final = (
    HeaderRow(
        id="web.csp",
        principle=(DEFAULT_DENY, IN_DEPTH),
        severity=Severity.MEDIUM,
        title="The page has a Content-Security-Policy",
        why=(
            "It tells the browser which scripts, styles and frames belong to the site. What an attacker gets into the"
            " page is then not carried out."
        ),
        title_nl="De pagina heeft een Content-Security-Policy",
        why_nl=(
            "Daarmee weet de browser welke scripts, stijlen en frames bij de site horen. Wat een aanvaller in de pagina"
            " krijgt, wordt dan niet uitgevoerd."
        ),
        fix=_header(f"{_CSP}: {_CSP_GOOD}"),
        verify=_show(_CSP),
        references=(_DIGID, f"{_INTERNET_NL} (CSP)", "W3C Content Security Policy Level 3"),
        judge=_csp_present,
        expected=_CSP,
    ),
    HeaderRow(
        id="web.csp-scripts",
        principle=(DEFAULT_DENY, IN_DEPTH),
        severity=Severity.MEDIUM,
        title="The policy keeps out scripts of others and scripts in the page",
        why="With 'unsafe-inline', 'unsafe-eval' or a wildcard the policy lets through what it is there to stop.",
        title_nl="Het beleid houdt scripts van anderen en losse scripts in de pagina tegen",
        why_nl="Met 'unsafe-inline', 'unsafe-eval' of een jokerteken laat het beleid door waar het tegen bedoeld is.",
        fix=_header(f"{_CSP}: {_CSP_GOOD}"),
        verify=_show(_CSP),
        references=(_DIGID, f"{_INTERNET_NL} (CSP)", "W3C Content Security Policy Level 3, section 8.2"),
        judge=lambda response: _any_policy(response, _script_faults),
        expected="script-src or default-src without 'unsafe-inline', 'unsafe-eval', *, http:, https: or data:",
    ),
    HeaderRow(
        id="web.csp-default",
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        title="The policy denies by default",
        why="What default-src does not close is open: each new kind of content that browsers learn to load.",
        title_nl="Het beleid weigert wat niet genoemd is",
        why_nl="Wat default-src niet sluit, staat open: ook elke nieuwe soort inhoud die browsers leren laden.",
        fix=_header(f"{_CSP}: {_CSP_GOOD}"),
        verify=_show(_CSP),
        references=(f"{_INTERNET_NL} (CSP)", "W3C Content Security Policy Level 3, section 6.1.3"),
        judge=lambda response: _any_policy(response, _listed("default-src")),
        expected="default-src 'none' or 'self', or hosts by name",
    ),
    HeaderRow(
        id="web.csp-document",
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        title="The policy says where forms go, who may frame the page and what its base is",
        why="These do not fall under default-src: when they are not named, everything is allowed.",
        title_nl="Het beleid zegt waar formulieren heen gaan, wie de pagina mag inlijsten en wat haar basis is",
        why_nl="Deze vallen niet onder default-src: worden ze niet genoemd, dan mag alles.",
        fix=_header(f"{_CSP}: {_CSP_GOOD}"),
        verify=_show(_CSP),
        references=(
            _DIGID,
            f"{_INTERNET_NL} (CSP)",
            "W3C Content Security Policy Level 3, sections 6.3 and 6.4",
        ),
        judge=lambda response: _any_policy(response, _listed("base-uri", "form-action", "frame-ancestors")),
        expected="base-uri, form-action and frame-ancestors, without wildcards",
    ),
    HeaderRow(
        id="web.nosniff",
        principle=SECURE_DEFAULT,
        severity=Severity.MEDIUM,
        title="A browser does not guess what kind of file it gets",
        why="A browser that guesses can take an uploaded picture for a script, and run it.",
        title_nl="De browser raadt niet wat voor bestand hij krijgt",
        why_nl="Een browser die raadt, kan een geüpload plaatje voor een script aanzien, en het uitvoeren.",
        fix=_header("X-Content-Type-Options: nosniff"),
        verify=_show("X-Content-Type-Options"),
        references=(_DIGID, f"{_INTERNET_NL} (X-Content-Type-Options)", "WHATWG Fetch, section 3.6"),
        judge=_nosniff,
        expected="nosniff",
        pages_only=False,
    ),
    HeaderRow(
        id="web.framing",
        principle=DEFAULT_DENY,
        severity=Severity.MEDIUM,
        title="Other sites cannot show the page in a frame",
        why="Who can frame a page lays a picture over it, and lets the visitor click without knowing on what.",
        title_nl="Andere sites kunnen de pagina niet in een frame tonen",
        why_nl=(
            "Wie een pagina kan inlijsten, legt er een plaatje over en laat de bezoeker klikken zonder te"
            " weten waarop."
        ),
        fix=_header(f"{_CSP}: frame-ancestors 'self'"),
        verify=_show(_CSP),
        references=(_DIGID, f"{_INTERNET_NL} (X-Frame-Options)", "RFC 7034"),
        judge=_framing,
        expected="frame-ancestors with 'none', 'self' or named hosts; or X-Frame-Options DENY or SAMEORIGIN",
    ),
    HeaderRow(
        id="web.referrer-policy",
        principle=DATA_FIRST,
        severity=Severity.MEDIUM,
        title="The address of a page is not told to other sites",
        why="An address may hold a case number or what someone searched for: other sites have no business with it.",
        title_nl="Het adres van een pagina wordt niet aan andere sites verteld",
        why_nl="In een adres kan een zaaknummer staan, of wat iemand zocht: dat gaat andere sites niets aan.",
        fix=_header("Referrer-Policy: same-origin"),
        verify=_show("Referrer-Policy"),
        references=(_DIGID, f"{_INTERNET_NL} (Referrer-Policy)", "W3C Referrer Policy, section 8.1"),
        judge=_referrer,
        expected=", ".join(sorted(_REFERRER_GOOD)),
    ),
    HeaderRow(
        id="web.permissions-policy",
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        title="The page says which powers of the browser it uses",
        why="What the page does not need, such as camera and location, a script that got into it cannot use either.",
        title_nl="De pagina zegt welke mogelijkheden van de browser zij gebruikt",
        why_nl=(
            "Wat de pagina niet nodig heeft, zoals camera en locatie, kan een binnengedrongen script ook niet"
            " gebruiken."
        ),
        fix=_header("Permissions-Policy: camera=(), microphone=(), geolocation=()"),
        verify=_show("Permissions-Policy"),
        references=("W3C Permissions Policy, section 6.1", "RFC 9651 section 3.2"),
        judge=_permissions,
        expected="Permissions-Policy, valid, with no powerful feature for everyone",
    ),
    HeaderRow(
        id="web.opener-policy",
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        title="The page shares no window with other sites",
        why="A site that opens the page in a window could otherwise hold on to it, and swap it for another.",
        title_nl="De pagina deelt geen venster met andere sites",
        why_nl="Een site die de pagina in een venster opent, kan dat anders vasthouden en er iets anders in zetten.",
        fix=_header("Cross-Origin-Opener-Policy: same-origin"),
        verify=_show("Cross-Origin-Opener-Policy"),
        references=("WHATWG HTML, section 7.1.3",),
        judge=_one_of(
            "Cross-Origin-Opener-Policy", "same-origin", "same-origin-allow-popups", "noopener-allow-popups"
        ),
        expected="same-origin, same-origin-allow-popups or noopener-allow-popups",
    ),
    HeaderRow(
        id="web.resource-policy",
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        title="Other sites cannot load the page into their own",
        why="What another site can load, it can read from the memory of the browser by way of the processor.",
        title_nl="Andere sites kunnen de pagina niet in die van henzelf laden",
        why_nl="Wat een andere site kan laden, kan zij via de processor uit het geheugen van de browser lezen.",
        fix=_header("Cross-Origin-Resource-Policy: same-origin"),
        verify=_show("Cross-Origin-Resource-Policy"),
        references=("WHATWG Fetch, section 3.7",),
        judge=_one_of("Cross-Origin-Resource-Policy", "same-origin", "same-site"),
        expected="same-origin or same-site",
        pages_only=False,
    ),
)


@table(*HEADERS, platform="web")
def header_says(landing: Landing, *, row: HeaderRow) -> Verdict:
    """The headers of the page say what the row claims."""
    found = landing.answer
    good, observed = row.judge(found)
    if found.status >= 400 and not good:
        raise NotUnderstood(f"the front page answers {found.status}; other pages may have the header")
    if row.pages_only and not found.is_html:
        if found.body and not found.kind:
            raise NotUnderstood("the page does not say what it is (no Content-Type)")
        raise Absent(f"no page for a browser: {found.kind or 'empty'}")
    return holds(good, observed, row.expected)


# --- what is given away ---------------------------------------------------------------------------------------

_VERSION: Final = re.compile(r"\d+\.\d+|/\d+(?=\s|$)")
_TECHNOLOGY: Final = (
    "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator", "X-Drupal-Cache", "X-Powered-CMS",
    "X-SourceFiles", "X-Debug-Token", "MicrosoftSharePointTeamServices",
)  # fmt: skip


@check(
    "web.server-version",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De server noemt zijn versie niet",
    why_nl="Met de versie erbij hoeft een aanvaller niet te proberen welk lek er past.",
    fix="server_tokens off;    # nginx\nServerTokens Prod    # Apache",
    verify=_show("Server"),
    references=(_DIGID, "RFC 9110 section 10.2.4"),
)
def server_version(page: Page) -> Verdict:
    """The server does not name its version.

    With the version an attacker need not try which leak fits.
    """
    values = [*page.answer.values("Server"), *page.answer.values("Via")]
    found = [
        value
        for value in values
        if _VERSION.search(re.sub(r"(?i)(?<![\w.])(?:HTTP/)?[12]\.[01]\s", "", value))
    ]
    return holds(not found, ", ".join(found or values) or "no Server header", "no version")


@check(
    "web.no-technology",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De site noemt niet waarmee zij gemaakt is",
    why_nl="Zulke headers dienen de bezoeker niet; een aanvaller vindt er sneller het passende lek mee.",
    fix=(
        "expose_php = Off    # php.ini\n"
        "fastcgi_hide_header X-Powered-By;    # nginx\n"
        "Header always unset X-Powered-By    # Apache"
    ),
    verify=_show("X-"),
    references=(_DIGID, "OWASP Secure Headers Project"),
)
def no_technology(page: Page) -> Verdict:
    """The site does not name what it is made with.

    Such headers do not serve a visitor; with them an attacker finds the fitting leak sooner.
    """
    found = [f"{name}: {value}" for name in _TECHNOLOGY for value in page.answer.values(name)]
    return holds(not found, "; ".join(found) or "none of these headers", "none")


# --- cookies --------------------------------------------------------------------------------------------------


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


def _cookie(line: str) -> Cookie | None:
    """None for a line that takes a cookie away."""
    pair, *rest = line.split(";")
    name, equals, _ = pair.partition("=")
    attributes = {}
    for part in rest:
        key, _, given = part.partition("=")
        attributes[key.strip().lower()] = given.strip().lower()
    ends_now = re.fullmatch(r"0|-\d+", attributes.get("max-age", "")) or "1970" in attributes.get(
        "expires", ""
    )
    if ends_now:
        return None
    return Cookie(name.strip() if equals else "", attributes)


@probe("outside", landed=Each(Page, landing_of))
def cookies(landed: Raw, page: Page) -> Cookies:
    """The Set-Cookie headers of the front page and of the page it leads to within the site."""
    lines = (*page.answer.values("Set-Cookie"), *answer(landed).values("Set-Cookie"))
    found = tuple(one for line in dict.fromkeys(lines) if (one := _cookie(line)))
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
        verify=_show("Set-Cookie"),
        references=(_DIGID, "RFC 6265 section 4.1.2.5", "OWASP ASVS 4.0.3, 3.4.1"),
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
        verify=_show("Set-Cookie"),
        references=(_DIGID, "RFC 6265 section 4.1.2.6", "OWASP ASVS 4.0.3, 3.4.2"),
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
        verify=_show("Set-Cookie"),
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
        verify=_show("Set-Cookie"),
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
    verify=_show("Cache-Control"),
    references=(_DIGID, "RFC 9111 section 7.3", "OWASP ASVS 4.0.3, 8.2.1"),
)
def cache_personal(landing: Landing) -> Verdict:
    """An answer with a cookie is not kept for others.

    A cache on the way that keeps it gives the cookie of one to another, or their page.
    """
    setting = [one for one in (landing.page.answer, landing.answer) if one.values("Set-Cookie")]
    if not setting:
        raise Absent("no cookie is set")
    kept = [one for one in setting if not {"no-store", "private", "no-cache"} & set(_directives(one))]
    values = [", ".join(one.values("Cache-Control")) or "no Cache-Control" for one in kept or setting]
    return holds(not kept, "; ".join(dict.fromkeys(values)), "no-store, private or no-cache")


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
    references=(_DIGID, "OWASP ASVS 4.0.3, 3.1.1"),
)
def no_session_in_url(landing: Landing) -> Verdict:
    """There is no session in an address.

    An address ends up in logs, bookmarks and with other sites. Who has it, has the session. Looked at are the
    links, forms and redirect of the front page.
    """
    found = _SESSION.findall(landing.page.location)
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
    named = dict.fromkeys(re.sub(r"=.*", "=...", one) for one in found)
    return holds(not found, ", ".join(named) or "none in the front page", "none")


# --- other sites that read along ------------------------------------------------------------------------------

_ORIGIN: Final = "https://keurmeester.invalid"


@fact
class CrossOrigin:
    """What the site answers when a script of another site asks."""

    page: Page
    answer: Response

    def __str__(self) -> str:
        return str(self.page)


@probe(
    "outside",
    crossed=Each(Page, lambda page: page.site.ask(page.onward, headers=(("Origin", _ORIGIN),))),
)
def cross_origin(crossed: Raw, page: Page) -> CrossOrigin:
    """An answer in HTTP."""
    return CrossOrigin(page, answer(crossed))


@check(
    "web.cors",
    principle=(DATA_FIRST, DEFAULT_DENY),
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Een willekeurige site kan niet lezen wat een ingelogde bezoeker ziet",
    why_nl=(
        "Met Access-Control-Allow-Credentials voor iedereen leest elke site die men bezoekt mee in de eigen"
        " gegevens."
    ),
    fix='add_header Access-Control-Allow-Origin "https://portal.example.nl" always;    # nginx, never $http_origin',
    verify="curl --silent --head -H 'Origin: https://keurmeester.invalid' https://NAME/ | grep -i '^access-control'",
    references=("WHATWG Fetch, section 3.3", "OWASP ASVS 4.0.3, 14.5.3"),
)
def cors(found: CrossOrigin) -> Verdict:
    """An arbitrary site cannot read what a visitor who is logged in sees.

    With Access-Control-Allow-Credentials for everyone, each site one visits reads along in one's own data. Asked is
    the front page, as a script of a site that does not exist would.
    """
    origins = found.answer.values("Access-Control-Allow-Origin")
    credentials = "true" in (one.strip() for one in found.answer.values("Access-Control-Allow-Credentials"))
    everyone = any(one.strip() in {"*", "null", _ORIGIN} for one in origins)
    observed = (
        f"Allow-Origin {', '.join(origins) or 'none'}; Allow-Credentials {'true' if credentials else 'none'}"
    )
    return holds(not (everyone and credentials), observed, "credentials for sites by name, or not at all")


# --- examples -------------------------------------------------------------------------------------------------


def _with(*headers: str, **more: str) -> dict[str, object]:
    return made.site(made.page(*headers, **more))


_BARE: Final = _with()
_JSON: Final = made.site("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\n\n{}")
_TO_NL: Final = "HTTP/1.1 302 Found\nLocation: /nl/\nContent-Length: 0\n\n"
_TO_PORTAL: Final = _TO_NL.replace("/nl/", "https://portal.example.nl/")


def _csp(*policies: str) -> dict[str, object]:
    return _with(*(f"Content-Security-Policy: {policy}" for policy in policies))


examples(
    "web.csp",
    passes=[
        _csp("default-src 'self'"),
        made.site(_TO_NL, landed=made.page("Content-Security-Policy: default-src 'self'")),
        _with("content-security-policy: default-src 'self'", status="404 Not Found"),
    ],
    fails=[_BARE, _csp(" ; "), _with("Content-Security-Policy-Report-Only: default-src 'self'")],
    unknown=[
        _with(status="404 Not Found"),
        made.site(_TO_NL, landed=_TO_NL),
        made.site("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"),
        made.site("HTTP/1.1 200 OK\nContent-Security-Policy : default-src 'self'\nContent-Length: 0\n\n"),
        made.site("HTTP/1.1 200 OK\nX-Folded: a\n b\nContent-Length: 0\n\n"),
    ],
    notapplicable=[_JSON, made.site(_TO_PORTAL)],
)
examples(
    "web.csp-scripts",
    passes=[
        _csp("default-src 'self'; script-src 'self' https://stat.example.nl 'wasm-unsafe-eval'"),
        _csp("script-src 'nonce-4AEemGb0xJptoIGFP3Nd' 'unsafe-inline'"),
        _csp("script-src 'strict-dynamic' 'nonce-4AEemGb0xJptoIGFP3Nd' https: 'unsafe-inline'"),
        _csp("default-src *", "script-src 'none'"),
        _csp("default-src *, script-src 'self' blob:"),
    ],
    fails=[
        _BARE,
        _csp("default-src 'self' 'unsafe-inline'"),
        _csp("script-src 'self' 'UNSAFE-EVAL'"),
        _csp("script-src https:"),
        _csp("script-src *.nl"),
        _csp("script-src data: 'self'"),
        _csp("script-src 'self'; script-src-elem *"),
        _csp("frame-ancestors 'none'"),
        _csp("script-src *; script-src 'self'"),
    ],
)
examples(
    "web.csp-default",
    passes=[_csp("default-src 'none'"), _csp("default-src"), _csp("default-src 'self' cdn.example.nl")],
    fails=[_csp("script-src 'self'"), _csp("default-src *"), _csp("default-src https: 'self'"), _BARE],
)
examples(
    "web.csp-document",
    passes=_csp("base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    fails=[
        _csp("default-src 'none'"),
        _csp("base-uri 'none'; form-action *; frame-ancestors 'none'"),
        _csp("base-uri 'none'; form-action 'self'"),
    ],
)
examples(
    "web.nosniff",
    passes=[_with("X-Content-Type-Options: nosniff"), _with("x-content-type-options: NoSniff, nosniff")],
    fails=[
        _BARE,
        _JSON,
        _with("X-Content-Type-Options: sniff"),
        _with("X-Content-Type-Options: no, nosniff"),
    ],
)
examples(
    "web.framing",
    passes=[
        _csp("frame-ancestors 'self' https://portal.example.nl"),
        _with("X-Frame-Options: SAMEORIGIN"),
        _with("X-Frame-Options: DENY", "X-Frame-Options: deny"),
    ],
    fails=[
        _BARE,
        _csp("frame-ancestors *"),
        _csp("frame-ancestors https:"),
        _with("X-Frame-Options: ALLOW-FROM https://portal.example.nl"),
        _with("X-Frame-Options: DENY", "Content-Security-Policy: frame-ancestors *"),
        _with("Content-Security-Policy-Report-Only: frame-ancestors 'none'"),
    ],
)
examples(
    "web.referrer-policy",
    passes=[
        _with("Referrer-Policy: same-origin"),
        _with("Referrer-Policy: unsafe-url, strict-origin, new-policy"),
    ],
    fails=[
        _BARE,
        _with("Referrer-Policy: unsafe-url"),
        _with("Referrer-Policy: no-referrer, origin"),
        _with("Referrer-Policy: nothing"),
    ],
)
examples(
    "web.permissions-policy",
    passes=[
        _with('Permissions-Policy: camera=(), microphone=(), geolocation=(self "https://kaart.example.nl")'),
        _with("Permissions-Policy: fullscreen=*, camera=self"),
    ],
    fails=[
        _BARE,
        _with("Permissions-Policy: camera=*"),
        _with("Permissions-Policy: geolocation=(self *)"),
        _with("Permissions-Policy: camera 'none'"),
        _with("Feature-Policy: camera 'none'"),
    ],
)
examples(
    "web.opener-policy",
    passes=[
        _with("Cross-Origin-Opener-Policy: same-origin"),
        _with('Cross-Origin-Opener-Policy: same-origin; report-to="coop"'),
    ],
    fails=[_BARE, _with("Cross-Origin-Opener-Policy: unsafe-none")],
)
examples(
    "web.resource-policy",
    passes=_with("Cross-Origin-Resource-Policy: same-site"),
    fails=[
        _BARE,
        _with("Cross-Origin-Resource-Policy: cross-origin"),
        _with("Cross-Origin-Resource-Policy: same-site", "Cross-Origin-Resource-Policy: cross-origin"),
    ],
)
examples(
    server_version,
    passes=[_with("Server: nginx"), _BARE, _with("Server: Apache", "Via: 1.1 proxy, HTTP/1.1 cache")],
    fails=[
        _with("Server: nginx/1.22.1"),
        _with("Server: Microsoft-IIS/10.0"),
        _with("Server: Apache/2"),
        _with("Via: 1.1 varnish (Varnish/6.0)"),
        made.site("HTTP/1.1 500 Internal Server Error\nServer: Jetty(9.4.51)\nContent-Length: 0\n\n"),
    ],
)
examples(
    no_technology,
    passes=[_with("Server: nginx", "X-Frame-Options: DENY"), _BARE],
    fails=[_with("X-Powered-By: PHP/8.2.7"), _with("x-aspnet-version: 4.0.30319")],
)


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
        _cookies("a=Secure; Path=/secure"),
        _OVER_HTTP,
        made.site(_TO_PORTAL.replace("Content-Length", "Set-Cookie: a=1\nContent-Length"), landed=_TO_PORTAL),
    ],
    notapplicable=[_BARE, _cookies(_GONE_COOKIE), _cookies("old=; Max-Age=0")],
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
examples(
    cache_personal,
    passes=[
        _with(f"Set-Cookie: {_GOOD_COOKIE}", "Cache-Control: no-store, max-age=0"),
        _with(f"Set-Cookie: {_GOOD_COOKIE}", "Cache-Control: max-age=60, Private"),
    ],
    fails=[
        _cookies(_GOOD_COOKIE),
        _with(f"Set-Cookie: {_GOOD_COOKIE}", "Cache-Control: public, max-age=600"),
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
)
_OPEN: Final = (
    "Access-Control-Allow-Origin: https://keurmeester.invalid",
    "Access-Control-Allow-Credentials: true",
)
examples(
    cors,
    passes=[
        made.site(made.page(), crossed=made.page()),
        made.site(made.page(), crossed=made.page("Access-Control-Allow-Origin: *")),
        made.site(
            made.page(),
            crossed=made.page("Access-Control-Allow-Origin: https://portal.example.nl", _OPEN[1]),
        ),
    ],
    fails=[
        made.site(made.page(), crossed=made.page(*_OPEN)),
        made.site(made.page(), crossed=made.page("Access-Control-Allow-Origin: null", _OPEN[1])),
    ],
)
