"""What is written agrees with what is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from scanner import scope as scopes
from scanner.docs import all_pages

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "checks"


@pytest.fixture(scope="module")
def loaded() -> scopes.Loaded:
    return scopes.load(scopes.Config())


def test_the_pages_of_checks_are_what_would_be_generated_now(loaded: scopes.Loaded) -> None:
    """When this fails: `make docs`."""
    generated = dict(all_pages(loaded))
    committed = {path.name: path.read_text() for path in PAGES.glob("*.md")}
    assert sorted(committed) == sorted(generated)
    assert [name for name in generated if committed[name] != generated[name]] == []


def test_every_check_is_on_a_page(loaded: scopes.Loaded) -> None:
    text = "".join(text for _, text in all_pages(loaded))
    assert [id_ for id_ in loaded.registry.checks if f"## {id_}\n" not in text] == []


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        words = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", words)
        broken += [
            f"{page.relative_to(ROOT)}: {link}"
            for link in links
            if "://" not in link and not (page.parent / link).exists()
        ]
    assert broken == []


def test_lock_files_hold_hashes_and_no_addresses() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text()
        assert text.count("--hash=sha256:") > 100
        assert "://" not in text
        for requirement in re.findall(r"^[a-z][^\n]*", text, re.MULTILINE):
            assert "==" in requirement, requirement


def test_the_example_in_the_manual_is_a_real_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code block of docs/writing-a-check.md loads, and keeps every law."""
    from scanner.declare import Registry, collecting
    from scanner.testing import LAWS

    text = (ROOT / "docs" / "writing-a-check.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code
    (tmp_path / "manual_example.py").write_text(code[1])
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    with collecting(registry):
        importlib.import_module("manual_example")
    registry.link()
    for law in LAWS.values():
        assert list(law(registry.checks["ssh.root-login"], registry)) == []
