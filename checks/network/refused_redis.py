"""Whether Redis and its likes refuse who has not logged in, and do not speak in the clear (seen from outside)."""

from __future__ import annotations

import re
from typing import Final

from checks.network.asking import MADE_UP, Answered, judged, over_tls_only, said, spoken, twice
from checks.network.example_talks import NO_TLS, SILENCE, at, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Absent,
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

_SERVICES: Final = ("redis", "rediss", "valkey", "keydb")
#: The password in the example line of redis.conf: "# requirepass foobared".
_SAMPLE: Final = "foobared"
_LINE: Final = r"\r\n"
#: How an answer begins in RESP, the protocol of Redis: a simple string, an error, a number or a bulk string.
_RESP: Final = re.compile(rb"[+:$-][^\r\n]*\r\n")
#: Not without logging in, not from this address (protected mode), whatever is asked.
_SHUT: Final = re.compile(rb"-(?:NOAUTH|DENIED) ")
#: This command is not for who has not logged in. That this one key is not for him has NOPERM too.
_NOT_THIS_COMMAND: Final = re.compile(rb"-NOPERM [^\r\n]* run the ")
#: What the key holds, or which node of the cluster to ask.
_ANSWERED: Final = re.compile(rb"\$(?:-1|\d+)\r\n|-(?:MOVED|ASK) \d+ ")
_WRONG: Final = re.compile(rb"-(?:WRONGPASS |ERR invalid password|DENIED )")
#: What AUTH says where there is no password at all.
_NO_PASSWORD: Final = re.compile(
    rb"-ERR (?:AUTH <password> called without any password|Client sent AUTH, but no)"
)


@fact
class RedisAnswer(Answered):
    """What Redis did with a read command of somebody who has not logged in."""


@fact
class RedisLogin(Answered):
    """What Redis did with the password of its sample configuration."""


def _speaks(exchange: Exchange) -> bool:
    return _RESP.match(exchange.received) is not None


def _reading_refused(exchange: Exchange) -> bool:
    """PING may be allowed to everybody; what counts is that nobody can read a key."""
    if _SHUT.match(exchange.received):
        return True
    last = exchange.turns[-1].received if len(exchange.turns) == 2 else b""
    if not _NOT_THIS_COMMAND.match(last) and not _ANSWERED.match(last):
        raise NotUnderstood(f"neither an answer nor a refusal: {said(exchange)}")
    return _NOT_THIS_COMMAND.match(last) is not None


def _password_refused(exchange: Exchange) -> bool:
    answer = exchange.received
    if _NO_PASSWORD.match(answer):
        raise Absent("there is no password at all; what who has not logged in may do is a check of its own")
    if not _WRONG.match(answer) and answer != b"+OK\r\n":
        raise NotUnderstood(f"neither in nor out: {said(exchange)}")
    return _WRONG.match(answer) is not None


@probe(
    "outside",
    **twice(
        _SERVICES,
        "Redis: a read command without logging in",
        Say("PING\r\n", until=_LINE),
        Say(f"GET {MADE_UP}\r\n", until=_LINE),
    ),
)
def redis_answer(clear: Raw, secured: Raw, port: OpenPort) -> RedisAnswer:
    """RESP (redis.io, "Redis serialization protocol specification"); inline commands, an answer of one line each."""
    return judged(RedisAnswer, port, spoken(clear, secured, _speaks, "Redis"), _reading_refused)


@probe(
    "outside",
    **twice(
        _SERVICES,
        "Redis: the password of the sample configuration",
        Say(f"AUTH {_SAMPLE}\r\n", until=_LINE),
        impact=Impact.TRY,
    ),
)
def redis_login(clear: Raw, secured: Raw, port: OpenPort) -> RedisLogin:
    """The answer to AUTH (redis.io/commands/auth)."""
    return judged(RedisLogin, port, spoken(clear, secured, _speaks, "Redis"), _password_refused)


@check(
    "refused-redis.without-login",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.APPLICATION,
    platform="database",
    title_nl="Redis weigert opdrachten van wie niet is ingelogd",
    why_nl="Zonder wachtwoord leest en wijzigt wie de poort bereikt alle gegevens, en vaak ook het systeem.",
    fix="echo 'user default off' >> /etc/redis/users.acl\n"
    "echo 'user app on ~* +@all -@dangerous >PASSWORD' >> /etc/redis/users.acl\n"
    "echo 'aclfile /etc/redis/users.acl' >> /etc/redis/redis.conf\nsystemctl restart redis-server",
    verify="redis-cli -h HOST GET keurmeester-test",
    references=("redis.io, Redis security", "redis.conf(5): requirepass, protected-mode, aclfile"),
)
def reading_refused(answer: RedisAnswer) -> Verdict:
    """Redis refuses commands of who has not logged in.

    Without a password everyone who reaches the port reads and changes all data, and often the system itself.
    """
    return holds(answer.refused, answer.said, "-NOAUTH, -NOPERM or -DENIED")


