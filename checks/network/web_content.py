"""What web sites show that they should not: parts from others and over HTTP, default pages, folders, and the
insides of errors."""

from __future__ import annotations

import csv
import re
from importlib.resources import files
from typing import Final

from checks.network import example_pages as made
from checks.network._html import Load, elements, joined, loads
from checks.network._http import WHOLE, Response, answer, must_be_site, must_work, spoken
from checks.network._site import Landing, NoSuchPage, Page, Site, landing, landing_of
from checks.network.web_headers import policies
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    IN_DEPTH,
    SECURE_DEFAULT,
    SECURE_DEPLOYMENT,
    Absent,
    Each,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Target,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_DIGID: Final = "DigiD norm 3.0, U/PW.03"
_SEE: Final = "curl --silent https://NAME/"


def _markup(landing: Landing) -> str:
    """The page, all of it. Raises Absent when it is no HTML, NotUnderstood when it is not all there or no page."""
    if not landing.answer.is_html:
        raise Absent(f"no page for a browser: {landing.answer.kind or 'empty'}")
    if landing.answer.status >= 400:
        raise NotUnderstood(f"the front page answers {landing.answer.status}")
    return landing.answer.whole


# --- what a page loads ----------------------------------------------------------------------------------------


@check(
    "web.mixed-content",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De pagina haalt niets over HTTP op wat haar kan veranderen, en stuurt er niets over weg",
    why_nl=(
        "Eén script over HTTP, en iedereen onderweg schrijft mee aan de pagina. Wat een formulier over HTTP"
        " stuurt, ligt open."
    ),
    fix="grep -rn 'http://' templates/    # write https:// instead",
    verify=f"{_SEE} | grep -i -o -E '(src|href|action)=.http://[^ >]*'",
    references=(
        "W3C Mixed Content, section 3",
        "Internet.nl, test of web sites, HTTPS",
        "DigiD norm 3.0, U/WA.05",
    ),
)
def mixed_content(landing: Landing) -> Verdict:
    """The page fetches nothing over HTTP that can change it, and sends nothing away over it.

    One script over HTTP, and everyone on the way writes along on the page. What a form sends over HTTP lies open.
    Looked at is all but pictures, sound and film in the HTML of the front page.
    """
    if not landing.page.site.tls:
        raise Absent("this site is not over TLS")
    clear = [
        f"{one.kind} {one.address[:120]}"
        for one in loads(_markup(landing), landing.address)
        if one.kind != "media" and one.address.lower().startswith("http://")
    ]
    upgraded = any("upgrade-insecure-requests" in policy for policy in policies(landing.answer))
    if clear and upgraded and not any(one.startswith("form") for one in clear):
        return holds(
            True, f"{len(clear)} over HTTP, which browsers upgrade (upgrade-insecure-requests)", "none"
        )
    return holds(not clear, "; ".join(dict.fromkeys(clear)) or "none in the front page", "none")


def _of_others(landing: Landing, target: Target) -> list[Load]:
    """What comes from other parties: hosts outside the domain of the site and those of the target."""
    if not landing.page.site.named:
        raise NotUnderstood("the inventory gives no name for this site, so what is its own is not known")
    names = [landing.page.site.name, *target.domains]
    own = {".".join(name.rsplit(".", 2)[-2:]) for name in names}
    return [
        one
        for one in loads(_markup(landing), landing.address)
        if one.kind != "form" and one.host and ".".join(one.host.rsplit(".", 2)[-2:]) not in own
    ]


_HASH: Final = re.compile(r"(?:^|\s)sha(?:256|384|512)-[A-Za-z0-9+/=_-]{43,}")


