"""Real file services: rsync on loopback, and an NFS server with its port mapper in a network of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.lab.network import GATEWAY, Box
from tests.outside import server_at
from tests.servers.ports import address, await_port, free_port, running


@contextmanager
def rsyncd(folder: Path, *settings: str) -> Iterator[Target]:
    """An rsync server with one module, ``backup``, and these settings for it."""
    folder.mkdir(exist_ok=True)
    where = address()
    port = free_port(where)
    (folder / "secrets").write_text("backup:only-for-this-test\n")
    (folder / "secrets").chmod(0o600)
    config = folder / "rsyncd.conf"
    lines = [
        f"address = {where}",
        f"port = {port}",
        f"pid file = {folder}/pid",
        "use chroot = no",
        "[backup]",
        f"path = {folder}",
        f"secrets file = {folder}/secrets",
        *settings,
    ]
    config.write_text("\n".join(lines) + "\n")
    (folder / "pid").unlink(missing_ok=True)
    command = ("rsync", "--daemon", "--no-detach", f"--config={config}")
    with running(*command, log=folder / "log", at=(where, port)):
        yield server_at(where, {"port": port, "name": "rsync"})


@contextmanager
def nfs(folder: Path, export: str) -> Iterator[Target]:
    """Ganesha with one export; ``export`` are the words that say to whom. Look within the block."""
    folder.mkdir(exist_ok=True)
    for part in ("given", "recovery"):
        (folder / part).mkdir(exist_ok=True)
    config = folder / "ganesha.conf"
    config.write_text(
        f"""NFS_CORE_PARAM {{ Protocols = 3; Enable_NLM = false; Enable_RQUOTA = false; mount_path_pseudo = false; }}
NFSV4 {{ RecoveryRoot = {folder}/recovery; Graceless = true; }}
EXPORT {{
  Export_Id = 1; Path = {folder}/given; Pseudo = /given; SecType = sys; Protocols = 3; Transports = TCP;
  {export}
  FSAL {{ Name = VFS; }}
}}
"""
    )
    box = Box()
    try:
        ganesha = box.words(
            "ganesha.nfsd", "-F", "-f", str(config), "-L", str(folder / "messages"), "-p", str(folder / "pid")
        )
        with (
            box.entered(),
            running(*box.words("rpcbind", "-f", "-w"), log=folder / "rpcbind", at=(GATEWAY, 111)),
            running(*ganesha, log=folder / "log") as process,
        ):
            await_port(GATEWAY, 2049, process, folder / "messages")
            yield server_at(GATEWAY)
    finally:
        box.close()
