"""Whether programs are held to what they need by SELinux or AppArmor.

The kernel is asked in its own files, so no tool is needed. What is enforced in a container is the kernel of its host's
affair: where that does not show, nothing is established.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from checks.linux._answers import named
from checks.linux.audit import KernelLine
from checks.linux.units import Units, shown
from scanner import (
    FAIL_SECURE,
    IN_DEPTH,
    Absent,
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


@fact
class Confinement:
    """What the kernel confines programs with: ``selinux``, ``apparmor`` or nothing (empty).

    ``enforces`` is SELinux's own switch. ``profiles`` are AppArmor's by mode; None when they could not be seen.
    """

    system: str
    enforces: bool = False
    profiles: dict[str, tuple[str, ...]] | None = None


@fact
class SelinuxConfig:
    """The mode that SELinux starts in, /etc/selinux/config."""

    mode: str


@probe(
    "linux",
    selinux=File(path="/sys/fs/selinux/enforce"),
    kinds=File(path="/proc/filesystems"),
    apparmor=File(path="/sys/module/apparmor/parameters/enabled"),
    profiles=File(path="/sys/kernel/security/apparmor/profiles", root=True, limit=4 << 20),
)
def confinement(selinux: Raw | None, kinds: Raw, apparmor: Raw | None, profiles: Raw | None) -> Confinement:
    """One digit, the names of what can be mounted, one letter, and ``name (mode)`` on each line."""
    known = kinds.text.split()
    if "proc" not in known:
        raise NotUnderstood("/proc/filesystems does not know proc")
    if selinux is not None:
        return Confinement("selinux", {"1": True, "0": False}[selinux.text.strip()])
    if "selinuxfs" in known:
        raise NotUnderstood("SELinux is on, but its mode does not show here (a container?)")
    if apparmor is None or not {"Y": True, "N": False}[apparmor.text.strip()]:
        return Confinement("")
    if profiles is None:
        return Confinement("apparmor")
    found: dict[str, tuple[str, ...]] = {}
    for line in profiles.lines:
        match = re.fullmatch(r"(.+) \((enforce|complain|kill|prompt|unconfined|mixed|user)\)", line)
        if not match:
            raise NotUnderstood(f"AppArmor lists {line[:60]!r}")
        found[match[2]] = (*found.get(match[2], ()), match[1])
    return Confinement("apparmor", profiles=found)


@probe("linux", config=File(path="/etc/selinux/config"))
def selinux_config(config: Raw) -> SelinuxConfig:
    """``SELINUX=mode``, selinux(8); of more than one the last counts."""
    found = [match[1] for line in config.lines if (match := re.match(r"\s*SELINUX\s*=\s*(\w+)", line))]
    if not found:
        raise NotUnderstood("/etc/selinux/config sets no SELINUX")
    return SelinuxConfig(found[-1].lower())


def _seen(confinement: Confinement) -> dict[str, tuple[str, ...]]:
    if confinement.profiles is None:
        raise NotUnderstood("AppArmor is on, but its profiles do not show here (a container?)")
    return confinement.profiles


@check(
    "mac.enforcing",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="SELinux of AppArmor dwingt af wat programma's mogen",
    why_nl="Wordt een dienst overgenomen, dan mag de aanvaller alles wat die dienst mag. Verplichte "
    "toegangscontrole maakt dat veel "
    "minder dan alles.",
    fix="apt install apparmor apparmor-profiles apparmor-utils\nsystemctl enable --now apparmor\nreboot",
    verify="aa-status    # or: getenforce",
    references=("apparmor(7)", "selinux(8)", "ISO/IEC 27002:2022 8.9"),
    advice="RHEL: setenforce 1, after you have looked in the audit log for what it would refuse.",
    advice_nl="RHEL: setenforce 1, nadat u in het auditlog hebt gekeken wat er dan geweigerd wordt.",
)
def enforcing(confinement: Confinement) -> Verdict:
    """SELinux or AppArmor enforces what programs may do.

    When a service is taken over, the attacker may do all that the service may. Mandatory access control makes that much
    less than everything.
    """
    expected = "SELinux enforcing, or AppArmor with profiles that are enforced"
    if confinement.system == "selinux":
        return holds(
            confinement.enforces, f"SELinux {'enforcing' if confinement.enforces else 'permissive'}", expected
        )
    if not confinement.system:
        return holds(False, "the kernel runs neither SELinux nor AppArmor", expected)
    modes = {mode: len(names) for mode, names in _seen(confinement).items()}
    said = ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items())) or "no profile loaded"
    return holds(modes.get("enforce", 0) + modes.get("kill", 0) > 0, f"AppArmor: {said}", expected)


_PROFILES: Final = (
    "/usr/sbin/chronyd (enforce)\n/usr/bin/man (enforce)\nnginx (enforce)\nchrome (unconfined)\n"
)
_NEITHER: Final = {"kinds": "nodev\tsysfs\nnodev\tproc\n\text4\n"}
_SELINUX: Final = {"selinux": "1", "kinds": "nodev\tsysfs\nnodev\tproc\nnodev\tselinuxfs\n\txfs\n"}
_APPARMOR: Final = {**_NEITHER, "apparmor": "Y\n", "profiles": _PROFILES}
_HIDDEN: Final = [{**_NEITHER, "apparmor": "Y\n"}, {"kinds": _SELINUX["kinds"]}]
examples(
    enforcing,
    passes=[_SELINUX, _APPARMOR],
    fails=[
        {**_SELINUX, "selinux": "0"},
        {**_NEITHER, "apparmor": "N\n"},
        {**_APPARMOR, "profiles": ""},
        {**_APPARMOR, "profiles": "nginx (complain)\nchrome (unconfined)\n"},
        _NEITHER,
    ],
    unknown=[
        *_HIDDEN,
        {**_APPARMOR, "profiles": "nginx enforce\n"},
        {**_SELINUX, "selinux": "on"},
        {"kinds": ""},
    ],
)


@check(
    "mac.no-complain",
    principle=IN_DEPTH,
    severity=Severity.LOW,
    layer=Layer.HOST,
    title_nl="Geen AppArmor-profiel staat nog in de proefstand",
    why_nl="In de proefstand (complain) schrijft AppArmor alleen op wat het zou weigeren. Het profiel lijkt te "
    "beschermen en doet "
    "dat niet.",
    fix="aa-enforce /etc/apparmor.d/PROFILE",
    verify="aa-status | sed -n '/complain mode/,/^[0-9]/p'",
    references=("aa-enforce(8)", "aa-complain(8)"),
    advice="Look in the journal for ALLOWED lines of the profile first: those would be refused.",
    advice_nl="Zoek eerst in het logboek naar regels met ALLOWED van dit profiel: die worden dan geweigerd.",
)
def no_complain(confinement: Confinement) -> Verdict:
    """No AppArmor profile is still on trial.

    In complain mode AppArmor only writes down what it would refuse. The profile looks like protection and is not.
    """
    if confinement.system != "apparmor":
        raise Absent("AppArmor does not run here")
    trial = sorted(_seen(confinement).get("complain", ()))
    return holds(not trial, f"complain: {named(trial) or 'none'}", "complain: none")


examples(
    no_complain,
    passes=_APPARMOR,
    fails={**_APPARMOR, "profiles": _PROFILES + "/usr/sbin/named (complain)\n"},
    notapplicable=[_SELINUX, _NEITHER],
    unknown=_HIDDEN,
)


@check(
    "mac.stays-on",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="SELinux of AppArmor staat ook na een herstart aan",
    why_nl="Een bescherming die na de volgende herstart weg is valt niemand op. Zo'n instelling is vaak van een "
    "storing overgebleven.",
    fix="systemctl enable apparmor\n"
    "sed -i -E '/^GRUB_CMDLINE/s/ ?\\b(apparmor=0|selinux=0|enforcing=0)\\b//g' /etc/default/grub\nupdate-grub",
    verify="systemctl is-enabled apparmor; cat /proc/cmdline; grep ^SELINUX= /etc/selinux/config",
    references=("selinux(8)", "kernel-parameters.txt: selinux=, enforcing=, apparmor="),
    advice="RHEL: SELINUX=enforcing in /etc/selinux/config and grubby --remove-args for the kernel.",
    advice_nl="RHEL: SELINUX=enforcing in /etc/selinux/config en grubby --remove-args voor de kernel.",
)
def stays_on(
    confinement: Confinement,
    line: KernelLine,
    config: SelinuxConfig | None,
    units: Units,
    *,
    modes: Annotated[tuple[str, ...], "modes that SELinux may start in"] = ("enforcing",),
) -> Verdict:
    """SELinux or AppArmor is on after a restart as well.

    Nobody notices a protection that is gone after the next restart. Such a setting is often left from an outage.
    """
    if not confinement.system:
        raise Absent("the kernel runs neither SELinux nor AppArmor")
    off = [word for word in line.words if word in ("selinux=0", "enforcing=0", "apparmor=0")]
    if confinement.system == "selinux":
        if config is None:
            raise NotUnderstood("SELinux runs, and there is no /etc/selinux/config")
        return holds(
            config.mode in modes and not off,
            f"SELINUX={config.mode}, kernel line: {named(off) or 'nothing against it'}",
            f"SELINUX={' or '.join(modes)}, nothing against it on the kernel line",
        )
    unit = units.get("apparmor.service")
    loads = unit is not None and unit.at_boot
    return holds(
        loads and not off,
        f"apparmor.service {unit.file if unit else 'not loaded'}, kernel line: {named(off) or 'nothing against it'}",
        "apparmor.service enabled, nothing against it on the kernel line",
    )


_LINE: Final = "BOOT_IMAGE=/boot/vmlinuz-6.1.0-37-amd64 root=/dev/sda1 ro quiet"
_LOADS: Final = shown("apparmor.service active enabled")
_NO_CONFIG: Final = Gap(State.NOTAPPLICABLE, None, "/etc/selinux/config: No such file or directory")
_CONFIG: Final = "# This file controls the state of SELinux\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"
_BOOT: Final = {"line": _LINE, "config": _NO_CONFIG}
examples(
    stays_on,
    passes=[
        {**_APPARMOR, **_BOOT, "shown": _LOADS},
        {**_SELINUX, "line": _LINE, "config": _CONFIG, "shown": shown()},
    ],
    fails=[
        {**_APPARMOR, **_BOOT, "shown": shown("apparmor.service active disabled")},
        {**_APPARMOR, **_BOOT, "shown": shown()},
        {**_SELINUX, "line": _LINE + " enforcing=0", "config": _CONFIG, "shown": shown()},
        {**_SELINUX, "line": _LINE, "config": _CONFIG.replace("=enforcing", "=permissive"), "shown": shown()},
    ],
    notapplicable={**_NEITHER, **_BOOT, "shown": shown()},
    unknown=[
        {**_SELINUX, **_BOOT, "shown": shown()},
        {**_SELINUX, "line": _LINE, "config": "SELINUXTYPE=targeted\n", "shown": shown()},
    ],
)
