"""The UDP services that the inventory declares: only these are asked, for silence tells nothing of all others."""

from __future__ import annotations

from scanner import Absent, Target, fact, probe


@fact
class DeclaredUdp:
    """A UDP service of the target, as the inventory has it."""

    number: int
    service: str

    def __str__(self) -> str:
        return f"{self.number}/udp"


@probe("outside")
def declared_udp(target: Target) -> list[DeclaredUdp]:
    """None on the scanner's own host, which has no outside."""
    if target.channel == "local":
        raise Absent("the scanner runs on this host itself: nothing is seen from outside")
    return [DeclaredUdp(one.port, one.name) for one in target.services or () if one.protocol == "udp"]
