"""What goes wrong between a scanner and a host: ports that misbehave, hosts that fall silent, fill up or flood.

    with faults.port(faults.stall(after=2000), to=host) as broken:
        ...                                   # broken.address, broken.port: a host that stops talking half-way

A port is a thread of the test process and lives in the network of the thread that opens it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.lab.network import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import Host

#: An address without a route: connecting to it fails at once.
NO_ROUTE: Final = "192.0.2.1"
_CHUNK: Final = 65536
_FOR_EVER: Final = 3600.0


@dataclass(frozen=True)
class Fault:
    """What a port does to each connection; ``amount`` is seconds, bytes or bytes per second by its kind."""

    kind: str
    amount: float = 0


#: Everything goes through.
PASS: Final = Fault("pass")
#: Bytes that are no protocol at all, then the end.
GARBAGE: Final = Fault("garbage")
#: Accepted, and never a byte.
HALF_OPEN: Final = Fault("half-open")
#: Accepted, and closed at once.
CLOSED: Final = Fault("closed")


def delay(seconds: float) -> Fault:
    """The server is reached only after a while."""
    return Fault("delay", seconds)


def stall(after: int) -> Fault:
    """Silence once the server has said so many bytes; the connection stays open."""
    return Fault("stall", after)


def reset(after: int) -> Fault:
    """A TCP reset once the server has said so many bytes."""
    return Fault("reset", after)


def cut(after: int) -> Fault:
    """A clean end of the connection once the server has said so many bytes."""
    return Fault("cut", after)


def drip(rate: float) -> Fault:
    """The server's bytes come at so many per second."""
    return Fault("drip", rate)


class Port:
    """A listening port that does one fault to every connection; close it when done."""

    def __init__(self, fault: Fault, to: tuple[str, int] | None = None, address: str = GATEWAY) -> None:
        self.fault, self.address, self._to = fault, address, to
        self.connections = 0
        listener = socket.create_server((address, 0), backlog=256)
        self.port: int = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close every connection and end the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, listener: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=listener))
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            match self.fault.kind:
                case "closed":
                    pass
                case "garbage":
                    to_client.write(os.urandom(512))
                    await to_client.drain()
                case "half-open":
                    await asyncio.sleep(_FOR_EVER)
                case _:
                    await self._pass_on(from_client, to_client)
        except (OSError, asyncio.CancelledError):
            to_client.transport.abort()
        finally:
            to_client.close()

    async def _pass_on(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        assert self._to, f"a port with the fault {self.fault.kind} needs a server behind it"
        if self.fault.kind == "delay":
            await asyncio.sleep(self.fault.amount)
        from_server, to_server = await asyncio.open_connection(*self._to)
        upward = asyncio.create_task(_copy(from_client, to_server))
        try:
            await self._from_server(from_server, to_client)
        finally:
            upward.cancel()
            to_server.close()

    async def _from_server(self, from_server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        kind, amount = self.fault.kind, self.fault.amount
        said = 0
        while data := await from_server.read(8 if kind == "drip" else _CHUNK):
            if kind in ("stall", "reset", "cut") and said + len(data) > amount:
                to_client.write(data[: int(amount) - said])
                await to_client.drain()
                if kind == "stall":
                    await asyncio.sleep(_FOR_EVER)
                elif kind == "reset":
                    linger = struct.pack("ii", 1, 0)
                    to_client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    to_client.transport.abort()
                return
            said += len(data)
            to_client.write(data)
            await to_client.drain()
            if kind == "drip":
                await asyncio.sleep(len(data) / amount)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except OSError:
        return


@contextmanager
def port(fault: Fault, to: Host | None = None) -> Iterator[Port]:
    """A port with this fault in front of a host's sshd, for as long as the block lasts."""
    opened = Port(fault, (to.address, to.port) if to else None)
    try:
        yield opened
    finally:
        opened.close()


def refused() -> int:
    """A port of the gateway on which nobody listens."""
    with socket.create_server((GATEWAY, 0)) as sock:
        number: int = sock.getsockname()[1]
    return number


@contextmanager
def silent(host: Host) -> Iterator[None]:
    """The host answers nothing at all: every packet to it is dropped."""
    with host.flipped(
        do="nft 'add table inet silent; add chain inet silent input"
        " { type filter hook input priority -300; policy drop; }'",
        undo="nft delete table inet silent",
    ):
        yield


@contextmanager
def disk_full(host: Host) -> Iterator[None]:
    """Not a byte more can be written on the host: its root, /tmp and /run are full."""
    fill = "dd if=/dev/zero of={0}/fill bs=4k 2>/dev/null || test -s {0}/fill"
    with host.bounded_disk(), host.flipped(do=fill.format(""), undo="rm -f /fill"):
        yield


@contextmanager
def login_shell(host: Host, account: str, script: str) -> Iterator[None]:
    """The account gets this script instead of a shell, whatever command it asks for."""
    entries = host.must("cat /etc/passwd").splitlines()
    changed = [
        entry.rpartition(":")[0] + ":/usr/local/bin/lab-shell" if entry.startswith(f"{account}:") else entry
        for entry in entries
    ]
    with (
        host.changed("/usr/local/bin/lab-shell", script, mode=0o755),
        host.changed("/etc/passwd", "\n".join(changed) + "\n"),
    ):
        yield


#: A login shell that never stops talking.
FLOOD: Final = "#!/bin/sh\nexec yes 'an endless answer of a host that floods'\n"
#: A login shell that talks on standard error only, without end.
FLOOD_ERRORS: Final = "#!/bin/sh\nexec yes 'an endless complaint' >&2\n"
