"""The HTML report: what it holds, that it adds up, and that nothing in it can act."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import tomllib
from array import array
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import escape
from reports.html import columns, view, words, write
from reports.runfolder import STATES, Head, RunFolder, parse
from scanner import InputError, visible
from tests import report_data

HERE = Path(__file__).parent.parent / "reports" / "html"


class Page(HTMLParser):
    """The page as a browser without CSS reads it: tags, and the text of one language."""

    VOID = frozenset({"meta", "br", "input", "rect", "path", "use", "circle", "img", "link"})

    def __init__(self, path: Path, language: str = "nl") -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, list[str]] = {"script": [], "style": []}
        self.words: list[str] = []
        self._language, self._open = language, list[tuple[str, bool]]()
        self.feed(self.source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            hidden = dict(attrs).get("lang") not in (None, self._language) and tag != "html"
            self._open.append((tag, hidden or bool(self._open and self._open[-1][1])))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        inside, hidden = self._open[-1] if self._open else ("", False)
        if inside in self.blocks:
            self.blocks[inside].append(data)
        elif not hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words)).replace("\u00ad", "")

    @property
    def policy(self) -> str:
        return next(
            a["content"] or "" for t, a in self.tags if a.get("http-equiv") == "Content-Security-Policy"
        )


def unpacked(page: Page) -> list[tuple[str, str, str, str, str, str, str]]:
    """The embedded findings, read the way the script reads them."""
    packed = next(block for block in page.blocks["script"] if not block.startswith('"use strict"'))
    blob = gzip.decompress(base64.b64decode(packed))
    (size,) = struct.unpack_from("<I", blob)
    head = json.loads(blob[4 : 4 + size])
    at, table = 4 + size, {}
    for name, length in head["columns"].items():
        table[name] = array("I", blob[at : at + 4 * length])
        at += 4 * length
    assert at == len(blob)
    code, observed, expected = table["code"], table["observed"], table["expected"]
    subject = dict(zip(table["named"], table["subject"], strict=True))
    since = [*table["since"], len(code)]
    target = [who for place, who in enumerate(table["target"]) for _ in range(since[place], since[place + 1])]
    rows, detail = [], 0
    for place, kind in enumerate(code):
        check, severity, *_ = head["kinds"][kind >> 3]
        said = ("", "")
        if head["full"] or kind & 7 < 4:
            said = head["texts"][observed[detail]], head["texts"][expected[detail]]
            detail += 1
        rows.append(
            (
                head["targets"][target[place]],
                check,
                head["subjects"][subject.get(place, 0)],
                STATES[kind & 7],
                severity,
                *said,
            )
        )
    assert detail == len(observed) == len(expected)
    return rows


def results(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "results.jsonl").read_bytes().splitlines()]


def change(run: Path, name: str, **values: Any) -> None:
    content = json.loads((run / name).read_text())
    content.update(values)
    (run / name).write_text(json.dumps(content))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return report_data.municipality(tmp_path / "20261123T200412Z-5eed01")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_data.hostile(tmp_path_factory.mktemp("hostile") / "20261123T200412Z-5eed02")


# What it says


def test_page_is_one_private_file_and_leaves_no_draft(run: Path) -> None:
    path = write(run)
    assert path == run / "report.html"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not list(run.glob("*.part"))


def test_counts_stand_with_their_denominators(run: Path) -> None:
    about = json.loads((run / "run.json").read_text())
    text = Page(write(run)).text
    assert "13 van 14" in text
    assert f"{about['coverage']['established']} van {about['coverage']['applicable']}" in text
    for principle in json.loads((run / "assessment.json").read_text())["principles"]:
        assert f"{principle['established']} van {principle['applicable']} vastgesteld" in text
        assert principle["title_nl"] in text


def test_every_failed_check_shows_why_fix_verify_and_evidence(run: Path) -> None:
    page = Page(write(run))
    failed = {row["check"] for row in results(run) if row["status"] == "fail"}
    checks = {check["id"]: check for check in json.loads((run / "checks.json").read_text())}
    links = {attributes.get("href") for tag, attributes in page.tags if tag == "a"}
    assert failed
    for check in failed:
        assert checks[check]["why_nl"] in page.text
        assert " ".join(checks[check]["fix"].split()) in page.text
        assert " ".join(checks[check]["verify"].split()) in page.text
        one = next(row for row in results(run) if row["check"] == check and row["status"] == "fail")
        assert f"evidence/{one['evidence'][0][:2]}/{one['evidence'][0]}.zst" in links


def test_gravest_checks_come_first_and_only_they_are_unfolded(run: Path) -> None:
    cards = [
        a for tag, a in Page(write(run)).tags if tag == "details" and (a["class"] or "").startswith("card")
    ]
    order = [report_data.SEVERITIES.index((card["class"] or "").split()[1]) for card in cards]
    assert order == sorted(order)
    assert ["open" in card for card in cards] == [place < view.UNFOLDED for place in range(len(cards))]


def test_what_could_not_be_seen_is_told_by_cause_with_the_systems(run: Path) -> None:
    text = Page(write(run)).text
    assert "Geen antwoord op tijd" in text
    assert "35 oordelen over 1 systeem en 35 controles" in text
    assert "Onvoldoende rechten" in text
    assert "sudo: a password is required" in text


def test_norm_tells_outcome_and_the_part_not_measured(run: Path) -> None:
    norm = json.loads((run / "assessment.json").read_text())["norms"][0]
    covered = len(norm["controls"]) - norm["summary"]["not_covered"]
    text = Page(write(run)).text
    assert f"Geheel of deels gemeten: {covered} van {len(norm['controls'])} eisen" in text
    assert f"{norm['summary']['not_covered']} eisen zijn niet gemeten" in text
    assert "Niet gemeten: De procedure eromheen." in text


def test_calendar_tells_who_renews_what_when(run: Path) -> None:
    said = Page(write(run)).text
    assert "Certificaten: wie vernieuwt wat wanneer" in said
    assert "2 certificaten verlopen binnen 30 dagen, of eerder al." in said
    assert "zaken.zeedrecht.example" in said
    assert "10 december 2026nog 16 dagen" in said
    assert "aanvragen bij de eigen CA" in said
    assert "20 november 2026verlopen" in said
    assert "niet in de inventaris" in said


def test_run_of_before_the_calendar_has_none(run: Path) -> None:
    assessment = json.loads((run / "assessment.json").read_text())
    del assessment["calendar"]
    (run / "assessment.json").write_text(json.dumps(assessment))
    assert "wie vernieuwt wat wanneer" not in Page(write(run)).text


def test_limits_set_otherwise_and_replay_are_told(run: Path) -> None:
    text = Page(write(run)).text
    assert "tls.certificate-expiry: days = 14 (standaard 30)" in text
    assert f"keurmeester replay runs/{run.name}" in text


def test_english_says_the_same_in_english(run: Path) -> None:
    text = Page(write(run), "en").text
    assert "13 of 14" in text
    assert "How to fix it" in text
    assert "Zo herstelt u het" not in text


def test_partial_run_says_so(run: Path) -> None:
    change(run, "run.json", status="partial")
    assert "Deze meting is afgebroken" in Page(write(run)).text


def test_counts_that_do_not_agree_are_told_not_hidden(run: Path) -> None:
    assert "Let op:" not in Page(write(run)).text
    with (run / "results.jsonl").open("ab") as out:
        out.write(b'{"run":"x","target":"web01","che')
    text = Page(write(run)).text
    assert "results.jsonl telt 506 oordelen, run.json noemt er 506; niet te lezen: 1 regel" in text


def test_run_of_this_machine_that_saw_nothing_still_makes_a_page(run: Path) -> None:
    (run / "results.jsonl").write_text("")
    (run / "checks.json").write_text("[]")
    nothing = dict.fromkeys(STATES, 0)
    about = json.loads((run / "run.json").read_text())
    change(
        run, "run.json", counts=nothing, coverage={"applicable": 0, "established": 0},
        inventory={**about["inventory"], "sources": []},
    )  # fmt: skip
    change(run, "assessment.json", targets=[], gaps=[], principles=[], norms=[])
    text = Page(write(run)).text
    assert "Geen afwijkingen gevonden in wat is gemeten." in text
    assert "alleen de machine waarop Keurmeester draait" in text


def test_folder_without_a_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"checks\.json is not there"):
        write(tmp_path)
    (tmp_path / "checks.json").write_text("[")
    with pytest.raises(InputError, match=r"checks\.json is damaged"):
        write(tmp_path)


def test_many_systems_are_shown_by_role_and_the_worst_by_name(tmp_path: Path) -> None:
    run = report_data.fleet(tmp_path / "run", hosts=61, checks=8)
    page = Page(write(run))
    pictures = [a for tag, a in page.tags if tag == "svg" and a.get("class") == "heatmap"]
    assert len(pictures) == 2
    assert "De meting omvat 61 systemen." in page.text
    assert "de 20 systemen met de meeste afwijkingen" in page.text


# All findings


@pytest.mark.parametrize("full", [True, False])
def test_embedded_findings_are_those_of_the_run(
    run: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    monkeypatch.setattr(columns, "FULL_ROWS", 20_000 if full else 0)

    def said(row: dict[str, Any]) -> tuple[str, str]:
        quiet = row["status"] in ("pass", "notapplicable")
        return ("", "") if quiet and not full else (row["observed"], row["expected"])

    expected = [
        (row["target"], row["check"], row["subject"], row["status"], row["severity"], *said(row))
        for row in results(run)
    ]
    assert unpacked(Page(write(run))) == expected


def test_texts_beyond_the_budget_are_left_out_and_marked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "TEXT_BUDGET", 200)
    rows = unpacked(Page(write(run)))
    assert len(rows) == len(results(run))
    assert sum(row[5] == "\0" for row in rows) > 100


def test_large_run_stays_small(tmp_path: Path) -> None:
    run = report_data.fleet(tmp_path / "run", hosts=201, checks=100)
    size, lines = write(run).stat().st_size, (run / "results.jsonl").stat().st_size
    assert size < lines / 6
    assert "staat de waarneming alleen in results.jsonl" in Page(run / "report.html").text


def test_examples_per_check_are_bounded_and_the_rest_is_counted(tmp_path: Path) -> None:
    run = report_data.fleet(tmp_path / "run", hosts=80, checks=4)
    failed = Counter(row["check"] for row in results(run) if row["status"] == "fail")
    text = Page(write(run)).text
    for count in failed.values():
        assert f"De eerste {columns.EXAMPLES} van {count} staan hieronder." in text


# Reading a run folder


def heads(run: Path) -> list[tuple[str, Head]]:
    return [(target, head) for target, head, _ in RunFolder.open(run).findings(lambda head: head)]


def plainly(run: Path) -> list[tuple[str, Head]]:
    return [(row["target"], Head(*(row[name] for name in Head._fields))) for row in results(run)]


def test_heads_recognised_by_their_bytes_are_the_parsed_ones(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    monkeypatch.setattr("reports.runfolder.parse", lambda line: read.append(line) or parse(line))
    assert heads(run) == plainly(run)
    assert len(read) < len(results(run))


def test_lines_of_another_writer_give_the_same(run: Path) -> None:
    expected = plainly(run)
    backwards = [json.dumps(dict(reversed(row.items()))) for row in results(run)]
    mixed = [
        json.dumps(
            {name: row[name] for name in ("run", "target", "check", "principles", *row)},
            separators=(",", ":"),
        )
        for row in results(run)
    ]
    for lines in (backwards, mixed):
        (run / "results.jsonl").write_text("\n".join(lines) + "\n")
        assert heads(run) == expected
        assert [row[5] for row in unpacked(Page(write(run)))] == [row["observed"] for row in results(run)]


def test_damaged_lines_are_counted_and_the_rest_is_read(run: Path) -> None:
    lines = (run / "results.jsonl").read_bytes().splitlines(keepends=True)
    broken = [b"\n", b"null\n", b"{}\n", b"\xff\xfe\n", lines[0].replace(b'"pass"', b'"splendid"')]
    (run / "results.jsonl").write_bytes(b"".join([*lines[:7], *broken, *lines[7:], lines[1][:-9]]))
    folder = RunFolder.open(run)
    assert len(columns.read(folder).code) == len(lines)
    assert folder.unreadable == 6


@given(st.text(), st.text(max_size=8), st.sampled_from(STATES))
def test_any_text_comes_through_the_columns(observed: str, subject: str, state: str) -> None:
    row = {
        "run": "r", "target": "h", "check": "a.b", "check_version": 1, "subject": subject, "status": state,
        "cause": None, "severity": "low", "principles": ["P"], "observed": observed, "expected": "", "evidence": [],
        "collected_at": None,
    }  # fmt: skip
    details = columns._Details([columns._OMITTED, ""])
    for _ in range(2):
        line = (json.dumps(row, separators=(",", ":")) + "\n").encode()
        number, nothing = details.read(line)
        assert details.texts[number] == visible(observed)
        assert nothing == 1


# Nothing in it can act


@given(st.text())
def test_visible_leaves_only_what_can_be_seen(text: str) -> None:
    seen = visible(text)
    assert seen.isprintable()
    assert text.isprintable() is (seen == text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31m", "⟦U+001B⟧[31m"),
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("a\0b", "a⟦U+0000⟧b"),
        ("one\ntwo", "one ⏎ two"),
        ("\u200b\ufeff\u2066", "⟦U+200B⟧⟦U+FEFF⟧⟦U+2066⟧"),
        ("\ud800", "⟦U+D800⟧"),
        ("café – ✓ 漢字", "café – ✓ 漢字"),
    ],
)
def test_visible_names_what_cannot_be_seen(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_long_text_is_cut_and_says_so() -> None:
    assert escape.shown("x" * 501) == ("x" * 500, 501)
    assert escape.shown("x" * 500) == ("x" * 500, 0)


def test_hostile_text_stays_text(hostile: Path) -> None:
    page = Page(write(hostile))
    strange = {character for character in page.source if not character.isprintable()} - {"\n", "\u00ad"}
    assert strange == set()
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not [
        tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "embed", "link", "base", "form")
    ]
    assert "<script>window.owned=1</script>" in page.text
    assert "{{ 7*7 }}{% raw %}${7*7}&lt;b&gt;" in page.text
    assert "ingekort; de hele tekst heeft 1.000.003 tekens" in page.text
    assert len(page.source) < 1_000_000


def test_page_loads_and_sends_nothing_and_runs_only_its_own_script(hostile: Path) -> None:
    page = Page(write(hostile))
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        assert "src" not in attributes
        href = attributes.get("href") or "#"
        assert href.startswith(("#", "evidence/")), href
    assert not re.search(r"https?://", "".join(page.blocks["script"] + page.blocks["style"]))
    script = page.blocks["script"][-1]
    for text, kind in ((script, "script-src"), (page.blocks["style"][0], "style-src")):
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in page.policy
    assert page.policy.startswith("default-src 'none';")
    assert "unsafe" not in page.policy
    for needed in (
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ):
        assert needed in page.policy


def test_script_is_small_and_puts_no_text_in_as_markup() -> None:
    script = (HERE / "report.js").read_text()
    assert len(script.encode()) < 20_000
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(|fetch|XMLHttp", script
    )


def test_template_escapes_all_it_shows() -> None:
    template = (HERE / "report.html.j2").read_text()
    assert "safe" not in re.findall(r"\|\s*(\w+)", template)
    assert "autoescape" not in template


# Words


def test_every_label_speaks_both_languages_and_fills_in_the_same() -> None:
    def slots(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)", text))

    labels = tomllib.loads((HERE / "labels.toml").read_text())
    for name, label in labels.items():
        assert set(label) == {"nl", "en"}, name
        assert slots(label["nl"]) == slots(label["en"]), name


def test_every_label_is_used() -> None:
    template = (HERE / "report.html.j2").read_text()
    named = set(re.findall(r"'(\w+)'", template)) | {"lead_fail", "lead_blind", "lead_pass"}
    families = (*re.findall(r"'(\w+_)' ~", template), "confidence_")
    for name in words.labels():
        assert name in named or name.startswith(families), name
    for name in re.findall(r"\bt\('(\w+)'[,)]", template):
        assert name in words.labels()


def test_every_cause_has_words_and_a_remedy() -> None:
    from scanner import Cause

    for cause in [*Cause, "none"]:
        assert words.t(f"cause_{cause}")
        assert words.t(f"remedy_{cause}")


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "–"), (0, 9, "0%"), (1, 1000, "<1%"), (999, 1000, "99%"), (1000, 1000, "100%")],
)
def test_only_all_of_it_is_a_hundred_percent(part: int, whole: int, said: str) -> None:
    assert words.percent(part, whole) == said


def test_numbers_and_their_words_follow_the_language() -> None:
    assert "1.234 oordelen" in words.t("findings_intro", n=1234)
    assert "1,234 findings" in words.t("findings_intro", n=1234)
    assert "1 oordeel." in words.t("findings_intro", n=1)


def test_times_are_told_in_utc_and_nonsense_as_it_stands() -> None:
    assert words.moment("2026-11-23T23:30:00+01:00")["nl"] == "23 november 2026, 22:30 UTC"
    assert words.day("2026-01-09")["en"] == "9 January 2026"
    assert (
        words.period("2026-11-23T20:04:12Z", "2026-11-23T20:05:03Z")["nl"]
        == "23 november 2026, 20:04 tot 20:05 UTC"
    )
    assert words.moment("\x1bnever")["en"] == "⟦U+001B⟧never"


def test_bar_divides_all_that_applies() -> None:
    parts = view.bar({"pass": 3, "fail": 1, "notapplicable": 9}, view.APPLICABLE)
    assert parts == [("pass", "0.00", "75.00"), ("fail", "75.00", "25.00")]
    assert view.bar({}, view.APPLICABLE) == []


@pytest.fixture(autouse=True)
def _same_labels() -> Iterator[None]:
    before = dict(words.labels())
    yield
    assert words.labels() == before
