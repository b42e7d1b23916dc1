"""Which services run that a server has no need of, and which have failed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

from checks.linux._answers import named
from checks.linux.units import Units, shown
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Target,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_SOCKETS: Final = Command("systemctl show --all --property=Id,Names,ActiveState,UnitFileState '*.socket'")

#: Unit (without its kind) -> what it is. All of these have a successor that keeps passwords to itself.
LEGACY: Final = {
    "telnet": "telnet", "telnetd": "telnet", "rsh": "rsh", "rlogin": "rlogin", "rexec": "rexec", "rwhod": "rwho",
    "tftp": "tftp", "tftpd-hpa": "tftp", "atftpd": "tftp", "vsftpd": "ftp", "proftpd": "ftp", "pure-ftpd": "ftp",
    "ypserv": "NIS", "ypbind": "NIS", "nis": "NIS", "talk": "talk", "ntalk": "talk", "finger": "finger",
    "xinetd": "inetd", "inetd": "inetd", "openbsd-inetd": "inetd", "inetutils-inetd": "inetd",
}  # fmt: skip
#: What a workplace offers its user and a server offers an attacker.
DESKTOP: Final = {
    "avahi-daemon": "discovery", "cups": "printing", "cups-browsed": "printing", "bluetooth": "bluetooth",
    "ModemManager": "modems", "gdm": "desktop", "gdm3": "desktop", "lightdm": "desktop", "sddm": "desktop",
    "xrdp": "desktop", "colord": "desktop", "geoclue": "location", "minidlna": "media", "smartcardd": "desktop",
}  # fmt: skip


@fact
class SocketUnits:
    """The sockets on which systemd waits to start a service: name without ``.socket`` -> active or wanted at boot."""

    names: tuple[str, ...]


@fact
class Export:
    """A folder that NFS offers, to whom, and with which options."""

    path: str
    client: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path} to {self.client}"


@probe("linux", listed=_SOCKETS)
def socket_units(listed: Raw) -> SocketUnits:
    """Blocks of ``Property=value``, systemctl(1) show."""
    found: list[str] = []
    blocks = re.split(r"\n{2,}", listed.text.strip("\n"))
    for block in blocks:
        values = dict(line.split("=", 1) for line in block.split("\n"))
        if values["ActiveState"] in {"active", "activating"} or values["UnitFileState"] == "enabled":
            found += [name.removesuffix(".socket").rstrip("@") for name in values["Names"].split()]
    if not found:
        raise NotUnderstood("systemctl show names no socket, not even its own")
    return SocketUnits(tuple(found))


@probe("linux", exports=Command("exportfs -s", root=True, needs="exportfs"))
def nfs_exports(exports: Raw) -> list[Export]:
    """A line per folder and client as in exports(5): ``/srv 10.0.0.0/24(rw,root_squash)``, exportfs(8) -s."""
    found = []
    for line in exports.lines:
        matched = re.fullmatch(r"(/.*?)\s+(\S+)\(([^)]*)\)", line.strip())
        if not matched:
            raise NotUnderstood(f"not a line of exportfs -s: {line[:80]}")
        found.append(Export(matched[1], matched[2], tuple(matched[3].split(","))))
    return found


def _present(units: Units, sockets: SocketUnits, wanted: Iterable[str]) -> list[str]:
    """Those of these names that run, wait for a visitor, or start at boot."""
    found = []
    for name in wanted:
        unit = units.get(f"{name}.service")
        if name in sockets.names or (unit and (unit.is_active or unit.file == "enabled")):
            found.append(name)
    return found


@check(
    "services.no-legacy",
    principle=(SECURE_DEFAULT, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="Er draait geen dienst uit de tijd van leesbare wachtwoorden",
    why_nl=(
        "Telnet, rsh, FTP, TFTP en NIS vragen niets of sturen alles leesbaar. SSH en SFTP doen"
        " hetzelfde, maar veilig."
    ),
    fix="systemctl disable --now telnet.socket    # and remove the package: apt-get purge telnetd",
    verify="systemctl list-units --type=service,socket",
    references=("NIST SP 800-123, section 4.2.1", "systemctl(1)"),
)
def no_legacy(units: Units, sockets: SocketUnits) -> Verdict:
    """No service from the days of readable passwords runs.

    Telnet, rsh, FTP, TFTP and NIS ask nothing or send everything readable. SSH and SFTP do the same, safely.
    """
    found = [f"{name} ({LEGACY[name]})" for name in _present(units, sockets, LEGACY)]
    return holds(not found, f"running or enabled: {named(found) or 'none'}", "none")


@check(
    "services.no-desktop",
    principle=SECURE_DEFAULT,
    severity=Severity.LOW,
    layer=Layer.HOST,
    title_nl="Op een server draait niets wat bij een werkplek hoort",
    why_nl=(
        "Zoeken in het netwerk, printen, bluetooth en een bureaublad zijn ingangen waar een server niets"
        " aan heeft."
    ),
    fix="systemctl disable --now avahi-daemon.service avahi-daemon.socket cups.service cups.socket",
    verify="systemctl list-units --type=service,socket",
    references=("NIST SP 800-123, section 4.2.1",),
)
def no_desktop(
    units: Units,
    sockets: SocketUnits,
    *,
    wanted: Annotated[
        tuple[str, ...], "services from this list that a server of yours needs, such as cups"
    ] = (),
) -> Verdict:
    """Nothing runs on a server that belongs on a workplace.

    Network discovery, printing, bluetooth and a desktop are ways in that a server has no use for.
    """
    found = [f"{name} ({DESKTOP[name]})" for name in _present(units, sockets, DESKTOP) if name not in wanted]
    return holds(not found, f"running or enabled: {named(found) or 'none'}", "none")


@check(
    "services.no-rpcbind",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="De RPC-poortwijzer staat uit, tenzij de host NFS aanbiedt",
    why_nl=(
        "rpcbind vertelt iedereen welke diensten draaien en is te misbruiken om anderen te overspoelen."
        " NFS 4 kan zonder."
    ),
    fix="systemctl disable --now rpcbind.service rpcbind.socket",
    verify="systemctl is-active rpcbind.service rpcbind.socket",
    advice="Mounts of NFS version 3 still need it: move them to version 4 first.",
    advice_nl="Koppelingen met NFS versie 3 hebben het nog nodig: zet die eerst over naar versie 4.",
    references=("rpcbind(8)", "RFC 7530", "CISA alert TA14-017A (UDP amplification)"),
)
def no_rpcbind(units: Units, sockets: SocketUnits, target: Target) -> Verdict:
    """The RPC port mapper is off, unless the host offers NFS.

    rpcbind tells everyone which services run, and can be abused to flood others. NFS 4 does without.
    """
    found = _present(units, sockets, ["rpcbind"])
    declared = {service.port for service in target.services or ()} & {111, 2049}
    if found and declared:
        return holds(True, f"rpcbind runs; the inventory declares port {min(declared)}", "off, or declared")
    return holds(not found, "rpcbind runs or is enabled" if found else "rpcbind is off", "off, or declared")


@check(
    "services.none-failed",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="Geen dienst is uitgevallen",
    why_nl="Een uitgevallen dienst kan juist de bewaking zijn. Wie uitval laat staan, ziet de volgende niet meer.",
    fix="systemctl --failed\njournalctl -u NAME.service -n 50\nsystemctl restart NAME.service",
    verify="systemctl --failed",
    references=("systemctl(1)",),
)
def none_failed(units: Units) -> Verdict:
    """No service has failed.

    A failed service may be the very one that watches. Who leaves failures standing no longer sees the next one.
    """
    failed = sorted(unit.id for unit in units.all if unit.active == "failed")
    return holds(not failed, f"failed: {named(failed) or 'none'}", "none")


@check(
    "services.nfs-exports-bounded",
    principle=(DEFAULT_DENY, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="NFS geeft mappen alleen aan genoemde hosts, en daar is root geen root",
    why_nl=(
        "Een export voor iedereen is een open map. Met no_root_squash is wie op een client root is, dat"
        " ook in deze map."
    ),
    fix="# /etc/exports: /srv/data 10.1.0.0/24(rw,root_squash,sec=krb5p)\nexportfs -ra",
    verify="exportfs -s",
    references=("exports(5)",),
)
def nfs_exports_bounded(export: Export) -> Verdict:
    """NFS gives folders to named hosts only, and root there is not root here.

    An export for everyone is an open folder. With no_root_squash whoever is root on a client is so in this folder.
    """
    faults = []
    if export.client in {"*", "<world>", "0.0.0.0/0", "::/0"} or re.fullmatch(
        r"0\.0\.0\.0/0(\.0){3}", export.client
    ):
        faults.append("to everyone")
    if "no_root_squash" in export.options:
        faults.append("no_root_squash")
    elif "root_squash" not in export.options and "all_squash" not in export.options:
        raise NotUnderstood(f"{export}: no option says whether root is squashed")
    return holds(
        not faults, f"{export}: {', '.join(faults) or 'bounded, root_squash'}", "named hosts, root_squash"
    )


# --- examples -------------------------------------------------------------------------------------------------


def _sockets(*names: str) -> str:
    return "\n\n".join(
        f"Id={name}.socket\nNames={name}.socket\nActiveState=active\nUnitFileState=enabled"
        for name in ("systemd-journald", *names)
    )


_LEAN: Final = {
    "listed": _sockets("ssh"),
    "shown": shown("ssh.service active enabled", "cron.service active enabled"),
}
_RICH: Final = {
    "listed": _sockets("telnet", "rpcbind", "cups"),
    "shown": shown(
        "vsftpd.service active enabled", "avahi-daemon.service active enabled", "web.service failed enabled"
    ),
}
examples(no_legacy, passes=_LEAN, fails=_RICH, unknown={**_LEAN, "listed": "\n"})
examples(no_desktop, passes=_LEAN, fails=_RICH)
examples(
    no_rpcbind,
    passes=[_LEAN, {**_RICH, "target": {"services": [{"port": 2049}]}}],
    fails=_RICH,
)
examples(none_failed, passes=_LEAN, fails=_RICH)
examples(
    nfs_exports_bounded,
    passes="/srv/data  10.1.0.0/24(sync,wdelay,hide,no_subtree_check,sec=sys,rw,secure,root_squash,no_all_squash)\n",
    fails=[
        "/srv/data  *(sync,wdelay,hide,no_subtree_check,sec=sys,rw,secure,root_squash,no_all_squash)\n",
        "/srv/data  10.1.0.0/24(sync,wdelay,hide,no_subtree_check,sec=sys,rw,secure,no_root_squash,no_all_squash)\n",
    ],
    notapplicable="",
)
