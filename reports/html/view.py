"""What the page shows, in the order it shows it: a run folder and its columns as plain values for the template."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from reports.escape import Shown, shown
from reports.html.columns import Columns, Failed
from reports.runfolder import LANGUAGES, SEVERITIES, SOON, STATES, Record, RunFolder, days_left
from scanner import visible

#: Above this many systems the picture shows roles, and the systems that are worst off.
MAX_SYSTEMS: Final = 60
MAX_ROLES: Final = 30
WORST_SYSTEMS: Final = 20
PICTURE_WIDTH: Final = 930
HEAD_LENGTH: Final = 24
#: Names shown of a long list; the rest is counted.
MAX_NAMES: Final = 12
#: Failed checks of this severity are shown unfolded, up to so many.
UNFOLDED: Final = 3

ESTABLISHED: Final = ("pass", "fail")
BLIND: Final = ("error", "unknown", "notchecked")
APPLICABLE: Final = ("pass", "fail", "error", "unknown", "notchecked")
OUTCOMES: Final = ("nonconform", "not_established", "partly", "conform", "notapplicable", "not_covered")
RELATIONS: Final = ("proves", "supports", "indicates")
#: Of so many failed checks, the gravest, all findings that were kept are shown; of the others a few.
MANY: Final = 40
FEW: Final = 3
#: Rows of the calendar that are shown; the rest stands in assessment.json.
CALENDAR_ROWS: Final = 200
#: With which state's shape and colour an outcome is shown.
OUTCOME_STATE: Final = {
    "nonconform": "fail", "not_established": "error", "partly": "pass", "conform": "pass",
    "notapplicable": "notapplicable", "not_covered": "notchecked",
}  # fmt: skip


def build(run: RunFolder, columns: Columns) -> dict[str, Any]:
    """The values of the template."""
    about, assessment = run.run, run.assessment
    per_check = columns.counts()
    counts = {state: about["counts"].get(state, 0) for state in STATES}
    severities: Counter[str] = Counter()
    for (_, severity), found in per_check.items():
        severities[severity] += found["fail"]
    rows = len(columns.code)
    numbers = {principle["id"]: place for place, principle in enumerate(assessment["principles"], 1)}
    failed = _failed(run, columns, numbers, per_check)
    return {
        "about": about,
        "counts": counts,
        "rows": rows,
        "unreadable": run.unreadable,
        "mismatch": rows != sum(about["counts"].values()) or run.unreadable > 0,
        "blind": sum(counts[state] for state in BLIND),
        "severities": severities,
        "leads": _leads(assessment["principles"]),
        "principles": [
            {
                **principle,
                "number": number,
                "bar": bar(principle["counts"], APPLICABLE),
                "head": {
                    language: _head(f"{number} {principle[f'title_{language}']}") for language in LANGUAGES
                },
            }
            for number, principle in enumerate(assessment["principles"], 1)
        ],
        "pictures": _pictures(assessment["targets"], list(numbers)),
        "systems": len(assessment["targets"]),
        "failed": failed,
        **_example(failed),
        "gaps": _gaps(assessment["gaps"]),
        "manual": _manual(run, per_check),
        "norms": [_norm(norm) for norm in assessment["norms"]],
        "calendar": _calendar(assessment.get("calendar"), about["started"]),
        "tunables": [
            {"check": check["id"], **tunable}
            for check in run.checks.values()
            for tunable in check["tunables"]
            if tunable["value"] != tunable["default"]
        ],
        "full": columns.full,
        "STATES": STATES,
        "SEVERITIES": SEVERITIES,
        "OUTCOMES": OUTCOMES,
        "OUTCOME_STATE": OUTCOME_STATE,
    }


def bar(counts: Mapping[str, int], states: Iterable[str]) -> list[tuple[str, str, str]]:
    """The parts of a bar: state, where it starts and how wide it is, in percent of the whole."""
    present = [(state, counts.get(state, 0)) for state in states if counts.get(state, 0)]
    whole, before, parts = sum(count for _, count in present), 0, []
    for state, count in present:
        parts.append((state, f"{before * 100 / whole:.2f}", f"{count * 100 / whole:.2f}"))
        before += count
    return parts


def some(names: Iterable[str], limit: int = MAX_NAMES) -> dict[str, Any]:
    """The first few names, safe to show, and how many more there are."""
    every = list(names)
    return {"names": [visible(name) for name in every[:limit]], "more": max(len(every) - limit, 0)}


def _leads(principles: list[Record]) -> list[tuple[str, str, int]]:
    """The opening sentences: label, the state it is about, and of how many principles it is true."""
    seen = Counter("error" if principle["state"] in BLIND else principle["state"] for principle in principles)
    leads = (("lead_fail", "fail"), ("lead_blind", "error"), ("lead_pass", "pass"))
    return [(lead, state, seen[state]) for lead, state in leads if seen[state]]


def _pictures(targets: list[Record], principles: list[str]) -> list[dict[str, Any]]:
    """One picture of all systems, or one of the roles and one of the systems that are worst off."""
    if len(targets) <= MAX_SYSTEMS:
        return [_picture("systems", [_system(target, principles) for target in targets], len(principles))]
    worst = sorted(targets, key=lambda target: -target["counts"].get("fail", 0))[:WORST_SYSTEMS]
    return [
        _picture("roles", _roles(targets, principles), len(principles)),
        _picture("worst", [_system(target, principles) for target in worst], len(principles)),
    ]


def _head(title: str) -> list[str]:
    """A slanted head in one line, or in two when it is long."""
    if len(title) <= HEAD_LENGTH:
        return [title]
    return textwrap.wrap(shown(title, 4 * HEAD_LENGTH).text, HEAD_LENGTH, max_lines=2, placeholder=" …")


def _picture(kind: str, rows: list[dict[str, Any]], principles: int) -> dict[str, Any]:
    """Rows, and measures in pixels: ``left`` for names, ``top`` for slanted heads, a cell is ``wide`` by ``high``."""
    longest = max((len(row["name"].text) for row in rows if row["name"]), default=0)
    left, top, high, slant = min(max(longest * 8 + 18, 120), 300), 136, 38, 96
    wide = min(max((PICTURE_WIDTH - left - slant) // max(principles, 1), 62), 96)
    return {
        "kind": kind, "rows": rows, "left": left, "top": top, "wide": wide, "high": high,
        "width": left + wide * principles + slant, "height": top + high * len(rows) + 2,
    }  # fmt: skip


def _system(target: Record, principles: list[str]) -> dict[str, Any]:
    cells = []
    for principle in principles:
        seen = target["principles"].get(principle, {"state": "notchecked", "counts": {}})
        cells.append({"state": seen["state"], "count": seen["counts"].get(seen["state"], 0)})
    return {
        "name": shown(target["name"], 36),
        "note": shown(target["role"], 40),
        "cells": cells,
    }


def _roles(targets: list[Record], principles: list[str]) -> list[dict[str, Any]]:
    sizes = Counter(target["role"] for target in targets)
    kept = {role for role, _ in sizes.most_common(MAX_ROLES)}
    grouped: dict[str | None, list[Record]] = {}
    for target in targets:
        grouped.setdefault(target["role"] if target["role"] in kept else None, []).append(target)
    rows = []
    for role, members in sorted(grouped.items(), key=lambda item: (item[0] is None, item[0] or "")):
        cells = []
        for principle in principles:
            states = Counter(
                member["principles"].get(principle, {"state": "notchecked"})["state"] for member in members
            )
            applicable = sum(states[state] for state in APPLICABLE)
            cells.append({"bar": bar(states, APPLICABLE), "pass": states["pass"], "applicable": applicable})
        rows.append(
            {"name": None if role is None else shown(role, 40), "systems": len(members), "cells": cells}
        )
    return rows


def _failed(
    run: RunFolder, columns: Columns, numbers: dict[str, int], per_check: dict[tuple[str, str], Counter[str]]
) -> list[dict[str, Any]]:
    def gravity(item: tuple[tuple[str, str], Failed]) -> tuple[int, int, str]:
        (check, severity), failed = item
        return _gravity(severity), -len(failed.targets), check

    cards: list[dict[str, Any]] = []
    for (check, severity), failed in sorted(columns.failed.items(), key=gravity):
        record = run.checks.get(check, {})
        seen = per_check[check, severity]
        cards.append(
            {
                "id": check,
                "severity": severity,
                "record": record,
                "principles": [(numbers.get(name, 0), name) for name in record.get("principles", ())],
                "systems": len(failed.targets),
                "looked": seen["fail"] + seen["pass"],
                "count": failed.count,
                "fleet": all(finding["target"] == "*" for finding in failed.findings),
                "findings": [
                    _finding(finding) for finding in failed.findings[: None if len(cards) < MANY else FEW]
                ],
                "subjects": any(finding["subject"] for finding in failed.findings),
                "controls": _claims(record.get("controls", {}), run.assessment["norms"]),
                "unfolded": len(cards) < UNFOLDED,
            }
        )  # fmt: skip
    return cards


def _example(failed: list[dict[str, Any]]) -> dict[str, str]:
    """A real name for each command and path that the report explains."""
    finding = next((finding for card in failed for finding in card["findings"] if finding["evidence"]), None)
    digest = finding["evidence"][0] if finding else "ab12…"
    return {
        "example_path": f"evidence/{digest[:2]}/{digest}.zst",
        "example_check": failed[0]["id"] if failed else "CHECK",
        "example_target": (finding and finding["target"]) or "TARGET",
    }


def _finding(finding: Record) -> dict[str, Any]:
    return {
        "target": "" if finding["target"] == "*" else visible(finding["target"]),
        "subject": shown(finding["subject"], 120),
        "observed": shown(finding["observed"]),
        "expected": shown(finding["expected"]),
        "evidence": [visible(digest) for digest in finding["evidence"]],
    }


def _gaps(gaps: list[Record]) -> list[dict[str, Any]]:
    """One entry per cause, worst first: the systems and checks it blinds, and the first messages."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for gap in gaps:
        entry = merged.setdefault(
            (gap["status"], gap["cause"] or "none"),
            {"targets": {}, "checks": {}, "details": {}, "findings": 0},
        )
        entry["targets"].update(dict.fromkeys(gap["targets"]))
        entry["checks"].update(dict.fromkeys(gap["checks"]))
        entry["details"].update(dict.fromkeys([gap["detail"]] if gap["detail"] else []))
        entry["findings"] += gap["findings"]
    shown_gaps = []
    for (status, cause), entry in sorted(
        merged.items(), key=lambda item: (STATES.index(item[0][0]), -item[1]["findings"])
    ):
        details: list[Shown] = [shown(detail) for detail in list(entry["details"])[:3]]
        shown_gaps.append(
            {
                "status": status,
                "cause": cause,
                "findings": entry["findings"],
                "systems": len(entry["targets"]),
                "checks_count": len(entry["checks"]),
                "targets": some(entry["targets"]),
                "checks": some(entry["checks"], 8),
                "details": details,
                "more": len(entry["details"]) - len(details),
            }
        )
    return shown_gaps


