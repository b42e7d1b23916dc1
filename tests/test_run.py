"""A run from start to finish on this machine, judged again, and tampered with."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from scanner import run as runs
from scanner import scope as scopes
from scanner.engine import LocalEngine
from scanner.evidence import Store
from scanner.model import Cause, Gap, InputError, Raw, State, Target, Timed
from scanner.sources import Source
from scanner.vault import Vault
from scanner.worker import Worker


def make_run(out: Path, scope: scopes.Scope) -> Path:
    folder = runs.new_run(out, scope)
    worker = Worker(scope.inventory, Vault(), lambda: pytest.fail("no host keys are needed here"))
    for _ in LocalEngine(scope.plan, worker, Store(folder)).run(scope.targets):
        pass
    runs.finish(folder, scope)
    return folder


@pytest.fixture(scope="module")
def loaded() -> scopes.Loaded:
    return scopes.load(scopes.Config())


@pytest.fixture(scope="module")
def finished(loaded: scopes.Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"), scopes.build(loaded))


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The run on a copy elsewhere."""
    return Path(shutil.copytree(finished, tmp_path / "elsewhere"))


def test_the_counts_add_up(finished: Path) -> None:
    header = json.loads((finished / "run.json").read_text())
    lines = [json.loads(line) for line in (finished / "results.jsonl").read_text().splitlines()]
    assert sum(header["counts"].values()) == len(lines) > 0
    assert header["status"] == "complete"
    assert header["coverage"]["established"] == header["counts"]["pass"] + header["counts"]["fail"]
    assert header["exit_code"] in (0, 1, 2)
    checks = {check["id"] for check in json.loads((finished / "checks.json").read_text())}
    assert {line["check"] for line in lines} <= checks


def test_only_the_owner_can_read_a_run(finished: Path) -> None:
    for path in [finished, *finished.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:o}"


def test_replay_gives_the_same_findings_also_on_a_copy(copied: Path, loaded: scopes.Loaded) -> None:
    result = runs.replay(copied, loaded)
    assert (result.faults, result.differences) == ((), ())
    assert result.findings == len((copied / "results.jsonl").read_text().splitlines())


def _some_blob(run: Path) -> Path:
    return max((run / "evidence").rglob("*.zst"), key=lambda path: path.stat().st_size)


def test_one_changed_byte_of_evidence_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    blob = _some_blob(copied)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    assert any(blob.name in fault for fault in runs.replay(copied, loaded).faults)


def test_one_added_byte_of_evidence_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    blob = _some_blob(copied)
    blob.write_bytes(blob.read_bytes() + b"x")
    assert any(blob.name in fault for fault in runs.replay(copied, loaded).faults)


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("assessment.json", '"state":"fail"', '"state":"pass"', "assessment.json: principles"),
        ("checks.json", '"severity":"high"', '"severity":"low"', "severity is not what"),
        ("run.json", '"fail": ', '"fail": 1', "run.json: counts"),
    ],
)
def test_what_is_derived_from_findings_is_compared_too(
    file: str, before: str, after: str, said: str, copied: Path, loaded: scopes.Loaded
) -> None:
    path = copied / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    assert said in " | ".join(runs.replay(copied, loaded).differences)


def test_missing_evidence_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    blob = _some_blob(copied)
    blob.unlink()
    faults = runs.replay(copied, loaded).faults
    assert any(blob.name in fault and "missing" in fault for fault in faults)


def test_added_evidence_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    added = copied / "evidence" / "ab" / ("ab" * 32 + ".zst")
    added.parent.mkdir(exist_ok=True)
    added.write_bytes(b"x")
    faults = runs.replay(copied, loaded).faults
    assert any(added.name in fault and "added" in fault for fault in faults)


def test_evidence_replaced_under_a_right_name_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    blob = _some_blob(copied)
    other = Store(copied)
    other.add(Raw(out=b"something else"))
    blob.write_bytes(next(path for path in copied.rglob("*.zst") if path != blob).read_bytes())
    faults = runs.replay(copied, loaded).faults
    assert any(blob.name in fault and "changed" in fault for fault in faults)


def test_a_changed_manifest_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    manifest = next((copied / "manifests").iterdir())
    manifest.write_text(manifest.read_text().replace('"code":0', '"code":1', 1))
    assert any("run digest" in fault for fault in runs.replay(copied, loaded).faults)


