"""A third party's checks, in a wheel of their own: refused until allowed, then as good as ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin's wheel unpacked as pip does it."""
    work = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(work), str(PLUGIN)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(work.glob("*.whl"))
    site = work / "site"
    install = [*pip, "install", "-q", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return site


def keurmeester(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanner", *words],
        cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip


def test_refused_until_allow_listed(installed: Path, tmp_path: Path) -> None:
    done = keurmeester(installed, tmp_path, "checks", "show", "motd.no-version")
    assert done.returncode == 3
    done = keurmeester(installed, tmp_path, "plan")
    assert "keurmeester-motd brings checks but is not on the list" in done.stderr
    assert "/etc/issue" not in done.stdout


def test_allowed_it_scans_explains_and_documents_itself(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "keurmeester.yaml").write_text("plugins: [keurmeester-motd]\n")
    shown = keurmeester(installed, tmp_path, "checks", "show", "motd.no-version", "--json")
    assert shown.returncode == 0, shown.stderr
    controls = json.loads(shown.stdout)["controls"]["bio2-1.3"]
    assert {"control": "8.9", "relation": "supports"} in [
        {key: link[key] for key in ("control", "relation")} for link in controls
    ]
    done = keurmeester(installed, tmp_path, "scan", "--only", 'topic == "keurmeester_motd"', "--quiet")
    assert done.returncode in (0, 1), done.stderr
    run = next((tmp_path / "runs").iterdir())
    header = json.loads((run / "run.json").read_text())
    assert [(one["name"], one["version"]) for one in header["plugins"]][1:] == [("keurmeester-motd", "1.2.3")]
    findings = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    assert [one["check"] for one in findings] == ["motd.no-version"]
    assert findings[0]["status"] in ("pass", "fail")
    explained = keurmeester(
        installed, tmp_path, "explain", "motd.no-version", "--target", findings[0]["target"]
    )
    assert "cat -- /etc/issue" in explained.stdout
    assert "supports 8.9" in explained.stdout
    assert f"{findings[0]['status']}: {findings[0]['observed']}" in explained.stdout
    assert keurmeester(installed, tmp_path, "replay", str(run)).returncode == 0
    keurmeester(installed, tmp_path, "checks", "docs", "pages")
    assert "motd.no-version" in (tmp_path / "pages" / "linux-keurmeester_motd.md").read_text()


def test_it_gets_the_free_tests(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_motd.py").write_text(
        "from scanner.testing import generic_tests\ntest_check = generic_tests('keurmeester_motd')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_motd.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "5 passed" in done.stdout, done.stdout


def test_a_plugin_that_breaks_at_load_is_named(installed: Path, tmp_path: Path) -> None:
    import shutil

    site = Path(shutil.copytree(installed, tmp_path / "site"))
    (site / "keurmeester_motd" / "__init__.py").write_text("import nothing_like_this\n")
    (tmp_path / "keurmeester.yaml").write_text("plugins: [keurmeester-motd]\n")
    done = keurmeester(site, tmp_path, "checks", "list")
    assert done.returncode == 3
    assert (
        "the plugin keurmeester-motd 1.2.3 cannot be loaded: No module named 'nothing_like_this'"
        in done.stderr
    )