def _manual(run: RunFolder, per_check: dict[tuple[str, str], Counter[str]]) -> list[dict[str, Any]]:
    return [
        {
            "id": check,
            "severity": severity,
            "record": run.checks.get(check, {}),
            "count": counts["notchecked"],
        }
        for (check, severity), counts in sorted(
            per_check.items(), key=lambda item: (_gravity(item[0][1]), item[0][0])
        )
        if counts["notchecked"]
    ]


def _claims(controls: Mapping[str, list[Record]], norms: list[Record]) -> list[dict[str, Any]]:
    """What a check says of each norm, in the order of the norms: per relation the numbers of the controls."""
    return [
        {"name": norm["id"], "relations": _by_relation(controls[norm["id"]], "control")}
        for norm in norms
        if controls.get(norm["id"])
    ]


def _by_relation(rows: list[Record], key: str) -> list[tuple[str, list[str]]]:
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row["relation"], {})[row[key]] = None
    return [(relation, list(found[relation])) for relation in RELATIONS if relation in found]


def _norm(norm: Record) -> dict[str, Any]:
    covered = [
        {
            **control,
            "relations": [
                (relation, some(checks)) for relation, checks in _by_relation(control["checks"], "check")
            ],
        }
        for control in norm["controls"]
        if control["outcome"] != "not_covered"
    ]
    return {
        **norm,
        "total": len(norm["controls"]),
        "covered": sorted(covered, key=lambda control: OUTCOMES.index(control["outcome"])),
        "uncovered": [control for control in norm["controls"] if control["outcome"] == "not_covered"],
    }


def _calendar(calendar: Record | None, started: str) -> dict[str, Any]:
    """What ends, soonest first; ``soon`` of it before `SOON` days are over. Runs of before there was one have none."""
    entries = calendar["entries"] if calendar else []
    rows = [
        {
            **entry,
            "names": some(entry["names"], 3),
            "places": some([f"{one['target']} {one['place']}" for one in entry["seen"]], 3),
            "owners": some(entry["owners"], 3),
            "left": days_left(entry["ends"], started),
        }
        for entry in entries[:CALENDAR_ROWS]
    ]
    return {
        "rows": rows,
        "more": len(entries) - len(rows),
        "soon": sum(days_left(entry["ends"], started) < SOON for entry in entries),
        "unseen": some(calendar["unseen"]) if calendar else some([]),
    }


def _gravity(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
