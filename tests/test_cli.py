"""The command line: wrong input gives one clear message with file, line and remedy, exit code 3, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scanner import cli
from scanner._version import __version__
from scanner.declare import PLATFORMS

GOOD = """\
credentials:
  c: {user: scan, key: "file:/nowhere"}
targets:
  web1: {address: 192.0.2.1, credential: c}
"""


def keurmeester(*words: str) -> int:
    """Run the command line in this process; the exit code."""
    before, sys.argv = sys.argv, ["keurmeester", *words]
    try:
        return cli.run()
    finally:
        sys.argv = before


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SECRET = "credentials:\n  c: {user: a, password: geheim}\n"
INVENTORY = [
    ("targets: {web1: {adress: 192.0.2.1}}", "i.yaml:1", "adress", "address"),
    ("targets:\n  web1: {address: 192.0.2.1, port: 70000}", "i.yaml:2", "port", ""),
    ("targets:\n  web1: {address: 'not an address!'}", "i.yaml:2", "address", ""),
    ("targets:\n  web1: {address: 192.0.2.1, credential: nope}", "i.yaml:2", "nope", ""),
    ("targets:\n  web1: {address: 192.0.2.1, groups: [nope]}", "i.yaml:2", "nope", ""),
    ("targets:\n  web1: {address: 192.0.2.1}\n  web1: {address: 192.0.2.2}", "i.yaml:3", "web1", ""),
    (f"{SECRET}targets:\n  w: {{address: 192.0.2.1}}", "i.yaml:2", "reference", "env:"),
    ("targets: []", "i.yaml:1", "", ""),
    ("targets:\n\tweb1: {}", "i.yaml:2", "", ""),
    ("", "i.yaml", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "named", "remedy"), INVENTORY)
def test_a_broken_inventory(
    text: str, where: str, named: str, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "i.yaml").write_text(text)
    assert keurmeester("scan", "i.yaml") == cli.WRONG_INPUT
    said = capsys.readouterr().err
    assert where in said
    assert named in said
    assert remedy in said
    assert "geheim" not in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 3
    assert [path.name for path in tmp_path.iterdir()] == ["i.yaml"]


PROFILE = [
    ("id: p\ntitle_nl: P\ntitle_en: P\ninclude: [ssh.root-logn]", "p.yaml:4", "ssh.root-login"),
    ("id: p\ntitle_nl: P\ntitle_en: P\ninclude: ['severty == \"high\"']", "p.yaml:4", "severity"),
    ("id: p\ntitle_nl: P\ntitle_en: P\nextends: baselin", "p.yaml:4", "baseline"),
    (
        "id: p\ntitle_nl: P\ntitle_en: P\nextends: baseline\nsettings: {ssh.root-login: {days: 3}}",
        "p.yaml:5",
        "days",
    ),
    ("id: p\ntitle_nl: P\ntitle_en: P\nextends: baseline\ntargets: 'role = 1'", "p.yaml:5", "=="),
    ("id: p\ntitle_nl: P", "p.yaml:1", "title_en"),
]


@pytest.mark.parametrize(("text", "where", "remedy"), PROFILE)
def test_a_broken_profile(
    text: str, where: str, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text(text)
    assert keurmeester("scan", "--profile", "./p.yaml") == cli.WRONG_INPUT
    said = capsys.readouterr().err
    assert where in said
    assert remedy in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


COMMAND_LINES = [
    (["scan", "missing.yaml"], "missing.yaml"),
    (["scan", "--profile", "baselin"], "baseline"),
    (["scan", "--targets", "role === 1"], "--targets"),
    (["scan", "--targets", 'rol == "web"'], "role"),
    (["scan", "--targets", '__import__("os")'], "--targets"),
    (["scan", "--targets", 'role == "nothing-has-this"'], "no target"),
    (["scan", "--only", 'topic == "nothing"'], "selects none"),
    (["scan", "--workers", "0"], "workers"),
    (["scna"], "scna"),
    (["scan", "--nonsense"], "nonsense"),
    (["explain", "ssh.root-logn"], "ssh.root-login"),
    (["explain", "ssh.root-login", "--target", "web1"], "keurmeester scan"),
    (["replay", "nowhere"], "not a run folder"),
    (["report", "nowhere", "--format", "html"], "not a run folder"),
    (["checks", "show", "nope.nope"], "nope.nope"),
    (["scan", "--config", "nowhere.yaml"], "nowhere.yaml"),
]


@pytest.mark.parametrize(("words", "said"), COMMAND_LINES)
def test_a_wrong_command_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keurmeester(*words) == cli.WRONG_INPUT
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_plugin_on_the_list_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keurmeester.yaml").write_text("plugins: [keurmeester-nonsense]\n")
    assert keurmeester("checks", "list") == cli.WRONG_INPUT
    assert "keurmeester-nonsense is on the allow-list but not installed" in capsys.readouterr().err


def test_version_loads_nothing_else() -> None:
    code = (
        "import sys; sys.argv = ['keurmeester', '--version']; from scanner.__main__ import main; main();"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in"
        " ('pydantic', 'paramiko', 'typer', 'rich', 'jinja2', 'yaml')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"keurmeester {__version__}\n[]\n"


def test_checks_list_has_what_a_script_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert keurmeester("checks", "list", "--json") == 0
    checks = json.loads(capsys.readouterr().out)
    needed = {
        "id",
        "topic",
        "platform",
        "principles",
        "severity",
        "layer",
        "title_nl",
        "title_en",
        "controls",
    }
    assert all(needed <= set(check) for check in checks)
    assert {check["platform"] for check in checks} <= PLATFORMS
    assert len(checks) >= 45
    assert len({check["topic"] for check in checks}) >= 14
    for principle in (f"DSM-IBP-{number}" for number in range(1, 9)):
        assert sum(principle in check["principles"] for check in checks) >= 3, principle


def test_plan_shows_every_question_and_asks_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "i.yaml").write_text(GOOD)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("plan connects"))
    assert keurmeester("plan", "i.yaml") == 0
    said = capsys.readouterr().out
    assert "web1 (ssh, 192.0.2.1)" in said
    assert "root  sshd -T" in said


def test_the_name_guard_speaks_when_a_package_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "reports"
    other.mkdir()
    (other / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "scanner", "checks", "list"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == cli.WRONG_INPUT
    assert "the package 'reports' is found in" in done.stderr


def test_doctor_finds_nothing_wrong_here_and_says_what_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keurmeester("doctor") == 0
    assert "WRONG" not in capsys.readouterr().out
    (tmp_path / "runs").mkdir(mode=0o755)
    assert keurmeester("doctor") == cli.WRONG_INPUT
    assert "WRONG  runs/ has mode 755: evidence is private; run `chmod 700 runs`" in capsys.readouterr().out


def test_a_fault_of_ours_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_config: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(cli.scopes, "read_config", broken)
    assert keurmeester("checks", "list") == cli.INTERNAL
    assert "a fault of the scanner itself: ZeroDivisionError: planted" in capsys.readouterr().err