@check(
    "refused-redis.sample-password",
    principle=(SECURE_DEFAULT, FAIL_SECURE),
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    platform="database",
    title_nl="Redis weigert het wachtwoord uit het voorbeeld van de fabrikant",
    why_nl="Het wachtwoord uit de voorbeeldconfiguratie staat in elke handleiding: het sluit niemand buiten.",
    fix="sed -i 's/^requirepass .*/requirepass '$(openssl rand -hex 32)'/' /etc/redis/redis.conf\n"
    "systemctl restart redis-server",
    verify="redis-cli -h HOST AUTH foobared",
    references=("redis.conf(5): requirepass",),
)
def sample_password_refused(login: RedisLogin) -> Verdict:
    """Redis refuses the password of the sample configuration.

    That password stands in every manual: it keeps nobody out.
    """
    return holds(login.refused, login.said, "-WRONGPASS")


@check(
    "refused-redis.clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="database",
    title_nl="Redis praat alleen over TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk het wachtwoord en alle gegevens mee.",
    fix="printf 'port 0\\ntls-port 6379\\ntls-cert-file /etc/redis/server.pem\\ntls-key-file /etc/redis/server.key\\n"
    "tls-ca-cert-file /etc/redis/ca.pem\\n' >> /etc/redis/redis.conf\nsystemctl restart redis-server",
    verify="redis-cli -h HOST PING",
    references=("redis.io, TLS", "BIO2 1.3, 8.21.04"),
)
def clear_text_refused(answer: RedisAnswer) -> Verdict:
    """Redis speaks over TLS only.

    Without TLS whoever listens in on the network reads the password and all data.
    """
    return over_tls_only(answer)


# --- examples -------------------------------------------------------------------------------------------------

_NOAUTH: Final = b"-NOAUTH Authentication required.\r\n"
_NO_PING: Final = b"-NOPERM this user has no permissions to run the 'ping' command\r\n"
_PING: Final = b"PING\r\n"
_GET: Final = b"GET keurmeester-test\r\n"
_ALERT: Final = talk((_PING, b"\x15\x03\x01\x00\x02\x02\x46"), end="closed")
_LOCKED: Final = talk((_PING, b""), end="reset", note="TLS: TLSV13_ALERT_CERTIFICATE_REQUIRED")
_DENIED: Final = talk(
    (_PING, b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n")
)


def _asked(ping: bytes, get: bytes, **more: object) -> dict[str, object]:
    return at("redis", **{"clear": talk((_PING, ping), (_GET, get)), "secured": NO_TLS, **more})


def _tried(answer: bytes) -> dict[str, object]:
    return at("redis", clear=talk((b"AUTH foobared\r\n", answer)), secured=NO_TLS)


examples(
    reading_refused,
    passes=[
        _asked(_NOAUTH, _NOAUTH),
        _asked(b"+PONG\r\n", b"-NOPERM this user has no permissions to run the 'get' command\r\n"),
        _asked(b"", b"", clear=_DENIED),
        _asked(b"", b"", clear=_ALERT, secured=_LOCKED),
    ],
    fails=[
        _asked(b"+PONG\r\n", b"$-1\r\n"),
        _asked(b"+PONG\r\n", b"-MOVED 8211 192.0.2.12:6379\r\n"),
    ],
    unknown=[
        _asked(
            b"-LOADING Redis is loading the dataset in memory\r\n",
            b"-LOADING Redis is loading the dataset\r\n",
        ),
        _asked(b"+PONG\r\n", b"-NOPERM No permissions to access a key\r\n"),
        _asked(_NO_PING, b""),
        _asked(b"", b"", clear=_ALERT),
        _asked(b"", b"", clear=talk((_PING, b"?"))),
    ],
    error=_asked(b"", b"", clear=SILENCE),
    notapplicable=[at("http"), _asked(b"", b"", clear=talk((_PING, b"HTTP/1.1 400 Bad Request\r\n\r\n")))],
)
examples(
    sample_password_refused,
    passes=_tried(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
    fails=_tried(b"+OK\r\n"),
    unknown=_tried(b"-ERR unknown command 'AUTH'\r\n"),
    notapplicable=_tried(
        b"-ERR AUTH <password> called without any password configured for the default user.\r\n"
    ),
)
examples(
    clear_text_refused,
    passes=_asked(b"", b"", clear=_ALERT, secured=talk((_PING, _NOAUTH), (_GET, _NOAUTH))),
    fails=_asked(_NOAUTH, _NOAUTH),
)
