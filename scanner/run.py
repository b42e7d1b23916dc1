"""One run from start to finish, and a finished run again: plan, collect, judge, assess, write.

The run folder is the only thing that passes between collecting and judging, so that `judge` is the same function for a
scan, a replay here, and a replay by an auditor elsewhere.
"""

from __future__ import annotations

import getpass
import json
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json

from scanner import policy, profiles
from scanner._version import __version__
from scanner.aggregate import Assessor, coverage, exit_code
from scanner.calendar import Calendar
from scanner.declare import Check, Registry
from scanner.evaluate import (
    NOT_COLLECTED,
    Facts,
    Known,
    Member,
    aggregate_findings,
    fleet_findings,
    fleet_share,
    judge,
    remembered,
    scan_time,
)
from scanner.evidence import EvidenceError, Manifest, Store, write_private
from scanner.memory import Memory
from scanner.model import Cause, Finding, Gap, InputError, State, Target
from scanner.profiles import Selected
from scanner.scope import Loaded, Scope
from scanner.sources import MEBIBYTE

FORMAT: Final = 1
_quoted: Final = (
    json.encoder.encode_basestring_ascii
)  # what json.dumps does with a string, without its detours


class Judgement:
    """Judges a run's evidence one target at a time; what fleet checks need is kept, all else let go."""

    def __init__(
        self, selected: Sequence[Selected], registry: Registry, calendar: Calendar | None = None
    ) -> None:
        self._registry, self._calendar, self._memory = registry, calendar or Calendar(registry), Memory()
        self._single = [
            (one.check, remembered(one.check, judge(one.check, registry, one.settings)))
            for one in selected
            if not one.check.is_fleet and not one.check.is_aggregate
        ]
        self._fleet = [one for one in selected if one.check.is_fleet]
        self._aggregate = [(one.check, one.settings) for one in selected if one.check.is_aggregate]
        self._shares: dict[str, list[Member]] = {one.check.id: [] for one in self._fleet}
        self._kept: dict[Any, Any] = {}
        self._known: dict[tuple[str, str], bool] = {}
        self._latest = 0.0

    def target(self, target: Target, manifest: Manifest) -> Iterator[tuple[Check, Finding]]:
        """The findings of one target: its checks, then the aggregates over them."""
        now = scan_time(manifest.started)
        self._latest = max(self._latest, manifest.ended)
        missing = manifest.gap or NOT_COLLECTED
        facts = Facts(target, manifest.answers, self._registry, now, missing, self._memory)
        made: list[tuple[Check, Finding]] = []
        for check, run in self._single:
            if self._applies(check, target):
                made.extend((check, finding) for finding in run(facts))
        yield from made
        findings = aggregate_findings(self._aggregate, target, made, now)
        yield from zip((check for check, _ in self._aggregate), findings, strict=True)
        for one in self._fleet:
            if self._applies(one.check, target):
                known = self._once(fleet_share(one.check, self._registry, facts))
                self._shares[one.check.id].append(Member(target, known))
        self._calendar.add(target, facts)

    def _once(self, known: Known) -> Known:
        """The same, with an equal value that is kept already in the place of its own: hosts are much alike."""
        with suppress(TypeError):  # not everything can be looked up
            known = known._replace(value=self._kept.setdefault(known.value, known.value))
        return known

    def _applies(self, check: Check, target: Target) -> bool:
        key = (check.id, target.platform)
        if key not in self._known:
            self._known[key] = self._registry.applies(check, target)
        return self._known[key]

    def fleet(self) -> Iterator[tuple[Check, Finding]]:
        """The findings across hosts, when all targets have been judged."""
        now = scan_time(self._latest)
        for one in self._fleet:
            for finding in fleet_findings(one.check, one.settings, self._shares[one.check.id], now):
                yield one.check, finding


