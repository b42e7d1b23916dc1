"""What an SSH server says before any login: its banner and what it offers."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from scanner.channels.dialogue import converse
from scanner.model import Timed
from scanner.sources import Dialogue, Say
from scanner.transcript import Exchange, Turn, write

if TYPE_CHECKING:
    from scanner.sources import SshHello

_BANNER: Final = "SSH-2.0-Keurmeester\r\n"
#: A banner and a whole KEXINIT packet: length, padding, number 20, cookie, ten lists of names, flag and reserved word
#: (RFC 4253 sections 6 and 7.1; what follows is padding). A server of protocol 1 alone offers nothing.
_OFFER: Final = (
    r"(?:^|\n)(?:SSH-(?:2|1\.99)[^\n]*\n.{4}.\x14.{16}(?:\x00\x00..[!-~]*){10}.\x00{4}|SSH-1\.[0-8][^\n]*\n)"
)
_MOST: Final = 32768


def hello(source: SshHello, address: str) -> Timed:
    """Banner and KEXINIT over a connection of their own. Raises ChannelError."""
    return converse(_dialogue(source), address)


def _dialogue(source: SshHello) -> Dialogue:
    return Dialogue(
        purpose=source.describe(),
        port=source.port,
        address=source.address,
        turns=(Say(_BANNER, until=_OFFER),),
        timeout=source.timeout,
        limit=_MOST,
    )


def opening(source: SshHello, heard: bytes) -> Timed | None:
    """Banner and KEXINIT as a connection began in which this was heard first; None when they are not there."""
    offer = re.search(_OFFER.encode("latin-1"), heard, re.DOTALL)
    if offer is None:
        return None
    exchange = Exchange(
        source.describe(), (Turn(b"", offer[0].lstrip(b"\n")),), "done", note="the scan's own"
    )
    return Timed(out=write([exchange]), at=round(time.time(), 3))
