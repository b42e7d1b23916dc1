"""The checks of the web on real servers: nginx and Apache on loopback, their real configuration changed and read again.

Each check passes on a site that is set up well, fails when the one thing it is about is changed, and passes again.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from scanner.model import Finding, Impact, State, Target
from tests.lab.certificates import Authority
from tests.outside import every_check, look, server_at, state, told
from tests.servers.apache import Apache
from tests.servers.configured import free_port
from tests.servers.haproxy import Haproxy
from tests.servers.lighttpd import Lighttpd
from tests.servers.nginx import Nginx

pytestmark = pytest.mark.server

ADDRESS: Final = "127.5.1.1"
NAME: Final = "www.gemeente.test"

GOOD: Final = """\
server_tokens off;
ssl_certificate @folder@/chain.pem;
ssl_certificate_key @folder@/key.pem;
server { listen @address@:@http@ default_server; return 444; }
server {
  listen @address@:@http@;
  server_name www.gemeente.test;
  return 301 https://www.gemeente.test:@https@$request_uri;
}
server { listen @address@:@https@ ssl default_server; ssl_reject_handshake on; return 444; }
server {
  listen @address@:@https@ ssl;
  server_name www.gemeente.test;
  root @folder@/site;
  index index.html;
  absolute_redirect off;
  charset utf-8;
  add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;
  set $policy "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
  add_header Content-Security-Policy $policy always;
  add_header X-Content-Type-Options nosniff always;
  add_header Referrer-Policy same-origin always;
  add_header Permissions-Policy "camera=(), geolocation=()" always;
  add_header Cross-Origin-Opener-Policy same-origin always;
  add_header Cross-Origin-Resource-Policy same-origin always;
  add_header Cache-Control no-store always;
  add_header Set-Cookie "__Host-session=5f2b; Path=/; Secure; HttpOnly; SameSite=Lax";
  gzip off;
  location /mijn { return 403; }
  location ~ /\\.(?!well-known/) { return 404; }
}
"""
PAGE: Final = """\
<!doctype html><title>Gemeente Test</title>
<link rel=stylesheet href=/css/site.css><img src=/css/logo.png>
<form action=/zoek><input type=hidden name=csrf_token value=1><input name=q></form>
"""
SECURITY: Final = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Contact: mailto:security@gemeente.test
Expires: @soon@
Canonical: https://www.gemeente.test:@https@/.well-known/security.txt
-----BEGIN PGP SIGNATURE-----

aGVsbG8=
-----END PGP SIGNATURE-----
"""
_SECURE: Final = "  index index.html;\n"


@dataclass(frozen=True)
class Flip:
    """What is changed in the configuration and the files to make one check fail; ``first`` what makes it apply."""

    check: str
    change: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    first_files: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.check


def _location(text: str) -> dict[str, str]:
    return {_SECURE: f"{_SECURE}  {text}\n"}


_TO_HTTPS: Final = "return 301 https://www.gemeente.test:@https@$request_uri;"
_EXPIRES: Final = "Expires: @soon@"
_SCRIPT: Final = "<script src=https://cdn.example.org/a.js {}></script>"
_SRI: Final = "integrity=sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC"
_DEFAULT: Final = "listen @address@:@https@ ssl default_server; ssl_reject_handshake on; return 444;"
_GONE: Final = "add_header Set-Cookie 'old=; Expires=Fri, 31-Dec-1999 23:00:00 GMT';\n"
_OWN: Final = "listen @address@:@https@ ssl;\n"

