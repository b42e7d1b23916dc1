"""What sudo lets whom do, from what sudo itself understood of its files (`cvtsudoers`).

Hosts whose sudo brings no cvtsudoers (sudo-rs) are read from the files; a line of which the meaning is not certain
makes the answer unknown. Rules that live in a directory (`sudoers: sss` in nsswitch.conf) are not seen: then a rule
that breaks a claim still counts, but nothing passes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from checks.linux._answers import named, only_missing
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    IN_DEPTH,
    SECURE_DEFAULT,
    Absent,
    Command,
    File,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    table,
    tree_files,
)

RULES: Final = Command("cvtsudoers -e -f json /etc/sudoers", root=True, needs="cvtsudoers")
FILES: Final = Command("grep -raHZ -e '^' /etc/sudoers /etc/sudoers.d", root=True, exits=(0, 1, 2))
_ADMINS: Final = ("root", "#0", "%root", "%sudo", "%wheel", "%admin")
_TAGS: Final = {
    "NOPASSWD": ("authenticate", False), "PASSWD": ("authenticate", True), "SETENV": ("setenv", True),
    "NOSETENV": ("setenv", False), "NOEXEC": ("noexec", True), "EXEC": ("noexec", False),
    "LOG_INPUT": ("log_input", True), "NOLOG_INPUT": ("log_input", False), "LOG_OUTPUT": ("log_output", True),
    "NOLOG_OUTPUT": ("log_output", False), "MAIL": ("mail", True), "NOMAIL": ("mail", False),
    "FOLLOW": ("follow", True), "NOFOLLOW": ("follow", False), "INTERCEPT": ("intercept", True),
    "NOINTERCEPT": ("intercept", False),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One command that some may run. ``users`` are written as in sudoers: ``name``, ``%group``, ``#uid``, ``ALL``.

    ``runas`` are those it may be run as, written the same way; empty means root.
    """

    users: tuple[str, ...]
    command: str
    negated: bool = False
    authenticate: bool | None = None
    runas: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{','.join(self.users)}: {'!' if self.negated else ''}{self.command[:80]}"

    @property
    def everything(self) -> bool:
        """Whether it gives every command, and not only as users who are surely not root."""
        plain = [
            name for name in self.runas if name != "root" and re.fullmatch(r"[a-z_][\w.-]*|#[1-9]\d*", name)
        ]
        others = bool(self.runas) and len(plain) == len(self.runas)
        return self.command == "ALL" and not self.negated and not others


@dataclass(frozen=True, slots=True)
class Default:
    """One setting of a `Defaults` line; ``scope`` is empty when it holds for everybody. A flag is True or False."""

    name: str
    value: str | bool
    scope: str = ""


@fact
class Sudo:
    """The rules and settings of sudo. ``elsewhere`` names where more rules come from that were not seen."""

    rules: tuple[Rule, ...]
    defaults: tuple[Default, ...]
    elsewhere: tuple[str, ...] = ()

    def setting(self, name: str) -> str | bool | None:
        """What holds for everybody: the last one set counts, None when it is not set."""
        found = [default.value for default in self.defaults if default.name == name and not default.scope]
        return found[-1] if found else None

    def judged(self, condition: bool, observed: str, expected: str) -> Verdict:
        """A verdict over rules: it does not pass while there are rules that were not seen."""
        if condition and self.elsewhere:
            raise NotUnderstood(f"{observed}; rules in {', '.join(self.elsewhere)} are not seen")
        return holds(condition, observed, expected)


@probe(
    "linux",
    rules=RULES,
    files=FILES,
    switch=File(path="/etc/nsswitch.conf"),
    own=File(path="/etc/sudoers-rs", root=True),
)
def sudo(rules: Raw | None, files: Raw, switch: Raw | None, own: Raw | None) -> Sudo:
    """The JSON of cvtsudoers(1), or sudoers(5) itself where that is not on the host."""
    missing = only_missing(files)
    found = tree_files(files)
    if "/etc/sudoers" not in found:
        if any("/etc/sudoers:" in line for line in missing):
            raise Absent("no /etc/sudoers: sudo is not used here")
        raise NotUnderstood("/etc/sudoers is empty")
    elsewhere: tuple[str, ...] = ()
    for line in switch.lines if switch else ():
        if match := re.match(r"sudoers\s*:(.*)", line.partition("#")[0]):
            words = re.sub(r"\[[^\]]*\]", " ", match[1]).split()
            elsewhere = tuple(word for word in words if word != "files")
    if own is not None:  # sudo-rs reads this file in place of the other
        elsewhere += ("/etc/sudoers-rs",)
    made = _from_json(json.loads(rules.text)) if rules else _from_files(found)
    return Sudo(made[0], made[1], elsewhere)


