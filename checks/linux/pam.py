"""What PAM does with somebody who wants in: its stacks are followed as libpam would, not searched for words.

The question put to a stack is a supposition: who succeeds if every module that tells people apart says no, or if every
one says yes? That shows whether it fails closed, whatever the order, jumps and includes. A module that is not known
here makes the answer unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Annotated, Final

from checks.linux._answers import named
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Absent,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Tree,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    tree_files,
)

PAM: Final = Tree(path="/etc/pam.d")
# Where libpam looks next for a service: what distributions ship, and openSUSE's own folder.
SHIPPED: Final = Tree(path="/usr/lib/pam.d")
VENDOR: Final = Tree(path="/usr/etc/pam.d")
_ASIDE: Final = re.compile(r"(~|\.(bak|old|orig|save|rpm\w+|ucf-\w+|dpkg-\w+|pam-(old|new)))$")
KINDS: Final = ("auth", "account", "password", "session")
_FOLDER: Final = "/etc/pam.d/"
_LINE: Final = re.compile(
    r"-?(auth|account|password|session)\s+(\[[^\]]*\]|\S+)\s+(\S+)((?:\s.*)?)", re.IGNORECASE
)
_SIMPLE: Final = {
    "required": "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
    "requisite": "success=ok new_authtok_reqd=ok ignore=ignore default=die",
    "sufficient": "success=done new_authtok_reqd=done default=ignore",
    "optional": "success=ok new_authtok_reqd=ok default=ignore",
}
#: Modules that tell people apart: they say no to a stranger.
_TELLS_APART: Final = frozenset({
    "duo", "fprintd", "gdm", "google_authenticator", "krb5", "ldap", "oath", "p11", "pkcs11",
    "radius_auth", "rootok", "rssh", "ssh_agent_auth", "sss", "sss_gss", "systemd_home", "timestamp", "u2f", "unix",
    "unix_auth", "wheel", "winbind", "yubico",
})  # fmt: skip
#: Modules that look at other things than who somebody is: they say yes to most.
_LETS_THROUGH: Final = frozenset({
    "access", "cap", "console", "debug", "echo", "ecryptfs", "env", "faildelay", "fscrypt",
    "gnome_keyring", "group", "issue", "keyinit", "kwallet", "kwallet5", "lastlog", "limits",
    "listfile", "localuser", "loginuid", "mail", "mkhomedir", "motd", "mount", "namespace", "nologin",
    "permit", "pwhistory", "pwquality", "reauthorize", "securetty", "selinux", "sepermit", "setquota",
    "shells", "succeed_if", "systemd", "time", "tty_audit", "umask", "usertype", "warn",
    "wtmpdb", "xauth",
})  # fmt: skip
#: Modules whose answer steers a jump: both answers are tried.
_STEERS: Final = frozenset(("localuser", "succeed_if", "usertype"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a stack: how its answer counts, the module by its bare name, and its arguments."""

    control: str
    module: str
    arguments: tuple[str, ...]

    def argument(self, name: str) -> str | None:
        """The value of ``name=value``, empty for a bare ``name``; None when it is not there. The last one counts."""
        found = [value for key, _, value in (one.partition("=") for one in self.arguments) if key == name]
        return found[-1] if found else None