@check(
    "web.subresource-integrity",
    principle=(IN_DEPTH, SECURE_DEPLOYMENT),
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Scripts en stijlen van anderen staan vast met een hash",
    why_nl=(
        "Wie bij die ander inbreekt, schrijft anders mee aan uw pagina. Met een hash laadt de browser alleen"
        " wat u gezien hebt."
    ),
    fix='<script src="..." integrity="sha384-..." crossorigin="anonymous"></script>    # or serve it yourself',
    verify=f"{_SEE} | grep -o '<script[^>]*>' | grep -v integrity",
    references=("W3C Subresource Integrity", "OWASP ASVS 4.0.3, 14.2.3"),
)
def subresource_integrity(landing: Landing, target: Target) -> Verdict:
    """Scripts and styles of others are fixed with a hash.

    Who breaks in there otherwise writes along on your page. With a hash a browser loads only what you have seen.
    Looked at is the HTML of the front page; what a script loads is not seen.
    """
    others = [one for one in _of_others(landing, target) if one.kind in {"script", "style"}]
    if not others:
        raise Absent("no scripts or styles of others in the front page")
    loose = [one.address[:120] for one in others if not _HASH.search(one.element.get("integrity"))]
    return holds(not loose, "; ".join(dict.fromkeys(loose)) or f"all {len(others)}", "integrity on each")


@check(
    "web.third-parties",
    principle=DATA_FIRST,
    severity=Severity.INFO,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De pagina haalt niets op bij anderen",
    why_nl=(
        "Elke andere partij waar de pagina iets ophaalt, ziet wie er komt en wanneer. Weet welke dat zijn, en"
        " waarom."
    ),
    fix="# serve fonts, scripts and pictures from the site itself",
    verify=f"{_SEE} | grep -o -E '(src|href)=.https?://[^/\"]*' | sort -u",
    references=("AVG (GDPR) article 25", "BIO2 5.14"),
)
def third_parties(landing: Landing, target: Target) -> Verdict:
    """The page fetches nothing from others.

    Each other party where the page fetches something sees who comes, and when. Know which those are, and why.
    Looked at is the HTML of the front page.
    """
    hosts = dict.fromkeys(one.host for one in _of_others(landing, target))
    return holds(not hosts, ", ".join(hosts) or "none in the front page", "none")


@fact
class Squeezed:
    """The page a visitor sees, and what the site answers when it is asked for it in compressed form."""

    landing: Landing
    compressed: Response

    def __str__(self) -> str:
        return str(self.landing)


@probe(
    "outside",
    landed=Each(Page, landing_of),
    squeezed=Each(Page, lambda page: page.site.ask(page.onward, encoding="gzip, deflate, br, zstd")),
)
def squeezed(landed: Raw, squeezed: Raw, page: Page) -> Squeezed:
    """The compressed answer must be one of the same page, by its status and kind; in its bytes nothing is sought."""
    shown, compressed = landing(landed, page), answer(squeezed)
    must_be_site(compressed)
    if (compressed.status, compressed.kind) != (shown.answer.status, shown.answer.kind):
        raise NotUnderstood(
            f"{shown.answer.status} {shown.answer.kind}, and {compressed.status} {compressed.kind} when asked for in"
            " compressed form"
        )
    return Squeezed(shown, compressed)


_SECRET: Final = re.compile(r"(?i).*(?:csrf|xsrf|token|nonce|viewstate|verification)")


@check(
    "web.no-compressed-secret",
    principle=DATA_FIRST,
    severity=Severity.INFO,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Een pagina met een geheim erin wordt niet gecomprimeerd",
    why_nl=(
        "Uit de lengte van gecomprimeerde pagina's is een geheim letter voor letter te raden (BREACH), als er"
        " ook invoer in staat."
    ),
    fix="gzip off;    # nginx, for the pages with forms; or make the token differ for every answer",
    verify="curl --silent --head --compressed https://NAME/ | grep -i '^content-encoding'    # prints nothing",
    references=("CVE-2013-3587", "Internet.nl, test of web sites, HTTP compression"),
)
def no_compressed_secret(found: Squeezed) -> Verdict:
    """A page with a secret in it is not compressed.

    From the length of compressed pages a secret can be guessed letter by letter (BREACH), when there is input in it
    too. A secret is a hidden field of a form on the front page that is called a token or the like.
    """
    shown = found.landing.answer
    if not found.landing.page.site.tls:
        raise Absent("this site is not over TLS")
    if not shown.is_html:
        raise Absent("no page for a browser")
    if shown.status >= 400:
        raise NotUnderstood(f"the front page answers {shown.status}")
    coding = found.compressed.value("Content-Encoding").strip().lower()
    text = shown.text
    secrets = {
        one.get("name")
        for one in elements(text)
        if one.tag == "input" and one.get("type").lower() == "hidden" and _SECRET.match(one.get("name"))
    }
    if coding in {"", "identity"}:
        return holds(True, "not compressed", "not compressed")
    if not secrets and not shown.complete:
        raise NotUnderstood("only the beginning of the page was read")
    return holds(
        not secrets, f"{coding}; {', '.join(sorted(secrets)) or 'no secret in the page'}", "not compressed"
    )