def _from_json(policy: dict[str, Any]) -> tuple[tuple[Rule, ...], tuple[Default, ...]]:
    rules = []
    for spec in policy.get("User_Specs", []):
        users = tuple(_who(user) for user in spec["User_List"])
        for commands in spec["Cmnd_Specs"]:
            options = {key: value for one in commands.get("Options", []) for key, value in one.items()}
            runas = tuple(_who(user) for user in commands.get("runasusers", []))
            rules += [
                Rule(
                    users,
                    command["command"],
                    command.get("negated", False),
                    options.get("authenticate"),
                    runas,
                )
                for command in commands["Commands"]
            ]
    defaults = [
        Default(
            name,
            value if isinstance(value, bool) else str(value),
            ",".join(map(_who, line.get("Binding", []))),
        )
        for line in policy.get("Defaults", [])
        for option in line["Options"]
        for name, value in option.items()
        if name != "operation"
    ]
    if not rules and not defaults:
        raise NotUnderstood("cvtsudoers gives no rules")
    return tuple(rules), tuple(defaults)


def _who(item: dict[str, Any]) -> str:
    marks = {"usergroup": "%", "userid": "#", "usergid": "%#", "netgroup": "+", "nonunixgroup": "%:",
             "nonunixgid": "%:#"}  # fmt: skip
    names = [f"{marks.get(kind, '')}{value}" for kind, value in item.items() if kind != "negated"]
    return ("!" if item.get("negated") else "") + "/".join(names)


_ITEM: Final = r"(?:\\.|\"[^\"]*\"|[^,\\\"])+"
_DEFAULTS: Final = re.compile(r"Defaults(?:([@:!>])\s*(\S+))?\s+(.+)")
_ALIAS: Final = re.compile(r"(User|Runas|Host|Cmnd|Cmd)_Alias\s+(.+)")


def _from_files(found: dict[str, list[str]]) -> tuple[tuple[Rule, ...], tuple[Default, ...]]:
    """sudoers(5) as far as its meaning is certain; raises NotUnderstood for the rest."""
    lines: list[str] = []
    for path, texts in sorted(found.items()):  # sudo reads a folder by name; of a setting the last one counts
        name = path.removeprefix("/etc/sudoers.d/")
        if path == "/etc/sudoers" or ("." not in name and not name.endswith("~") and "/" not in name):
            lines += re.sub(r"\\\n\s*", " ", "\n".join(texts)).split("\n")
    rules: list[Rule] = []
    defaults: list[Default] = []
    aliases: dict[str, list[str]] = {}
    includes = False
    for line in map(str.strip, lines):
        if include := re.fullmatch(r"[#@]include(dir)?\s+(\S+)", line):
            if include[2].rstrip("/") != "/etc/sudoers.d":
                raise NotUnderstood(f"sudoers includes {include[2]}, which is not read")
            includes = True
            continue
        bare = re.sub(r"(?:^|(?<=\s))#(?!\d).*", "", line).strip()
        if not bare:
            continue
        if setting := _DEFAULTS.fullmatch(bare):
            defaults += _defaults(setting[3], (setting[1] or "").strip(":") + (setting[2] or ""))
        elif alias := _ALIAS.fullmatch(bare):
            for one in re.split(r"(?<!\\):(?=\s*[A-Z][A-Z0-9_]*\s*=)", alias[2]):
                name, equals, items = one.partition("=")
                if not equals:
                    raise NotUnderstood(f"sudoers says {bare[:60]!r}")
                aliases[name.strip()] = [item.strip() for item in re.findall(_ITEM, items)]
        else:
            rules += _rules(bare, aliases)
    if len(found) > 1 and not includes:
        raise NotUnderstood("sudoers does not include /etc/sudoers.d, and there are files in it")
    return tuple(rules), tuple(defaults)


def _defaults(text: str, scope: str) -> list[Default]:
    made = []
    for item in (one.strip() for one in re.findall(_ITEM, text)):
        match = re.fullmatch(r"(!*)\s*(\w+)\s*(?:[+-]?=\s*\"?(.*?)\"?)?", item)
        if not match:
            raise NotUnderstood(f"sudoers says Defaults {item[:60]!r}")
        made.append(Default(match[2], len(match[1]) % 2 == 0 if match[3] is None else match[3], scope))
    return made


