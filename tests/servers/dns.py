"""Real name servers on loopback: BIND with a zone, and Unbound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.ports import address, await_words, free_port, running

_ZONE = """$TTL 300
@ SOA ns1 host 1 3600 600 86400 300
@ NS ns1
ns1 A 192.0.2.1
secret-test A 192.0.2.2
www CNAME @
"""


@contextmanager
def bind(folder: Path, *options: str, zone: str = "lab.test") -> Iterator[Target]:
    """BIND with one zone; ``options`` are statements within its options."""
    where = "127.0.0.1"  # BIND knows no other address of loopback
    port = free_port(where)
    (folder / "zone").write_text(_ZONE)
    config = folder / "named.conf"
    config.write_text(
        f"""options {{
  directory "{folder}";
  pid-file none;
  session-keyfile none;
  managed-keys-directory "{folder}";
  listen-on port {port} {{ {where}; }};
  listen-on-v6 {{ none; }};
  dnssec-validation no;
  notify no;
  {" ".join(f"{option};" for option in options)}
}};
controls {{ }};
zone "{zone}" {{ type primary; file "{folder}/zone"; }};
"""
    )
    log = folder / "log"
    with running("named", "-g", "-c", config, log=log, at=(where, port)):
        await_words(log, "all zones loaded")
        yield server_at(where, {"port": port, "name": "dns"}, domains=[zone])


@contextmanager
def unbound(folder: Path, *options: str) -> Iterator[Target]:
    """Unbound that knows the answer for example.com without asking anybody."""
    where = address()
    port = free_port(where)
    config = folder / "unbound.conf"
    lines = [
        "server:",
        f"interface: {where}",
        f"port: {port}",
        'username: ""',
        'chroot: ""',
        f'directory: "{folder}"',
        'pidfile: ""',
        "use-syslog: no",
        'local-zone: "example.com." transparent',
        'local-data: "example.com. A 192.0.2.1"',
        *options,
        "remote-control:",
        "control-enable: no",
    ]
    config.write_text("\n".join(lines) + "\n")
    with running("unbound", "-d", "-c", config, log=folder / "log", at=(where, port)):
        yield server_at(where, {"port": port, "name": "dns"})
