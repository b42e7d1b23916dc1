"""The web sites of a target, and what each of them answers: the facts that all checks of the web share.

A site is a name on a port, over TLS or not. Its front page is asked once; where that sends a browser on within the
same site, the page it leads to is asked as well.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from checks.network._html import host_of
from checks.network._http import WHOLE, Response, answer, must_be_site, request
from checks.network.ports import TLS_PORTS, USUAL, OpenPort
from scanner import (
    Absent,
    Cause,
    Dialogue,
    Each,
    Gap,
    Impact,
    NotUnderstood,
    Raw,
    State,
    Target,
    Unseen,
    fact,
    probe,
)

#: Names of services that are web sites, in the inventory and in the list of usual ports.
_WEB: Final = frozenset({"http", "https", "web", "www", "website"})
#: Names that are asked on one port.
_NAMES: Final = 64
#: What may stand in a Host header; a name in another script is written in its ASCII form (RFC 5890).
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|[0-9a-f:.]*:[0-9a-f:.]*(?:%[a-z0-9_.-]+)?"
)
_NO_NAME: Final = Gap(State.UNKNOWN, Cause.PARSE, "the 'server_name' in the inventory is no host name")
_TOO_MANY: Final = Gap(State.ERROR, Cause.TRUNCATED, f"only the first {_NAMES} names of a port are asked")
_STANDARD: Final = {True: 443, False: 80}
#: A path that no site has: what is answered to it is the site's error page.
MADE_UP: Final = "/keurmeester-no-such-page"
#: A host name that no site has (RFC 6761 section 6.4).
STRANGE: Final = "keurmeester.invalid"


@fact
class Site:
    """A web site: a name on a port of the target. ``name`` is an address where the inventory gives no name.

    ``further_address`` is as that of `OpenPort`.
    """

    port: int
    name: str
    tls: bool
    declared: bool
    further_address: str = ""

    def __str__(self) -> str:
        return self.url("/")

    @property
    def named(self) -> bool:
        """Whether it is known by a name."""
        try:
            ip_address(self.name)
        except ValueError:
            return True
        return False

    @property
    def host(self) -> str:
        """What stands in the Host header (RFC 9110 section 7.2)."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == _STANDARD[self.tls] else f"{name}:{self.port}"

    def url(self, path: str) -> str:
        """The address of a path on this site."""
        return f"http{'s' if self.tls else ''}://{self.host}{path}"

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        *,
        host: str = "",
        server_name: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        version: str = "1.1",
        encoding: str = "identity",
        impact: Impact = Impact.LOOK,
        address: str = "",
        read: int = 4096,
    ) -> Dialogue:
        """A `request` of this site; ``host`` and ``server_name`` put another name in place of its own."""
        return request(
            self.port, host or self.host, path, method, tls=self.tls,
            server_name=(server_name or (self.name if self.named else "")) if self.tls else "",
            headers=headers, version=version, encoding=encoding, impact=impact, address=address, read=read,
        )  # fmt: skip

    def path_of(self, location: str) -> str | None:
        """The path a Location leads to when that is on this very site, else None."""
        try:
            where = urlsplit(location)
            port = where.port
        except ValueError:
            return None
        if where.scheme or where.netloc:
            scheme = where.scheme.lower() or ("https" if self.tls else "http")
            if scheme != ("https" if self.tls else "http") or host_of(location) != self.name.lower():
                return None
            if (port or _STANDARD[self.tls]) != self.port:
                return None
        path = where.path if where.path.startswith("/") else f"/{where.path}"
        return path + (f"?{where.query}" if where.query else "")


def _is_web(service: str, number: int) -> bool:
    """By the name in the inventory; another name on a usual port of the web ('portal' on 443) takes nothing away."""
    return service in _WEB or USUAL.get(number) in _WEB


