"""An etcd server on loopback."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running

_ROOT: Final = "root"


@contextmanager
def etcd(
    folder: Path, *options: str, tls: bool = False, certificates_demanded: bool = False
) -> Iterator[Target]:
    """A fresh server on its own with these options; nobody needs to log in yet: see `demand_login`."""
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port, peers = free_port(address), free_port(address)
    here = f"http{'s' if tls else ''}://{address}:{port}"
    words = [
        "etcd", "--data-dir", f"{folder}/data", "--listen-client-urls", here, "--advertise-client-urls", here,
        "--listen-peer-urls", f"http://{address}:{peers}", *options,
    ]  # fmt: skip
    if tls:
        chain, key, root = certificate(folder / "tls")
        words += ["--cert-file", str(chain), "--key-file", str(key)]
        words += ["--client-cert-auth", "--trusted-ca-file", str(root)] if certificates_demanded else []
    with running(words, address, port, log=folder / "log"):
        yield server_at(address, {"port": port, "name": "etcd"})


def demand_login(target: Target) -> None:
    """Make an account for root and demand a login from now on, through the gateway."""
    assert target.services
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path, words in (
        ("auth/user/add", {"name": _ROOT, "password": "q7Wc2nU8"}),
        ("auth/role/add", {"name": _ROOT}),
        ("auth/user/grant", {"user": _ROOT, "role": _ROOT}),
        ("auth/enable", {}),
    ):
        url = f"http://{target.address}:{target.services[0].port}/v3/{path}"
        opener.open(url, json.dumps(words).encode(), timeout=10).close()
