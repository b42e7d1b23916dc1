"""Whether the firewall comes back after a restart: who loads it, when, and the same rules as now."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from checks.linux import example_rulesets as recorded
from checks.linux._answers import named
from checks.linux.firewall import BOTH, ONLY_IPV4, PacketFilter, seen
from checks.linux.netfilter.iptables import read_save
from checks.linux.netfilter.nftables import read_nft
from checks.linux.netfilter.rules import Chain, Key, Ruleset
from checks.linux.netfilter.spans import Spans
from checks.linux.netfilter.walk import Opening, by_port, reach
from scanner import (
    FAIL_SECURE,
    NO_GAP,
    Absent,
    Blind,
    Cause,
    Command,
    File,
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
)

#: Unit -> manager; the two units of iptables-services are one manager.
MANAGERS: Final = {
    "nftables": "nftables", "ufw": "ufw", "firewalld": "firewalld", "netfilter-persistent": "netfilter-persistent",
    "iptables": "iptables", "ip6tables": "iptables", "shorewall": "shorewall", "shorewall6": "shorewall",
    "ferm": "ferm", "SuSEfirewall2": "SuSEfirewall2",
}  # fmt: skip
_UNITS: Final = Command(
    "systemctl show --property=Id,LoadState,ActiveState,UnitFileState,Before "
    + " ".join(f"{unit}.service" for unit in MANAGERS)
)


@fact
class Manager:
    """A unit that loads packet filter rules when the host starts."""

    unit: str
    name: str
    enabled: bool
    active: bool
    before: tuple[str, ...]


@fact
class Managers:
    """Every firewall manager that is installed, and whether it is set to start at boot."""

    all: tuple[Manager, ...]

    @property
    def enabled(self) -> list[Manager]:
        """Those that start at boot."""
        return [one for one in self.all if one.enabled]

    @property
    def names(self) -> list[str]:
        """The managers that start at boot, each once."""
        return list(dict.fromkeys(one.name for one in self.enabled))


@fact
class SavedFilter:
    """The rules that the next start of the host will load, as far as its manager shows them."""

    manager: str
    rules: Ruleset


@probe("linux", shown=_UNITS, ufw=File("/etc/ufw/ufw.conf"))
def managers(shown: Raw, ufw: Raw | None) -> Managers:
    """Blocks of ``Property=value``, systemctl(1) show; ufw starts only with ENABLED=yes, ufw(8)."""
    found = []
    for block in re.split(r"\n{2,}", shown.text.strip("\n")):
        values = dict(line.split("=", 1) for line in block.split("\n"))
        unit = values["Id"].removesuffix(".service")
        if values["LoadState"] == "not-found":
            continue
        enabled = values["UnitFileState"] in {"enabled", "static", "generated", "alias"}
        if unit == "ufw":
            enabled = enabled and ufw is not None and bool(re.search(r"(?m)^ENABLED=\"?yes\"?\s*$", ufw.text))
        found.append(
            Manager(
                unit,
                MANAGERS[unit],
                enabled,
                values["ActiveState"] == "active",
                tuple(values["Before"].split()),
            )
        )
    return Managers(tuple(found))


@probe(
    "linux",
    nft=Command("unshare --net nft -j -e -f /etc/nftables.conf", root=True, needs="nft", exits=(0, 1)),
    redhat=Command(
        "unshare --net nft -j -e -f /etc/sysconfig/nftables.conf", root=True, needs="nft", exits=(0, 1)
    ),
    rules4=File("/etc/iptables/rules.v4", root=True),
    rules6=File("/etc/iptables/rules.v6", root=True),
    redhat4=File("/etc/sysconfig/iptables", root=True),
    redhat6=File("/etc/sysconfig/ip6tables", root=True),
    ufw4=File("/etc/ufw/user.rules", root=True),
    ufw6=File("/etc/ufw/user6.rules", root=True),
    ufw=File("/etc/default/ufw"),
)
def saved_filter(
    managers: Managers,
    packets: PacketFilter,
    nft: Raw | None,
    redhat: Raw | None,
    rules4: Raw | None,
    rules6: Raw | None,
    redhat4: Raw | None,
    redhat6: Raw | None,
    ufw4: Raw | None,
    ufw6: Raw | None,
    ufw: Raw | None,
) -> SavedFilter:
    """What the one manager keeps on disk.

    nftables.conf is loaded into an empty network namespace that ends with the command: nft itself says what it means,
    and nothing of the host changes. The files of iptables are saves; those of ufw are its user chains.
    """
    if len(managers.names) != 1:
        raise Absent(f"{len(managers.names)} firewall managers start at boot; see firewall.one-manager")
    (name,) = managers.names
    match name:
        case "nftables":
            kept = [found for found in (_loaded(nft), _loaded(redhat)) if found is not None]
            if not kept:
                raise NotUnderstood("no nftables.conf in /etc or /etc/sysconfig")
            if len(kept) > 1:
                raise NotUnderstood("nftables.conf is both in /etc and in /etc/sysconfig: which one counts?")
            return SavedFilter(name, Ruleset(kept[0]))
        case "netfilter-persistent":
            return SavedFilter(name, Ruleset(_save(rules4, "ip") | _save(rules6, "ip6")))
        case "iptables":
            return SavedFilter(name, Ruleset(_save(redhat4, "ip") | _save(redhat6, "ip6")))
        case "ufw" if ufw is not None:
            return SavedFilter(name, _ufw(packets.rules, [("ip", ufw4), ("ip6", ufw6)], ufw.text))
        case _:
            raise NotUnderstood(f"what {name} keeps on disk cannot be compared here; compare it by hand")


def _loaded(raw: Raw | None) -> dict[Key, Chain] | None:
    if raw is None or (
        raw.code == 1 and b"No such file or directory" in raw.err and b"Could not open file" in raw.err
    ):
        return None
    if raw.code:
        raise NotUnderstood(
            f"nft cannot load the saved rules by themselves: {raw.err.decode().strip()[:200]}"
        )
    text = raw.text.strip()
    return read_nft(text) if text else {}


def _save(raw: Raw | None, family: str) -> dict[Key, Chain]:
    return read_save(raw.text, "legacy", family) if raw else {}


def _ufw(running: Ruleset, users: list[tuple[str, Raw | None]], defaults: str) -> Ruleset:
    """The running rules with the user chains and the default policy that ufw keeps on disk.

    In its first chain ufw puts nothing but the way to its own: any other rule there is gone after a restart.
    """
    found = re.search(r'(?m)^DEFAULT_INPUT_POLICY="?(ACCEPT|DROP|REJECT)"?\s*$', defaults)
    if not found:
        raise NotUnderstood("/etc/default/ufw: no DEFAULT_INPUT_POLICY")
    chains = dict(running.chains)
    for family, raw in users:
        if raw is None:
            raise NotUnderstood("ufw keeps no user rules")
        for key, chain in read_save(raw.text, "", family).items():
            for origin in ("nft", "legacy"):
                if (here := (origin, *key[1:])) in chains and "user-" in key[3]:
                    chains[here] = replace(chain, key=here)
    for key, chain in chains.items():
        if chain.hook == "input" and key[1:] in {("ip", "filter", "INPUT"), ("ip6", "filter", "INPUT")}:
            policy = "accept" if found[1] == "ACCEPT" else "drop"
            own = [rule for rule in chain.rules if rule.target.startswith(("ufw-", "ufw6-"))]
            chains[key] = replace(chain, policy=policy, rules=own)
    return Ruleset(chains, running.unseen)


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "firewall.one-manager",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="Eén programma beheert de firewall",
    why_nl="Twee beheerders overschrijven elkaars regels: wat er na een herstart geldt, hangt dan van de volgorde af.",
    fix="systemctl disable --now ufw    # keep the one you use",
    verify="systemctl is-enabled nftables ufw firewalld netfilter-persistent iptables",
    references=("firewalld(1)", "ufw(8)", "https://wiki.debian.org/nftables"),
)
def one_manager(managers: Managers) -> Verdict:
    """One program manages the firewall.

    Two managers overwrite each other's rules: what holds after a restart then depends on their order.
    """
    if not managers.names:
        raise Absent("no known firewall manager starts at boot")
    return holds(len(managers.names) == 1, f"starts at boot: {', '.join(managers.names)}", "one")


@check(
    "firewall.loaded-at-boot",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.NETWORK,
    title_nl="De firewall wordt bij het opstarten geladen",
    why_nl="Regels die alleen in het geheugen staan, zijn na een herstart weg: de host staat dan open zonder dat iemand"
    " het merkt.",
    fix="nft list ruleset    # when these are the rules you want: save them\n"
    "(echo 'flush ruleset'; nft list ruleset) > /etc/nftables.conf\nsystemctl enable nftables",
    verify="systemctl is-enabled nftables ufw firewalld netfilter-persistent iptables",
    advice="A unit of your own that loads the rules is not recognised: use nftables.service, or accept the finding.",
    advice_nl="Een eigen unit die regels laadt wordt niet herkend: gebruik nftables.service of accepteer de bevinding.",
    references=("systemctl(1)", "ufw(8)", "firewalld(1)"),
)
def loaded_at_boot(managers: Managers) -> Verdict:
    """The firewall is loaded when the host starts.

    Rules that are only in memory are gone after a restart: then the host is open and nobody notices.
    """
    good = [one for one in managers.enabled if one.active]
    idle = [f"{one.unit} enabled, not active" for one in managers.enabled if not one.active]
    installed = [f"{one.unit} installed, not enabled" for one in managers.all if not one.enabled]
    if good:
        return holds(
            not idle,
            "; ".join([f"{one.unit} enabled and active" for one in good] + idle),
            "enabled and active",
        )
    return holds(
        False, "; ".join(idle + installed) or "no firewall manager is installed", "enabled and active"
    )


@check(
    "firewall.before-network",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="De firewall staat er voordat het netwerk opkomt",
    why_nl="Komt het netwerk eerder op dan de firewall, dan staat de host bij elke start even open.",
    fix="systemctl edit nftables    # [Unit] Before=network-pre.target Wants=network-pre.target",
    verify="systemctl show -p Before nftables",
    references=("systemd.special(7), network-pre.target",),
)
def before_network(managers: Managers) -> Verdict:
    """The firewall stands before the network comes up.

    When the network comes up earlier than the firewall, the host is open for a moment at every start.
    """
    if not managers.enabled:
        raise Absent("no known firewall manager starts at boot")
    late = [one.unit for one in managers.enabled if "network-pre.target" not in one.before]
    observed = (
        f"not ordered before network-pre.target: {named(late)}" if late else "Before=network-pre.target"
    )
    return holds(not late, observed, "Before=network-pre.target")


@check(
    "firewall.running-equals-saved",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="Wat de firewall nu toelaat, laat hij na een herstart ook toe, en niet meer",
    why_nl="Een noodopening die bleef, of een regel die nooit is opgeslagen, blijkt anders pas na een herstart.",
    fix="nft -c -f /etc/nftables.conf && systemctl reload nftables    # back to what is saved\n"
    "(echo 'flush ruleset'; nft list ruleset) > /etc/nftables.conf    # or: save what runs",
    verify="nft list ruleset    # beside /etc/nftables.conf",
    advice="Rules that Docker, libvirt or fail2ban add themselves do not belong in the saved file.",
    advice_nl="Regels die Docker, libvirt of fail2ban zelf toevoegen, horen niet in het opgeslagen bestand.",
    references=("nft(8), --echo", "iptables-save(8)", "ufw(8)"),
)
def running_equals_saved(packets: PacketFilter, saved: SavedFilter) -> Verdict:
    """What the firewall lets in now it lets in after a restart, and no more.

    An emergency opening that stayed, or a rule that was never saved, otherwise comes to light only after a restart.
    Compared is what comes in to the host, not the text of the rules.
    """
    if packets.rules.unseen:
        raise Blind(f"could not look at {packets.rules.unseen}", Cause.TOOL_MISSING)
    patterns = frozenset(packets.rules.interface_patterns() | saved.rules.interface_patterns())
    now, then = (
        reach(rules, "input", packets.interfaces, packets.own, packets.versions, patterns)
        for rules in (packets.rules, saved.rules)
    )
    if doubts := [*now.doubts, *then.doubts]:
        raise NotUnderstood(f"rules that are not understood: {named(doubts, 3)}")
    first, second = _canonical(now.openings), _canonical(then.openings)
    differ = sorted(
        {where for where in first.keys() | second.keys() if first.get(where) != second.get(where)}
    )
    shown = named(list(dict.fromkeys(f"IPv{version} {interface}" for version, interface, _ in differ)), 4)
    observed = (
        f"differs from what {saved.manager} keeps: {shown}" if differ else f"as {saved.manager} keeps it"
    )
    return holds(not differ, observed, "the same")


def _canonical(openings: tuple[Opening, ...]) -> dict[tuple[int, str, int], list[tuple[Spans, Spans]]]:
    found: dict[tuple[int, str, int], list[Opening]] = {}
    for one in openings:
        found.setdefault((one.version, one.interface, one.protocol), []).append(one)
    return {where: by_port(some) for where, some in found.items()}


# --- examples -------------------------------------------------------------------------------------------------

_ABSENT: Final = ("LoadState=not-found", "ActiveState=inactive", "UnitFileState=", "Before=")


def _shown(**units: str) -> str:
    blocks = []
    for unit in MANAGERS:
        state = units.get(unit.replace("-", "_"))
        lines = _ABSENT
        if state:
            active, file, *before = state.split()
            lines = (
                "LoadState=loaded", f"ActiveState={active}", f"UnitFileState={file}", f"Before={' '.join(before)}",
            )  # fmt: skip
        blocks.append("\n".join((f"Id={unit}.service", *lines)))
    return "\n\n".join(blocks) + "\n"


_NFTABLES: Final = _shown(nftables="active enabled network-pre.target shutdown.target sysinit.target")
_UFW: Final = _shown(ufw="active enabled network-pre.target", nftables="inactive disabled network-pre.target")
_ENABLED: Final = "# /etc/ufw/ufw.conf\nENABLED=yes\nLOGLEVEL=low\n"
_PERSISTENT: Final = _shown(netfilter_persistent="active enabled network-pre.target")

examples(
    one_manager,
    passes=[{"shown": _NFTABLES}, {"shown": _UFW, "ufw": _ENABLED}],
    fails={
        "shown": _shown(
            nftables="active enabled network-pre.target", firewalld="active enabled network-pre.target"
        )
    },
    notapplicable={"shown": _UFW, "ufw": _ENABLED.replace("yes", "no")},
)
examples(
    loaded_at_boot,
    passes=[{"shown": _NFTABLES}, {"shown": _UFW, "ufw": _ENABLED}],
    fails=[
        {"shown": _UFW, "ufw": _ENABLED.replace("yes", "no")},
        {"shown": _shown(nftables="active disabled network-pre.target")},
        {"shown": _shown(nftables="failed enabled network-pre.target")},
        {"shown": _shown()},
    ],
)
examples(
    before_network,
    passes={"shown": _NFTABLES},
    fails={
        "shown": _shown(iptables="active enabled network.target", ip6tables="active enabled network.target")
    },
    notapplicable={"shown": _shown()},
)

_RULES_V4: Final = """# Generated by iptables-save v1.8.9 on Mon Nov 23 10:00:00 2026
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""


