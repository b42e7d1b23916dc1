"""A wire tells how it ended, and does not wait without end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from scanner.channels import wire
from scanner.channels.wire import Wire, cause_of
from scanner.model import Cause


class Script:
    """A stream that does what it is told, call by call."""

    def __init__(self, *events: bytes | int | OSError) -> None:
        self._events: Iterator[bytes | int | OSError] = iter(events)
        self.closed = False

    def _next(self) -> bytes | int:
        event = next(self._events)
        if isinstance(event, OSError):
            raise event
        return event

    def recv(self, size: int) -> bytes:
        data = self._next()
        assert isinstance(data, bytes)
        return data

    def send(self, data: bytes) -> int:
        count = self._next()
        assert isinstance(count, int)
        return count

    def settimeout(self, seconds: float | None) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_nothing_yet_is_no_end():
    line = Wire(Script(TimeoutError("timed out"), b"SSH-2.0-x\r\n"), 100)
    with pytest.raises(TimeoutError):
        line.recv(100)
    assert line.fault is None
    assert line.recv(100) == b"SSH-2.0-x\r\n"
    assert line.greeted


def test_what_the_kernel_gave_up_is_an_end():
    script = Script(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
    line = Wire(script, 100)
    with pytest.raises(ConnectionAbortedError):
        line.recv(100)
    assert line.fault == (Cause.TIMEOUT, "the other side has fallen silent")
    assert script.closed


def test_other_side_that_takes_nothing_is_waited_for_until_it_is_enough(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(wire.time, "monotonic", lambda: now[0])
    line = Wire(Script(*[TimeoutError()] * 3, 5, *[TimeoutError()] * 3), 100)
    for passed in (0, 5, 5):
        now[0] += passed
        with pytest.raises(TimeoutError):
            line.send(b"12345")
    assert line.send(b"12345") == 5
    now[0] += 100
    with pytest.raises(TimeoutError):
        line.send(b"12345")
    now[0] += wire.STALL + 1
    with pytest.raises(ConnectionAbortedError):
        line.send(b"12345")
    assert line.fault == (Cause.TIMEOUT, "the other side takes nothing more")


def test_more_than_allowed_is_given_up():
    line = Wire(Script(b"SSH-2.0-x\r\n", b"x" * 90, b"x"), 101)
    line.recv(1000)
    line.recv(1000)
    with pytest.raises(ConnectionAbortedError):
        line.recv(1000)
    assert line.fault is not None
    assert line.fault[0] is Cause.TRUNCATED


def test_first_reason_stays_and_our_own_closing_is_none():
    line = Wire(Script(b"SSH-2.0-x\r\n", b"", ConnectionResetError(errno.ECONNRESET, "reset")), 100)
    line.recv(100)
    line.recv(100)
    with pytest.raises(ConnectionResetError):
        line.recv(100)
    assert line.fault == (Cause.RESET, "the connection was closed from the other side")
    line = Wire(Script(b""), 100)
    line.close()
    line.recv(100)
    assert line.fault is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), Cause.REFUSED),
        (OSError(errno.EHOSTUNREACH, ""), Cause.ROUTE),
        (OSError(errno.ENETUNREACH, ""), Cause.ROUTE),
        (PermissionError(errno.EPERM, ""), Cause.ROUTE),
        (BrokenPipeError(errno.EPIPE, ""), Cause.RESET),
        (TimeoutError("timed out"), Cause.TIMEOUT),
        (TimeoutError(errno.ETIMEDOUT, ""), Cause.TIMEOUT),
        (socket.gaierror(socket.EAI_NONAME, ""), Cause.DNS),
        (OSError(errno.EMFILE, ""), Cause.INTERNAL),
        (OSError("Socket is closed"), Cause.RESET),
    ],
)
def test_every_error_has_its_cause(error, cause):
    assert cause_of(error) is cause


def test_what_a_host_said_is_shown_harmless_and_short():
    shown = wire.excerpt(b"\x1b[2J\xff<script>\xe2\x80\xae" + b"x" * 200)
    assert shown.removesuffix("…").isascii()
    assert shown.isprintable()
    assert len(shown) < 130


def test_what_comes_at_once_is_given_as_it_is_asked_for() -> None:
    reader = Wire(Script(b"SSH-2.0-x\r\nabc", b"defgh", b""), allowed=100)
    asked = [reader.recv(size) for size in (4, 7, 2, 100, 1, 1, 1)]
    assert asked == [b"SSH-", b"2.0-x\r\n", b"ab", b"c", b"d", b"e", b"f"]
    assert reader.fault is None
    assert [reader.recv(100), reader.recv(100)] == [b"gh", b""]
    assert reader.fault is not None
    assert reader.fault[0] is Cause.RESET
