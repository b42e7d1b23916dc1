"""Which TCP ports answer: connections that are opened and closed again, and say nothing."""

from __future__ import annotations

import errno
import json
import selectors
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from scanner.channels import ChannelError
from scanner.model import Cause, Raw

if TYPE_CHECKING:
    from scanner.sources import Ports

#: Connections to one target at the same time, and seconds to wait for each; silence is asked once more.
AT_ONCE: Final = 64
PATIENCE: Final = 1.5
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: end with a reset, so that no port stays occupied


def scan(source: Ports, address: str, vantage: str) -> Raw:
    """Try every port of every address, as `Ports` documents. Raises ChannelError when the name leads nowhere, or when
    time runs out before all were asked.
    """
    began = time.monotonic()
    name = source.address or address
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ChannelError(Cause.DNS, f"{name}: {error}") from None
    addresses: dict[str, dict[str, Any]] = {}
    for family, _, _, _, where in found:
        host = str(where[0])
        if host not in addresses:
            addresses[host] = _Sweep(family, host, source, began + source.timeout).run()
    out = json.dumps({"from": vantage, "addresses": addresses}, separators=(",", ":")).encode()
    return Raw(out=out, took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


class _Sweep:
    """All ports of one address."""

    def __init__(self, family: int, host: str, source: Ports, deadline: float) -> None:
        self._family, self._host, self._source, self._deadline = family, host, source, deadline
        self._waiting = deque((number, True) for number in source.numbers)
        self._selector = selectors.DefaultSelector()
        self._open: list[int] = []
        self._refused: list[int] = []
        self._silent: list[int] = []
        self._failed: dict[int, str] = {}

    def run(self) -> dict[str, Any]:
        """What each port did."""
        with self._selector:
            while self._waiting or self._selector.get_map():
                if time.monotonic() > self._deadline:
                    self._give_up()
                while self._waiting and len(self._selector.get_map()) < AT_ONCE:
                    self._start(*self._waiting.popleft())
                for key, _ in self._selector.select(0.1):
                    self._answered(key)
                self._forget_silent()
        return {
            "open": sorted(self._open),
            "refused": sorted(self._refused),
            "silent": sorted(self._silent),
            "failed": {str(number): why for number, why in sorted(self._failed.items())},
        }

    def _give_up(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._end(key)
        raise ChannelError(
            Cause.TIMEOUT, f"{self._source.describe()}: not all were asked in {self._source.timeout} seconds"
        )

    def _start(self, number: int, again: bool) -> None:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        code = sock.connect_ex((self._host, number))
        if code in (0, errno.EINPROGRESS):
            until = time.monotonic() + PATIENCE
            self._selector.register(sock, selectors.EVENT_WRITE, (number, again, until))
        else:
            sock.close()
            self._note(number, code)

    def _answered(self, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        self._note(key.data[0], key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        self._end(key)

    def _note(self, number: int, code: int) -> None:
        if code == 0:
            self._open.append(number)
        elif code == errno.ECONNREFUSED:
            self._refused.append(number)
        elif code == errno.ETIMEDOUT:
            self._silent.append(number)
        else:
            self._failed[number] = errno.errorcode.get(code, str(code))

    def _forget_silent(self) -> None:
        now = time.monotonic()
        for key in list(self._selector.get_map().values()):
            number, again, until = key.data
            if now > until:
                self._end(key)
                if again:
                    self._waiting.append((number, False))
                else:
                    self._silent.append(number)

    def _end(self, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        self._selector.unregister(key.fileobj)
        key.fileobj.close()
