"""Addresses and ports for test servers, and waiting until they answer."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_ADDRESSES: Final = (
    f"127.7.{third}.{fourth}" for third, fourth in itertools.product(range(1, 250), range(1, 250))
)


def address() -> str:
    """An address on loopback that no other test server has."""
    return next(_ADDRESSES)


def free_port(where: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of this address that nobody listens on."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind((where, 0))
        port: int = found.getsockname()[1]
    return port


@contextmanager
def running(
    *command: str | Path, log: Path, at: tuple[str, int] | None = None, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the length of a test, once it takes connections; ended with all that it started."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
        )
    try:
        if at is not None:
            await_port(*at, process, log)
        yield process
    finally:
        end(process)
        if at is not None:
            await_closed(*at)


def await_closed(where: str, port: int) -> None:
    """Wait until nobody listens there any more: what a program started may outlive it by a moment."""
    for _ in range(500):
        try:
            socket.create_connection((where, port), 1).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError(f"somebody still listens at {where} port {port}")


def await_port(where: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until this port takes connections. Raises AssertionError with what the program said when it does not."""
    for _ in range(500):
        try:
            socket.create_connection((where, port), 1).close()
        except ConnectionRefusedError:
            if process.poll() is not None:
                break
            time.sleep(0.02)
        else:
            return
    raise AssertionError(
        f"{process.args!r} does not listen at {where} port {port}:\n{log.read_text()[-2000:]}"
    )


def await_words(log: Path, words: str) -> None:
    """Wait until a program has said this. Raises AssertionError with what it said when it does not."""
    for _ in range(500):
        if words in log.read_text(errors="replace"):
            return
        time.sleep(0.02)
    raise AssertionError(f"{words!r} was never said:\n{log.read_text(errors='replace')[-2000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program that leads a session of its own, and all that belongs to it."""
    for which in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, which)
        except ProcessLookupError:
            break
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