def new_run(out: Path, scope: Scope) -> Path:
    """A new run folder (0700) with what is known before anything is asked: still valid when the run is cut short.

    Raises InputError when it cannot be made.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    run = out / run_id
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(mode=0o700)
    except OSError as error:
        raise InputError(
            f"{run}: no run folder can be made: {error.strerror}",
            remedy="Give a folder you may write in with --out.",
        ) from None
    (run / "evidence").mkdir(mode=0o700)
    (run / "manifests").mkdir(mode=0o700)
    _write_json(run / "run.json", {**_header(scope, run_id, started), "status": "partial"}, indent=1)
    _write_json(run / "checks.json", [check_data(one, scope.loaded.catalogue) for one in scope.selected])
    lines = (target.model_dump_json(by_alias=True) for target in scope.targets)
    write_private(run / "inventory.jsonl", "".join(f"{line}\n" for line in lines).encode())
    return run


def finish(run: Path, scope: Scope, *, interrupted: bool = False) -> int:
    """Judge the evidence of a run folder, write results and assessment, and seal it; the exit code.

    0: all conform; 1: findings; 2: something could not be established.
    """
    store = Store(run)
    header = read_json(run / "run.json")
    assessor = Assessor((one.check for one in scope.selected), scope.loaded.catalogue)
    unreached: dict[str, Gap] = {}
    registry, calendar = scope.loaded.registry, Calendar(scope.loaded.registry)
    _seal_missing(store, scope.targets)
    judged = _judged(store, scope.targets, scope.selected, registry, unreached, calendar)
    _write_results(run / "results.jsonl", judged, assessor, Encoder(header["run"]))
    counts = assessor.counts()
    code = exit_code(counts)
    header |= {
        "ended": _iso(time.time()),
        "status": "partial" if interrupted else "complete",
        "targets": {"planned": len(scope.targets), "reached": len(scope.targets) - len(unreached)},
        "counts": counts,
        "coverage": coverage(counts),
        "digest": store.digest(),
        "exit_code": code,
    }
    assessment = assessor.assessment(header["run"], scope.targets, unreached)
    _write_json(run / "assessment.json", {**assessment, "calendar": calendar.data()})
    _write_json(run / "run.json", header, indent=1)
    return code


def _write_results(
    path: Path, judged: Iterable[tuple[Check, Finding]], assessor: Assessor, encode: Encoder
) -> None:
    with path.open("wb", buffering=MEBIBYTE // 4) as results:
        path.chmod(0o600)
        for check, finding in judged:
            assessor.add(finding)
            results.write(encode(check, finding))


def _judged(
    store: Store,
    targets: Sequence[Target],
    selected: Sequence[Selected],
    registry: Registry,
    unreached: dict[str, Gap],
    calendar: Calendar,
) -> Iterator[tuple[Check, Finding]]:
    """Every finding of a run, in one fixed order; fills ``unreached`` and ``calendar`` on the way."""
    judgement = Judgement(selected, registry, calendar)
    for target in targets:
        manifest = store.manifest(target.name)
        if manifest.gap is not None:
            unreached[target.name] = manifest.gap
        yield from judgement.target(target, manifest)
    yield from judgement.fleet()


def _seal_missing(store: Store, targets: Iterable[Target]) -> None:
    """A target the run never came to gets a manifest that says so."""
    present = set(store.targets())
    for target in targets:
        if target.name not in present:
            now = time.time()
            gap = Gap(State.ERROR, Cause.POLICY, "the run was cut short before this target's turn")
            store.seal(Manifest(target.name, started=now, ended=now, channel=target.channel, gap=gap))


class Encoder:
    """A finding as its line of results.jsonl; what is the same on many targets is encoded once."""

    def __init__(self, run_id: str) -> None:
        self._run = json.dumps(run_id)
        self._fixed: dict[str, tuple[str, str]] = {}
        self._said = Memory()

    def __call__(self, check: Check, finding: Finding) -> bytes:
        """The line, with its line end."""
        key = finding[1:-1]  # all but the target and the moment
        said = self._said.get(key)
        if said is None:
            said = self._encode(check, finding)
            self._said.put(key, said, len(said))
        at = f'"{_iso(finding.collected_at)}"' if finding.collected_at else "null"
        return (
            f'{{"run":{self._run},"target":{_quoted(finding.target)},{said},"collected_at":{at}}}\n'.encode()
        )

    def _encode(self, check: Check, finding: Finding) -> str:
        fixed = self._fixed.get(check.id)
        if fixed is None:
            fixed = self._fixed[check.id] = (
                f'"check":{json.dumps(check.id)},"check_version":{check.version}',
                f'"severity":"{check.severity}","principles":{json.dumps(check.principles)}',
            )
        cause = f'"{finding.cause}"' if finding.cause else "null"
        proof = ",".join(f'"{one}"' for one in finding.evidence)
        return (
            f"{fixed[0]},"
            f'"subject":{_quoted(finding.subject)},"status":"{finding.status}","cause":{cause},{fixed[1]},'
            f'"observed":{_quoted(finding.observed)},"expected":{_quoted(finding.expected)},'
            f'"evidence":[{proof}]'
        )


def check_data(one: Selected, catalogue: policy.Catalogue) -> dict[str, Any]:
    """All a reader needs to know of a check, as kept in checks.json."""
    check = one.check
    return {
        "id": check.id,
        "version": check.version,
        "topic": check.topic,
        "platform": check.platform,
        "principles": list(check.principles),
        "severity": str(check.severity),
        "layer": str(check.layer),
        "title_nl": check.title_nl,
        "title_en": check.title,
        "why_nl": check.why_nl,
        "why_en": check.why,
        "fix": check.fix,
        "verify": check.verify,
        "advice_nl": check.advice_nl,
        "advice_en": check.advice,
        "references": list(check.references),
        "controls": catalogue.controls_of(check.id),
        "tunables": [
            {
                "name": tunable.name,
                "value": _plain(one.settings.get(tunable.name, tunable.default)),
                "default": _plain(tunable.default),
                "description": tunable.description,
            }
            for tunable in check.tunables
        ],
    }


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset | set) else value


def _header(scope: Scope, run_id: str, started: datetime) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "run": run_id,
        "started": _iso(started.timestamp()),
        "ended": None,
        "tool": {"name": "keurmeester", "version": __version__},
        "plugins": [
            {"name": plugin.name, "version": plugin.version, "sha256": plugin.sha256}
            for plugin in scope.loaded.plugins
        ],
        "profile": {
            "id": scope.profile.id,
            "title_nl": scope.profile.title_nl,
            "title_en": scope.profile.title_en,
            "sha256": scope.profile.sha256,
        },
        "operator": {"user": _user(), "host": socket.gethostname()},
        "inventory": {
            "sources": list(scope.inventory.sources),
            "sha256": scope.inventory.digest,
            "targets": len(scope.inventory.targets),
            "selected": len(scope.targets),
            "filter": scope.filter,
        },
        "targets": {"planned": len(scope.targets), "reached": 0},
        "digest": "",
        "exit_code": 2,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


# --- a finished run again -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replay:
    """What judging a finished run again gave: faults in the evidence, and findings that differ."""

    faults: tuple[str, ...]
    differences: tuple[str, ...]
    findings: int


def replay(run: Path, loaded: Loaded) -> Replay:
    """Verify every digest of a run, judge its evidence again and compare: findings, assessment, counts, checks.

    Needs no network, no credentials and no inventory. Raises InputError when ``run`` is not a run folder.
    """
    header, targets, kept_checks = read_run(run)
    store = Store(run)
    faults = list(store.verify(header["digest"]))
    selected, differences = _again(kept_checks, loaded)
    assessor = Assessor((one.check for one in selected), loaded.catalogue)
    encode, unreached, findings = Encoder(header["run"]), dict[str, Gap](), 0
    calendar = Calendar(loaded.registry)

    def again() -> Iterator[bytes]:
        try:
            for check, finding in _judged(store, targets, selected, loaded.registry, unreached, calendar):
                assessor.add(finding)
                yield encode(check, finding)
        except EvidenceError as error:
            if str(error) not in faults:
                faults.append(str(error))

    with (run / "results.jsonl").open("rb") as kept:
        for number, (before, after) in enumerate(zip_longest(kept, again()), 1):
            findings += after is not None
            if before != after and len(differences) < _SHOWN:
                differences.append(_difference(number, before, after))
    counts = assessor.counts()
    summary = {"counts": counts, "coverage": coverage(counts), "exit_code": exit_code(counts)}
    assessment = {**assessor.assessment(header["run"], targets, unreached), "calendar": calendar.data()}
    differences += _differing("run.json", header, summary)
    differences += _differing("assessment.json", read_json(run / "assessment.json"), assessment)
    return Replay(tuple(faults), tuple(differences), findings)


#: Differing findings that are named one by one.
_SHOWN: Final = 100


def _differing(name: str, kept: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each part of a file that would be written otherwise now."""
    for key, value in json.loads(json.dumps(now)).items():
        if kept.get(key) != value:
            yield f"{name}: {key} is not what the findings give"