def _rules(text: str, aliases: dict[str, list[str]]) -> list[Rule]:
    match = re.fullmatch(r"(.+?)\s+\S+\s*=\s*(.+)", text)
    if not match or re.search(r"(?<!\\):\s*\S+\s*=", match[2]):
        raise NotUnderstood(f"sudoers says {text[:60]!r}")
    users = [
        user for word in re.findall(_ITEM, match[1]) for user in aliases.get(word.strip(), [word.strip()])
    ]
    made = []
    authenticate: bool | None = None
    runas: tuple[str, ...] = ()
    closed = re.sub(r"((?:^|,)\s*\()([^)]*)", lambda found: found[1] + found[2].replace(",", ";"), match[2])
    for item in (one.strip() for one in re.findall(_ITEM, closed)):
        if given := re.match(r"\(([^):]*)(?::[^)]*)?\)\s*", item):
            names = [name.strip() for name in given[1].split(";") if name.strip()]
            runas = tuple(user for name in names for user in aliases.get(name, [name]))
            item = item[given.end() :]
        while tag := re.match(r"([A-Z_]+)\s*:\s*", item):
            if tag[1] not in _TAGS:
                raise NotUnderstood(f"sudoers says {item[:60]!r}")
            name, on = _TAGS[tag[1]]
            authenticate = on if name == "authenticate" else authenticate
            item = item[tag.end() :]
        item = re.sub(r"^(?:sha(?:224|256|384|512):\S+\s+)+", "", item)
        negated = item.startswith("!")
        for command in aliases.get(item.lstrip("! "), [item.lstrip("! ")]):
            if not re.match(r"ALL$|[/^]|sudoedit\b|list\b", command):
                raise NotUnderstood(f"sudoers names {command[:60]!r}, which is no command")
            plain = re.sub(r"\\([,:=#])", r"\1", command)
            made.append(Rule(tuple(users), plain, negated, authenticate, runas))
    return made


# --- examples -------------------------------------------------------------------------------------------------


def _policy(*specs: dict[str, Any], **defaults: object) -> dict[str, Any]:
    """An example: settings for everybody, and rules as cvtsudoers writes them."""
    made = {
        "Defaults": [{"Options": [{name: value}]} for name, value in defaults.items()],
        "User_Specs": list(specs),
    }
    return {
        "rules": json.dumps(made),
        "files": "/etc/sudoers\0root ALL=(ALL:ALL) ALL\n",
        "switch": "passwd: files\n",
    }


def _may(who: dict[str, str], *commands: str, **options: bool) -> dict[str, Any]:
    return {
        "User_List": [who],
        "Host_List": [{"hostname": "ALL"}],
        "Cmnd_Specs": [
            {
                "runasusers": [{"username": "ALL"}],
                "Options": [{name: value} for name, value in options.items()],
                "Commands": [
                    {"command": one.lstrip("!"), "negated": True} if one[0] == "!" else {"command": one}
                    for one in commands
                ],
            }
        ],
    }


def _as(who: dict[str, str], *whom: dict[str, str]) -> dict[str, Any]:
    made = _may(who, "ALL")
    made["Cmnd_Specs"][0]["runasusers"] = list(whom)
    return made


_ROOT: Final = _may({"username": "root"}, "ALL", setenv=True)
_GROUP: Final = _may({"usergroup": "sudo"}, "ALL", setenv=True)
_SCANNER: Final = _may({"username": "keurmeester"}, "/usr/bin/timeout -k 2 10 sshd -T", authenticate=False)
_PLAIN: Final = _policy(
    _ROOT, _GROUP, _SCANNER, env_reset=True, secure_path="/usr/sbin:/usr/bin", use_pty=True
)
_BARE: Final = {
    "rules": _PLAIN["rules"],
    "files": Raw(b"", b"grep: /etc/sudoers: No such file or directory\n", 2),
}


def _text(lines: str) -> dict[str, Any]:
    """An example of a host without cvtsudoers."""
    return {
        "files": "".join(f"/etc/sudoers\0{line}\n" for line in lines.split("\n")),
        "switch": "passwd: files\n",
    }


_DEBIAN: Final = (
    'Defaults\tenv_reset\nDefaults\tsecure_path="/usr/sbin:/usr/bin"\n# User rules\nroot\tALL=(ALL:ALL) ALL\n'
)
_UNKNOWN: Final[list[dict[str, Any]]] = [
    {**_PLAIN, "rules": "{}"},
    {**_PLAIN, "rules": "<html>"},
    {**_PLAIN, "files": Raw(b"", b"grep: /etc/sudoers: Input/output error\n", 2)},
    _text(_DEBIAN + "@include /opt/sudo\n"),
    _text(_DEBIAN + "what is this\n"),
]


# --- rules ----------------------------------------------------------------------------------------------------


