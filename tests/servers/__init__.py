"""Real servers for tests, each started on a loopback port of its own and stopped by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Seconds a server may take to listen; Java on a busy machine is slow.
PATIENCE = 30.0


_given: set[int] = set()


class Failed(AssertionError):  # noqa: N818 -- what happened
    """A server did not start: what it said."""


def program(*names: str) -> str:
    """The path of the first of these programs that is there. A missing one fails the test, never skips it."""
    for name in names:
        if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/lib/postfix/sbin"):
            return found
    raise Failed(f"{' or '.join(names)} is not installed; see tests/lab/packages.txt")


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port on which nothing listens now; never the same one twice."""
    while True:
        with socket.create_server((address, 0)) as free:
            port: int = free.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def listens(port: int, address: str = "127.0.0.1") -> Callable[[], bool]:
    """Whether something accepts connections there; asked until it does."""

    def there() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((address, port)) == 0

    return there


@contextmanager
def running(
    command: Sequence[str | Path],
    ready: Callable[[], bool],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground, from when it is ready until the block ends. Raises Failed with what it said."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            stdin=stdin,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            end = time.monotonic() + PATIENCE
            while not ready():
                if process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.02)
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop it and what it started: its own process group, which nobody else is in."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(3)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