# --- what should have been taken away -------------------------------------------------------------------------


def _welcomes() -> list[tuple[str, re.Pattern[str]]]:
    rows = csv.DictReader(files(__package__).joinpath("web_welcome.csv").read_text().splitlines())
    return [(row["product"], re.compile(row["marker"], re.IGNORECASE)) for row in rows]


_WELCOMES: Final = _welcomes()


@check(
    "web.default-page",
    principle=(SECURE_DEFAULT, SECURE_DEPLOYMENT),
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="Er staat geen standaardpagina van de webserver",
    why_nl="Een standaardpagina zegt dat hier niemand naar omkijkt: de server is vergeten, of draait zonder reden.",
    fix="rm /var/www/html/index.nginx-debian.html    # or stop the server: systemctl disable --now nginx",
    verify=f"{_SEE} | grep -i '<title>'",
    references=(_DIGID, "OWASP WSTG 4.2, WSTG-CONF-02"),
)
def default_page(landing: Landing) -> Verdict:
    """There is no default page of the web server.

    A default page says that nobody looks after this: the server was forgotten, or runs without a reason. Looked at is
    the page that the front page leads to on the same site, or itself.
    """
    text = landing.answer.text
    found = [product for product, marker in _WELCOMES if marker.search(text)]
    if not found and not landing.answer.complete:
        raise NotUnderstood("only the beginning of the page was read")
    return holds(
        not found,
        f"the default page of {found[0]}" if found else f"{landing.answer.status}, none known",
        "none",
    )


@fact
class Folder:
    """What a site answers to the question for a folder from which the page that a visitor sees loads something."""

    landing: Landing
    file: str
    answer: Response

    def __str__(self) -> str:
        return str(self.landing)

    @property
    def path(self) -> str:
        """The folder itself."""
        return folder_of(self.file)


def folder_of(file: str) -> str:
    """The folder of a file; / when there is none."""
    return f"{file.rpartition('/')[0]}/"


def own_file(site: Site, shown: Response, path: str = "/") -> str:
    """The path of the first thing that the page loads from a folder of its own site; empty when there is none."""
    if not shown.is_html or shown.value("Content-Encoding"):
        return ""
    for one in loads(shown.text, site.url(path)):
        file = (site.path_of(one.address) or "").partition("?")[0]
        if (
            one.kind in {"script", "style", "media"}
            and folder_of(file) != "/"
            and re.fullmatch(r"[!-~]+", file)
        ):
            return file
    return ""


def _loaded(landing: Landing) -> str:
    return own_file(landing.page.site, landing.answer, landing.path)


@probe(
    "outside",
    listed=Each(Landing, lambda landing: landing.page.site.ask(folder_of(_loaded(landing)), read=WHOLE)),
)
def folder(listed: Raw, landing: Landing) -> Folder:
    """An answer in HTTP of the site itself: one that a guard blocks shows no list either."""
    found = answer(listed)
    must_be_site(found, blocked_too=False)
    return Folder(landing, _loaded(landing), found)


_LISTING: Final = re.compile(
    r"(?i)<(?:title|h1)>\s*(?:Index of |Directory listing for |Directory: )/?|\[To Parent Directory\]"
    r"|<title>Directory Listing For "
)


