"""Which TCP ports answer: connections that are opened and closed again, and say nothing.

Polite and bounded: so many connections at a time to one target and in all, so many new ones in a second, each ended
with a reset so that no port stays occupied at either side. Silence costs most; how long it is waited for follows from
how soon the host answers, and it is asked once more until asking has shown to be of no use.
"""

from __future__ import annotations

import errno
import json
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from scanner.channels import ChannelError
from scanner.channels.wire import cause_of
from scanner.model import Cause, Timed

if TYPE_CHECKING:
    from scanner.sources import Ports

#: Connections to one target at the same time, and twice as many when there is much to ask.
AT_ONCE: Final = 128
MUCH: Final = 2000
#: Connections in all: a process may usually have 1024 files open, and others need them too.
IN_ALL: Final = 512
#: New connections to one target in a second, and twice as many when there is much to ask. What stands in between, or is
#: old, has to keep count of them: the usual ports take half a second an address so, and all of them three minutes.
PACE: Final = 200
#: So many may go at once to keep that pace.
BURST: Final = 20
#: Seconds to wait for an answer: long enough for the kernel to ask again after one. Less where the host answers sooner.
PATIENCE: Final = 1.5
LEAST_PATIENCE: Final = 0.4
#: So many silent ports are asked once more in vain; then silence is the habit of this host.
ONCE_MORE: Final = 256
#: Seconds between two looks at what is waited for.
PAUSE: Final = 0.05
#: Times to wait (a tenth of a second each) for a file to be free, before that is an answer of its own.
SHORT: Final = 30
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: end with a reset
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_room = threading.BoundedSemaphore(IN_ALL)


