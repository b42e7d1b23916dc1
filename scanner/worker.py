"""One target: open what is needed, put the planned questions, return raw answers. Knows no check.

What goes wrong becomes a `Gap` with its cause on the answers it touches; nothing is judged and nothing is retried.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from scanner.channels import ChannelError, ShellTransport
from scanner.channels.shell import Batch
from scanner.model import Cause, Credential, Gap, Inventory, State, Target, Timed
from scanner.sources import Handshake, Shell, Source, TrustAnchors

if TYPE_CHECKING:
    from scanner.channels.anchors import Anchors
    from scanner.channels.known_hosts import KnownHosts
    from scanner.vault import Vault


class Unreachable(Exception):  # noqa: N818 -- an outcome
    """The target could not be talked to at all: one cause for all its checks."""

    def __init__(self, gap: Gap) -> None:
        self.gap = gap
        super().__init__(gap.detail)


class Worker:
    """What all sessions of a run share: the inventory, the secrets' vault and the known host keys.

    ``known_hosts`` is called once, when the first target needs it; the user's and the system's files by default.
    """

    def __init__(
        self, inventory: Inventory, vault: Vault, known_hosts: Callable[[], KnownHosts] | None = None
    ) -> None:
        self.inventory, self.vault, self._read_known_hosts = inventory, vault, known_hosts
        self._known_hosts: KnownHosts | None = None
        self._anchors: Anchors | None = None
        self._reading = Lock()

    def known_hosts(self) -> KnownHosts:
        """The known host keys, read when first asked for."""
        with self._reading:
            if self._known_hosts is None:
                from scanner.channels.known_hosts import KnownHosts

                self._known_hosts = (self._read_known_hosts or KnownHosts.load)()
            return self._known_hosts

    def anchors(self) -> Anchors:
        """The CA certificates we trust, read when first asked for. Raises ChannelError."""
        with self._reading:
            if self._anchors is None:
                from scanner.channels.anchors import Anchors

                self._anchors = Anchors(self.inventory.trust_anchors)
            return self._anchors

    def session(self, target: Target) -> Session:
        """A session with this target; use it in a ``with`` block. Raises Unreachable on entering."""
        return Session(self, target)

    def open_shell(self, target: Target, opened: list[ShellTransport]) -> ShellTransport:
        """The transport to run shells on; appended to ``opened``, after those it jumps through."""
        if target.channel == "local":
            from scanner.channels.local import LocalTransport

            opened.append(LocalTransport())
            return opened[-1]
        with _not_installed(
            "invoke"
        ):  # paramiko would take it along for ssh_config, which we do not read: 6 MiB
            from scanner.channels import ssh

        jump: Any = None
        if target.jump:
            jump = self.open_shell(self.inventory.target(target.jump), opened)
        transport = ssh.connect(
            target, self.credential(target), vault=self.vault, known_hosts=self.known_hosts(), jump=jump
        )
        opened.append(transport)
        return transport

    def credential(self, target: Target) -> Credential:
        """The credential the target refers to. Raises ChannelError when it names none."""
        if target.credential is None:
            raise ChannelError(Cause.AUTH, f"the inventory names no credential for {target.name}")
        return self.inventory.credentials[target.credential]


@contextmanager
def _not_installed(name: str) -> Iterator[None]:
    """Let imports within the block do without a package that they can do without."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # as the import system documents it
    try:
        yield
    finally:
        sys.modules.pop(name, None)


class Session:
    """One target for the length of a scan: one connection, kept over all rounds."""

    def __init__(self, worker: Worker, target: Target) -> None:
        self._worker, self._target = worker, target
        self._opened: list[ShellTransport] = []
        self.account: tuple[int, str] | None = None

    def __enter__(self) -> Self:
        try:
            self._shell = self._worker.open_shell(self._target, self._opened)
        except ChannelError as error:
            self._close()
            raise Unreachable(Gap(State.ERROR, error.cause, error.detail)) from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for transport in reversed(self._opened):
            transport.close()

    def ask(self, sources: Sequence[Source]) -> dict[Source, Timed]:
        """Put these questions: shell sources in one batch (slow ones in a second, beside it), others one by one."""
        answers: dict[Source, Timed] = {}
        fast = [source for source in sources if isinstance(source, Shell) and not source.slow]
        slow = [source for source in sources if isinstance(source, Shell) and source.slow]
        if fast and slow:
            with ThreadPoolExecutor(1) as beside:
                other = beside.submit(self._run, slow)
                answers.update(self._run(fast))
                answers.update(other.result())
        elif fast or slow:
            answers.update(self._run(fast or slow))
        for source in sources:
            if isinstance(source, Handshake | TrustAnchors):
                answers[source] = self._look(source)
        return answers

    def _run(self, sources: Sequence[Shell]) -> dict[Source, Timed]:
        batch = Batch(sources)
        gap = Gap(State.ERROR, Cause.RESET, "the connection ended before this was answered")
        try:
            self._shell.run(batch)
        except ChannelError as error:
            gap = Gap(State.ERROR, error.cause, error.detail)
        self.account = batch.user or self.account
        return batch.answers(gap)

    def _look(self, source: Handshake | TrustAnchors) -> Timed:
        from scanner.channels import tls

        try:
            if isinstance(source, TrustAnchors):
                return self._worker.anchors().answer(source)
            return tls.handshake(source, self._target.address)
        except ChannelError as error:
            return Timed(code=None, gap=Gap(State.ERROR, error.cause, error.detail))
