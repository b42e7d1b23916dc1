"""What an HTML page says that a browser will load or send, by its start tags alone.

Written for hostile pages: it passes once over the text (the parser of the standard library needs hours for a page
that is made for it). Tags are found as in the HTML standard, section 13.2.5; scripts are not run.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

_TAG: Final = re.compile(
    r"""<([A-Za-z][^\s/>]*+)((?:[^"'>=]++|=\s*+"[^"]*+"|=\s*+'[^']*+'|=(?!\s*+["'])|["'])*+)>"""
)
_ATTRIBUTE: Final = re.compile(r"""([^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>][^\s>]*+)))?+""")
#: Elements whose content is no markup.
_OPAQUE: Final = frozenset({"script", "style", "textarea", "title", "xmp", "noembed", "noframes"})
#: What a link fetches, by its "rel"; the first that it has counts.
_LINKS: Final = {
    "stylesheet": "style", "modulepreload": "script", "preload": "data", "prefetch": "data", "manifest": "data",
    "icon": "media",
}  # fmt: skip
#: What a link fetches beforehand, by its "as"; anything else is data.
_BEFOREHAND: Final = {
    "script": "script", "style": "style", "font": "font", "image": "media", "audio": "media", "video": "media",
    "track": "media",
}  # fmt: skip
#: Element -> the attribute that says what it loads, and what that is to the page.
_SOURCES: Final = {
    "script": ("src", "script"), "iframe": ("src", "frame"), "frame": ("src", "frame"), "embed": ("src", "frame"),
    "object": ("data", "frame"), "img": ("src", "media"), "audio": ("src", "media"), "video": ("src", "media"),
    "source": ("src", "media"), "track": ("src", "media"), "input": ("src", "media"), "form": ("action", "form"),
    "button": ("formaction", "form"),
}  # fmt: skip


class Element(NamedTuple):
    """A start tag: its name in lower case and its attributes, the first of each name."""

    tag: str
    attributes: dict[str, str]

    def get(self, name: str) -> str:
        """An attribute's value, without white space around it; empty when it is not there."""
        return self.attributes.get(name, "").strip()


class Load(NamedTuple):
    """What a browser fetches for a page, or sends a form to: the element, what it is, and the address made whole.

    ``kind`` is script, style, frame, form, media, font or data.
    """

    element: Element
    kind: str
    address: str

    @property
    def host(self) -> str:
        """The host it leads to; empty for what is in the page itself."""
        return host_of(self.address)


def host_of(address: str) -> str:
    """The host of an address, in lower case; empty when there is none or it cannot be read."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def elements(text: str) -> Iterator[Element]:
    """The start tags of a page, in order. What stands in comments, scripts and the like is passed over."""
    at = text.find("<")
    while at >= 0:
        if text.startswith("<!--", at):
            end = text.find("-->", at + 2)
            if end < 0:
                return
            at = text.find("<", end)
            continue
        if not text[at + 1 : at + 2].isascii() or not text[at + 1 : at + 2].isalpha():
            at = text.find("<", at + 1)
            continue
        tag = _TAG.match(text, at)
        if tag is None:
            return
        one = Element(tag[1].lower(), _attributes(tag[2]))
        yield one
        at = _after(text, tag.end(), one.tag)


def _after(text: str, at: int, tag: str) -> int:
    if tag in _OPAQUE:
        end = re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE | re.ASCII).search(text, at)
        return text.find("<", end.end()) if end else -1
    return text.find("<", at)


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        value = next((one for one in match.groups()[1:] if one is not None), "")
        found.setdefault(match[1].lower(), html.unescape(value))
    return found


def loads(page: str, address: str) -> list[Load]:
    """What a browser would fetch for the page at this address, and where its forms go."""
    found: list[Load] = []
    base = address
    for one in elements(page):
        if one.tag == "base" and one.get("href") and base == address:
            base = joined(address, one.get("href")) or address
        whole = ((kind, joined(base, reference)) for kind, reference in _references(one))
        found += [Load(one, kind, where) for kind, where in whole if where]
    return found


def _references(one: Element) -> list[tuple[str, str]]:
    if one.tag == "link":
        relations = set(one.get("rel").lower().split())
        kind = next((kind for relation, kind in _LINKS.items() if relation in relations), "")
        if kind == "data" and not relations.isdisjoint({"preload", "prefetch"}):
            kind = _BEFOREHAND.get(one.get("as").lower(), kind)
        return [(kind, one.get("href"))] if kind and one.get("href") else []
    attribute, kind = _SOURCES.get(one.tag, ("", ""))
    found = [(kind, one.get(attribute))]
    if one.tag == "input":
        found.append(("form", one.get("formaction")))
    if one.tag in {"img", "source"}:
        found += [("media", part.split()[0]) for part in one.get("srcset").split(", ") if part.split()]
    return [(kind, reference) for kind, reference in found if reference]


def joined(base: str, reference: str) -> str:
    """The address a reference leads to; empty when a browser could not read it either."""
    try:
        return urljoin(base, re.sub(r"[\t\r\n]", "", reference))
    except ValueError:
        return ""


def title(text: str) -> str:
    """The text of the first title; empty when there is none."""
    found = re.search(r"<title(?:\s[^>]{0,200})?>([^<]{0,500})", text, re.IGNORECASE)
    return " ".join(html.unescape(found[1]).split()) if found else ""