def _links_to(folder: Folder) -> bool:
    """Whether the folder's page links to the very file that the front page loads from it: then it is a list."""
    site = folder.landing.page.site
    base = site.url(folder.path)
    links = (one.get("href") for one in elements(folder.answer.text) if one.tag == "a")
    return any(site.path_of(joined(base, link)) == folder.file for link in links if link)


@check(
    "web.directory-listing",
    principle=(SECURE_DEFAULT, DEFAULT_DENY),
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De server geeft geen lijst van de bestanden in een map",
    why_nl="In zo'n lijst staat ook wat niemand hoort te vinden: oude versies, uploads van anderen, kopieën.",
    fix="autoindex off;    # nginx\nOptions -Indexes    # Apache",
    verify="curl --silent https://NAME/images/ | grep -i 'index of'    # prints nothing",
    references=(_DIGID, "OWASP ASVS 4.0.3, 4.3.2"),
)
def directory_listing(folder: Folder) -> Verdict:
    """The server gives no list of the files in a folder.

    In such a list stands what nobody should find as well: old versions, uploads of others, copies. Asked are the
    front page, where that leads to on the same site, and the folder of the first part that is loaded from there.
    """
    landing = folder.landing
    for where, found in (
        ("/", landing.page.answer),
        (landing.path, landing.answer),
        (folder.path, folder.answer),
    ):
        named = where == folder.path and folder.file and found.status < 300 and _links_to(folder)
        if found.status < 300 and (named or _LISTING.search(found.text)):
            return holds(False, f"a list of files at {where}", "none")
        must_work(found, where)
        if not found.complete:
            raise NotUnderstood(f"{where} answers more than was read")
    if not folder.file and folder.answer.status >= 400:
        raise NotUnderstood(f"the front page answers {folder.answer.status}, and names no folder")
    return holds(True, f"{folder.path} answers {folder.answer.status}", "no list of files")


# --- what an error says ---------------------------------------------------------------------------------------

_PRODUCT: Final = re.compile(
    r"(?i)\b(?:nginx|openresty|Apache(?: Tomcat)?|Microsoft-IIS|Jetty|PHP|lighttpd|LiteSpeed|Werkzeug|WildFly|GlassFish"
    r"|Payara|WebLogic Server|Phusion Passenger|Caddy|Kestrel|gunicorn|OpenSSL|mod_\w+)(?:\(|[/ ]v?)\d+\.\d[\w.-]*"
    r"|Microsoft \.NET Framework Version:[\d.]+|ASP\.NET Version:[\d.]+"
)
_INSIDES: Final = {
    "a stack trace": re.compile(
        r"Traceback \(most recent call last\)|\bat [\w$.]{1,200}\.[\w$<>]{1,100}\([\w$]{1,100}\.(?:java|kt|scala):\d+\)"
        r"|\bat [\w.`\[\]<>]{1,200}\([^)]{0,200}\) in [A-Z]:\\|\bat [\w.<> ]{1,200} \(/[\w./-]{1,200}\.js:\d+:\d+\)"
        r"|<b>Stack Trace:</b>"
        r"|#0 (?:/|[A-Z]:\\)[^\n]{1,300}\.php\(\d+\)"
    ),
    "a path of the server": re.compile(
        r"(?<![\w/:.\"'=])(?:/var/www/|/srv/www/|/usr/share/nginx/|/usr/share/tomcat"
        r"|/(?:home|opt|srv|app)/[\w./-]{1,200}\.(?:php|py|rb|js|ts|java|jar|pl|cs)\b)"
        r"|(?i:\b[A-Z]:\\(?:inetpub|www|xampp|Program Files)\\)"
    ),
    "a debug page": re.compile(
        r"you have <code>DEBUG = True</code>|Werkzeug Debugger|<title>[^<]*Symfony Exception|Whoops\\|Ignition\\"
        r"|Illuminate\\|<b>Version Information:</b>|<h1>Routing Error</h1>|Rails\.root:"
    ),
    "an error of a database": re.compile(r"SQLSTATE\[|\bORA-\d{5}\b|You have an error in your SQL syntax"),
    "an error of PHP": re.compile(
        r"(?:Fatal error|Parse error|Warning|Notice)(?:</b>)?: .{1,300} on line (?:<b>)?\d+"
    ),
}


