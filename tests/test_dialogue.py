"""A dialogue with a real server on loopback: what was said and heard, and how it ended."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scanner.channels import ChannelError
from scanner.channels.dialogue import converse
from scanner.channels.ports import scan
from scanner.model import Cause, Credential, Impact, Inventory, Raw, State, Target
from scanner.sources import Dialogue, Ports, Say, from_data, to_data
from scanner.transcript import exchanges
from scanner.vault import Vault
from scanner.worker import Worker
from tests.lab.certificates import Authority


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback that talks with one visitor."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


def ask(port: int, *turns: Say, **more: object) -> Raw:
    return converse(Dialogue(purpose="test", port=port, turns=turns, **more), "127.0.0.1")  # type: ignore[arg-type]


def test_what_was_said_and_heard_is_the_evidence() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"220 mail ")
        connection.sendall(b"ESMTP\r\n")
        assert connection.recv(100) == b"EHLO x\r\n"
        connection.sendall(b"250-mail\r\n250 STARTTLS\r\n")

    with server(talk) as port:
        raw = ask(port, Say(until=r"\r\n"), Say("EHLO x\r\n", until=r"(?m)^250 [^\n]*\n"))
    (one,) = exchanges(raw)
    assert [(turn.sent, turn.received) for turn in one.turns] == [
        (b"", b"220 mail ESMTP\r\n"),
        (b"EHLO x\r\n", b"250-mail\r\n250 STARTTLS\r\n"),
    ]
    assert (one.end, raw.gap) == ("done", None)


def test_a_frame_ends_where_its_length_says_and_parts_are_copied_on() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"\x00\x06ab")
        connection.sendall(b"cd")
        assert connection.recv(100) == b"<cd>"
        connection.sendall(b"\x03\x00\x00")

    with server(talk) as port:
        raw = ask(
            port,
            Say(frame=(0, 2, 0)),
            Say("<..>", frame=(0, -2, 0), copy=((0, 4, 2, 1),)),
        )
    assert [turn.received for turn in exchanges(raw)[0].turns] == [b"\x00\x06abcd", b"\x03\x00\x00"]


def test_an_end_from_the_other_side_is_an_answer() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"go away")

    with server(talk) as port:
        (one,) = exchanges(ask(port, Say("hello\n", until="never"), Say("more\n")))
    assert (one.end, one.received) == ("closed", b"go away")


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    (one,) = exchanges(ask(port, Say("hello\n")))
    assert (one.end, one.turns) == ("refused", ())


def test_silence_is_an_error_unless_it_may_be_the_answer() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"half a li")
        connection.recv(100)

    with server(talk) as port, pytest.raises(ChannelError) as caught:
        ask(port, Say(until="\n"), timeout=1)
    assert caught.value.cause is Cause.TIMEOUT
    with server(talk) as port:
        (one,) = exchanges(ask(port, Say(until="\n"), timeout=1, silence=True))
    assert (one.end, one.received) == ("timeout", b"half a li")


def test_quiet_ends_an_answer_without_an_end() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"login: ")
        connection.recv(100)

    with server(talk) as port:
        (one,) = exchanges(ask(port, Say(quiet=0.3)))
    assert (one.end, one.received) == ("done", b"login: ")


def test_a_flood_is_an_error() -> None:
    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection.sendall(b"x" * 65536)

    with server(talk) as port, pytest.raises(ChannelError) as caught:
        ask(port, Say(until="\n"), limit=100_000)
    assert caught.value.cause is Cause.TRUNCATED


def test_datagrams_answer_stay_silent_or_are_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]

        def serve() -> None:
            data, peer = listening.recvfrom(100)
            listening.sendto(data[::-1], peer)

        thread = threading.Thread(target=serve)
        thread.start()
        (one,) = exchanges(ask(port, Say("abc"), protocol="udp"))
        thread.join()
        assert (one.end, one.received) == ("done", b"cba")
        with pytest.raises(ChannelError):
            ask(port, Say("abc"), protocol="udp", timeout=1)
    (one,) = exchanges(ask(port, Say("abc"), protocol="udp", timeout=2))
    assert one.end == "refused"


def test_tls_from_the_start_or_later_and_an_alert_is_told(tmp_path: Path) -> None:
    pair = Authority().issue("server.test")
    (tmp_path / "chain").write_bytes(pair.chain)
    (tmp_path / "key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain", tmp_path / "key")

    def later(connection: socket.socket) -> None:
        connection.sendall(b"220 ready\r\n")
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(secured.recv(100))

    with server(later) as port:
        (one,) = exchanges(ask(port, Say(until="\n", secure=True), Say("secret?", until="secret")))
    assert (one.note, one.turns[1].received) == ("TLSv1.3", b"secret?")

    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strict.load_cert_chain(tmp_path / "chain", tmp_path / "key")
    strict.load_verify_locations(cadata=Authority().anchor.decode())
    strict.verify_mode = ssl.CERT_REQUIRED

    def refuses(connection: socket.socket) -> None:
        with pytest.raises(ssl.SSLError), strict.wrap_socket(connection, server_side=True) as secured:
            secured.recv(100)

    for stranger, word in ((False, "CERTIFICATE_REQUIRED"), (True, "UNKNOWN_CA")):
        with server(refuses) as port:
            (one,) = exchanges(ask(port, Say(until="!"), secure=True, stranger=stranger))
        assert one.end == "reset"
        assert word in one.note


def test_a_dialogue_comes_back_from_its_data() -> None:
    source = Dialogue(
        purpose="p", port=25, turns=(Say(until="\n"), Say("\xff", frame=(0, 2, 0), copy=((0, 1, 2, 3),)))
    )
    assert from_data(to_data(source)) == source
    assert source.turns[1].data == "\xff"


def test_ports_that_listen_and_those_that_do_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as other:
        open_, closed = listening.getsockname()[1], other.getsockname()[1]
        other.close()
        raw = scan(Ports(numbers=(open_, closed)), "127.0.0.1", "beheer")
    assert raw.text == (
        f'{{"from":"beheer","addresses":{{"127.0.0.1":{{"source":"127.0.0.1","open":[{open_}],"refused":[{closed}],'
        '"silent":[],"failed":{},"still":true}}}'
    )


def test_a_target_that_takes_too_long_is_asked_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.worker.OUTSIDE_SECONDS", -1)
    target = Target(name="a", address="127.0.0.1")
    inventory = Inventory(sources=(), digest="", targets=(target,))
    look = Dialogue(purpose="look", port=9, turns=(Say("x"),))
    with Worker(inventory, Vault()).session(target, (look,)) as session:
        gap = session.ask((look,))[look].gap
    assert gap is not None
    assert (gap.state, gap.cause) == (State.ERROR, Cause.TIMEOUT)


def test_trying_ports_for_long_takes_no_time_from_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.worker.OUTSIDE_SECONDS", 1)
    target = Target(name="a", address="127.0.0.1")
    inventory = Inventory(sources=(), digest="", targets=(target,))
    sweep, look = Ports(numbers=tuple(range(1, 400))), Dialogue(purpose="look", port=9, turns=(Say("x"),))
    with Worker(inventory, Vault()).session(target, (sweep,)) as session:
        assert session.ask((sweep,))[sweep].took > 1
        assert session.ask((look,))[look].gap is None


def test_nothing_goes_further_than_the_consent_or_outside_the_inventory() -> None:
    target = Target(name="a", address="127.0.0.1", credential="none")
    inventory = Inventory(
        sources=(), digest="", targets=(target,), credentials={"none": Credential(user="x", agent=True)}
    )
    knock = Dialogue(purpose="knock", port=9, turns=(Say("x"),), impact=Impact.KNOCK)
    away = Dialogue(purpose="away", port=9, turns=(Say("x"),), address="192.0.2.1")
    with Worker(inventory, Vault()).session(target, (knock, away)) as session:
        answers = session.ask((knock, away))
    for source, words in ((knock, "consent: knock"), (away, "no target of the inventory")):
        gap = answers[source].gap
        assert gap is not None
        assert (gap.state, gap.cause) == (State.ERROR, Cause.POLICY)
        assert words in gap.detail
    willing = target.model_copy(update={"consent": Impact.TRY})
    with Worker(inventory, Vault()).session(willing, (knock,)) as session:
        assert session.ask((knock,))[knock].gap is None


def test_the_last_words_before_a_reset_are_heard() -> None:
    """A server that refuses at once, and says why, may be gone before all was sent."""

    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"-DENIED and why\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with server(talk) as port:
        (one,) = exchanges(ask(port, Say("x" * (32 << 20), until="\n")))
    assert (one.end, one.received) == ("reset", b"-DENIED and why\n")


def test_a_name_that_tls_cannot_carry_is_an_error() -> None:
    def talk(connection: socket.socket) -> None:
        connection.settimeout(0.5)
        with suppress(OSError):
            connection.recv(100)

    with server(talk) as port, pytest.raises(ChannelError) as caught:
        ask(port, Say("x"), secure=True, server_name="." * 3)
    assert caught.value.cause is Cause.PARSE
