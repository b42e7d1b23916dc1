"""Whether MySQL and MariaDB refuse clear text, root without a password and who gives no name (seen from outside)."""

from __future__ import annotations

from typing import Final, NamedTuple

from checks.network.asking import MADE_UP, Answered, heard, not_spoken
from checks.network.example_talks import at, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Dialogue,
    Each,
    Exchange,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_SERVICES: Final = ("mysql", "mariadb")
#: A packet: its length in three bytes, little-endian, without the four of its header; then a number.
_PACKET: Final = (0, -3, 4)
#: Capability flags: long password, protocol 4.1, TLS, secure connection, plugin authentication.
_TLS: Final = 0x0800
_CAPABILITIES: Final = 0x0001 | 0x0200 | 0x8000 | 0x80000
#: Errors that refuse: host not allowed; connections without TLS prohibited; account locked (MySQL, MariaDB). Those of
#: SQLSTATE 28000 do so too.
_HOST, _NO_TLS, _LOCKED = 1130, 3159, (3118, 4151)
#: What caching_sha2_password says of a proof that it takes; the login itself comes behind it.
_FAST: Final = b"\x03"
#: Errors that come before anybody's name counts: not from here, not without TLS.
_WITHOUT_TLS: Final = frozenset({_HOST, _NO_TLS})


class _Error(NamedTuple):
    """ERR_Packet."""

    code: int
    state: str
    text: str

    def __str__(self) -> str:
        return f"error {self.code}{f' ({self.state})' if self.state else ''}: {self.text}"

    @property
    def refuses(self) -> bool:
        return self.state == "28000" or self.code in {_HOST, _NO_TLS, *_LOCKED}


@fact
class MysqlPort(Answered):
    """What the server does with a login under a made-up name in the clear; ``refused`` is: for want of TLS.

    ``shut``: it lets nobody in from where the scanner stands, and says so before anything else. ``certain``: whatever
    name had been given, the answer would have been the same.
    """

    server_name: str = ""
    offers_tls: bool = False
    shut: bool = False
    certain: bool = True


@fact
class MysqlRoot(Answered):
    """What the server does with ``root`` and an empty password, over TLS when it offers that."""


@fact
class MysqlNobody(Answered):
    """What the server does with an empty name and an empty password, over TLS when it offers that."""


def _packet(number: int, payload: bytes) -> str:
    return (len(payload).to_bytes(3, "little") + bytes([number]) + payload).decode("latin-1")


def _opening(flags: int) -> bytes:
    """What SSLRequest and HandshakeResponse41 begin with: capabilities, packet size, character set (utf8mb4)."""
    return flags.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\x2d" + bytes(23)


def _login(user: str, number: int, flags: int = _CAPABILITIES) -> tuple[Say, ...]:
    """HandshakeResponse41 with an empty password, and that again when another plugin asks for it."""
    words = user.encode() + b"\0" + b"\0" + b"mysql_native_password\0"
    return (
        Say(_packet(number, _opening(flags) + words), frame=_PACKET),
        Say(_packet(number + 2, b""), frame=_PACKET),
    )


def _as(user: str, impact: Impact) -> Each:
    def dialogue(port: MysqlPort) -> Dialogue:
        greeting = Say(frame=_PACKET)
        flags = _CAPABILITIES | _TLS
        please = Say(_packet(1, _opening(flags)), until="^", secure=True)
        turns = (
            (greeting, please, *_login(user, 2, flags)) if port.offers_tls else (greeting, *_login(user, 1))
        )
        return Dialogue(
            purpose=f"MySQL: a login as {user or 'nobody'} with an empty password",
            port=port.port, turns=turns, server_name=port.server_name, impact=impact,
        )  # fmt: skip

    return Each(MysqlPort, dialogue, when=lambda port: not port.shut)


@probe(
    "outside",
    clear=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="MySQL: a login in the clear under a made-up name",
            port=port.number,
            turns=(Say(frame=_PACKET), _login(MADE_UP, 1)[0]),
            impact=Impact.TRY,
        ),
        when=lambda port: port.service in _SERVICES,
    ),
)
def mysql_port(clear: Raw, port: OpenPort) -> MysqlPort:
    """MySQL Internals, "Connection Phase": a greeting of protocol 10, or an error in its place."""
    exchange = heard(clear)
    if not exchange.turns:
        raise not_spoken(exchange, "MySQL")
    greeting = _payload(exchange.turns[0].received, exchange)
    if error := _error(greeting):
        if error.code != _HOST:
            raise NotUnderstood(f"in place of a greeting {error}")
        return MysqlPort(port.number, True, str(error), shut=True)
    flags = _offered(greeting, exchange)
    if len(exchange.turns) < 2:
        raise NotUnderstood("no answer to the login")
    answer = _payload(exchange.turns[1].received, exchange)
    error = _error(answer)
    if error is not None and not error.refuses:
        raise NotUnderstood(f"neither in nor out: {error}")
    refused = error is not None and error.code in _WITHOUT_TLS
    said = str(error) if error else "logged in" if answer[0] == 0 else "the login goes on"
    tls = bool(flags & _TLS)
    return MysqlPort(
        port=port.number,
        refused=refused,
        said=said,
        in_clear=not refused,
        server_name=port.server_name,
        offers_tls=tls,
        certain=refused or not tls or answer[0] == 0,
    )