@probe("outside")
def sites(ports: list[OpenPort], target: Target) -> list[Site | Unseen]:
    """The web ports that answer, once for each name the inventory gives them and each address it is at."""
    services = {one.port: one for one in target.services or () if one.protocol == "tcp"}
    known = [one.server_name for one in services.values() if _is_web(one.name, one.port) and one.server_name]
    found: dict[tuple[int, str, str], Site | Unseen] = {}
    for port in ports:
        if not _is_web(port.service, port.number):
            continue
        usual = port.number in TLS_PORTS and port.service != "http"
        tls = port.tls or port.service == "https" or usual
        own = services[port.number].server_name if port.declared else ""
        names = [own] if own else known
        if not own or port.number in _STANDARD.values():
            names = [*names, *target.domains]
        at = port.further_address
        names = list(dict.fromkeys(names)) or [port.server_name or at or target.address]
        if len(names) > _NAMES:
            found[port.number, "", at] = Unseen(f"port {port.number}, further names", _TOO_MANY, at)
        for name in names[:_NAMES]:
            name = name.rstrip(".").lower()
            site = Site(port.number, name, tls, port.declared, at)
            found[port.number, name, at] = (
                site if _HOST.fullmatch(name) else Unseen(f"port {port.number}", _NO_NAME, at)
            )
    return list(found.values())


@fact
class Page:
    """What a site answers to the question for its front page; redirects are not followed."""

    site: Site
    answer: Response

    def __str__(self) -> str:
        return str(self.site)

    @property
    def location(self) -> str:
        """Where it sends a browser on to, or nothing."""
        return self.answer.value("Location") if self.answer.is_redirect else ""

    @property
    def onward(self) -> str:
        """The path of the page itself: the front page, or where that leads to on the same site."""
        path = self.site.path_of(self.location) if self.location else "/"
        return path if path and path.isascii() and path.isprintable() and " " not in path else "/"


def front_of(site: Site) -> Dialogue:
    """The question for the front page."""
    return site.ask(read=WHOLE)


@probe("outside", talk=Each(Site, front_of))
def page(talk: Raw, site: Site) -> Page:
    """An answer in HTTP; what is positively another protocol on a port that nobody declared is no site."""
    try:
        found = answer(talk)
    except Absent as other:
        if site.declared:
            raise NotUnderstood(f"the inventory says that this is a web site; {other}") from None
        raise
    must_be_site(found)
    return Page(site, found)


@fact
class Landing:
    """The page a visitor of the front page sees: itself, or the one it sends them to on the same site."""

    page: Page
    path: str
    answer: Response

    def __str__(self) -> str:
        return str(self.page)

    @property
    def address(self) -> str:
        """The whole address of the page."""
        return self.page.site.url(self.path)


def landing_of(page: Page) -> Dialogue:
    """The question for the page a visitor sees: the very same one when the front page does not send on."""
    return page.site.ask(page.onward, read=WHOLE)


@probe("outside", landed=Each(Page, landing_of))
def landing(landed: Raw, page: Page) -> Landing:
    """One redirect is followed, within the site."""
    if page.location and page.site.path_of(page.location) is None:
        raise Absent(f"the front page leads to another site: {page.location[:200]}")
    found = answer(landed)
    if found.is_redirect:
        if page.site.path_of(found.value("Location")) is None:
            raise Absent(f"the front page leads to another site: {found.value('Location')[:200]}")
        raise NotUnderstood("the front page is behind more than one redirect")
    must_be_site(found)
    return Landing(page, page.onward, found)


@fact
class NoSuchPage:
    """What a site answers to the question for a page that does not exist."""

    page: Page
    answer: Response

    def __str__(self) -> str:
        return str(self.page)


@probe("outside", missed=Each(Page, lambda page: page.site.ask(MADE_UP, read=WHOLE)))
def no_such_page(missed: Raw, page: Page) -> NoSuchPage:
    """An answer in HTTP."""
    found = answer(missed)
    must_be_site(found)
    return NoSuchPage(page, found)
