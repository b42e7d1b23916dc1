"""Everything that can go wrong with a host, in one scan of a whole fleet, through the command line.

Each fault ends as error with its own cause, on its own host; every other host is judged as if nothing was wrong;
the exit code is 2 and the report says what could not be established.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.lab import faults
from tests.lab.host import ACCOUNTS
from tests.lab.network import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scanner.model import Target
    from tests.lab.lab import Lab

#: Target -> the cause with which all of it ends, and words of the explanation.
UNREACHED: Final = {
    "unknown-key": ("hostkey", "unknown host key ssh-ed25519 SHA256:"),
    "changed-key": ("hostkey", "the host key has changed"),
    "revoked-key": ("hostkey", "revoked key"),
    "refused": ("refused", "Connection refused"),
    "silent": ("timeout", "no answer"),
    "no-route": ("route", "unreachable"),
    "reset": ("reset", "reset by peer"),
    "closed": ("reset", "before it said a word"),
    "half-open": ("timeout", "no SSH banner"),
    "mute": ("timeout", "no end to the key exchange"),
    "garbage": ("parse", "something else than SSH"),
    "wrong-key": ("auth", "does not let scan in"),
    "no-secret": ("auth", "No such file"),
}
#: Hosts that talk, and then do not: (cause, words).
CUT: Final = {
    "cut": ("reset", "in mid-script: the connection was closed"),
    "torn": ("reset", "in mid-script: Connection reset"),
    "flood": ("truncated", "more than 64 MiB"),
    "no-shell": ("policy", "no POSIX shell"),
}
#: Bytes a host says until it is in the middle of the script.
MIDWAY: Final = 20_000
JUDGED: Final = ("pass", "fail")
#: The platform of checks that look at the host itself, logged in.
INSIDE: Final = "linux"


@dataclass(frozen=True)
class Run:
    """A finished scan: what it said, and its folder."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    def findings(self, target: str) -> dict[tuple[str, str], dict[str, Any]]:
        """(check, subject) -> finding, of one target, by the checks that look at the host itself, logged in."""
        inside = {check["id"] for check in self.read("checks.json") if check["platform"] == INSIDE}
        lines = map(json.loads, (self.folder / "results.jsonl").read_text().splitlines())
        return {
            (line["check"], line["subject"]): line
            for line in lines
            if line["target"] == target and line["check"] in inside
        }

    def errors(self, target: str, healthy: str = "healthy") -> list[dict[str, Any]]:
        """The errors on a target that a healthy host does not have too."""
        elsewhere = self.findings(healthy)
        return [
            finding
            for key, finding in self.findings(target).items()
            if finding["status"] == "error" and elsewhere.get(key, {}).get("status") != "error"
        ]

    def judged(self, target: str) -> dict[tuple[str, str], str]:
        """What was established of a target: (check, subject) -> pass or fail."""
        return {key: f["status"] for key, f in self.findings(target).items() if f["status"] in JUDGED}


def scan(lab: Lab, targets: Sequence[Target], folder: Path, **credentials: Any) -> Run:
    known = {name: lab.credential(name).model_dump(exclude_defaults=True) for name in ACCOUNTS}
    inventory = lab.inventory(targets, credentials={**known, **credentials})
    done = lab.run(["scan", inventory, "--quiet", "--out", folder / "runs"], env={"HOME": str(folder)})
    assert done.returncode in (0, 1, 2), done.stderr
    return Run(done, next((folder / "runs").iterdir()))


def generate(path: Path) -> str:
    """A key pair; the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture(scope="module")
def calm(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The hosts with nothing wrong."""
    folder = tmp_path_factory.mktemp("calm")
    targets = [lab.target(lab.host("h-plain"), name="healthy"), lab.target(lab.host("f-full"), name="full")]
    return scan(lab, targets, folder)


