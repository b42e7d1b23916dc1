"""An nginx on loopback with one site that says welcome to whom it lets in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running


@contextmanager
def welcome(folder: Path, *options: str, tls: bool = True, **service: Any) -> Iterator[Target]:
    """A server that says welcome, with these lines in its ``server`` block; ``service`` is declared of it."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port = free_port(address)
    chain, key, root = certificate(folder / "tls")
    lines = [
        f"listen {address}:{port}{' ssl' if tls else ''};",
        'location / { return 200 "welcome"; }',
        *options,
    ]
    if tls:
        lines += [
            f"ssl_certificate {chain};",
            f"ssl_certificate_key {key};",
            f"ssl_client_certificate {root};",
        ]
    temporary = [
        f"{kind}_temp_path {folder}/tmp/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    ]
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {' '.join(temporary)}\nserver {{\n" + "\n".join(lines) + "\n}\n}\n"
    )
    with running(
        ["nginx", "-c", folder / "nginx.conf", "-e", folder / "error.log"], address, port, log=folder / "log"
    ):
        yield server_at(address, {"port": port, "name": "https", "server_name": "server.test", **service})