def _must_show(missing: NoSuchPage) -> None:
    """Raises Absent or NotUnderstood when this need not be the site's error page, or not all of it."""
    told = missing.answer
    location = told.value("Location") if told.is_redirect else ""
    if not missing.page.site.tls and location.lower().startswith("https://"):
        raise Absent("HTTP sends on to HTTPS; what that answers is judged there")
    if location:
        raise NotUnderstood(f"the error page is behind a redirect: {location[:200]}")
    if told.status != 500:
        must_work(told, "a path that does not exist")
    if not told.complete:
        raise NotUnderstood("only the beginning of the page was read")


@check(
    "web.error-page-version",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De foutpagina noemt geen versie",
    why_nl="Met de versie erbij hoeft een aanvaller niet te proberen welk lek er past.",
    fix="server_tokens off;    # nginx\nServerSignature Off    # Apache",
    verify="curl --silent https://NAME/keurmeester-no-such-page",
    references=(_DIGID, "OWASP WSTG 4.2, WSTG-ERRH-01"),
)
def error_page_version(missing: NoSuchPage) -> Verdict:
    """The error page names no version.

    With the version an attacker need not try which leak fits. Asked is a page that does not exist.
    """
    found = _PRODUCT.search(missing.answer.text)
    if not found:
        _must_show(missing)
    return holds(not found, found[0] if found else f"{missing.answer.status}, no version", "no version")


@check(
    "web.error-page-insides",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="web",
    title_nl="De foutpagina toont niets van het binnenwerk",
    why_nl=(
        "Een fout hoort in het logboek. Op het scherm vertelt zij een aanvaller waar bestanden staan en hoe"
        " de code loopt."
    ),
    fix=(
        "display_errors = Off    # php.ini\n"
        "DEBUG = False    # Django\n"
        '<customErrors mode="RemoteOnly" />    # web.config'
    ),
    verify="curl --silent https://NAME/keurmeester-no-such-page",
    references=(_DIGID, "OWASP ASVS 4.0.3, 7.4.1 and 14.3.2"),
)
def error_page_insides(missing: NoSuchPage) -> Verdict:
    """The error page shows nothing of the insides.

    An error belongs in the log. On the screen it tells an attacker where files are and how the code runs. Asked is
    a page that does not exist.
    """
    text = missing.answer.text
    found = [what for what, pattern in _INSIDES.items() if pattern.search(text)]
    if not found:
        _must_show(missing)
    return holds(
        not found, ", ".join(found) or f"{missing.answer.status}, nothing of the insides", "nothing of it"
    )


# --- examples -------------------------------------------------------------------------------------------------


def _body(body: str, *headers: str, **more: object) -> dict[str, object]:
    return made.site(made.page(*headers, body=body), **more)


_LONG: Final = made.site(made.page().replace("Content-Length: ", "Content-Length: 9"))
_JSON: Final = made.site("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\n\n{}")

