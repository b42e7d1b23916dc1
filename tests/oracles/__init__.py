"""Other tools that judge the same thing, run as programs of their own: what they need, and where they are.

Each has a list of packages here, and an environment of its own in `.oracles` (or `KEURMEESTER_ORACLES`): nothing of it
is ever imported.

    python3 -m venv .oracles/ssh-audit && .oracles/ssh-audit/bin/pip install -r tests/oracles/ssh-audit.in
"""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
_FOLDER = Path(os.environ.get("KEURMEESTER_ORACLES", HERE.parents[1] / ".oracles"))


def program(name: str) -> Path:
    """The program of this name, in the environment of this name. Raises FileNotFoundError with what to do."""
    path = _FOLDER / name / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: see {HERE.name}/__init__.py for how to make it")
    return path
