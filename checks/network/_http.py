"""HTTP/1.1 in bytes: a question as a `Dialogue`, and a strict, small reader of the answer (RFC 9110, RFC 9112).

Nothing is repaired: an answer that two readers could take for different things is not understood. Compression is never
asked for, redirects are never followed, and no more is read than is needed.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from scanner import (
    Absent,
    Dialogue,
    Exchange,
    Impact,
    NotUnderstood,
    Raw,
    Say,
    Timed,
    Turn,
    exchanges,
)
from scanner.transcript import write

#: Bytes of a body that are read at least, when it is that long: of a page, and of what only has to be recognised.
WHOLE: Final = 1 << 20
OPENING: Final = 4096
_HEAD_LIMIT: Final = 64 << 10
_HEADERS: Final = 100
_INTERIM: Final = 8
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_WANTS_CERTIFICATE: Final = re.compile(rb"No required SSL certificate was sent|The SSL certificate error")
#: Headers of which one reader takes the first and another the last (RFC 9110 section 5.3).
_SINGLE: Final = ("location", "content-type", "content-encoding")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
#: How other protocols begin: TLS records, SSH, SMTP or FTP, POP3, IMAP, a telnet negotiation, MySQL.
_OTHERS: Final = re.compile(rb"[\x15\x16]\x03[\x00-\x04]|SSH-|220[ -]|\+OK|\* OK|\xff[\xfb-\xfe]|.\0\0\0\x0a")
#: What nginx, Apache, Go and Tomcat say over plain HTTP on a port of TLS.
WANTS_TLS: Final = re.compile(
    rb"plain HTTP request was sent to HTTPS port|speaking plain HTTP to an SSL-enabled server port"
    rb"|Client sent an HTTP request to an HTTPS server|combination of host and port requires TLS"
)


@dataclass(frozen=True)
class Response:
    """One answer: status, headers in the order in which they came, and the body without its transfer coding.

    ``complete`` says that the body is all there; else it is its beginning.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool

    def values(self, name: str) -> tuple[str, ...]:
        """The values of all headers of that name, in order."""
        return tuple(value for one, value in self.headers if one.lower() == name.lower())

    def value(self, name: str) -> str:
        """The value of a header that stands there at most once; empty when it does not. Raises NotUnderstood."""
        found = self.values(name)
        if len(set(found)) > 1:
            raise NotUnderstood(f"several different {name} headers")
        return found[0] if found else ""

    @property
    def kind(self) -> str:
        """The media type without its parameters, in lower case; empty when there is none."""
        return self.value("Content-Type").partition(";")[0].strip().lower()

    @property
    def is_html(self) -> bool:
        """Whether a browser shows it as a page."""
        return self.kind in {"text/html", "application/xhtml+xml"}

    @property
    def text(self) -> str:
        """The body as text, whatever its character set: markup is ASCII. Raises NotUnderstood when compressed."""
        coding = self.value("Content-Encoding").strip().lower()
        if coding not in {"", "identity"}:
            raise NotUnderstood(f"the body is compressed ({coding[:20]}), which was not asked for")
        return self.body.decode("utf-8", "replace")

    @property
    def whole(self) -> str:
        """`text`, all of it. Raises NotUnderstood when only the beginning was read."""
        if not self.complete:
            raise NotUnderstood(f"only the first {len(self.body)} bytes of the body were read")
        return self.text

    @property
    def is_redirect(self) -> bool:
        """Whether it sends a browser on (RFC 9110 section 15.4)."""
        return self.status in {301, 302, 303, 307, 308} and bool(self.values("Location"))


def request(
    port: int,
    host: str,
    path: str = "/",
    method: str = "GET",
    *,
    tls: bool = False,
    server_name: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    version: str = "1.1",
    encoding: str = "identity",
    impact: Impact = Impact.LOOK,
    address: str = "",
    read: int = OPENING,
) -> Dialogue:
    """One question, answered to its end or until ``read`` bytes of the body came.

    ``host`` is the Host header (none in HTTP/1.0); ``server_name`` the name asked for in TLS. Raises ValueError
    when one of the words could break out of its line.
    """
    asked = [f"{method} {path} HTTP/{version}"]
    if version != "1.0":
        asked.append(f"Host: {host}")
    asked += ["User-Agent: keurmeester", "Accept: */*", f"Accept-Encoding: {encoding}"]
    asked += [f"{name}: {value}" for name, value in headers]
    asked += ["Connection: close"]
    for line in asked:
        if not line.isascii() or not line.isprintable():
            raise ValueError(f"not to be said in HTTP: {line!r}")
    if re.search(r"\s", method + path + host):
        raise ValueError(f"white space in a method, path or host: {method!r} {path!r} {host!r}")
    return Dialogue(
        purpose=f"HTTP {method} {host}{path}",
        port=port,
        turns=(
            # Some servers do not end the connection when told to.
            Say("\r\n".join(asked) + "\r\n\r\n", until=rf"\r\n\r\n.{{{read}}}", quiet=1.0, http=True),
        ),
        secure=tls,
        server_name=server_name,
        impact=impact,
        address=address,
        limit=read + 4 * _HEAD_LIMIT,
    )


def answer(raw: Raw, method: str = "GET") -> Response:
    """The final answer to one `request`. Raises NotUnderstood, or Absent when another protocol is spoken."""
    (exchange,) = exchanges(raw)
    data = exchange.received
    if not data and exchange.note.endswith("WRONG_VERSION_NUMBER"):
        raise Absent("another protocol than TLS is spoken here")
    if not data:
        raise NotUnderstood(f"no answer at all: {exchange.note or exchange.end}")
    if _OTHERS.match(data):
        raise Absent("another protocol than HTTP is spoken here")
    if not data.startswith(b"HTTP/1."):
        raise NotUnderstood("the answer does not begin with a status line of HTTP/1")
    response = _read(data, exchange.end, method)
    if response.status == 400 and WANTS_TLS.search(response.body):
        raise Absent("this port speaks HTTP over TLS only")
    if response.status == 400 and _WANTS_CERTIFICATE.search(response.body):
        raise NotUnderstood("the site asks for a client certificate, which the scanner does not have")
    return response


