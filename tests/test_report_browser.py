"""The HTML report in a real browser: accessible, calm on any screen, readable without JavaScript, and harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from reports.html import columns, write
from tests import report_data

pytestmark = pytest.mark.browser

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
AXE = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(report_data.municipality(tmp_path_factory.mktemp("report") / "20261123T200412Z-5eed01"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(report_data.hostile(tmp_path_factory.mktemp("hostile") / "20261123T200412Z-5eed02"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More systems than the picture shows by name, more findings than are embedded in full."""
    before, columns.FULL_ROWS = columns.FULL_ROWS, 1000
    try:
        return write(report_data.fleet(tmp_path_factory.mktemp("fleet") / "run", hosts=62, checks=17))
    finally:
        columns.FULL_ROWS = before


class Opened:
    """A report in a tab, and all it asked for, said and tried."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            self.page.wait_for_selector("#explorer:not([hidden])")

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def english(self) -> None:
        self.page.locator("label:has(#lang-en)").click()

    def axe(self, where: str = "html") -> list[str]:
        """What axe-core finds wrong; run through the debugger, so that the policy of the page stays in force."""
        self.page.evaluate(AXE_SCRIPT)
        found = self.page.evaluate("([where, options]) => axe.run(where, options)", [where, AXE])
        return [
            f"{v['id']}: {n['html'][:160]} {n['failureSummary']}"
            for v in found["violations"]
            for n in v["nodes"]
        ]

    def shown_rows(self) -> list[list[str]]:
        lines = self.page.locator("#rows tr").all()
        return [
            [" ".join(cell.split()) for cell in line.locator("th, td").all_inner_texts()] for line in lines
        ]


# Accessible


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["nl", "en"])
def test_axe_finds_nothing_wrong(browser: Browser, report: Path, language: str, scheme: str) -> None:
    with Opened(browser, report, color_scheme=scheme) as opened:
        if language == "en":
            opened.english()
        opened.page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert opened.axe() == []
        opened.page.locator("#f-check").fill("ssh")
        expect(opened.page.locator("#next")).to_be_disabled()
        opened.page.locator("th[data-sort=target] button").click()
        assert opened.axe("#findings") == []


def test_axe_finds_nothing_wrong_in_a_large_or_hostile_report(
    browser: Browser, fleet: Path, hostile: Path
) -> None:
    for path in (fleet, hostile):
        with Opened(browser, path) as opened:
            assert opened.axe() == []


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_page_never_scrolls_sideways(
    browser: Browser, report: Path, hostile: Path, fleet: Path, width: int
) -> None:
    for path in (report, hostile, fleet):
        with Opened(browser, path, viewport={"width": width, "height": 800}) as opened:
            for language in ("nl", "en"):
                if language == "en":
                    opened.english()
                opened.page.evaluate(
                    "for (const fold of document.querySelectorAll('details')) fold.open = true"
                )
                wide = opened.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, language)


def test_text_twice_as_large_still_fits(browser: Browser, report: Path) -> None:
    with Opened(browser, report, viewport={"width": 640, "height": 800}) as opened:
        opened.page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 640


def test_language_switch_works_by_keyboard_and_tells_the_browser(browser: Browser, report: Path) -> None:
    with Opened(browser, report) as opened:
        page = opened.page
        assert page.locator("h1").inner_text().replace("\u00ad", "") == "Conformiteitsrapport"
        page.locator("#lang-nl").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("h1").inner_text() == "Conformity report"
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.title().startswith("Conformity report")
        assert "voldoet niet" not in page.locator("#summary").inner_text().lower()


def test_status_is_never_told_by_colour_alone(browser: Browser, report: Path) -> None:
    with Opened(browser, report) as opened:
        states = opened.page.locator(".state")
        assert states.count() > 60
        for state in states.all():
            assert state.locator("use").count() == 1
            assert state.inner_text(timeout=1000).strip() or not state.is_visible()
        for bar in opened.page.locator(".principle .stack").all():
            hatched = bar.locator("rect[fill^='url(#h-']").count()
            assert hatched == bar.locator("rect.fill:not(.pass)").count()


def test_forced_colours_keep_the_picture_readable(browser: Browser, report: Path) -> None:
    with Opened(browser, report, forced_colors="active") as opened:
        cell = opened.page.locator(".cell.fail").first
        colours = cell.evaluate(
            "g => [getComputedStyle(g.querySelector('rect')).fill, getComputedStyle(g.querySelector('text')).fill]"
        )
        assert colours[0] != colours[1]


# Self-contained


def test_page_asks_for_nothing_and_says_nothing(
    browser: Browser, report: Path, hostile: Path, fleet: Path
) -> None:
    for path in (report, hostile, fleet):
        with Opened(browser, path) as opened:
            opened.page.locator("#f-check").fill("a")
            opened.page.locator("#next").click()
            assert opened.requests == [path.as_uri()]
            assert opened.complaints == []


def test_policy_blocks_what_an_intruder_would_try(browser: Browser, report: Path) -> None:
    with Opened(browser, report) as opened:
        blocked = opened.page.evaluate(
            """async () => {
              const seen = [];
              document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
              try { document.body.innerHTML = "<b>x</b>"; } catch { seen.push("refused"); }
              const image = new Image(); image.src = "https://keurmeester.invalid/x.png"; document.body.append(image);
              const script = document.createElement("script");
              try { script.textContent = "window.owned = 1"; document.body.append(script); } catch { seen.push("no"); }
              await new Promise((done) => setTimeout(done, 200));
              return [seen, window.owned];
            }"""
        )
        assert blocked[1] is None
        assert {"refused", "img-src", "require-trusted-types-for"} <= set(blocked[0])


def test_reads_without_javascript(browser: Browser, report: Path) -> None:
    with Opened(browser, report, java_script_enabled=False) as opened:
        text = opened.page.locator("body").inner_text()
        assert "De beveiliging van gegevens staat voorop" in text
        assert "De firewall laat alleen binnen wat is toegestaan" in text
        assert "nft add chain inet filter input" in text
        assert "Geen antwoord op tijd" in text
        assert "De tabel met alle oordelen werkt alleen met JavaScript" in text
        assert "results.jsonl" in text
        assert "Fix first" not in text
        assert not opened.page.locator("#explorer").is_visible()
        opened.page.locator("label:has(#lang-en)").click()
        assert "Summary per principle" in opened.page.locator("body").inner_text()
        assert opened.complaints == []


def test_browser_that_cannot_unpack_is_told_where_the_findings_are(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "report.html"
    source = report.read_text()
    start = source.index('id="data">') + len('id="data">')
    broken.write_text(source[:start] + "AAAA" + source[start:])
    context = browser.new_context()
    page = context.new_page()
    page.goto(broken.as_uri())
    page.wait_for_selector("#explorer-failed:not([hidden])")
    assert "results.jsonl" in page.locator("#explorer-failed").inner_text()
    context.close()


# All findings


def results(report: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (report.parent / "results.jsonl").read_text().splitlines()]


def test_table_holds_every_finding_worst_first(browser: Browser, report: Path) -> None:
    rows = results(report)
    with Opened(browser, report) as opened:
        page = opened.page
        found = page.locator("#found")
        assert (
            found.inner_text()
            == f"{len(rows)} van {len(rows)} oordelen; bladzijde 1 van {-(-len(rows) // 50)}"
        )
        first = opened.shown_rows()[0]
        assert first[:2] == ["Voldoet niet", "Kritiek"]
        assert len(opened.shown_rows()) == 50
        seen = 0
        while True:
            seen += page.locator("#rows tr").count()
            if page.locator("#next").is_disabled():
                break
            page.locator("#next").click()
        assert seen == len(rows)
        page.locator("#previous").click()
        assert page.locator("#rows tr").count() == 50


def test_filters_narrow_down_and_can_be_cleared(browser: Browser, report: Path) -> None:
    rows = results(report)
    with Opened(browser, report) as opened:
        page = opened.page
        page.locator(".chip:has(input[name=state][value='0'])").click()
        page.locator(".chip:has(input[name=severity][value=high])").click()
        page.locator("#f-system").fill("WEB")
        count = sum(r["status"] == "fail" and r["severity"] == "high" and "web" in r["target"] for r in rows)
        assert count
        expect(page.locator("#rows tr")).to_have_count(count)
        assert all(row[0] == "Voldoet niet" and row[2].startswith("web") for row in opened.shown_rows())
        page.locator("#f-clear").click()
        page.locator("#f-check").fill("permitrootlogin YES")
        count = sum("PermitRootLogin yes" in r["observed"] for r in rows)
        assert count
        expect(page.locator("#rows tr")).to_have_count(count)
        opened.english()
        assert page.locator("#found").inner_text() == f"{count} of {len(rows)} findings; page 1 of 1"


@pytest.mark.parametrize(("column", "key"), [("target", "target"), ("check", "check")])
def test_headings_sort_both_ways_and_say_so(browser: Browser, report: Path, column: str, key: str) -> None:
    names = sorted(row[key] for row in results(report))
    with Opened(browser, report) as opened:
        heading = opened.page.locator(f"th[data-sort={column}]")
        place = {"target": 2, "check": 3}[column]
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert opened.page.locator("th[aria-sort]").count() == 1
        first = names[0].replace("*", "alle systemen samen")
        assert first in opened.shown_rows()[0][place]
        heading.locator("button").press("Enter")
        assert heading.get_attribute("aria-sort") == "descending"
        assert names[-1] in opened.shown_rows()[0][place]


def test_card_leads_to_its_findings_in_the_table(browser: Browser, fleet: Path) -> None:
    with Opened(browser, fleet) as opened:
        link = opened.page.locator("a[data-check]").first
        check = link.get_attribute("data-check")
        link.click()
        rows = opened.shown_rows()
        assert rows
        assert all(row[0] == "Voldoet niet" and check in row[3] for row in rows)


def test_large_report_shows_details_of_what_is_wrong_only(browser: Browser, fleet: Path) -> None:
    with Opened(browser, fleet) as opened:
        opened.page.locator(".chip:has(input[name=state][value='4'])").click()
        assert {row[4] for row in opened.shown_rows()} == {""}
        opened.page.locator("#f-clear").click()
        assert all("/etc/some/file" in row[4] for row in opened.shown_rows())


# Harmless


def test_hostile_text_is_shown_as_text_and_does_nothing(browser: Browser, hostile: Path) -> None:
    with Opened(browser, hostile) as opened:
        page = opened.page
        shown = page.locator("main").inner_text()
        for step in range(11):
            shown += page.locator("#rows").inner_text()
            if not page.locator("#next").is_disabled():
                page.locator("#next").click()
            assert step < 11
        for text in (
            "<script>window.owned=1</script>",
            "</script><img src=x onerror=window.owned=1>",
            "⟦U+001B⟧]0;OWNED⟦U+0007⟧",
            "safe⟦U+202E⟧gnp.exe⟦U+2066⟧",
            "nul⟦U+0000⟧bell",
            "{{ 7*7 }}{% raw %}${7*7}&lt;b&gt;",
            "1.000.003 tekens",
        ):
            assert text in shown
        assert "49" not in page.locator(".card .said").all_inner_texts()
        assert page.evaluate("window.owned") is None
        assert page.locator("img").count() == 0
        assert opened.complaints == []
        assert opened.requests == [hostile.as_uri()]


# Paper


def test_paper_unfolds_the_findings_and_leaves_the_controls_out(browser: Browser, report: Path) -> None:
    with Opened(browser, report) as opened:
        page = opened.page
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert not page.locator("#findings").is_visible()
        assert not page.locator(".contents").is_visible()
        assert page.locator(".card pre").last.is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator(".card[open]").count() == 3
        assert page.pdf()[:5] == b"%PDF-"