@fact
class Pam:
    """Every file that libpam reads by name, its lines joined and without remarks."""

    services: dict[str, tuple[str, ...]]

    def has(self, service: str) -> bool:
        """Whether this service has rules of its own."""
        return service in self.services

    def stack(self, service: str, kind: str) -> list[Entry]:
        """The lines of one kind, those of included files in their place. Raises NotUnderstood."""
        return [entry for entry in self._walk(service, kind, 0) if entry.control not in ("(", ")")]

    def outcome(self, service: str, kind: str, says: Callable[[Entry], str]) -> bool:
        """Whether the stack succeeds when each module answers what ``says`` says, pam.conf(5). Raises NotUnderstood."""
        entries = list(self._walk(service, kind, 0))
        good: bool | None = None
        at = 0
        while at < len(entries):
            entry = entries[at]
            at += 1
            if entry.control in ("(", ")"):
                continue
            answer = says(entry)
            action = _action(entry.control, answer)
            if action.isdecimal():
                at = _jump(entries, at, int(action))
            elif action == "reset":
                good = None
            elif action in ("ok", "done"):
                if good is None and answer != "ignore":
                    good = answer == "success"
                if action == "done" and good:
                    at = _leave(entries, at)
            elif action in ("bad", "die"):
                good = False
                if action == "die":
                    at = _leave(entries, at)
        return good is True

    def _walk(self, service: str, kind: str, depth: int) -> Iterator[Entry]:
        if service not in self.services:
            raise NotUnderstood(f"there is no file {service} in pam.d; rules elsewhere are not read")
        if depth > 16:
            raise NotUnderstood(f"/etc/pam.d/{service} includes itself")
        for line in self.services[service]:
            if line.startswith("@include"):
                yield from self._walk(_name(line.split()[-1]), kind, depth + 1)
                continue
            found = _LINE.fullmatch(line)
            if not found:
                raise NotUnderstood(f"/etc/pam.d/{service} says {line[:60]!r}")
            if found[1].lower() != kind:
                continue
            control, module = found[2].lower(), found[3]
            if control == "include":
                yield from self._walk(_name(module), kind, depth + 1)
            elif control == "substack":
                yield Entry("(", "", ())
                yield from self._walk(_name(module), kind, depth + 1)
                yield Entry(")", "", ())
            else:
                bare = module.rpartition("/")[2].removeprefix("pam_").removesuffix(".so")
                yield Entry(control, bare, tuple(re.findall(r"\[[^\]]*\]|\S+", found[4])))


def _name(path: str) -> str:
    name = path.removeprefix(_FOLDER)
    if "/" in name:
        raise NotUnderstood(f"PAM includes {path}, which is not read")
    return name


def _action(control: str, answer: str) -> str:
    pairs = _SIMPLE.get(control, control.strip("[]") if control.startswith("[") else "")
    actions = dict(re.findall(r"(\w+)=(\w+)", pairs))
    if not actions:
        raise NotUnderstood(f"PAM control {control!r}")
    action = str(actions.get(answer, actions.get("default", "bad")))
    if action not in ("ok", "done", "bad", "die", "ignore", "reset") and not action.isdecimal():
        raise NotUnderstood(f"PAM control {control!r}")
    return action


def _jump(entries: list[Entry], at: int, count: int) -> int:
    """Where ``count`` modules further is; a substack counts as one."""
    for _ in range(count):
        if at >= len(entries) or entries[at].control == ")":
            raise NotUnderstood("a PAM jump goes past the end")
        at = _leave(entries, at + 1) if entries[at].control == "(" else at + 1
    return at


def _leave(entries: list[Entry], at: int) -> int:
    """Where the substack that ``at`` is in ends; past the end when it is in none."""
    depth = 0
    while at < len(entries):
        control = entries[at].control
        depth += {"(": 1, ")": -1}.get(control, 0)
        at += 1
        if depth < 0:
            return at
    return at


def admits_strangers(pam: Pam, service: str) -> bool:
    """Whether the auth stack succeeds though every module that tells people apart says no. Raises NotUnderstood."""
    stack = pam.stack(service, "auth")
    steering = [entry for entry in dict.fromkeys(stack) if entry.module in _STEERS]
    if len(steering) > 6:
        raise NotUnderstood(f"/etc/pam.d/{service} has too many turns to follow")

    def says(entry: Entry, turns: dict[Entry, str]) -> str:
        if entry in turns:
            return turns[entry]
        if entry.module == "faillock":
            return "auth_err" if "authfail" in entry.arguments else "success"
        if entry.module == "deny" or entry.module in _TELLS_APART:
            return "auth_err"
        if entry.module in _LETS_THROUGH:
            return "success"
        raise NotUnderstood(f"/etc/pam.d/{service}: what pam_{entry.module}.so does is not known here")

    return any(
        pam.outcome(service, "auth", partial(says, turns=dict(zip(steering, answers, strict=True))))
        for answers in product(("success", "perm_denied"), repeat=len(steering))
    )


