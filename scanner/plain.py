"""Text of a target is hostile: what cannot be seen is written out before it reaches a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text with every character that is not printable (control, escape, bidi) as ``⟦U+202E⟧``; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\n" else f"⟦U+{ord(letter):04X}⟧" for letter in text
    )
