"""Asks a RADIUS server for the certificate it shows to who logs in on the wifi: EAP up to the server's first words.

The handshake is left there: nothing is proved, and no name of anybody is given but a made-up one. Of an answer only
what was made with the shared secret counts; what is kept as evidence is without anything that is made with it.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final

from scanner import radius, tlsanswer, tlswalk
from scanner.channels import ChannelError
from scanner.channels.wire import cause_of, datagrams
from scanner.model import Cause, Timed
from scanner.transcript import Exchange, Turn, write

if TYPE_CHECKING:
    from scanner.sources import EapTls

#: Seconds after which the same datagram is sent once more, for datagrams get lost; times that it is sent in all.
_PATIENCE: Final = 2.0
_TIMES: Final = 3
#: Questions in one conversation: certificates of a few thousand bytes come in a handful of pieces.
_MOST: Final = 80
#: Who we say we are: a name that no account has.
_USER: Final = "keurmeester-test"


def look(source: EapTls, address: str, secret: bytes) -> Timed:
    """Ask what `EapTls` says, and write down what was said. Raises ChannelError when no answer is to be had."""
    began = time.monotonic()
    with datagrams(source.address or address, source.port) as sock:
        talk = _Talk(source, sock, secret, began + source.timeout)
        try:
            talk.hold()
        except ValueError as error:
            raise ChannelError(Cause.PARSE, f"{source.describe()}: {error}") from None
    exchange = Exchange("EAP", tuple(talk.turns), "done")
    return Timed(out=write([exchange]), took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


class _Talk:
    """One conversation while it lasts."""

    def __init__(self, source: EapTls, sock: socket.socket, secret: bytes, deadline: float) -> None:
        self._source, self._socket, self._secret, self._deadline = source, sock, secret, deadline
        self._user = f"{_USER}@{source.realm}" if source.realm else _USER
        self._size = self._number = 0
        self.turns: list[Turn] = []

    def hold(self) -> None:
        """From the made-up name to the server's certificates, or to where it ends the conversation."""
        question = tlswalk.one_hello(self._source.version)
        waiting: list[bytes] = []
        reply = self._ask(radius.response(0, radius.IDENTITY, self._user.encode()), b"")
        refused = False
        while reply.code == radius.ACCESS_CHALLENGE and (eap := reply.eap) and eap.code == radius.REQUEST:
            kind, said = eap.kind, radius.ACKNOWLEDGED
            if kind == radius.NOTIFICATION:
                said = b""
            elif kind not in radius.METHODS:
                if refused:
                    return
                refused, kind, said = True, radius.NAK, bytes(radius.METHODS)
            elif eap.begins:
                waiting = radius.pieces(question.hello)
                said = waiting.pop(0)
            elif waiting:
                said = waiting.pop(0)
            elif not eap.more:
                if not (following := self._next(question)):
                    return
                waiting = radius.pieces(following)
                said = waiting.pop(0)
            reply = self._ask(radius.response(eap.id, kind, said), reply.value(radius.STATE))

    def _next(self, question: tlswalk.Question) -> bytes:
        """What TLS wants to hear next (a second hello, of TLS 1.3), or nothing: then all is said."""
        try:
            return question.again(tlsanswer.read(self._tls()))
        except ValueError:
            return b""

    def _tls(self) -> Exchange:
        return radius.within(Exchange("", tuple(self.turns), "done"), "chain")

    def _ask(self, eap: bytes, state: bytes) -> radius.Packet:
        """The answer to this EAP message. Raises ChannelError when there is none that is made with the secret."""
        if self._number >= _MOST:
            raise ChannelError(Cause.TRUNCATED, f"{self._source.describe()}: a conversation without end")
        self._number += 1
        request = radius.access_request(self._number, os.urandom(16), eap, self._secret, self._user, state)
        data = self._heard(request)
        self._size += len(data)
        if self._size > self._source.limit:
            raise ChannelError(
                Cause.TRUNCATED, f"{self._source.describe()}: more than {self._source.limit} bytes came"
            )
        self.turns.append(Turn(radius.redacted(request), radius.redacted(data)))
        return radius.packet(data)

    def _heard(self, request: bytes) -> bytes:
        """The first genuine answer; anything else is passed over, as RFC 2865 section 3 demands."""
        strange = False
        for _ in range(_TIMES):
            until = min(time.monotonic() + _PATIENCE, self._deadline)
            try:
                self._socket.send(request)
                while (left := until - time.monotonic()) > 0:
                    self._socket.settimeout(left)
                    data = self._socket.recv(65535)
                    try:
                        if radius.is_genuine(data, request, self._secret):
                            return data
                        strange = strange or data[1:2] == request[1:2]
                    except ValueError:
                        strange = True
            except TimeoutError:
                continue
            except OSError as error:
                raise ChannelError(
                    cause_of(error), f"{self._source.describe()}: {error.strerror or error}"
                ) from None
        if strange:
            raise ChannelError(
                Cause.AUTH,
                f"{self._source.describe()}: the answer is not made with the secret of the inventory",
            )
        unknown = (
            "" if self.turns else "; to a client it does not know, or with another secret, it says nothing"
        )
        raise ChannelError(Cause.TIMEOUT, f"{self._source.describe()}: no answer{unknown}")
