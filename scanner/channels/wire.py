"""A TCP connection that answers without delay, is bounded, and remembers how it ended."""

from __future__ import annotations

import errno
import re
import socket
import time
from contextlib import suppress
from typing import Final, Protocol

from scanner.channels import ChannelError
from scanner.model import Cause

#: Bytes a server may say before its SSH banner.
GREETING_LIMIT: Final = 8192
#: Bytes that are kept of how a server began: its banner and what it offers.
OPENING_LIMIT: Final = 16384
#: Bytes that are taken at once, when there are so many.
READ_AHEAD: Final = 32768
#: Seconds that nothing we send is taken, after which the other side counts as gone.
STALL: Final = 15.0
_BANNER: Final = re.compile(rb"^SSH-[^\n]*\n", re.MULTILINE)
_TURNED_AWAY: Final = re.compile(rb"Exceeded MaxStartups|Not allowed at this time")
_CAUSES: Final = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.ETIMEDOUT: Cause.TIMEOUT,
    errno.ECONNRESET: Cause.RESET,
    errno.ECONNABORTED: Cause.RESET,
    errno.EPIPE: Cause.RESET,
    errno.EMFILE: Cause.INTERNAL,
    errno.ENFILE: Cause.INTERNAL,
    errno.ENOMEM: Cause.INTERNAL,
}
#: When several addresses fail in several ways, the first of these is the one to tell.
_TELLING: Final = (Cause.REFUSED, Cause.RESET, Cause.TIMEOUT, Cause.INTERNAL, Cause.ROUTE)


def cause_of(error: OSError) -> Cause:
    """The cause word for what went wrong with a connection."""
    if isinstance(error, socket.gaierror):
        return Cause.DNS
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT
    # Without a number it is a channel of a jump host, and that is closed.
    return _CAUSES.get(error.errno, Cause.ROUTE) if error.errno else Cause.RESET


def excerpt(data: bytes) -> str:
    """The beginning of what a host said, in quotes and fit to print."""
    return ascii(data[:80].decode(errors="replace").strip()) + ("…" if len(data) > 80 else "")


def dial(address: str, port: int, timeout: float) -> socket.socket:
    """Connect to a name or address, IPv6 and IPv4: every address is tried, all within ``timeout`` seconds.

    Raises ChannelError.
    """
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "not a host name"
        raise ChannelError(Cause.DNS, f"{address}: {detail}") from None
    end = time.monotonic() + timeout
    failures: list[tuple[Cause, str]] = []
    for left, (family, kind, protocol, _, where) in zip(range(len(found), 0, -1), found, strict=True):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failures.append((Cause.INTERNAL, error.strerror or str(error)))
            continue
        try:
            sock.settimeout(max(0.05, (end - time.monotonic()) / left))
            sock.connect(where)
        except OSError as error:
            sock.close()
            why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            failures.append((cause_of(error), f"{where[0]} port {port}: {why}"))
        else:
            return sock
    cause = min((cause for cause, _ in failures), key=_TELLING.index)
    raise ChannelError(cause, "; ".join(dict.fromkeys(detail for _, detail in failures)))