examples(
    mixed_content,
    passes=[
        _body("<script src=/site.js></script><img src='http://www.example.nl/a.png'><form action='/zoek'>"),
        _body("<!-- <script src='http://x.example/a.js'></script> --><a href='http://x.example/'>x</a>"),
        _body("<script>'<script src=\"http://x.example/a.js\">'</script>"),
        _body(
            "<script src='http://www.example.nl/a.js'></script>",
            "Content-Security-Policy: upgrade-insecure-requests",
        ),
    ],
    fails=[
        _body("<script src=' HTTP://x.example/a.js'></script>"),
        _body('<LINK\nREL="stylesheet preload"\nHREF="http&#58;//x.example/a.css">'),
        _body("<form method=post action=http://www.example.nl/login>"),
        _body("<link rel=preload as=font href=http://x.example/a.woff2>"),
        _body("<link rel=manifest href=http://x.example/site.webmanifest>"),
        _body("<iframe title='a > b' src='http://x.example/'>"),
        _body("<base href='http://www.example.nl/'><script src='a.js'></script>"),
        _body("<script src='ht\ntp://x.example/a.js'></script>"),
        _body(
            "<form action='http://x.example/'>",
            "Content-Security-Policy: upgrade-insecure-requests",
        ),
    ],
    unknown=[_LONG, made.site(made.page("Content-Encoding: gzip", body="\x1f\x8b\x08\0"))],
    notapplicable=[_JSON, made.plain(made.page())],
)
_SCRIPT: Final = "<script src='//cdn.example.org/a.js' {}></script>"
_INTEGRITY: Final = "integrity='sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC'"
examples(
    subresource_integrity,
    passes=[
        _body(_SCRIPT.format(_INTEGRITY)),
        _body(_SCRIPT.format(_INTEGRITY) + "<script src=/a.js></script>"),
    ],
    fails=[
        _body(_SCRIPT.format("")),
        _body(_SCRIPT.format(_INTEGRITY) + _SCRIPT.format("integrity=''")),
        _body("<link rel=stylesheet href=https://fonts.example.org/css>"),
        _body("<link rel='preload stylesheet' as=font href=https://fonts.example.org/css>"),
        _body(
            "<link rel=preload as=style href=https://fonts.example.org/css onload='this.rel=\"stylesheet\"'>"
        ),
        _body("<link rel=modulepreload href=https://cdn.example.org/a.js>"),
    ],
    unknown=_LONG,
    notapplicable=[
        _body("<link rel=manifest href=https://cdn.example.org/site.webmanifest>"),
        _body("<link rel=prefetch href=https://portaal.example.org/>"),
        _body("<link rel=preload as=fetch href=https://cdn.example.org/teksten.json crossorigin>"),
        _body("<script src=https://static.example.nl/a.js></script>"),
        _body("<link rel=preload as=Font href=https://fonts.example.org/a.woff2 crossorigin>"),
        _JSON,
    ],
)
examples(
    third_parties,
    passes=[
        made.site(made.page()),
        _body("<img src=https://beeld.example.nl/a.png><a href=https://x.example.org>x</a>"),
        _body("<img src=https://i.zandmeer.nl/a.png>", target={"domains": ["zandmeer.nl"]}),
    ],
    fails=[
        _body("<img src=https://stat.example.org/1.gif>"),
        _body("<img srcset='/a.png 1x, https://cdn.example.org/b.png 2x'>"),
        _body("<script src='https://example.nl.evil.example/a.js'></script>"),
    ],
    unknown=_LONG,
)
_FORM: Final = made.page(body="<form><input type=hidden name=csrf_token value=8f14e45f></form>")
_BLOCKED: Final = (
    "<title>Request Rejected</title>The requested URL was rejected. Please consult with your administrator."
)
_GZIP: Final = (
    "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Encoding: gzip\nTransfer-Encoding: chunked\n\n"
)
examples(
    no_compressed_secret,
    passes=[
        made.site(_FORM, squeezed=_FORM),
        made.site(made.page(), squeezed=spoken(_GZIP, end="done")),
    ],
    fails=made.site(_FORM, squeezed=spoken(_GZIP, end="done")),
    unknown=[
        made.site(made.page(status="403 Forbidden"), squeezed=made.page(status="403 Forbidden")),
        made.site(_FORM, squeezed=made.JSON),
        made.site(_FORM, squeezed=made.page(body=_BLOCKED)),
        made.site(
            made.redirect("/nl/"), landed=made.redirect("/nl/home"), squeezed=made.redirect("/nl/home")
        ),
        made.site(_FORM, squeezed="gzip"),
        made.site(_FORM, squeezed=made.BUSY),
        made.site(_FORM, squeezed=made.page("cf-mitigated: challenge")),
    ],
    notapplicable=made.plain(_FORM, squeezed=spoken(_GZIP, end="done")),
)
examples(
    default_page,
    passes=[made.site(made.page()), _body("<p>Welcome to nginx! our course</p>")],
    fails=[
        _body("<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n"),
        _body("<html><body><h1>It works!</h1></body></html>"),
        _body("<title>IIS Windows Server</title>"),
        _body("<title>IIS7</title>"),
        _body("<title>Apache HTTP Server Test Page powered by CentOS</title>"),
        made.site(made.redirect("/dashboard/"), landed=made.page(body="<title>Welcome to XAMPP</title>")),
    ],
    unknown=_LONG,
    notapplicable=made.plain(made.redirect("https://www.example.nl/")),
)
_LISTED: Final = made.page(
    body="<html><head><title>Index of /img/</title></head><body><h1>Index of /img/</h1>"
)
_WITH_IMAGE: Final = made.page(body="<img src=/img/logo.png>")
_DENIED: Final = made.page(status="403 Forbidden")
examples(
    directory_listing,
    passes=[
        made.site(_WITH_IMAGE, listed=_DENIED),
        made.site(made.page()),
        made.site(_WITH_IMAGE, listed=_LISTED.replace("200 OK", "404 Not Found")),
    ],
    fails=[
        made.site(_WITH_IMAGE, listed=_LISTED),
        made.site(_LISTED),
        made.site(made.redirect("/nl/"), landed=_WITH_IMAGE, listed=_LISTED),
        made.site(made.redirect("/nl/"), landed=_LISTED),
        made.site(_WITH_IMAGE, listed=made.page(body="<pre><A HREF='/'>[To Parent Directory]</A>")),
        made.site(
            _WITH_IMAGE, listed=made.page(body="<title>/img/</title><a href='./logo.png'>logo.png</a>")
        ),
    ],
    unknown=[
        made.site(_WITH_IMAGE, listed=made.page("cf-mitigated: challenge", status="403 Forbidden")),
        made.site(_WITH_IMAGE, listed=made.page(status="429 Too Many Requests")),
        made.site(_WITH_IMAGE, listed=made.page(status="503 Service Unavailable")),
        made.site(made.page(status="404 Not Found")),
    ],
    notapplicable=made.plain(made.redirect("https://www.example.nl/")),
)


