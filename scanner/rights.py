"""What an account needs for the selected checks, and nothing more: derived from the plan, never written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from scanner.evaluate import Facts, scan_time
from scanner.model import Target
from scanner.scope import Scope
from scanner.sources import Dialogue, EapTls, Ports, Shell, Source, root_command

# sudoers(5) reads a command's arguments twice: first its own special characters, then as a shell pattern. So a
# backslash is written four times, and what a pattern gives a meaning once.
_ESCAPES: Final = {"\\": r"\\\\", **{letter: f"\\{letter}" for letter in ",:=#*?[] "}}


def sudoers(user: str, sources: Iterable[Source]) -> str:
    """A sudoers file that allows ``user`` exactly the root commands among these sources, and nothing else.

    The search path is fixed, so that no program of the account's own can take the place of a system program.
    """
    commands = sorted(
        {root_command(source) for source in sources if isinstance(source, Shell) and source.root}
    )
    lines = [
        "# Exactly what the selected checks need. Check with: visudo -cf FILE; install as",
        "# /etc/sudoers.d/keurmeester, owner root, mode 0440.",
        f'Defaults:{user} secure_path="/usr/sbin:/usr/bin:/sbin:/bin", !requiretty',
    ]
    lines += [f"{user} ALL=(root) NOPASSWD: {_escaped(command)}" for command in commands]
    return "\n".join(lines) + "\n"


def _escaped(words: tuple[str, ...]) -> str:
    program, *arguments = words
    literal = ("".join(_ESCAPES.get(letter, letter) for letter in word) for word in arguments)
    return " ".join(["/usr/bin/" + program, *literal])


def openings(scope: Scope) -> list[str]:
    """The connections the scanner itself makes, a line per zone and reason, for whoever owns the firewalls.

    TLS and other conversations beyond the declared ports are held only where a port turns out to be open. Where it is
    tried what answers, nothing needs to be opened, and should not be: what is closed must be seen to be closed.
    """
    needed: dict[tuple[str, str], list[str]] = {}
    tried: dict[tuple[str, str], list[str]] = {}
    for target in scope.targets:
        at = [target.address, *target.addresses]
        if target.channel == "ssh" and not target.jump and _has_shell(scope, target):
            needed.setdefault((target.zone, f"{target.port}/tcp (SSH)"), []).append(target.address)
        for service in target.services or ():
            if service.tls and not target.is_out_of_sight:
                needed.setdefault((target.zone, f"{service.key} (TLS)"), []).append(target.address)
        for port in sorted({one.port for one in _first(scope, target) if isinstance(one, EapTls)}):
            needed.setdefault((target.zone, f"{port}/udp (RADIUS)"), []).append(target.address)
        for ports, why in _tried(scope, target):
            tried.setdefault((target.zone, f"{ports} ({why})"), []).extend(at)
    return [
        *(
            f"zone {zone}: scanner -> {what} of {', '.join(at)}"
            for (zone, what), at in sorted(needed.items())
        ),
        *(
            f"zone {zone}: scanner tries {what} of {', '.join(at)}; open nothing for it, tell who watches the network"
            for (zone, what), at in sorted(tried.items())
        ),
    ]


def _first(scope: Scope, target: Target) -> tuple[Source, ...]:
    return scope.plan.first(target, Facts(target, {}, scope.loaded.registry, scan_time(0)))


def _has_shell(scope: Scope, target: Target) -> bool:
    return any(isinstance(source, Shell) for source in _first(scope, target))


def _tried(scope: Scope, target: Target) -> Iterator[tuple[str, str]]:
    """The TCP and the UDP ports that are tried on a target from outside, as ranges, and why."""
    datagrams: set[int] = set()
    connections: set[int] = set()
    for source in _first(scope, target):
        if isinstance(source, Ports):
            yield f"{_ranges(source.numbers)}/tcp", "what answers"
        elif isinstance(source, Dialogue):
            (datagrams if source.protocol == "udp" else connections).add(source.port)
    if connections:
        yield f"{_ranges(connections)}/tcp", "a question each"
    if datagrams:
        yield f"{_ranges(datagrams)}/udp", "a question each"


def _ranges(numbers: Iterable[int]) -> str:
    """``21-23,80``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)
