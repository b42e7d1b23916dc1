"""What the Dutch government's TLS guidelines say of each version, suite, group, key and setting.

The tables are ncsc_tls.csv beside this file: "ICT-beveiligingsrichtlijnen voor Transport Layer Security" of NCSC-NL,
version 2025-05, and 2.1 of 2021-01-19, which it replaces. The values are those that the government's own test applies
(Internet.nl, commits cec0e01 of 2026-07-14 and 53d0ad2 of 2026-03-10: checks/tasks/tls/tls_constants.py and
evaluation.py). Bulk encryption by itself is inferred from the table of suites and carries confidence medium.
"""

from __future__ import annotations

import csv
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

Guideline: TypeAlias = Annotated[
    Literal["2025-05", "2.1"], "version of the NCSC-NL TLS guidelines to judge by"
]
CURRENT: Final = "2025-05"
TITLE: Final = "NCSC-NL, ICT-beveiligingsrichtlijnen voor TLS, version 2025-05"


class Level(StrEnum):
    """The guidelines' own four words, best first."""

    GOOD = "good"
    SUFFICIENT = "sufficient"
    PHASE_OUT = "phase_out"
    INSUFFICIENT = "insufficient"

    @property
    def shown(self) -> str:
        """The Dutch word, as it stands in the guidelines."""
        return _DUTCH[self]

    def at_least(self, other: Level) -> bool:
        """Whether this is as good as the other."""
        order = list(Level)
        return order.index(self) <= order.index(other)


_DUTCH: Final = {
    Level.GOOD: "Goed",
    Level.SUFFICIENT: "Voldoende",
    Level.PHASE_OUT: "Uit te faseren",
    Level.INSUFFICIENT: "Onvoldoende",
}


class Judged(NamedTuple):
    """One thing and its level, with the place in the guidelines that says so."""

    item: str
    level: Level
    reference: str

    def __str__(self) -> str:
        return f"{self.item}: {self.level.shown} ({self.reference})"


def judged(guideline: str, about: str, item: str) -> Judged:
    """What a version of the guidelines says of an item, such as ("2025-05", "group", "x25519").

    What they do not list is insufficient: that is their own rule.
    """
    level, reference = _table().get(
        (guideline, about, item.lower()), (Level.INSUFFICIENT, f"{about} not listed")
    )
    return Judged(item, level, f"NCSC-NL TLS {guideline}, {reference}")


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, str, str], tuple[Level, str]]:
    text = files(__package__).joinpath("ncsc_tls.csv").read_text()
    return {
        (row["guideline"], row["about"], row["item"].lower()): (Level(row["level"]), row["reference"])
        for row in csv.DictReader(text.splitlines())
    }
