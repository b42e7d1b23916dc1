"""A run folder as reports read it: small files at once, the results as a stream.

Everything in it that came from a target or an inventory is hostile text; `reports.escape` makes it safe to show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from pydantic_core import from_json

from scanner import InputError

#: Worst first; the place in this tuple is the number a state has in the HTML report.
STATES: Final = ("fail", "error", "unknown", "notchecked", "pass", "notapplicable")
#: States that need no person's attention.
QUIET: Final = frozenset({"pass", "notapplicable"})
LANGUAGES: Final = ("nl", "en")
SEVERITIES: Final = ("critical", "high", "medium", "low", "info")

#: Days within which something that ends calls for attention.
SOON: Final = 30

Record = dict[str, Any]
T = TypeVar("T")


class Head(NamedTuple):
    """What a finding is known by, beside its target."""

    check: str
    subject: str
    status: str
    severity: str


#: Distinct heads that are remembered; there are as many as checks times states, unless subjects differ everywhere.
_REMEMBERED: Final = 50_000


@dataclass
class RunFolder:
    """One finished run.

    ``unreadable`` counts the lines of results.jsonl that could not be read, the last time they were read through.
    """

    path: Path
    run: Record
    checks: dict[str, Record]
    assessment: Record
    unreadable: int = field(default=0, init=False)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Read all but the results. Raises InputError when the folder does not hold a run."""
        checks = cast("list[Record]", _load(path / "checks.json"))
        return cls(
            path,
            cast("Record", _load(path / "run.json")),
            {check["id"]: check for check in checks},
            cast("Record", _load(path / "assessment.json")),
        )

    def findings(self, understand: Callable[[Head], T]) -> Iterator[tuple[str, T, bytes]]:
        """Of every finding its target, what ``understand`` makes of its head, and its whole line for `parse`.

        Lines differ most in what was observed. So a head is parsed and understood once, and recognised by its bytes
        from then on: six times faster than parsing every line. Lines of another writer are parsed one by one; the
        outcome is equal. A damaged line, or one of which ``understand`` raises ValueError, is counted as unreadable.
        """
        self.unreadable = 0
        known: dict[bytes, T] = {}
        target, start, cut = "", b"\n", 0
        with (self.path / "results.jsonl").open("rb") as lines:
            for line in lines:
                if line.startswith(start) and line.endswith(b"}\n"):
                    meaning = known.get(line[cut : line.find(_AFTER_HEAD, cut)])
                    if meaning is not None:
                        yield target, meaning, line
                        continue
                try:
                    record = parse(line)
                    target, head = record["target"], Head(*(record[name] for name in Head._fields))
                    meaning = understand(head)
                except (ValueError, KeyError, TypeError):
                    self.unreadable += 1
                    start = b"\n"
                    continue
                start = _start(record)
                cut = len(start)
                if line.startswith(start) and len(known) < _REMEMBERED:
                    key = line[cut : line.find(_AFTER_HEAD, cut)]
                    if _is_head(key, head):
                        known[key] = meaning
                yield target, meaning, line


def days_left(ends: str, started: str) -> int:
    """Whole days between the start of a run and a moment (both as in the files of a run); negative when it was past."""
    return (datetime.fromisoformat(ends) - datetime.fromisoformat(started)).days


def parse(line: bytes) -> Record:
    """The finding of a line, or the content of a small file. Raises ValueError when it is damaged."""
    try:
        return cast("Record", from_json(line, cache_strings="keys"))
    except ValueError:  # half a surrogate pair: allowed by JSON, refused by from_json
        return cast("Record", json.loads(line))


_AFTER_HEAD: Final = b',"principles":'


def _start(record: Record) -> bytes:
    """How a line of this run and target starts when the engine writes it."""
    known = json.dumps({"run": record.get("run"), "target": record["target"]}, separators=(",", ":"))
    return f"{known[:-1]},".encode()


def _is_head(key: bytes, head: Head) -> bool:
    """Whether these bytes alone say everything of the head."""
    try:
        return parse(b"{%s}" % key).items() >= head._asdict().items()
    except ValueError:
        return False


def _load(path: Path) -> object:
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{path.name} is not there", file=str(path.parent), remedy="give the folder of a finished run"
        ) from None
    except ValueError as error:
        raise InputError(f"{path.name} is damaged: {error}", file=str(path.parent)) from None
