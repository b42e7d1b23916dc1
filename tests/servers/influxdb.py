"""An InfluxDB server on loopback."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running


@contextmanager
def influxdb(folder: Path, *, login: bool, tls: bool = False) -> Iterator[Target]:
    """A fresh server that demands a login or not, over TLS or in the clear.

    Nobody has an account yet: see `first_account`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port, backup = free_port(address), free_port(address)
    chain, key, _ = certificate(folder / "tls")
    (folder / "influxdb.conf").write_text(f"""reporting-disabled = true
bind-address = "{address}:{backup}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "{address}:{port}"
auth-enabled = {str(login).lower()}
https-enabled = {str(tls).lower()}
https-certificate = "{chain}"
https-private-key = "{key}"
""")
    words = ["influxd", "-config", folder / "influxdb.conf"]
    with running(words, address, port, log=folder / "log"):
        yield server_at(address, {"port": port, "name": "influxdb"})


def first_account(target: Target) -> None:
    """Make the first administrator, as anybody may who comes first."""
    assert target.services
    query = urllib.parse.urlencode({"q": "CREATE USER beheer WITH PASSWORD 'q7Wc2nU8' WITH ALL PRIVILEGES"})
    url = f"http://{target.address}:{target.services[0].port}/query"
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, query.encode(), timeout=10).close()
