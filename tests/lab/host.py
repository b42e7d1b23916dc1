"""One host of the lab: its own files, network, processes and sshd."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from tests.lab import network
from tests.lab.network import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Kind = Literal["systemd", "plain"]
ACCOUNTS: Final = ("root", "scan", "audit", "plain", "asks")
_BOOT_SECONDS: Final = 30
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"

#: $1 folder, $2 name, $3 address, $4 lower layers, $5 bridge
_MAKE: Final = r"""
mkdir -p "$1"
mount -t tmpfs -o mode=755,size=512m tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
chmod 755 "$1/up"
mount -t overlay overlay -o "lowerdir=$4,upperdir=$1/up,workdir=$1/work" "$1/root"
ip netns add "$2"
ip link add "v-$2" type veth peer name eth0 netns "$2"
ip link set "v-$2" master "$5" up
ip -n "$2" link set lo up
ip -n "$2" addr add "$3/16" dev eth0
ip -n "$2" link set eth0 up
echo "$2" > "$1/root/etc/hostname"
printf '127.0.0.1 localhost %s\n::1 localhost\n' "$2" > "$1/root/etc/hosts"
ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$1/root/etc/ssh/ssh_host_ed25519_key"
"""

#: $1 tree, $2 root
_LAY_OVER: Final = r"""
umask 022
cd "$1"
for item in *; do
    case $item in setup.sh|boot.sh) ;; *) cp -rd --no-preserve=all --remove-destination "$item" "$2/" ;; esac