@pytest.fixture(scope="module")
def fleet(lab: Lab, calm: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Two healthy hosts, and one for every fault."""
    folder = tmp_path_factory.mktemp("fleet")
    other, revoked = generate(folder / "other"), lab.host("f-revoked")
    (folder / ".ssh").mkdir()
    (folder / ".ssh" / "known_hosts").write_text(f"@revoked * {revoked.host_key}\n")
    plain, silent, flood = lab.host("h-plain"), lab.host("f-silent"), lab.host("f-flood")
    with ExitStack() as broken, lab.box.entered():

        def port(fault: faults.Fault) -> dict[str, Any]:
            # A port of its own for each, also where nothing is wrong with it: no two targets have one address.
            opened = broken.enter_context(faults.port(fault, to=plain))
            return {"address": opened.address, "port": opened.port}

        broken.enter_context(faults.silent(silent))
        broken.enter_context(faults.login_shell(flood, "scan", faults.FLOOD))
        broken.enter_context(
            faults.login_shell(lab.host("f-none"), "scan", "#!/bin/sh\necho Go away.; exit 1\n")
        )
        broken.enter_context(faults.disk_full(lab.host("f-full")))
        targets = [
            lab.target(plain, name="healthy"),
            lab.target(plain, name="healthy-too", **port(faults.PASS)),
            lab.target(lab.host("f-full"), name="full"),
            lab.target(plain, name="unknown-key", host_keys=(), **port(faults.PASS)),
            lab.target(plain, name="changed-key", host_keys=(other,), **port(faults.PASS)),
            lab.target(revoked, name="revoked-key", host_keys=()),
            lab.target(plain, name="refused", address=GATEWAY, port=faults.refused()),
            lab.target(silent, name="silent"),
            lab.target(plain, name="no-route", address=faults.NO_ROUTE),
            lab.target(plain, name="reset", **port(faults.reset(after=100))),
            lab.target(plain, name="closed", **port(faults.CLOSED)),
            lab.target(plain, name="half-open", **port(faults.HALF_OPEN)),
            lab.target(plain, name="mute", **port(faults.stall(after=100))),
            lab.target(plain, name="garbage", **port(faults.GARBAGE)),
            lab.target(plain, "stranger", name="wrong-key", **port(faults.PASS)),
            lab.target(plain, "lost", name="no-secret", **port(faults.PASS)),
            lab.target(plain, "plain", name="no-sudo", **port(faults.PASS)),
            lab.target(plain, "asks", name="sudo-asks", **port(faults.PASS)),
            lab.target(plain, name="cut", **port(faults.cut(after=MIDWAY))),
            lab.target(plain, name="torn", **port(faults.reset(after=MIDWAY))),
            lab.target(flood, name="flood"),
            lab.target(lab.host("f-none"), name="no-shell"),
        ]
        run = scan(
            lab,
            targets,
            folder,
            stranger={"user": "scan", "key": f"file:{folder}/other"},
            lost={"user": "scan", "key": f"file:{folder}/none"},
        )
        yield run


def test_the_scan_ends_as_incomplete(fleet: Run) -> None:
    assert fleet.done.returncode == 2, fleet.done.stderr
    assert fleet.done.stderr == ""
    header = fleet.read("run.json")
    assert (header["status"], header["exit_code"]) == ("complete", 2)
    planned = len(fleet.read("assessment.json")["targets"])
    assert header["targets"] == {"planned": planned, "reached": planned - len(UNREACHED)}


@pytest.mark.parametrize("name", UNREACHED)
def test_host_that_cannot_be_reached(fleet: Run, name: str) -> None:
    cause, words = UNREACHED[name]
    findings = fleet.findings(name).values()
    assert len(findings) > 40
    assert {finding["status"] for finding in findings} <= {"error", "notchecked"}
    assert {finding["cause"] for finding in findings if finding["status"] == "error"} == {cause}
    row = next(row for row in fleet.read("assessment.json")["targets"] if row["name"] == name)
    assert (row["reached"], row["cause"]) == (False, cause)
    assert words in row["detail"]


@pytest.mark.parametrize("name", CUT)
def test_host_that_stops_talking_sense(fleet: Run, name: str) -> None:
    cause, words = CUT[name]
    errors = fleet.errors(name)
    assert {finding["cause"] for finding in errors} == {cause}
    assert all(words in finding["observed"] for finding in errors)
    assert len(errors) > 10
    # What was answered before it went wrong is judged, and no otherwise than on the healthy host.
    judged, healthy = fleet.judged(name), fleet.judged("healthy")
    assert judged.items() <= healthy.items()
    assert bool(judged) == (name in ("cut", "torn"))


@pytest.mark.parametrize("name", ["no-sudo", "sudo-asks"])
def test_account_without_the_rights(fleet: Run, name: str) -> None:
    denied, judged, healthy = fleet.errors(name), fleet.judged(name), fleet.judged("healthy")
    assert len(denied) > 5
    assert {finding["cause"] for finding in denied} == {"privilege"}
    assert len(judged) > 5
    assert {key: judged[key] for key in judged.keys() & healthy.keys()}.items() <= healthy.items()


def test_full_disk_takes_nothing_from_the_scan(fleet: Run, calm: Run) -> None:
    # We write nothing there, so whatever differs is about the disk itself.
    before, after = calm.findings("full"), fleet.findings("full")
    changed = {
        key: (before[key]["status"], after[key]["status"])
        for key in before.keys() & after.keys()
        if before[key]["status"] != after[key]["status"]
    }
    assert changed == {}
    assert before.keys() == after.keys()


def test_the_rest_of_the_fleet_is_judged_as_ever(fleet: Run, calm: Run) -> None:
    expected = calm.judged("healthy")
    assert len(expected) > 20
    assert fleet.judged("healthy") == expected
    assert fleet.judged("healthy-too") == expected


def test_the_report_says_what_could_not_be_established(fleet: Run) -> None:
    gaps = fleet.read("assessment.json")["gaps"]
    page = (fleet.folder / "report.html").read_text()
    for name, (cause, words) in (UNREACHED | CUT).items():
        rows = [row for row in gaps if name in row["targets"] and row["cause"] == cause]
        assert rows, name
        assert any(words in row["detail"] for row in rows), rows
        assert name in page
    coverage = fleet.read("run.json")["coverage"]
    assert 0 < coverage["established"] < coverage["applicable"]
