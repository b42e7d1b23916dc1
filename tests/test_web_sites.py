"""Which sites a target has, where their pages lead, and that no answer can make the next question fail or take long."""

from __future__ import annotations

import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.network import web, web_content, web_cookies, web_headers, web_paths
from checks.network._http import WHOLE, Response
from checks.network._site import Landing, NoSuchPage, Page, Site, landing_of, sites
from checks.network.ports import OpenPort, Reached, Sweep, open_ports
from scanner import Absent, NotUnderstood, Target, Unseen

SITE: Final = Site(443, "www.example.nl", True, True)


def found(*numbers: int, **fields: object) -> list[str]:
    target = Target.model_validate({"name": "web1", "address": "192.0.2.10", **fields})
    reached = Reached("", target.address, "", numbers, (), (), ())
    ports: list[OpenPort] = open_ports([Sweep((reached,))], target)
    return [one.subject if isinstance(one, Unseen) else str(one) for one in sites(ports, target)]


WWW: Final = {"port": 443, "name": "https", "tls": True, "server_name": "www.example.nl"}


@pytest.mark.parametrize(
    ("numbers", "fields", "urls"),
    [
        ((22, 25), {}, []),
        ((80, 443), {}, ["http://192.0.2.10/", "https://192.0.2.10/"]),
        ((80,), {"address": "2001:db8::1"}, ["http://[2001:db8::1]/"]),
        ((443,), {"address": "web1.example.nl"}, ["https://web1.example.nl/"]),
        ((80, 443), {"services": [WWW]}, ["http://www.example.nl/", "https://www.example.nl/"]),
        ((443, 8443), {"services": [WWW]}, ["https://www.example.nl/", "https://www.example.nl:8443/"]),
        (
            (443,),
            {"services": [WWW], "domains": ["example.nl", "www.example.nl"]},
            ["https://www.example.nl/", "https://example.nl/"],
        ),
        (
            (9999,),
            {"services": [{"port": 9999, "name": "https", "server_name": "A.nl."}]},
            ["https://a.nl:9999/"],
        ),
        ((9999,), {"services": [{"port": 9999, "name": "http"}], "domains": ["a.nl"]}, ["http://a.nl:9999/"]),
        ((443,), {"services": [{"port": 443, "name": "portaal"}]}, ["https://192.0.2.10/"]),
        ((443,), {"services": [{"port": 443, "name": "http"}]}, ["http://192.0.2.10:443/"]),
        ((443,), {"services": [{**WWW, "server_name": "een naam"}]}, ["port 443"]),
        ((443,), {"services": [{**WWW, "server_name": "münster.nl"}]}, ["port 443"]),
        ((443,), {"services": [{**WWW, "server_name": ".nl"}]}, ["port 443"]),
        ((443,), {"services": [{**WWW, "server_name": "a..nl"}]}, ["port 443"]),
        ((443,), {"services": [{**WWW, "server_name": f"{'a' * 64}.nl"}]}, ["port 443"]),
        ((80,), {"address": "fe80::1%eth0"}, ["http://[fe80::1%eth0]/"]),
    ],
)
def test_sites_follow_from_open_ports_and_names(
    numbers: tuple[int, ...], fields: dict[str, object], urls: list[str]
) -> None:
    assert found(*numbers, **fields) == urls


def test_names_beyond_the_limit_are_not_forgotten() -> None:
    listed = found(443, domains=[f"d{number}.nl" for number in range(70)])
    assert len(listed) == 65
    assert "port 443, further names" in listed


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/nl/", "/nl/"),
        ("nl", "/nl"),
        ("", "/"),
        ("https://www.example.nl/nl?a=b#c", "/nl?a=b"),
        ("HTTPS://WWW.EXAMPLE.NL:443", "/"),
        ("//www.example.nl/nl", "/nl"),
        ("http://www.example.nl/", None),
        ("https://www.example.nl:8443/", None),
        ("https://example.nl/", None),
        ("//evil.example/www.example.nl", None),
        ("https://www.example.nl@evil.example/", None),
        ("https://www.example.nl\\@evil.example/", None),
        ("https://www.example.nl:port/", None),
        ("https://[/", None),
        ("javascript:alert(1)", None),
    ],
)
def test_a_redirect_stays_within_the_site_or_not(location: str, path: str | None) -> None:
    assert SITE.path_of(location) == path


_TEXT: Final = st.text(alphabet="/\\:?#[]@ ahtps.wexmnl%1\x7f\u0131", max_size=40)


@given(_TEXT, st.sampled_from([200, 302, 404]), _TEXT)
def test_whatever_a_page_says_the_next_question_can_be_put(location: str, status: int, path: str) -> None:
    headers = (("Location", location), ("Content-Type", "text/html"))
    page = Page(SITE, Response(status, headers, f"<img src='{path}'><img src=/a/{path}>".encode(), True))
    assert landing_of(page).port == 443
    assert SITE.ask(web_content.folder_of(web_content.own_file(SITE, page.answer, page.onward))).port == 443


@pytest.mark.parametrize(
    "part",
    ["<title ", "<title>", "<h1>", "at at ", "at a.", "at [", "mod_", "Notice: ", "#0 /", "/home/", "/var/www", "C:\\",
     "<a href=", "<input type=hidden name=", "<title>Welcome page</title>", "Apache/", "\n", " ", "Jetty(", "&amp;"],
)  # fmt: skip
def test_no_page_takes_long_to_judge(part: str) -> None:
    body = (part * (WHOLE // len(part))).encode()
    answer = Response(200, (("Content-Type", "text/html"),), body, True)
    page = Page(SITE, answer)
    landing, missing = Landing(page, "/", answer), NoSuchPage(page, answer)
    target = Target(name="web1", address="192.0.2.10")
    began = time.process_time()
    for judge, fact in (
        (web_content.mixed_content, landing),
        (web_content.default_page, landing),
        (web_content.directory_listing, web_content.Folder(landing, "/a/b.js", answer)),
        (web_content.error_page_version, missing),
        (web_content.error_page_insides, missing),
        (web_content.no_compressed_secret, web_content.Squeezed(landing, answer)),
        (web_cookies.no_session_in_url, landing),
        (web.same_over_ipv6, web.SiteOverIpv6(SITE, answer, answer)),
    ):
        judge(fact)
    web_content.third_parties(landing, target)
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    "value", ["," * 60_000, "(" * 60_000, "a=(" * 20_000, "a=*," * 15_000, "';" * 30_000]
)
def test_no_header_takes_long_to_judge(value: str) -> None:
    names = (
        "Content-Security-Policy",
        "Permissions-Policy",
        "Strict-Transport-Security",
        "Referrer-Policy",
        "Set-Cookie",
    )
    answer = Response(200, tuple((name, value) for name in names), b"", True)
    page = Page(SITE, answer)
    landing = Landing(page, "/", answer)
    began = time.process_time()
    for row in web_headers.HEADERS:
        try:
            web_headers.header_says(landing, row=row)
        except (Absent, NotUnderstood):
            continue
    web._hsts(value)
    web_cookies._cookie(value, 0.0)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("part", ["<!--", "<script>", "<", "<title>", "<script></script"])
def test_a_page_is_stripped_of_its_marks_in_one_go(part: str) -> None:
    began = time.process_time()
    web_paths._UNSEEN.sub("", (part * WHOLE)[:WHOLE])
    assert time.process_time() - began < 10
