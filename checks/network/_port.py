"""What facts about one port have in common: its name in findings."""

from __future__ import annotations


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
