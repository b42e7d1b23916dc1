"""A real Samba domain controller in a network of its own: the nearest to Active Directory that there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.lab.certificates import Authority
from tests.lab.network import GATEWAY, Box
from tests.outside import server_at
from tests.servers.ports import running

_FOLDERS: Final = {
    "private dir": "private",
    "state directory": "state",
    "cache directory": "cache",
    "lock directory": ".",
    "pid directory": "run",
    "ncalrpc dir": "run/ncalrpc",
    "winbindd socket directory": "run/winbindd",
    "ntp signd socket directory": "run/ntp_signd",
    "binddns dir": "bind-dns",
}


class DomainController:
    """A domain that is there, and can be served with one setting or another."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.box = folder, Box()
        self.box.sh("hostname dc1")
        self.box.sh(
            "samba-tool domain provision --realm=LAB.TEST --domain=LAB --server-role=dc --dns-backend=NONE"
            ' --adminpass=0nly-for-this-Test --host-name=dc1 --backend-store=tdb --host-ip="$1" --targetdir="$2"',
            GATEWAY,
            str(folder),
        )
        tls = folder / "private" / "tls"
        tls.mkdir(exist_ok=True)
        authority = Authority()
        pair = authority.issue("dc1.lab.test")
        (tls / "cert.pem").write_bytes(pair.chain)
        (tls / "key.pem").write_bytes(pair.key)
        (tls / "key.pem").chmod(0o600)
        (tls / "ca.pem").write_bytes(authority.anchor)

    @contextmanager
    def serving(self, *settings: str) -> Iterator[Target]:
        """The domain with these global settings. Look within the block."""
        for part in _FOLDERS.values():
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        lines = [
            "[global]",
            "netbios name = DC1",
            "realm = LAB.TEST",
            "workgroup = LAB",
            "server role = active directory domain controller",
            "server services = ldap, cldap",
            "tls enabled = yes",
            *(f"{key} = {self._folder / part}" for key, part in _FOLDERS.items()),
            *settings,
        ]
        config = self._folder / "served.conf"
        config.write_text("\n".join(lines) + "\n")
        command = self.box.words(
            "samba", "-s", str(config), "-i", "--debug-stdout", "--no-process-group", "-M", "single"
        )
        with (
            self.box.entered(),
            running(*command, log=self._folder / "log", at=(GATEWAY, 389)),
        ):
            yield server_at(GATEWAY)

    def close(self) -> None:
        """End it."""
        self.box.close()
