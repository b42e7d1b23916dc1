"""Whether the listener of Oracle keeps its state to itself (seen from outside)."""

from __future__ import annotations

import re
from typing import Final

from checks.network.asking import Answered, judged, spoken, twice
from checks.network.example_talks import LOCKED, NO_TLS, SILENCE, at, talk
from checks.network.ports import OpenPort
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    Exchange,
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

#: The whole packet: its length, in the first two bytes, counts itself.
_PACKET: Final = (0, 2, 0)
_ACCEPT, _REFUSE, _DATA = 2, 4, 6
#: TNS-01169: a password is wanted; TNS-01189: the listener could not authenticate the user.
_REFUSALS: Final = frozenset({1169, 1189})


@fact
class OracleListener(Answered):
    """What the listener does when a stranger asks for its state."""


def _connect(words: str) -> str:
    """A TNS connect packet, version 310 (Oracle 9): a header of 58 bytes, then the words."""
    header = b"\x01\x36\x01\x2c\0\0\x08\0\x7f\xff\x7f\x08\0\0\0\1" + len(words).to_bytes(2, "big") + b"\0\x3a"
    header += bytes(30)
    length = 8 + len(header) + len(words)
    return (length.to_bytes(2, "big") + b"\0\0\1\0\0\0" + header).decode("latin-1") + words


def _packets(answer: bytes) -> list[tuple[int, bytes]]:
    """The whole TNS packets in an answer: type, and all of it. They may have come at once."""
    found = []
    while len(answer) > 8 and answer[2:4] == answer[6:8] == b"\0\0":
        length = int.from_bytes(answer[:2], "big")
        if not 8 <= length <= len(answer):
            break
        found.append((answer[4], answer[:length]))
        answer = answer[length:]
    return found


def _speaks(exchange: Exchange) -> bool:
    return any(kind in (_ACCEPT, _REFUSE) for kind, _ in _packets(exchange.received)[:1])


def _error(words: bytes) -> int | None:
    found = re.search(rb"\(ERR=(\d{1,6})\)", words)
    return int(found[1]) if found else None


def _refused(exchange: Exchange) -> bool:
    (kind, first), *later = _packets(exchange.received)
    if kind == _REFUSE:
        if (error := _error(first)) in _REFUSALS:
            return True
        raise NotUnderstood(f"refused for another reason: TNS-{error or 0:05}")
    told = b"".join(packet for one, packet in later if one == _DATA)
    if _error(told) in _REFUSALS:
        return True
    if b"(ALIAS=" in told and _error(told) == 0:
        return False
    raise NotUnderstood("the listener accepts, and does not tell its state")


def _told(exchange: Exchange) -> str:
    if _refused(exchange):
        return f"TNS-{_error(exchange.received) or 0:05}"
    return "it tells its name, its services and where its log is"


@probe(
    "outside",
    **twice(
        ("oracle", "oracles"),
        "Oracle: the state of the listener",
        Say(_connect("(CONNECT_DATA=(COMMAND=status))"), frame=_PACKET),
        Say(frame=_PACKET),
    ),
)
def oracle_listener(clear: Raw, secured: Raw, port: OpenPort) -> OracleListener:
    """Oracle Net Services: a refusal (type 4) with an error in words, or acceptance (2) and then data (6)."""
    return judged(OracleListener, port, spoken(clear, secured, _speaks, "TNS"), _refused, _told)


@check(
    "refused-oracle.listener-state",
    principle=(FAIL_SECURE, DEFAULT_DENY),
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="database",
    title_nl="De listener van Oracle vertelt een vreemde zijn toestand niet",
    why_nl="Uit de toestand blijken versie, databases en paden; wie ernaar mag vragen, mocht hem ooit ook stoppen.",
    fix="sed -i '/^LOCAL_OS_AUTHENTICATION_LISTENER/d' $ORACLE_HOME/network/admin/listener.ora\n"
    "echo 'ADMIN_RESTRICTIONS_LISTENER = ON' >> $ORACLE_HOME/network/admin/listener.ora\nlsnrctl reload",
    verify="lsnrctl status //HOST:1521",
    references=(
        "Oracle Database Net Services Reference: ADMIN_RESTRICTIONS_listener_name",
        "Oracle Database Error Messages: TNS-01189, TNS-01169",
    ),
)
def listener_keeps_quiet(answer: OracleListener) -> Verdict:
    """The listener of Oracle does not tell a stranger its state.

    The state shows version, databases and paths; who might ask for it could once stop the listener too.
    """
    return holds(answer.refused, answer.said, "TNS-01189 or TNS-01169")


# --- examples -------------------------------------------------------------------------------------------------


def _packet(kind: int, data: bytes) -> bytes:
    return (8 + len(data)).to_bytes(2, "big") + b"\0\0" + bytes([kind]) + b"\0\0\0" + data


def _no(error: int) -> bytes:
    words = (
        f"(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR={error})(ERROR_STACK=(ERROR=(CODE={error})(EMFI=4))))"
    ).encode()
    return _packet(_REFUSE, b"\x22\0" + len(words).to_bytes(2, "big") + words)


_ASKED: Final = _connect("(CONNECT_DATA=(COMMAND=status))").encode("latin-1")
_YES: Final = _packet(_ACCEPT, bytes.fromhex("0136000008007fff000100000018"))
_STATE: Final = _packet(
    _DATA,
    b"\0\0(DESCRIPTION=(TMP=)(VSNNUM=153093376)(ERR=0)(ALIAS=LISTENER)(SECURITY=OFF)(VERSION=TNSLSNR for Linux",
)


def _answered(*answers: bytes, end: str = "closed") -> dict[str, object]:
    first, *later = answers
    return at("oracle", clear=talk((_ASKED, first), *later, end=end), secured=NO_TLS)


examples(
    listener_keeps_quiet,
    passes=[
        _answered(_no(1189)),
        _answered(_no(1169)),
        at("oracle", clear=talk(end="closed"), secured=LOCKED),
    ],
    fails=_answered(_YES, _STATE),
    unknown=[
        _answered(_no(12514)),
        _answered(_YES),
        _answered(_YES, _packet(_DATA, b"\0\0(DESCRIPTION=(ERR=12000))")),
        _answered(b"\0\x08\0\0\x0b\0\0\0"),
    ],
    error=at("oracle", clear=SILENCE, secured=NO_TLS),
    notapplicable=at("http"),
)