def test_a_changed_finding_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    results = copied / "results.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    number = next(index for index, line in enumerate(lines) if '"status":"fail"' in line)
    lines[number] = lines[number].replace('"status":"fail"', '"status":"pass"')
    results.write_text("".join(lines))
    result = runs.replay(copied, loaded)
    assert len(result.differences) == 1
    assert f"line {number + 1}:" in result.differences[0]
    assert "status was 'pass', is now 'fail'" in result.differences[0]


def test_a_removed_finding_is_named(copied: Path, loaded: scopes.Loaded) -> None:
    results = copied / "results.jsonl"
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:-1]))
    assert "only in the replay" in runs.replay(copied, loaded).differences[-1]


def test_a_bomb_is_refused(copied: Path, loaded: scopes.Loaded) -> None:
    import zstandard

    blob = _some_blob(copied)
    blob.write_bytes(zstandard.ZstdCompressor().compress(b"\0" * (65 << 20)))
    assert any(blob.name in fault for fault in runs.replay(copied, loaded).faults)


def test_a_folder_that_is_no_run_is_wrong_input(tmp_path: Path, loaded: scopes.Loaded) -> None:
    with pytest.raises(InputError, match=r"not a run folder: run\.json is missing"):
        runs.replay(tmp_path, loaded)


def test_a_run_cut_short_is_valid_and_says_so(loaded: scopes.Loaded, tmp_path: Path) -> None:
    scope = scopes.build(loaded)
    folder = runs.new_run(tmp_path, scope)
    assert json.loads((folder / "run.json").read_text())["status"] == "partial"
    assert runs.finish(folder, scope, interrupted=True) == 2
    header = json.loads((folder / "run.json").read_text())
    assert header["status"] == "partial"
    assert header["targets"] == {"planned": 1, "reached": 0}
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    judged = [loaded.registry.checks[line["check"]] for line in lines if line["status"] in ("pass", "fail")]
    assert all(ask.fact is None for check in judged for ask in check.asks), "only the inventory was seen"
    assert header["counts"]["error"] > 100
    assert runs.replay(folder, loaded) == runs.Replay((), (), sum(header["counts"].values()))


def test_one_broken_target_does_not_cost_the_others_their_scan(
    loaded: scopes.Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scopes.this_machine()
    twin = here.targets[0].model_copy(update={"name": "twin"})
    inventory = here.model_copy(update={"targets": (*here.targets, twin)})
    scope = scopes.build(loaded, only='topic == "ssh"')
    scope = scopes.Scope(loaded, scope.profile, scope.selected, inventory, inventory.targets)
    original = Worker.session

    def session(self: Worker, target: Target, first: Sequence[Source]) -> object:
        if target.name == "twin":
            raise RuntimeError("planted")
        return original(self, target, first)

    monkeypatch.setattr(Worker, "session", session)
    folder = make_run(tmp_path, scope)
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert {line["cause"] for line in lines if line["target"] == "twin"} == {"internal"}
    assert {line["status"] for line in lines if line["target"] == "twin"} == {"error"}
    assert {line["cause"] for line in lines if line["target"] != "twin"} != {"internal"}


@pytest.mark.skipif(os.geteuid() != 0, reason="shows what root sees")
def test_secrets_of_this_machine_are_nowhere_in_a_run(finished: Path) -> None:
    hashes = [
        line.split(":")[1]
        for line in Path("/etc/shadow").read_text().splitlines()
        if "$" in line.split(":")[1]
    ]
    store = Store(finished)
    seen = b"".join(store.read(path.name.removesuffix(".zst")) for path in finished.rglob("*.zst"))
    assert all(secret.encode() not in seen for secret in hashes)


def test_the_manifest_comes_back_as_it_was_sealed(tmp_path: Path) -> None:
    from scanner.evaluate import Collected
    from scanner.evidence import Manifest
    from scanner.sources import Command

    (tmp_path / "evidence").mkdir()
    store = Store(tmp_path)
    raw = Timed(b"out", b"err", 1, Gap(State.ERROR, Cause.TIMEOUT, "late"), 0.5, 100.0)
    source: Source = Command("true", root=True)
    manifest = Manifest(
        "web1", 1.0, 2.0, "ssh", "here", (0, "root"), None, {source: Collected(raw, store.add(raw))}
    )
    store.seal(manifest)
    assert store.manifest("web1") == manifest
