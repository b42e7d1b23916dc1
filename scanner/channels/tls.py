"""Puts the questions of a walk to a TLS server: many connections, one loop, one thread; the evidence is every byte.

Connections are ended with a reset and without an alert, so that nothing lingers on either side.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from scanner import tlsanswer
from scanner.channels import ChannelError, starttls
from scanner.channels.wire import dial
from scanner.model import Cause, Timed
from scanner.tlswalk import Question, Survey, Visit, Walk
from scanner.transcript import End, Exchange, Turn, write

if TYPE_CHECKING:
    from scanner.sources import TlsWalk
    from scanner.tlsanswer import Answer

#: Connections open at once to one endpoint.
AT_ONCE: Final = 8
#: Seconds that one connection may take, and bytes that may come back over it.
PATIENCE: Final = 5.0
ANSWER_LIMIT: Final = 1 << 18
#: Seconds that even the quickest answer takes from a server that is far away.
FAR: Final = 0.012
#: Close with a reset (socket(7), SO_LINGER).
_RESET: Final = struct.pack("ii", 1, 0)
_GOING: Final = {0, errno.EINPROGRESS, errno.EWOULDBLOCK}
_WORDS: Final[dict[End, tuple[Cause, str]]] = {
    "timeout": (Cause.TIMEOUT, "no answer in time"),
    "reset": (Cause.RESET, "the connection was reset"),
    "refused": (Cause.REFUSED, "the connection was refused"),
    "closed": (Cause.TLS, "the connection was closed without a word"),
    "limit": (Cause.TRUNCATED, "more came back than is read"),
    "done": (Cause.TLS, "no answer"),
}


def look(source: TlsWalk, address: str, dice: Visit | None = None) -> Timed:
    """Ask ``address`` what `TlsWalk` says, and write down what came back.

    Raises ChannelError when it cannot be reached, or never says a word; what it says is for the probes to judge.
    """
    began = time.monotonic()
    end = began + source.timeout
    patience = min(PATIENCE, source.timeout)
    first = dial(source.address or address, source.port, patience)
    loop = _Loop(source, first, end, patience)
    try:
        survey = Survey(
            dice or Visit(source.server_name),
            source.parts,
            lambda: loop.exchanges,
            lambda: loop.quickest > FAR,
        )
        for stage in survey.stages():
            loop.run(stage)
    finally:
        loop.close()
    if not any(turn.received for one in loop.exchanges for turn in one.turns):
        cause, words = _silence(loop.exchanges)
        raise ChannelError(cause, f"{source.describe()}: {words}")
    return Timed(out=write(loop.exchanges), took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


def _silence(exchanges: Iterable[Exchange]) -> tuple[Cause, str]:
    """Why nothing at all was said: the most telling end."""
    ends = {one.end for one in exchanges}
    return next(words for end, words in _WORDS.items() if end in ends or end == "done")


class _Connection:
    """One question on its way: send, read, perhaps send again; then an `Exchange`."""

    def __init__(
        self,
        question: Question,
        walk: Walk,
        sock: socket.socket,
        until: float,
        before: starttls.Dialogue | None,
    ) -> None:
        self.question, self.walk, self.sock, self.until = question, walk, sock, until
        self.preamble, self.started, self.turned_down = before, False, False
        self.turns: list[Turn] = []
        self.sent, self.received = b"", bytearray()
        self.waiting = b""
        self.size = 0
        self.asked = self.took = 0.0
        self.answer: Answer | None = None

    def start(self) -> None:
        """The connection is there: say the first thing."""
        self.started = True
        self._say(next(self.preamble) if self.preamble else self.question.hello)

    def _say(self, data: bytes) -> None:
        if self.sent or self.received:
            self.turns.append(Turn(self.sent, bytes(self.received)))
        self.sent, self.waiting = data, self.waiting + data
        self.received.clear()
        self.asked = time.monotonic()
        self.write()

    def write(self) -> None:
        """Send what can be sent now. Raises OSError."""
        while self.waiting:
            try:
                self.waiting = self.waiting[self.sock.send(self.waiting) :]
            except BlockingIOError:
                return

    def read(self) -> End | None:
        """Read what there is; how the connection ended, or None while it goes on. Raises OSError."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return None
        if not data:
            return "closed"
        if not self.received:
            self.took = time.monotonic() - self.asked
        self.received += data
        self.size += len(data)
        if self.size > ANSWER_LIMIT:
            return "limit"
        return self._react()

    def _react(self) -> End | None:
        if self.preamble is not None:
            try:
                said = self.preamble.send(bytes(self.received))
            except StopIteration as end:
                self.preamble = None
                if end.value:
                    self._say(end.value)
                self._say(self.question.hello)
            except starttls.NotOffered:
                self.turned_down = True
                return "done"
            else:
                if said:
                    self._say(said)
            return None
        self.answer = self.read_answer("done")
        if self.answer is None:
            return "done"
        try:
            if again := self.question.again(self.answer):
                self._say(again)
                return None
            return "done" if self.question.enough(self.answer) else None
        except ValueError:
            return "done"

    def read_answer(self, end: End) -> Answer | None:
        """The answer so far; None when it is no answer in TLS."""
        try:
            answer = tlsanswer.read(self.exchange(end))
            return None if answer.foreign else answer
        except ValueError:
            return None

    def exchange(self, end: End) -> Exchange:
        """All that went over it."""
        last = (Turn(self.sent, bytes(self.received)),) if self.sent or self.received else ()
        return Exchange(self.question.ask, (*self.turns, *last), end)


