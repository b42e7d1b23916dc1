"""A server program that reads its configuration again when told so: what a test changes is what it does next."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self


def free_port(address: str) -> int:
    """A TCP port of this address on which nothing listens."""
    with socket.create_server(
        (address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET
    ) as one:
        port: int = one.getsockname()[1]
    return port


def wait_for(what: Callable[[], bool], seconds: float = 10) -> None:
    """Until it is so. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            raise TimeoutError("the server did not get there in time")
        time.sleep(0.02)


def answers(address: str, port: int) -> bool:
    """Whether something takes connections there."""
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


class Configured:
    """A master process with workers (nginx, Apache) in the foreground, and its one configuration file.

    Use it in a ``with`` block. Without ``workers`` it is one process, which cannot be changed. Raises
    FileNotFoundError when the program is not installed.
    """

    def __init__(
        self,
        program: str,
        arguments: list[str],
        file: Path,
        listens: list[tuple[str, int]],
        *,
        workers: bool = True,
    ) -> None:
        found = shutil.which(program)
        if found is None:
            raise FileNotFoundError(f"{program} is not installed; see tests/lab/packages.txt")
        self._command, self.file, self._listens = [found, *arguments], file, listens
        self._has_workers = workers
        self._log = file.parent / "output.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_for(self._listening)
            wait_for(lambda: bool(self._workers()) or not self._has_workers)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def change(self, configuration: str) -> None:
        """Another configuration, in force when this returns: no worker of before is left."""
        before = self._workers()
        self.file.write_text(configuration)
        self._process.send_signal(signal.SIGHUP)
        wait_for(lambda: bool(self._workers()) and not before & self._workers())

    def _listening(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended:\n{self._log.read_text(errors='replace')}")
        return all(answers(address, port) for address, port in self._listens)

    def _workers(self) -> set[int]:
        pid = self._process.pid
        return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(5)
