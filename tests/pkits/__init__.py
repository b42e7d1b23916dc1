"""The certificates and CRLs of NIST's PKITS, by name; README.md says where they come from."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_ENTRY = re.compile(r"# (\S+)\n(-----BEGIN [A-Z0-9 ]+-----\n[^-]+-----END [A-Z0-9 ]+-----\n)")


@cache
def certificates() -> dict[str, str]:
    """Every certificate by name, PEM."""
    return dict(_ENTRY.findall((_HERE / "certificates.pem").read_text()))


@cache
def crls() -> dict[str, str]:
    """Every CRL by name, PEM."""
    return dict(_ENTRY.findall((_HERE / "crls.pem").read_text()))
