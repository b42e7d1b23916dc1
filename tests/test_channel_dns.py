"""Questions to name servers that answer well, badly, in pieces or not at all."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from checks.network.answers import Answers
from scanner import Blind
from scanner.channels import ChannelError
from scanner.channels import dns as channel
from scanner.channels.dns import look_up, name_anchors
from scanner.model import Cause, Impact, Inventory, Target
from scanner.sources import Lookup, NameAnchors
from scanner.transcript import exchanges
from scanner.vault import Vault
from scanner.worker import Worker

Reply = Callable[[bytes], list[bytes]]
ONE = Lookup(questions=(("gemeente.test", "TXT"),))


@contextmanager
def server(udp: Reply, tcp: Reply | None = None) -> Iterator[int]:
    """A name server on loopback: what each gives is sent; TCP on the same port."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        port = listening.getsockname()[1]
        datagrams.bind(("127.0.0.1", port))
        datagrams.settimeout(0.1)
        listening.settimeout(0.1)
        done = threading.Event()

        def serve_udp() -> None:
            while not done.is_set():
                try:
                    data, peer = datagrams.recvfrom(4096)
                except TimeoutError:
                    continue
                for one in udp(data):
                    datagrams.sendto(one, peer)

        def serve_tcp() -> None:
            while not done.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    data = connection.recv(4096)
                    for one in tcp(data[2:]) if tcp else []:
                        connection.sendall(struct.pack("!H", len(one)) + one)

        threads = [threading.Thread(target=one) for one in (serve_udp, serve_tcp)]
        for thread in threads:
            thread.start()
        try:
            yield port
        finally:
            done.set()
            for thread in threads:
                thread.join()


def reply(query: bytes, *texts: str, rcode: int = 0, flags: int = 0) -> bytes:
    asked = dns.message.from_wire(query)
    answer = dns.message.make_response(asked)
    answer.flags |= flags
    answer.set_rcode(dns.rcode.Rcode(rcode))
    if texts:
        answer.answer.append(dns.rrset.from_text(asked.question[0].name, 300, "IN", "TXT", *texts))
    return answer.to_wire(max_size=65535)


def test_the_bytes_kept_are_the_bytes_that_came() -> None:
    came = []

    def answer(query: bytes) -> list[bytes]:
        # The same name written out in full: dnspython would compress it, so bytes made anew would differ.
        asked = dns.message.from_wire(query)
        name = asked.question[0].name.to_wire()
        assert name
        question = name + struct.pack("!HH", 16, 1)
        record = name + struct.pack("!HHIH", 16, 1, 300, 3) + b"\x02hi"
        came.append(struct.pack("!HHHHHH", asked.id, 0x8180, 1, 1, 0, 0) + question + record)
        return [came[-1]]

    with server(answer) as port:
        (one,) = exchanges(look_up(ONE, ["127.0.0.1"], port))
    assert one.received == came[0]
    assert one.received != dns.message.from_wire(one.received).to_wire()
    asked = dns.message.from_wire(one.sent)
    assert (one.ask, one.to, one.end) == ("gemeente.test TXT", "127.0.0.1", "done")
    assert asked.flags & dns.flags.CD
    assert asked.flags & dns.flags.RD
    assert asked.ednsflags & dns.flags.DO


def test_a_datagram_cut_short_is_asked_again_over_tcp() -> None:
    with server(
        lambda query: [reply(query, flags=dns.flags.TC)],
        lambda query: [reply(query, *(f"{n}{'x' * 240}" for n in range(9)))],
    ) as port:
        (one,) = exchanges(look_up(ONE, ["127.0.0.1"], port))
    assert not dns.message.from_wire(one.received).flags & dns.flags.TC
    assert len(one.received) > 2000


def test_a_datagram_cut_short_and_no_tcp_is_no_answer() -> None:
    with (
        server(lambda query: [reply(query, flags=dns.flags.TC)]) as port,
        pytest.raises(ChannelError) as caught,
    ):
        look_up(ONE, ["127.0.0.1"], port)
    assert caught.value.cause is Cause.RESET


def test_an_answer_with_another_id_or_to_another_question_is_not_heard() -> None:
    def answers(query: bytes) -> list[bytes]:
        asked = dns.message.from_wire(query)
        other = dns.message.make_query("another.test", "TXT")
        other.id = asked.id
        forged = bytes([query[0] ^ 1]) + reply(query, "forged")[1:]
        return [forged, reply(other.to_wire(), "other"), reply(query, "true")]

    with server(answers) as port:
        (one,) = exchanges(look_up(ONE, ["127.0.0.1"], port))
    assert b"true" in one.received


