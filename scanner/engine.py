"""Many targets at once: threads, bounded in all, per zone and per host.

An engine turns targets into manifests. This one runs here; another may hand the same work to a worker in another
network zone.
"""

from __future__ import annotations

import ctypes
import gc
import json
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, Protocol

from scanner.evaluate import Collected, Facts, scan_time
from scanner.evidence import Manifest, Store
from scanner.model import Cause, Gap, State, Target, Timed
from scanner.plan import ROUNDS, Plan
from scanner.sources import CONVERSATIONS, Dialogue, Ports, Shell, Source
from scanner.transcript import exchanges
from scanner.worker import Unreachable, Worker

#: Hosts looked at at the same time, unless told otherwise.
WORKERS: Final = 16
_M_ARENA_MAX: Final = -8  # of malloc.h
#: Causes that say that a target was not talked to at all.
_NOT_REACHED: Final = frozenset(
    {Cause.DNS, Cause.ROUTE, Cause.REFUSED, Cause.TIMEOUT, Cause.RESET, Cause.HOSTKEY, Cause.AUTH}
)

Progress = Callable[[str, Target], None]
"""Called with ``start``, ``open`` (if we got in) and ``end``, and the target, from any thread."""


class Engine(Protocol):
    """What turns targets into sealed manifests."""

    def run(self, targets: Sequence[Target]) -> Iterator[Manifest]:
        """Collect every target; a manifest each (without its answers), in the order they finish."""


class LocalEngine:
    """Threads in this process."""

    def __init__(
        self,
        plan: Plan,
        worker: Worker,
        store: Store,
        *,
        workers: int = WORKERS,
        progress: Progress = lambda _event, _target: None,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._plan, self._worker, self._store = plan, worker, store
        self._workers, self._progress, self._stopping = workers, progress, stopping
        self._zones = worker.inventory.zones
        self._by = socket.gethostname()

    def run(self, targets: Sequence[Target]) -> Iterator[Manifest]:
        """See `Engine.run`. Closing the iterator early lets running targets finish and starts no other; so does an
        interrupt, of which ``stopping`` is told before they are waited for. Another interrupt leaves them running.
        """
        _share_one_heap()
        queue = _Queue(targets, self._zones)
        done: SimpleQueue[Manifest | BaseException] = SimpleQueue()
        threads = [
            threading.Thread(target=self._work, args=(queue, done), name=f"worker-{number}", daemon=True)
            for number in range(min(self._workers, len(targets)))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in targets:
                result = done.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
        except KeyboardInterrupt:
            self._stopping()
            raise
        finally:
            queue.stop()
            for thread in threads:
                thread.join()
            _give_back()

    def _work(self, queue: _Queue, done: SimpleQueue[Manifest | BaseException]) -> None:
        while (target := queue.take()) is not None:
            try:
                self._progress("start", target)
                done.put(self.collect(target))
                self._progress("end", target)
            except BaseException as error:  # goes to the thread that waits
                done.put(error)
                return
            finally:
                queue.give_back(target)

    def collect(self, target: Target) -> Manifest:
        """One target in at most `ROUNDS` rounds over one connection; its manifest, sealed, without its answers.

        A target whose account does not get in counts as not reached, whatever was seen of it from outside.
        """
        manifest = Manifest(target.name, started=time.time(), channel=target.channel, by=self._by)
        try:
            now = scan_time(manifest.started)
            first = self._plan.first(target, Facts(target, {}, self._plan.registry, now))
            with self._worker.session(target, first) as session:
                self._progress("open", target)
                self._rounds(target, manifest, first, session.ask)
                manifest.account = session.account
                manifest.gap = session.kept_out
            manifest.gap = manifest.gap or _nothing_seen(manifest)
        except Unreachable as unreachable:
            manifest.gap = unreachable.gap
        except Exception as error:
            # A fault of ours with one target must not cost the others their scan; it is told, not hidden.
            manifest.gap = Gap(State.ERROR, Cause.INTERNAL, f"{type(error).__name__}: {error}")
        manifest.ended = time.time()
        self._store.seal(manifest)
        manifest.answers = {}
        return manifest

    def _rounds(
        self,
        target: Target,
        manifest: Manifest,
        sources: Sequence[Source],
        ask: Callable[[Sequence[Source]], dict[Source, Timed]],
    ) -> None:
        now = scan_time(manifest.started)
        for _ in range(ROUNDS):
            for source, raw in ask(sources).items():
                manifest.answers[source] = Collected(raw, self._store.add(raw))
            sources = self._plan.next(target, Facts(target, manifest.answers, self._plan.registry, now))
            if not sources:
                return


def _nothing_seen(manifest: Manifest) -> Gap | None:
    """Why the target counts as not reached: every question to it ended in a gap, and this is the commonest."""
    asked = [
        _silence(source, raw)
        for source, (raw, _) in manifest.answers.items()
        if isinstance(source, (Shell, Ports, *CONVERSATIONS))
    ]
    gaps = [
        gap for gap in asked if gap is not None and gap.state is State.ERROR and gap.cause in _NOT_REACHED
    ]
    return Counter(gaps).most_common(1)[0][0] if gaps and len(gaps) == len(asked) else None


def _silence(source: Source, raw: Timed) -> Gap | None:
    """Why this is no sign of the target; a host of which no port or datagram says anything may as well not be there."""
    if raw.gap is None and isinstance(source, Dialogue):
        silent = all(one.end == "timeout" and not one.received for one in exchanges(raw))
        return Gap(State.ERROR, Cause.TIMEOUT, "nothing answers") if silent else None
    if raw.gap is not None or not isinstance(source, Ports):
        return raw.gap
    addresses = json.loads(raw.out)["addresses"].values()
    if any(address["open"] or address["refused"] for address in addresses):
        return None
    return Gap(State.ERROR, Cause.TIMEOUT, "none of its ports says anything")


def _share_one_heap() -> None:
    """Let all threads take memory from one heap. The C library of Linux would give each its own, of which little is
    ever given back, for the sake of a parallelism that Python does not have. Where it cannot be said, nothing happens.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _give_back() -> None:
    """Return what the sessions held, a quarter of a megabyte each: what comes next is done in the place of it."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class _Queue:
    """Targets waiting their turn; hands out the first whose zone has room."""

    def __init__(self, targets: Sequence[Target], limits: dict[str, int]) -> None:
        self._waiting, self._limits = deque(targets), limits
        self._busy: Counter[str] = Counter()
        self._changed = threading.Condition()

    def take(self) -> Target | None:
        """The next target, waiting for room in its zone; None when all are taken."""
        with self._changed:
            while self._waiting:
                for target in self._waiting:
                    limit = self._limits.get(target.zone)
                    if limit is None or self._busy[target.zone] < limit:
                        self._waiting.remove(target)
                        self._busy[target.zone] += 1
                        return target
                self._changed.wait()
            return None

    def give_back(self, target: Target) -> None:
        """This target is done: its zone has room again."""
        with self._changed:
            self._busy[target.zone] -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out no more."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
