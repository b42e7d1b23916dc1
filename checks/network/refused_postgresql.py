"""Whether PostgreSQL refuses clear text, who brings no password, and weak ways to send one (seen from outside)."""

from __future__ import annotations

from typing import Final

from checks.network.asking import MADE_UP, heard, not_spoken
from checks.network.example_talks import at, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    SECURE_DEPLOYMENT,
    Absent,
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

_SERVICES: Final = ("postgresql", "postgres", "pgsql")
#: The account that every PostgreSQL is made with.
_FIRST_ACCOUNT: Final = "postgres"
#: SSLRequest: length 8, code 80877103.
_TLS_PLEASE: Final = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
#: A message: a letter, and a length that counts itself.
_MESSAGE: Final = (1, 4, 1)
#: Authentication requests, by number (PostgreSQL documentation, 55.7 "Message Formats").
_METHODS: Final = {
    0: "no password",
    2: "Kerberos V5",
    3: "a password in the clear",
    5: "md5",
    7: "GSSAPI",
    9: "SSPI",
    10: "SASL",
}
#: A refusal for want of a client certificate has this in it, in whatever language PostgreSQL speaks.
_CERTIFICATE: Final = "ertifi"
#: The routine of the server that says that somebody failed to prove who he is; in no language but its own.
_FAILED: Final = "auth_failed"
_WEAK: Final = frozenset({"a password in the clear", "md5"})


@fact
class Asked:
    """What PostgreSQL asks of somebody to log in.

    ``method`` is how (`_METHODS`, or the names of SASL mechanisms), empty when he is refused; ``said`` tells it.
    ``failed`` says that he was let to try, and is not who he says (ident): another might get in.
    """

    method: str
    said: str
    failed: bool = False

    @property
    def refused(self) -> bool:
        """Whether he may not even try."""
        return not self.method


@fact
class PostgresqlPort:
    """What PostgreSQL asks of a stranger who does not speak TLS, and whether it offers TLS."""

    port: int
    server_name: str
    offers_tls: bool
    in_clear: Asked

    def __str__(self) -> str:
        return f"{self.port}/tcp"


@fact
class PostgresqlStranger:
    """What PostgreSQL asks of somebody with a made-up name: in the clear, and over TLS when it offers that."""

    port: int
    offers_tls: bool
    in_clear: Asked
    asked: Asked

    def __str__(self) -> str:
        return f"{self.port}/tcp"


@fact
class PostgresqlFirstAccount:
    """What PostgreSQL asks of who calls himself ``postgres`` to log in, over TLS when it offers that; and of a stranger
    in the clear.
    """

    port: int
    asked: Asked
    in_clear: Asked

    def __str__(self) -> str:
        return f"{self.port}/tcp"


def _startup(user: str) -> Say:
    """StartupMessage, protocol 3.0; the database has the name of the user."""
    words = f"user\0{user}\0database\0{user}\0\0"
    length = len(words) + 8
    return Say(f"\0\0\0{chr(length)}\0\3\0\0{words}", frame=_MESSAGE)


def _login(port: PostgresqlPort, user: str) -> Dialogue:
    ask_for_tls = (Say(_TLS_PLEASE, until="^.", secure=True),) if port.offers_tls else ()
    return Dialogue(
        purpose=f"PostgreSQL: what it asks of {user}",
        port=port.port,
        turns=(*ask_for_tls, _startup(user)),
        server_name=port.server_name,
        impact=Impact.TRY,
    )


@probe(
    "outside",
    offer=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="PostgreSQL: is TLS offered", port=port.number, turns=(Say(_TLS_PLEASE, until="^."),)
        ),
        when=lambda port: port.service in _SERVICES,
    ),
    clear=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="PostgreSQL: a connection in the clear under a made-up name",
            port=port.number,
            turns=(_startup(MADE_UP),),
            impact=Impact.TRY,
        ),
        when=lambda port: port.service in _SERVICES,
    ),
)
def postgresql_port(offer: Raw, clear: Raw, port: OpenPort) -> PostgresqlPort:
    """PostgreSQL documentation, 55.2.9 "SSL Session Encryption": the answer to SSLRequest is one byte, S or N."""
    offered = heard(offer)
    if offered.received not in (b"S", b"N"):
        raise not_spoken(offered, "PostgreSQL")
    return PostgresqlPort(port.number, port.server_name, offered.received == b"S", _asked(heard(clear)))