def _echoed(ruleset: str) -> str:
    """What `nft -j -e -f` says when it loads these rules."""
    objects = ruleset.partition("\n")[2].split(",\n")[1:]
    lines = [line.removesuffix("\n]}") for line in objects]
    return '{"nftables":[' + ",".join(f'{{"add":{line}}}' for line in lines) + "]}\n"


_GONE: Final = Raw(
    err=b'Error: Could not open file "/etc/sysconfig/nftables.conf": No such file or directory\n', code=1
)
_CANNOT: Final = Raw(err=b"/etc/nftables.conf:6:7-10: Error: Interface does not exist\n", code=1)


def _kept(running: str, saved: object, shown: str = _NFTABLES, **more: object) -> dict[str, object]:
    return {
        **seen(running, ONLY_IPV4), "packet_filter.nft": running, "saved_filter.nft": saved, "redhat": _GONE,
        "shown": shown, "managers.ufw": _ENABLED, **more,
    }  # fmt: skip


_UFW_USER: Final = """*filter
:ufw-user-input - [0:0]
### RULES ###
-A ufw-user-input -p tcp --dport 22 -j ACCEPT
COMMIT
"""
_UFW_RUNS: Final = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""


def _with_ufw(running: str) -> dict[str, object]:
    kept = {
        "ufw4": _UFW_USER,
        "ufw6": "*filter\nCOMMIT\n",
        "saved_filter.ufw": 'DEFAULT_INPUT_POLICY="DROP"\n',
    }
    return _kept(recorded.EMPTY, "", _UFW, ip4=running, **kept)


