"""The terminal summary: short, readable without colour, and deaf to what targets try to tell the terminal."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte
import pytest
from rich.console import Console

from reports.runfolder import STATES
from reports.terminal import write
from scanner import Cause, InputError
from tests import report_data

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_data.municipality(tmp_path_factory.mktemp("run") / "20261123T200412Z-5eed01")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_data.hostile(tmp_path_factory.mktemp("hostile") / "20261123T200412Z-5eed02")


def told(run: Path, lang: str = "nl", width: int = 80) -> str:
    """What a pipe gets."""
    out = io.StringIO()
    write(run, lang=lang, console=Console(file=out, width=width, highlight=False))
    return out.getvalue()


class Title(pyte.Screen):
    """A screen that remembers whether anyone set its title or rang its bell."""

    disturbed = False

    def set_title(self, param: str) -> None:
        self.disturbed = True

    def set_icon_name(self, param: str) -> None:
        self.disturbed = True

    def bell(self, *args: object) -> None:
        self.disturbed = True


def on_terminal(run: Path, lang: str, *, columns: int = 80, **environment: str) -> tuple[bytes, Title]:
    """Print in a real pseudo terminal; the bytes that came out, and the screen they make."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    code = f"from pathlib import Path; from reports.terminal import write; write(Path({str(run)!r}), lang={lang!r})"
    clean = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")
    }
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT, stdin=side, stdout=side, stderr=side, close_fds=True,
        env={**clean, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
    )  # fmt: skip
    os.close(side)
    parts = []
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(main)
    assert child.wait() == 0
    screen = Title(columns, 60)
    pyte.ByteStream(screen).feed(b"".join(parts))
    return b"".join(parts), screen


def test_each_principle_has_a_word_counts_and_coverage(run: Path) -> None:
    text = told(run)
    for principle in json.loads((run / "assessment.json").read_text())["principles"]:
        line = next(line for line in text.splitlines() if principle["title_nl"] in line)
        counts = principle["counts"]
        blind = counts["error"] + counts["unknown"] + counts["notchecked"]
        assert re.search(rf" {counts['pass']} +{counts['fail']} +{blind} ", line)
        assert f"{principle['established']}/{principle['applicable']}" in line
        assert ("✗ voldoet niet" if principle["state"] == "fail" else "! niet vastgesteld") in line


def test_five_gravest_checks_come_with_their_fix(run: Path) -> None:
    text = told(run)
    assert text.count("  → ") == 5
    assert "✗ kritiek  De firewall laat alleen binnen wat is toegestaan · 3 van 14 systemen" in text
    assert (
        "  → nft add chain inet filter input '{ type filter hook input priority 0; policy drop; }'  (+2)"
        in text
    )
    assert "en nog 21 andere controles die niet voldoen" in text


def test_what_could_not_be_seen_paths_and_exit_code_are_told(run: Path) -> None:
    text = told(run)
    assert "!   35 oordelen · geen antwoord op tijd op mail01" in text
    assert "?    1 oordeel  · antwoord niet begrepen op app02" in text
    assert str(run / "report.html") in text
    assert "Exitcode 2: niet alles kon worden vastgesteld" in text


def test_what_ends_within_a_month_is_told_and_what_does_not_is_not(tmp_path: Path) -> None:
    run = report_data.municipality(tmp_path / "run")
    said = told(run)
    assert "2 certificaten verlopen binnen 30 dagen; het eerst oud.zeedrecht.example (2026-11-20)" in said
    assert "www.zeedrecht.example" not in said
    assessment = json.loads((run / "assessment.json").read_text())
    assessment["calendar"]["entries"] = assessment["calendar"]["entries"][2:]
    (run / "assessment.json").write_text(json.dumps(assessment))
    assert "binnen 30 dagen" not in told(run)


def test_english(run: Path) -> None:
    text = told(run, "en")
    assert "Default deny" in text
    assert "Fix first" in text
    assert "Exit code 2: not everything could be established" in text
    assert "voldoet" not in text


