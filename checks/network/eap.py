"""What a RADIUS server says to who logs in on the network (wifi), up to the certificates it shows: EAP with TLS in it.

The conversation is the scanner's with the server itself, so what an access point would do with it is not seen.
"""

from __future__ import annotations

from scanner import Blind, Cause, NotUnderstood, Raw, exchanges, radius, tlsanswer, visible
from scanner.tlsanswer import Answer

_ENDS = {
    radius.ACCESS_REJECT: "the server rejects a made-up name before it shows a certificate",
    radius.ACCESS_CHALLENGE: "the server offers none of EAP-TLS, EAP-TTLS and PEAP",
}


def within_eap(walk: Raw) -> list[Answer]:
    """The one answer in a conversation as `EapTls` documents it. Raises Blind when it never came to a hello."""
    exchange, *more = exchanges(walk)
    if more or not exchange.turns:
        raise NotUnderstood("a conversation with a RADIUS server is one exchange")
    tls = radius.within(exchange, "chain")
    if tls.turns:
        return [tlsanswer.read(tls)]
    last = radius.packet(exchange.turns[-1].received)
    if last.code not in _ENDS:
        raise NotUnderstood(f"the server answers a made-up name with a packet of code {last.code}")
    why = last.value(radius.REPLY_MESSAGE)[:80].decode(errors="replace")
    raise Blind(_ENDS[last.code] + (f": {visible(why)}" if why else ""), Cause.AUTH)
