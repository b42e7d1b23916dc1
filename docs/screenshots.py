"""The pictures of the report in the README: a made-up municipality, drawn by the real report in a real browser.

python docs/screenshots.py      writes docs/images/report-nl.png and report-en.png
"""

# ruff: noqa: TID251 -- draws pictures; judges nothing

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "images"
WIDTH: Final = 1180

sys.path.insert(0, str(ROOT))


def picture(
    browser: Browser, page: Path, name: str, *, language: str, scheme: str, start: str, end: str
) -> None:
    """The part of the report from the top of one element to the bottom of another."""
    context = browser.new_context(viewport={"width": WIDTH, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    tab = context.new_page()
    tab.goto(f"{page.as_uri()}?lang={language}")
    tab.wait_for_selector("#explorer:not([hidden])")
    top, bottom = tab.locator(start).first.bounding_box(), tab.locator(end).first.bounding_box()
    assert top is not None
    assert bottom is not None
    above = max(top["y"] - 24, 0)
    aside = max(top["x"] - 24, 0)
    tab.screenshot(
        path=IMAGES / name,
        full_page=True,
        clip={
            "x": aside,
            "y": above,
            "width": WIDTH - aside,
            "height": bottom["y"] + bottom["height"] + 24 - above,
        },
    )
    context.close()


def main() -> None:
    """Scan nothing, write a report of the made-up fleet, and photograph it."""
    from reports.html import write
    from tests.report_data import municipality

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = write(municipality(Path(folder) / "20261123T200412Z-5eed01"))
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                  "--disable-background-networking", "--disable-component-update"],
        )  # fmt: skip
        picture(
            browser,
            page,
            "report-nl.png",
            language="nl",
            scheme="light",
            start=".masthead",
            end=".principles",
        )
        picture(
            browser,
            page,
            "report-en.png",
            language="en",
            scheme="light",
            start="#systems-title",
            end=".card[open]",
        )
        browser.close()


if __name__ == "__main__":
    main()
