"""TLS after another protocol: real servers for each, with and without it, and on documented words in pieces."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from checks.network.ports import TlsPort
from checks.network.tls_endpoint import StartTls, TlsOffer, start_tls, tls_offer
from scanner import Absent, model
from scanner.channels import ChannelError, tls
from scanner.channels.starttls import DIALOGUES, NotOffered, dialogue
from scanner.model import State
from scanner.sources import TlsWalk
from scanner.transcript import exchanges
from tests.outside import look, server_at, state, told
from tests.servers import starttls as servers
from tests.servers.tls import NAME, Keys, made
from tests.test_channel_tls import serving


@pytest.fixture
def folder() -> Iterator[Path]:
    with servers.public_folder() as found:
        yield found


@pytest.fixture
def pair(folder: Path) -> Keys:
    keys = made(folder)
    for one in keys:
        one.chmod(0o644)
    return keys


def seen(port: int, protocol: str) -> tuple[StartTls, TlsOffer | None]:
    raw = tls.look(TlsWalk(port, NAME, starttls=protocol, parts="offer"), "127.0.0.1")
    where = TlsPort(port, NAME, starttls=protocol)
    try:
        return start_tls(raw, where), tls_offer(raw, where)
    except Absent:
        return start_tls(raw, where), None


def offered(port: int, protocol: str) -> None:
    begun, offer = seen(port, protocol)
    assert begun.offered
    assert offer is not None
    assert "TLSv1.2" in offer.accepted.whole
    assert offer.all_suites.whole


def not_offered(port: int, protocol: str) -> None:
    begun, offer = seen(port, protocol)
    (only,) = exchanges(tls.look(TlsWalk(port, NAME, starttls=protocol), "127.0.0.1"))
    assert only.end == "done"
    assert not begun.offered
    assert begun.said
    assert offer is None


Server = Callable[..., AbstractContextManager[Any]]


@pytest.mark.server
@pytest.mark.parametrize(
    ("server", "protocol"),
    [
        (servers.postfix, "smtp"),
        (servers.slapd, "ldap"),
        (servers.postgresql, "postgresql"),
        (servers.mariadb, "mysql"),
        (servers.vsftpd, "ftp"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_real_server_with_tls_and_without(server: Server, protocol: str, pair: Keys, folder: Path) -> None:
    with server(folder, pair) as port:
        offered(port, protocol)
    with server(folder, None) as port:
        not_offered(port, protocol)


@pytest.mark.server
def test_mysql_gets_sixty_connections_at_most(pair: Keys, folder: Path) -> None:
    with servers.mariadb(folder, pair) as port:
        raw = tls.look(TlsWalk(port, NAME, starttls="mysql"), "127.0.0.1")
    assert 20 < len(exchanges(raw)) <= 60


@pytest.mark.server
def test_dovecot_by_imap_and_pop3(pair: Keys, folder: Path) -> None:
    with servers.dovecot(folder, pair) as ports:
        offered(ports.imap, "imap")
        offered(ports.pop3, "pop3")


@pytest.mark.server
def test_prosody_for_clients_and_servers(pair: Keys, folder: Path) -> None:
    with servers.prosody(folder, pair, NAME) as (client, server):
        offered(client, "xmpp-client")
        offered(server, "xmpp-server")
    with servers.prosody(folder, None, NAME) as (client, _):
        not_offered(client, "xmpp-client")


# --- verdicts that move -----------------------------------------------------------------------------------------


@contextmanager
def _dovecot(folder: Path, pair: Keys | None, *, old: bool, which: str) -> Iterator[int]:
    with servers.dovecot(folder, pair, old=old) as ports:
        yield getattr(ports, which)


#: Protocol -> the server; ``old``: with TLS 1.1 too, and without a key it offers no TLS.
MOVED: dict[str, Server] = {
    "lmtp": partial(_dovecot, which="lmtp"),
    "sieve": partial(_dovecot, which="sieve"),
    "rdp": servers.xrdp,
    "irc": servers.inspircd,
    "nntp": servers.nnrpd,
}
CHECKS = ("tls.starttls-offered", "tls.name-matches", "tls.no-tls11")


@pytest.mark.server
@pytest.mark.parametrize("protocol", MOVED)
def test_verdicts_move_with_the_settings(protocol: str, folder: Path) -> None:
    right, other = made(folder / "right"), made(folder / "other", name="other.lab.test")
    for one in (*right, *other):
        one.chmod(0o644)
    good = [State.PASS, State.PASS, State.PASS]
    turns: list[tuple[Keys | None, bool, list[State]]] = [
        (right, False, good),
        (right, True, [State.PASS, State.PASS, State.FAIL]),
        (other, False, [State.PASS, State.FAIL, State.PASS]),
        (None, False, [State.FAIL, State.NOTAPPLICABLE, State.NOTAPPLICABLE]),
        (right, False, good),
    ]
    for number, (keys, old, wanted) in enumerate(turns):
        here = folder / str(number)
        here.mkdir()
        with MOVED[protocol](here, keys, old=old) as port:
            service = {"port": port, "tls": True, "starttls": protocol, "server_name": NAME}
            found = look(server_at("127.0.0.1", service), only=CHECKS)
        assert [state(found[check]) for check in CHECKS] == wanted, [told(one) for one in found.values()]


# --- on documented words ----------------------------------------------------------------------------------------

#: Real servers say them above; here they come in pieces, which no server can be told to send. Protocol -> what the
#: server says, turn by turn, up to TLS: RFC 2033, RFC 5804 section 1.4, RFC 4642 section 2.4,
#: the IRCv3 tls extension, [MS-RDPBCGR] section 4.1.2.
WORDS = {
    "lmtp": [b"220 mail LMTP\r\n", b"250-mail\r\n250-PIPELINING\r\n250 STARTTLS\r\n", b"220 2.0.0 Go on\r\n"],
    "sieve": [b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\nOK "ready"\r\n', b'OK "Begin"\r\n'],
    "nntp": [b"200 news\r\n", b"382 Continue with TLS negotiation\r\n"],
    "irc": [b":irc NOTICE * :Looking up your name\r\n:irc 670 x :STARTTLS successful\r\n"],
    "rdp": [bytes.fromhex("030000130ed000001234000201080002000000")],
}
REFUSED = {
    "lmtp": [b"220 mail LMTP\r\n", b"250-mail\r\n250 PIPELINING\r\n"],
    "sieve": [b'"IMPLEMENTATION" "x"\r\nOK "ready"\r\n'],
    "nntp": [b"200 news\r\n", b"580 Can not initiate TLS negotiation\r\n"],
    "irc": [b":irc 421 * STARTTLS :Unknown command\r\n"],
    "rdp": [bytes.fromhex("030000130ed000001234000300080005000000")],
    "smtp": [b"554 no service\r\n"],
    "pop3": [b"+OK\r\n", b"-ERR no\r\n"],
    "imap": [b"* OK\r\n", b"* CAPABILITY IMAP4rev1\r\na OK done\r\n"],
    "ldap": [bytes.fromhex("300c02010178070a010204000400")],
    "postgresql": [b"N"],
    "mysql": [b"\x10\0\0\0\x0a8.0\0\0\0\0\0saltsalt\0\0\0"],
}


def test_the_inventory_knows_every_dialogue() -> None:
    assert {"", *DIALOGUES} == set(get_args(model.StartTls))


def say(protocol: str, words: list[bytes], piece: int) -> None:
    """Play a dialogue with a server that says this, in pieces."""
    talk = dialogue(protocol, NAME)
    sent = next(talk)
    for one in words:
        got = b""
        for at in range(0, len(one), piece):
            got += one[at : at + piece]
            sent = talk.send(got)
            if sent:
                break


@pytest.mark.parametrize("protocol", WORDS)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_documented_words_lead_to_tls(protocol: str, piece: int) -> None:
    with pytest.raises(StopIteration):
        say(protocol, WORDS[protocol], piece)


@pytest.mark.parametrize("protocol", REFUSED)
@pytest.mark.parametrize("piece", [1, 1000])
def test_documented_words_that_refuse(protocol: str, piece: int) -> None:
    with pytest.raises(NotOffered):
        say(protocol, REFUSED[protocol], piece)


@pytest.mark.parametrize("protocol", DIALOGUES)
def test_a_server_that_never_stops_talking_is_left(protocol: str) -> None:
    talk = dialogue(protocol, NAME)
    next(talk)

    def on_and_on() -> None:
        for size in range(1, 100_000, 5000):
            talk.send(b"x" * size)

    with pytest.raises((NotOffered, StopIteration)):
        on_and_on()


@pytest.mark.parametrize("protocol", ["smtp", "mysql", "xmpp-client"])
def test_a_server_that_says_nothing_before_tls_is_a_timeout(protocol: str) -> None:
    def silent(connection: socket.socket) -> None:
        connection.settimeout(3)
        connection.recv(1)

    with serving(silent) as port, pytest.raises(ChannelError):
        tls.look(TlsWalk(port, NAME, starttls=protocol, timeout=1), "127.0.0.1")
