"""Text of a target is hostile: what cannot be seen is written out before it reaches a terminal or a page."""

from __future__ import annotations

from typing import Final

_MARKS: Final = {"\n": " ⏎ ", "\t": " ⇥ "}


def visible(text: str) -> str:
    """The text with every character that cannot be seen (control, bidi, zero width) written as ``⟦U+202E⟧``."""
    return text if text.isprintable() else "".join(map(_mark, text))


def plain(text: str) -> str:
    """As `visible`, but lines stay lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _mark(character: str) -> str:
    if character.isprintable():
        return character
    return _MARKS.get(character) or f"⟦U+{ord(character):04X}⟧"
