"""Examples for the checks of the web: one target with its sites, and what they answer, written as a person would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from checks.network._http import spoken
from scanner import Gap, Raw

HTTPS: Final = {"port": 443, "name": "https", "tls": True, "server_name": "www.example.nl"}
HTTP: Final = {"port": 80, "name": "http", "server_name": "www.example.nl"}
_BOTH: Final = [HTTP, HTTPS]
NOT_FOUND: Final = (
    "HTTP/1.1 404 Not Found\nContent-Type: text/html\nContent-Length: 22\n\n<h1>404 Not Found</h1>"
)
BUSY: Final = "HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n"
JSON: Final = "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\n\n{}"


def site(talk: object, *, services: Any = None, **more: object) -> dict[str, object]:
    """An example of one site over TLS: ``talk`` is what its front page is asked and answers."""
    listed = [HTTPS] if services is None else services
    ports = more.pop("ports", [one["port"] for one in listed])
    target: Mapping[str, object] = more.pop("target", {})  # type: ignore[assignment]
    address = more.pop("addresses", ["192.0.2.10"])
    answers = {name: _spoken(value) for name, value in {"talk": talk, **more}.items()}
    reached = {"open": ports, "refused": [], "silent": [], "failed": {}}
    return {
        "swept": json.dumps({"from": "", "addresses": dict.fromkeys(address, reached)}),  # type: ignore[call-overload]
        "target": {"services": listed, **target},
        **answers,
    }


def plain(talk: object, **more: object) -> dict[str, object]:
    """An example of one site without TLS."""
    return site(talk, services=[HTTP], **more)


def undeclared(port: int, talk: object, **more: object) -> dict[str, object]:
    """An example of a port that the inventory does not know of."""
    return site(talk, services=[], ports=[port], **more)


def both(http: object, https: object, **more: object) -> dict[str, object]:
    """An example of a name that answers with and without TLS."""
    talk = {"http://www.example.nl/": http, "https://www.example.nl/": https}
    return site(talk, services=_BOTH, **more)


def page(*headers: str, body: str = "<!doctype html><title>Example</title>\n", status: str = "200 OK") -> str:
    """A page with these headers."""
    head = [f"HTTP/1.1 {status}", "Content-Type: text/html; charset=utf-8", *headers]
    return "\n".join([*head, f"Content-Length: {len(body)}", "", body])


def redirect(location: str, status: str = "301 Moved Permanently") -> str:
    """An answer that sends on."""
    return f"HTTP/1.1 {status}\nServer: nginx\nLocation: {location}\nContent-Length: 0\n\n"


def _spoken(value: object) -> object:
    if isinstance(value, Mapping):
        return {subject: _spoken(one) for subject, one in value.items()}
    if isinstance(value, str):
        return spoken(value)
    assert isinstance(value, Raw | Gap) or hasattr(value, "year")
    return value
