"""The short answer on the terminal: how each principle stands, what to fix first, what could not be seen.

Every state has a word and a sign of its own, so it reads without colour; the colours differ for the colour-blind too.
Text of targets is shown as text: no escape sequence, no markup and no bidi control of theirs reaches the terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.escape import shown
from reports.runfolder import SEVERITIES, SOON, STATES, Record, RunFolder, days_left, parse
from scanner import visible

Language = Literal["nl", "en"]

#: Failed checks that are shown, the gravest first.
WORST: Final = 5
#: Columns of the table where there is no terminal that limits them.
PIPE_WIDTH: Final = 160
#: Causes for which something could not be established that are shown, the largest first.
CAUSES: Final = 4

# Okabe and Ito's palette: told apart with any common colour blindness, on black and on white.
_STYLE: Final = {
    "fail": "bold rgb(213,94,0)", "error": "rgb(200,140,0)", "unknown": "rgb(204,121,167)",
    "notchecked": "rgb(86,160,220)", "pass": "rgb(0,158,115)", "notapplicable": "dim",
}  # fmt: skip
_SIGN: Final = {
    "fail": "✗",
    "error": "!",
    "unknown": "?",
    "notchecked": "…",
    "pass": "✓",
    "notapplicable": "–",
}
_QUIET: Final = "dim"

_WORDS: Final[dict[Language, dict[str, str]]] = {
    "nl": {
        "fail": "voldoet niet", "error": "niet vastgesteld", "unknown": "niet begrepen", "notchecked": "niet gemeten",
        "pass": "voldoet", "notapplicable": "n.v.t.",
        "critical": "kritiek", "high": "hoog", "medium": "midden", "low": "laag", "info": "info",
        "principle": "Principe", "verdict": "Oordeel", "coverage": "Dekking",
        "fix first": "Eerst herstellen", "systems": "systemen", "fleet": "alle systemen samen",
        "of": "van", "more": "en nog {n} andere controles die niet voldoen; zie het rapport",
        "ends": "certificaat verloopt binnen 30 dagen:",
        "end": "certificaten verlopen binnen 30 dagen; het eerst",
        "gaps": "Niet vastgesteld", "one": "oordeel ", "many": "oordelen", "on": "op", "and": "en nog",
        "report": "Rapport", "folder": "Map", "exit": "Exitcode",
        "reached": "{reached} van {planned} systemen bereikt, {established} van {applicable} oordelen vastgesteld",
        "partial": "De meting is afgebroken: dit is niet alles.",
        "none": "Geen afwijkingen in wat is gemeten.",
        "0": "alles wat is gemeten voldoet", "1": "er zijn afwijkingen", "2": "niet alles kon worden vastgesteld",
        "unreadable": "regels van results.jsonl die niet te lezen zijn: {n}",
        "legend": "✓ voldoet   ✗ voldoet niet   ! niet vastgesteld   van wat van toepassing is",
    },
    "en": {
        "fail": "does not conform", "error": "not established", "unknown": "not understood",
        "notchecked": "not measured", "pass": "conforms", "notapplicable": "n/a",
        "critical": "critical", "high": "high", "medium": "medium", "low": "low", "info": "info",
        "principle": "Principle", "verdict": "Verdict", "coverage": "Coverage",
        "fix first": "Fix first", "systems": "systems", "fleet": "all systems together",
        "of": "of", "more": "and {n} more checks that do not conform; see the report",
        "ends": "certificate ends within 30 days:",
        "end": "certificates end within 30 days; first",
        "gaps": "Not established", "one": "finding ", "many": "findings", "on": "on", "and": "and",
        "report": "Report", "folder": "Folder", "exit": "Exit code",
        "reached": "{reached} of {planned} systems reached, {established} of {applicable} findings established",
        "partial": "The run was cut short: this is not all.",
        "none": "No deviations in what was measured.",
        "0": "all that was measured conforms", "1": "there are deviations", "2": "not everything could be established",
        "unreadable": "lines of results.jsonl that cannot be read: {n}",
        "legend": "✓ conforms   ✗ does not conform   ! not established   of what applies",
    },
}  # fmt: skip
_CAUSES: Final[dict[Language, dict[str, str]]] = {
    "nl": {
        "dns": "naam niet gevonden", "route": "geen route", "refused": "verbinding geweigerd",
        "timeout": "geen antwoord op tijd", "reset": "verbinding afgebroken", "tls": "TLS-verbinding mislukt",
        "hostkey": "hostsleutel onbekend of anders", "auth": "inloggen geweigerd",
        "privilege": "onvoldoende rechten: zie keurmeester rights", "tool-missing": "hulpmiddel ontbreekt",
        "truncated": "antwoord afgekapt", "parse": "antwoord niet begrepen", "policy": "niet toegestaan door beleid",
        "internal": "fout in de scanner", "notchecked": "handmatig te beoordelen", "": "oorzaak niet vermeld",
    },
    "en": {
        "dns": "name not found", "route": "no route", "refused": "connection refused",
        "timeout": "no answer in time", "reset": "connection cut", "tls": "TLS connection failed",
        "hostkey": "host key unknown or changed", "auth": "login refused",
        "privilege": "not enough rights: see keurmeester rights", "tool-missing": "tool missing",
        "truncated": "answer cut off", "parse": "answer not understood", "policy": "not allowed by policy",
        "internal": "fault in the scanner", "notchecked": "to be judged by hand", "": "cause not given",
    },
}  # fmt: skip


class _Failed:
    """One failed check: where, and the first of its findings."""

    def __init__(self, first: Record) -> None:
        self.first = first
        self.targets: set[str] = set()


def write(run: Path, *, lang: Language = "nl", console: Console | None = None) -> None:
    """Print the summary of a run folder. Raises InputError when the folder holds no run."""
    folder = RunFolder.open(run)
    console = console or Console(highlight=False)
    words, causes = _WORDS[lang], _CAUSES[lang]
    failed = _failed(folder)
    about = folder.run

    title = Text.assemble(("Keurmeester  ", "bold"), _title(about["profile"], lang))
    title.append(f" · {visible(about['run'])}", style=_QUIET)
    _line(console, title)
    reached = words["reached"].format(**about["targets"], **about["coverage"])
    console.print(Text(f"{reached} ({_share(about['coverage'])})"))
    if about["status"] == "partial":
        _line(console, Text(f"! {words['partial']}", style=_STYLE["error"]))
    if folder.unreadable:
        _line(console, Text("! " + words["unreadable"].format(n=folder.unreadable), style=_STYLE["error"]))

    console.print()
    _wide(console, _principles(folder.assessment["principles"], lang, words, _width(console)))
    _line(console, Text(words["legend"], style=_QUIET))
    _worst(console, folder, failed, lang, words)
    _gaps(console, folder, words, causes)
    _calendar(console, folder, words)

    code, wide = about["exit_code"], max(len(words[name]) for name in ("report", "folder", "exit")) + 1
    console.print()
    for name, value in (
        ("report", str(run / "report.html")),
        ("folder", str(run)),
        ("exit", f"{code}: {words.get(str(code), '')}"),
    ):
        line = Text.assemble((f"{words[name]:<{wide}}", _QUIET))
        line.append(visible(value))
        console.print(line, soft_wrap=True)


def _principles(principles: list[Record], lang: Language, words: Mapping[str, str], width: int) -> Table:
    table = Table(
        box=None,
        padding=(0, 2, 0, 0),
        collapse_padding=True,
        show_edge=False,
        pad_edge=False,
        header_style=_QUIET,
    )
    # Only the name of a principle gives way in a narrow terminal, never a number.
    digits = len(str(max((sum(principle["counts"].values()) for principle in principles), default=0)))
    verdict, share = max(len(words[state]) for state in STATES) + 2, len("100% /") + 2 * digits
    name = max(width - verdict - 3 * digits - share - 5 * 2, 12)
    table.add_column(words["principle"], no_wrap=True, overflow="ellipsis", max_width=name)
    table.add_column(words["verdict"], no_wrap=True, min_width=verdict)
    for state in ("pass", "fail", "error"):
        table.add_column(_SIGN[state], justify="right", no_wrap=True, min_width=digits)
    table.add_column(words["coverage"], no_wrap=True, min_width=share)
    for number, principle in enumerate(principles, 1):
        counts, state = principle["counts"], principle["state"]
        blind = sum(counts.get(name, 0) for name in ("error", "unknown", "notchecked"))
        applicable, established = principle["applicable"], principle["established"]
        table.add_row(
            Text(f"{number} {_title(principle, lang)}"),
            Text(f"{_SIGN[state]} {words[state]}", style=_STYLE[state]),
            _count(counts.get("pass", 0), _STYLE["pass"]),
            _count(counts.get("fail", 0), _STYLE["fail"]),
            _count(blind, _STYLE["error"]),
            Text(
                f"{_share(principle):>4} {established}/{applicable}",
                style="" if established == applicable else "bold",
            ),
        )
    return table


def _worst(
    console: Console, folder: RunFolder, failed: list[_Failed], lang: Language, words: Mapping[str, str]
) -> None:
    console.print()
    if not failed:
        _line(console, Text(f"{_SIGN['pass']} {words['none']}", style=_STYLE["pass"]))
        return
    _line(console, Text(words["fix first"], style="bold"))
    planned = folder.run["targets"]["planned"]
    for one in failed[:WORST]:
        check = folder.checks.get(one.first["check"], {})
        severity = one.first["severity"]
        line = Text.assemble((f"{_SIGN['fail']} {words.get(severity, severity):<9}", _STYLE["fail"]))
        line.append(_title(check, lang) or visible(one.first["check"]), style="bold")
        where = (
            words["fleet"]
            if one.targets == {"*"}
            else f"{len(one.targets)} {words['of']} {planned} {words['systems']}"
        )
        line.append(f" · {where}", style=_QUIET)
        _line(console, line)
        # A remark at the head stays: it is often the change itself ("# nginx: ssl_early_data off;").
        fix = [row for row in str(check.get("fix", "")).split("\n") if row.strip()]
        if fix:
            more = f"  (+{len(fix) - 1})" if len(fix) > 1 else ""
            command, cut = shown(fix[0])
            # Never cut to the width of the terminal: it is there to be copied.
            console.print(Text(f"  → {command}{'…' if cut else ''}{more}"), soft_wrap=True)
    if len(failed) > WORST:
        _line(console, Text("  " + words["more"].format(n=len(failed) - WORST), style=_QUIET))


def _gaps(console: Console, folder: RunFolder, words: Mapping[str, str], causes: Mapping[str, str]) -> None:
    merged: dict[tuple[str, str], tuple[int, dict[str, None]]] = {}
    for gap in folder.assessment["gaps"]:
        key = gap["status"], gap["cause"] or ""
        count, targets = merged.setdefault(key, (0, {}))
        targets.update(dict.fromkeys(gap["targets"]))
        merged[key] = count + gap["findings"], targets
    manual = folder.run["counts"].get("notchecked", 0)
    if manual:
        merged["notchecked", "notchecked"] = manual, {}
    if not merged:
        return
    console.print()
    _line(console, Text(words["gaps"], style="bold"))
    for (status, cause), (count, targets) in sorted(merged.items(), key=lambda item: -item[1][0])[:CAUSES]:
        line = Text.assemble((f"{_SIGN[status]} {count:>4} ", _STYLE[status]))
        line.append(f"{words['one' if count == 1 else 'many']} · {causes.get(cause, visible(cause))}")
        if targets:
            names = list(targets)
            line.append(f" {words['on']} {', '.join(visible(name) for name in names[:3])}", style=_QUIET)
            if len(names) > 3:
                line.append(f" {words['and']} {len(names) - 3}", style=_QUIET)
        _line(console, line)


def _calendar(console: Console, folder: RunFolder, words: Mapping[str, str]) -> None:
    """How much ends within `SOON` days, and what first; nothing when nothing does."""
    entries = folder.assessment.get("calendar", {"entries": []})["entries"]
    started = folder.run["started"]
    soon = [entry for entry in entries if days_left(entry["ends"], started) < SOON]
    if not soon:
        return
    first = soon[0]
    past = days_left(first["ends"], started) < 0
    line = Text.assemble((f"{_SIGN['error']} {len(soon):>4} ", _STYLE["fail" if past else "error"]))
    line.append(words["ends" if len(soon) == 1 else "end"])
    line.append(f" {', '.join(visible(name) for name in first['names'][:1])} ({first['ends'][:10]})")
    where = first["seen"][0]
    owner = "".join(f" · {visible(name)}" for name in first["owners"][:1])
    line.append(f" · {visible(where['target'])} {visible(where['place'])}{owner}", style=_QUIET)
    console.print()
    _line(console, line)


def _failed(folder: RunFolder) -> list[_Failed]:
    """The failed checks, gravest first, then those on most systems."""
    found: dict[tuple[str, str], _Failed] = {}
    for target, head, line in folder.findings(lambda head: head):
        if head.status != "fail":
            continue
        key = head.check, head.severity
        one = found.get(key)
        if one is None:
            one = found[key] = _Failed(parse(line))
        one.targets.add(target)

    def gravity(one: _Failed) -> tuple[int, int, str]:
        severity = one.first["severity"]
        return (
            SEVERITIES.index(severity) if severity in SEVERITIES else 9,
            -len(one.targets),
            one.first["check"],
        )

    return sorted(found.values(), key=gravity)


def _line(console: Console, text: Text) -> None:
    """One line of the terminal: what does not fit is cut, so that the summary stays short; nothing is cut in a pipe."""
    if console.is_terminal:
        console.print(text, no_wrap=True, overflow="ellipsis")
    else:
        console.print(text, soft_wrap=True)


def _width(console: Console) -> int:
    return console.width if console.is_terminal else PIPE_WIDTH


def _wide(console: Console, table: Table) -> None:
    """The table, in a pipe as wide as it likes."""
    before = console.width
    console.width = _width(console)
    console.print(table)
    console.width = before


def _title(record: Mapping[str, object], lang: Language) -> str:
    return textwrap.shorten(visible(str(record.get(f"title_{lang}", ""))), 120, placeholder="…")


def _share(coverage: Mapping[str, int]) -> str:
    if not coverage["applicable"]:
        return "–"
    return f"{coverage['established'] * 100 // coverage['applicable']}%"


def _count(number: int, style: str) -> Text:
    return Text(str(number), style=style if number else _QUIET)


assert set(_SIGN) == set(_STYLE) == set(STATES)