def locks_out(pam: Pam, service: str) -> bool:
    """Whether pam_faillock keeps a locked account out, and hears of each wrong password. Raises NotUnderstood."""
    stack = pam.stack(service, "auth")
    steering = [entry for entry in dict.fromkeys(stack) if entry.module in _STEERS]
    if len(steering) > 6:
        raise NotUnderstood(f"/etc/pam.d/{service} has too many turns to follow")
    counted: list[Entry] = []

    def says(entry: Entry, turns: dict[Entry, str], locked: bool) -> str:
        if entry in turns:
            return turns[entry]
        if entry.module == "faillock":
            if "authfail" in entry.arguments:
                counted.append(entry)
                return "auth_err"
            return "auth_err" if locked else "success"
        if entry.module == "deny":
            return "auth_err"
        # The account that is locked gives the right password; the other one gives a wrong one.
        return "success" if locked or entry.module not in _TELLS_APART else "auth_err"

    def holds_for(turns: dict[Entry, str]) -> bool:
        counted.clear()
        pam.outcome(service, "auth", partial(says, turns=turns, locked=False))
        heard = bool(counted)
        return heard and not pam.outcome(service, "auth", partial(says, turns=turns, locked=True))

    # Turns are for other accounts than most people's (root, a service): one way through that locks is enough.
    ways = product(("success", "perm_denied"), repeat=len(steering))
    return any(holds_for(dict(zip(steering, answers, strict=True))) for answers in ways)


@probe("linux", tree=PAM, shipped=SHIPPED, vendor=VENDOR)
def pam(tree: Raw, shipped: Raw | None, vendor: Raw | None) -> Pam:
    """Files of ``kind control module arguments``, pam.conf(5); ``@include`` is Debian's own.

    Of files with one name libpam reads the first; what editors and package managers put aside is not a service.
    """
    services: dict[str, tuple[str, ...]] = {}
    for raw in (tree, shipped, vendor):
        for path, lines in tree_files(raw).items() if raw else ():
            name = path.partition("/pam.d/")[2]
            if name in services or _ASIDE.search(name):
                continue
            whole = re.sub(r"\\\n", " ", "\n".join(lines))
            bare = (line.partition("#")[0].strip() for line in whole.split("\n"))
            services[name] = tuple(line for line in bare if line)
    if not services:
        raise NotUnderstood("/etc/pam.d is empty")
    return Pam(services)


def tree(files: dict[str, str]) -> str:
    """An example of what /etc/pam.d holds: file name -> its text."""
    return "".join(
        f"{_FOLDER}{name}\0{line}\n" for name, text in files.items() for line in text.strip("\n").split("\n")
    )


