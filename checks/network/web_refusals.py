"""What web sites refuse: methods, names and paths that are not for visitors. Nothing that is asked here changes
anything."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from checks.network import example_pages as made
from checks.network._html import elements, host_of, title
from checks.network._http import WHOLE, Response, answer, must_be_site, must_work, spoken
from checks.network._site import MADE_UP, STRANGE, Page
from checks.network.web_content import own_file
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Absent,
    Cause,
    Each,
    Gap,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    State,
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


# --- methods --------------------------------------------------------------------------------------------------

#: A header that TRACE sends back, and nothing else knows.
_ECHO: Final = "keurmeester-echo"
_DEPTH: Final = (("Depth", "0"),)


@fact
class Methods:
    """What a site answers to methods that are not for visitors; ``page`` shows that it does answer visitors.

    ``file`` is one of its own files, or empty when the front page names none. ``offers`` are what OPTIONS answers
    for a path that does not exist, and for the file or the front page.
    """

    page: Page
    file: str
    trace: Response
    front: Response
    propfind: Response
    offers: tuple[Response, Response]
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
    propfind=Each(
        Page,
        lambda page: page.site.ask(
            own_file(page.site, page.answer) or MADE_UP, "PROPFIND", headers=_DEPTH, impact=_KNOCK
        ),
    ),
    options=Each(Page, lambda page: page.site.ask(MADE_UP, "OPTIONS", impact=_KNOCK)),
    own_options=Each(
        Page, lambda page: page.site.ask(own_file(page.site, page.answer) or "/", "OPTIONS", impact=_KNOCK)
    ),
    delete=Each(Page, lambda page: page.site.ask(MADE_UP, "DELETE", impact=_KNOCK)),
    nonsense=Each(Page, lambda page: page.site.ask(MADE_UP, "KEURMEESTER", impact=_KNOCK)),
    missed=Each(Page, lambda page: page.site.ask(MADE_UP, read=WHOLE)),
)
def methods(
    trace: Raw,
    front: Raw,
    propfind: Raw,
    options: Raw,
    own_options: Raw,
    delete: Raw,
    nonsense: Raw,
    missed: Raw,
    page: Page,
) -> Methods:
    """Answers in HTTP. What could change something is asked of a path that does not exist; nothing is ever put."""
    return Methods(
        page=page,
        file=own_file(page.site, page.answer),
        trace=answer(trace),
        front=answer(front),
        propfind=answer(propfind),
        offers=(answer(options), answer(own_options)),
        delete=answer(delete),
        nonsense=answer(nonsense),
        get=answer(missed),
    )


def _said(found: Methods, header: str) -> set[str]:
    """What OPTIONS says in this header, of either path."""
    values = (value for one in found.offers if one.status < 300 for value in one.values(header))
    return {part.strip().upper() for value in values for part in value.split(",")} - {""}


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
    must_work(told, "TRACE")
    must_be_site(told, blocked_too=False)
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
    for what, one in (("/", found.front), (found.file or MADE_UP, told)):
        if one.status == 207 or (one.status < 300 and re.search(rb"<(?:[\w-]+:)?multistatus[\s>]", one.body)):
            return holds(False, f"PROPFIND of {what}: {one.status}, tells what it holds", "refused")
        must_work(one, f"PROPFIND of {what}")
        must_be_site(one, blocked_too=False)
    classes = ", ".join(sorted(_said(found, "DAV")))
    observed = f"PROPFIND: {found.front.status} and {told.status}; WebDAV: {classes or 'does not say'}"
    if told.status in {401, 403}:
        return holds(True, observed, "refused")
    if classes and not found.file and told.status in {404, 409, 410}:
        return holds(False, observed, "refused")
    like_nonsense = told.status == found.nonsense.status and found.front.status not in {404, 410}
    if not classes and (found.file or told.status in {405, 501} or like_nonsense):
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
    allowed = _said(found, "Allow")
    offered = sorted(_WRITING & allowed)
    observed = f"DELETE: {told.status}; allowed: {', '.join(sorted(allowed)) or 'does not say'}"
    must_be_site(told, blocked_too=told.status < 400)
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
    must_work(told, "DELETE")
    if allowed and not offered and told.status >= 400:
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
        if alert and not re.search(r"ALERT|UNRECOGNIZED_NAME", alert):
            raise NotUnderstood(f"no answer at all: {alert}")
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
    must_work(told, "another name")
    if told.status >= 400:
        if told.status == own.status:
            raise NotUnderstood(f"another name answers {told.status}, as its own does")
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
    must_work(told, "another name")
    where = [name for name, value in told.headers if STRANGE in value.lower()]
    if told.is_html and told.status < 400:
        named = (value for one in elements(told.text) for value in one.attributes.values())
        where += ["a link in the page"] * any(host_of(value) == STRANGE for value in named)
        if not where and not told.complete:
            raise NotUnderstood("only the beginning of the page was read")
    return holds(
        not where, f"in {', '.join(where)}" if where else f"{told.status}, not in it", "not in the answer"
    )


# --- examples -------------------------------------------------------------------------------------------------

_PAGE: Final = made.page(body="<title>Gemeente Zandmeer</title><p>Welkom")
_405: Final = "HTTP/1.1 405 Not Allowed\nContent-Length: 0\n\n"
_404: Final = "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"
_CHALLENGE: Final = made.page("cf-mitigated: challenge", status="403 Forbidden")
_BUSY: Final = "HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n"
_ALLOW: Final = "HTTP/1.1 200 OK\nAllow: {}\nContent-Length: 0\n\n"
_CLOSED: Final = spoken("", end="closed")
_ALERT: Final = spoken("", end="reset", note="TLS: TLSV1_UNRECOGNIZED_NAME")
_NO_CONSENT: Final = Gap(State.ERROR, Cause.POLICY, "the inventory consents to look; write 'consent: knock'")


def _methods(talk: str = _PAGE, **more: object) -> dict[str, object]:
    refused = dict.fromkeys(
        ("trace", "front", "propfind", "options", "own_options", "delete", "nonsense"), _405
    )
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
        _methods(trace=_CHALLENGE),
        _methods(trace=_PAGE.replace("Length: ", "Length: 9")),
    ],
    error=_methods(trace=_NO_CONSENT),
)
_WITH_FILE: Final = made.page(body="<img src=/css/logo.png>")
_DAV: Final = _ALLOW.replace("Allow", "DAV: 1,2\nAllow").format("OPTIONS,MKCOL,PUT,LOCK")
_403: Final = _404.replace("404 Not Found", "403 Forbidden")
examples(
    webdav_refused,
    passes=[
        _methods(),
        _methods(front=_PAGE, propfind=_404, nonsense=_404),
        _methods(front=_403, propfind=_403, options=_DAV),
        _methods(_WITH_FILE, propfind=_404),
    ],
    fails=[
        _methods(front=_MULTISTATUS),
        _methods(front=_MULTISTATUS.replace("207 Multi-Status", "200 OK")),
        _methods(propfind=_404, options=_DAV),
        _methods(_WITH_FILE, propfind=_MULTISTATUS),
    ],
    unknown=[
        _methods(_WITH_FILE, own_options=_DAV),
        _methods(propfind=_CHALLENGE),
        _methods(front=_CHALLENGE, propfind=_CHALLENGE),
        _methods(propfind=_BUSY),
        _methods(_404, front=_404, propfind=_404, nonsense=_404),
        _methods(options=_DAV),
        _methods(propfind=_404),
    ],
)
_WAF: Final = made.page(
    body="<html><head><title>Request Rejected</title></head><body>The requested URL was rejected."
    " Please consult with your administrator.<br></body></html>"
)
examples(
    write_methods_refused,
    passes=[
        _methods(),
        _methods(delete=_404, options=_ALLOW.format("GET, HEAD, OPTIONS")),
        _methods(
            delete=_404, nonsense=_404, options=_404, own_options=_ALLOW.format("OPTIONS, GET, HEAD, POST")
        ),
        _methods(delete=_TO_LOGIN, missed=_TO_LOGIN),
    ],
    fails=[
        _methods(delete="HTTP/1.1 204 No Content\n\n"),
        _methods(delete="HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        _methods(delete=_404, options=_ALLOW.format("OPTIONS,MKCOL,PUT,LOCK")),
    ],
    unknown=[
        _methods(delete=_404),
        _methods(delete=_WAF),
        _methods(delete=_CHALLENGE),
        _methods(delete=_PAGE, missed=_PAGE),
        _methods(delete=_PAGE, missed=_PAGE, options=_ALLOW.format("GET")),
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
        _named(
            "HTTP/1.1 401 Unauthorized\nContent-Length: 0\n\n",
            "HTTP/1.1 401 Unauthorized\nContent-Length: 0\n\n",
        ),
        made.site(_PAGE, strange=_404, services=_NAMELESS),
    ],
    notapplicable=made.plain(_TO_SITE, strange=_TO_STRANGE),
    error=_named(_NO_CONSENT),
)
examples(
    other_server_name_refused,
    passes=[_bad(_ALERT), _bad(_CLOSED), _bad(_404)],
    fails=_bad(_PAGE),
    unknown=[_bad("\x15\x03"), _bad(spoken("", end="reset", note="TLS: BAD_RECORD_TYPE"))],
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
