"""What an account needs for the selected checks, and nothing more: derived from the plan, never written by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from scanner.scope import Scope
from scanner.sources import Shell, Source, root_command

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
    """The connections the scanner itself makes, one line per zone and port, for whoever owns the firewalls.

    TLS ports beyond the declared ones are looked at only where the host says that they listen.
    """
    found: dict[tuple[str, int, str], list[str]] = {}
    for target in scope.targets:
        if target.channel == "ssh" and not target.jump:
            found.setdefault((target.zone, target.port, "SSH"), []).append(target.address)
        for service in target.services or ():
            if service.tls:
                found.setdefault((target.zone, service.port, "TLS"), []).append(target.address)
    return [
        f"zone {zone}: scanner -> {port}/tcp ({why}) of {', '.join(addresses)}"
        for (zone, port, why), addresses in sorted(found.items())
    ]