class _Loop:
    """Runs walks side by side over at most `AT_ONCE` connections to one endpoint."""

    def __init__(self, source: TlsWalk, first: socket.socket, end: float, patience: float) -> None:
        self._spare: socket.socket | None = first
        self._to = (first.family, first.getpeername())
        self._source, self._end, self._patience = source, end, patience
        self._selector = selectors.DefaultSelector()
        self._open: dict[int, _Connection] = {}
        self._ready: deque[tuple[Walk, Question]] = deque()
        self._seen: list[Exchange | _Connection] = []
        self._bytes = 0
        self._above: dict[Walk, Walk] = {}
        self.quickest = float("inf")
        self.turned_down = False

    @property
    def exchanges(self) -> list[Exchange]:
        """All that was asked, in the order in which it was."""
        return [one for one in self._seen if isinstance(one, Exchange)]

    def run(self, walks: list[Walk]) -> None:
        """Run these walks to their end, or to the end of the time."""
        for walk in walks:
            self._go_on(walk, None)
        while self._ready or self._open:
            now = time.monotonic()
            if now >= self._end or self._bytes > self._source.limit or (self._full and not self._open):
                self._give_up()
                return
            while self._ready and len(self._open) < self._at_once and not self._full:
                self._connect(*self._ready.popleft(), now)
            if not self._open:
                continue
            soonest = min(one.until for one in self._open.values())
            for key, mask in self._selector.select(max(0.0, min(soonest, self._end) - now)):
                self._serve(key.data, mask)
            now = time.monotonic()
            for late in [one for one in self._open.values() if one.until <= now]:
                self._finish(late, "timeout")

    @property
    def _at_once(self) -> int:
        """After another protocol the first connection goes alone: it tells whether there is TLS to ask about at all."""
        return AT_ONCE if not self._source.starttls or self.quickest < float("inf") else 1

    @property
    def _full(self) -> bool:
        """Whether this server gets no more connections from us."""
        return self.turned_down or len(self._seen) >= starttls.MOST.get(self._source.starttls, 10_000)

    def close(self) -> None:
        """Let go of everything."""
        self._give_up()
        if self._spare is not None:
            self._spare.close()
        self._selector.close()

    def _give_up(self) -> None:
        for one in list(self._open.values()):
            self._finish(one, "timeout", going_on=False)
        self._ready.clear()

    def _connect(self, walk: Walk, question: Question, now: float) -> None:
        until = min(now + self._patience, self._end)
        if self._spare is not None:
            sock, self._spare = self._spare, None
            code = 0
        else:
            sock = socket.socket(self._to[0], socket.SOCK_STREAM)
            sock.setblocking(False)
            code = sock.connect_ex(self._to[1])
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before, name = self._source.starttls, self._source.server_name
        one = _Connection(question, walk, sock, until, starttls.dialogue(before, name) if before else None)
        self._seen.append(one)
        self._open[sock.fileno()] = one
        self._selector.register(sock, selectors.EVENT_WRITE, one)
        if code not in _GOING:
            self._finish(one, "refused")

    def _serve(self, one: _Connection, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                if not one.started:
                    if code := one.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        raise OSError(code, os.strerror(code))
                    one.start()
                else:
                    one.write()
            end = one.read() if mask & selectors.EVENT_READ else None
        except OSError as error:
            end = "refused" if error.errno == errno.ECONNREFUSED else "reset"
        if end is not None:
            self._finish(one, end)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if one.waiting else 0)
        self._selector.modify(one.sock, events, one)

    def _finish(self, one: _Connection, end: End, *, going_on: bool = True) -> None:
        del self._open[one.sock.fileno()]
        self._selector.unregister(one.sock)
        with suppress(OSError):
            one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        one.sock.close()
        exchange = one.exchange(end)
        self._seen[self._seen.index(one)] = exchange
        self._bytes += one.size
        self.turned_down = self.turned_down or one.turned_down
        self.quickest = min(self.quickest, one.took or self.quickest)
        if not going_on:
            one.walk.close()
            return
        answer = (one.answer or one.read_answer(end)) if end == "done" else one.read_answer(end)
        self._go_on(one.walk, answer if answer is not None and answer.sound else None)

    def _go_on(self, walk: Walk, answer: Answer | None) -> None:
        """Let a walk have its answer and put its next question; when it has ended, let who waits for it go on."""
        try:
            asked = walk.send(answer)
        except StopIteration:
            waiting = self._above.pop(walk, None)
            if waiting is not None and waiting not in self._above.values():
                self._go_on(waiting, None)
            return
        if isinstance(asked, Question):
            self._ready.append((walk, asked))
            return
        self._above |= dict.fromkeys(asked, walk)
        for one in asked or ():
            self._go_on(one, None)