def _missed(body: str, status: str = "404 Not Found") -> dict[str, object]:
    return made.site(made.page(), missed=made.page(status=status, body=body))


_NGINX: Final = "<center><h1>404 Not Found</h1></center>\n<hr><center>nginx{}</center>\n"
examples(
    error_page_version,
    passes=[_missed(_NGINX.format("")), _missed("<p>Pagina niet gevonden. PHP 8 cursus?</p>")],
    fails=[
        _missed(_NGINX.format("/1.22.1")),
        _missed("<address>Apache/2.4.57 (Debian) Server at www.example.nl Port 443</address>"),
        _missed("<h3>Apache Tomcat/9.0.70</h3>"),
        _missed("<a href='https://eclipse.org/jetty'>Powered by Jetty:// 9.4</a> Jetty(9.4.51)"),
    ],
    unknown=[
        made.site(made.page(), missed="<h1>nginx/1.22.1</h1>"),
        made.site(made.page(), missed=made.redirect("/404", "302 Found")),
        made.site(made.page(), missed=made.BUSY),
    ],
    notapplicable=made.plain(made.page(), missed=made.redirect("https://www.example.nl/")),
)
examples(
    error_page_insides,
    passes=[
        _missed(_NGINX.format("/1.22.1")),
        _missed("<p>Zie https://www.example.nl/var/www/ voor uitleg</p>"),
        _missed("<a href=/home/nieuws/1>/home/nieuws</a> <script src='/opt/a.js'></script>"),
    ],
    fails=[
        _missed(
            "<pre>java.lang.NullPointerException\n\tat nl.example.Zaak.open(Zaak.java:42)</pre>", "500 Oops"
        ),
        _missed('Traceback (most recent call last):\n  File "/srv/app/views.py", line 3'),
        _missed("<b>Warning</b>: include(a.php): failed in <b>/var/www/html/index.php</b> on line <b>3</b>"),
        _missed("<p>You're seeing this error because you have <code>DEBUG = True</code>"),
        _missed("SQLSTATE[42S02]: Base table or view not found"),
    ],
    unknown=made.site(made.page(), missed=made.page(body="x").replace("Length: 1", "Length: 2")),
)
