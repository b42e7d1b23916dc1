"""Example answers from outside: an open port, and what a server there said."""

from __future__ import annotations

import json

from scanner import Exchange, Raw, Turn
from scanner.transcript import End, write


def heard(*said: bytes, end: End = "done", note: str = "") -> Raw:
    """A conversation in which the server said this, turn by turn; what we said is of no account."""
    turns = tuple(Turn(b"?", one) for one in said)
    return Raw(out=write([Exchange("example", turns, end, note=note)]))


def open_port(*numbers: int, **answers: object) -> dict[str, object]:
    """An example of a host on which these TCP ports are open, with the answers to what is asked there."""
    seen = {"open": list(numbers), "refused": [], "silent": [], "failed": {}}
    return {"swept": json.dumps({"from": "", "addresses": {"127.0.0.1": seen}}), **answers}