FLIPS: Final = (
    Flip("web.https-available", {"listen @address@:@https@": "listen 127.5.1.2:@https@"}),
    Flip("web.https-redirect", {_TO_HTTPS: "root @folder@/site;"}),
    Flip("web.https-redirect", {_TO_HTTPS: "return 301 https://elders.test/;"}),
    Flip("web.redirect-permanent", {"return 301": "return 302"}),
    Flip("web.https-everywhere", {_TO_HTTPS: f"root @folder@/site; location = / {{ {_TO_HTTPS} }}"}),
    Flip(
        "web.redirect-secure",
        _location("location = / { return 302 http://www.gemeente.test:@http@/nl/; }"),
        first=_location("location = / { return 302 /nl/; }"),
    ),
    Flip("web.hsts", {"add_header Strict-Transport-Security": "add_header X-Strict"}),
    Flip("web.hsts", {"max-age=31536000; include": "max-age=0; include"}),
    Flip("web.hsts-year", {"max-age=31536000": "max-age=15768000"}),
    Flip("web.hsts-subdomains", {"; includeSubDomains": ""}),
    Flip(
        "web.hsts-not-over-http",
        {_TO_HTTPS: f"add_header Strict-Transport-Security max-age=9 always; {_TO_HTTPS}"},
    ),
    Flip("web.answers", _location("location = / { return 421; }")),
    Flip("web.security-txt", files={".well-known/security.txt": ""}),
    Flip("web.security-txt", _location("location /.well-known/ { return 404; }")),
    Flip("web.security-txt-current", files={_EXPIRES: "Expires: 2025-01-01T00:00:00Z"}),
    Flip("web.security-txt-current", files={_EXPIRES: "Expires: 2099-01-01T00:00:00Z"}),
    Flip("web.security-txt-genuine", files={"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n": ""}),
    Flip("web.security-txt-genuine", files={"Canonical: https://www": "Canonical: https://oud"}),
    Flip(
        "web.no-internal-address",
        {"default_server; return 444;": "default_server; return 302 https://10.1.2.3/;"},
    ),
    Flip("web.csp", {"add_header Content-Security-Policy": "add_header Content-Security-Policy-Report-Only"}),
    Flip("web.csp-scripts", {"default-src 'self'": "default-src 'self' 'unsafe-inline'"}),
    Flip(
        "web.csp-nonce-fresh",
        {"default-src 'self'": "default-src 'nonce-8f14e45fceea'"},
        first={"default-src 'self'": "default-src 'nonce-$request_id'"},
    ),
    Flip("web.csp-default", {"default-src 'self'": "default-src *"}),
    Flip("web.csp-document", {"form-action 'self'; ": ""}),
    Flip("web.nosniff", {"nosniff": "sniff"}),
    Flip("web.nosniff", {"Options nosniff": "Options 'nosniff;'"}),
    Flip("web.framing", {"frame-ancestors 'none'": "frame-ancestors *"}),
    Flip(
        "web.referrer-policy",
        {"same-origin always;\n  add_header Perm": "unsafe-url always;\n  add_header Perm"},
    ),
    Flip("web.referrer-policy", files={"<link": "<meta name=referrer content=unsafe-url><link"}),
    Flip("web.permissions-policy", {"camera=()": "camera=*"}),
    Flip("web.opener-policy", {"Opener-Policy same-origin": "Opener-Policy unsafe-none"}),
    Flip("web.resource-policy", {"Resource-Policy same-origin": "Resource-Policy cross-origin"}),
    Flip("web.resource-policy", _location("add_header Cross-Origin-Resource-Policy same-origin;")),
    Flip("web.server-version", {"server_tokens off": "server_tokens on"}),
    Flip("web.no-technology", _location("add_header X-Powered-By PHP/8.2.7;")),
    Flip("web.cookie-secure", {"; Secure": ""}),
    Flip(
        "web.cookie-secure",
        {"; Secure": ""},
        first={"add_header Set-Cookie": f"{_GONE}  add_header Set-Cookie"},
    ),
    Flip("web.cookie-http-only", {"; HttpOnly": ""}),
    Flip("web.cookie-same-site", {"SameSite=Lax": "SameSite=None"}),
    Flip("web.cookie-prefix", {"__Host-session": "session"}),
    Flip("web.cache-personal", {"Cache-Control no-store": "Cache-Control 'public, max-age=60'"}),
    Flip(
        "web.no-session-in-url", files={"action=/zoek": "'action=x' action=/zoek;jsessionid=0123456789abcdef"}
    ),
    Flip(
        "web.cors",
        _location(
            "add_header Access-Control-Allow-Origin $http_origin; add_header Access-Control-Allow-Credentials true;"
        ),
    ),
    Flip("web.mixed-content", files={"action=/zoek": "action=http://www.gemeente.test/zoek"}),
    Flip(
        "web.subresource-integrity",
        files={"<form": _SCRIPT.format("") + "<form"},
        first_files={"<form": _SCRIPT.format(_SRI) + "<form"},
    ),
    Flip("web.third-parties", files={"/css/logo.png": "https://beeld.example.org/logo.png"}),
    Flip("web.no-compressed-secret", {"gzip off": "gzip_min_length 1; gzip on"}),
    Flip("web.default-page", files={"Gemeente Test": "Welcome to nginx!"}),
    Flip("web.directory-listing", _location("autoindex on;")),
    Flip("web.error-page-version", {"server_tokens off": "server_tokens on"}),
    Flip("web.error-page-insides", _location("error_page 404 /trace.html;")),
    Flip(
        "web.trace-refused",
        _location("error_page 405 =200 @trace; location @trace { return 200 $http_x_keurmeester; }"),
    ),
    Flip("web.webdav-refused", _location("if ($request_method = PROPFIND) { return 207; }")),
    Flip("web.write-methods-refused", _location("if ($request_method = DELETE) { return 204; }")),
    Flip("web.other-host", {_DEFAULT: "listen 127.5.1.2:@https@ ssl default_server;"}),
    Flip("web.other-server-name", {_DEFAULT: "listen 127.5.1.2:@https@ ssl default_server;"}),
    Flip(
        "web.host-not-copied",
        {"default_server; return 444;": "default_server; return 301 https://$host$request_uri;"},
    ),
    Flip("web.nothing-left-behind", {"location ~ /\\.(?!well-known/) { return 404; }": ""}),
    Flip("web.no-status-page", _location("location = /nginx_status { stub_status; }")),
    Flip(
        "web.no-management-page",
        _location("location = /phpmyadmin/ { return 200 '<title>phpMyAdmin</title>'; }"),
    ),
    Flip("web.protected-path", {"location /mijn { return 403; }": "location /mijn { return 200 'zaken'; }"}),
)


