"""How the server starts: whether what it starts is genuine, and who may change that at the console."""

from __future__ import annotations

import re
from typing import Final

from checks.linux._answers import only_missing
from scanner import (
    IN_DEPTH,
    SECURE_DESIGN,
    Absent,
    Command,
    File,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    State,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

SECURE_BOOT: Final = File(path="/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
# Whether shim lets unsigned code through all the same (mokutil --disable-validation), as it tells the kernel.
SHIM: Final = File(path="/sys/firmware/efi/efivars/MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23")
# RHEL 8 and its kin keep the settings on the EFI partition.
_EFI: Final = tuple(
    f"/boot/efi/EFI/{vendor}/{name}.cfg"
    for vendor in ("almalinux", "centos", "fedora", "ol", "redhat", "rocky")
    for name in ("grub", "user")
)
_GRUB_FILES: Final = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub2/user.cfg", *_EFI)
# Only that a password is set and by which method: the hash itself stays where it is.
GRUB: Final = Command(
    "grep -ohE '^[[:space:]]*(set superusers=|password_pbkdf2 [^ ]+ grub[.]pbkdf2|GRUB2_PASSWORD=grub[.]pbkdf2)' "
    + " ".join(_GRUB_FILES),
    root=True,
    exits=(0, 1, 2),
)


@fact
class SecureBoot:
    """Whether the firmware starts signed code only (UEFI variable SecureBoot), and shim after it."""

    on: bool
    passed_by: bool = False


@fact
class Lockdown:
    """What the kernel keeps root itself from: none, integrity or confidentiality; kernel_lockdown(7)."""

    mode: str


@fact
class Grub:
    """Which lines about a password the boot loader's files have."""

    lines: frozenset[str]


@probe("linux", variable=SECURE_BOOT, shim=SHIM)
def secure_boot(variable: Raw, shim: Raw | None) -> SecureBoot:
    """Four bytes of attributes and one of value; UEFI specification 3.3."""
    for name, raw in (("SecureBoot", variable), ("MokSBStateRT", shim)):
        if raw is not None and (len(raw.out) != 5 or raw.out[4] not in {0, 1}):
            raise NotUnderstood(f"the UEFI variable {name} is not five bytes that end in 0 or 1")
    return SecureBoot(on=variable.out[4] == 1, passed_by=shim is not None and shim.out[4] == 1)


@probe("linux", file=File(path="/sys/kernel/security/lockdown"))
def lockdown(file: Raw) -> Lockdown:
    """``none [integrity] confidentiality``: the mode in force is between brackets."""
    found = re.fullmatch(r"(?:\w+ )*\[(none|integrity|confidentiality)\](?: \w+)*\n?", file.text)
    if not found:
        raise NotUnderstood("no mode of lockdown is between brackets")
    return Lockdown(mode=found[1])


@probe("linux", said=GRUB)
def grub(said: Raw) -> Grub:
    """What grep found; GRUB is not on the host when none of its files is."""
    if len(only_missing(said)) == len(_GRUB_FILES):
        raise Absent("no grub.cfg: GRUB does not start this host")
    if said.code == 0 and not said.lines:
        raise NotUnderstood("grep says it found lines and gives none")
    lines = frozenset(re.split(r"[ =]", line.strip())[0] for line in said.lines)
    if not lines <= {"set", "password_pbkdf2", "GRUB2_PASSWORD"}:
        raise NotUnderstood("grep gives lines that were not asked for")
    return Grub(lines=lines)


@check(
    "boot.secure-boot",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="De server start alleen ondertekende opstartcode",
    why_nl="Anders kan wie even bij de schijf kan, een kernel neerzetten die alles ziet en die niemand ziet.",
    fix="# in the firmware (or the settings of the virtual machine): Secure Boot = Enabled, then\nsystemctl reboot",
    verify="mokutil --sb-state",
    references=("UEFI specification 2.10 chapter 32", "ANSSI-BP-028 R3"),
    advice="Drivers from outside the distribution must be signed first (mokutil --import).",
    advice_nl="Drivers van buiten de distributie moeten eerst ondertekend worden (mokutil --import).",
)
def secure_boot_is_on(boot: SecureBoot) -> Verdict:
    """The server starts signed boot code only.

    Otherwise whoever gets at the disk for a moment can lay out a kernel that sees everything and that nobody sees.
    """
    off = ", but shim checks no signatures (mokutil --disable-validation)" if boot.passed_by else ""
    return holds(
        boot.on and not boot.passed_by, f"Secure Boot {'on' if boot.on else 'off'}{off}", "Secure Boot on"
    )


@check(
    "boot.lockdown",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.HOST,
    title_nl="Ook root kan de draaiende kernel niet wijzigen als Secure Boot aan staat",
    why_nl="Zonder lockdown laadt wie root is alsnog eigen code in de kernel, en is Secure Boot voor niets.",
    fix=(
        "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&lockdown=integrity /' /etc/default/grub\n"
        "update-grub\nsystemctl reboot"
    ),
    verify="cat /sys/kernel/security/lockdown",
    references=("kernel_lockdown(7)",),
    advice="On RHEL: grubby --update-kernel=ALL --args=lockdown=integrity.",
    advice_nl="Bij RHEL: grubby --update-kernel=ALL --args=lockdown=integrity.",
)
def kernel_is_locked(boot: SecureBoot, lockdown: Lockdown | None) -> Verdict:
    """Root too cannot change the running kernel where Secure Boot is on.

    Without lockdown whoever is root still loads their own code into the kernel, and Secure Boot is for nothing.
    """
    if not boot.on:
        raise Absent("Secure Boot is off")
    if lockdown is None:
        raise NotUnderstood(
            "/sys/kernel/security/lockdown is not there: whether the kernel has it is not seen"
        )
    return holds(lockdown.mode != "none", f"lockdown: {lockdown.mode}", "integrity or confidentiality")


@check(
    "boot.password",
    principle=IN_DEPTH,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Wijzigen hoe de server start vraagt een wachtwoord",
    why_nl="Wie bij de console kan, start anders met één woord extra een shell als root, zonder in te loggen.",
    fix=(
        "grub-mkpasswd-pbkdf2\n"
        "printf 'set superusers=\"beheer\"\\npassword_pbkdf2 beheer <the hash>\\n' >> /etc/grub.d/40_custom\n"
        "sed -i 's/^CLASS=\"/&--unrestricted /' /etc/grub.d/10_linux\nupdate-grub"
    ),
    verify="grep -cE 'password_pbkdf2 [^ ]+ grub.pbkdf2|GRUB2_PASSWORD' /boot/grub*/*.cfg",
    references=("GRUB manual, Authentication and authorisation", "ANSSI-BP-028 R5"),
    advice="With --unrestricted the normal start asks nothing. On RHEL: grub2-setpassword.",
    advice_nl="Met --unrestricted vraagt de gewone start niets. Bij RHEL: grub2-setpassword.",
)
def boot_takes_a_password(grub: Grub) -> Verdict:
    """Changing how the server starts takes a password.

    Whoever is at the console could otherwise start a shell as root with one word, without logging in.
    """
    debian = {"set", "password_pbkdf2"} <= grub.lines
    names = {"set": "superusers", "password_pbkdf2": "password_pbkdf2", "GRUB2_PASSWORD": "GRUB2_PASSWORD"}
    seen = ", ".join(names[line] for line in sorted(grub.lines))
    return holds(
        debian or "GRUB2_PASSWORD" in grub.lines,
        f"set: {seen or 'nothing'}",
        "superusers with a PBKDF2 password",
    )


# --- examples -----------------------------------------------------------------------------------------------------

_ON: Final = Raw(out=b"\x06\0\0\0\x01")
_OFF: Final = Raw(out=b"\x06\0\0\0\0")
_MISSING: Final = [f"grep: {path}: No such file or directory\n" for path in _GRUB_FILES]


def _grub(out: str, missing: list[str], code: int) -> Raw:
    return Raw(out=out.encode(), err="".join(missing).encode(), code=code)


examples(
    secure_boot_is_on,
    passes=[{"variable": _ON}, {"variable": _ON, "shim": _OFF}],
    fails=[{"variable": _OFF}, {"variable": _ON, "shim": _ON}],
    unknown={"variable": Raw(out=b"\x06\0\0\0")},
)
examples(
    kernel_is_locked,
    passes={"variable": _ON, "file": "none [integrity] confidentiality\n"},
    fails={"variable": _ON, "file": "[none] integrity confidentiality\n"},
    notapplicable={"variable": _OFF, "file": "[none] integrity confidentiality\n"},
    unknown=[
        {"variable": _ON, "file": Gap(State.NOTAPPLICABLE, None, "not there")},
        {"variable": _ON, "file": ""},
    ],
)
_DEBIAN: Final = "set superusers=\npassword_pbkdf2 beheer grub.pbkdf2\n"
examples(
    boot_takes_a_password,
    passes=[
        _grub(_DEBIAN, _MISSING[1:], 2),
        _grub("set superusers=\nGRUB2_PASSWORD=grub.pbkdf2\n", _MISSING[:1], 2),
    ],
    fails=[
        # RHEL 8 with UEFI has nothing but the two files on the EFI partition.
        _grub("set superusers=\n", [line for line in _MISSING if "redhat" not in line], 2),
        _grub("", _MISSING[1:], 2),
        _grub("set superusers=\n", _MISSING[:1], 2),
        _grub("password_pbkdf2 beheer grub.pbkdf2\n", _MISSING[1:], 2),
    ],
    notapplicable=_grub("", _MISSING, 2),
    unknown=[
        _grub("", [], 0),
        _grub("", ["grep: /boot/grub/grub.cfg: Input/output error\n", *_MISSING[1:]], 2),
    ],
)