def test_main_part_fits_a_small_terminal(run: Path) -> None:
    lines = told(run).splitlines()
    assert lines.index("Eerst herstellen") <= 16
    assert len(lines) <= 38


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_narrow_terminal_cuts_names_but_never_numbers(run: Path, columns: int) -> None:
    _, screen = on_terminal(run, "nl", columns=columns)
    assert screen.display[0].startswith("Keurmeester")
    principles = json.loads((run / "assessment.json").read_text())["principles"]
    for number, principle in enumerate(principles, 1):
        line = next(line for line in screen.display if line.startswith(f"{number} "))
        assert f"{principle['established']}/{principle['applicable']}" in line


def test_pipe_and_no_color_get_no_escape_sequences(run: Path) -> None:
    assert "\x1b" not in told(run)
    out, screen = on_terminal(run, "nl", NO_COLOR="1")
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", out)
    assert "✗ voldoet niet" in "\n".join(screen.display)


def test_states_differ_in_sign_not_only_in_colour(run: Path) -> None:
    from reports import terminal

    assert len({terminal._SIGN[state] for state in STATES}) == len(STATES)
    for words in terminal._WORDS.values():
        assert len({words[state] for state in STATES}) == len(STATES)


def test_both_languages_have_the_same_words() -> None:
    from reports import terminal

    assert terminal._WORDS["nl"].keys() == terminal._WORDS["en"].keys()
    for causes in terminal._CAUSES.values():
        assert causes.keys() == {*Cause, "notchecked", ""}


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_hostile_text_reaches_no_terminal(hostile: Path, lang: str) -> None:
    out, screen = on_terminal(hostile, lang)
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", out).decode()
    assert not [c for c in plain if not c.isprintable() and c not in "\r\n"]
    assert b"\x1b]" not in out
    assert not screen.disturbed
    assert "Keurmeester" in screen.display[0]
    if lang == "nl":
        assert "<script>window.owned=1</script>" in plain
        assert "⟦U+001B⟧]0;OWNED⟦U+0007⟧" in plain or "nul⟦U+0000⟧bell" in plain
    assert len(plain) < 10_000


def test_hostile_markup_is_text(tmp_path: Path) -> None:
    run = report_data.municipality(tmp_path / "run")
    checks = json.loads((run / "checks.json").read_text())
    for check in checks:
        check["title_nl"], check["fix"] = "[red]title[/red] [/]", "[link=file:///etc/passwd]fix[/link]"
    (run / "checks.json").write_text(json.dumps(checks))
    text = told(run)
    assert "[red]title[/red] [/]" in text
    assert "→ [link=file:///etc/passwd]fix[/link]" in text


def test_a_remark_that_leads_the_fix_is_the_change_to_make(tmp_path: Path) -> None:
    run = report_data.municipality(tmp_path / "run")
    checks = json.loads((run / "checks.json").read_text())
    for check in checks:
        check["fix"] = "# nginx: ssl_early_data off;\nsystemctl reload nginx"
    (run / "checks.json").write_text(json.dumps(checks))
    assert told(run).count("→ # nginx: ssl_early_data off;  (+1)") == 5


def test_run_without_deviations_says_so(tmp_path: Path) -> None:
    run = report_data.municipality(tmp_path / "run")
    lines = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    kept = [json.dumps(line) + "\n" for line in lines if line["status"] != "fail"]
    (run / "results.jsonl").write_text("".join(kept))
    assert "✓ Geen afwijkingen in wat is gemeten." in told(run)


def test_partial_and_damaged_runs_say_so(tmp_path: Path) -> None:
    run = report_data.municipality(tmp_path / "run")
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "status": "partial"}))
    with (run / "results.jsonl").open("a") as out:
        out.write('{"run":')
    text = told(run)
    assert "! De meting is afgebroken" in text
    assert "! regels van results.jsonl die niet te lezen zijn: 1" in text


def test_folder_without_a_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"checks\.json is not there"):
        told(tmp_path)
