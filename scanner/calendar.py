"""What ends and when, of all targets: who must renew what. Pure: made from the evidence, in a replay the same again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypedDict

from scanner.declare import Dated, Registry
from scanner.evaluate import NOT_COLLECTED, Facts, Item, located
from scanner.model import Renewal, State, Target

#: Names kept of one certificate.
NAMES: Final = 20


class Place(TypedDict):
    """Where something that ends was seen: a port or a file of a target."""

    target: str
    place: str


class Entry(TypedDict):
    """Something that ends, wherever it was seen; ``how`` as in `Renewal`."""

    sha256: str
    names: list[str]
    issuer: str
    ends: str
    how: str
    owners: list[str]
    seen: list[Place]


class CalendarData(TypedDict):
    """What ends, soonest first, and the targets of which it could not all be seen."""

    entries: list[Entry]
    unseen: list[str]


class Calendar:
    """Collects what ends, target after target."""

    def __init__(self, registry: Registry) -> None:
        self._dated = registry.calendar
        self._seen: dict[str, list[tuple[Target, Renewal]]] = {}
        self._unseen: dict[str, None] = {}

    def add(self, target: Target, facts: Facts) -> None:
        """All that ends on one target, as far as this run has looked at it."""
        for dated in self._dated:
            known = facts.fact(dated.fact)
            items = known.value if known.gap is None else [Item(None, known.gap, "", ())]
            for item in items if isinstance(items, list) else [Item(items, None, "", ())]:
                if item.gap is None:
                    self._note(target, dated, item)
                elif item.gap.state is not State.NOTAPPLICABLE and item.gap != NOT_COLLECTED:
                    self._unseen[target.name] = None

    def _note(self, target: Target, dated: Dated, item: Item) -> None:
        try:
            for renewal in dated.function(item.value):
                there = renewal._replace(place=located(renewal.place, item.at))
                self._seen.setdefault(renewal.sha256, []).append((target, there))
        except Exception:
            # Of a fact that was seen not all dates can be read: that is not all there is to see.
            self._unseen[target.name] = None

    def data(self) -> CalendarData:
        """The calendar as it is written to assessment.json."""
        entries = [_entry(sha256, seen) for sha256, seen in self._seen.items()]
        entries.sort(key=lambda entry: (entry["ends"], entry["sha256"]))
        return {"entries": entries, "unseen": list(self._unseen)}


def _entry(sha256: str, seen: list[tuple[Target, Renewal]]) -> Entry:
    first = seen[0][1]
    ways = {renewal.how for _, renewal in seen}
    return {
        "sha256": sha256,
        "names": list(first.names[:NAMES]),
        "issuer": first.issuer,
        "ends": datetime.fromtimestamp(first.ends, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        # The place of a file tells more of how it is renewed than the certificate itself.
        "how": "acme" if "acme" in ways else first.how,
        "owners": list(dict.fromkeys(target.owner for target, _ in seen if target.owner)),
        "seen": [{"target": target.name, "place": renewal.place} for target, renewal in seen],
    }
