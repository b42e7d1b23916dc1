"""All findings of a run as columns: small enough to embed, quick to filter in a browser, no object per row here.

One pass over results.jsonl gives the columns, the counts, and of each failed check the first few findings in full.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from struct import pack
from typing import Final

from reports.escape import shown
from reports.runfolder import LANGUAGES, QUIET, SEVERITIES, STATES, Head, Record, RunFolder, parse
from scanner import visible

#: Up to this many findings every observation and digest is embedded; above it only those of findings to act on.
FULL_ROWS: Final = 20_000
#: Characters of observations that are embedded at most; beyond it the table refers to results.jsonl.
TEXT_BUDGET: Final = 8_000_000
#: Of gzip: the next one is twice as slow for a tenth less.
LEVEL: Final = 3
#: Findings kept in full per failed check, but for the digests after the first few.
EXAMPLES: Final = 10
DIGESTS: Final = 3

_OMITTED: Final = "\0"  # after it stands the whole length of a text that was cut; nothing for a text left out
_STATE_BITS: Final = 3
_STATE_MASK: Final = 7

#: The columns in the order in which they are packed.
COLUMNS: Final = ("code", "target", "since", "subject", "named", "observed", "expected", "evidence")

Column = array  # of unsigned 32-bit numbers


def _column() -> Column[int]:
    return array("I")


@dataclass
class Failed:
    """What one failed check found: on which targets, and the first findings in full."""

    targets: set[int] = field(default_factory=set)
    findings: list[Record] = field(default_factory=list)
    count: int = 0


@dataclass
class Columns:
    """The findings of a run as numbers.

    ``code`` has one for each finding: its place in ``kinds`` (check and severity) and, in the last three bits, its
    state. The other columns say only what they must: ``target`` who comes next and ``since`` from which finding on;
    ``subject`` that of finding ``named``, where there is one; ``observed`` and ``expected`` go with the findings that
    carry details, which is all of them when ``full``, otherwise those that are not quiet; ``evidence`` only when
    ``full``.
    """

    full: bool
    targets: dict[str, int] = field(default_factory=dict)
    kinds: dict[tuple[str, str], int] = field(default_factory=dict)
    subjects: dict[str, int] = field(default_factory=lambda: {"": 0})
    texts: list[str] = field(default_factory=lambda: [_OMITTED, ""])
    failed: dict[tuple[str, str], Failed] = field(default_factory=dict)
    code: Column[int] = field(default_factory=_column)
    target: Column[int] = field(default_factory=_column)
    since: Column[int] = field(default_factory=_column)
    subject: Column[int] = field(default_factory=_column)
    named: Column[int] = field(default_factory=_column)
    observed: Column[int] = field(default_factory=_column)
    expected: Column[int] = field(default_factory=_column)
    evidence: Column[int] = field(default_factory=_column)

    def counts(self) -> dict[tuple[str, str], Counter[str]]:
        """Per check and severity how many findings have which state."""
        found: dict[tuple[str, str], Counter[str]] = {}
        kinds = list(self.kinds)
        for code, number in Counter(self.code).items():
            found.setdefault(kinds[code >> _STATE_BITS], Counter())[STATES[code & _STATE_MASK]] += number
        return found

    def packed(self, checks: dict[str, Record]) -> str:
        """All of it for the browser: base64 of gzip of a JSON head and the columns as little-endian 32-bit numbers."""
        kinds = []
        for check, severity in self.kinds:
            record = checks.get(check, {})
            titles = (visible(record.get(f"title_{language}", "")) for language in LANGUAGES)
            kinds.append((visible(check), severity, *titles))
        columns = [getattr(self, name) for name in COLUMNS]
        head = {
            "full": self.full,
            "columns": {name: len(column) for name, column in zip(COLUMNS, columns, strict=True)},
            "targets": [visible(name) for name in self.targets],
            "kinds": kinds,
            "subjects": [visible(name) for name in self.subjects],
            "texts": self.texts,
        }
        encoded = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % 4)
        packer = zlib.compressobj(LEVEL, wbits=31)
        parts = [pack("<I", len(encoded)) + encoded, *map(_little_endian, columns)]
        return b64encode(b"".join(map(packer.compress, parts)) + packer.flush()).decode()


class _Details:
    """Numbers for what was observed and expected; equal bytes are understood once, and kept within the budget."""

    def __init__(self, texts: list[str]) -> None:
        self.texts, self.left = texts, TEXT_BUDGET
        self.numbers: dict[str, int] = {"": 1}
        self.known: dict[bytes, tuple[int, int]] = {}

    def read(self, line: bytes) -> tuple[int, int]:
        """The numbers of what was observed and expected in a line of results.jsonl."""
        start = line.find(b'"observed":')
        key = line[start : line.find(b',"evidence":', start)]
        pair = self.known.get(key)
        if pair is None:
            record = parse(line)
            observed, expected = record["observed"], record["expected"]
            pair = self.number(observed), self.number(expected)
            if self.left > 0 and _parsed(key) == {"observed": observed, "expected": expected}:
                self.known[key] = pair
        return pair

    def number(self, text: str) -> int:
        """The number of a text, which is made safe to show."""
        number = self.numbers.get(text)
        if number is None:
            safe, cut = shown(text)
            self.left -= len(safe)
            if self.left < 0:
                return 0
            number = len(self.texts)
            self.texts.append(f"{safe}{_OMITTED}{cut}" if cut else safe)
            if not cut:
                self.numbers[text] = number
        return number


def _parsed(key: bytes) -> Record:
    try:
        return parse(b"{%s}" % key)
    except ValueError:
        return {}


def read(run: RunFolder) -> Columns:
    """Read all findings of a run."""
    full = sum(run.run["counts"].values()) <= FULL_ROWS
    columns = Columns(full)
    details = _Details(columns.texts)
    add_code, last, place = columns.code.append, "", -1
    for target, meaning, line in run.findings(partial(_understand, columns)):
        code, subject, detailed, failed = meaning
        if target != last or place < 0:
            last, place = target, columns.targets.setdefault(target, len(columns.targets))
            columns.target.append(place)
            columns.since.append(len(columns.code))
        if subject:
            columns.subject.append(subject)
            columns.named.append(len(columns.code))
        add_code(code)
        if detailed:
            observed, expected = details.read(line)
            columns.observed.append(observed)
            columns.expected.append(expected)
            if full:
                digests = parse(line)["evidence"][:4]
                columns.evidence.append(details.number(" ".join(digest[:12] for digest in digests)))
            if failed is not None:
                failed.count += 1
                failed.targets.add(place)
                if len(failed.findings) < EXAMPLES:
                    finding = parse(line)
                    failed.findings.append({**finding, "evidence": finding["evidence"][:DIGESTS]})
    return columns


def _understand(columns: Columns, head: Head) -> tuple[int, int, bool, Failed | None]:
    """The code and subject of a finding, whether it carries details, and what to add it to when it failed."""
    state, severity = STATES.index(head.status), SEVERITIES[SEVERITIES.index(head.severity)]
    kind = columns.kinds.setdefault((head.check, severity), len(columns.kinds))
    return (
        kind << _STATE_BITS | state,
        columns.subjects.setdefault(head.subject, len(columns.subjects)),
        columns.full or head.status not in QUIET,
        columns.failed.setdefault((head.check, severity), Failed()) if head.status == "fail" else None,
    )


def _little_endian(column: Column[int]) -> bytes:
    if sys.byteorder == "big":
        column = array("I", column)
        column.byteswap()
    return column.tobytes()
