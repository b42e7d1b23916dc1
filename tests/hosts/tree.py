"""The files of a recorded host, laid out in a folder, and the tools that read them, run inside it.

tree.txt names every path that any source looks at, with mode, owner and group; contents lie below ``files/``:

    0755 root root /etc/
    0640 root shadow /etc/shadow
    0777 root root /bin -> usr/bin
    0444 root root /proc/swaps = Filename Type Size Used Priority
    - /etc/ufw/ufw.conf

The last says that it was looked for and is not on this host. Of a path that is not named at all nothing is known: a
source that looks there is not recorded. Values of the kernel stand in sysctl.txt as sysctl(8) prints them, a minus in
front of a key that this kernel does not have. Laying out needs root, for owners; the tools are those of a lab base.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.hosts.transcript import Answer
from tests.lab import base

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanner.sources import Shell
    from tests.hosts.recorded import Host

#: Programs whose answer follows from files alone.
TOOLS: Final = (
    "awk", "cat", "cvtsudoers", "env", "find", "findmnt", "getent", "grep", "ls", "nice", "sed", "sha256sum", "stat",
    "sysctl", "systemd-analyze",
)  # fmt: skip
_LINE: Final = re.compile(
    r"(?P<mode>[0-7]{4}) (?P<user>\S+) (?P<group>\S+) (?P<path>/\S*)(?: (?P<how>=|->) ?(?P<what>.*))?"
)
_ENVIRONMENT: Final = {"LC_ALL": "C", "LANG": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
#: Every file was changed this many seconds before the host was looked at.
_AGE: Final = 6 * 3600
#: What tools read without being told.
_IMPLIED: Final = {"findmnt": ["/proc/self/mountinfo"], "getent": ["/etc/nsswitch.conf"]}


class Tree:
    """A host's files below ``root``; made by the constructor, removed by the caller."""

    def __init__(self, host: Host, root: Path) -> None:
        self.host, self.root = host, root
        self.absent: set[str] = set()
        self.known: set[str] = set()
        self.links: dict[str, str] = {}
        self._ids = {kind: self._numbers(kind) for kind in ("passwd", "group")}
        tree = sorted(_last(host.lines("tree.txt"), _path_of), key=lambda line: _path_of(line).split("/"))
        self.absent.update(line[2:] for line in tree if line.startswith("- "))
        for line in tree:
            path = Path(_path_of(line))
            if self.absent.isdisjoint(map(str, [path, *path.parents])):
                self._lay(line)
        for line in _last(host.lines("sysctl.txt"), lambda line: line.lstrip("-").partition(" = ")[0]):
            self._value(line)
        self._check_files()
        self._bring_tools(base.layers(host.about["tools"])[0])
        for folder, _, files in os.walk(root):
            for path in (Path(folder), *(Path(folder) / file for file in files)):
                os.utime(path, (host.at - _AGE, host.at - _AGE), follow_symlinks=False)

    def _numbers(self, kind: str) -> dict[str, int]:
        return {words[0]: int(words[2]) for words in self._records(kind)}

    def _records(self, kind: str) -> list[list[str]]:
        file = self.host.file(f"/etc/{kind}")
        return [line.split(":") for line in file.read_text().splitlines()] if file else []

    def _lay(self, line: str) -> None:
        found = _LINE.fullmatch(line)
        if not found:
            raise ValueError(f"{self.host.name}/tree.txt: {line!r}")
        path, how, what = found["path"], found["how"], found["what"] or ""
        place = self.root / path.strip("/")
        if not place.parent.is_dir() and path.startswith(("/proc/", "/sys/")):
            place.parent.mkdir(parents=True)
        if how == "->":
            place.symlink_to(what)
            self.links[path] = posixpath.normpath(posixpath.join(posixpath.dirname(path), what))
        elif path.endswith("/"):
            place.mkdir(exist_ok=path == "/")
        elif how == "=":
            place.write_text(f"{what}\n")
        else:
            content = self.host.file(path)
            place.write_bytes(content.read_bytes() if content else b"")
        user, group = (self._number(*pair) for pair in (("passwd", found["user"]), ("group", found["group"])))
        os.chown(place, user, group, follow_symlinks=False)
        if how != "->":
            place.chmod(int(found["mode"], 8))
        self.known.add(path.rstrip("/") or "/")

    def _number(self, kind: str, name: str) -> int:
        return int(name) if name.isdecimal() else self._ids[kind][name]

    def _value(self, line: str) -> None:
        key, _, value = line.removeprefix("-").partition(" = ")
        path = "/proc/sys/" + key.replace(".", "/")
        if line.startswith("-"):
            self.absent.add(path)
            return
        place = self.root / path.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{value}\n")
        self.known.update(str(parent) for parent in Path(path).parents)
        self.known.add(path)

    def _check_files(self) -> None:
        files = self.host.folder / "files"
        for path in files.rglob("*"):
            if path.is_file() and f"/{path.relative_to(files)}" not in self.known:
                raise ValueError(f"{path}: not in tree.txt")

    def _bring_tools(self, tools: Path) -> None:
        for name in TOOLS:
            places = (Path(folder) / name for folder in _ENVIRONMENT["PATH"].split(":"))
            program = next(place for place in places if os.path.lexists(tools / str(place).strip("/")))
            self._bring(tools, program)
            said = subprocess.run(
                ["chroot", tools, "ldd", program], capture_output=True, text=True, check=False
            )
            for library in re.findall(r"(/\S+) \(0x", said.stdout):
                self._bring(tools, Path(library))
        for kind in ("files", "compat"):
            for names in tools.glob(f"lib/*/libnss_{kind}.so.2"):
                self._bring(tools, Path("/") / names.relative_to(tools))

    def _bring(self, tools: Path, path: Path) -> None:
        """Copy one file to where it belongs, following the links of both sides."""
        inside = os.path.realpath(tools / str(path).strip("/"))
        if not inside.startswith(str(tools)):  # an absolute link, such as those of alternatives
            link = path
            while (tools / str(link).strip("/")).is_symlink():
                link = link.parent / (tools / str(link).strip("/")).readlink()
            inside = str(tools / str(link).strip("/"))
        place = self.root / str(path).strip("/")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(inside, place)
            place.chmod(0o755)

    def can_answer(self, source: Shell) -> list[str]:
        """The paths this source looks at and of which nothing is known; empty when it can be run here."""
        looked = [path for word in source.argv for path in _paths(word)]
        looked += _IMPLIED.get(source.argv[0], [])
        if source.argv[0] == "sysctl":
            looked += [
                "/proc/sys/" + word.replace(".", "/") for word in source.argv[1:] if not word.startswith("-")
            ]
        return [path for path in looked if not self._is_known(path)]

    def _is_known(self, path: str) -> bool:
        for up in (Path(path), *Path(path).parents):
            if str(up) in self.absent:
                return True
            if str(up) in self.links and str(up) != path:
                return self._is_known(path.replace(str(up), self.links[str(up)], 1))
        return path in self.known

    def ask(self, source: Shell) -> Answer:
        """Run the source's command inside, as root or as the account of the scanner."""
        user = "0:0" if source.root else self._account()
        done = subprocess.run(
            ["chroot", f"--userspec={user}", "--groups=", self.root, *source.argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_ENVIRONMENT,
            check=False,
        )
        return Answer(done.stdout, done.stderr, done.returncode)

    def _account(self) -> str:
        words = next(words for words in self._records("passwd") if words[0] == "scan")
        return f"{words[2]}:{words[3]}"


def _last(lines: list[str], name: Callable[[str], str]) -> list[str]:
    """The lines in their order; of those of one name the last, where the first was."""
    return list({name(line): line for line in lines}.values())


def _path_of(line: str) -> str:
    return next(word for word in line.split() if word.startswith("/")).rstrip("/")


def _paths(word: str) -> list[str]:
    # A number with a slash is what find -perm asks for.
    return [word.rstrip("/")] if re.fullmatch(r"/[A-Za-z0-9_./-]+", word) and not word[1:].isdecimal() else []
