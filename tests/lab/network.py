"""The box the whole lab lives in: one network, mount, PID and UTS namespace of its own.

Nothing of the lab shows on the machine: no interface, no mount, no process id of it is in the machine's own
namespaces, and the kernel ends all of it when the box's first process ends, which it does with this process,
also when that is killed. What the kernel does not clean up by itself (cgroup folders) carries the owner's
process id and is removed by `close`, or by the next session once the owner is gone.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

#: The bridge's own address: where the scanner under test sits.
GATEWAY: Final = "10.77.0.1"
BRIDGE: Final = "lab0"
_TOOLS: Final = shlex.split("ip nft mmdebstrap nsenter setpriv ssh ssh-keygen systemd-nspawn unshare")
_CGROUP: Final = "keurmeester-lab-"
_NEW_NETWORK: Final = 0x40000000

_START: Final = """
mount --make-rprivate /
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir -p /run/netns /run/lab
mount -t tmpfs -o mode=755 tmpfs /run/lab
ip link set lo up
ip link add "$1" type bridge
ip addr add "$2/16" dev "$1"
ip -6 addr add fd77::1/64 dev "$1" nodad
ip link set "$1" up
trap '' CHLD
echo ready
exec sleep infinity
"""


class LabError(RuntimeError):
    """The lab cannot do its work here; the message says what is missing."""


class Box:
    """The namespaces, made when constructed, gone after `close`."""

    def __init__(self) -> None:
        _must_be_possible()
        _remove_stale_cgroups()
        self.owner = os.getpid()
        self._first = subprocess.Popen(
            [
                *shlex.split("setpriv --pdeathsig KILL unshare --mount --net --pid --ipc --uts --mount-proc"),
                *("--fork", "--kill-child", "sh", "-euc", _START, "lab", BRIDGE, GATEWAY),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._first.stdout is not None
        said = self._first.stdout.readline()
        if said != "ready\n":
            rest = self._first.communicate()[0]
            raise LabError(
                f"no namespaces for the lab: {said}{rest}(the lab needs root and its capabilities)"
            )
        self.pid = children(self._first.pid)[0]
        self._network = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._machine = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """End every process of the lab and take away what it made."""
        self._first.kill()
        self._first.wait()
        assert self._first.stdout is not None
        self._first.stdout.close()
        os.close(self._network)
        os.close(self._machine)
        for folder in _cgroup_folders(str(self.owner)):
            _remove_cgroup(folder)

    def words(self, *command: str) -> list[str]:
        """The command, to be run inside all namespaces of the box."""
        return [*f"nsenter --target {self.pid} --mount --net --pid --ipc --uts --".split(), *command]

    def sh(self, script: str, *arguments: str) -> str:
        """What a shell script says that runs inside the box. Raises LabError when it fails."""
        done = subprocess.run(
            self.words("sh", "-euc", script, "lab", *arguments), capture_output=True, text=True, cwd="/"
        )
        if done.returncode:
            raise LabError(f"exit {done.returncode} of: {script.strip()}\n{done.stdout}{done.stderr}")
        return done.stdout

    @property
    def root(self) -> Path:
        """The box's view of the file system, as seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def entered(self) -> AbstractContextManager[None]:
        """This thread's network, and that of all it starts within the block, is the lab's."""
        return _network(self._network)

    def left(self) -> AbstractContextManager[None]:
        """This thread's network is the machine's again within the block: only for looking at it."""
        return _network(self._machine)

    def cgroup(self, name: str) -> list[Path]:
        """Folders of its own for a systemd, one in each cgroup hierarchy systemd uses."""
        folders = [folder / name for folder in _cgroup_folders(str(self.owner), make=True)]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        return folders


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


@contextmanager
def _network(handle: int) -> Iterator[None]:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set_network(handle)
        yield
    finally:
        _set_network(before)
        os.close(before)


def _set_network(handle: int) -> None:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def _must_be_possible() -> None:
    if os.geteuid():
        raise LabError("the lab makes namespaces and mounts: run these tests as root")
    missing = [tool for tool in _TOOLS if not shutil.which(tool)]
    if missing:
        raise LabError(f"the lab needs {', '.join(missing)}: run tests/lab/install.sh")


def _cgroup_folders(owner: str, *, make: bool = False) -> list[Path]:
    top = Path("/sys/fs/cgroup")
    hierarchies = [top / "systemd", top / "unified"] if (top / "systemd").is_dir() else [top]
    folders = [folder / f"{_CGROUP}{owner}" for folder in hierarchies if folder.is_dir()]
    return [folder for folder in folders if make or folder.is_dir()]


def _remove_stale_cgroups() -> None:
    for folder in Path("/sys/fs/cgroup").glob(f"**/{_CGROUP}*"):
        owner = folder.name.removeprefix(_CGROUP)
        if not Path("/proc", owner).exists():
            _remove_cgroup(folder)


def _remove_cgroup(folder: Path) -> None:
    """Remove a tree of cgroups; the kernel needs a moment to notice that the last process is gone."""
    until = time.monotonic() + 5
    for place in sorted((p for p in [folder, *folder.rglob("*")] if p.is_dir()), reverse=True):
        while place.exists():
            try:
                place.rmdir()
            except OSError:
                if time.monotonic() > until:
                    return
                time.sleep(0.01)