def _again(kept: Iterable[Mapping[str, Any]], loaded: Loaded) -> tuple[list[Selected], list[str]]:
    """The checks of a run with their settings, and how they differ from the checks there are now."""
    selected: list[Selected] = []
    differences: list[str] = []
    for data in kept:
        check = loaded.registry.checks.get(data["id"])
        if check is None:
            differences.append(f"{data['id']}: this version of the scanner does not have the check")
            continue
        settings = profiles.settings(check, {t["name"]: t["value"] for t in data["tunables"]})
        selected.append(Selected(check, settings))
        differences += _differing(f"checks.json {check.id}", data, check_data(selected[-1], loaded.catalogue))
    return selected, differences


def _difference(number: int, before: bytes | None, after: bytes | None) -> str:
    row = json.loads(after or before or b"{}")
    where = (
        f"results.jsonl line {number}: {row.get('target')} {row.get('check')} {row.get('subject')}".rstrip()
    )
    if before is None or after is None:
        return f"{where}: only {'in the replay' if before is None else 'in the run'}"
    was, now = json.loads(before), json.loads(after)
    fields = [key for key in now if was.get(key) != now[key]]
    first = fields[0] if fields else "spelling"
    return f"{where}: {first} was {was.get(first)!r}, is now {now.get(first)!r}"