def _read(data: bytes, end: str, method: str) -> Response:
    for _ in range(_INTERIM):
        status, headers, data = _head(data)
        if status >= 200:
            break
        if status == 101:
            raise NotUnderstood("it switches to another protocol")
    else:
        raise NotUnderstood("interim answers without end")
    for single in _SINGLE:
        if len({value for name, value in headers if name.lower() == single}) > 1:
            raise NotUnderstood(f"several different {single} headers")
    lengths = {value.strip() for name, value in headers if name.lower() == "content-length"}
    codings = [value.strip().lower() for name, value in headers if name.lower() == "transfer-encoding"]
    if codings and (lengths or codings != ["chunked"]):
        raise NotUnderstood("the length of the body can be read in two ways")
    if len(lengths) > 1 or not all(re.fullmatch(r"[0-9]{1,15}", one) for one in lengths):
        raise NotUnderstood("Content-Length is no single number")
    if method == "HEAD" or status in {204, 304}:
        body, complete = b"", True
    elif codings:
        body, complete = _unchunked(data)
    elif lengths:
        length = int(lengths.pop())
        if len(data) > length:
            raise NotUnderstood("more came than Content-Length says")
        body, complete = data, len(data) == length
    else:
        body, complete = data, end == "closed"
    if not complete and end != "done":
        raise NotUnderstood(f"the answer was cut off ({end})")
    return Response(status, headers, body, complete)


def _head(data: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank or len(head) > _HEAD_LIMIT:
        raise NotUnderstood("the headers do not end, or are longer than 64 KiB")
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise NotUnderstood("the status line is not that of HTTP/1")
    if len(lines) > _HEADERS:
        raise NotUnderstood(f"more than {_HEADERS} headers")
    return int(status[1]), tuple(_header(line) for line in lines), rest


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise NotUnderstood("a header line is not 'name: value' (RFC 9112 section 5)")
    return name.decode("ascii"), value.decode("latin-1").strip(" \t")


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    """The body out of its chunks (RFC 9112 section 7.1), and whether the last one was there."""
    parts: list[bytes] = []
    at = 0
    while size := _CHUNK.match(data, at):
        at, length = size.end(), int(size[1], 16)
        if length == 0:
            return b"".join(parts), _trailer(data[at:])
        parts.append(data[at : at + length])
        if len(data) < at + length + 2:
            return b"".join(parts), False
        if data[at + length : at + length + 2] != b"\r\n":
            raise NotUnderstood("a chunk does not end where its size says")
        at += length + 2
    if re.fullmatch(rb"[0-9A-Fa-f]{0,8}[ \t]*(?:;[^\n]*)?\r?", data[at:]):
        return b"".join(parts), False
    raise NotUnderstood("a chunk does not begin with its size")


def _trailer(data: bytes) -> bool:
    """Whether what follows the last chunk is there to its end: header lines and an empty line."""
    if data == b"\r\n":
        return True
    lines, ends, rest = data.partition(b"\r\n\r\n")
    if rest:
        raise NotUnderstood("more came after the last chunk")
    if ends:
        for line in lines.split(b"\r\n"):
            _header(line)
    return bool(ends)


def must_work(found: Response, what: str) -> None:
    """Raises NotUnderstood when the server failed, or had no time: that refuses nothing."""
    if found.status == 429 or (found.status >= 500 and found.status != 501):
        raise NotUnderstood(f"{what} answers {found.status}")


@dataclass(frozen=True)
class Guard:
    """What stands before a site and may answer in its place: it ``challenges`` who is no browser, or blocks."""

    name: str
    challenges: bool
    header: str
    marker: re.Pattern[str]

    def answered(self, response: Response) -> bool:
        """Whether this answer is its own."""
        seen = response.values(self.header) if self.header else (response.body.decode("latin-1"),)
        return any(self.marker.search(one) for one in seen)


@lru_cache
def guards() -> tuple[Guard, ...]:
    """The guards of web_guards.csv."""
    rows = csv.DictReader(files(__package__).joinpath("web_guards.csv").read_text().splitlines())
    return tuple(
        Guard(row["guard"], row["kind"] == "challenge", row["header"], re.compile(row["marker"]))
        for row in rows
    )


def must_be_site(found: Response, *, blocked_too: bool = True) -> None:
    """Raises NotUnderstood when a guard answers in the place of the site: visitors get something else.

    Without ``blocked_too`` a question that is blocked counts as refused.
    """
    for guard in guards():
        if (guard.challenges or blocked_too) and guard.answered(found):
            raise NotUnderstood(f"{found.status}: {guard.name} answers in the place of the site")


def spoken(text: str, *, end: str = "closed", note: str = "") -> Timed:
    """An example: an answer as a person would write it, as the evidence it would be.

    Lines of the head end in CR LF on the wire; the body is taken as it stands.
    """
    head, blank, body = text.partition("\n\n")
    data = (head.replace("\n", "\r\n") + "\r\n\r\n" + body if blank else text).encode("latin-1")
    said = Turn(b"GET / HTTP/1.1\r\n\r\n", data)
    return Timed(out=write([Exchange("HTTP GET", (said,), end, note=note)]), at=1795348800.0)  # type: ignore[arg-type]
