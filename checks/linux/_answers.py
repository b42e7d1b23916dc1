"""What probes of several topics share in reading an answer."""

from __future__ import annotations

from typing import Final

from scanner import NotUnderstood, Raw

# The channel keeps no more of standard error; the line that matters may be behind it.
ERRORS_KEPT: Final = 65536
_MISSING: Final = "No such file or directory"
# Said on every command of a host that cannot resolve its own name; the command runs all the same.
_ASIDE: Final = "sudo: unable to resolve host "


def complaints(raw: Raw) -> list[str]:
    """The lines of standard error that are about the question; what sudo says of the host's own name is not.

    Raises NotUnderstood when there may have been more lines than came along.
    """
    if len(raw.err) >= ERRORS_KEPT:
        raise NotUnderstood("more was said on standard error than is kept: not all of it could be read")
    return [line for line in raw.err.decode().split("\n") if line and not line.startswith(_ASIDE)]


def only_missing(raw: Raw) -> list[str]:
    """The lines of standard error, when each says that something asked for is not there.

    For commands that are asked for several things at once and go on when one of them is missing. Any other
    complaint means that not everything was seen: raises NotUnderstood with that line.
    """
    said = complaints(raw)
    for line in said:
        if not line.endswith(_MISSING):
            raise NotUnderstood(f"not all could be seen: {line[:200]}")
    return said


def named(items: list[str], most: int = 10) -> str:
    """The offending items in a line: the first ten and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")
