"""Whether SQL Server refuses clear text (seen from outside)."""

from __future__ import annotations

from typing import Final

from checks.network.asking import Answered, judged, spoken, twice
from checks.network.example_talks import LOCKED, NO_TLS, SILENCE, at, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    Blind,
    Cause,
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

#: The whole packet: its length, in two bytes at offset 2, counts itself (MS-TDS 2.2.3.1).
_PACKET: Final = (2, 2, 0)
_VERSION, _ENCRYPTION, _END = 0, 1, 0xFF
#: What the server answers to a client that cannot encrypt (MS-TDS 2.2.6.5): then without, or not at all.
_WITHOUT, _REQUIRED = 2, 3


@fact
class MssqlPrelogin(Answered):
    """What SQL Server answers to a client that says it cannot encrypt."""


def _prelogin(kind: int, encryption: int) -> bytes:
    """PRELOGIN with a version and a wish about encryption: options with offset and length, then their data."""
    options = bytes([_VERSION, 0, 11, 0, 6, _ENCRYPTION, 0, 17, 0, 1, _END])
    payload = options + bytes(6) + bytes([encryption])
    return bytes([kind, 1, 0, 8 + len(payload), 0, 0, 1, 0]) + payload


def _options(packet: bytes) -> dict[int, bytes]:
    """The options of a PRELOGIN by token; empty when it is none."""
    payload = packet[8:]
    found: dict[int, bytes] = {}
    for at_ in range(0, len(payload), 5):
        if payload[at_] == _END:
            return found
        token, offset, length = payload[at_], payload[at_ + 1 : at_ + 3], payload[at_ + 3 : at_ + 5]
        start = int.from_bytes(offset, "big")
        found[token] = payload[start : start + int.from_bytes(length, "big")]
    return {}


def _speaks(exchange: Exchange) -> bool:
    packet = exchange.received
    whole = (
        len(packet) > 8 and packet[:2] == b"\x04\x01" and int.from_bytes(packet[2:4], "big") == len(packet)
    )
    return whole and len(_options(packet).get(_VERSION, b"")) == 6


def _refused(exchange: Exchange) -> bool:
    answer = _options(exchange.received).get(_ENCRYPTION, b"")
    if answer not in (bytes([_WITHOUT]), bytes([_REQUIRED])):
        raise NotUnderstood(f"an answer about encryption that was not asked for: {answer.hex() or 'none'}")
    return answer == bytes([_REQUIRED])


@probe(
    "outside",
    **twice(
        ("mssql", "sqlserver"),
        "SQL Server: a client that cannot encrypt",
        Say(_prelogin(0x12, _WITHOUT).decode("latin-1"), frame=_PACKET),
        impact=Impact.LOOK,
    ),
)
def mssql_prelogin(clear: Raw, secured: Raw, port: OpenPort) -> MssqlPrelogin:
    """MS-TDS 2.2.6.5 "PRELOGIN"; with TDS 8.0 TLS comes before it, and nothing is heard in the clear."""
    found = spoken(clear, secured, _speaks, "TDS")
    if found.secured and found.silent:
        raise Blind("over TLS it speaks; in the clear it said nothing in time", Cause.TIMEOUT)
    if found.secured and not found.clear:
        return MssqlPrelogin(port.number, True, "TLS before the first word (TDS 8.0)")
    return judged(MssqlPrelogin, port, found, _refused, _told)


def _told(exchange: Exchange) -> str:
    return "encryption required" if _refused(exchange) else "goes on without encryption"


@check(
    "refused-mssql.clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="database",
    title_nl="SQL Server weigert een verbinding zonder versleuteling",
    why_nl="Zonder versleuteling leest wie meeluistert op het netwerk alle vragen en antwoorden mee.",
    fix="Set-ItemProperty -Name ForceEncryption -Value 1 -Path 'HKLM:\\SOFTWARE\\Microsoft\\Microsoft SQL Server\\"
    "MSSQL16.MSSQLSERVER\\MSSQLServer\\SuperSocketNetLib'\nRestart-Service MSSQLSERVER",
    verify='sqlcmd -S HOST -N o -Q "SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID"',
    references=(
        "MS-TDS 2.2.6.5",
        "SQL Server: Configure SQL Server Database Engine for encrypting connections",
    ),
)
def clear_text_refused(answer: MssqlPrelogin) -> Verdict:
    """SQL Server refuses a connection without encryption.

    Without encryption whoever listens in on the network reads all questions and answers.
    """
    return holds(answer.refused, f"a client that cannot encrypt: {answer.said}", "encryption required")


# --- examples -------------------------------------------------------------------------------------------------

_ASKED: Final = _prelogin(0x12, _WITHOUT)


def _answer(encryption: int) -> str:
    return talk((_ASKED, _prelogin(0x04, encryption)))


examples(
    clear_text_refused,
    passes=[
        at("mssql", clear=_answer(_REQUIRED), secured=NO_TLS),
        at("mssql", clear=talk(end="closed"), secured=_answer(_WITHOUT)),
        at("mssql", clear=talk(end="closed"), secured=LOCKED),
    ],
    fails=at("mssql", clear=_answer(_WITHOUT), secured=NO_TLS),
    unknown=[
        at("mssql", clear=_answer(1), secured=NO_TLS),
        at("mssql", clear=talk(end="closed"), secured=NO_TLS),
        at("mssql", clear=talk((_ASKED, b"\x04\x01\0\x0a\0\0\1\0\0\0")), secured=NO_TLS),
    ],
    error=[at("mssql", clear=SILENCE, secured=NO_TLS), at("mssql", clear=SILENCE, secured=_answer(_WITHOUT))],
    notapplicable=at("http"),
)