@probe("outside", root=_as("root", Impact.TRY))
def mysql_root(root: Raw, port: MysqlPort) -> MysqlRoot:
    """The answer to the login."""
    return MysqlRoot(port.port, *_outcome(heard(root), 2 if port.offers_tls else 1))


@probe("outside", nobody=_as("", Impact.KNOCK))
def mysql_nobody(nobody: Raw, port: MysqlPort) -> MysqlNobody:
    """The answer to the login."""
    return MysqlNobody(port.port, *_outcome(heard(nobody), 2 if port.offers_tls else 1))


def _payload(packet: bytes, exchange: Exchange) -> bytes:
    length = int.from_bytes(packet[:3], "little")
    if not length or len(packet) < length + 4:
        raise not_spoken(exchange, "MySQL")
    return packet[4 : length + 4]


def _error(payload: bytes) -> _Error | None:
    """ERR_Packet, or None when it is another one; before the login it has no SQLSTATE."""
    if payload[0] != 0xFF or len(payload) < 3:
        return None
    text, state = payload[3:], ""
    if text[:1] == b"#":
        state, text = text[1:6].decode("ascii"), text[6:]
    return _Error(int.from_bytes(payload[1:3], "little"), state, text[:160].decode("utf-8", "replace"))


def _offered(greeting: bytes, exchange: Exchange) -> int:
    """The lower capability flags of a greeting: after version, thread, first part of the scramble and a filler."""
    version, ended, rest = greeting[1:].partition(b"\0")
    if greeting[0] != 10 or not ended or not version or len(rest) < 15:
        raise not_spoken(exchange, "MySQL")
    return int.from_bytes(rest[13:15], "little")


def _outcome(exchange: Exchange, turn: int) -> tuple[bool, str]:
    """Whether the login in this turn was refused, and what was said; the next turn counts when it was asked for."""
    if len(exchange.turns) <= turn:
        raise NotUnderstood("no answer to the login")
    answer = _payload(exchange.turns[turn].received, exchange)
    if answer[0] == 0xFE:
        if len(exchange.turns) <= turn + 1:
            raise NotUnderstood("no answer to the empty password")
        answer = _payload(exchange.turns[turn + 1].received, exchange)
    if answer[0] == 0:
        return False, "logged in"
    if answer[:1] == b"\x01" and answer[1:] != _FAST:
        return True, "it wants a password"
    error = _error(answer)
    if error is None or not error.refuses:
        raise NotUnderstood(f"neither in nor out: {error or answer[:20].hex()}")
    return True, str(error)


@check(
    "refused-mysql.clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="database",
    title_nl="MySQL en MariaDB weigeren een verbinding zonder TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk alle vragen en antwoorden mee.",
    fix="printf '[mysqld]\\nrequire_secure_transport = ON\\nssl_cert = /etc/mysql/server.pem\\n"
    "ssl_key = /etc/mysql/server.key\\n' > /etc/mysql/conf.d/tls.cnf\nsystemctl restart mysql",
    verify="mysql --skip-ssl -h HOST -u keurmeester-test",
    references=("MySQL reference manual: require_secure_transport", "BIO2 1.3, 8.21.04"),
)
def clear_text_refused(port: MysqlPort) -> Verdict:
    """MySQL and MariaDB refuse a connection without TLS.

    Without TLS whoever listens in on the network reads all questions and answers.
    """
    if not port.certain:
        # MariaDB 10.11 refuses for want of TLS with the same error 1045 as for a wrong password.
        raise NotUnderstood(f"it tells only who can log in whether it wants TLS; a made-up name: {port.said}")
    offer = "TLS offered" if port.offers_tls else "no TLS offered"
    return holds(port.refused, f"{offer}; without TLS: {port.said}", "refused for want of TLS")


@check(
    "refused-mysql.root-without-password",
    principle=(FAIL_SECURE, SECURE_DEFAULT),
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    platform="database",
    title_nl="MySQL en MariaDB laten root niet zonder wachtwoord binnen",
    why_nl="Wie zonder wachtwoord root is, leest, wijzigt en wist alle gegevens van alle databases.",
    fix="mysql -e \"DROP USER IF EXISTS 'root'@'%'\"\nmariadb-secure-installation",
    verify="mysql -h HOST -u root --skip-password -e 'SELECT 1'",
    references=("MySQL reference manual, 2.9.4 Securing the Initial MySQL Account",),
)
def root_refused(login: MysqlRoot) -> Verdict:
    """MySQL and MariaDB do not let root in without a password.

    Who is root without a password reads, changes and wipes all data of all databases.
    """
    return holds(login.refused, f"root with an empty password: {login.said}", "refused")


