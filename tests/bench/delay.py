"""A proxy that holds everything back for a while, both ways: a host far off. Counts the connections it is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Delay:
    """Listens on a free port of 127.0.0.1 and passes on to one host, ``delay`` seconds later, each way."""

    def __init__(self, host: str, port: int, delay: float) -> None:
        self.port, self.connections = 0, 0
        self._to, self._delay = (host, port), delay
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(),), daemon=True
        )

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        async with await asyncio.start_server(self._pass_on, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._end.wait()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(2 * self._delay)  # the handshake of TCP
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                self._loop.call_later(self._delay, writer.write, data)
        except ConnectionResetError:
            pass
        self._loop.call_later(self._delay, writer.close)

    @contextmanager
    def running(self) -> Iterator[Delay]:
        """Pass on for as long as the block lasts."""
        self._thread.start()
        self._ready.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
