"""The UDP services that may be asked further: those the inventory declares, and those that answered to a harmless word.

Others are left alone: silence tells nothing, and there are very many ports.
"""

from __future__ import annotations

from checks.network.datagrams import Datagram
from checks.network.ports import must_be_outside
from scanner import Gap, State, Target, Unseen, fact, probe


@fact
class UdpService:
    """A UDP port of the target, and the service that is to be expected there."""

    number: int
    service: str
    further_address: str = ""

    def __str__(self) -> str:
        return f"{self.number}/udp"


@probe("outside")
def udp_services(target: Target, datagrams: list[Datagram] | Gap) -> list[UdpService | Unseen]:
    """None on the scanner's own host, which has no outside."""
    must_be_outside(target)
    found = {
        (one.port, ""): UdpService(one.port, one.name)
        for one in target.services or ()
        if one.protocol == "udp"
    }
    if isinstance(datagrams, Gap):
        known: list[UdpService | Unseen] = list(found.values())
        return known if datagrams.state is State.NOTAPPLICABLE else [*known, Unseen("other ports", datagrams)]
    for one in datagrams:
        if one.answers and one.understood:
            place = one.asked.number, one.asked.address
            found.setdefault(place, UdpService(place[0], one.service, place[1]))
    return list(found.values())
