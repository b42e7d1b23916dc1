"""Other programs that judge the same thing, and the endpoints they are held against.

Each is a separate program, from an environment that install.sh makes of its lock file; nothing of it is
ever imported.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@cache
def program(name: str) -> Path:
    """The program of this name, installed from NAME.lock when it is not there. Raises CalledProcessError."""
    subprocess.run([HERE / "install.sh", name], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return ROOT / ".cache/oracles" / name / "bin" / name