@check(
    "sudo.authenticates",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="Sudo vraagt altijd een wachtwoord",
    why_nl="Met NOPASSWD is een overgenomen sessie of sleutel meteen root. Alleen een account voor automatische "
    "taken mag zonder, "
    "en dan alleen voor opdrachten die woord voor woord vastliggen.",
    fix="grep -rnE 'NOPASSWD|!authenticate|exempt_group' /etc/sudoers /etc/sudoers.d\nvisudo -f "
    "/etc/sudoers.d/FILE",
    verify="grep -rnE 'NOPASSWD|!authenticate|exempt_group' /etc/sudoers /etc/sudoers.d",
    references=("sudoers(5) NOPASSWD, authenticate, exempt_group", "ISO/IEC 27002:2022 8.2"),
    advice="Make sure that the administrators have a password before you remove NOPASSWD.",
    advice_nl="Zorg dat de beheerders een wachtwoord hebben voor u NOPASSWD weghaalt.",
)
def authenticates(
    sudo: Sudo,
    *,
    automatic: Annotated[
        tuple[str, ...],
        "accounts that may run exact commands without a password, the scanner's own among them",
    ] = ("keurmeester",),
) -> Verdict:
    """Sudo always asks for a password.

    With NOPASSWD a session or key that was taken over is root at once. Only an account for automatic tasks may do
    without, and only for commands that are fixed word for word.
    """
    broken = [
        f"Defaults{default.scope and ':' + default.scope} !authenticate"
        for default in _unasked(sudo)
        if default.scope not in ("root", "#0")
    ]
    broken += [
        f"Defaults exempt_group={default.value}"
        for default in sudo.defaults
        if default.name == "exempt_group" and default.value
    ]
    for rule in sudo.rules:
        if rule.authenticate is not False or rule.negated or set(rule.users) <= {"root", "#0"}:
            continue
        exact = set(rule.users) <= set(automatic) and _is_exact(rule.command)
        if not exact:
            broken.append(f"NOPASSWD {rule}")
    if not broken and any(default.scope in ("root", "#0") for default in _unasked(sudo)):
        # cvtsudoers writes both alike: what root runs, and what anybody runs as root.
        raise NotUnderstood("!authenticate for root: whether Defaults:root or Defaults>root is not seen")
    return sudo.judged(
        not broken, named(broken) or "every rule asks for a password", "no NOPASSWD but exact commands"
    )


def _unasked(sudo: Sudo) -> list[Default]:
    return [default for default in sudo.defaults if default.name == "authenticate" and default.value is False]


def _is_exact(command: str) -> bool:
    """Whether one command with fixed arguments is meant; without arguments sudo allows any."""
    path, _, arguments = command.partition(" ")
    plain = re.sub(r"\\.", "", command)
    return (
        path.startswith("/")
        and not path.endswith("/")
        and bool(arguments)
        and not re.search(r"(^| )\^.*\$$", command)
        and not re.search(r"[*?\[]", plain)
    )


examples(
    authenticates,
    passes=[
        _PLAIN,
        _policy(
            _ROOT,
            _may(
                {"username": "keurmeester"}, r"/usr/bin/sed -E s/\[\^:\]\*/x/ /etc/shadow", authenticate=False
            ),
        ),
        _text(_DEBIAN + "keurmeester ALL=(root) NOPASSWD: /usr/bin/timeout -k 2 10 sshd -T\n"),
    ],
    fails=[
        _policy(_ROOT, _may({"username": "dave"}, "ALL", authenticate=False)),
        _policy(_ROOT, _may({"username": "dave"}, "/usr/bin/systemctl restart nginx", authenticate=False)),
        _policy(_ROOT, _may({"username": "keurmeester"}, "ALL", authenticate=False)),
        _policy(_ROOT, _may({"username": "keurmeester"}, "/usr/bin/cat", authenticate=False)),
        _policy(_ROOT, _may({"username": "keurmeester"}, "/usr/bin/cat /etc/*", authenticate=False)),
        _policy(_ROOT, _may({"username": "keurmeester"}, "/usr/bin/cat ^/etc/[a-z]+$", authenticate=False)),
        _policy(_ROOT, _may({"username": "keurmeester"}, "/usr/bin/cat ^/etc/(a|b)$", authenticate=False)),
        _policy(_ROOT, authenticate=False),
        _policy(_ROOT, exempt_group="staff"),
        {**_policy(_ROOT, authenticate=False), "switch": "sudoers: files sss\n"},
        _text(_DEBIAN + "Defaults:scan !authenticate\n"),
        _text(
            _DEBIAN
            + "Cmnd_Alias WEB = /usr/sbin/nginx -t, /usr/bin/systemctl reload nginx\n%ops ALL = NOPASSWD: WEB\n"
        ),
    ],
    unknown=[
        *_UNKNOWN,
        {**_PLAIN, "switch": "sudoers: files sss\n"},
        # What cvtsudoers 1.9.13p3 makes of both Defaults:root and Defaults>root !authenticate.
        {
            **_PLAIN,
            "rules": '{"Defaults": [{"Binding": [{"username": "root"}], "Options": [{"authenticate": false}]}]}',
        },
    ],
    notapplicable=_BARE,
)


