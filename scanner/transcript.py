"""What went over a socket, both ways, as evidence: every question asked from outside, and every answer, byte for byte.

A channel writes it and judges nothing; a probe reads it back and parses. One line of JSON for each connection, in
the order in which they were opened; the bytes are in base64 (RFC 4648 section 4).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from scanner.model import Raw

End: TypeAlias = Literal["done", "closed", "reset", "timeout", "limit", "refused"]
"""How a connection ended.

``done``: we had what we wanted and ended it. ``closed``: the other side ended it in an orderly way. ``reset``: it
was torn down, or broke. ``timeout``: no answer in time. ``limit``: more came than is kept. ``refused``: it was
never made; nothing was sent.
"""

ENDS: Final[frozenset[str]] = frozenset(get_args(End))


@dataclass(frozen=True, slots=True)
class Turn:
    """What was sent at one go, and all that came back before the next was sent. Either may be empty."""

    sent: bytes
    received: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One connection (or one datagram and its answers): what was asked in words, the bytes, and how it ended.

    ``to`` says with whom, when that is not the target's own address and port. ``note`` is what the channel saw
    beside the bytes: the version of TLS that carried them, or the alert that ended it.
    """

    ask: str
    turns: tuple[Turn, ...]
    end: End
    to: str = ""
    note: str = ""

    @property
    def sent(self) -> bytes:
        """All that was sent, in one piece."""
        return b"".join(turn.sent for turn in self.turns)

    @property
    def received(self) -> bytes:
        """All that came back, in one piece."""
        return b"".join(turn.received for turn in self.turns)


def write(exchanges: Iterable[Exchange]) -> bytes:
    """The exchanges as evidence; `exchanges` is its inverse."""
    return b"".join(_line(one) for one in exchanges)


def exchanges(raw: Raw) -> list[Exchange]:
    """What `write` wrote. Raises ValueError on anything else; no line at all is no exchange at all."""
    if raw.out and not raw.out.endswith(b"\n"):
        raise ValueError("the transcript ends in the middle of a line")
    return [_exchange(number, line) for number, line in enumerate(raw.out.split(b"\n")[:-1], 1)]


def _line(one: Exchange) -> bytes:
    turns = [[_text(turn.sent), _text(turn.received)] for turn in one.turns]
    fields: dict[str, object] = {"ask": one.ask, "end": one.end, "turns": turns}
    if one.to:
        fields["to"] = one.to
    if one.note:
        fields["note"] = one.note
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _exchange(number: int, line: bytes) -> Exchange:
    where = f"line {number} of the transcript"
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"{where} is not JSON") from None
    if not isinstance(fields, dict) or fields.keys() - {"to", "note"} != {"ask", "end", "turns"}:
        raise ValueError(f"{where} has other fields than ask, end, turns, to and note")
    ask, end, turns = fields["ask"], fields["end"], fields["turns"]
    to, note = fields.get("to", ""), fields.get("note", "")
    if not all(isinstance(one, str) for one in (ask, to, note)) or not isinstance(turns, list):
        raise ValueError(f"{where}: ask, to and note are text, turns is a list")
    if not isinstance(end, str) or end not in ENDS:
        raise ValueError(f"{where}: end is one of {', '.join(sorted(ENDS))}")
    return Exchange(ask, tuple(_turn(where, turn) for turn in turns), end, to, note)  # type: ignore[arg-type]


def _turn(where: str, turn: object) -> Turn:
    if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(one, str) for one in turn):
        raise ValueError(f"{where}: a turn is what was sent and what came back, in base64")
    return Turn(base64.b64decode(turn[0], validate=True), base64.b64decode(turn[1], validate=True))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