def read_run(run: Path) -> tuple[dict[str, Any], tuple[Target, ...], list[dict[str, Any]]]:
    """run.json, the targets and checks.json of a run folder. Raises InputError when it is not one, or not judged."""
    header = read_json(run / "run.json")
    if header.get("format") != FORMAT:
        raise InputError(
            f"{run}: not a run folder of format {FORMAT}", remedy="Give a folder made by `keurmeester scan`."
        )
    if header["ended"] is None:
        raise InputError(
            f"{run}: this run was ended before anything was judged (or is still going on)",
            remedy="Scan again. Ended with one Ctrl-C or SIGTERM, a scan judges what it has.",
        )
    lines = (run / "inventory.jsonl").read_text().splitlines()
    return header, tuple(Target.model_validate_json(line) for line in lines), read_json(run / "checks.json")


def read_json(path: Path) -> Any:
    """The JSON of a file in a run folder. Raises InputError."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{path.parent}: not a run folder: {path.name} is missing",
            remedy="Give a folder made by `keurmeester scan`, such as runs/20261123T120000Z-1a2b3c.",
        ) from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", file=str(path)) from None


def _write_json(path: Path, data: Any, indent: int | None = None) -> None:
    write_private(path, to_json(data, indent=indent) + b"\n")


_iso_cache: dict[float, str] = {}


def _iso(at: float) -> str:
    # All findings of a target carry the same moment.
    text = _iso_cache.get(at)
    if text is None:
        if len(_iso_cache) > 10_000:
            _iso_cache.clear()
        text = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        _iso_cache[at] = text
    return text
