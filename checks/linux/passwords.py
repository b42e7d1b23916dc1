"""Passwords: how they are kept, how good they must be, and how often one may guess.

No hash ever leaves the host: sed(1) replaces it there by the mark of its scheme. A line that sed does not understand is
replaced whole.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from checks.linux._answers import named, only_missing
from checks.linux.accounts import Account, LoginDefs
from checks.linux.pam import DEBIAN, RHEL, Entry, Pam, locks_out, tree
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    SECURE_DESIGN,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    read,
    tree_files,
)

_NAME: Final = "^([^:$]{1,64}[$]?):"
_REST: Final = "((:[0-9-]*){7})$"
_KEPT: Final = (
    # $id$ with its rounds; a DES hash; a lock (whatever hash it hides) or nothing; anything else; a strange line.
    rf"s/{_NAME}(!*)([$][0-9a-z-]{{1,9}}([$,]rounds=[0-9]{{1,9}})?[$])[^:]*{_REST}/\1:\2\3\5/",
    rf"s/{_NAME}([.\/0-9A-Za-z]{{13}}|_[.\/0-9A-Za-z]{{19}}){_REST}/\1:DES\3/",
    rf"s/{_NAME}(([!*])[^:]*)?{_REST}/\1:\3\4/",
    rf"s/{_NAME}[^:]+{_REST}/\1:?\2/",
)
SHADOW: Final = Command(
    "sed -E " + " ".join(f"-e '{rule}' -e t" for rule in _KEPT) + " -e 's/.*/?/' /etc/shadow", root=True
)
SECURITY: Final = Command(
    "grep -RaHZvE '^[[:space:]]*(#|$)' /etc/security/pwquality.conf /etc/security/pwquality.conf.d"
    " /etc/security/faillock.conf /etc/security/pwhistory.conf",
    exits=(0, 1, 2),
)
_SCHEMES: Final = {
    "1": "MD5", "2a": "bcrypt", "2b": "bcrypt", "2y": "bcrypt", "3": "NT", "5": "SHA-256", "6": "SHA-512",
    "7": "scrypt", "gy": "gost-yescrypt", "md5": "Sun MD5", "sha1": "SHA-1", "sm3": "SM3", "y": "yescrypt",
}  # fmt: skip
_SLOW: Final = ("yescrypt", "gost-yescrypt", "scrypt", "bcrypt", "SHA-512")
_STACKS: Final = ("sshd", "login")


@fact
class Shadow:
    """Name -> what is left of its password: empty, ``!``, ``*``, ``DES``, ``?`` or the mark of a scheme (``$6$``)."""

    left: dict[str, str]


@fact
class PasswordHash:
    """One account with a password hash, locked or not. ``rounds`` is 0 when the hash does not say."""

    name: str
    scheme: str
    rounds: int = 0

    def __str__(self) -> str:
        return self.name


@fact
class Security:
    """The settings in /etc/security that PAM modules read; a file that is not there has none."""

    pwquality: dict[str, str]
    faillock: dict[str, str]
    pwhistory: dict[str, str]


@probe("linux", kept=SHADOW)
def shadow(kept: Raw) -> Shadow:
    """``name:mark:dates``, shadow(5) with the marks that `SHADOW` leaves."""
    found: dict[str, str] = {}
    for line in kept.lines:
        match = re.fullmatch(r"([^:]+):(!*(?:\$[^:$]*(?:\$rounds=\d+)?\$)|DES|[!*?]?)(?::[0-9-]*){7}", line)
        if not match or match[1][0] in "+-":
            raise NotUnderstood("/etc/shadow has a line that is not of shadow(5)")
        found[match[1]] = match[2]
    if not found:
        raise NotUnderstood("/etc/shadow is empty")
    return Shadow(found)


@probe("linux")
def hashed(shadow: Shadow) -> list[PasswordHash]:
    """The accounts that have a hash, each with its scheme."""
    found = []
    for name, left in shadow.left.items():
        if left == "DES":
            found.append(PasswordHash(name, "DES"))
        elif left == "?":
            found.append(PasswordHash(name, "?"))
        elif mark := re.fullmatch(r"!*\$([^$,]*)(?:[$,]rounds=(\d+))?\$", left):
            scheme = _SCHEMES.get(mark[1], "?")
            found.append(read(PasswordHash, {"name": name, "scheme": scheme, "rounds": mark[2] or "0"}))
    return found


@probe("linux", files=SECURITY)
def security(files: Raw) -> Security:
    """``name = value`` or a bare ``name``; of pwquality the folder is read first and the file has the last word."""
    only_missing(files)
    found = tree_files(files)
    folder = sorted(path for path in found if "/pwquality.conf.d/" in path and path.endswith(".conf"))

    def settings(*paths: str) -> dict[str, str]:
        made: dict[str, str] = {}
        for path in paths:
            for line in found.get(path, ()):
                match = re.fullmatch(r"\s*(\w+)\s*(?:=\s*(.*?)|\s(.*?))?\s*", line.partition("#")[0])
                if not match:
                    raise NotUnderstood(f"{path} says {line[:60]!r}")
                made[match[1]] = match[2] or match[3] or ""
        return made

    base = "/etc/security"
    return Security(
        pwquality=settings(*folder, f"{base}/pwquality.conf"),
        faillock=settings(f"{base}/faillock.conf"),
        pwhistory=settings(f"{base}/pwhistory.conf"),
    )


def _number(value: str, what: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", value):
        raise NotUnderstood(f"{what} {value!r} is not a number")
    return int(value)


_HASHES: Final = """root:!:19000:0:99999:7:::
daemon:*:19000:0:99999:7:::
jdevries:$y$:20000:0:99999:7:::
pbakker:!$6$rounds=65536$:20000:0:99999:7:::
"""
_PEOPLE: Final = (
    "root:x:0:0::/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
    "jdevries:x:1001:1001::/home/jdevries:/bin/bash\npbakker:x:1002:1002::/home/pbakker:/bin/bash\n"
)


@check(
    "passwords.none-empty",
    principle=DEFAULT_DENY,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="Geen account heeft een leeg wachtwoord",
    why_nl="Met een leeg wachtwoord is iemand binnen door op enter te drukken.",
    fix="passwd --lock NAME    # or: passwd NAME",
    verify="awk -F: '$2 == \"\" {print $1}' /etc/shadow    # prints nothing",
    references=("shadow(5)", "ISO/IEC 27002:2022 5.17"),
)
def none_empty(accounts: list[Account], shadow: Shadow) -> Verdict:
    """No account has an empty password.

    With an empty password somebody is in by pressing enter.
    """
    empty = [name for name, left in shadow.left.items() if left == ""]
    empty += [account.name for account in accounts if account.password == "" and account.name not in empty]
    return holds(not empty, f"empty password: {named(empty) or 'none'}", "empty password: none")


examples(
    none_empty,
    passes={"kept": _HASHES, "passwd": _PEOPLE},
    fails=[
        {"kept": _HASHES + "guest::20000:0:99999:7:::\n", "passwd": _PEOPLE},
        {"kept": _HASHES, "passwd": _PEOPLE + "old::1005:1005::/home/old:/bin/sh\n"},
    ],
    unknown=[
        {"kept": _HASHES + "?\n", "passwd": _PEOPLE},
        {"kept": _HASHES + "+::::::::\n", "passwd": _PEOPLE},
        {"kept": "", "passwd": _PEOPLE},
    ],
)


@check(
    "passwords.strong-hash",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="Het wachtwoord is bewaard met een traag algoritme",
    why_nl="Wie een hash buitmaakt gaat raden. MD5 en DES laten miljarden pogingen per seconde toe; yescrypt of "
    "SHA-512 met "
    "genoeg rondes maakt dat onbetaalbaar.",
    fix="chage -d 0 NAME    # the next login sets a new password, hashed the new way\npasswd --lock NAME    # "
    "or lock it",
    verify="sed -E 's/^([^:]*):!*(\\$[^$]*\\$).*/\\1 \\2/' /etc/shadow",
    references=("crypt(5)", "OWASP Password Storage Cheat Sheet (2025)", "ISO/IEC 27002:2022 5.17"),
    advice="Change ENCRYPT_METHOD first, else the new hash is as weak as the old one.",
    advice_nl="Wijzig eerst ENCRYPT_METHOD, anders is de nieuwe hash even zwak als de oude.",
)
def strong_hash(
    hashed: PasswordHash,
    *,
    schemes: Annotated[tuple[str, ...], "password schemes that are slow enough"] = _SLOW,
    rounds: Annotated[int, "rounds that SHA-512 must have at least"] = 5000,
) -> Verdict:
    """The password is kept with a slow algorithm.

    Whoever gets hold of a hash starts to guess. MD5 and DES allow billions of tries a second; yescrypt, or SHA-512 with
    enough rounds, makes that too costly.
    """
    if hashed.scheme == "?":
        raise NotUnderstood("the password scheme is not known here")
    few = hashed.scheme == "SHA-512" and 0 < hashed.rounds < rounds
    told = f" with {hashed.rounds} rounds" if hashed.rounds else ""
    return holds(
        hashed.scheme in schemes and not few, f"{hashed.scheme}{told}", f"one of {', '.join(schemes)}"
    )


examples(
    strong_hash,
    passes=_HASHES,
    fails=[
        _HASHES + "old:$1$:15000:0:99999:7:::\n",
        _HASHES + "older:DES:12000:0:99999:7:::\n",
        _HASHES + "fast:$6$rounds=1000$:20000:0:99999:7:::\n",
    ],
    notapplicable="root:!:19000:0:99999:7:::\n",
    unknown=[_HASHES + "odd:?:20000:0:99999:7:::\n", _HASHES + "new:$zz$:20000:0:99999:7:::\n"],
)


def _passwd_stack(pam: Pam) -> list[Entry]:
    return pam.stack("passwd", "password")


_HASH_OPTIONS: Final = {
    "md5": "MD5", "bigcrypt": "DES", "sha256": "SHA-256", "sha512": "SHA-512", "blowfish": "bcrypt",
    "gost_yescrypt": "gost-yescrypt", "yescrypt": "yescrypt",
}  # fmt: skip
_METHODS: Final = {
    "DES": "DES", "MD5": "MD5", "SHA256": "SHA-256", "SHA512": "SHA-512", "BCRYPT": "bcrypt", "BLOWFISH": "bcrypt",
    "YESCRYPT": "yescrypt", "GOST_YESCRYPT": "gost-yescrypt",
}  # fmt: skip


@check(
    "passwords.new-hash-strong",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="Nieuwe wachtwoorden worden met een traag algoritme bewaard",
    why_nl="Wat hier staat geldt voor elk wachtwoord dat nog gekozen wordt. Staat er niets, dan gebruikt het "
    "systeem een "
    "algoritme uit 1979.",
    fix="sed -i 's/^ENCRYPT_METHOD.*/# &/' /etc/login.defs\necho 'ENCRYPT_METHOD YESCRYPT' >> /etc/login.defs\n"
    "sed -i -E '/pam_unix.so/s/ (md5|bigcrypt|sha256|sha512|blowfish)\\b/ yescrypt/' /etc/pam.d/common-password",
    verify="grep ENCRYPT_METHOD /etc/login.defs; grep pam_unix /etc/pam.d/common-password",
    references=("login.defs(5) ENCRYPT_METHOD: the default is DES", "pam_unix(8)"),
    advice="RHEL 8 and older know SHA512 at best.",
    advice_nl="RHEL 8 en ouder kennen ten hoogste SHA512.",
)
def new_hash_strong(
    defs: LoginDefs,
    pam: Pam,
    *,
    schemes: Annotated[tuple[str, ...], "password schemes that are slow enough"] = _SLOW,
) -> Verdict:
    """New passwords are kept with a slow algorithm.

    What stands here holds for every password that is still to be chosen. When nothing does, the system uses an
    algorithm of 1979.
    """
    method = defs.settings.get("ENCRYPT_METHOD", "DES")
    used = {"login.defs": _METHODS.get(method.upper(), f"? ({method})")}
    for entry in _passwd_stack(pam):
        if entry.module == "unix":
            option = next((one for one in reversed(entry.arguments) if one in _HASH_OPTIONS), "")
            used["pam_unix"] = _HASH_OPTIONS[option] if option else used["login.defs"]
    strange = [f"{where} {scheme}" for where, scheme in used.items() if scheme.startswith("?")]
    if strange:
        raise NotUnderstood(", ".join(strange))
    if "pam_unix" not in used:
        raise NotUnderstood("passwd does not go through pam_unix.so")
    return holds(
        all(scheme in schemes for scheme in used.values()),
        ", ".join(f"{where} {scheme}" for where, scheme in used.items()),
        f"one of {', '.join(schemes)}",
    )


_DEFS: Final = "UID_MIN 1000\nENCRYPT_METHOD SHA512\n"
_MD5: Final = {**RHEL, "system-auth": RHEL["system-auth"].replace("sha512", "md5")}
examples(
    new_hash_strong,
    passes=[{"defs": _DEFS, "tree": tree(DEBIAN)}, {"defs": _DEFS, "tree": tree(RHEL)}],
    fails=[
        {"defs": "UID_MIN 1000\n", "tree": tree(DEBIAN)},
        {"defs": _DEFS, "tree": tree(_MD5)},
        {"defs": _DEFS.replace("SHA512", "MD5"), "tree": tree(DEBIAN)},
    ],
    unknown=[
        {"defs": _DEFS.replace("SHA512", "ROT13"), "tree": tree(DEBIAN)},
        {"defs": _DEFS, "tree": tree({"passwd": "password required pam_krb5.so"})},
        {"tree": tree(DEBIAN)},
    ],
)


@check(
    "passwords.min-length",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Een nieuw wachtwoord is lang genoeg",
    why_nl="De lengte bepaalt hoe lang raden duurt. Alleen een regel die het systeem afdwingt geldt voor iedereen.",
    fix="apt install libpam-pwquality\nmkdir -p /etc/security/pwquality.conf.d\n"
    "sed -i -E 's/^(minlen|enforcing|[dulo]credit)/# &/' /etc/security/pwquality.conf\n"
    "printf 'minlen = 14\\ndcredit = 0\\nucredit = 0\\nlcredit = 0\\nocredit = 0\\n'"
    " > /etc/security/pwquality.conf.d/50-length.conf",
    verify="grep -rhE '^(minlen|enforcing|[dulo]credit)' /etc/security/pwquality.conf "
    "/etc/security/pwquality.conf.d;"
    " grep -r pam_pwquality /etc/pam.d",
    references=("pwquality.conf(5): minlen 8 by default", "pam_pwquality(8)", "BIO2 1.3 5.17.03"),
    advice="The rule counts for the next change of a password; it does not look at old ones.",
    advice_nl="De regel geldt bij de volgende wijziging van een wachtwoord, niet voor oude.",
)
def min_length(
    pam: Pam,
    security: Security,
    *,
    characters: Annotated[int, "characters a new password must have at least"] = 14,
) -> Verdict:
    """A new password is long enough.

    Its length decides how long guessing takes. Only a rule that the system enforces holds for everyone.
    """
    stack = _passwd_stack(pam)
    expected = f"at least {characters} characters, enforced"
    for entry in stack:
        if entry.module in ("pwquality", "cracklib"):
            if not _refuses(pam, entry):
                return holds(False, f"pam_{entry.module}.so is {entry.control}: it refuses nothing", expected)
            return _length(entry, security, characters, expected)
        if entry.module == "passwdqc":
            raise NotUnderstood("pam_passwdqc.so: its rules are not read")
    least = max((_number(value, "minlen") for one in stack if (value := one.argument("minlen"))), default=0)
    said = f"pam_unix.so minlen={least}" if least else "no module asks for a length"
    return holds(least >= characters, said, expected)


def _refuses(pam: Pam, entry: Entry) -> bool:
    """Whether no new password is taken once this line of the stack of passwd says no."""

    def says(one: Entry) -> str:
        return "authtok_err" if one == entry else "perm_denied" if one.module == "deny" else "success"

    return not pam.outcome("passwd", "password", says)


def _length(entry: Entry, security: Security, characters: int, expected: str) -> Verdict:
    values = {"minlen": "8" if entry.module == "pwquality" else "9", "enforcing": "1"}
    values |= dict.fromkeys(
        ("dcredit", "ucredit", "lcredit", "ocredit"), "0" if entry.module == "pwquality" else "1"
    )
    if entry.module == "pwquality":
        values |= security.pwquality
    values |= {name: value for name in values if (value := entry.argument(name)) is not None}
    if _number(values["enforcing"], "enforcing") == 0:
        return holds(False, "enforcing = 0: it warns and refuses nothing", expected)
    # A positive credit makes a password with such characters that much shorter.
    credit = sum(max(0, _number(values[name], name)) for name in values if name.endswith("credit"))
    least = max(_number(values["minlen"], "minlen"), 6) - credit
    told = f" ({credit} less for kinds of characters)" if credit else ""
    return holds(least >= characters, f"minlen {values['minlen']}{told}", expected)


def _conf(**files: str) -> str:
    return "".join(
        f"/etc/security/{name.replace('__', '.conf.d/').replace('_', '-')}.conf\0{line}\n"
        for name, text in files.items()
        for line in text.split("\n")
    )


examples(
    min_length,
    passes=[
        {"tree": tree(DEBIAN), "files": _conf(pwquality="minlen = 14")},
        {"tree": tree(RHEL), "files": _conf(pwquality__50_length="minlen=16\nucredit = -1")},
        {
            "tree": tree({"passwd": "password required pam_unix.so sha512 minlen=15"}),
            "files": _conf(faillock="audit"),
        },
    ],
    fails=[
        {"tree": tree(DEBIAN), "files": _conf(faillock="audit")},
        {"tree": tree(DEBIAN), "files": _conf(pwquality="minlen = 14\nenforcing = 0")},
        {"tree": tree(DEBIAN), "files": _conf(pwquality="minlen = 14\ndcredit = 1")},
        {"tree": tree(DEBIAN), "files": _conf(pwquality__50_a="minlen=20", pwquality="minlen = 8")},
        {
            "tree": tree({"passwd": "password required pam_unix.so sha512"}),
            "files": _conf(pwquality="minlen = 20"),
        },
        *(
            {"tree": tree({"passwd": stack}), "files": _conf(pwquality="minlen = 20")}
            for stack in (
                "password optional pam_pwquality.so\npassword required pam_unix.so",
                "password [default=ignore] pam_pwquality.so\npassword required pam_unix.so",
                "password sufficient pam_unix.so\npassword required pam_pwquality.so",
            )
        ),
    ],
    unknown=[
        {"tree": tree(DEBIAN), "files": _conf(pwquality="minlen = long")},
        {
            "tree": tree(DEBIAN),
            "files": Raw(b"", b"grep: /etc/security/pwquality.conf: Permission denied\n", 2),
        },
        {"tree": tree({"passwd": "password required pam_passwdqc.so"}), "files": _conf(faillock="audit")},
    ],
)


@check(
    "passwords.history",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.IDENTITY,
    title_nl="Een oud wachtwoord kan niet opnieuw worden gekozen",
    why_nl="Wie na een lek zijn oude wachtwoord terugzet, geeft de dief de sleutel terug.",
    fix="cat > /usr/share/pam-configs/pwhistory <<'X'\nName: Refuse old passwords\nDefault: yes\nPriority: 512\n"
    "Password-Type: Primary\nPassword:\n\trequisite pam_pwhistory.so remember=5 use_authtok\n"
    "Password-Initial:\n\trequisite pam_pwhistory.so remember=5\nX\npam-auth-update --package",
    verify="grep -r pam_pwhistory /etc/pam.d",
    references=("pam_pwhistory(8): remember is 10 by default", "pwhistory.conf(5)"),
    advice="RHEL: authselect enable-feature with-pwhistory. Test with passwd as an ordinary user.",
    advice_nl="RHEL: authselect enable-feature with-pwhistory. Test met passwd als gewone gebruiker.",
)
def history(
    pam: Pam, security: Security, *, remember: Annotated[int, "old passwords that are refused at least"] = 5
) -> Verdict:
    """An old password cannot be chosen again.

    Whoever sets an old password again after a leak hands the key back to the thief.
    """
    kept, by = 0, "no module"
    for entry in _passwd_stack(pam):
        value = entry.argument("remember")
        if entry.module == "pwhistory":
            if entry.argument("conf") is not None:
                raise NotUnderstood("pam_pwhistory.so has a file of its own (conf=), which is not read")
            value = (value or security.pwhistory.get("remember", "10")) if _refuses(pam, entry) else None
        if entry.module in ("pwhistory", "unix") and value:
            kept, by = max((kept, by), (_number(value, "remember"), f"pam_{entry.module}.so"))
    return holds(kept >= remember, f"{by} remembers {kept}", f"at least {remember}")


_HISTORY: Final = {
    **DEBIAN,
    "passwd": "password required pam_pwhistory.so use_authtok\n@include common-password",
}
examples(
    history,
    passes=[
        {"tree": tree(_HISTORY), "files": _conf(faillock="audit")},
        {
            "tree": tree({"passwd": "password required pam_unix.so remember=24"}),
            "files": _conf(faillock="audit"),
        },
    ],
    fails=[
        {"tree": tree(DEBIAN), "files": _conf(pwhistory="remember = 5")},
        {"tree": tree(_HISTORY), "files": _conf(pwhistory="remember = 2")},
        {
            "tree": tree({**_HISTORY, "passwd": _HISTORY["passwd"].replace("required", "optional")}),
            "files": _conf(pwhistory="remember = 24"),
        },
    ],
    unknown=[
        {"tree": tree(_HISTORY), "files": _conf(pwhistory="remember = all")},
        {
            "tree": tree(
                {**_HISTORY, "passwd": _HISTORY["passwd"].replace("use_authtok", "conf=/etc/own.conf")}
            ),
            "files": _conf(pwhistory="remember = 24"),
        },
    ],
)


@check(
    "passwords.lockout",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Na te veel foute wachtwoorden gaat het account dicht",
    why_nl="Zonder grens kan iemand dag en nacht doorgaan met raden. Met een grens van enkele pogingen heeft "
    "dat geen zin.",
    fix="printf 'deny = 5\\nunlock_time = 900\\n' > /etc/security/faillock.conf\n"
    "cat > /usr/share/pam-configs/faillock <<'X'\nName: Lock an account after failures\nDefault: yes\nPriority: 0\n"
    "Auth-Type: Primary\nAuth:\n\t[default=die] pam_faillock.so authfail\nX\n"
    "cat > /usr/share/pam-configs/faillock_first <<'X'\nName: Refuse a locked account, count anew after success\n"
    "Default: yes\nPriority: 1024\nAuth-Type: Primary\nAuth:\n\trequisite pam_faillock.so preauth\n"
    "Account-Type: Primary\nAccount:\n\trequired pam_faillock.so\nX\npam-auth-update --package",
    verify="grep -rn pam_faillock /etc/pam.d; grep -vE '^#|^$' /etc/security/faillock.conf",
    references=(
        "pam_faillock(8)",
        "faillock.conf(5): deny 3 and unlock_time 600 by default",
        "ISO/IEC 27002:2022 8.5",
    ),
    advice="RHEL: authselect enable-feature with-faillock. Keep a root session open; `faillock --user NAME "
    "--reset` unlocks.",
    advice_nl="RHEL: authselect enable-feature with-faillock. Houd een sessie als root open; `faillock --reset` "
    "maakt weer vrij.",
)
def lockout(
    pam: Pam,
    security: Security,
    *,
    tries: Annotated[int, "wrong passwords after which an account must be locked"] = 5,
    seconds: Annotated[int, "seconds that it must stay locked at least; 0 in the setting is for ever"] = 900,
) -> Verdict:
    """An account is locked after too many wrong passwords.

    Without a limit somebody can guess day and night. With a limit of a few tries there is no point.
    """
    here = [service for service in _STACKS if pam.has(service)]
    if not here:
        raise NotUnderstood(f"none of {', '.join(_STACKS)} is in /etc/pam.d")
    expected = f"deny 1 to {tries}, unlock_time 0 or at least {seconds}, for {', '.join(here)}"
    seen = []
    for service in here:
        stack = pam.stack(service, "auth")
        if any(entry.module in ("tally", "tally2") for entry in stack):
            raise NotUnderstood(f"{service} counts with pam_tally, which is not read")
        locks = [entry for entry in stack if entry.module == "faillock"]
        roles = {role for entry in locks for role in ("preauth", "authfail") if role in entry.arguments}
        if len(roles) < 2:
            absent = " and ".join(role for role in ("preauth", "authfail") if role not in roles)
            return holds(False, f"{service}: no pam_faillock.so {absent}", expected)
        if any(entry.argument("conf") is not None for entry in locks):
            raise NotUnderstood(
                f"{service}: pam_faillock.so has a file of its own (conf=), which is not read"
            )
        if not locks_out(pam, service):
            return holds(False, f"{service}: pam_faillock.so does not stop or does not count", expected)
        for entry in locks:
            if "authsucc" in entry.arguments:
                continue
            deny = _number(entry.argument("deny") or security.faillock.get("deny", "3"), "deny")
            wait = entry.argument("unlock_time") or security.faillock.get("unlock_time", "600")
            closed = 0 if wait == "never" else _number(wait, "unlock_time")
            seen.append(f"{service}: deny {deny}, unlock_time {wait}")
            if not 1 <= deny <= tries or 0 < closed < seconds:
                return holds(False, seen[-1], expected)
    return holds(True, "; ".join(dict.fromkeys(seen)), expected)


_LOCK: Final = {
    **DEBIAN,
    "common-auth": "auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so\n"
    "auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\nauth required pam_permit.so",
}
examples(
    lockout,
    passes=[
        {"tree": tree(_LOCK), "files": _conf(faillock="deny = 5\nunlock_time = 900")},
        {"tree": tree(RHEL), "files": _conf(faillock="silent\nunlock_time = never")},
    ],
    fails=[
        {"tree": tree(DEBIAN), "files": _conf(faillock="deny = 5\nunlock_time = 900")},
        {"tree": tree(_LOCK), "files": _conf(faillock="deny = 5")},
        {"tree": tree(_LOCK), "files": _conf(faillock="deny = 0\nunlock_time = 900")},
        # A locked account gets in all the same; a wrong password is never counted.
        *(
            {
                "tree": tree({**_LOCK, "common-auth": auth}),
                "files": _conf(faillock="deny = 5\nunlock_time = 900"),
            }
            for auth in (
                _LOCK["common-auth"].replace("requisite pam_faillock", "optional pam_faillock"),
                _LOCK["common-auth"].replace("default=ignore] pam_unix", "default=die] pam_unix"),
            )
        ),
        {
            "tree": tree({**RHEL, "sshd": "auth required pam_unix.so"}),
            "files": _conf(faillock="unlock_time = 0"),
        },
    ],
    unknown=[
        {"tree": tree({"sshd": "auth required pam_tally2.so deny=5"}), "files": _conf(faillock="audit")},
        {"tree": tree(_LOCK), "files": _conf(faillock="deny = some")},
        {
            "tree": tree(
                {**_LOCK, "common-auth": _LOCK["common-auth"].replace("preauth", "preauth conf=/etc/x")}
            ),
            "files": _conf(faillock="deny = 5\nunlock_time = 900"),
        },
        {"tree": tree({"cron": "auth required pam_deny.so"}), "files": _conf(faillock="audit")},
    ],
)