class Site:
    """The site under test: its nginx, and the target that an inventory would make of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = {"http": free_port(ADDRESS), "https": free_port(ADDRESS)}
        soon = datetime.now(UTC) + timedelta(days=100)
        self._words = {
            "@address@": ADDRESS,
            "@soon@": f"{soon:%Y-%m-%dT00:00:00Z}",
            **{f"@{name}@": str(port) for name, port in self._ports.items()},
        }
        pair = Authority().issue(NAME)
        (folder / "chain.pem").write_bytes(pair.chain)
        (folder / "key.pem").write_bytes(pair.key)
        self._files({}, {})
        listens = [(ADDRESS, port) for port in self._ports.values()]
        self.nginx = Nginx(folder, self._filled(GOOD), listens)

    def set_up(self, *changes: dict[str, str], files: tuple[dict[str, str], ...] = ()) -> None:
        """The good configuration and files with these words in place of others."""
        text = GOOD
        for change in changes:
            for old, new in change.items():
                assert old in text, f"the configuration has no {old!r}"
                text = text.replace(old, new)
        self._files(*files)
        self.nginx.serve(self._filled(text))

    def _files(self, *changes: dict[str, str]) -> None:
        written = {
            "index.html": PAGE,
            ".well-known/security.txt": SECURITY,
            "css/site.css": "body {}",
            ".git/HEAD": "ref: refs/heads/main\n",
            "trace.html": "<pre>Traceback (most recent call last):\n  File '/srv/app.py', line 1</pre>",
        }
        for change in changes:
            for old, new in change.items():
                written = {
                    name: new if name == old else text.replace(old, new) for name, text in written.items()
                }
        for name, text in written.items():
            file = self.folder / "site" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._filled(text))

    def _filled(self, text: str) -> str:
        for word, value in self._words.items():
            text = text.replace(word, value)
        return text

    def target(self, **fields: object) -> Target:
        """What the inventory says of it."""
        http, https = self._ports["http"], self._ports["https"]
        return server_at(
            ADDRESS,
            {"port": http, "name": "http", "server_name": NAME},
            {"port": https, "name": "https", "tls": True, "server_name": NAME, "protected": ["/mijn"]},
            **fields,
        )

    def look(self, check: str) -> list[Finding]:
        """The findings of one check."""
        return look(self.target(), only=[check])[check]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("nginx"))
    with made.nginx:
        yield made


def web_checks() -> list[str]:
    return [
        id_
        for id_, one in every_check().registry.checks.items()
        if id_.startswith("web.") and one.platform == "web"
    ]


def test_a_good_site_passes_every_check(site: Site) -> None:
    site.set_up()
    found = look(site.target(), only=web_checks())
    states = {id_: state(findings) for id_, findings in found.items()}
    elsewhere = {
        "web.csp-nonce-fresh",
        "web.redirect-secure",
        "web.same-over-ipv6",
        "web.subresource-integrity",
    }
    assert {id_ for id_, one in states.items() if one is not State.PASS} == elsewhere, told(
        one for findings in found.values() for one in findings if one.status is not State.PASS
    )
    assert all(states[id_] is State.NOTAPPLICABLE for id_ in elsewhere)


@pytest.mark.parametrize("flip", FLIPS, ids=str)
def test_a_check_follows_the_real_setting(site: Site, flip: Flip) -> None:
    site.set_up(flip.first, files=(flip.first_files,))
    before = site.look(flip.check)
    assert state(before) is State.PASS, told(before)
    site.set_up(flip.change, files=(flip.files,))
    changed = site.look(flip.check)
    assert state(changed) is State.FAIL, told(changed)
    site.set_up(flip.first, files=(flip.first_files,))
    after = site.look(flip.check)
    assert state(after) is State.PASS, told(after)


def test_every_check_is_flipped_on_a_real_server() -> None:
    assert {flip.check for flip in FLIPS} | {"web.same-over-ipv6"} == set(web_checks())


def test_without_consent_nothing_is_asked_that_should_be_refused(site: Site) -> None:
    site.set_up()
    found = look(
        site.target(consent=Impact.LOOK), only=["web.trace-refused", "web.protected-path", "web.nosniff"]
    )
    assert [(one.status, str(one.cause)) for one in found["web.trace-refused"]] == [
        (State.ERROR, "policy")
    ] * 2
    assert [(one.status, str(one.cause)) for one in found["web.protected-path"]] == [(State.ERROR, "policy")]
    assert state(found["web.nosniff"]) is State.PASS


def test_files_are_not_sought_over_http_where_all_leads_to_https(site: Site) -> None:
    files, status = "web.nothing-left-behind", "web.no-status-page"
    front_only = f"root @folder@/site; location = / {{ {_TO_HTTPS} }}"
    with_status = f"location = /nginx_status {{ stub_status; }} location / {{ {_TO_HTTPS} }}"
    for change, expected in (
        ({}, {files: State.NOTAPPLICABLE, status: State.PASS}),
        ({_TO_HTTPS: front_only}, {files: State.FAIL, status: State.PASS}),
        ({_TO_HTTPS: with_status}, {files: State.NOTAPPLICABLE, status: State.FAIL}),
        ({_TO_HTTPS: "return 301 https://elders.test$request_uri;"}, {files: State.PASS, status: State.PASS}),
        (
            {_TO_HTTPS: "return 301 https://www.gemeente.test:1$request_uri;"},
            {files: State.PASS, status: State.PASS},
        ),
    ):
        site.set_up(change)
        found = look(site.target(), only=[files, status])
        over_http = {
            id_: [one.status for one in findings if one.subject.startswith("http:")]
            for id_, findings in found.items()
        }
        assert over_http == {id_: [one] for id_, one in expected.items()}, told(found[files] + found[status])
        assert state([one for one in found[files] if one.subject.startswith("https:")]) is State.PASS


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that leads to loopback over IPv4 and IPv6, as the hosts file of many a machine has it."""
    ask = socket.getaddrinfo

    def answer(host: str, port: int | None, *more: int, **how: int) -> list[object]:
        addresses = ("127.0.0.1", "::1") if host == "both.gemeente.test" else (host,)
        return [one for address in addresses for one in ask(address, port, *more, **how)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return "both.gemeente.test"


def test_over_ipv6_the_same_site_is_seen_or_another(tmp_path: Path, two_addresses: str) -> None:
    port = free_port("127.0.0.1")
    own, other = "server_name www.gemeente.test; root @folder@/site;", "return 200 'a forgotten server';"
    both = f"server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; {own} }}"
    apart = f"server {{ listen 127.0.0.1:{port}; {own} }} server {{ listen [::1]:{port}; {other} }}"
    four_only = f"server {{ listen 127.0.0.1:{port}; {own} }}"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text(PAGE)
    target = server_at(two_addresses, {"port": port, "name": "http", "server_name": NAME})
    with Nginx(tmp_path, both, [("127.0.0.1", port), ("::1", port)]) as nginx:
        for servers, expected in (
            (both, State.PASS),
            (apart, State.FAIL),
            (four_only, State.NOTAPPLICABLE),
            (both, State.PASS),
        ):
            nginx.serve(servers)
            found = look(target, only=["web.same-over-ipv6"])["web.same-over-ipv6"]
            assert state(found) is expected, told(found)


# --- Apache, as it comes --------------------------------------------------------------------------------------

HARD: Final = "TraceEnable Off\nServerTokens Prod\nServerSignature Off\n"


@pytest.fixture(scope="module")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Apache, Target]]:
    folder, port = tmp_path_factory.mktemp("apache"), free_port(ADDRESS)
    server = Apache(folder, ADDRESS, port, HARD)
    (folder / "site" / "css").mkdir(parents=True)
    (folder / "site" / "css" / "site.css").write_text("body {}")
    (folder / "site" / "index.html").write_text(PAGE)
    with server:
        yield server, server_at(ADDRESS, {"port": port, "name": "http", "server_name": NAME})


