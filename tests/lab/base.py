"""Golden root file systems: built once from Debian packages, cached below `.cache/lab/`, never written after.

A base is keyed by its recipe, so a changed package list builds a new one and the old one is thrown away when no
session uses it any more.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "lab"

_COMMON: Final = shlex.split("""
    apparmor apt auditd ca-certificates chrony cron dbus iproute2 iptables kmod libpam-pwquality logrotate nftables
    nginx-light openssh-client openssh-server openssl procps python3 rsyslog rsyslog-openssl sudo systemd systemd-sysv
    unattended-upgrades
""")

#: Runs in the new root: the accounts every host has, and nothing that should be a host's own.
_FINISH: Final = """
rm -f /etc/ssh/ssh_host_* /etc/machine-id /usr/sbin/policy-rc.d
touch /etc/machine-id
for account in scan audit plain asks; do useradd -m -s /bin/bash -p '*' "$account"; done
systemctl mask -q auditd.service audit-rules.service apparmor.service systemd-resolved.service getty.target \\
    console-getty.service
systemctl disable -q apt-daily.timer apt-daily-upgrade.timer nginx.service unattended-upgrades.service
"""


@dataclass(frozen=True)
class Recipe:
    """How a base is made: from nothing (`suite`), or by adding packages to another base (`parent`)."""

    name: str
    suite: str = ""
    parent: str = ""
    packages: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """What the cache is keyed by."""
        above = RECIPES[self.parent].digest if self.parent else _FINISH
        text = repr((self.suite, above, sorted(self.packages)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def path(self) -> Path:
        """Where this base lies in the cache once built."""
        return CACHE / f"{self.name}-{self.digest}"


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("bookworm", suite="bookworm", packages=tuple(_COMMON)),
        Recipe("bullseye", suite="bullseye", packages=tuple(_COMMON)),
        Recipe("trixie", suite="trixie", packages=(*_COMMON, "lastlog2", "libpam-lastlog2")),
        Recipe("strong", parent="bookworm", packages=("aide",)),
        Recipe(
            "weak",
            parent="bookworm",
            packages=("avahi-daemon", "inetutils-telnetd", "openbsd-inetd", "rpcbind"),
        ),
        Recipe("ufw", parent="bookworm", packages=("ufw",)),
        Recipe("firewalld", parent="bookworm", packages=("firewalld",)),
        Recipe("iptables", parent="bookworm", packages=("iptables-persistent",)),
    )
}


def layers(name: str) -> list[Path]:
    """The folders that make up a base, topmost first; what is missing is built now (half a minute, needs apt)."""
    recipe = RECIPES[name]
    below = layers(recipe.parent) if recipe.parent else []
    with _locked():
        if not recipe.path.exists():
            _build(recipe, below)
            _forget_old(recipe)
    return [recipe.path, *below]


def _build(recipe: Recipe, below: list[Path]) -> None:
    work = CACHE / f".building-{recipe.name}"
    shutil.rmtree(work, ignore_errors=True)
    if below:
        script, words = _EXTEND, [str(work), ":".join(map(str, below)), " ".join(recipe.packages)]
    else:
        work.mkdir()
        script, words = _FROM_NOTHING, [str(work), recipe.suite, ",".join(recipe.packages), _FINISH]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script, "build", *words], capture_output=True, text=True
    )
    if done.returncode:
        shutil.rmtree(work, ignore_errors=True)
        raise RuntimeError(f"the base {recipe.name} could not be built:\n{done.stderr[-3000:]}")
    made = work / "up" if below else work
    made.rename(recipe.path)
    shutil.rmtree(work, ignore_errors=True)


_FROM_NOTHING: Final = r"""
mmdebstrap --quiet --variant=minbase --skip=cleanup/apt/lists --include="$3" "$2" "$1"
chroot "$1" sh -euc "$4"
"""

_EXTEND: Final = r"""
mkdir -p "$1/up" "$1/work" "$1/root"
chmod 755 "$1/up"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
rm -f "$1/root/etc/resolv.conf"
cp /etc/resolv.conf "$1/root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' > "$1/root/usr/sbin/policy-rc.d"
chmod 755 "$1/root/usr/sbin/policy-rc.d"
DEBIAN_FRONTEND=noninteractive chroot "$1/root" apt-get -q install -y --no-install-recommends $3
cd "$1/root"
rm -f usr/sbin/policy-rc.d etc/resolv.conf var/cache/apt/archives/*.deb var/cache/apt/*.bin
cd /
umount "$1/root/proc" "$1/root"
"""


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def hold(folder: Path) -> int:
    """A file descriptor that keeps this base from being thrown away by another session."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def _forget_old(recipe: Recipe) -> None:
    for folder in CACHE.glob(f"{recipe.name}-*"):
        if folder == recipe.path:
            continue
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder)
        finally:
            os.close(handle)
