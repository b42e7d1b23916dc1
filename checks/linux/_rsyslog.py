"""What rsyslog sends away, from its configuration in both of its languages.

rsyslogd cannot print what it made of its files, so they are read: in the order in which it reads them, with remarks
dropped and the old directives remembered until the action they are for.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from scanner import NotUnderstood

# The slash and asterisk of a pattern such as /etc/rsyslog.d/*.conf begin no remark.
_STRING_OR_REMARK: Final = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|#[^\n]*|(?<![^\s(){};,])/\*.*?\*/", re.DOTALL)
_STRING: Final = re.compile(r"\"(?:\\.|[^\"\\\n])*\"")
_INCLUDE: Final = re.compile(
    r"^\s*(?:\$IncludeConfig\s+(\S+)|include\s*\(([^)]*)\))",
    re.IGNORECASE | re.MULTILINE,
)
_PARAMETER: Final = re.compile(r"([\w.]+)\s*=\s*(\"(?:\\.|[^\"\\])*\"|\[[^\]]*\]|[^\s()]+)")
_STATEMENT: Final = re.compile(
    r"\b(?P<what>action|global)\s*\((?P<inside>(?:\"(?:\\.|[^\"\\])*\"|[^\")])*)\)"
    r"|^\s*\$(?P<name>\w+)\s+(?P<value>.+)$"
    r"|^(?:[^\"\n]|\"[^\"\n]*\")*?(?:\s|^&)(?P<at>@@?)(?:\([^)]*\))?(?P<host>\[[^\]]+\]|[\w.-]+)(?::\d+)?"
    r"|:omrelp:(?P<relp>\[[^\]]+\]|[\w.-]+)",
    re.IGNORECASE | re.MULTILINE,
)
_ELSEWHERE: Final = (
    "omamqp1", "omazureeventhubs", "omelasticsearch", "omgssapi", "omhttp", "omkafka", "ommongodb", "omrabbitmq",
)  # fmt: skip
_MAIN: Final = "/etc/rsyslog.conf"
_FOLDER: Final = "/etc/rsyslog.d/"
#: What SUSE's rsyslog writes and includes by itself: further sockets to read from.
SOCKETS: Final = "/run/rsyslog/additional-log-sockets.conf"


@dataclass(frozen=True, slots=True)
class Forward:
    """One action that sends records to ``target``. ``secure`` is None when that cannot be told.

    ``safe`` says that records wait on disk while the other side is away, and that sending is tried for ever. ``only``
    is the filter before the action when that may leave the records of logins out.
    """

    how: str
    target: str
    secure: bool | None
    safe: bool
    only: str = ""

    @property
    def leaves(self) -> bool:
        """Whether the target is another host."""
        if self.target == "localhost" or not self.target:
            return False
        try:
            return not ip_address(self.target.strip("[]")).is_loopback
        except ValueError:
            return True

    def __str__(self) -> str:
        return f"{self.how} {self.target}"


def forwards(files: dict[str, list[str]]) -> list[Forward]:
    """Every action that sends records over the network. Raises NotUnderstood when not all was read."""
    found: list[Forward] = []
    old: dict[str, str] = {}
    text = _text(files)
    filters = _Filters(text)
    for match in _STATEMENT.finditer(text):
        if match["name"]:
            old[match["name"].lower()] = match["value"].strip().strip('"')
            continue
        if match["what"]:
            given = {key.lower(): value.strip('"') for key, value in _PARAMETER.findall(match["inside"])}
            if match["what"].lower() == "global":
                old["defaultnetstreamdriver"] = given.get(
                    "defaultnetstreamdriver", old.get("defaultnetstreamdriver", "")
                )
                continue
            made = _action(given, old)
        elif match["relp"]:
            made = Forward("relp", match["relp"], False, _waits(_old_queue(old)))
        else:
            made = _old_action(match["at"], match["host"], old)
        if made:
            chosen = filters.before(match.start("at" if match["at"] else 0))
            found.append(made if _takes_logins(chosen) else replace(made, only=chosen))
        # The queue of an old-style action is for that action alone.
        old = {name: value for name, value in old.items() if not name.startswith("actionqueue")}
    return found


class _Filters:
    """What stands before each action: read once, line by line, for a file may be long."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] = []
        self._above: list[str] = []
        self._depths: list[int] = []
        start = depth = 0
        above = ""
        for line in text.split("\n"):
            self._starts.append(start)
            self._above.append(above)
            self._depths.append(depth)
            start += len(line) + 1
            depth = max(0, depth + _deeper(line))
            if (told := line.strip()) and not told.startswith("&"):
                above = told

    def before(self, action: int) -> str:
        """What stands before it on its line; for ``&`` the last line that has a filter of its own; ``{`` within a
        block, for whatever that belongs to.
        """
        at = bisect_right(self._starts, action) - 1
        line = self._text[self._starts[at] : action].strip()
        if self._depths[at] + _deeper(line) > 0:
            return "{"
        return self._above[at] if line.startswith("&") else line