@pytest.mark.parametrize(
    ("check", "more"),
    [
        ("web.trace-refused", "TraceEnable On\n"),
        ("web.server-version", "ServerTokens Full\n"),
        ("web.error-page-version", "ServerTokens Full\nServerSignature On\n"),
        ("web.webdav-refused", "<Location />\nDav On\n</Location>\n"),
        ("web.write-methods-refused", "<Location />\nDav On\n</Location>\n"),
        ("web.directory-listing", "<Location /css/>\nOptions +Indexes\n</Location>\n"),
        ("web.no-status-page", "<Location /server-status>\nSetHandler server-status\n</Location>\n"),
        ("web.framing", "Header always set X-Frame-Options ALLOWALL\n"),
        ("web.framing", "Header always set X-Frame-Options SAMEORIGIN;\n"),
    ],
)
def test_a_check_follows_the_setting_of_apache(apache: tuple[Apache, Target], check: str, more: str) -> None:
    server, target = apache
    good = HARD + "Header always set X-Frame-Options DENY\n"
    for text, expected in ((good, State.PASS), (HARD + more, State.FAIL), (good, State.PASS)):
        server.configure(text)
        found = look(target, only=[check])[check]
        assert state(found) is expected, told(found)


def test_the_default_page_of_apache_is_known(apache: tuple[Apache, Target]) -> None:
    server, target = apache
    page = server.folder / "site" / "index.html"
    for text, expected in (
        (PAGE, State.PASS),
        ("<html><body><h1>It works!</h1></body></html>\n", State.FAIL),
    ):
        page.write_text(text)
        assert state(look(target, only=["web.default-page"])["web.default-page"]) is expected
    page.write_text(PAGE)


