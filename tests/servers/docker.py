"""A Docker engine and a container registry on loopback."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running


@contextmanager
def docker_engine(*, tls: bool = False, certificates_demanded: bool = False) -> Iterator[Target]:
    """An engine that runs nothing: it leaves the network and the folders of this machine alone."""
    address = fresh_address()
    port = free_port(address)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "daemon.json").write_text(json.dumps({"deprecated-key-path": f"{made}/key"}))
        words = [
            "dockerd", "-H", f"tcp://{address}:{port}", "--data-root", f"{made}/data", "--exec-root", f"{made}/exec",
            "--pidfile", f"{made}/pid", "--config-file", f"{made}/daemon.json",
            "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none",
            "--storage-driver=vfs",
        ]  # fmt: skip
        if tls:
            chain, key, root = certificate(folder / "tls")
            words += ["--tls", "--tlscert", str(chain), "--tlskey", str(key)]
            words += (
                ["--tlsverify", "--tlscacert", str(root)] if certificates_demanded else ["--tlsverify=false"]
            )
        with running(words, address, port, log=folder / "log"):
            yield server_at(address, {"port": port, "name": "docker"})


@contextmanager
def registry(folder: Path, *, login: bool) -> Iterator[Target]:
    """An empty registry that demands a login, or not."""
    folder.mkdir(parents=True, exist_ok=True)
    address = fresh_address()
    port = free_port(address)
    lines = [
        "version: 0.1", f"storage: {{filesystem: {{rootdirectory: {folder}/images}}}}",
        f"http: {{addr: '{address}:{port}'}}",
    ]  # fmt: skip
    if login:
        (folder / "htpasswd").touch()
        lines.append(f"auth: {{htpasswd: {{realm: registry, path: {folder}/htpasswd}}}}")
    (folder / "config.yml").write_text("\n".join(lines) + "\n")
    with running(["docker-registry", "serve", folder / "config.yml"], address, port, log=folder / "log"):
        yield server_at(address, {"port": port, "name": "registry"})