def datagrams(address: str, port: int) -> socket.socket:
    """A socket for datagrams to and from one port of a name or address. Raises ChannelError."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        found = socket.socket(family, kind, protocol)
        found.connect(where)
    except (OSError, UnicodeError) as error:
        cause = cause_of(error) if isinstance(error, OSError) else Cause.DNS
        raise ChannelError(cause, f"{address} port {port}: {error}") from None
    return found


class Stream(Protocol):
    """What a wire is made of: a socket, or a channel through another connection."""

    def recv(self, size: int, /) -> bytes: ...  # noqa: D102 -- as socket.socket
    def send(self, data: bytes, /) -> int: ...  # noqa: D102
    def settimeout(self, seconds: float | None, /) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Wire:
    """A connection as an SSH library sees it, with the manners it lacks.

    No Nagle on our side and, on Linux, no delayed acknowledgement towards theirs: together they cost some 90 ms
    per connection. ``allowed`` is the number of bytes that may come in all; raise it as more is asked for.
    ``greeted`` turns true with the SSH banner. ``opening`` is what the other side began with. ``fault`` is how the
    connection ended, unless by `close`.
    """

    def __init__(self, stream: Stream, allowed: int) -> None:
        self._stream, self._socket = stream, stream if isinstance(stream, socket.socket) else None
        self.allowed, self._received = allowed, 0
        self._read_ahead = b""
        self._greeting, self.greeted, self.opening = b"", False, b""
        self._stalled_since = 0.0
        self.fault: tuple[Cause, str] | None = None
        self._closed = False
        if self._socket is not None:
            _tune(self._socket)

    def recv(self, size: int) -> bytes:
        """As `socket.socket.recv`. Takes all that has come, for SSH asks for each packet twice: its length, and it."""
        data = self._read_ahead or self._recv()
        self._read_ahead = data[size:]
        return data[:size]

    def _recv(self) -> bytes:
        try:
            data = self._stream.recv(READ_AHEAD)
        except TimeoutError as error:
            if error.errno is None:  # nothing yet
                raise
            raise self.abort(Cause.TIMEOUT, "the other side has fallen silent") from None
        except OSError as error:
            self._fail(cause_of(error), error.strerror or str(error))
            raise
        if self._socket is not None and _QUICKACK is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        if not data:
            self._fail(Cause.RESET, "the connection was closed from the other side")
        self._received += len(data)
        if self._received > self.allowed:
            raise self.abort(Cause.TRUNCATED, f"the target sent more than {self.allowed >> 20} MiB; gave up")
        if len(self.opening) < OPENING_LIMIT:
            self.opening += data
        if not self.greeted:
            self._greeting += data
            if _BANNER.search(self._greeting):
                self.greeted = True
            elif len(self._greeting) > GREETING_LIMIT:
                raise self.abort(Cause.PARSE, self.stranger)
        return data

    def send(self, data: bytes) -> int:
        """As `socket.socket.send`; when nothing is taken for `STALL` seconds it is an error for good."""
        try:
            sent = self._stream.send(data)
        except TimeoutError as error:
            now = time.monotonic()
            self._stalled_since = self._stalled_since or now
            if error.errno is None and now - self._stalled_since < STALL:
                raise
            raise self.abort(Cause.TIMEOUT, "the other side takes nothing more") from None
        except OSError as error:
            self._fail(cause_of(error), error.strerror or str(error))
            raise
        self._stalled_since = 0.0
        return sent

    @property
    def stranger(self) -> str:
        """What was said instead of an SSH banner; empty while nothing was, or the banner has come."""
        said = self._greeting
        return f"something else than SSH answers: {excerpt(said)}" if said and not self.greeted else ""

    def settimeout(self, seconds: float | None) -> None:
        """As `socket.socket.settimeout`."""
        self._stream.settimeout(seconds)

    def abort(self, cause: Cause, detail: str) -> ConnectionAbortedError:
        """Close it because of this, unless it had ended before; the exception is for who wants to raise it."""
        self._fail(cause, detail)
        self.close()
        return ConnectionAbortedError(errno.ECONNABORTED, detail)

    def close(self) -> None:
        """Close it, and wake who waits for it."""
        self._closed = True
        with suppress(Exception):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(Exception):
            self._stream.close()

    def _fail(self, cause: Cause, detail: str) -> None:
        if self.fault is not None or self._closed:
            return
        if cause is Cause.RESET and not self.greeted:
            if _TURNED_AWAY.search(self._greeting):
                cause, detail = Cause.REFUSED, f"the SSH server turned us away: {excerpt(self._greeting)}"
            elif self._greeting:
                cause, detail = Cause.PARSE, self.stranger
            else:
                detail += " before it said a word"
        self.fault = (cause, detail)


#: Linux only, like the names below it.
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


def _tune(sock: socket.socket) -> None:
    """No delay; and a silent end of the other side is noticed by the kernel within a minute."""
    options = {"TCP_NODELAY": 1, "TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