# --- others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            "web.directory-listing",
            "",
            'server.modules += ("mod_dirlisting")\ndir-listing.activate = "enable"\n',
        ),
        ("web.server-version", 'server.tag = "lighttpd"\n', ""),
    ],
)
def test_a_check_follows_the_setting_of_lighttpd(tmp_path: Path, check: str, good: str, bad: str) -> None:
    (tmp_path / "site" / "css").mkdir(parents=True)
    (tmp_path / "site" / "css" / "site.css").write_text("body {}")
    (tmp_path / "site" / "index.html").write_text(PAGE)
    port = free_port(ADDRESS)
    target = server_at(ADDRESS, {"port": port, "name": "http", "server_name": NAME})
    for more, expected in ((good, State.PASS), (bad, State.FAIL), (good, State.PASS)):
        with Lighttpd(tmp_path, ADDRESS, port, more):
            found = look(target, only=[check, "web.webdav-refused", "web.write-methods-refused"])
        assert state(found[check]) is expected, told(found[check])
        assert state(found["web.webdav-refused"]) is State.PASS, told(found["web.webdav-refused"])
        assert state(found["web.write-methods-refused"]) is State.PASS, told(
            found["web.write-methods-refused"]
        )


def test_the_statistics_of_haproxy_are_known(tmp_path: Path) -> None:
    port = free_port(ADDRESS)
    target = server_at(ADDRESS, {"port": port, "name": "http", "server_name": NAME})
    for more, expected in (("", State.PASS), ("stats enable", State.FAIL), ("", State.PASS)):
        with Haproxy(tmp_path, ADDRESS, port, more):
            found = look(target, only=["web.no-status-page"])["web.no-status-page"]
        assert state(found) is expected, told(found)


def test_where_all_is_not_found_little_is_established(tmp_path: Path) -> None:
    port = free_port(ADDRESS)
    target = server_at(ADDRESS, {"port": port, "name": "http", "server_name": NAME})
    blind = [
        "web.csp",
        "web.nosniff",
        "web.answers",
        "web.https-redirect",
        "web.directory-listing",
        "web.cors",
    ]
    with Haproxy(tmp_path, ADDRESS, port):
        found = look(target, only=[*blind, "web.webdav-refused", "web.other-host"])
    assert {id_: state(findings) for id_, findings in found.items()} == dict.fromkeys(found, State.UNKNOWN)
