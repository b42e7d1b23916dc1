"""Fetching what CAs publish: only from hosts the inventory allows, bounded in size and time, and never elsewhere."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from scanner.channels import ChannelError
from scanner.channels.http import Fetcher
from scanner.model import Cause
from scanner.sources import Fetch, from_data, to_data


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads one request and answers as it likes; its place, and the requests it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    asked.append(connection.recv(65536))
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def said(status: str, body: bytes = b"", *headers: str) -> Callable[[socket.socket], None]:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers))
    return lambda connection: connection.sendall(head.encode() + b"\r\n" + body)


def fetch(
    place: str, *wanted: tuple[str, str], allowed: tuple[str, ...] | None = None, **more: Any
) -> list[Any]:
    source = Fetch(wanted=wanted or ((f"http://{place}/x.crl", ""),), **more)
    found: list[Any] = json.loads(Fetcher((place,) if allowed is None else allowed).fetch(source).out)
    return found


def refused(place: str, *wanted: tuple[str, str], **more: Any) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        fetch(place, *wanted, **more)
    return caught.value


def test_what_comes_back_is_kept_byte_for_byte() -> None:
    with answering(said("200 OK", b"\0\1\2", "Content-Length: 3")) as (place, asked):
        (found,) = fetch(place)
    assert base64.b64decode(found["body"]) == b"\0\1\2"
    assert asked[0].startswith(b"GET /x.crl HTTP/1.1\r\n")


def test_a_question_is_posted() -> None:
    question = base64.b64encode(b"what of it?").decode()
    with answering(said("200 OK", b"good", "Content-Length: 4")) as (place, asked):
        fetch(place, (f"http://{place}/ocsp", question))
    assert asked[0].startswith(b"POST /ocsp HTTP/1.1\r\n")
    assert b"Content-Type: application/ocsp-request" in asked[0]


@pytest.mark.parametrize("allowed", [(), ("127.0.0.1",), ("127.0.0.1:1",), ("*.0.0.1",)])
def test_a_host_or_port_that_is_not_allowed_is_not_asked(allowed: tuple[str, ...]) -> None:
    with answering(said("200 OK")) as (place, asked):
        error = refused(place, allowed=allowed)
    assert error.cause is Cause.POLICY
    assert f"revocation_hosts: [{place}]" in error.detail
    assert asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "ldap://127.0.0.1/cn=CA",
        "http://user:secret@127.0.0.1/x",
        "http:///x",
        "//127.0.0.1/x",
        "http://[127.0.0.1/x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:80/\u202e",
        "",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    assert refused("127.0.0.1", (url, "")).cause in {Cause.POLICY, Cause.PARSE}


def test_no_control_character_of_a_url_reaches_the_wire() -> None:
    with answering(said("200 OK")) as (place, asked):
        refused(place, (f"http://{place}/x HTTP/1.1\r\nX: y", ""))
    assert not any(b"X: y" in one for one in asked)


def test_a_name_below_an_allowed_domain_is_allowed_and_the_domain_is_not() -> None:
    fetcher = Fetcher(("*.example.invalid",))
    for host, cause in (("crl.example.invalid", Cause.DNS), ("example.invalid", Cause.POLICY)):
        with pytest.raises(ChannelError) as caught:
            fetcher.fetch(Fetch(wanted=((f"http://{host}/x", ""),)))
        assert caught.value.cause is cause


def test_a_redirect_is_not_followed() -> None:
    with answering(said("302 Found", b"", "Location: http://127.0.0.1:1/", "Content-Length: 0")) as (
        place,
        asked,
    ):
        error = refused(place)
    assert (error.cause, "302" in error.detail, len(asked)) == (Cause.REFUSED, True, 1)


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    with answering(said("200 OK", b"x", "Content-Length: 1")) as (place, _):
        assert fetch(place)[0]["body"]


def test_too_much_is_cut_off() -> None:
    with answering(said("200 OK", b"x" * 5000)) as (place, _):
        assert refused(place, limit=1000).cause is Cause.TRUNCATED


def test_half_an_answer_is_no_answer() -> None:
    with answering(said("200 OK", b"half", "Content-Length: 400")) as (place, _):
        assert refused(place).cause is Cause.RESET


def test_garbage_is_not_understood() -> None:
    with answering(lambda connection: connection.sendall(b"\0\xffgarbage\n")) as (place, _):
        assert refused(place).cause is Cause.PARSE


def test_a_server_that_drips_is_ended_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.1)

    began = time.monotonic()
    with answering(drip) as (place, _):
        assert refused(place, timeout=1).cause is Cause.TIMEOUT
        assert time.monotonic() - began < 5


def test_one_answer_of_two_is_enough_and_the_other_says_why() -> None:
    with answering(said("200 OK", b"x", "Content-Length: 1")) as (place, _):
        found = fetch(place, ("http://ocsp.example.invalid/", "eA=="), (f"http://{place}/x.crl", ""))
    assert found[0]["cause"] == "policy"
    assert found[1]["body"]


def test_what_was_asked_once_is_not_asked_again() -> None:
    with answering(said("503 Gone", b"", "Content-Length: 0")) as (place, asked):
        fetcher = Fetcher((place,))
        for _ in range(3):
            with pytest.raises(ChannelError):
                fetcher.fetch(Fetch(wanted=((f"http://{place}/x.crl", ""),)))
    assert len(asked) == 1


def test_the_source_survives_being_data() -> None:
    source = Fetch(wanted=(("http://crl.example.nl/x.crl", ""), ("http://ocsp.example.nl/", "eA==")))
    assert from_data(json.loads(json.dumps(to_data(source)))) == source
