"""What web sites tell a browser to allow: the headers that the DigiD assessment demands, cookies, and what they
give away.

Judged is the page that a visitor of the front page sees. Every other page should have the same headers; that is not
measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Final

from checks.network import example_pages as made
from checks.network._html import Element, elements
from checks.network._http import Response, answer
from checks.network._site import Landing, Page, landing_of
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    IN_DEPTH,
    SECURE_DEFAULT,
    Absent,
    Dialogue,
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

DIGID: Final = "DigiD norm 3.0, U/PW.02 (NOREA test approach since 2020)"
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


#: What may stand in the head before a policy there: no script, which would run without it.
_BEFORE_POLICY: Final = frozenset({"html", "head", "title", "meta", "link", "base", "style"})
#: What a policy in the page cannot say (HTML standard, section 4.2.5.3).
_HEADER_ONLY: Final = ("frame-ancestors", "report-uri", "sandbox")


def _elements(response: Response) -> Iterator[Element]:
    return elements(response.text) if response.is_html else iter(())


def policies(response: Response) -> Iterator[Policy]:
    """The policies in force, each directive once (CSP 3, section 2.2): all of them must allow something.

    First those of the headers; only who goes on after them sees the page, and so whether it is compressed.
    """
    yield from _policies_of_headers(response)
    for one in takewhile(lambda one: one.tag in _BEFORE_POLICY, _elements(response)):
        if one.tag == "meta" and one.get("http-equiv").lower() == "content-security-policy":
            policy = {
                name: told for name, told in _policy(one.get("content")).items() if name not in _HEADER_ONLY
            }
            if policy:
                yield policy


def _policies_of_headers(response: Response) -> list[Policy]:
    texts = (text for value in response.values("Content-Security-Policy") for text in value.split(","))
    return [policy for text in texts if (policy := _policy(text))]


def _policy(text: str) -> Policy:
    policy: Policy = {}
    for directive in text.split(";"):
        name, *sources = directive.split() or [""]
        policy.setdefault(name.lower(), tuple(sources))
    policy.pop("", None)
    return policy


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
    told: list[list[str]] = []
    for policy in policies(response):
        told.append(faults(policy))
        if not told[-1]:
            return True, "none of these faults"
    if not told:
        return False, "no Content-Security-Policy"
    fewest: list[str] = min(told, key=len)
    return False, ", ".join(dict.fromkeys(fewest))


def _each_listed(*names: str) -> Callable[[Response], Found]:
    """Whether each of these directives is there, in whichever policy, and lets in not everybody."""

    def faults(policy: Policy, name: str) -> list[str]:
        return [f"{name} {one}" for one in _open(policy[name])] if name in policy else [f"no {name}"]

    def judge(response: Response) -> Found:
        told = [_any_policy(response, partial(faults, name=name)) for name in names]
        wrong = dict.fromkeys(said for good, said in told if not good)
        return not wrong, ", ".join(wrong) or "none of these faults"

    return judge


def _csp_present(response: Response) -> Found:
    if next(policies(response), None):
        return True, "; ".join(response.values("Content-Security-Policy")) or "in the page (meta)"
    reported = "; in Report-Only, which forbids nothing"
    return False, "none" + (reported if response.values("Content-Security-Policy-Report-Only") else "")


# --- the other headers ----------------------------------------------------------------------------------------


def _tokens(response: Response, name: str) -> list[str]:
    """The comma separated values of a header, in lower case (Fetch, section 2.2.2)."""
    return [part.strip().lower() for value in response.values(name) for part in value.split(",")]


def _nosniff(response: Response) -> Found:
    """Fetch, section 3.6: the first value decides."""
    found = _tokens(response, "X-Content-Type-Options")
    return found[:1] == ["nosniff"], ", ".join(found) or "no X-Content-Type-Options"


def _framing(response: Response) -> Found:
    """frame-ancestors where there is one, else X-Frame-Options (CSP 3, section 6.4.2.2).

    One of its values that is known is enough: no browser shows a page with several (HTML standard, section 7.5).
    """
    known = _policies_of_headers(response)
    ancestors = [policy["frame-ancestors"] for policy in known if "frame-ancestors" in policy]
    if ancestors:
        best = min(ancestors, key=lambda sources: len(_open(sources)))
        return not _open(best), f"frame-ancestors {' '.join(best)}"
    found = set(_tokens(response, "X-Frame-Options"))
    observed = ", ".join(sorted(found)) or "no frame-ancestors or X-Frame-Options"
    return bool(found & {"deny", "sameorigin"}), observed


_REFERRER: Final = frozenset(
    {"no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
     "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url"}
)  # fmt: skip
_REFERRER_GOOD: Final = frozenset(
    {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
)


#: What older pages call them (HTML standard, section 4.2.5.1).
_REFERRER_OLD: Final = {
    "never": "no-referrer", "default": "strict-origin-when-cross-origin", "always": "unsafe-url",
    "origin-when-crossorigin": "origin-when-cross-origin",
}  # fmt: skip


def _referrer(response: Response) -> Found:
    """The last value that is known decides (Referrer Policy, section 8.1), and the page has the last word."""
    told = (one for one in _elements(response) if one.tag == "meta" and one.get("name").lower() == "referrer")
    said = [one.get("content").lower() for one in told]
    known = [*_tokens(response, "Referrer-Policy"), *(_REFERRER_OLD.get(one, one) for one in said)]
    last = next((one for one in reversed(known) if one in _REFERRER), "no Referrer-Policy")
    if last in _REFERRER_GOOD and not response.complete:
        raise NotUnderstood("only the beginning of the page was read, which has the last word")
    return last in _REFERRER_GOOD, last


#: The key and the value that browsers understand: a list between brackets, * or self (RFC 9651 section 3.2).
_FEATURE: Final = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=(\((?:[^()\"]|\"[^\"]*\")*\)|\*|self)(?:;[^,]*)?\s*")
_POLICY_LIMIT: Final = 8192
_POWERFUL: Final = frozenset({"camera", "microphone", "geolocation", "display-capture", "payment", "usb"})


def _permissions(response: Response) -> Found:
    value = ", ".join(response.values("Permissions-Policy"))
    if not value.strip():
        return False, "no Permissions-Policy"
    if len(value) > _POLICY_LIMIT:
        raise NotUnderstood(f"Permissions-Policy is longer than {_POLICY_LIMIT} characters")
    features = [_FEATURE.fullmatch(part) for part in re.split(r",(?![^(]*\))", value)]
    known = [match for match in features if match]
    if len(known) != len(features):
        return False, f"not valid: {value}"
    everyone = [match[1] for match in known if match[1] in _POWERFUL and re.search(r"(?:^|[( ])\*", match[2])]
    return not everyone, f"{', '.join(everyone)} for everyone" if everyone else value


def _says(name: str, good: str) -> Callable[[Response], Found]:
    """A header that stands there once: said twice, browsers take it for a word they do not know."""

    def judge(response: Response) -> Found:
        found = ", ".join(response.values(name))
        return bool(re.fullmatch(good, found)), found or f"no {name}"

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


def show(name: str) -> str:
    """The command that shows a header."""
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
        verify=show(_CSP),
        references=(DIGID, f"{_INTERNET_NL} (CSP)", "W3C Content Security Policy Level 3"),
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
        verify=show(_CSP),
        references=(DIGID, f"{_INTERNET_NL} (CSP)", "W3C Content Security Policy Level 3, section 8.2"),
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
        verify=show(_CSP),
        references=(f"{_INTERNET_NL} (CSP)", "W3C Content Security Policy Level 3, section 6.1.3"),
        judge=_each_listed("default-src"),
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
        verify=show(_CSP),
        references=(
            DIGID,
            f"{_INTERNET_NL} (CSP)",
            "W3C Content Security Policy Level 3, sections 6.3 and 6.4",
        ),
        judge=_each_listed("base-uri", "form-action", "frame-ancestors"),
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
        verify=show("X-Content-Type-Options"),
        references=(DIGID, f"{_INTERNET_NL} (X-Content-Type-Options)", "WHATWG Fetch, section 3.6"),
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
        verify=show(_CSP),
        references=(DIGID, f"{_INTERNET_NL} (X-Frame-Options)", "RFC 7034"),
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
        verify=show("Referrer-Policy"),
        references=(DIGID, f"{_INTERNET_NL} (Referrer-Policy)", "W3C Referrer Policy, section 8.1"),
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
        verify=show("Permissions-Policy"),
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
        verify=show("Cross-Origin-Opener-Policy"),
        references=("WHATWG HTML, section 7.1.3",),
        judge=_says(
            "Cross-Origin-Opener-Policy",
            r"(?:same-origin|same-origin-allow-popups|noopener-allow-popups)(?: *;[^,]*)?",
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
        verify=show("Cross-Origin-Resource-Policy"),
        references=("WHATWG Fetch, section 3.7",),
        judge=_says("Cross-Origin-Resource-Policy", "same-origin|same-site"),
        expected="same-origin or same-site",
        pages_only=False,
    ),
)


@table(*HEADERS, platform="web")
def header_says(landing: Landing, *, row: HeaderRow) -> Verdict:
    """The headers of the page say what the row claims."""
    found = landing.answer
    if found.status >= 400:
        raise NotUnderstood(f"the front page answers {found.status}; other pages may have other headers")
    if row.pages_only and not found.is_html:
        if found.body and not found.kind:
            raise NotUnderstood("the page does not say what it is (no Content-Type)")
        raise Absent(f"no page for a browser: {found.kind or 'empty'}")
    good, observed = row.judge(found)
    return holds(good, observed, row.expected)


# --- what is given away ---------------------------------------------------------------------------------------

#: The version of HTTP that a proxy got it in (RFC 9110 section 7.6.3), which is none of the software.
_RECEIVED: Final = re.compile(r"(?i)(?:^|(?<=,))\s*(?:HTTP/)?[0-9](?:\.[0-9])?\s")
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
    verify=show("Server"),
    references=(DIGID, "RFC 9110 section 10.2.4"),
)
def server_version(page: Page) -> Verdict:
    """The server does not name its version.

    With the version an attacker need not try which leak fits.
    """
    servers, proxies = page.answer.values("Server"), page.answer.values("Via")
    values = [*servers, *proxies]
    found = [value for value in servers if _VERSION.search(value)]
    found += [value for value in proxies if _VERSION.search(_RECEIVED.sub("", value))]
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
    verify=show("X-"),
    references=(DIGID, "OWASP Secure Headers Project"),
)
def no_technology(page: Page) -> Verdict:
    """The site does not name what it is made with.

    Such headers do not serve a visitor; with them an attacker finds the fitting leak sooner.
    """
    found = [f"{name}: {value}" for name in _TECHNOLOGY for value in page.answer.values(name)]
    return holds(not found, "; ".join(found) or "none of these headers", "none")


# --- other sites that read along ------------------------------------------------------------------------------

_ORIGIN: Final = "https://keurmeester.invalid"


@fact
class CrossOrigin:
    """What the site answers when a script of another site asks."""

    page: Page
    answer: Response

    def __str__(self) -> str:
        return str(self.page)


def _crossed(page: Page) -> Dialogue:
    return page.site.ask(page.onward, headers=(("Origin", _ORIGIN),))


@probe("outside", crossed=Each(Page, _crossed))
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
    if found.answer.status >= 400 and not origins:
        raise NotUnderstood(f"the front page answers {found.answer.status}; other pages may answer otherwise")
    everyone = any(one.strip() in {"*", "null", _ORIGIN} for one in origins)
    observed = (
        f"Allow-Origin {', '.join(origins) or 'none'}; Allow-Credentials {'true' if credentials else 'none'}"
    )
    return holds(not (everyone and credentials), observed, "credentials for sites by name, or not at all")


# --- nonces ---------------------------------------------------------------------------------------------------


@fact
class Nonces:
    """The nonces in the policy of a page, as it was given twice."""

    page: Page
    first: frozenset[str]
    second: frozenset[str]

    def __str__(self) -> str:
        return str(self.page)


def _nonces(response: Response) -> frozenset[str]:
    values = " ".join(response.values("Content-Security-Policy"))
    return frozenset(re.findall(r"(?i)'nonce-([A-Za-z0-9+/_-]+={0,2})'", values))


@probe("outside", landed=Each(Page, landing_of), crossed=Each(Page, _crossed))
def nonces(landed: Raw, crossed: Raw, page: Page) -> Nonces:
    """The same page, asked for twice."""
    first = _nonces(answer(landed))
    if not first:
        raise Absent("no nonce in the policy")
    return Nonces(page, first, _nonces(answer(crossed)))


@check(
    "web.csp-nonce-fresh",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De nonce in het beleid is voor elk antwoord nieuw",
    why_nl="Een nonce die blijft staan, leest een aanvaller gewoon af: dan laat het beleid ook zijn script door.",
    fix="add_header Content-Security-Policy \"script-src 'nonce-$request_id'\" always;    # nginx",
    verify=f"for i in 1 2; do {show(_CSP)}; done    # the nonces differ",
    references=("W3C Content Security Policy Level 3, section 7.1",),
)
def csp_nonce_fresh(found: Nonces) -> Verdict:
    """The nonce in the policy is new for every answer.

    A nonce that stays the same an attacker simply reads: then the policy lets his script through as well.
    """
    if not found.second:
        raise NotUnderstood("the second answer has no nonce in its policy")
    same = sorted(found.first & found.second)
    return holds(not same, f"twice {same[0]}" if same else "another one each time", "another one each time")


# --- examples -------------------------------------------------------------------------------------------------


def _with(*headers: str, **more: str) -> dict[str, object]:
    return made.site(made.page(*headers, **more))


_BARE: Final = _with()
_JSON: Final = made.site(made.JSON)
_TO_NL: Final = made.redirect("/nl/", "302 Found")
_TO_PORTAL: Final = made.redirect("https://portal.example.nl/", "302 Found")


def _csp(*policies: str) -> dict[str, object]:
    return _with(*(f"Content-Security-Policy: {policy}" for policy in policies))


def _in_page(text: str, policy: str, *headers: str) -> dict[str, object]:
    """A page with a policy in its text, at the place of the braces."""
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return _with(*headers, body=text.replace("{}", meta))


examples(
    "web.csp",
    passes=[
        _csp("default-src 'self'"),
        made.site(_TO_NL, landed=made.page("Content-Security-Policy: default-src 'self'")),
        _in_page("<html><head><meta charset=utf-8>{}", "default-src 'self'"),
        _with("content-security-policy: default-src 'self'", "Content-Encoding: gzip"),
    ],
    fails=[
        _BARE,
        _csp(" ; "),
        _with("Content-Security-Policy-Report-Only: default-src 'self'"),
        _in_page("<body>{}", "default-src 'self'"),
        _in_page("<script>run()</script>{}", "default-src 'self'"),
        _in_page("{}", "frame-ancestors 'self'"),
    ],
    unknown=[
        _with(status="404 Not Found"),
        _with("Content-Security-Policy: default-src 'self'", status="403 Forbidden"),
        _with("Content-Encoding: gzip"),
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
    passes=[
        _csp("base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
        _csp("default-src 'self'; base-uri 'none'; form-action 'self'", "frame-ancestors 'none'; base-uri *"),
        _in_page(
            "{}", "base-uri 'none'; form-action 'self'", "Content-Security-Policy: frame-ancestors 'none'"
        ),
    ],
    fails=[
        _in_page("{}", "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
        _csp("base-uri 'none'; form-action 'self'", "frame-ancestors *"),
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
        _with("X-Content-Type-Options: nosniff;"),
        _with("X-Content-Type-Options: , nosniff"),
    ],
)
examples(
    "web.framing",
    passes=[
        _csp("frame-ancestors 'self' https://portal.example.nl"),
        _with("X-Frame-Options: SAMEORIGIN"),
        _with("X-Frame-Options: DENY", "X-Frame-Options: deny"),
        _with("X-Frame-Options: DENY", "X-Frame-Options: SAMEORIGIN"),
    ],
    fails=[
        _BARE,
        _csp("frame-ancestors *"),
        _csp("frame-ancestors https:"),
        _with("X-Frame-Options: ALLOW-FROM https://portal.example.nl"),
        _with("X-Frame-Options: SAMEORIGIN;"),
        _with("X-Frame-Options: DENY", "Content-Security-Policy: frame-ancestors *"),
        _with("Content-Security-Policy-Report-Only: frame-ancestors 'none'"),
    ],
)
examples(
    "web.referrer-policy",
    passes=[
        _with("Referrer-Policy: same-origin"),
        _with("Referrer-Policy: unsafe-url, strict-origin, new-policy"),
        _with(body="<meta name=referrer content=No-Referrer>"),
        _with("Referrer-Policy: unsafe-url", body="<meta name=referrer content=never>"),
    ],
    fails=[
        _BARE,
        _with("Referrer-Policy: unsafe-url"),
        _with("Referrer-Policy: no-referrer, origin"),
        _with("Referrer-Policy: nothing"),
        _with("Referrer-Policy: same-origin;"),
        _with("Referrer-Policy: same-origin", body="<body><meta content=always name=Referrer>"),
    ],
    unknown=[
        _with("Referrer-Policy: same-origin", "Content-Encoding: gzip"),
        made.site(made.page("Referrer-Policy: same-origin").replace("Content-Length: ", "Content-Length: 9")),
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
    fails=[
        _BARE,
        _with("Cross-Origin-Opener-Policy: unsafe-none"),
        _with("Cross-Origin-Opener-Policy: same-origin", "Cross-Origin-Opener-Policy: same-origin"),
        _with("Cross-Origin-Opener-Policy: Same-Origin"),
    ],
)
examples(
    "web.resource-policy",
    passes=_with("Cross-Origin-Resource-Policy: same-site"),
    fails=[
        _BARE,
        _with("Cross-Origin-Resource-Policy: cross-origin"),
        _with("Cross-Origin-Resource-Policy: same-site", "Cross-Origin-Resource-Policy: cross-origin"),
        _with("Cross-Origin-Resource-Policy: same-site", "Cross-Origin-Resource-Policy: same-site"),
        _with("Cross-Origin-Resource-Policy: same-origin;"),
    ],
)
examples(
    server_version,
    passes=[
        _with("Server: nginx"),
        _BARE,
        _with("Server: Apache", "Via: 1.1 proxy, HTTP/1.1 cache"),
        _with("Via: HTTP/2 proxy,2 cache, HTTP/3 edge (Varnish)"),
    ],
    fails=[
        _with("Server: nginx/1.22.1"),
        _with("Server: Microsoft-IIS/10.0"),
        _with("Server: Apache/2"),
        _with("Server: Example/1.1 (Unix)"),
        _with("Via: HTTP/2 example/2 (edge)"),
        _with("Via: 1.1 varnish (Varnish/6.0)"),
        made.site("HTTP/1.1 500 Internal Server Error\nServer: Jetty(9.4.51)\nContent-Length: 0\n\n"),
    ],
)
examples(
    no_technology,
    passes=[_with("Server: nginx", "X-Frame-Options: DENY"), _BARE],
    fails=[_with("X-Powered-By: PHP/8.2.7"), _with("x-aspnet-version: 4.0.30319")],
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
    unknown=made.site(made.page(), crossed=made.page(status="404 Not Found")),
)

_NONCE: Final = "Content-Security-Policy: script-src 'nonce-{}'"
examples(
    csp_nonce_fresh,
    passes=made.site(
        made.page(_NONCE.format("8f14e45fceea")), crossed=made.page(_NONCE.format("c9f0f895fb98"))
    ),
    fails=made.site(
        made.page(_NONCE.format("8f14e45fceea")), crossed=made.page(_NONCE.format("8f14e45fceea"))
    ),
    unknown=made.site(made.page(_NONCE.format("8f14e45fceea")), crossed=made.page()),
    notapplicable=made.site(made.page(), crossed=made.page()),
)
