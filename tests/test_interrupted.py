"""What a scan that is ended early leaves behind: a run that is valid and says that it is partial, or one that is not
judged and says so.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server

#: Seconds that a port which never says anything is listened to, as the checks have it.
PATIENCE = 60


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield int(listening.getsockname()[1])


@pytest.fixture
def inventory(tmp_path: Path, silent: int) -> Path:
    hosts = {
        name: {"address": address, "platform": "other", "ports": [9], "services": [service]}
        for name, address, service in (
            ("slow", "127.0.0.1", {"port": silent, "name": "ssh"}),
            ("late", "127.0.0.2", {"port": silent}),
        )
    }
    file = tmp_path / "hosts.yaml"
    file.write_text(json.dumps({"targets": hosts}))
    return file


def keurmeester(*words: str | Path, cwd: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[1]
    return subprocess.Popen(
        # Whoever runs tests in the background has Ctrl-C ignored, and so would they.
        ["env", "--default-signal=INT", sys.executable, "-m", "scanner", *map(str, words)],
        cwd=cwd,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def started(folder: Path, inventory: Path) -> tuple[subprocess.Popen[str], Path]:
    """A scan of one host at a time that is busy with the first; and its run folder."""
    scan = keurmeester(
        "scan",
        inventory,
        "--quiet",
        "--workers",
        "1",
        "--only",
        'topic == "ssh_seen"',
        "--out",
        "runs",
        cwd=folder,
    )
    until = time.monotonic() + PATIENCE
    while not list(folder.glob("runs/*/evidence/*/*")):
        assert scan.poll() is None, scan.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(1)
    (run,) = (folder / "runs").iterdir()
    return scan, run


def header(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_once_it_judges_what_it_has(how: signal.Signals, tmp_path: Path, inventory: Path) -> None:
    scan, run = started(tmp_path, inventory)
    scan.send_signal(how)
    _, said = scan.communicate(timeout=PATIENCE)
    assert scan.returncode == 2, said
    assert said.index("stopping; waiting for") < said.index("stopped early")
    assert header(run)["status"] == "partial"
    lines = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    late = [one for one in lines if one["target"] == "late"]
    assert late
    assert {(one["status"], one["cause"]) for one in late} == {("error", "policy")}
    assert (run / "report.html").stat().st_size
    replay = keurmeester("replay", run, cwd=tmp_path)
    assert (replay.communicate(timeout=PATIENCE), replay.returncode)[1] == 0


def test_stopped_twice_it_ends_at_once_and_says_that_nothing_was_judged(
    tmp_path: Path, inventory: Path
) -> None:
    scan, run = started(tmp_path, inventory)
    began = time.monotonic()
    scan.send_signal(signal.SIGINT)
    time.sleep(1)
    scan.send_signal(signal.SIGINT)
    _, said = scan.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 5
    assert scan.returncode == 130, said
    assert "nothing of" in said
    assert (header(run)["status"], header(run)["exit_code"]) == ("partial", 2)
    assert not (run / "results.jsonl").exists()
    replay = keurmeester("replay", run, cwd=tmp_path)
    _, said = replay.communicate(timeout=PATIENCE)
    assert replay.returncode == 3, said
    assert "before anything was judged" in said


@pytest.mark.lab
def test_a_full_disk_is_told_as_such(tmp_path: Path, inventory: Path) -> None:
    """On a disk of the test's own, in a mount namespace that ends with the scan."""
    (tmp_path / "runs").mkdir()
    script = 'mount -t tmpfs -o size=64k none runs && exec "$@"'
    root = Path(__file__).parents[1]
    words = [sys.executable, "-m", "scanner", "scan", str(inventory), "--quiet", "--out", "runs"]
    scan = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert scan.returncode == 4
    assert scan.stderr.startswith("keurmeester: No space left on device\n  Make room")


def test_a_folder_that_cannot_be_made_is_wrong_input(tmp_path: Path, inventory: Path) -> None:
    (tmp_path / "file").write_text("")
    scan = keurmeester("scan", inventory, "--out", "file/runs", cwd=tmp_path)
    _, said = scan.communicate(timeout=PATIENCE)
    assert scan.returncode == 3, said
    assert "--out" in said
