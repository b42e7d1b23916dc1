"""The lab: hosts by name, keys by account, and the scanner run inside the lab's network.

    host = lab.host("h-good")                    # started when first asked for; see HOSTS
    lab.run(["scan", lab.inventory([lab.target(host, "audit")])])

Everything is in one `Box`; nothing of it is visible on the machine or reaches beyond it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from scanner.model import Credential, Target
from tests.lab import base
from tests.lab.certificates import Authority
from tests.lab.host import ACCOUNTS, Host
from tests.lab.network import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.lab.host import Kind

TREES: Final = Path(__file__).parent / "hosts"
_PREFIX: Final = "keurmeester-lab-"
REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Plan:
    """What a host is before it is started.

    ``needs`` are hosts to be started first; ``fields`` tells what the inventory says of it.
    """

    kind: Kind = "plain"
    base: str = "bookworm"
    trees: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    fields: Callable[[str], dict[str, Any]] = lambda name: {}


def _agreed(name: str) -> dict[str, Any]:
    """What the inventory says of a hardened host."""
    lab_only = ("10.77.0.0/16",)
    ssh = {"port": 22, "name": "ssh", "purpose": "beheer", "from": lab_only}
    web = {"port": 443, "name": "https", "purpose": "website", "from": lab_only, "tls": True}
    return {
        "owner": "Team Lab",
        "role": "web",
        "criticality": "high",
        "services": (ssh, {**web, "server_name": f"{name}.lab.test"}),
    }


_GOOD: Final = Plan("systemd", base="strong", trees=("fresh", "good"), needs=("h-time",), fields=_agreed)

#: The hosts that have a character of their own; their addresses follow from their place here, from 10.77.0.11.
#: Any other name is an unfurnished host.
HOSTS: Final[dict[str, Plan]] = {
    "h-time": Plan(trees=("time",)),
    "h-good": _GOOD,
    "h-twin": replace(_GOOD, trees=("fresh", "good", "twin")),
    "h-bad": Plan("systemd", base="weak", trees=("bad",)),
    "h-plain": Plan(trees=("fresh",)),
    "h-iptables": Plan("systemd", base="iptables", trees=("iptables",)),
    "h-ufw": Plan("systemd", base="ufw", trees=("ufw",)),
    "h-firewalld": Plan("systemd", base="firewalld", trees=("firewalld",)),
    "h-bullseye": Plan("systemd", base="bullseye"),
    "h-trixie": Plan("systemd", base="trixie"),
}


class Lab:
    """The running lab. Make one per session; `close` ends all of it."""

    def __init__(self) -> None:
        self.box = Box()
        self.hosts: dict[str, Host] = {}
        self._held: dict[Path, int] = {}
        _remove_stale_folders()
        self._folder = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-")
        self.folder = Path(self._folder.name)
        self.passwords = {"asks": secrets.token_urlsafe(12)}
        self.authority = Authority()
        self.anchor = self.folder / "ca.pem"
        self.anchor.write_bytes(self.authority.anchor)
        for account in ACCOUNTS:
            self._make_key(account)

    def _make_key(self, account: str) -> None:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {account}", "-f"]
        subprocess.run([*words, str(self.folder / f"key-{account}")], check=True)

    def close(self) -> None:
        """End every host and remove every file."""
        self.box.close()
        for host in self.hosts.values():
            host.wait()
        for handle in self._held.values():
            os.close(handle)
        self._folder.cleanup()

    def host(self, name: str, *, kind: Kind | None = None, base: str | None = None) -> Host:
        """The host of that name, started if it was not; ``kind`` and ``base`` are for a new, unfurnished one."""
        if name not in self.hosts:
            plan = HOSTS.get(name, Plan())
            for other in plan.needs:
                self.host(other)
            self.hosts[name] = Host(
                self.box,
                name,
                kind=kind or plan.kind,
                address=self._address(name),
                layers=self._layers(base or plan.base),
                trees=[TREES / tree for tree in plan.trees],
                files=self._certificates(name),
                keys={
                    account: self.key(account).with_suffix(".pub").read_text().strip() for account in ACCOUNTS
                },
                passwords=self.passwords,
            )
        return self.hosts[name]

    def _address(self, name: str) -> str:
        if name in HOSTS:
            return f"10.77.0.{11 + list(HOSTS).index(name)}"
        return f"10.77.1.{11 + len(self.hosts)}"

    def _certificates(self, name: str) -> dict[str, bytes]:
        days = -10 if name == "h-bad" else 90
        pair = self.authority.issue(f"{name}.lab.test", starts=-100, ends=days)
        return {
            "/etc/ssl/lab/ca.pem": self.authority.anchor,
            "/etc/ssl/lab/server.pem": pair.chain,
            "/etc/ssl/lab/server.key": pair.key,
        }

    def _layers(self, name: str) -> list[Path]:
        with self.box.left():  # packages come from outside
            folders = base.layers(name)
        for folder in folders:
            if folder not in self._held:
                self._held[folder] = base.hold(folder)
        return folders

    # --- what the scanner needs to get in -----------------------------------------------------------------------

    def key(self, account: str) -> Path:
        """The private key file every host trusts for this account; the public one ends in ``.pub``."""
        return self.folder / f"key-{account}"

    def credential(self, account: str) -> Credential:
        """The account as the inventory says it."""
        return Credential(user=account, key=f"file:{self.key(account)}")

    def target(self, host: Host, account: str = "scan", **fields: Any) -> Target:
        """The host as the inventory says it; ``fields`` go into the Target as they are."""
        known: dict[str, Any] = {
            **HOSTS.get(host.name, Plan()).fields(host.name),
            "name": host.name,
            "address": host.address,
            "port": host.port,
            "credential": account,
            "host_keys": (host.host_key,),
        }
        return Target(**known | fields)

    def inventory(self, targets: Iterable[Target], **more: Any) -> Path:
        """An inventory file of these targets and all accounts; ``more`` are further top-level keys."""
        document = {
            "credentials": {
                account: self.credential(account).model_dump(exclude_defaults=True) for account in ACCOUNTS
            },
            "targets": {
                target.name: target.model_dump(
                    mode="json", by_alias=True, exclude_defaults=True, exclude={"name"}
                )
                for target in targets
            },
            "trust_anchors": [str(self.anchor)],
            **more,
        }
        path = self.folder / f"inventory-{secrets.token_hex(4)}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def run(
        self,
        words: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run the scanner's command line inside the lab's network."""
        with self.box.entered():
            return subprocess.run(
                [sys.executable, "-m", "scanner", *map(str, words)],
                capture_output=True,
                text=True,
                timeout=timeout,
                cwd=cwd or self.folder,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
            )


def _remove_stale_folders() -> None:
    """A session that was killed leaves its keys behind; they go once that session is surely gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(folder)