@probe("outside", stranger=Each(PostgresqlPort, lambda port: _login(port, MADE_UP)))
def postgresql_stranger(stranger: Raw, port: PostgresqlPort) -> PostgresqlStranger:
    """The last turn is the answer to StartupMessage."""
    return PostgresqlStranger(port.port, port.offers_tls, port.in_clear, _asked(heard(stranger)))


@probe("outside", first=Each(PostgresqlPort, lambda port: _login(port, _FIRST_ACCOUNT)))
def postgresql_first_account(first: Raw, port: PostgresqlPort) -> PostgresqlFirstAccount:
    """The last turn is the answer to StartupMessage."""
    return PostgresqlFirstAccount(port.port, _asked(heard(first)), port.in_clear)


def _asked(exchange: Exchange) -> Asked:
    """What the first message in answer to StartupMessage asks for: AuthenticationRequest or ErrorResponse."""
    message = exchange.turns[-1].received if exchange.turns else b""
    if len(message) < 9 or len(message) < int.from_bytes(message[1:5], "big") + 1:
        raise not_spoken(exchange, "PostgreSQL")
    if message[:1] == b"R":
        method = int.from_bytes(message[5:9], "big")
        if method not in _METHODS:
            raise NotUnderstood(f"authentication request {method}")
        named = _METHODS[method]
        if method == 10:
            named = ", ".join(name.decode("ascii") for name in message[9:].split(b"\0") if name)
        return Asked(named, f"asks for {named}")
    if message[:1] != b"E":
        raise not_spoken(exchange, "PostgreSQL")
    fields = {field[:1]: field[1:].decode("utf-8", "replace") for field in message[5:].split(b"\0")}
    state, words = fields.get(b"C", ""), fields.get(b"M", "")[:160]
    if not state.startswith("28"):
        raise NotUnderstood(f"an error that says nothing of logging in: {state} {words}")
    return Asked("", f"refused ({state}: {words})", fields.get(b"R") == _FAILED)


@check(
    "refused-postgresql.clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="database",
    title_nl="PostgreSQL weigert een verbinding zonder TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk alle vragen en antwoorden mee.",
    fix="sed -Ei 's/^host([[:space:]])/hostssl\\1/' /etc/postgresql/15/main/pg_hba.conf\n"
    "psql -c 'ALTER SYSTEM SET ssl = on'\npsql -c 'SELECT pg_reload_conf()'",
    verify="psql 'host=HOST sslmode=disable user=keurmeester-test'",
    references=("PostgreSQL documentation, 21.1 pg_hba.conf: hostssl", "BIO2 1.3, 8.21.04"),
)
def clear_text_refused(login: PostgresqlStranger) -> Verdict:
    """PostgreSQL refuses a connection without TLS.

    Without TLS whoever listens in on the network reads all questions and answers.
    """
    refused = login.in_clear.refused and not login.in_clear.failed
    if login.offers_tls and refused and login.asked.refused and _CERTIFICATE not in login.asked.said:
        # Whom it knows it may let in without TLS all the same.
        raise NotUnderstood(f"a stranger is refused with TLS too: {login.asked.said}")
    offer = "TLS offered" if login.offers_tls else "no TLS offered"
    return holds(
        login.offers_tls and refused,
        f"{offer}; without TLS: {login.in_clear.said}",
        "TLS offered; without TLS: refused",
    )


@check(
    "refused-postgresql.without-password",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    platform="database",
    title_nl="PostgreSQL laat het eerste account niet zonder wachtwoord binnen",
    why_nl="Met 'trust' gelooft de server iedereen op zijn woord: wie zich postgres noemt, beheert alle gegevens.",
    fix="sed -Ei '/^host/s/[[:space:]]trust$/ scram-sha-256/' /etc/postgresql/15/main/pg_hba.conf\n"
    "psql -c 'SELECT pg_reload_conf()'",
    verify="psql -w -h HOST -U postgres -c 'SELECT 1'",
    references=("PostgreSQL documentation, 21.4 Trust Authentication",),
)
def password_demanded(login: PostgresqlFirstAccount) -> Verdict:
    """PostgreSQL does not let its first account in without a password.

    With 'trust' the server takes everyone's word: who calls himself postgres administers all data.
    """
    open_ = "no password" in (login.asked.method, login.in_clear.method)
    seen = f"postgres: {login.asked.said}; a stranger in the clear: {login.in_clear.said}"
    return holds(not open_, seen, "a password, a proof or a refusal")


