"""What each network interface accepts: the kernel settings that exist per interface.

A setting for `all` does not simply rule the interfaces: the kernel takes the highest, the lowest or the interface's own
value, per setting (kernel.org, networking/ip-sysctl). So every interface is judged by what the kernel will do there,
now and (for `default`, of which each new interface is a copy) after a restart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from checks.linux._answers import named, only_missing
from checks.linux.sysctl import (
    FORWARDING,
    Persisted,
    Running,
    Setting,
    answers,
    right_now_and_after_a_restart,
)
from scanner import (
    IN_DEPTH,
    SECURE_DEFAULT,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    Verdict,
    examples,
    fact,
    holds,
    probe,
    table,
)

_SETTINGS: Final = (
    "accept_ra",
    "accept_redirects",
    "accept_source_route",
    "disable_ipv6",
    "forwarding",
    "log_martians",
    "rp_filter",
    "send_redirects",
)
INTERFACES: Final = Command(
    f"grep -rH '' {' '.join(f'--include={name}' for name in _SETTINGS)}"
    " /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf",
    exits=(0, 2),
)


@fact
class Interfaces:
    """The settings of every interface: (``ipv4``, ``eth0``, ``rp_filter``) -> value; ``all`` and ``default`` too."""

    values: dict[tuple[str, str, str], int]

    def names(self, family: str) -> list[str]:
        """The interfaces that talk this family to others, and `default` for those to come."""
        found = sorted({name for kind, name, _ in self.values if kind == family} - {"all", "lo"})
        return [name for name in found if self.values.get((family, name, "disable_ipv6"), 0) == 0]


@probe("linux", answer=INTERFACES)
def interfaces(answer: Raw) -> Interfaces:
    """A file per setting below /proc/sys; IPv6 may be gone, IPv4 not."""
    only_missing(answer)
    values = {}
    for line in answer.lines:
        words = re.fullmatch(r"/proc/sys/net/(ipv[46])/conf/([^/]+)/([a-z_0-9]+):(-?\d+)", line)
        if not words:
            raise NotUnderstood(f"grep says {line[:80]!r}")
        values[words[1], words[2], words[3]] = int(words[4])
    if ("ipv4", "all", "rp_filter") not in values or ("ipv4", "default", "rp_filter") not in values:
        raise NotUnderstood("the settings of IPv4 for all and new interfaces are not in the answer")
    return Interfaces(values=values)


Rule = Literal["highest", "lowest", "own", "redirects"]


@dataclass(frozen=True, kw_only=True)
class InterfaceSetting(Row):
    """One claim about every interface.

    ``rule`` is how the kernel combines `all` with the interface's own value; for ``redirects`` that is the lowest where
    the interface forwards and the highest elsewhere. ``defaults`` is what it starts with: for `all` and for the rest.
    """

    family: Literal["ipv4", "ipv6"]
    setting: str
    right: tuple[int, ...]
    rule: Rule
    defaults: tuple[int, int]

    def effective(self, everywhere: int, own: int, forwards: bool) -> int:
        """What the kernel does with these two values."""
        if self.rule == "own":
            return own
        if self.rule == "lowest" or (self.rule == "redirects" and forwards):
            return min(everywhere, own)
        return max(everywhere, own)


def _row(
    id_: str,
    family: Literal["ipv4", "ipv6"],
    setting: str,
    right: tuple[int, ...],
    rule: Rule,
    defaults: tuple[int, int],
    *,
    title: str,
    title_nl: str,
    why: str,
    why_nl: str,
    principle: str = SECURE_DEFAULT,
    severity: Severity = Severity.MEDIUM,
    layer: Layer = Layer.NETWORK,
    advice: str = "",
    advice_nl: str = "",
) -> InterfaceSetting:
    return InterfaceSetting(
        id=id_,
        family=family,
        setting=setting,
        right=right,
        rule=rule,
        defaults=defaults,
        principle=principle,
        severity=severity,
        layer=layer,
        title=title,
        title_nl=title_nl,
        why=why,
        why_nl=why_nl,
        fix=(
            f"echo 'net.{family}.conf.*.{setting} = {right[0]}' > /etc/sysctl.d/99-zz-{family}-{setting}.conf\n"
            "sysctl --system"
        ),
        verify=f"sysctl -a -r 'net.{family}.conf.*.{setting}$'",
        references=(f"kernel.org networking/ip-sysctl {setting}", "sysctl.d(5)"),
        advice=advice,
        advice_nl=advice_nl,
    )


ROWS: Final = (
    _row(
        "sysctl.reverse-path",
        "ipv4", "rp_filter", (1, 2), "highest", (0, 0),
        principle=IN_DEPTH,
        title="The server drops packets whose sender cannot be on that side",
        title_nl="De server weigert pakketten waarvan de afzender niet aan die kant kan zitten",
        why="Whoever can forge a sender passes by rules that trust an address.",
        why_nl="Wie een afzender kan vervalsen, komt langs regels die een adres vertrouwen.",
        advice="With asymmetric routes use 2 (loose): 1 would drop good packets.",
        advice_nl="Gebruik bij asymmetrische routes 2 (ruim): met 1 vallen goede pakketten weg.",
    ),
    _row(
        "sysctl.redirects-ignored",
        "ipv4", "accept_redirects", (0,), "redirects", (1, 1),
        title="The server does not let others change its IPv4 routes",
        title_nl="De server laat zijn IPv4-routes niet door anderen wijzigen",
        why="With one such message a neighbour leads the server's traffic past itself.",
        why_nl="Met één zo'n bericht leidt een buurcomputer het verkeer van de server langs zichzelf.",
    ),
    _row(
        "sysctl.redirects-ignored-ipv6",
        "ipv6", "accept_redirects", (0,), "own", (1, 1),
        title="The server does not let others change its IPv6 routes",
        title_nl="De server laat zijn IPv6-routes niet door anderen wijzigen",
        why="With one such message a neighbour leads the server's traffic past itself.",
        why_nl="Met één zo'n bericht leidt een buurcomputer het verkeer van de server langs zichzelf.",
    ),
    _row(
        "sysctl.redirects-not-sent",
        "ipv4", "send_redirects", (0,), "highest", (1, 1),
        severity=Severity.LOW,
        title="The server does not change the routes of others",
        title_nl="De server wijzigt de routes van anderen niet",
        why="Only routers should; a server that does gives away the layout of the network.",
        why_nl="Dat hoort alleen een router te doen; een server die het doet, verraadt de opbouw van het netwerk.",
    ),
    _row(
        "sysctl.source-routes-refused",
        "ipv4", "accept_source_route", (0,), "lowest", (0, 1),
        title="The server refuses packets that choose their own way",
        title_nl="De server weigert pakketten die zelf hun weg kiezen",
        why="Such packets go around the firewall, and their answers come back the same way.",
        why_nl="Zulke pakketten gaan om de firewall heen, en de antwoorden komen langs dezelfde weg terug.",
    ),
    _row(
        "sysctl.router-advertisements",
        "ipv6", "accept_ra", (0,), "own", (1, 1),
        title="The kernel takes no IPv6 settings from its neighbours",
        title_nl="De kernel neemt geen IPv6-instellingen over van zijn buren",
        why="Any computer on the network can otherwise become its router or name server.",
        why_nl="Elke computer in het netwerk kan anders zijn router of naamserver worden.",
        advice=(
            "NetworkManager and systemd-networkd have their own setting (ipv6.method, IPv6AcceptRA) that this one does"
            " not rule. Where servers do get their address that way (SLAAC), record that in a waiver."
        ),
        advice_nl=(
            "NetworkManager en systemd-networkd hebben een eigen instelling (ipv6.method, IPv6AcceptRA) die hier buiten"
            " valt. Krijgen servers hun adres wel op die manier (SLAAC), leg dat dan vast in een waiver."
        ),
    ),
    _row(
        "sysctl.impossible-senders-logged",
        "ipv4", "log_martians", (1,), "highest", (0, 0),
        principle=IN_DEPTH,
        severity=Severity.LOW,
        layer=Layer.DETECTION,
        title="The server writes down packets with an impossible sender",
        title_nl="De server schrijft pakketten met een onmogelijke afzender op",
        why="They point at forged addresses or a wrong route, and nobody sees them otherwise.",
        why_nl="Ze wijzen op vervalste adressen of een verkeerde route, en niemand ziet ze anders.",
    ),
)  # fmt: skip


@table(*ROWS)
def right_on_every_interface(
    interfaces: Interfaces, persisted: Persisted, *, row: InterfaceSetting
) -> Verdict:
    """What the kernel does on each interface is right, now and after a restart."""
    names = interfaces.names(row.family)
    if not names:
        raise Absent(f"no interface speaks {row.family}")
    wrong = []
    for name in names:
        forwards = interfaces.values.get((row.family, name, "forwarding"), 0) != 0
        now = row.effective(_now(interfaces, row, "all"), _now(interfaces, row, name), forwards)
        if now not in row.right:
            wrong.append(f"{name} {now}")
            continue
        later = row.effective(_later(persisted, row, "all"), _later(persisted, row, name), forwards)
        if later not in row.right:
            wrong.append(f"{name} {later} after a restart")
    right = " or ".join(str(value) for value in row.right)
    observed = named(wrong) if wrong else f"right on {named(names)}"
    return holds(
        not wrong,
        f"net.{row.family}.conf.*.{row.setting}: {observed}",
        f"{right} everywhere, now and after a restart",
    )


def _now(interfaces: Interfaces, row: InterfaceSetting, name: str) -> int:
    try:
        return interfaces.values[row.family, name, row.setting]
    except KeyError:
        raise NotUnderstood(f"net.{row.family}.conf.{name}.{row.setting} is not in the answer") from None


def _later(persisted: Persisted, row: InterfaceSetting, name: str) -> int:
    """What the files give this interface; else what they give new ones; else what the kernel starts with."""
    key = f"net.{row.family}.conf.{{}}.{row.setting}"
    found = persisted.value(key.format(name))
    if found is None and name != "all":
        found = persisted.value(key.format("default"))
    return found[0] if found else row.defaults[name != "all"]


@table(FORWARDING)
def forwards_nowhere(
    running: Running, persisted: Persisted, interfaces: Interfaces, *, row: Setting
) -> Verdict:
    """The keys for all are right, and no interface routes IPv4 by itself; IPv6 looks at the key for all alone."""
    verdict = right_now_and_after_a_restart(running, persisted, row=row)
    key = "net.ipv4.conf.{}.forwarding"
    wrong = [
        f"{key.format(name)} is {value}"
        for (family, name, setting), value in sorted(interfaces.values.items())
        if family == "ipv4" and setting == "forwarding" and name != "lo" and value != 0
    ]
    for name in ("all", *interfaces.names("ipv4")):
        later = persisted.value(key.format(name))
        if later and later[0] != 0:
            wrong.append(f"{key.format(name)} is {later[0]} in {later[1]}")
    if verdict.passed and wrong:
        return holds(False, named(wrong), verdict.expected)
    return verdict


# --- examples: Debian 12 ------------------------------------------------------------------------------------------


def _answer(*changed: str, files: tuple[str, ...] = (), ipv6: bool = True) -> dict[str, object]:
    """An example: a host with one interface as the kernel starts it, with settings ``eth0.rp_filter=1`` changed."""
    values = {
        f"{row.family}/conf/{name}/{row.setting}": row.defaults[name != "all"]
        for row in ROWS
        for name in ("all", "default", "eth0", "lo")
        if ipv6 or row.family == "ipv4"
    }
    values |= {f"ipv4/conf/{name}/forwarding": 0 for name in ("all", "default", "eth0", "lo")}
    for change in changed:
        key, _, value = change.partition("=")
        values[key] = int(value)
    out = "".join(f"/proc/sys/net/{key}:{value}\n" for key, value in values.items())
    err = b"" if ipv6 else b"grep: /proc/sys/net/ipv6/conf: No such file or directory\n"
    told = answers("", *files)
    return {**told, "answer": Raw(out=out.encode(), err=err, code=0 if ipv6 else 2)}


for _setting in ROWS:
    _path, _key = (
        f"{_setting.family}/conf/{{}}/{_setting.setting}",
        f"net.{_setting.family}.conf.{{}}.{_setting.setting}",
    )
    _good = [f"{_path.format(name)}={_setting.right[0]}" for name in ("all", "default", "eth0")]
    _glob = (f"{_key.format('*')} = {_setting.right[0]}",)
    _bad = 1 - _setting.right[0]
    examples(
        _setting.id,
        passes=_answer(*_good, files=_glob),
        fails=[
            _answer(*(f"{_path.format(name)}={_bad}" for name in ("all", "default", "eth0")), files=_glob),
            _answer(*_good, files=tuple(f"{_key.format(name)} = {_bad}" for name in ("all", "default"))),
        ],
        unknown={**_answer(*_good, files=_glob), "answer": ""},
    )

examples(
    "sysctl.reverse-path",
    # Red Hat's own way: loose on every interface, and `all` left alone.
    passes=_answer(
        "ipv4/conf/default/rp_filter=2",
        "ipv4/conf/eth0/rp_filter=2",
        files=("net.ipv4.conf.*.rp_filter = 2", "-net.ipv4.conf.all.rp_filter"),
    ),
)
examples("sysctl.source-routes-refused", passes=_answer())
examples(
    "sysctl.redirects-ignored",
    # Off for all, and yet on: an interface that does not forward accepts when either says so.
    fails=_answer("ipv4/conf/all/accept_redirects=0", files=("net.ipv4.conf.all.accept_redirects = 0",)),
)
examples("sysctl.router-advertisements", notapplicable=_answer(ipv6=False))

_HOST: Final = "net.ipv4.ip_forward = 0\nnet.ipv6.conf.all.forwarding = 0\n"


def _routing(
    *files: str, now: str = _HOST, eth0: int = 0, ipv6: bool = True, broken: bool = False
) -> dict[str, object]:
    """An example: the keys for all, and what one interface does by itself."""
    return {
        **answers("" if broken else now, *files),
        "interfaces.answer": _answer(f"ipv4/conf/eth0/forwarding={eth0}", ipv6=ipv6)["answer"],
    }


examples(
    "sysctl.forwarding",
    passes=[_routing(), _routing("net.ipv4.ip_forward = 0"), _routing(now=_HOST.splitlines()[0], ipv6=False)],
    fails=[
        _routing(now=_HOST.replace("ip_forward = 0", "ip_forward = 1")),
        _routing("net.ipv6.conf.all.forwarding = 1"),
        # Off for all, and yet on: systemd-networkd's IPv4Forwarding= sets the interface alone.
        _routing(eth0=1),
        # Another name of ip_forward.
        _routing("net.ipv4.conf.all.forwarding = 1"),
    ],
    unknown=_routing(broken=True),
)