done
[ ! -e setup.sh ] || chroot "$2" sh -eu < setup.sh
"""

#: $1 root, $2 name; a host without systemd, whose first process is sshd
_PLAIN: Final = r"""
hostname "$2"
cd "$1"
mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number%:*}" "dev/${number#*:}"
done
mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mkdir -p run/sshd run/lock
exec chroot . /usr/sbin/sshd -D -e
"""


class Host:
    """A started host: SSH answers at `address`:`port` when the constructor returns.

    ``trees`` are folders laid over the root file system in order: all but ``setup.sh`` (run in the root before
    the start) and ``boot.sh`` (run on the host once it is up) are files of the host.
    """

    port = 22

    def __init__(
        self,
        box: network.Box,
        name: str,
        *,
        kind: Kind,
        address: str,
        layers: Sequence[Path],
        trees: Sequence[Path],
        files: Mapping[str, bytes],
        keys: Mapping[str, str],
        passwords: Mapping[str, str],
    ) -> None:
        self.name, self.kind, self.address, self.netns = name, kind, address, name
        self._box = box
        self._folder = f"/run/lab/{name}"
        started = time.monotonic()
        box.sh(_MAKE, self._folder, name, address, ":".join(map(str, layers)), network.BRIDGE)
        self._give_accounts(keys, passwords)
        self._give_files(trees, files)
        self._process = self._boot()
        self.pid = self._first_process()
        self._wait_for_banner()
        self.root = Path(f"/proc/{self.pid}/root")
        self.host_key = (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().rsplit(" ", 1)[0]
        self._apply_sysctls()
        if kind == "systemd":
            self.sh("systemctl is-system-running --wait")
        for tree in trees:
            if (tree / "boot.sh").exists():
                self.must((tree / "boot.sh").read_text())
        #: Seconds from nothing to a host that answers.
        self.start_time = time.monotonic() - started

    # --- starting and stopping --------------------------------------------------------------------------------

    def _give_accounts(self, keys: Mapping[str, str], passwords: Mapping[str, str]) -> None:
        script = ["umask 022"]
        for account, public in keys.items():
            home = "/root" if account == "root" else f"/home/{account}"
            script += [
                f"install -d -m 700 -o {account} -g {account} {home}/.ssh",
                f"echo '{public}' > {home}/.ssh/authorized_keys",
                f"chown {account}:{account} {home}/.ssh/authorized_keys",
                f"chmod 600 {home}/.ssh/authorized_keys",
            ]
        script += [f"echo '{account}:{password}' | chpasswd" for account, password in passwords.items()]
        script += [
            "echo 'scan ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/scan",
            "echo 'asks ALL=(root) ALL' > /etc/sudoers.d/asks",
            "chmod 440 /etc/sudoers.d/*",
        ]
        self._box.sh('chroot "$1" sh -euc "$2"', f"{self._folder}/root", "\n".join(script))

    def _give_files(self, trees: Sequence[Path], files: Mapping[str, bytes]) -> None:
        root = f"{self._folder}/root"
        for name, content in files.items():
            path = self._box.root / f"{root}{name}"[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o600 if name.endswith(".key") else 0o644)
        for tree in trees:
            self._box.sh(_LAY_OVER, str(tree), root)

    def _boot(self) -> subprocess.Popen[bytes]:
        root, log = f"{self._folder}/root", f"{self._folder}/console"
        if self.kind == "systemd":
            enter = [f"echo $$ > {folder}/cgroup.procs; " for folder in self._box.cgroup(self.name)]
            script = "".join(enter) + (
                f'exec systemd-nspawn -q -D "$1" --boot --register=no --keep-unit --machine="$2" --resolv-conf=off'
                f' --link-journal=no --console=pipe --network-namespace-path="/run/netns/$2" --capability=CAP_NET_ADMIN'
                f" >{log} 2>&1"
            )
            inner = ["sh", "-euc", script, "host", root, self.name]
        else:
            inner = [
                *f"nsenter --net=/run/netns/{self.name}".split(),
                *shlex.split("unshare --mount --pid --ipc --uts --fork --kill-child"),
                *("sh", "-euc", f"exec >{log} 2>&1; {_PLAIN}", "host", root, self.name),
            ]
        return subprocess.Popen(
            self._box.words(*inner),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # A systemd in a host gets the newer kind of control groups also on a machine that has both: newer
            # ones know no other.
            env={"PATH": _PATH, "UNIFIED_CGROUP_HIERARCHY": "1"},
        )

    def _first_process(self) -> int:
        """The host's process 1, by the number it has outside."""
        until = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            below = [self._process.pid]
            for pid in below:
                below += network.children(pid)
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                if len(numbers) == 3 and numbers[-1] == "1":
                    return pid
            time.sleep(0.01)
        raise LabError(f"{self.name} did not start:\n{self.console}")

    def _wait_for_banner(self) -> None:
        until = time.monotonic() + _BOOT_SECONDS
        with self._box.entered():
            while time.monotonic() < until and self._process.poll() is None:
                try:
                    with socket.create_connection((self.address, self.port), timeout=2) as connection:
                        if connection.recv(4) == b"SSH-":
                            return
                except OSError:
                    time.sleep(0.02)
        raise LabError(f"{self.name}: SSH does not answer:\n{self.console}")

    def _apply_sysctls(self) -> None:
        """What systemd-sysctl would do at boot: it may not here, for most of the kernel is not the host's own.

        At a real boot the network card comes after it, and starts with the values for `default`.
        """
        lines = self.must("cat /etc/sysctl.d/60-*.conf 2>/dev/null || true").splitlines()
        values = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
        values |= {
            key.replace(".default.", ".eth0."): value
            for key, value in values.items()
            if ".conf.default." in key
        }
        self.set_sysctls(values)

    @property
    def console(self) -> str:
        """What the host wrote on its console."""
        path = self._box.root / self._folder[1:] / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """Cut the power: the processes end and the address is silent; the files are gone."""
        os.kill(self.pid, 9)
        self.wait()
        self._box.sh(
            'ip netns del "$2"; umount -l "$1/root"; umount -l "$1"; rmdir "$1"', self._folder, self.name
        )

    def wait(self) -> None:
        """Wait until the host's processes are gone."""
        self._process.wait()

    # --- using it ---------------------------------------------------------------------------------------------

    def sh(self, command: str, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host as root, beside SSH."""
        return subprocess.run(
            [
                *f"nsenter --target {self.pid} --mount --net --pid --ipc --uts --root --wd --".split(),
                *("/bin/sh", "-c", command),
            ],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env={"PATH": _PATH, "HOME": "/root", "LC_ALL": "C"},
        )

    def must(self, command: str, *, stdin: str = "") -> str:
        """What the command says. Raises LabError when it fails."""
        done = self.sh(command, stdin=stdin)
        if done.returncode:
            raise LabError(f"{self.name}: exit {done.returncode} of: {command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def path(self, name: str) -> Path:
        """Where a file of the host lies as seen from outside, symbolic links followed as the host does."""
        real = self.must(f"readlink -m -- '{name}'").rstrip("\n")
        return self.root / PurePosixPath(real).relative_to("/")

    @contextmanager
    def changed(
        self,
        name: str,
        content: str | bytes | None = None,
        *,
        mode: int | None = None,
        owner: tuple[int, int] | None = None,
        reload: str | Callable[[], object] = "",
    ) -> Iterator[Path]:
        """A file has other content, mode or owner within the block, and is exactly as before after it.

        ``reload`` is a command or function run after the change and after the restoring. A file that was not
        there is made, with its folders, and taken away.
        """
        path = self.path(name)
        before = path.stat() if path.exists() else None
        kept = path.read_bytes() if before and content is not None else b""
        made = [folder for folder in path.parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            if before is None:
                path.chmod(0o644)
            if owner is not None:
                os.chown(path, *owner)
            if mode is not None:
                path.chmod(mode)
            self._do(reload)
            yield path
        finally:
            if before is None:
                path.unlink(missing_ok=True)
                for folder in made:
                    folder.rmdir()
            else:
                if content is not None:
                    path.write_bytes(kept)
                os.chown(path, before.st_uid, before.st_gid)
                path.chmod(before.st_mode & 0o7777)
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            self._do(reload)

    def _do(self, what: str | Callable[[], object]) -> None:
        if callable(what):
            what()
        elif what:
            self.must(what)

    @contextmanager
    def flipped(self, do: str, undo: str) -> Iterator[None]:
        """A command is done for the block, and undone after it."""
        try:
            self.must(do)
            yield
        finally:
            self.must(undo)

    def reload_sshd(self) -> None:
        """Let sshd read its configuration and host keys again; it listens anew when this returns."""
        before = self._listening()
        self.must("systemctl reload ssh" if self.kind == "systemd" else "kill -HUP 1")
        until = time.monotonic() + 10
        while not (now := self._listening()) or now & before:
            if time.monotonic() > until:
                raise LabError(f"{self.name}: sshd does not come back:\n{self.console}")
            time.sleep(0.005)

    def _listening(self) -> set[str]:
        """The sockets that listen on the SSH port, by inode."""
        rows = [line.split() for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]]
        return {row[9] for row in rows if row[3] == "0A" and row[1].endswith(f":{self.port:04X}")}

    @contextmanager
    def bounded_disk(self, spare: int = 64) -> Iterator[None]:
        """The host's root file system has only ``spare`` KiB of room left within the block."""
        resize = 'mount -o remount,size="$2" "$1"'
        used = int(self._box.sh('df --output=used -k "$1" | tail -1', self._folder))
        try:
            self._box.sh(resize, self._folder, f"{used + spare}k")
            yield
        finally:
            self._box.sh(resize, self._folder, "512m")

    @contextmanager
    def sysctl(self, key: str, value: str) -> Iterator[None]:
        """The running kernel of this host has another value within the block."""
        before = self.must(f"sysctl -n {key}").strip()
        try:
            self.set_sysctl(key, value)
            yield
        finally:
            self.set_sysctl(key, before)

    def set_sysctl(self, key: str, value: str) -> None:
        """Set one value; see `set_sysctls`."""
        self.set_sysctls({key: value})

    def set_sysctls(self, values: Mapping[str, str]) -> None:
        """Set what the host reads below /proc/sys: really for its own network, else as a file laid over it.

        The kernel is shared by all hosts and with the machine, so only ``net`` is ever written to.
        """
        own = [
            f"echo '{value}' > /proc/sys/{key.replace('.', '/')}"
            for key, value in values.items()
            if key.startswith("net.")
        ]
        if own:
            self._box.sh('exec nsenter --net="$1" sh -euc "$2"', f"/run/netns/{self.netns}", "\n".join(own))
        script = ["mkdir -p /run/sysctl"]
        for key, value in values.items():
            if not key.startswith("net."):
                place, cover = f"/proc/sys/{key.replace('.', '/')}", f"/run/sysctl/{key}"
                script += [
                    f"echo '{value}' > {cover}; chmod 644 {cover}",
                    f"[ ! -e {place} ] || mountpoint -q {place} || mount --bind {cover} {place}",
                ]
        if len(script) > 1:
            self.must("set -e; " + "\n".join(script))
