"""Why a verdict is what it is: from check to source, and with a run from raw bytes to verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from scanner.declare import Check, Kind, Registry
from scanner.evaluate import Facts, Item, Known, scan_time
from scanner.evidence import Store
from scanner.model import InputError, Raw, Target
from scanner.plan import steps
from scanner.run import read_run
from scanner.sources import Shell
from scanner.transcript import Exchange, exchanges

#: Lines that are shown of a raw answer, of a conversation, and of what was understood; and characters of each.
EXCERPT: Final = 12
WIDTH: Final = 600


def check_paragraphs(
    check: Check, registry: Registry, controls: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """(heading, text) pairs that tell what the check is, asks and expects."""
    yield "", check.title
    yield "why", check.why
    per = "one finding per group of hosts" if check.is_fleet else "one finding per host"
    for ask in check.asks:
        if ask.fact is not None and registry.fans_out(ask):
            per = f"one finding per {ask.fact.__name__}"
    yield "judges", f"{', '.join(_asked(check))}: {per}"
    yield "principle", f"{', '.join(check.principles)}; layer {check.layer}; severity {check.severity}"
    for tunable in check.tunables:
        yield "setting", f"{tunable.name} = {tunable.default!r}: {tunable.description}"
    yield "fix", check.fix + (f"\n{check.advice}" if check.advice else "")
    yield "verify", check.verify
    for norm, links in controls.items():
        yield norm, ", ".join(f"{link['relation']} {link['control']}" for link in links)
    yield "references", "; ".join(check.references)


def _asked(check: Check) -> list[str]:
    names = []
    for ask in check.asks:
        if ask.fact is not None:
            name = ask.fact.__name__
            names.append(f"{name} of every host" if ask.kind is Kind.FLEET else name)
        else:
            names.append(ask.kind.name.lower())
    return names


def sources_of(check: Check, registry: Registry, target: Target) -> list[str]:
    """What is asked of a target for this check, as far as known beforehand."""
    facts = Facts(target, {}, registry, scan_time(0))
    return [
        f"{step.source.describe()}"
        + ("  (as root)" if isinstance(step.source, Shell) and step.source.root else "")
        for step in steps(check, facts)
    ]


def evidence_paragraphs(
    check: Check, registry: Registry, run: Path, target_name: str
) -> Iterator[tuple[str, str]]:
    """(heading, text) pairs from raw bytes to verdict for one target of a finished run. Raises InputError."""
    _, targets, _ = read_run(run)
    target = next((one for one in targets if one.name == target_name), None)
    if target is None:
        raise InputError(
            f"the run {run.name} has no target {target_name!r}",
            remedy=f"It has: {', '.join(one.name for one in targets[:20])}.",
        )
    manifest = Store(run).manifest(target.name)
    if manifest.gap is not None:
        yield "target", f"not reached: {manifest.gap.cause}: {manifest.gap.detail}"
    facts = Facts(target, manifest.answers, registry, scan_time(manifest.started))
    for step in steps(check, facts):
        raw, gap, evidence = facts.answer(step.source)
        yield "source", step.source.describe()
        if gap is not None:
            yield "answer", f"{gap.state}" + (f" ({gap.cause})" if gap.cause else "") + f": {gap.detail}"
        yield "raw", _excerpt(_lines(raw))
        yield "evidence", "\n".join(f"evidence/{name[:2]}/{name}.zst" for name in evidence)
    for ask in check.asks:
        if ask.fact is not None and ask.kind in (Kind.FACT, Kind.ALL):
            known = facts.fact(ask.fact, ask.argument)
            yield "fact", _shown(known)
    for finding in findings_of(run, check.id, target.name):
        subject = f" {finding['subject']}" if finding["subject"] else ""
        yield (
            "verdict",
            f"{finding['status']}{subject}: {finding['observed']}"
            + (f" (expected: {finding['expected']})" if finding["expected"] else ""),
        )


def _shown(known: Known) -> str:
    """A fact, or the many of one kind, or the gap in its place."""
    if known.gap is not None:
        return known.gap.detail
    if not isinstance(known.value, list):
        return _excerpt([repr(known.value)])
    values = [
        item.gap.detail if item.gap else repr(item.value) for item in known.value if isinstance(item, Item)
    ]
    return _excerpt(values or [repr(value) for value in known.value])


def _lines(raw: Raw) -> list[str]:
    """An answer line by line; of a conversation who said what, for its base64 means nothing to a reader."""
    with suppress(ValueError):
        return [line for exchange in exchanges(raw) for line in _told(exchange)]
    return raw.out.decode(errors="replace").split("\n")


def _told(exchange: Exchange) -> Iterator[str]:
    """How it went in one line, and what was said in so far as it can be read."""
    what = ", ".join(part for part in (exchange.to, exchange.note) if part)
    size = f"{len(exchange.sent)} bytes sent, {len(exchange.received)} received"
    yield f"{exchange.ask}: {size}, {exchange.end}" + (f" ({what})" if what else "")
    for turn in exchange.turns:
        yield from (f"> {line}" for line in _readable(turn.sent))
        yield from (f"< {line}" for line in _readable(turn.received))


def _readable(data: bytes) -> list[str]:
    """Its lines; none when it is no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return []
    return text.splitlines() if all(char.isprintable() or char in "\r\n\t" for char in text) else []


def _excerpt(lines: Sequence[str]) -> str:
    """The first of them, none too long, and how much is left out."""
    shown = [
        line if len(line) <= WIDTH else f"{line[:WIDTH]}… {len(line) - WIDTH} characters more"
        for line in lines[:EXCERPT]
    ]
    return "\n".join([*shown, *([f"… {len(lines) - EXCERPT} more"] if len(lines) > EXCERPT else [])])


def findings_of(run: Path, check: str, target: str) -> Iterator[dict[str, Any]]:
    """The findings of one check on one target (or the fleet) as kept in results.jsonl."""
    mark = f'"check":{json.dumps(check)},'.encode()
    with (run / "results.jsonl").open("rb") as results:
        for line in results:
            if mark in line:
                finding = json.loads(line)
                if finding["target"] in (target, "*"):
                    yield finding