def test_a_lost_datagram_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PATIENCE", 0.3)
    asked = []

    def answers(query: bytes) -> list[bytes]:
        asked.append(query)
        return [reply(query, "late")] if len(asked) == 2 else []

    with server(answers) as port:
        (one,) = exchanges(look_up(ONE, ["127.0.0.1"], port))
    assert b"late" in one.received


@pytest.mark.parametrize("answer", [[], [b"\0garbage"]])
def test_silence_and_nonsense_are_no_answer(answer: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PATIENCE", 0.2)
    with server(lambda _: answer) as port, pytest.raises(ChannelError) as caught:
        look_up(ONE, ["127.0.0.1"], port)
    assert caught.value.cause is Cause.TIMEOUT


def test_what_a_server_cannot_answer_another_is_asked() -> None:
    with server(lambda query: [reply(query, rcode=2)]) as port:
        (one,) = exchanges(look_up(ONE, ["127.0.0.1"], port))
        assert dns.message.from_wire(one.received).rcode() == dns.rcode.SERVFAIL
        (one,) = exchanges(look_up(ONE, ["127.0.0.9", "127.0.0.1"], port))
    assert one.to == "127.0.0.1"


def test_a_server_that_does_not_know_edns_is_asked_without() -> None:
    def answers(query: bytes) -> list[bytes]:
        plain = dns.message.from_wire(query).edns < 0
        return [
            reply(query, "old")
            if plain
            else struct.pack("!6H", *struct.unpack("!H", query[:2]), 0x8181, 0, 0, 0, 0)
        ]

    with server(answers) as port:
        (one,) = exchanges(look_up(ONE, ["127.0.0.1"], port))
    assert b"old" in one.received
    assert dns.message.from_wire(one.sent).edns < 0


def test_more_than_the_limit_is_an_error() -> None:
    source = Lookup(questions=(("a.test", "TXT"), ("b.test", "TXT")), limit=900)
    with (
        server(lambda query: [reply(query, "x" * 250, "y" * 250)]) as port,
        pytest.raises(ChannelError) as caught,
    ):
        look_up(source, ["127.0.0.1"], port)
    assert caught.value.cause is Cause.TRUNCATED


def test_a_later_question_without_an_answer_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PATIENCE", 0.2)
    source = Lookup(questions=(("a.test", "TXT"), ("lame.test", "TXT"), ("b.test", "TXT")))
    with server(lambda query: [] if b"lame" in query else [reply(query, "here", flags=dns.flags.RA)]) as port:
        raw = look_up(source, ["127.0.0.1"], port)
    assert [(one.ask, one.end, bool(one.received)) for one in exchanges(raw)] == [
        ("a.test TXT", "done", True),
        ("lame.test TXT", "timeout", False),
        ("b.test TXT", "done", True),
    ]
    answers = Answers(raw)
    assert answers("b.test", "TXT").strings == ("here",)
    with pytest.raises(Blind) as caught:
        answers("lame.test", "TXT")
    assert caught.value.cause is Cause.TIMEOUT


def test_no_question_is_no_traffic_and_a_whole_answer() -> None:
    raw = look_up(Lookup(questions=()), ["192.0.2.1"])
    assert (raw.out, raw.gap) == (b"", None)


def test_no_question_for_the_dns_is_an_error() -> None:
    with pytest.raises(ChannelError) as caught:
        look_up(Lookup(questions=(("a..test", "TXT"),)), ["127.0.0.1"])
    assert caught.value.cause is Cause.PARSE


def test_a_server_outside_the_inventory_is_not_asked(tmp_path: Path) -> None:
    target = Target(name="ours", address="127.0.0.1", consent=Impact.TRY)
    worker = Worker(Inventory(sources=(), digest="", targets=(target,)), Vault())
    worker.may_ask(Lookup(questions=(), server="127.0.0.1"), target)
    with pytest.raises(ChannelError) as caught:
        worker.may_ask(Lookup(questions=(("gemeente.test", "SOA"),), server="127.0.0.99"), target)
    assert caught.value.cause is Cause.POLICY


def test_own_anchors_are_the_files_of_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "root.ds").write_text(". IN DS 1 13 2 00")
    limit = NameAnchors().limit
    assert name_anchors((), limit).out == b""
    assert name_anchors((str(tmp_path / "root.ds"),), limit).out == b". IN DS 1 13 2 00\n"
    with pytest.raises(ChannelError):
        name_anchors((str(tmp_path / "nowhere"),), limit)
    with pytest.raises(ChannelError):
        name_anchors((str(tmp_path / "root.ds"),), 5)
