"""Starting a program of the system on loopback for a test, waiting until it answers, and ending it again."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.lab.certificates import Authority
from tests.sshd import children

_ADDRESSES: Final = (
    f"127.77.{third}.{fourth}" for third, fourth in itertools.product(range(1, 250), range(1, 250))
)


def fresh_address() -> str:
    """An address on loopback that nothing else in this test run uses."""
    return next(_ADDRESSES)


def free_port(address: str) -> int:
    """A TCP port that is free there now."""
    with socket.create_server((address, 0)) as listening:
        number: int = listening.getsockname()[1]
        return number


def certificate(folder: Path, name: str = "server.test") -> tuple[Path, Path, Path]:
    """A server certificate, its key and the root that vouches for it, as files; everyone may read them."""
    authority = Authority()
    pair = authority.issue(name)
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "server.pem", folder / "server.key", folder / "ca.pem"
    for path, content in zip(paths, (pair.chain, pair.key, authority.anchor), strict=True):
        path.write_bytes(content)
        path.chmod(0o644)
    return paths


def answers(
    address: str, port: int, seconds: float = 40, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Wait until something listens there. Raises TimeoutError, or ChildProcessError when the program ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise ChildProcessError(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {address} port {port} after {seconds} seconds")


@contextmanager
def running(
    words: Sequence[str | Path],
    address: str,
    *ports: int,
    log: Path,
    user: str = "",
    environment: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
    seconds: float = 40,
) -> Iterator[subprocess.Popen[bytes]]:
    """This program, while it listens on these ports; ended by its process id, and what it started with it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent, user=user or None,
            group=user or None, extra_groups=[] if user else None, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        try:
            for port in ports:
                answers(address, port, seconds, process)
        except (ChildProcessError, TimeoutError) as error:
            raise RuntimeError(f"{error}: {log.read_text(errors='replace')[-2000:]}") from None
        yield process
    finally:
        started = children(process.pid)
        process.send_signal(stop)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)
        for pid in started:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
