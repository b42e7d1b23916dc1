"""This machine itself: the same batch, put to a local `sh -s`."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from scanner.channels import ChannelError
from scanner.model import Cause

if TYPE_CHECKING:
    from scanner.channels.shell import Batch

_CHUNK: Final = 1 << 16


class LocalTransport:
    """Runs a batch on this machine, as whoever runs the scanner."""

    def run(self, batch: Batch) -> None:
        """See `ShellTransport.run`. What is still running at the deadline is killed with its process group."""
        script = memoryview(batch.script)
        with subprocess.Popen(
            ["/bin/sh", "-s"],  # the script comes on stdin: nothing of it shows in the process list
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            cwd="/",
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            try:
                with selectors.DefaultSelector() as ready:
                    ready.register(process.stdin, selectors.EVENT_WRITE)
                    ready.register(process.stdout, selectors.EVENT_READ, batch.feed_out)
                    ready.register(process.stderr, selectors.EVENT_READ, batch.feed_err)
                    deadline = time.monotonic() + batch.deadline
                    while ready.get_map() and not batch.done:
                        left = deadline - time.monotonic()
                        if left <= 0:
                            raise ChannelError(Cause.TIMEOUT, f"no end within {batch.deadline} seconds")
                        for key, _ in ready.select(left):
                            if key.fileobj is process.stdin:
                                written = os.write(key.fd, script[:_CHUNK])
                                script = script[written:]
                                if not script:
                                    ready.unregister(process.stdin)
                                    process.stdin.close()
                            elif data := os.read(key.fd, _CHUNK):
                                key.data(data)
                            else:
                                ready.unregister(key.fileobj)
            except BrokenPipeError:
                raise ChannelError(Cause.RESET, "the shell ended before it had read all") from None
            finally:
                if process.poll() is None and not batch.done:
                    os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Nothing is kept open."""