@check(
    "sudo.everything-for-few",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Alleen de beheerdersgroep mag met sudo alles",
    why_nl="Een regel met ALL maakt iemand beheerder. Staat dat bij losse namen, dan blijft het recht vaak "
    "bestaan als iemand van "
    "functie verandert.",
    fix="visudo -f /etc/sudoers.d/FILE    # name the commands, or remove the rule\nusermod -aG sudo NAME",
    verify="cvtsudoers -e -f sudoers /etc/sudoers | grep -w ALL",
    references=("sudoers(5)", "ISO/IEC 27002:2022 8.2"),
)
def everything_for_few(
    sudo: Sudo,
    *,
    admins: Annotated[tuple[str, ...], "who may run everything, written as in sudoers"] = _ADMINS,
) -> Verdict:
    """Only the group of administrators may do everything with sudo.

    A rule with ALL makes somebody an administrator. When it stands with a single name, the right often outlives the job
    it was for.
    """
    others = [str(rule) for rule in sudo.rules if rule.everything and not set(rule.users) <= set(admins)]
    return sudo.judged(
        not others, named(others) or "ALL only for administrators", f"ALL only for {', '.join(admins)}"
    )


examples(
    everything_for_few,
    passes=[
        _PLAIN,
        _text(_DEBIAN + "%sudo ALL=(ALL:ALL) ALL\n"),
        _policy(_ROOT, _as({"usergroup": "web"}, {"username": "www-data"})),
        _text(_DEBIAN + "Runas_Alias WEB = www-data, deploy\n%web ALL = (WEB, #33) NOPASSWD: ALL\n"),
    ],
    fails=[
        _policy(_ROOT, _as({"usergroup": "web"}, {"username": "www-data"}, {"username": "root"})),
        _policy(_ROOT, _as({"usergroup": "web"}, {"usergroup": "wheel"})),
        _text(_DEBIAN + "%web ALL = (www-data) /bin/ls, (root, deploy) ALL\n"),
        _policy(_ROOT, _may({"username": "carol"}, "ALL")),
        _policy(_ROOT, _may({"username": "ALL"}, "ALL")),
        _policy(_ROOT, _may({"userid": "1001"}, "ALL", "!/bin/su")),
        _text(_DEBIAN + "User_Alias OPS = alice, %ops\nOPS ALL=(ALL) ALL\n"),
    ],
    unknown=[
        *_UNKNOWN,
        {**_PLAIN, "switch": "sudoers: files ldap [NOTFOUND=return]\n"},
        {**_PLAIN, "own": "root ALL=(ALL) ALL\n"},
    ],
    notapplicable=_BARE,
)


@check(
    "sudo.commands-exact",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Sudo-regels noemen opdrachten zonder jokertekens",
    why_nl="Een sterretje in een regel past op meer dan bedoeld: met `/usr/bin/vim /etc/*` kan iemand ook "
    "andere bestanden openen. "
    "Dan is een beperkte regel ongemerkt volledige beheertoegang.",
    fix="visudo -f /etc/sudoers.d/FILE    # write the arguments in full, or as a regular expression ^...$",
    verify="cvtsudoers -e -f sudoers /etc/sudoers | grep -E '[*?]'    # prints nothing",
    references=("sudoers(5) Wildcards, Preventing shell escapes",),
)
def commands_exact(sudo: Sudo) -> Verdict:
    """Sudo rules name commands without wildcards.

    An asterisk in a rule fits more than was meant: `/usr/bin/vim /etc/*` opens other files as well. So a narrow rule
    silently becomes full control.
    """
    loose = [
        str(rule)
        for rule in sudo.rules
        if not rule.negated and rule.command != "ALL" and _is_loose(rule.command)
    ]
    return sudo.judged(not loose, named(loose) or "no wildcard in any rule", "no wildcard, no whole folder")


def _is_loose(command: str) -> bool:
    plain = re.sub(r"\\.", "", command)
    if re.search(r"(^| )\^.*\$$", command):
        return bool(re.search(r"\.[*+]", plain))  # a regular expression that takes anything
    return command.endswith("/") or bool(re.search(r"[*?\[]", plain))


examples(
    commands_exact,
    passes=[_PLAIN, _policy(_ROOT, _may({"username": "erin"}, "/usr/bin/apt ^(update|upgrade)$"))],
    fails=[
        _policy(_ROOT, _may({"username": "erin"}, "/usr/bin/vim /etc/*")),
        _policy(_ROOT, _may({"usergroup": "ops"}, "/opt/tools/")),
        _policy(_ROOT, _may({"username": "erin"}, "/usr/bin/vim ^.*$")),
        _text(_DEBIAN + "%ops ALL = /usr/bin/tar ?zf *\n"),
    ],
    unknown=[*_UNKNOWN, {**_PLAIN, "switch": "sudoers: sss\n"}],
    notapplicable=_BARE,
)


@check(
    "sudo.no-exclusions",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Sudo-regels noemen wat mag, niet wat niet mag",
    why_nl="Wie alles mag behalve één programma, kopieert dat programma onder een andere naam. Een uitzondering "
    "houdt dus niets "
    "tegen en wekt wel die indruk.",
    fix="visudo -f /etc/sudoers.d/FILE    # list the commands that are needed instead",
    verify="cvtsudoers -e -f sudoers /etc/sudoers | grep '!/'    # prints nothing",
    references=("sudoers(5): '!' is generally not effective with ALL",),
)
def no_exclusions(sudo: Sudo) -> Verdict:
    """Sudo rules name what is allowed, not what is forbidden.

    Whoever may run all but one program copies that program to another name. An exception stops nothing, and looks as
    if it did.
    """
    excluded = [str(rule) for rule in sudo.rules if rule.negated]
    return sudo.judged(not excluded, named(excluded) or "no command is excluded", "no '!' before a command")


examples(
    no_exclusions,
    passes=_PLAIN,
    fails=[
        _policy(_ROOT, _may({"username": "bob"}, "ALL", "!/bin/su")),
        _text(_DEBIAN + "bob ALL=(ALL) ALL, !/bin/su, !/usr/bin/bash\n"),
    ],
    unknown=[*_UNKNOWN, {**_PLAIN, "switch": "sudoers: files sss\n"}],
    notapplicable=_BARE,
)


# --- settings -------------------------------------------------------------------------------------------------


@fact
class SudoVersion:
    """Which sudo this is. ``rs`` says that it is the one written anew in Rust."""

    number: tuple[int, ...]
    rs: bool = False


@probe("linux", shown=Command("sudo --version", needs="sudo"))
def sudo_version(shown: Raw) -> SudoVersion:
    """``Sudo version 1.9.13p3`` or ``sudo-rs 0.2.8``, sudo(8)."""
    match = re.match(r"(?:Sudo version|(sudo-rs)) (\d+(?:\.\d+)*)", shown.text)
    if not match:
        raise NotUnderstood(f"sudo --version says {shown.text[:60]!r}")
    return SudoVersion(tuple(map(int, match[2].split("."))), bool(match[1]))


_V13: Final = {"shown": "Sudo version 1.9.13p3\nSudoers policy plugin version 1.9.13p3\n"}
_V16: Final = {"shown": "Sudo version 1.9.16p2\n"}


@check(
    "sudo.own-terminal",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.HOST,
    title_nl="Sudo draait opdrachten in een eigen terminal",
    why_nl="Zonder eigen terminal kan een programma dat als root is gestart achteraf toetsen in het venster van "
    "de gebruiker "
    "stoppen, of andersom.",
    fix="echo 'Defaults use_pty' > /etc/sudoers.d/10-use-pty\nchmod 0440 /etc/sudoers.d/10-use-pty\nvisudo -c",
    verify="cvtsudoers -f sudoers /etc/sudoers | grep use_pty",
    references=("sudoers(5) use_pty: on by default since 1.9.14 (2023-06)",),
)
def own_terminal(sudo: Sudo, version: SudoVersion) -> Verdict:
    """Sudo runs commands in a terminal of their own.

    Without it a program that was started as root can push keys into the user's window later, or the other way round.
    """
    value = sudo.setting("use_pty")
    on = value if isinstance(value, bool) else version.rs or version.number >= (1, 9, 14)
    said = f"use_pty {'on' if on else 'off'}" + ("" if value is not None else " (default of this version)")
    without = [
        one.scope for one in sudo.defaults if one.name == "use_pty" and one.value is False and one.scope
    ]
    said += f", off for {named(without)}" if without else ""
    return sudo.judged(on and not without, said, "use_pty on, for everybody")


examples(
    own_terminal,
    passes=[
        {**_PLAIN, **_V13},
        {**_policy(_ROOT), **_V16},
        {**_text(_DEBIAN), "shown": "sudo-rs 0.2.8\n"},
    ],
    fails=[
        {**_policy(_ROOT), **_V13},
        {**_policy(_ROOT, use_pty=False), **_V16},
        {**_text(_DEBIAN + "Defaults use_pty\nDefaults:bob !use_pty\n"), **_V13},
    ],
    unknown=[
        {**_PLAIN, "shown": "doas 6.8\n"},
        {**_UNKNOWN[0], **_V13},
        {**_PLAIN, **_V13, "switch": "sudoers: files sss\n"},
    ],
    notapplicable={**_BARE, **_V13},
)


@dataclass(frozen=True, kw_only=True)
class Setting(Row):
    """A claim over settings alone: ``broken`` says what breaks it, or nothing."""

    expected: str


def _not_logged(sudo: Sudo) -> list[str]:
    broken = []
    if sudo.setting("syslog") is False and not sudo.setting("logfile"):
        broken.append("!syslog and no logfile")
    broken += [
        f"!{default.name}{default.scope and ' for ' + default.scope}"
        for default in sudo.defaults
        if (default.name in ("log_allowed", "log_denied") and default.value is False)
        or (default.name == "syslog" and default.value is False and default.scope)
    ]
    return broken


def _long_memory(sudo: Sudo) -> list[str]:
    broken = []
    found = [default for default in sudo.defaults if default.name == "timestamp_timeout"]
    for_all = [default for default in found if not default.scope]
    for default in [*for_all[-1:], *(default for default in found if default.scope)]:
        if isinstance(default.value, bool):
            if default.value:
                raise NotUnderstood("timestamp_timeout has no value")
            continue
        minutes = float(default.value)
        if minutes < 0 or minutes > 15:
            broken.append(f"timestamp_timeout={default.value}{default.scope and ' for ' + default.scope}")
    return broken


def _open_environment(sudo: Sudo) -> list[str]:
    broken = [
        f"!env_reset{default.scope and ' for ' + default.scope}"
        for default in sudo.defaults
        if default.name == "env_reset" and default.value is False
    ]
    if not sudo.setting("secure_path"):
        broken.append("no secure_path")
    return broken


_SETTINGS: Final = {
    "sudo.logged": _not_logged,
    "sudo.short-memory": _long_memory,
    "sudo.clean-environment": _open_environment,
}


@table(
    Setting(
        id="sudo.logged",
        principle=IN_DEPTH,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        title="Every use of sudo is logged",
        why="The log of sudo is the only place that tells which person did something as root.",
        title_nl="Elk gebruik van sudo komt in het logboek",
        why_nl="Het logboek van sudo is de enige plek die zegt welke persoon iets als root deed.",
        fix="visudo    # remove !syslog, !log_allowed and !log_denied",
        verify="cvtsudoers -f sudoers /etc/sudoers | grep -E 'syslog|logfile|log_(allowed|denied)'",
        references=("sudoers(5): syslog is on by default (authpriv)", "BIO2 1.3 8.18.02"),
        expected="syslog (the default) or logfile, for everybody, both granted and refused",
    ),
    Setting(
        id="sudo.short-memory",
        principle=SECURE_DEFAULT,
        severity=Severity.LOW,
        layer=Layer.IDENTITY,
        title="Sudo asks for the password again after a quarter of an hour at most",
        why="As long as sudo remembers the password, whoever sits down at an open session is root.",
        title_nl="Sudo vraagt na hoogstens een kwartier opnieuw het wachtwoord",
        why_nl="Zolang sudo het wachtwoord onthoudt, is wie achter een open sessie gaat zitten root.",
        fix="echo 'Defaults timestamp_timeout=5' > /etc/sudoers.d/10-timeout\nchmod 0440 "
        "/etc/sudoers.d/10-timeout\n"
        "visudo -c",
        verify="cvtsudoers -f sudoers /etc/sudoers | grep timestamp_timeout",
        references=("sudoers(5) timestamp_timeout: 5 minutes by default, 15 on Debian",),
        expected="timestamp_timeout 0 to 15 minutes",
    ),
    Setting(
        id="sudo.clean-environment",
        principle=SECURE_DEFAULT,
        severity=Severity.MEDIUM,
        layer=Layer.HOST,
        title="Sudo starts programs with a clean environment and a fixed path",
        why="With the path of the user, root may start a program that the user put there under a well-known name.",
        title_nl="Sudo start programma's met een schone omgeving en een vast pad",
        why_nl="Met het pad van de gebruiker start root misschien een programma dat die daar onder een bekende "
        "naam neerzette.",
        fix="echo 'Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"'"
        " > /etc/sudoers.d/10-path\nchmod 0440 /etc/sudoers.d/10-path\nvisudo -c",
        verify="cvtsudoers -f sudoers /etc/sudoers | grep -E 'secure_path|env_reset'",
        references=("sudoers(5) env_reset (on by default), secure_path (not set by default)",),
        expected="env_reset, and secure_path set",
    ),
)
def settings_hold(sudo: Sudo, *, row: Setting) -> Verdict:
    """Judge one claim over the settings of sudo."""
    broken = _SETTINGS[row.id](sudo)
    return sudo.judged(not broken, named(broken) or "as expected", row.expected)


examples(
    "sudo.logged",
    passes=[_PLAIN, _policy(_ROOT, syslog=False, logfile="/var/log/sudo.log")],
    fails=[
        _policy(_ROOT, syslog=False),
        _policy(_ROOT, log_allowed=False),
        _text(_DEBIAN + "Defaults:alice !syslog, timestamp_timeout=5\n"),
    ],
    unknown=[*_UNKNOWN, {**_PLAIN, "switch": "sudoers: files sss\n"}],
    notapplicable=_BARE,
)
examples(
    "sudo.short-memory",
    passes=[
        _PLAIN,
        _policy(_ROOT, timestamp_timeout="0"),
        _text(_DEBIAN + "Defaults !timestamp_timeout\n"),
        _text(_DEBIAN + "Defaults timestamp_timeout=60\nDefaults timestamp_timeout=5\n"),
    ],
    fails=[
        _policy(_ROOT, timestamp_timeout="-1"),
        _policy(_ROOT, timestamp_timeout="480"),
        # grep lists a folder in any order; the last by name counts.
        {
            **_text(""),
            "files": "/etc/sudoers.d/99-late\0Defaults timestamp_timeout=480\n"
            "/etc/sudoers.d/10-early\0Defaults timestamp_timeout=5\n/etc/sudoers\0@includedir /etc/sudoers.d\n",
        },
        _text(_DEBIAN + "Defaults:%dev timestamp_timeout=60\n"),
    ],
    unknown=[*_UNKNOWN, _policy(_ROOT, timestamp_timeout="long")],
    notapplicable=_BARE,
)
examples(
    "sudo.clean-environment",
    passes=[_PLAIN, _text(_DEBIAN)],
    fails=[_policy(_ROOT, env_reset=True), _policy(_ROOT, env_reset=False, secure_path="/usr/bin")],
    unknown=_UNKNOWN,
    notapplicable=_BARE,
)


@fact
class SudoFiles:
    """Path -> (permission bits, owner, group, kind) of what sudo reads its rules from."""

    seen: dict[str, tuple[int, str, str, str]]


@probe(
    "linux",
    found=Command(
        "find /etc/sudoers /etc/sudoers.d -maxdepth 1 -printf '%m %u %g %y %p\\n'", root=True, exits=(0, 1)
    ),
)
def sudo_files(found: Raw) -> SudoFiles:
    """``mode owner group kind path``, find(1)."""
    only_missing(found)
    seen = {}
    for line in found.lines:
        mode, owner, group, kind, path = line.split(" ", 4)
        seen[path] = (int(mode, 8), owner, group, kind)
    if not seen:
        if found.err:
            raise Absent("no /etc/sudoers: sudo is not used here")
        raise NotUnderstood("find says nothing of /etc/sudoers")
    return SudoFiles(seen)


@check(
    "sudo.files-closed",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="Alleen root kan de sudo-regels lezen en wijzigen",
    why_nl="Wie een regel kan toevoegen is root. Wie ze kan lezen weet welk account de moeite van het aanvallen "
    "waard is.",
    fix="chown -R root:root /etc/sudoers /etc/sudoers.d\nchmod 0440 /etc/sudoers /etc/sudoers.d/*\nchmod 0750 "
    "/etc/sudoers.d",
    verify="find /etc/sudoers /etc/sudoers.d -printf '%m %u %g %p\\n'",
    references=("sudoers(5) SUDOERS FILE FORMAT", "visudo(8) --check --owner --perms"),
)
def files_closed(files: SudoFiles) -> Verdict:
    """Only root can read and change the rules of sudo.

    Whoever can add a rule is root. Whoever can read them knows which account is worth attacking.
    """
    wrong = []
    for path, (mode, owner, group, kind) in files.seen.items():
        # The folder itself may be listed by all: its files are closed.
        excess = mode & (0o022 if kind == "d" else 0o027)
        if kind == "l":
            raise NotUnderstood(f"{path} is a link: where it points is not read")
        if owner != "root" or group != "root" or excess:
            wrong.append(f"{path} {mode:o} {owner}:{group}")
    return holds(
        not wrong, named(wrong) or f"{len(files.seen)} files and folders, all closed", "root:root, 0440"
    )


_CLOSED: Final = (
    "440 root root f /etc/sudoers\n755 root root d /etc/sudoers.d\n440 root root f /etc/sudoers.d/README\n"
)
examples(
    files_closed,
    passes=_CLOSED,
    fails=[
        _CLOSED + "644 root root f /etc/sudoers.d/web\n",
        _CLOSED + "440 deploy root f /etc/sudoers.d/web\n",
        _CLOSED.replace("755", "775"),
    ],
    unknown=["", _CLOSED + "777 root root l /etc/sudoers.d/web\n", "440 root\n"],
    notapplicable=Raw(b"", b"find: '/etc/sudoers': No such file or directory\n", 1),
)
