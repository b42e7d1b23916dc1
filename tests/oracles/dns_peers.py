"""What other programs see of zones: delv and unbound-host (DNSSEC), checkdmarc (SPF and DMARC).

Each is run as a program of its own.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.oracles import program as oracle
from tests.servers.names import RESOLVER, Names, program


def delv(names: Names, name: str, kind: str) -> str:
    """``secure``, ``insecure`` or ``bogus``, as BIND's validator sees it through the resolver."""
    anchors = names.folder / "anchors.conf"
    if not anchors.exists():
        _, _, _, tag, algorithm, digest, *data = names.anchor.read_text().split()
        anchors.write_text(
            f'trust-anchors {{ . static-ds {tag} {algorithm} {digest} "{"".join(data)}"; }};\n'
        )
    said = _run("delv", f"@{RESOLVER}", "-a", str(anchors), "+root=.", "-4", name, kind)
    for words, status in (
        ("fully validated", "secure"),
        ("unsigned answer", "insecure"),
        ("resolution failed", "bogus"),
    ):
        if words in said:
            return status
    raise RuntimeError(f"delv {name} {kind}: {said}")


def unbound_host(names: Names, name: str, kind: str) -> str:
    """The same, as Unbound's validator sees it from the root itself."""
    conf = names.folder / "unbound-host.conf"
    if not conf.exists():
        lines = (names.folder / "unbound" / "unbound.conf").read_text().partition("remote-control:")[0]
        conf.write_text("".join(f"{one}\n" for one in lines.splitlines() if "interface:" not in one))
    said = _run("unbound-host", "-C", str(conf), "-v", "-t", kind, name)
    for words, status in (("(secure)", "secure"), ("(insecure)", "insecure"), ("(BOGUS", "bogus")):
        if words in said:
            return status
    raise RuntimeError(f"unbound-host {name} {kind}: {said}")


def checkdmarc(*domains: str) -> dict[str, dict[str, Any]]:
    """Domain -> what checkdmarc says of it."""
    done = subprocess.run(
        [oracle("checkdmarc"), "-n", RESOLVER, "-t", "5", "-f", "json", *domains],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return {one["domain"]: one for one in (found if isinstance(found, list) else [found])}


def _run(name: str, *words: str) -> str:
    done = subprocess.run([program(name), *words], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr
