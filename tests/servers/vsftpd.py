"""A vsftpd on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import certificate, free_port, fresh_address, running


@contextmanager
def vsftpd(folder: Path, *options: str, tls: bool = False) -> Iterator[Target]:
    """A server with these lines of vsftpd.conf; guests see an empty folder."""
    empty = folder / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    for one in (folder, empty):
        one.chmod(0o755)
    address = fresh_address()
    port = free_port(address)
    lines = [
        "background=NO", "listen=YES", f"listen_address={address}", f"listen_port={port}", f"secure_chroot_dir={empty}",
        "ftp_username=daemon", "nopriv_user=nobody", f"anon_root={empty}", "seccomp_sandbox=NO", "xferlog_enable=NO",
        "local_enable=YES", "pam_service_name=other", *options,
    ]  # fmt: skip
    if tls:
        chain, key, _ = certificate(folder / "tls")
        lines += [
            "ssl_enable=YES",
            f"rsa_cert_file={chain}",
            f"rsa_private_key_file={key}",
            "require_ssl_reuse=NO",
        ]
    (folder / "vsftpd.conf").write_text("\n".join(lines) + "\n")
    with running(["vsftpd", folder / "vsftpd.conf"], address, port, log=folder / "log"):
        yield server_at(address, {"port": port, "name": "ftp"})