examples(
    running_equals_saved,
    passes=[
        _with_ufw(_UFW_RUNS),
        _kept(recorded.DROP, _echoed(recorded.DROP)),
        _kept(recorded.EMPTY, "", _PERSISTENT, ip4=_RULES_V4, rules4=_RULES_V4),
    ],
    fails=[
        _kept(recorded.ACCEPT, _echoed(recorded.DROP)),
        _kept(recorded.DROP, ""),
        # Opened in haste, beside ufw.
        _with_ufw(_UFW_RUNS.replace("-A INPUT", "-A INPUT -p tcp -m tcp --dport 1:9999 -j ACCEPT\n-A INPUT")),
        _with_ufw(_UFW_RUNS.replace("--dport 22", "--dport 23")),
        _kept(
            recorded.EMPTY,
            "",
            _PERSISTENT,
            ip4=_RULES_V4.replace("--dport 22", "--dport 1:65535"),
            rules4=_RULES_V4,
        ),
    ],
    unknown=[
        _kept(recorded.DROP, _CANNOT),
        _kept(recorded.DROP, "", _shown(firewalld="active enabled network-pre.target")),
        {**_kept(recorded.DROP, _GONE), "addresses": BOTH},
        _kept(recorded.DROP, _echoed(recorded.DROP), redhat=""),
    ],
    notapplicable=_kept(recorded.DROP, "", _shown()),
)
