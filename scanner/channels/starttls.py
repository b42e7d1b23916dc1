"""What is said before TLS: a small dialogue per protocol, up to the point where the hello may be sent.

A dialogue yields what to send (nothing: read on) and gets all that came back since the last thing sent. It returns when
TLS may begin, and raises NotOffered when the server does not offer it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, TypeAlias


class NotOffered(Exception):  # noqa: N818 -- an answer, not an error
    """The server does not offer TLS, or not in a way that is understood."""


Dialogue: TypeAlias = Generator[bytes, bytes, None]


def dialogue(name: str) -> Dialogue:
    """The dialogue of that name. Raises KeyError when there is none."""
    return DIALOGUES[name]()


DIALOGUES: Final[dict[str, Callable[[], Dialogue]]] = {}
