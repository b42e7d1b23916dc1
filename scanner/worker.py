"""One target: open what is needed, put the planned questions, return raw answers. Knows no check.

What goes wrong becomes a `Gap` with its cause on the answers it touches; nothing is judged and nothing is retried.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import ip_address
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from scanner.channels import ChannelError, ShellTransport
from scanner.channels.shell import Batch
from scanner.model import Cause, Credential, Gap, Inventory, State, Target, Timed
from scanner.sources import (
    CONVERSATIONS,
    Dialogue,
    EapTls,
    Fetch,
    Lookup,
    NameAnchors,
    Outside,
    Ports,
    RouteOrigins,
    Shell,
    Source,
    SshHello,
    SshLogin,
    TlsWalk,
    TrustAnchors,
)
from scanner.vault import VaultError

if TYPE_CHECKING:
    from scanner.channels.anchors import Anchors
    from scanner.channels.http import Fetcher
    from scanner.channels.known_hosts import KnownHosts
    from scanner.vault import Vault


#: Seconds after which no further question from outside is put to a target: one that answers everything slowly would
#: hold up the scan for hours. Trying its ports does not count: that has a limit of its own, and may take as long.
OUTSIDE_SECONDS: Final = 600
#: Questions from outside put to one target at the same time.
OUTSIDE_AT_ONCE: Final = 4
#: Datagrams among them, beside those: most of them are waiting for silence.
DATAGRAMS_AT_ONCE: Final = 12


class Unreachable(Exception):  # noqa: N818 -- an outcome
    """The target could not be talked to at all: one cause for all its checks."""

    def __init__(self, gap: Gap) -> None:
        self.gap = gap
        super().__init__(gap.detail)


@lru_cache(maxsize=65536)
def _resolved(address: str) -> tuple[str, ...]:
    """The addresses a name leads to; an address as it is; one that leads nowhere is itself, and no address."""
    try:
        return (str(ip_address(address)),)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return (address,)
    return tuple(dict.fromkeys(str(where[0]) for *_, where in found))


class Worker:
    """What all sessions of a run share: the inventory, the secrets' vault and the known host keys.

    ``known_hosts`` is called once, when the first target needs it; the user's and the system's files by default.
    """

    def __init__(
        self, inventory: Inventory, vault: Vault, known_hosts: Callable[[], KnownHosts] | None = None
    ) -> None:
        self.inventory, self.vault, self._read_known_hosts = inventory, vault, known_hosts
        self._known_hosts: KnownHosts | None = None
        self._known_addresses: set[str] | None = None
        self._fetcher: Fetcher | None = None
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

    def fetcher(self) -> Fetcher:
        """What fetches from the hosts the inventory allows; one for the run, which remembers what it fetched."""
        with self._reading:
            if self._fetcher is None:
                from scanner.channels.http import Fetcher

                self._fetcher = Fetcher(self.inventory.revocation_hosts)
            return self._fetcher

    def session(self, target: Target, first: Sequence[Source]) -> Session:
        """A session with this target, to begin with these questions; use it in a ``with`` block.

        Raises Unreachable on entering.
        """
        return Session(self, target, first)

    def open_shell(self, target: Target, opened: list[ShellTransport]) -> ShellTransport:
        """The transport to run shells on; appended to ``opened``, after those it jumps through."""
        if target.channel == "local":
            from scanner.channels.local import LocalTransport

            opened.append(LocalTransport())
            return opened[-1]
        # paramiko would take it along for ssh_config, which we do not read: 6 MiB
        with _not_installed("invoke"):
            from scanner.channels import ssh

        jump: Any = None
        if target.jump:
            jump = self.open_shell(self.inventory.target(target.jump), opened)
        transport = ssh.connect(
            target, self.credential(target), vault=self.vault, known_hosts=self.known_hosts(), jump=jump
        )
        opened.append(transport)
        return transport

    def may_ask(self, source: Outside | TlsWalk, target: Target) -> None:
        """Raises ChannelError when the inventory does not consent to this question, or does not name its address."""
        if not source.impact.within(target.consent):
            raise ChannelError(
                Cause.POLICY,
                f"{source.describe()}: the inventory consents to {target.consent!s};"
                f" write 'consent: {source.impact}' to allow it",
            )
        at_itself = isinstance(source, (Ports, *CONVERSATIONS)) and source.address in {"", *target.addresses}
        if at_itself and target.is_out_of_sight:
            raise ChannelError(
                Cause.POLICY,
                f"{source.describe()}: reached by way of {target.jump}; where the scanner stands this may be another"
                " host's address, so nothing was sent; write 'ports: usual' when it is not",
            )
        further = source.addresses if isinstance(source, Ports) else ()
        server = source.server if isinstance(source, Lookup) else ""
        if not all(self._ours(where) for where in (source.address, server, *further) if where):
            raise ChannelError(
                Cause.POLICY,
                f"{source.describe()}: no target of the inventory has this address; nothing was sent",
            )

    def _ours(self, address: str) -> bool:
        """Whether an address or name leads to targets of the inventory alone."""
        return address in self._addresses() or set(_resolved(address)) <= self._resolved_addresses()

    def _addresses(self) -> set[str]:
        return {one for target in self.inventory.targets for one in (target.address, *target.addresses)}

    def _resolved_addresses(self) -> set[str]:
        with self._reading:
            if self._known_addresses is None:
                self._known_addresses = {one for address in self._addresses() for one in _resolved(address)}
            return self._known_addresses

    def credential(self, target: Target) -> Credential:
        """The credential the target refers to. Raises ChannelError when it names none."""
        if target.credential is None:
            raise ChannelError(Cause.AUTH, f"the inventory names no credential for {target.name}")
        return self.inventory.credentials[target.credential]

    def radius_secret(self, target: Target, port: int) -> bytes:
        """What we share with this RADIUS server as a client of it. Raises ChannelError when that cannot be had."""
        service = next(
            (one for one in target.services or () if (one.port, one.protocol) == (port, "udp")), None
        )
        if service is None or service.secret is None:
            raise ChannelError(
                Cause.AUTH,
                f"the inventory names no secret for {port}/udp of {target.name}; write 'secret: file:PATH'",
            )
        try:
            return self.vault.secret(service.secret).get_secret_value()
        except VaultError as error:
            raise ChannelError(Cause.AUTH, str(error)) from None


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


def _is_datagram(source: Source) -> bool:
    return isinstance(source, EapTls) or (isinstance(source, Dialogue) and source.protocol == "udp")


class Session:
    """One target for the length of a scan: one login, kept over all rounds, and questions from outside beside it."""

    def __init__(self, worker: Worker, target: Target, first: Sequence[Source] = ()) -> None:
        self._worker, self._target, self._first = worker, target, first
        self._opened: list[ShellTransport] = []
        self._shell: ShellTransport | None = None
        self._no_shell: Gap | None = None
        self._outside_until = time.monotonic() + OUTSIDE_SECONDS
        self.account: tuple[int, str] | None = None

    def __enter__(self) -> Self:
        try:
            self._log_in(self._first)
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

    def _log_in(self, sources: Sequence[Source]) -> None:
        """Open a shell when one of these needs it, once.

        Raises Unreachable when that fails and nothing else is asked; else the shell sources alone go without answer.
        """
        shell = [source for source in sources if isinstance(source, Shell)]
        if not shell or self._shell is not None or self._no_shell is not None:
            return
        try:
            self._shell = self._worker.open_shell(self._target, self._opened)
        except ChannelError as error:
            self._no_shell = Gap(State.ERROR, error.cause, error.detail)
            if not any(isinstance(source, Outside | TlsWalk) for source in sources):
                raise Unreachable(self._no_shell) from error

    @property
    def kept_out(self) -> Gap | None:
        """Why the account that the inventory gives us did not get in; None when it did, or there is none."""
        return self._no_shell if self._target.credential is not None else None

    def ask(self, sources: Sequence[Source]) -> dict[Source, Timed]:
        """Put these questions: shell sources in one batch (slow ones in a second, beside it), those from outside a few
        at a time, all at once.
        """
        self._log_in(sources)
        fast = [source for source in sources if isinstance(source, Shell) and not source.slow]
        slow = [source for source in sources if isinstance(source, Shell) and source.slow]
        others = [source for source in sources if not isinstance(source, Shell)]
        answers: dict[Source, Timed] = {}
        if len(others) + bool(fast) + bool(slow) <= 1:
            for some in filter(None, (fast, slow)):
                answers |= self._run(some)
            return answers | {source: self._look(source) for source in others}
        with (
            ThreadPoolExecutor(OUTSIDE_AT_ONCE) as outside,
            ThreadPoolExecutor(DATAGRAMS_AT_ONCE) as light,
            ThreadPoolExecutor(1) as beside,
        ):
            looks = [
                (light if _is_datagram(source) else outside).submit(self._look, source) for source in others
            ]
            late = beside.submit(self._run, slow) if fast and slow else None
            if fast or slow:
                answers |= self._run(fast or slow)
            if late:
                answers |= late.result()
            answers |= {source: look.result() for source, look in zip(others, looks, strict=True)}
        return answers

    def _run(self, sources: Sequence[Shell]) -> dict[Source, Timed]:
        if self._shell is None:
            assert self._no_shell is not None
            return {source: Timed(code=None, gap=self._no_shell) for source in sources}
        batch = Batch(sources)
        gap = Gap(State.ERROR, Cause.RESET, "the connection ended before this was answered")
        try:
            self._shell.run(batch)
        except ChannelError as error:
            gap = Gap(State.ERROR, error.cause, error.detail)
        self.account = batch.user or self.account
        return batch.answers(gap)

    def _look(self, source: Source) -> Timed:
        try:
            if isinstance(source, Outside | TlsWalk):
                if time.monotonic() > self._outside_until:
                    raise ChannelError(
                        Cause.TIMEOUT, f"{source.describe()}: not asked, {OUTSIDE_SECONDS} seconds were up"
                    )
                self._worker.may_ask(source, self._target)
            answer = self._answer(source)
            if isinstance(source, Ports):
                self._outside_until += answer.took
            return answer
        except ChannelError as error:
            return Timed(code=None, gap=Gap(State.ERROR, error.cause, error.detail))

    def _answer(self, source: Source) -> Timed:
        inventory, address = self._worker.inventory, self._target.address
        match source:
            case TrustAnchors():
                return self._worker.anchors().answer(source)
            case TlsWalk():
                from scanner.channels import tls

                return tls.look(source, address)
            case NameAnchors():
                from scanner.channels import dns

                return dns.name_anchors(inventory.dns_anchors, source.limit)
            case RouteOrigins():
                from scanner.channels import route_origins

                return route_origins.covering(inventory.route_origins, source)
            case Dialogue():
                from scanner.channels.dialogue import converse

                return converse(source, address)
            case Ports():
                from scanner.channels.ports import scan

                return scan(source, address, inventory.vantage)
            case Lookup():
                from scanner.channels.dns import look_up

                return look_up(source, inventory.resolvers)
            case Fetch():
                return self._worker.fetcher().fetch(source)
            case SshHello():
                from scanner.channels import ssh_hello

                return ssh_hello.opening(source, self._opening(source)) or ssh_hello.hello(source, address)
            case EapTls():
                from scanner.channels import radius

                return radius.look(source, address, self._worker.radius_secret(self._target, source.port))
            case SshLogin():
                with _not_installed("invoke"):
                    from scanner.channels import ssh_login

                return ssh_login.knock(source, address)
            case _:
                raise ChannelError(Cause.INTERNAL, f"no channel asks {type(source).__name__}")

    def _opening(self, source: SshHello) -> bytes:
        """How our own connection began, when it goes straight to the port that is asked about; else nothing."""
        target = self._target
        if self._shell is None or target.channel == "local" or target.jump or source.address:
            return b""
        if source.port != target.port:
            return b""
        from scanner.channels.ssh import SshTransport

        return self._shell.opening if isinstance(self._shell, SshTransport) else b""
