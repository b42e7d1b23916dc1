"""Words for live flips: a real setting of a real host is changed, the verdict follows, and comes back.

A flip's `how` takes the host and is a context manager: changed within, exactly as before after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from scanner.model import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import Host
    from tests.lab.scan import Scanner

How = Callable[["Host"], AbstractContextManager[object]]


@dataclass(frozen=True)
class Flip:
    """One check, one change of one host, and the states it must go through.

    ``among`` are checks whose findings this check is made of.
    """

    check: str
    how: How
    host: str = "h-good"
    account: str = "audit"
    before: State = State.PASS
    during: State = State.FAIL
    name: str = ""
    among: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.check}{'-' if self.name else ''}{self.name}-on-{self.host}"

    def prove(self, scanner: Scanner, host: Host) -> None:
        """Look, change, look, undo, look."""
        assert self._seen(scanner, host) is self.before, scanner.why
        with self.how(host):
            assert self._seen(scanner, host) is self.during, scanner.why
        assert self._seen(scanner, host) is self.before, scanner.why

    def _seen(self, scanner: Scanner, host: Host) -> State:
        found = scanner.look(host, self.account, [self.check, *self.among])
        scanner.why = found.why(self.check)
        return found.state(self.check)


def change(path: str, content: str, **how: object) -> How:
    """The file holds this; made when it was not there."""
    return lambda host: host.changed(path, content, **how)  # type: ignore[arg-type]


def append(path: str, *lines: str, **how: object) -> How:
    """The file has these lines more."""

    def changed(host: Host) -> AbstractContextManager[object]:
        text = host.must(f"cat {path}") + "".join(f"{line}\n" for line in lines)
        return host.changed(path, text, **how)  # type: ignore[arg-type]

    return changed


def replace(path: str, pattern: str, by: str, **how: object) -> How:
    """The file with all matches of a pattern (per line) replaced. Raises AssertionError when nothing matches."""

    def changed(host: Host) -> AbstractContextManager[object]:
        before = host.must(f"cat {path}")
        after = re.sub(pattern, by, before, flags=re.MULTILINE)
        assert after != before, f"nothing in {path} matches {pattern!r}"
        return host.changed(path, after, **how)  # type: ignore[arg-type]

    return changed


def mode(path: str, bits: int) -> How:
    """The file or folder has this mode."""
    return lambda host: host.changed(path, mode=bits)


def owner(path: str, user: int, group: int) -> How:
    """The file or folder has this owner and group, by number."""
    return lambda host: host.changed(path, owner=(user, group))


def run(do: str, undo: str) -> How:
    """A command is done, and undone."""
    return lambda host: host.flipped(do, undo)


def sysctl(key: str, value: str) -> How:
    """The running kernel has this value."""
    return lambda host: host.sysctl(key, value)


def both(*parts: How) -> How:
    """Several changes at once."""

    @contextmanager
    def changed(host: Host) -> Iterator[None]:
        with ExitStack() as stack:
            for part in parts:
                stack.enter_context(part(host))
            yield

    return changed


#: Puts the packet filter back as it is configured.
LOAD_FIREWALL: Final = "nft -f /etc/nftables.conf"


def sshd(*lines: str) -> How:
    """These lines come before all others, and in sshd_config the first value wins."""
    return change("/etc/ssh/sshd_config.d/00-flip.conf", "".join(f"{line}\n" for line in lines))


def policy(chain: str, to: str) -> How:
    """What nftables does with a packet that no rule decides on."""
    return run(f"nft chain inet filter {chain} '{{ policy {to}; }}'", LOAD_FIREWALL)


def rule(text: str) -> How:
    """One rule more, before all others, in the running firewall."""
    return run(f"nft insert rule inet filter input {text}", LOAD_FIREWALL)


def listens(port: int) -> How:
    """A program takes connections on this port, on every address."""
    ready = f"until ss -Hltn sport = :{port} | grep -q .; do sleep 0.02; done"
    return run(
        f"systemd-run -q --unit=lab-{port} python3 -m http.server {port}; {ready}",
        f"systemctl stop lab-{port}",
    )