DEBIAN: Final = {
    "common-auth": "# the usual\nauth\t[success=1 default=ignore]\tpam_unix.so nullok\nauth\trequisite\tpam_deny.so\n"
    "auth\trequired\tpam_permit.so",
    "common-account": "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so \n"
    "account\trequisite\tpam_deny.so\naccount\trequired\tpam_permit.so",
    "common-password": "password\trequisite\tpam_pwquality.so retry=3\n"
    "password\t[success=1 default=ignore]\tpam_unix.so obscure use_authtok try_first_pass yescrypt\n"
    "password\trequisite\tpam_deny.so\npassword\trequired\tpam_permit.so",
    "common-session": "session\t[default=1]\tpam_permit.so\nsession\trequisite\tpam_deny.so\n"
    "session\trequired\tpam_permit.so\nsession\trequired\tpam_unix.so",
    "sshd": "@include common-auth\naccount    required     pam_nologin.so\n@include common-account\n"
    "@include common-session\n@include common-password",
    "login": "auth       optional   pam_faildelay.so  delay=3000000\nauth       requisite  pam_nologin.so\n"
    "@include common-auth\nauth       optional   pam_group.so\n@include common-account\n@include common-session\n"
    "@include common-password",
    "su": "auth       sufficient pam_rootok.so\n@include common-auth\n@include common-account\n@include common-session",
    "passwd": "@include common-password",
    "other": "@include common-auth\n@include common-account\n@include common-password\n@include common-session",
}
_ELSEWHERE: Final = {name: text for name, text in DEBIAN.items() if name != "sshd"}
_SYSTEM_AUTH: Final = """
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        required                                     pam_faillock.so preauth silent
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        [default=1 ignore=ignore success=ok]         pam_localuser.so
auth        sufficient                                   pam_unix.so
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        sufficient                                   pam_sss.so forward_pass
auth        required                                     pam_faillock.so authfail
auth        required                                     pam_deny.so
account     required                                     pam_faillock.so
account     required                                     pam_unix.so
password    requisite                                    pam_pwquality.so local_users_only
password    sufficient                                   pam_unix.so sha512 shadow use_authtok
password    required                                     pam_deny.so
session     required                                     pam_unix.so
"""
RHEL: Final = {
    "system-auth": _SYSTEM_AUTH,
    "password-auth": _SYSTEM_AUTH,
    "sshd": "auth       substack     password-auth\nauth       include      postlogin\n"
    "account    include      password-auth\n"
    "password   include      password-auth\nsession    include      password-auth",
    "postlogin": "session     optional      pam_umask.so silent\n-session    optional    pam_lastlog.so showfailed",
    "login": "auth       substack     system-auth\nauth       include      postlogin\n"
    "account    include      system-auth\n"
    "password   include      system-auth\nsession    include      system-auth",
    "su": "auth\t\tsufficient\tpam_rootok.so\nauth            required        pam_wheel.so use_uid\n"
    "auth\t\tsubstack\tsystem-auth\naccount\t\tinclude\t\tsystem-auth",
    "passwd": "auth       include\tsystem-auth\naccount    include\tsystem-auth\npassword   substack\tsystem-auth",
    "other": "\n".join(f"{kind}     required       pam_deny.so" for kind in KINDS),
}


def _shipped(name: str, line: str, below: str = "lib") -> str:
    return f"/usr/{below}/pam.d/{name}\0{line}\n"


@check(
    "pam.fails-closed",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="Wie zich nergens kan bewijzen, komt niet binnen",
    why_nl="Een verkeerde volgorde in PAM, of één regel te weinig, laat iedereen toe zonder wachtwoord. Dat "
    "valt niet op, want "
    "wie het goede wachtwoord geeft komt ook binnen.",
    fix="pam-auth-update --force    # Debian: writes the stacks anew",
    verify="grep -n pam_deny /etc/pam.d/common-auth    # comes right after the modules that may say yes",
    references=("pam.conf(5)", "Linux-PAM System Administrators' Guide 1.6.1", "pam-auth-update(8)"),
    advice="RHEL: authselect apply-changes. Keep a root session open until a new login has worked, and a wrong "
    "one has not.",
    advice_nl="RHEL: authselect apply-changes. Houd een sessie als root open tot een nieuwe aanmelding is gelukt.",
)
def fails_closed(
    pam: Pam,
    *,
    services: Annotated[tuple[str, ...], "PAM services that let people in"] = (
        "sshd",
        "login",
        "su",
        "sudo",
        "cockpit",
    ),
) -> Verdict:
    """Whoever cannot prove who they are does not get in.

    A wrong order in PAM, or one line too few, lets everyone in without a password. It does not stand out, for whoever
    gives the right password gets in as well.
    """
    here = [service for service in services if pam.has(service)]
    if not here:
        raise NotUnderstood(f"none of {', '.join(services)} is in /etc/pam.d")
    open_ = [service for service in here if admits_strangers(pam, service)]
    return holds(
        not open_,
        f"lets in who proves nothing: {named(open_) or 'none'} of {', '.join(here)}",
        "every auth stack fails when no module says yes",
    )


