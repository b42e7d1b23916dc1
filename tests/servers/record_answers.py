"""Writes checks/network/example_chains.py: what the real name servers of tests/servers/names.py answered.

python -m tests.servers.record_answers
"""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from checks.network.dns_signing import CHAIN_LIMIT, signing_questions
from checks.network.mail_domain import exchanger_questions
from scanner.channels.dns import look_up
from scanner.sources import Lookup
from tests.servers.names import RESOLVER, Names, Signing, Zone

FILE: Final = Path(__file__).parents[2] / "checks/network/example_chains.py"
MAIL: Final = (
    f"@ MX 10 mail\nmail A 192.0.2.25\nmail AAAA 2001:db8::25\n_25._tcp.mail TLSA 3 1 1 {'ab' * 32}\n"
)
ZONES: Final = (
    Zone("good", MAIL),
    Zone("unsigned", MAIL, None),
    Zone("no-ds", MAIL, Signing(ds="none")),
    Zone("expired", MAIL, Signing(since=-40, until=-10)),
    Zone("wrong-ds", MAIL, Signing(ds="wrong")),
    Zone("sha1", MAIL, Signing(algorithm="RSASHA1", bits=2048)),
    Zone("short-key", MAIL, Signing(algorithm="RSASHA256", bits=1024)),
    Zone("nsec3", MAIL, Signing(salt="")),
    Zone("salted", MAIL, Signing(salt="aabb", iterations=10)),
    Zone("sha1-ds", MAIL, Signing(ds="sha1")),
)
HEAD: Final = '''"""DNS answers for the examples of checks on DNSSEC, as they came from NSD and Unbound.

Recorded by tests/servers/record_answers.py, under a root of our own whose keys are gone: transcripts,
compressed (zlib, base85).
"""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

#: When they were recorded; the good signatures run out 30 days later.
TAKEN: Final = datetime.fromtimestamp({taken}, UTC)
LATER: Final = TAKEN + timedelta(days=29)
#: The key of that root.
ANCHOR: Final = "{anchor}"


def recorded(name: str) -> str:
    """One transcript."""
    return zlib.decompress(base64.b85decode("".join(_RECORDED[name]))).decode()


_RECORDED: Final[dict[str, tuple[str, ...]]] = {{
'''


def main() -> None:
    """Start the servers, ask, write."""
    zones = [Zone(f"{one.name}.test", one.records, one.signing) for one in ZONES]
    with TemporaryDirectory() as folder, Names(Path(folder), zones) as names:
        asked = {
            f"chain {zone.name}": Lookup(questions=signing_questions(zone.name), limit=CHAIN_LIMIT)
            for zone in zones
        }
        for name in ("good", "unsigned", "expired"):
            host = f"mail.{name}.test"
            asked[f"exchanger {host}"] = Lookup(questions=exchanger_questions(host), limit=CHAIN_LIMIT)
        found = {key: look_up(source, [RESOLVER]).out for key, source in asked.items()}
        head = HEAD.format(taken=int(datetime.now(UTC).timestamp()), anchor=names.anchor.read_text().strip())
    lines = [head]
    for key, out in found.items():
        text = base64.b85encode(zlib.compress(out, 9)).decode()
        lines.append(f'    "{key}": (\n')
        lines += [f'        "{text[at : at + 100]}",\n' for at in range(0, len(text), 100)]
        lines.append("    ),\n")
    FILE.write_text("".join([*lines, "}\n"]))


if __name__ == "__main__":
    main()