@check(
    "refused-postgresql.weak-password-exchange",
    principle=(SECURE_DEPLOYMENT, FAIL_SECURE),
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    platform="database",
    title_nl="PostgreSQL vraagt wachtwoorden alleen met SCRAM",
    why_nl="Bij md5 of een leesbaar wachtwoord kan wie de server of de lijn in handen heeft, zich als de gebruiker"
    " voordoen.",
    fix="psql -c \"ALTER SYSTEM SET password_encryption = 'scram-sha-256'\"\n"
    "sed -Ei '/^host/s/[[:space:]](md5|password)$/ scram-sha-256/' /etc/postgresql/15/main/pg_hba.conf\n"
    "psql -c 'SELECT pg_reload_conf()'",
    verify="psql -c 'SELECT type, database, user_name, auth_method FROM pg_hba_file_rules'",
    references=("PostgreSQL documentation, 21.5 Password Authentication", "RFC 7677"),
)
def password_exchange(login: PostgresqlStranger) -> Verdict:
    """PostgreSQL asks for passwords with SCRAM only.

    With md5 or a password in the clear, who holds the server or the line can pose as the user.
    """
    ways = {login.asked.said: login.asked, f"in the clear: {login.in_clear.said}": login.in_clear}
    asking = {said: way for said, way in ways.items() if way.method not in {"", "no password"}}
    if not asking:
        raise Absent(f"it asks a stranger for no password: {login.asked.said}")
    strong = all(way.method not in _WEAK for way in asking.values())
    return holds(strong, "; ".join(asking), "SCRAM-SHA-256, GSSAPI or SSPI")


# --- examples -------------------------------------------------------------------------------------------------

_OPENING: Final = _startup(MADE_UP).data.encode("latin-1")
_ASK: Final = _TLS_PLEASE.encode("latin-1")


def _authentication(method: int, more: bytes = b"") -> bytes:
    return b"R" + (8 + len(more)).to_bytes(4, "big") + method.to_bytes(4, "big") + more


def _error(state: str, message: str, routine: str = "ClientAuthentication") -> bytes:
    fields = f"SFATAL\0VFATAL\0C{state}\0M{message}\0R{routine}\0\0".encode()
    return b"E" + (4 + len(fields)).to_bytes(4, "big") + fields


_SCRAM: Final = _authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
_MD5: Final = _authentication(5, b"\x8d\x11\x02\x7f")
_NO_ENTRY: Final = _error(
    "28000", 'no pg_hba.conf entry for host "192.0.2.9", user "keurmeester-test", no encryption'
)
_NO_CERTIFICATE: Final = _error("28000", "connection requires a valid client certificate")
_IDENT: Final = _error("28000", 'Ident authentication failed for user "keurmeester-test"', _FAILED)
_STARTING: Final = _error("57P03", "the database system is starting up")


def _seen(offer: bytes = b"S", clear: bytes = _NO_ENTRY, login: bytes = _SCRAM) -> dict[str, object]:
    later = talk((_ASK, b"S"), (_OPENING, login)) if offer == b"S" else talk((_OPENING, login))
    return at(
        "postgresql",
        offer=talk((_ASK, offer)),
        clear=talk((_OPENING, clear)),
        stranger=later,
        first=later,
    )


examples(
    clear_text_refused,
    passes=[_seen(), _seen(login=_NO_CERTIFICATE)],
    fails=[
        _seen(clear=_SCRAM),
        _seen(clear=_IDENT),
        _seen(offer=b"N"),
        _seen(offer=b"N", clear=_authentication(0)),
    ],
    unknown=[
        _seen(login=_NO_ENTRY),
        _seen(clear=_STARTING),
        _seen(offer=b"?"),
        _seen(clear=_SCRAM[:12]),
    ],
    notapplicable=at("http"),
)
examples(
    password_demanded,
    passes=[_seen(), _seen(login=_NO_ENTRY), _seen(login=_MD5)],
    fails=[
        _seen(login=_authentication(0)),
        _seen(clear=_authentication(0)),
        _seen(offer=b"N", clear=_MD5, login=_authentication(0)),
    ],
    unknown=[_seen(login=_STARTING), _seen(login=_authentication(99))],
)
examples(
    password_exchange,
    passes=[_seen(), _seen(login=_authentication(7))],
    fails=[
        _seen(login=_MD5),
        _seen(login=_authentication(3)),
        _seen(clear=_MD5),
        _seen(clear=_MD5, login=_NO_ENTRY),
    ],
    notapplicable=[_seen(login=_NO_ENTRY), _seen(login=_authentication(0))],
)