examples(
    fails_closed,
    passes=[
        tree(DEBIAN),
        tree(RHEL),
        {
            "tree": tree({**DEBIAN, "sshd": "@include common-auth"}),
            "shipped": _shipped("sshd", "auth optional x"),
        },
    ],
    fails=[
        # openSUSE has the rules of sshd elsewhere.
        {"tree": tree(_ELSEWHERE), "vendor": _shipped("sshd", "auth required pam_permit.so", "etc")},
        tree(
            {
                **DEBIAN,
                "common-auth": DEBIAN["common-auth"].replace("requisite\tpam_deny", "optional\tpam_deny"),
            }
        ),
        tree(
            {**DEBIAN, "common-auth": DEBIAN["common-auth"].replace("success=1 default=ignore", "default=1")}
        ),
        tree({**RHEL, "password-auth": _SYSTEM_AUTH.replace("auth        required", "auth        optional")}),
    ],
    unknown=[
        tree({**DEBIAN, "common-auth": "auth required pam_own_thing.so"}),
        tree({**DEBIAN, "common-auth": "auth sometimes pam_unix.so"}),
        tree({"sshd": "@include /opt/pam/auth"}),
        tree({"sshd": "@include sshd"}),
        tree({"cron": "auth required pam_deny.so"}),
        tree({"sshd": "auth [success=4 default=ignore] pam_env.so"}),
    ],
)


@check(
    "pam.other-denied",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Een dienst zonder eigen PAM-regels wordt geweigerd",
    why_nl="Voor een dienst die PAM niet kent geldt het bestand other. Weigert dat niet alles, dan krijgt een "
    "vergeten of "
    "verkeerd gespelde dienst toch een deur.",
    fix='for kind in auth account password session; do\n  echo "$kind required pam_warn.so"\n'
    '  echo "$kind required pam_deny.so"\ndone > /etc/pam.d/other',
    verify="cat /etc/pam.d/other",
    references=("pam.conf(5)", "Linux-PAM System Administrators' Guide 5.1"),
    advice="Look in the journal first for programs that use it; give those a file of their own.",
    advice_nl="Kijk eerst in het logboek welke programma's het gebruiken; geef die een eigen bestand.",
)
def other_denied(pam: Pam) -> Verdict:
    """A service without PAM rules of its own is refused.

    The file other holds for a service that PAM does not know. If it does not refuse everything, a forgotten or misspelt
    service has a door after all.
    """

    def says(entry: Entry) -> str:
        return "perm_denied" if entry.module == "deny" else "success"

    let = [kind for kind in KINDS if pam.outcome("other", kind, says)]
    return holds(not let, f"other lets through: {', '.join(let) or 'nothing'}", "other refuses everything")


examples(
    other_denied,
    passes=[tree(RHEL), tree({"other": "auth required pam_warn.so\n" + RHEL["other"]})],
    fails=[
        tree(DEBIAN),
        tree(
            {
                "other": RHEL["other"].replace(
                    "session     required", "session sufficient pam_permit.so\nsession required"
                )
            }
        ),
    ],
    unknown=[tree({"sshd": "auth required pam_deny.so"}), tree({"other": "auth required"})],
)


