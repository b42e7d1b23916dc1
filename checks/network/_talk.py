"""What the questions from outside have in common: the conversation that came back, and the port it is about."""

from __future__ import annotations

from scanner import Absent, Exchange, Raw, exchanges


class OnTcp:
    """A fact about one TCP port; findings name it so."""

    port: int

    def __str__(self) -> str:
        return f"{self.port}/tcp"


class OnUdp:
    """A fact about one UDP port; findings name it so."""

    port: int

    def __str__(self) -> str:
        return f"{self.port}/udp"


def conversation(raw: Raw) -> Exchange:
    """What was said over the one connection of a `Dialogue`. Raises Absent when nothing listens there."""
    (exchange,) = exchanges(raw)
    if exchange.end == "refused":
        raise Absent("nothing listens here: the connection was refused")
    return exchange