def scan(source: Ports, address: str, vantage: str) -> Timed:
    """Try every port of every address, as `Ports` documents. Raises ChannelError when the name leads nowhere, or when
    time runs out before all were asked.
    """
    began = time.monotonic()
    names = (source.address or address, *source.addresses)
    found = dict.fromkeys(one for name in names for one in _addresses(name))
    addresses = {host: _Address(family, host, _from(family, host)) for family, host in found}
    try:
        _Sweep(addresses.values(), source, began + source.timeout).run()
    except OSError as error:
        raise ChannelError(cause_of(error), f"{source.describe()}: {error.strerror}") from None
    seen = {host: one.seen() for host, one in addresses.items()}
    out = json.dumps({"from": vantage, "addresses": seen}, separators=(",", ":")).encode()
    return Timed(out=out, took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


def _addresses(name: str) -> list[tuple[int, str]]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ChannelError(Cause.DNS, f"{name}: {error}") from None
    return [_plain(family, str(where[0])) for family, _, _, _, where in found]


def _plain(family: int, host: str) -> tuple[int, str]:
    """An IPv4 address written as IPv6 says nothing of IPv6."""
    mapped = IPv6Address(host.partition("%")[0]).ipv4_mapped if family == socket.AF_INET6 else None
    return (socket.AF_INET, str(mapped)) if mapped else (family, host)


def _from(family: int, host: str) -> str:
    """The address that we show ourselves with there; empty without a route. Nothing is sent for it."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((host, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return ""


def _met_ourselves(sock: socket.socket) -> bool:
    """Whether, on our own host, a connection was made with the very port that it came from: then nothing listens."""
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:  # it was made, and ended again at once
        return False


class _Address:
    """What the ports of one address did."""

    def __init__(self, family: int, host: str, source: str) -> None:
        self.family, self.host, self.source = family, host, source
        self.patience = PATIENCE
        self.vain = 0
        self.still: bool | None = None
        self._open: list[int] = []
        self._refused: list[int] = []
        self._silent: list[int] = []
        self._failed: dict[int, str] = {}

    def note(self, number: int, code: int) -> None:
        """How one connection ended, as an error number; 0 when it was made. One that was reset was made before."""
        if self.still is not None:
            self.still = code in (0, errno.ECONNREFUSED, errno.ECONNRESET)
        elif code in (0, errno.ECONNRESET):
            self._open.append(number)
        elif code == errno.ECONNREFUSED:
            self._refused.append(number)
        elif code == errno.ETIMEDOUT:
            self._silent.append(number)
        else:
            self._failed[number] = errno.errorcode.get(code, str(code))

    def answered(self, took: float, again: bool) -> None:
        """It took so long to answer: the others need not be waited for much longer."""
        self.patience = min(self.patience, max(LEAST_PATIENCE, 5 * took))
        if again:
            self.vain = 0

    def witness(self) -> int | None:
        """A port that answered, to be tried once more at the end; what is noted from now on is about that."""
        self.still = True
        return next(iter((*self._open, *self._refused)), None)

    def seen(self) -> dict[str, Any]:
        """As `Ports` documents it."""
        return {
            "source": self.source,
            "open": sorted(self._open),
            "refused": sorted(self._refused),
            "silent": sorted(self._silent),
            "failed": {str(number): why for number, why in sorted(self._failed.items())},
            "still": self.still is not False,
        }


class _Try(NamedTuple):
    """One connection to be made: where, and whether it is the second time."""

    address: _Address
    number: int
    again: bool


class _Flight(NamedTuple):
    """One connection in the making: since when, and until when it is waited for."""

    asked: _Try
    began: float
    until: float


class _Sweep:
    """All ports of all addresses of a target, under one roof."""

    def __init__(self, addresses: Iterable[_Address], source: Ports, deadline: float) -> None:
        self._source, self._deadline = source, deadline
        self._addresses = tuple(addresses)
        self._waiting = deque(
            _Try(one, number, False) for number in source.numbers for one in self._addresses
        )
        times = 1 if len(self._waiting) <= MUCH else 2
        self._at_once, self._pace = times * AT_ONCE, times * PACE
        self._selector = selectors.DefaultSelector()
        self._next_start = self._next_look = 0.0
        self._short = 0

    def run(self) -> None:
        """Until all is known, and known still to answer. Raises ChannelError when the deadline comes first."""
        with self._selector:
            try:
                self._ask()
                witnesses = [(one, one.witness()) for one in self._addresses]
                self._waiting.extend(_Try(one, port, False) for one, port in witnesses if port is not None)
                self._ask()
            finally:
                for key in list(self._selector.get_map().values()):
                    self._end(key)

    def _ask(self) -> None:
        while self._waiting or self._selector.get_map():
            if time.monotonic() > self._deadline:
                raise ChannelError(
                    Cause.TIMEOUT,
                    f"{self._source.describe()}: not all were asked in {self._source.timeout} seconds",
                )
            self._hear(self._start_some())

    def _start_some(self) -> float:
        """Begin what may be begun now; the seconds until more may be."""
        while self._waiting and len(self._selector.get_map()) < self._at_once:
            now = time.monotonic()
            if now < self._next_start:
                return self._next_start - now
            alone = not self._selector.get_map()
            if not _room.acquire(timeout=0.1 if alone else 0):
                return PAUSE
            asked = self._waiting.popleft()
            if asked.again and asked.address.vain >= ONCE_MORE:
                _room.release()
                asked.address.note(asked.number, errno.ETIMEDOUT)
                continue
            self._next_start = max(now - BURST / self._pace, self._next_start + 1 / self._pace)
            if not self._start(asked):
                return PAUSE
        return PAUSE

    def _start(self, asked: _Try) -> bool:
        """Begin one connection; False when there is no room for it now."""
        address, number, again = asked
        try:
            sock = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            _room.release()
            self._no_room(asked, error)
            return False
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        code = sock.connect_ex((address.host, number))
        if code in (0, errno.EINPROGRESS):
            now = time.monotonic()
            flight = _Flight(asked, now, now + (PATIENCE if again else address.patience))
            self._selector.register(sock, selectors.EVENT_WRITE, flight)
        else:
            sock.close()
            _room.release()
            address.note(number, code)
        self._short = 0
        return True

    def _no_room(self, asked: _Try, error: OSError) -> None:
        """Files are short: go on with what we have, wait a while, and in the end say so."""
        if error.errno in _NO_ROOM and self._short < SHORT:
            self._waiting.appendleft(asked)
            if not self._selector.get_map():
                self._short += 1
                time.sleep(0.1)
        else:
            asked.address.note(asked.number, error.errno or errno.EIO)

    def _hear(self, pause: float) -> None:
        """What answers within that time, and what has been waited for long enough."""
        if not self._selector.get_map():
            time.sleep(pause if self._waiting else 0)
            return
        for key, _ in self._selector.select(pause):
            self._answered(key)
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + PAUSE
        for key in list(self._selector.get_map().values()):
            if now > key.data.until:
                self._end(key)
                self._silent(key.data.asked)

    def _answered(self, key: selectors.SelectorKey) -> None:
        sock, flight = key.fileobj, key.data
        assert isinstance(sock, socket.socket)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0 and _met_ourselves(sock):
            code = errno.ECONNREFUSED
        self._end(key)
        if code in (0, errno.ECONNREFUSED):
            flight.asked.address.answered(time.monotonic() - flight.began, flight.asked.again)
        flight.asked.address.note(flight.asked.number, code)

    def _silent(self, asked: _Try) -> None:
        if asked.again:
            asked.address.vain += 1
            asked.address.note(asked.number, errno.ETIMEDOUT)
        else:
            self._waiting.append(asked._replace(again=True))

    def _end(self, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        self._selector.unregister(key.fileobj)
        key.fileobj.close()
        _room.release()