@check(
    "pam.no-empty-passwords",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="PAM weigert een leeg wachtwoord",
    why_nl="Met nullok komt een account zonder wachtwoord zomaar binnen. Eén vergeten account is dan genoeg.",
    fix="sed -i 's/ nullok\\(_secure\\)\\?//' /usr/share/pam-configs/unix /etc/pam.d/common-auth",
    verify="grep -rn nullok /etc/pam.d    # prints nothing",
    references=("pam_unix(8)", "pam-auth-update(8)"),
    advice="RHEL: authselect enable-feature without-nullok.",
    advice_nl="RHEL: authselect enable-feature without-nullok.",
)
def no_empty_passwords(pam: Pam) -> Verdict:
    """PAM refuses an empty password.

    With nullok an account without a password walks in. One forgotten account is enough.
    """
    found = [
        service
        for service in sorted(pam.services)
        for entry in pam.stack(service, "auth")
        if entry.module == "unix" and not {"nullok", "nullok_secure"}.isdisjoint(entry.arguments)
    ]
    return holds(
        not found, f"nullok for: {named(list(dict.fromkeys(found))) or 'none'}", "no pam_unix.so with nullok"
    )


examples(
    no_empty_passwords,
    passes=[
        tree(RHEL),
        tree({**DEBIAN, "common-auth": DEBIAN["common-auth"].replace(" nullok", "")}),
        tree({**RHEL, "sshd.rpmsave": "auth sufficient pam_unix.so nullok"}),
    ],
    fails=[
        tree(DEBIAN),
        {"tree": tree(RHEL), "shipped": _shipped("kiosk", "auth required pam_unix.so nullok")},
    ],
    unknown=[tree({"sshd": "auth required"}), tree({"sshd": "@include gone"})],
)


@check(
    "pam.su-restricted",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.IDENTITY,
    title_nl="Alleen een aangewezen groep mag su gebruiken",
    why_nl="Met su kan elke gebruiker het wachtwoord van root raden, zo vaak als de vertraging toelaat. Sudo "
    "noemt wie wat mag "
    "en schrijft op wie het was.",
    fix="groupadd --system sugroup\n"
    "sed -i '/pam_rootok/a auth required pam_wheel.so use_uid group=sugroup' /etc/pam.d/su",
    verify="grep pam_wheel /etc/pam.d/su",
    references=("pam_wheel(8)", "su(1)"),
    advice="An empty group is fine: then only sudo remains. Keep a root session open while you try.",
    advice_nl="Een lege groep mag: dan blijft alleen sudo over. Houd een sessie als root open terwijl u het "
    "probeert.",
)
def su_restricted(pam: Pam) -> Verdict:
    """Only a named group may use su.

    With su every user can guess the password of root, as often as the delay allows. Sudo names who may do what and
    writes down who it was.
    """
    if not pam.has("su"):
        raise Absent("/etc/pam.d/su is not there: su has no rules of its own")

    def says(entry: Entry) -> str:
        # Somebody who knows the password, but is not root and not in the group.
        if entry.module == "wheel" and "deny" in entry.arguments:
            return "success"
        return "perm_denied" if entry.module in ("wheel", "rootok", "deny") else "success"

    # `su -` asks for another service where that has a file.
    here = [service for service in ("su", "su-l") if pam.has(service)]
    open_ = [service for service in here if pam.outcome(service, "auth", says)]
    return holds(
        not open_,
        f"{' and '.join(open_)} takes anyone with the password"
        if open_
        else "su refuses who is not in the group",
        "auth required pam_wheel.so use_uid",
    )


examples(
    su_restricted,
    passes=tree(RHEL),
    fails=[
        tree(DEBIAN),
        tree(
            {
                **RHEL,
                "su": RHEL["su"].replace("required        pam_wheel.so", "sufficient pam_wheel.so trust"),
            }
        ),
        tree({**RHEL, "su-l": "auth substack system-auth"}),
    ],
    notapplicable=tree({"sshd": DEBIAN["common-auth"]}),
    unknown=tree({"su": "@include gone"}),
)
