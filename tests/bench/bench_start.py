"""How long it takes before the first word: `keurmeester --version` against an empty Python program.

Also which transports a scan of this machine alone imports: none, for it uses none.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import figure
from tests.bench.process import REPOSITORY, alternate, run

ROUNDS = 15
TRANSPORTS = {"paramiko", "winrm", "pypsrp", "ldap3"}


def main() -> None:
    """Measure and print."""
    program = Path(sys.executable).with_name("keurmeester")
    version, bare = alternate(
        [lambda: run([program, "--version"]), lambda: run([sys.executable, "-c", "1"])], ROUNDS
    )
    figure("start: --version, x python -c 1", version.wall / bare.wall, "<= 5")
    with tempfile.TemporaryDirectory() as out:
        words = ["-m", "scanner", "scan", "--quiet", "--out", out]
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *words],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    imported = {
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "scanner.engine" in imported
    figure("start: transports imported to scan this machine", len(imported & TRANSPORTS), "<= 0")


if __name__ == "__main__":
    main()