@check(
    "refused-mysql.anonymous",
    principle=(FAIL_SECURE, SECURE_DEFAULT),
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    platform="database",
    title_nl="MySQL en MariaDB weigeren wie geen naam geeft",
    why_nl="Een account zonder naam laat iedereen binnen, en niemand is erop aan te spreken.",
    fix="mysql -e \"DROP USER IF EXISTS ''@'%', ''@'localhost'\"",
    verify="mysql -h HOST -u '' --skip-password -e 'SELECT CURRENT_USER()'",
    references=("MySQL reference manual, 8.2.4 Specifying Account Names",),
)
def nobody_refused(login: MysqlNobody) -> Verdict:
    """MySQL and MariaDB refuse who gives no name.

    An account without a name lets everyone in, and nobody can be held to account.
    """
    return holds(login.refused, f"no name, no password: {login.said}", "refused")


# --- examples -------------------------------------------------------------------------------------------------


def _server(number: int, payload: bytes) -> bytes:
    return _packet(number, payload).encode("latin-1")


def _refusal(code: int, state: str, text: str, number: int = 2) -> bytes:
    mark = f"#{state}".encode() if state else b""
    return _server(number, b"\xff" + code.to_bytes(2, "little") + mark + text.encode())


def _greeting(flags: int) -> bytes:
    start = b"\x0a10.11.19-MariaDB-0+deb12u1\0" + (31).to_bytes(4, "little") + b"q+I8}Wz3\0"
    rest = flags.to_bytes(2, "little") + b"\x2d\x02\0\xff\x81\x15" + bytes(6) + b"\x1d\0\0\0"
    return _server(0, start + rest + b"Nb5yfE=C[)vD\0mysql_native_password\0")


_DENIED: Final = _refusal(
    1045, "28000", "Access denied for user 'keurmeester-test'@'192.0.2.9' (using password: NO)"
)
_PROHIBITED: Final = _refusal(
    _NO_TLS,
    "08004",
    "Connections using insecure transport are prohibited while --require_secure_transport=ON.",
)
_NOT_ALLOWED: Final = _refusal(
    _HOST, "", "Host '192.0.2.9' is not allowed to connect to this MariaDB server", 0
)
_TOO_MANY: Final = _refusal(1040, "08004", "Too many connections", 0)
_IN: Final = _server(2, b"\0\0\0\x02\0\0\0")
_SWITCH: Final = _server(2, b"\xfecaching_sha2_password\0" + b"7" * 20 + b"\0")
_EMPTY: Final = (b"\0\0\0\x03", b"")
_ALL, _NO_TLS_THERE = _greeting(0xFFFE), _greeting(0xF7FE)


def _seen(*login: bytes, clear: bytes = _PROHIBITED, greeting: bytes = _ALL) -> dict[str, object]:
    answers = [(b"login", one) for one in login or (_DENIED,)]
    turns = [(b"\x20\0\0\x01", b"")] if greeting == _ALL else []
    later = talk(greeting, *turns, *answers, end="closed")
    return at("mysql", clear=talk(greeting, (b"login", clear)), root=later, nobody=later)


_SHUT: Final = at("mysql", clear=talk(_NOT_ALLOWED, end="closed"))

examples(
    clear_text_refused,
    passes=[_seen(), _SHUT],
    fails=[
        _seen(clear=_IN),
        _seen(clear=_DENIED, greeting=_NO_TLS_THERE),
        _seen(clear=_SWITCH, greeting=_NO_TLS_THERE),
    ],
    unknown=[
        _seen(clear=_DENIED),
        _seen(clear=_SWITCH),
        at("mysql", clear=talk(_TOO_MANY)),
        at("mysql", clear=talk(_ALL, end="closed")),
        at("mysql", clear=talk(b"\x05\0\0\0hello")),
        at("mysql", clear=talk(end="closed")),
    ],
    notapplicable=[at("http"), at("mysql", clear=talk(b"SSH-2.0-OpenSSH_9.2p1\r\n", end="closed"))],
)
for _check in (root_refused, nobody_refused):
    examples(
        _check,
        passes=[
            _seen(),
            _seen(_DENIED, greeting=_NO_TLS_THERE),
            _seen(_SWITCH, _DENIED),
            _seen(_SWITCH, _server(4, b"\x01\x04")),
        ],
        fails=[_seen(_IN), _seen(_IN, greeting=_NO_TLS_THERE), _seen(_SWITCH, _IN)],
        unknown=[
            _seen(_SWITCH),
            _seen(_SWITCH, _server(4, b"\x01\x03")),
            _seen(_refusal(1040, "08004", "Too many connections")),
        ],
        notapplicable=_SHUT,
    )
