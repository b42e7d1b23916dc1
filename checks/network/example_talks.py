"""Conversations for the examples of checks that ask from outside: the evidence as the scanner would have kept it."""

from __future__ import annotations

import base64
import json
from typing import Final

#: The port of the examples: none of the usual ones.
_NUMBER: Final = 4000


def talk(*turns: tuple[bytes, bytes] | bytes, end: str = "done", note: str = "") -> str:
    """One conversation (`scanner.transcript`): what was sent and came back, turn by turn; bare bytes came back."""
    pairs = [(b"", turn) if isinstance(turn, bytes) else turn for turn in turns]
    coded = [[base64.b64encode(part).decode() for part in pair] for pair in pairs]
    return json.dumps({"ask": "example", "end": end, "turns": coded, "note": note}) + "\n"


def at(service: str, **given: object) -> dict[str, object]:
    """An example: one open port that the inventory declares as this service, and what came of each question.

    Given are the sources by name; other keys go to the service (``tls``, ``client_certificate``).
    """
    of_service = {name: given.pop(name) for name in ("tls", "client_certificate") if name in given}
    swept = {
        "from": "",
        "addresses": {"192.0.2.10": {"open": [_NUMBER], "refused": [], "silent": [], "failed": {}}},
    }
    return {
        "swept": json.dumps(swept),
        "target": {"services": [{"port": _NUMBER, "name": service, **of_service}], "platform": "other"},
        **given,
    }


def open_port(*numbers: int, **given: object) -> dict[str, object]:
    """An example: a host on which these usual TCP ports are open, and what came of each question."""
    seen = {"open": list(numbers), "refused": [], "silent": [], "failed": {}}
    return {"swept": json.dumps({"from": "", "addresses": {"127.0.0.1": seen}}), **given}


def http(status: str, *fields: str, body: str = "", end: str = "closed") -> str:
    """A conversation of one HTTP answer; the server ends it, as it was asked to."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields])
    return talk((b"GET", f"{head}\r\n\r\n{body}".encode("latin-1")), end=end)


#: What becomes of TLS where none is spoken; of a question that nobody answers; of TLS that wants a client certificate.
NO_TLS: Final = talk(end="reset", note="TLS: WRONG_VERSION_NUMBER")
SILENCE: Final = talk(end="timeout")
LOCKED: Final = talk(end="reset", note="TLS: TLSV13_ALERT_CERTIFICATE_REQUIRED")