def _deeper(line: str) -> int:
    """How many blocks more are open behind it than before it."""
    bare = _STRING.sub("", line)
    return bare.count("{") - bare.count("}")


def _takes_logins(chosen: str) -> bool:
    """Whether what stands before an action lets records of logins (auth, authpriv, from info up) through."""
    if chosen.startswith((":", "{")) or re.match(r"if\b", chosen, re.IGNORECASE):
        return False  # a filter on properties, or whatever goes for a block: their meaning is not read
    takes: dict[str, bool] = {}
    for part in "".join(chosen.split()[:1]).split(";"):
        selector = re.fullmatch(r"([\w*,]+)\.([!=]*)([\w*]+)", part)
        if not selector:
            return True  # no selector: an action by itself
        for facility in ("auth", "authpriv"):
            if {"*", facility} & set(selector[1].lower().split(",")):
                sign, level = selector[2], selector[3].lower()
                if level == "none":
                    takes[facility] = False
                elif level in ("*", "info") or (level == "debug" and "=" not in sign):
                    takes[facility] = "!" not in sign
    return any(takes.values())


def _text(files: dict[str, list[str]]) -> str:
    def bare(path: str) -> str:
        return _STRING_OR_REMARK.sub(
            lambda m: m[0] if m[0][0] == '"' else " ", "\n".join(files.get(path, ()))
        )

    def included(match: re.Match[str]) -> str:
        inside = match[2] or ""
        pattern = match[1] or str(dict(_PARAMETER.findall(inside)).get("file", inside)).strip('"')
        if pattern == SOCKETS:
            return bare(SOCKETS)
        if pattern not in (f"{_FOLDER}*.conf", f"{_FOLDER}*", _FOLDER):
            raise NotUnderstood(f"rsyslog includes {pattern}, which is not read")
        parts = [bare(path) for path in sorted(files) if path.startswith(_FOLDER) and path.endswith(".conf")]
        for part in parts:
            if other := _INCLUDE.search(part):
                raise NotUnderstood(f"rsyslog includes {other[1] or other[2]}, which is not read")
        return "\n".join(parts)

    return _INCLUDE.sub(included, bare(_MAIN))


def _action(given: dict[str, str], old: dict[str, str]) -> Forward | None:
    kind, target = given.get("type", "").lower(), given.get("target", "")
    safe = _waits(
        {
            "type": given.get("queue.type", ""),
            "file": given.get("queue.filename", ""),
            "retry": given.get("action.resumeretrycount", "0"),
        }
    )
    if kind == "omfwd":
        if given.get("protocol", "udp").lower() != "tcp":
            return Forward("udp", target, False, False)
        driver = (
            given.get("streamdriver")
            or given.get("streamdriver.name")
            or old.get("defaultnetstreamdriver", "")
        )
        mode = given.get("streamdrivermode") or given.get("streamdriver.mode", "0")
        known = given.get("streamdriverauthmode") or given.get("streamdriver.authmode", "anon")
        return Forward("tcp", target, _secure(driver, mode, known), safe)
    if kind == "omrelp":
        known = given.get("tls.authmode", "anon").lower()
        return Forward("relp", target, given.get("tls", "off").lower() == "on" and known != "anon", safe)
    if kind in _ELSEWHERE:
        return Forward(
            kind, target or given.get("server") or given.get("broker") or "another host", None, safe
        )
    return None


def _old_action(at: str, host: str, old: dict[str, str]) -> Forward:
    if at == "@":
        return Forward("udp", host, False, False)
    driver = old.get("actionsendstreamdriver") or old.get("defaultnetstreamdriver", "")
    mode = old.get("actionsendstreamdrivermode", "0")
    known = old.get("actionsendstreamdriverauthmode", "anon")
    return Forward("tcp", host, _secure(driver, mode, known), _waits(_old_queue(old)))


def _secure(driver: str, mode: str, known: str) -> bool:
    """Encrypted, and it is known who answers."""
    return driver.lower() in ("gtls", "ossl", "mbedtls") and mode == "1" and known.lower().startswith("x509/")


def _old_queue(old: dict[str, str]) -> dict[str, str]:
    return {
        "type": old.get("actionqueuetype", ""),
        "file": old.get("actionqueuefilename", ""),
        "retry": old.get("actionresumeretrycount", "0"),
    }


def _waits(queue: dict[str, str]) -> bool:
    return (
        queue["type"].lower() in ("linkedlist", "fixedarray", "disk")
        and bool(queue["file"])
        and queue["retry"] == "-1"
    )
