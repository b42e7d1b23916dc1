"""Whether the inventory tells the truth about the hosts, and says of each what is needed to guard it."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from checks.linux._answers import named, only_missing
from scanner import (
    NO_GAP,
    SECURE_DEPLOYMENT,
    Absent,
    Command,
    File,
    Fleet,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Target,
    Tree,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    tree_files,
)

#: SHA-256 of what machine-id(5) holds before the first start of a host: nothing, or the word uninitialized.
_NOT_YET: Final = frozenset(sha256(text).hexdigest() for text in (b"", b"\n", b"uninitialized\n"))
_KEYS: Final = Tree(path="/etc/ssh", include="ssh_host_*_key.pub", root=True)


@fact
class HostIdentity:
    """What a host says it is: its name, and what should be its own alone.

    ``machine`` is the SHA-256 of its machine-id, which is itself nobody's business (machine-id(5)); empty when it has
    none. ``keys`` are the public halves of its SSH host keys.
    """

    name: str
    machine: str
    keys: tuple[str, ...]


@probe(
    "linux",
    hostname=File("/proc/sys/kernel/hostname"),
    machine=Command("sha256sum /etc/machine-id", exits=(0, 1)),
    keys=_KEYS,
)
def host_identity(hostname: Raw, machine: Raw, keys: Raw | None) -> HostIdentity:
    """A name; a digest and a path; lines of ``kind key comment``."""
    (name,) = hostname.lines
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise NotUnderstood("not the name of a host")
    digests = [line.split() for line in machine.lines]
    if not digests and not only_missing(machine):
        raise NotUnderstood("sha256sum says nothing of machine-id")
    if any(len(words) != 2 or not re.fullmatch(r"[0-9a-f]{64}", words[0]) for words in digests):
        raise NotUnderstood("not an answer of sha256sum")
    if digests and digests[0][0] in _NOT_YET:
        digests = []
    found = [line.split() for lines in (tree_files(keys) if keys else {}).values() for line in lines]
    if not digests and not found:
        raise Absent("neither a machine-id nor SSH host keys: nothing to tell it from another host by")
    return HostIdentity(
        name, digests[0][0] if digests else "", tuple(sorted(" ".join(words[:2]) for words in found if words))
    )


@check(
    "inventory.no-clones",
    principle=(NO_GAP, SECURE_DEPLOYMENT),
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="Geen twee hosts hebben dezelfde identiteit",
    why_nl=(
        "Wie een image kopieert zonder de sleutels te vernieuwen, maakt hosts die zich voor elkaar kunnen uitgeven."
        " Het kan ook zijn dat één host twee keer in de inventaris staat."
    ),
    fix="rm /etc/ssh/ssh_host_*_key* && ssh-keygen -A && systemctl restart ssh\n"
    "rm /etc/machine-id && systemd-machine-id-setup",
    verify="ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; sha256sum /etc/machine-id",
    advice="Afterwards put the new host keys in the inventory, or the scanner rightly refuses the host.",
    advice_nl="Zet daarna de nieuwe hostsleutels in de inventaris; anders weigert de scanner de host, terecht.",
    references=("machine-id(5)", "ssh-keygen(1)", "NIST IR 7966 section 4.2"),
)
def no_clones(fleet: Fleet[HostIdentity]) -> Verdict:
    """No two hosts have the same identity.

    Who copies an image without renewing the keys makes hosts that can pose as one another. It may also be that one host
    is in the inventory twice.
    """
    owners: dict[str, list[str]] = {}
    for name, host in fleet:
        for what in (*([f"machine-id {host.machine}"] if host.machine else ()), *host.keys):
            owners.setdefault(what, []).append(name)
    shared: dict[tuple[str, ...], list[str]] = {}
    for what, names in owners.items():
        if len(names) > 1:
            shared.setdefault(tuple(sorted(names)), []).append(what.split()[0])
    faults = [
        f"{', '.join(names)} share {', '.join(dict.fromkeys(what))}" for names, what in sorted(shared.items())
    ]
    return holds(not faults, named(faults, 5) or f"{len(fleet)} hosts, all their own", "each its own")


@check(
    "inventory.name-agrees",
    principle=NO_GAP,
    severity=Severity.LOW,
    layer=Layer.GOVERNANCE,
    title_nl="De host heet zoals de inventaris zegt",
    why_nl=(
        "Staat er een andere host achter het adres dan men denkt, dan gaan bevindingen en maatregelen"
        " naar de verkeerde."
    ),
    fix="hostnamectl set-hostname NAME    # or mend the inventory",
    verify="hostname",
    references=("hostnamectl(1)", "BIO2 1.3, control 5.09"),
)
def name_agrees(host: HostIdentity, target: Target) -> Verdict:
    """The host is called what the inventory says.

    When another host is behind the address than people think, findings and measures go to the wrong one.
    """
    names = {
        name.partition(".")[0].lower() for name in (target.name, target.address) if not _is_address(name)
    }
    if not names:
        raise NotUnderstood("the inventory knows this host by its address alone")
    observed = f"hostname {host.name}"
    return holds(host.name.partition(".")[0].lower() in names, observed, " or ".join(sorted(names)))


def _is_address(text: str) -> bool:
    return re.fullmatch(r"[0-9.]+", text) is not None or ":" in text


@check(
    "inventory.owned",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.GOVERNANCE,
    platform="fleet",
    title_nl="Van elke host staat vast wie de eigenaar is, wat zijn rol is en hoe belangrijk hij is",
    why_nl="Zonder eigenaar lost niemand een bevinding op; zonder rol en belang is niet te zeggen wat genoeg is.",
    fix="# inventory: owner: TEAM, role: web, criticality: low|medium|high; for one host or for a group",
    verify="keurmeester inventory check",
    references=("ISO/IEC 27002:2022 5.9", "BIO2 1.3, control 5.09"),
)
def owned(target: Target) -> Verdict:
    """Of each host it is settled who owns it, what its role is and how much it matters.

    Without an owner nobody mends a finding; without role and weight nobody can say what is enough.
    """
    missing = [name for name in ("owner", "role", "criticality") if not getattr(target, name)]
    return holds(
        not missing, f"not filled in: {', '.join(missing) or 'nothing'}", "owner, role and criticality"
    )


@check(
    "inventory.services-declared",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.GOVERNANCE,
    platform="fleet",
    title_nl="Van elke host staat vast welke diensten hij aanbiedt",
    why_nl="Alleen wie weet wat er hoort te draaien, ziet wat er te veel is.",
    fix="# inventory: services: [{port: 443, purpose: website, tls: true, from: [any]}]; none: services: []",
    verify="keurmeester inventory check",
    references=("ISO/IEC 27002:2022 8.20", "BIO2 1.3, control 5.09"),
)
def services_declared(target: Target) -> Verdict:
    """Of each host it is settled which services it offers.

    Only who knows what should run sees what is too much.
    """
    if target.services is None:
        return holds(False, "services: not filled in", "a list, if need be an empty one")
    listed = named([service.key for service in target.services]) or "none"
    return holds(True, f"services: {listed}", "a list, if need be an empty one")


# --- examples -------------------------------------------------------------------------------------------------


def _host(name: str, number: int, key: int | None = None) -> dict[str, object]:
    line = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number if key is None else key:043d} root@{name}"
    return {
        "hostname": f"{name}\n",
        "machine": f"{number:064x}  /etc/machine-id\n",
        "keys": f"/etc/ssh/ssh_host_ed25519_key.pub\0{line}\n",
    }


_NO_ID: Final = Raw(err=b"sha256sum: /etc/machine-id: No such file or directory\n", code=1)
_EMPTY: Final = f"{sha256(b'').hexdigest()}  /etc/machine-id\n"
examples(
    no_clones,
    passes=[
        {"@web1": _host("web1", 1), "@web2": _host("web2", 2)},
        {"@web1": {**_host("web1", 1), "machine": _NO_ID}, "@web2": {**_host("web2", 2), "machine": _NO_ID}},
        {"@web1": {**_host("web1", 1), "machine": _EMPTY}, "@web2": {**_host("web2", 2), "machine": _EMPTY}},
    ],
    notapplicable={
        f"@{name}": {**_host(name, 1), "machine": _NO_ID, "keys": ""} for name in ("web1", "web2")
    },
    fails=[
        {"@web1": _host("web1", 1), "@web2": _host("web2", 1)},
        {"@web1": _host("web1", 1), "@web2": _host("web2", 2, key=1)},
    ],
)
examples(
    name_agrees,
    passes=[
        {**_host("web1", 1), "target": {"name": "web1.example.nl", "address": "192.0.2.1"}},
        {**_host("web1", 1), "target": {"name": "front", "address": "web1.example.nl"}},
    ],
    fails={**_host("db1", 1), "target": {"name": "web1", "address": "192.0.2.1"}},
    unknown={**_host("db1", 1), "target": {"name": "192.0.2.1", "address": "192.0.2.1"}},
)
examples(
    owned,
    passes={"target": {"owner": "Team Web", "role": "web", "criticality": "high"}},
    fails={"target": {"owner": "Team Web", "role": "web"}},
)
examples(
    services_declared,
    passes=[{"target": {"services": [{"port": 443}]}}, {"target": {"services": []}}],
    fails={"target": {}},
)
