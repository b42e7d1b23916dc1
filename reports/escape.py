"""Text of a target is hostile: make every character in it visible, and bound its length."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from scanner import visible

#: Characters of an observation that a report shows; the rest stays in results.jsonl.
SHOWN_LIMIT: Final = 500

_CODE: Final = re.compile(r"`([^`\n]+)`")


class Shown(NamedTuple):
    """Text that is safe to show; ``cut`` is how many characters the whole text has, 0 when this is all of it."""

    text: str
    cut: int = 0


def lines(text: str) -> Markup:
    """The text as HTML in which lines stay lines: for commands of several lines."""
    return Markup("\n").join(visible(line) for line in text.split("\n"))


def shown(text: str, limit: int = SHOWN_LIMIT) -> Shown:
    """The text made visible and cut after ``limit`` characters."""
    if len(text) <= limit:
        return Shown(visible(text))
    return Shown(visible(text[:limit]), len(text))


def code(text: str) -> Markup:
    """The text as HTML, with what stands between backquotes as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 -- escaped just before
