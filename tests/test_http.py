"""The reader of HTTP answers and of pages: what is understood, and that nothing hostile gets through or takes long."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.network._html import elements, loads, title
from checks.network._http import WHOLE, Response, answer, request
from scanner import Absent, Exchange, NotUnderstood, Raw, Turn
from scanner.model import Cause, State
from scanner.transcript import write
from tests.outside import look, server_at, told

HEAD = b"HTTP/1.1 200 OK\r\n"


def heard(data: bytes, end: str = "closed", method: str = "GET") -> Response:
    exchange = Exchange("test", (Turn(b"GET / HTTP/1.1\r\n\r\n", data),), end)  # type: ignore[arg-type]
    return answer(Raw(out=write([exchange])), method)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200\r\n\r\nto the end", b"to the end"),
        (HEAD + b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (HEAD + b"content-length: 3\r\nContent-Length:3\r\n\r\nabc", b"abc"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n", b"abcd"),
        (HEAD + b"Transfer-Encoding: Chunked\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD + b"\r\nabc", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n", b""),
    ],
)
def test_an_answer_is_read_to_its_end(data: bytes, body: bytes) -> None:
    found = heard(data)
    assert (found.body, found.complete) == (body, True)


def test_headers_keep_their_order_and_each_value() -> None:
    found = heard(HEAD + b"A: 1\r\nb:\t2 \r\nA: 3\r\nC:\r\n\r\n")
    assert found.headers == (("A", "1"), ("b", "2"), ("A", "3"), ("C", ""))
    assert (found.values("a"), found.value("B"), found.value("absent")) == (("1", "3"), "2", "")
    with pytest.raises(NotUnderstood):
        found.value("A")


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 100\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: 1",
        HEAD + b"\r\nno length",
    ],
)
def test_the_beginning_of_an_answer_is_not_taken_for_all_of_it(data: bytes) -> None:
    assert not heard(data, "done").complete
    with pytest.raises(NotUnderstood):
        heard(data, "done").whole  # noqa: B018
    with pytest.raises(NotUnderstood):
        heard(data, "reset")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"<html>HTTP/0.9</html>",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\n\nbare line feeds",
        b"HTTP/1.1 200 OK\r\nA: 1\n\nbare line feed",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        HEAD + b"no end",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b": no name\r\n\r\n",
        HEAD + b"Space : before\r\n\r\n",
        HEAD + b" Folded: first\r\n\r\n",
        HEAD + b"A: 1\r\n folded\r\n\r\n",
        HEAD + b"A: nul\0\r\n\r\n",
        HEAD + b"A: bare\rreturn\r\n\r\n",
        HEAD + b"A: 1\r\n" * 101 + b"\r\n",
        HEAD + b"A: " + b"x" * (1 << 20) + b"\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
        HEAD + b"Content-Length: 1, 1\r\n\r\na",
        HEAD + b"Content-Length: +1\r\n\r\na",
        HEAD + b"Content-Length: -1\r\n\r\na",
        HEAD + b"Content-Length: 9999999999999999999\r\n\r\na",
        HEAD + b"Content-Length: 1\r\n\r\nab",
        HEAD + b"Content-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n",
        HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\na",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_not_understood(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        heard(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x15\x03\x01\0\x02\x02\x46",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"+OK ready\r\n",
        b"* OK IMAP4\r\n",
        b"\xff\xfd\x18",
        b"HTTP/1.1 400 Bad Request\r\n\r\n<p>The plain HTTP request was sent to HTTPS port",
    ],
)
def test_another_protocol_is_no_web_site(data: bytes) -> None:
    with pytest.raises(Absent):
        heard(data)


def test_a_compressed_body_is_never_opened() -> None:
    found = heard(HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0")
    with pytest.raises(NotUnderstood, match="compressed"):
        found.text  # noqa: B018


@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_are_not_understood(data: bytes) -> None:
    for whole in (data, HEAD + data, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + data):
        with suppress(NotUnderstood, Absent):
            assert heard(whole).status


@pytest.mark.parametrize("word", ["a\r\nX: 1", "a\0", "a b", "a\n"])
def test_no_word_breaks_out_of_its_line(word: str) -> None:
    with pytest.raises(ValueError):
        request(80, word)
    with pytest.raises(ValueError):
        request(80, "host", f"/{word}")
    with pytest.raises(ValueError):
        request(80, "host", "/", f"GET{word}")


def test_only_what_is_declared_is_said() -> None:
    (turn,) = request(443, "www.example.nl", "/a?b", "HEAD", headers=(("X", "1"),)).turns
    assert turn.data == (
        "HEAD /a?b HTTP/1.1\r\nHost: www.example.nl\r\nUser-Agent: keurmeester\r\nAccept: */*\r\n"
        "Accept-Encoding: identity\r\nX: 1\r\nConnection: close\r\n\r\n"
    )
    (turn,) = request(80, "www.example.nl", version="1.0").turns
    assert "Host" not in turn.data


# --- pages ----------------------------------------------------------------------------------------------------


def tags(page: str) -> list[tuple[str, dict[str, str]]]:
    return [(one.tag, one.attributes) for one in elements(page)]


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<A HREF=x>", [("a", {"href": "x"})]),
        ("<a href='>' b>", [("a", {"href": ">", "b": ""})]),
        ('<a href = "x&amp;y"c=1>', [("a", {"href": "x&y", "c": "1"})]),
        ("<a b=1 b=2>", [("a", {"b": "1"})]),
        ("<a 'b=x' b=y>", [("a", {"'b": "x'", "b": "y"})]),
        ("<a/b=c/>", [("a", {"b": "c/"})]),
        ("<!-- <a> --><b>", [("b", {})]),
        ("<!--><b>", [("b", {})]),
        ("<script><a></script ><b>", [("script", {}), ("b", {})]),
        ("<style></stylex><a></style><b>", [("style", {}), ("b", {})]),
        ("<textarea><script src=x></textarea>", [("textarea", {})]),
        ("1 < 2 <1> </a> <? <b>", [("b", {})]),
        ("<script><a>", [("script", {})]),
        ("<a href='never closed>", []),
        ("", []),
    ],
)
def test_tags_are_found_where_a_browser_finds_them(
    page: str, found: list[tuple[str, dict[str, str]]]
) -> None:
    assert tags(page) == found


def test_what_a_page_loads_is_made_whole() -> None:
    page = (
        "<base href=/map/><base href=/no/><script src=a.js></script><link rel='icon' href=//x.test/i>"
        "<link rel=canonical href=http://no.test/><img srcset='a.png 1x, http://y.test/b.png 2x'>"
        "<form action='http://z.test/'><input type=image src=b.png formaction=/c><a href=http://no.test>"
        "<iframe src='http://[bad'></iframe><img src='data:image/png;base64,AA'>"
    )
    assert [(one.kind, one.address, one.host) for one in loads(page, "https://www.test/start/")] == [
        ("script", "https://www.test/map/a.js", "www.test"),
        ("media", "https://x.test/i", "x.test"),
        ("media", "https://www.test/map/a.png", "www.test"),
        ("media", "http://y.test/b.png", "y.test"),
        ("form", "http://z.test/", "z.test"),
        ("media", "https://www.test/map/b.png", "www.test"),
        ("form", "https://www.test/c", "www.test"),
        ("media", "data:image/png;base64,AA", ""),
    ]


@pytest.mark.parametrize(
    "part",
    ["<", "<!--", "<a ", "<a b='", '<a b="', "<a b='\"", "</", "<!", "<?", "&", "<script>", "<a b ", "<title", "<a =",
     "<a b=", "<base href=x>", "<img srcset='a, ", "<script></scrip"],
)  # fmt: skip
def test_a_page_made_to_stall_does_not(part: str) -> None:
    page = part * (WHOLE // len(part))
    began = time.process_time()
    list(elements(page))
    loads(page, "https://www.test/")
    title(page)
    assert time.process_time() - began < 10


@given(st.text(alphabet="<>/='\"ab!- \n", max_size=200))
def test_any_text_is_a_page(page: str) -> None:
    loads(page, "https://www.test/")
    title(page)


# --- hostile servers ------------------------------------------------------------------------------------------


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback that talks like this with every visitor."""
    with socket.create_server(("127.5.2.1", 0)) as listening:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with suppress(OSError):
                    connection, _ = listening.accept()
                    threading.Thread(target=visit, args=(connection,), daemon=True).start()

        def visit(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(15)
                if connection.recv(4096):
                    talk(connection)

        listening.settimeout(0.2)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        stop.set()
        thread.join(5)


def flood(first: bytes, again: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(again)

    return talk


def drip(connection: socket.socket) -> None:
    for letter in HEAD + b"X: " + b"y" * 1000:
        connection.sendall(bytes([letter]))
        time.sleep(0.2)


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def kept_open(words: bytes) -> Callable[[socket.socket], None]:
    """A server that does not end the connection when told to."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(words)
        connection.recv(1)

    return talk


_NOSNIFF: Final = HEAD + b"Content-Type: text/html\r\nX-Content-Type-Options: nosniff\r\n"


def torn(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Type: text/html\r\nContent-Length: 5000\r\n\r\nhi")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.server
@pytest.mark.parametrize(
    ("talk", "status", "cause"),
    [
        (flood(HEAD, b"X-Endless: header\r\n" * 400), State.ERROR, Cause.TRUNCATED),
        (flood(HEAD + b"X: ", b"y" * 65536), State.ERROR, Cause.TRUNCATED),
        (
            flood(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 400),
            State.UNKNOWN,
            Cause.PARSE,
        ),
        (drip, State.ERROR, Cause.TIMEOUT),
        (silent, State.ERROR, Cause.TIMEOUT),
        (kept_open(_NOSNIFF), State.ERROR, Cause.TIMEOUT),
        (kept_open(_NOSNIFF + b"\r\nof no length"), State.ERROR, Cause.TIMEOUT),
        (kept_open(_NOSNIFF + b"Content-Length: 20\r\n\r\ntoo short"), State.ERROR, Cause.TIMEOUT),
        (kept_open(_NOSNIFF + b"Content-Length: 2\r\n\r\ntoo long"), State.UNKNOWN, Cause.PARSE),
        (
            kept_open(_NOSNIFF + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n0\r\n\r\n"),
            State.UNKNOWN,
            Cause.PARSE,
        ),
        (torn, State.UNKNOWN, Cause.PARSE),
        (lambda connection: connection.sendall(b"<p>HTTP/0.9"), State.UNKNOWN, Cause.PARSE),
        (lambda connection: None, State.UNKNOWN, Cause.PARSE),
    ],
    ids=[
        "headers",
        "header",
        "interim",
        "drip",
        "silence",
        "head",
        "no length",
        "short",
        "long",
        "chunks",
        "torn",
        "0.9",
        "nothing",
    ],
)
def test_a_hostile_server_ends_as_error_or_unknown(
    talk: Callable[[socket.socket], None], status: State, cause: Cause
) -> None:
    with server(talk) as port:
        began = time.monotonic()
        target = server_at("127.5.2.1", {"port": port, "name": "http", "server_name": "www.test"})
        found = look(target, only=["web.nosniff"])["web.nosniff"]
    assert [(one.status, one.cause) for one in found] == [(status, cause)], told(found)
    assert time.monotonic() - began < 30


@pytest.mark.server
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 2\r\n\r\nhi",
        b"content-length:0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ],
    ids=["length", "empty", "chunks"],
)
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"], ids=["", "interim"])
def test_a_server_that_does_not_end_the_connection_is_judged_by_its_whole_answer(
    rest: bytes, interim: bytes
) -> None:
    with server(kept_open(interim + _NOSNIFF + rest)) as port:
        target = server_at("127.5.2.1", {"port": port, "name": "http", "server_name": "www.test"})
        (found,) = look(target, only=["web.nosniff"])["web.nosniff"]
    assert found.status is State.PASS, told([found])


@pytest.mark.server
def test_an_endless_body_is_judged_by_its_headers_alone() -> None:
    chunk = b"10000\r\n" + b"<p>" * 21845 + b"x\r\n"
    first = (
        HEAD
        + b"Content-Type: text/html\r\nX-Content-Type-Options: nosniff\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with server(flood(first, chunk)) as port:
        target = server_at(
            "127.5.2.1", {"port": port, "name": "https", "server_name": "www.test", "tls": False}
        )
        target = server_at("127.5.2.1", {"port": port, "name": "http", "server_name": "www.test"})
        found = look(target, only=["web.nosniff", "web.third-parties", "web.csp"])
    assert {id_: [one.status for one in findings] for id_, findings in found.items()} == {
        "web.nosniff": [State.PASS],
        "web.third-parties": [State.UNKNOWN],
        "web.csp": [State.FAIL],
    }
