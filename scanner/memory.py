"""What equal evidence gave before: probes and checks are pure, so what is known of one host need not be found out again
for its likes. Bounded by count and by size; what was asked for longest ago goes first.

A key holds all that the answer depends on, itself and not a digest of it, so that hosts cannot be mixed up.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from scanner.sources import MEBIBYTE

#: Answers that are kept at most, and the bytes of evidence and text in them and in their keys.
COUNT: Final = 4096
SIZE: Final = MEBIBYTE // 2


class Memory:
    """Key -> what was found; not for many threads."""

    def __init__(self, count: int = COUNT, size: int = SIZE) -> None:
        self._count, self._size = count, size
        self._found: dict[Hashable, tuple[Any, int]] = {}
        self._held = 0

    def get(self, key: Hashable) -> Any:
        """What was found before for an equal key, or None."""
        entry = self._found.pop(key, None)
        if entry is None:
            return None
        self._found[key] = entry  # asked for last
        return entry[0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep this. What is too large to be kept among others is not."""
        if size > self._size // 4:
            return
        self._found[key] = (value, size)
        self._held += size
        while self._held > self._size or len(self._found) > self._count:
            self._held -= self._found.pop(next(iter(self._found)))[1]
