"""Certificates of several hosts side by side: a key that is shared, a service whose nodes differ."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm

from checks.network import example_served as more
from checks.network.example_shown import given
from checks.network.served import ServedCertificate, serial
from checks.network.x509.paths import spki
from scanner import (
    DEFAULT_DENY,
    NO_GAP,
    SECURE_DEPLOYMENT,
    Absent,
    Fleet,
    Layer,
    NotUnderstood,
    Severity,
    Verdict,
    check,
    examples,
    holds,
)
from scanner.names import Key, name_key

_SHOW: Final = "openssl s_client -connect HOST:PORT -servername NAME </dev/null | openssl x509 -noout -pubkey"


def _each(fleet: Fleet[ServedCertificate]) -> Iterator[tuple[str, ServedCertificate]]:
    """Every host with each certificate it shows; a host may show several."""
    for name, several in fleet:
        for one in several if isinstance(several, tuple) else (several,):
            yield name, one


@check(
    "certificates.keys-not-shared",
    principle=(DEFAULT_DENY, NO_GAP),
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Servers die niet bij elkaar horen delen geen privésleutel",
    why_nl=(
        "Lekt de sleutel op de ene server, dan is ook het verkeer van de andere te lezen en na te doen."
        " Vaak is het één wildcard op alles."
    ),
    fix="openssl ecparam -name prime256v1 -genkey -noout -out server.key    # on each host its own",
    verify=_SHOW,
    references=(
        "BIO2 1.3, control 8.24",
        "RFC 9525 section 7.1",
    ),
)
def keys_not_shared(fleet: Fleet[ServedCertificate]) -> Verdict:
    """Servers that do not belong together share no private key.

    When the key leaks on one server, the traffic of the other can be read and imitated too. Often it is one
    wildcard on everything. Hosts of one cluster may share a key.
    """
    holders: dict[str, dict[str, str]] = {}
    unread: dict[str, str] = {}
    for name, shown in _each(fleet):
        try:
            public = sha256(spki(shown.leaf)).hexdigest()
        except (UnsupportedAlgorithm, ValueError) as error:
            unread[name] = str(error)[:80]
            continue
        holders.setdefault(public, {})[name] = fleet.targets[name].cluster or name
    shared = [
        f"{', '.join(sorted(hosts)[:6])} (key {public[:16]})"
        for public, hosts in sorted(holders.items())
        if len(set(hosts.values())) > 1
    ]
    if unread and not shared:
        raise NotUnderstood("; ".join(f"the key of {name}: {why}" for name, why in unread.items())[:400])
    return holds(
        not shared, f"shared: {'; '.join(shared[:10]) or f'none of {len(holders)} keys'}", "a key for each"
    )


def _ends(seen: list[tuple[str, ServedCertificate]]) -> str:
    ends = {f"{node} until {one.leaf.not_valid_after_utc:%Y-%m-%d}" for node, one in seen}
    return ", ".join(sorted(ends))


@check(
    "certificates.nodes-alike",
    principle=(SECURE_DEPLOYMENT, NO_GAP),
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De nodes van één dienst tonen hetzelfde certificaat",
    why_nl=(
        "Wordt een certificaat op één node vergeten, dan verloopt het daar: de dienst hapert voor een"
        " deel van de bezoekers, en niemand begrijpt waarom."
    ),
    fix="scp fullchain.crt server.key NODE:/etc/nginx/    # the same on every node\nsystemctl reload nginx",
    verify=_SHOW,
    within="cluster",
    references=("BIO2 1.3, control 8.24",),
)
def nodes_alike(fleet: Fleet[ServedCertificate]) -> Verdict:
    """The nodes of one service show the same certificate.

    When a certificate is forgotten on one node it expires there: the service falters for some of its visitors,
    and nobody understands why. Compared are nodes of a cluster that were asked for the same name on the same
    port.
    """
    services: dict[tuple[str, int], list[tuple[str, ServedCertificate]]] = {}
    for name, shown in _each(fleet):
        if shown.name:
            services.setdefault((shown.name, shown.port), []).append((name, shown))
    several = {service: seen for service, seen in services.items() if len({name for name, _ in seen}) > 1}
    if not several or not all(target.cluster for target in fleet.targets.values()):
        raise Absent("no two nodes of a cluster were asked for the same name")
    differ = [
        f"{service} {port}/tcp: {_ends(seen)}"
        for (service, port), seen in sorted(several.items())
        if len({one.chain[0] for _, one in seen}) > 1
    ]
    return holds(not differ, f"differ: {'; '.join(differ)[:600] or 'none'}", "one certificate for a service")


@check(
    "certificates.serials-unique",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Een CA geeft geen twee certificaten met hetzelfde serienummer uit",
    why_nl=(
        "Een CA trekt in op serienummer. Dragen twee certificaten hetzelfde, dan valt met het ene ook het andere"
        " weg, of blijft het ten onrechte geldig."
    ),
    fix="openssl x509 -in server.crt -noout -serial -issuer    # and have your CA issue one of them again",
    verify=_SHOW.replace("-pubkey", "-serial -issuer"),
    references=("RFC 5280 section 4.1.2.2",),
)
def serials_unique(fleet: Fleet[ServedCertificate]) -> Verdict:
    """A CA does not issue two certificates with the same serial number.

    A CA revokes by serial number. When two certificates carry the same, the one falls with the other, or goes on as
    valid when it should not.
    """
    numbers: dict[tuple[Key, int], dict[bytes, str]] = {}
    for name, shown in _each(fleet):
        number = name_key(shown.leaf.issuer), serial(shown.leaf)
        numbers.setdefault(number, {}).setdefault(shown.chain[0], name)
    twice = [
        f"{number:x} at {', '.join(sorted(seen.values())[:6])}"
        for (_, number), seen in sorted(numbers.items(), key=lambda item: item[0][1])
        if len(seen) > 1
    ]
    return holds(not twice, f"twice: {'; '.join(twice[:10])[:600] or f'none of {len(numbers)}'}", "each once")


# --- examples -------------------------------------------------------------------------------------------------


def _host(der: str, cluster: str = "", name: str = "www.example.nl") -> dict[str, Any]:
    return given(der, name=name, about={"cluster": cluster})


_ALONE: Final = {"@a": _host(more.PLAIN), "@b": _host(more.OTHER_KEY)}
_SHARED: Final = {"@a": _host(more.PLAIN), "@b": _host(more.SAME_KEY_OTHER_NAME)}
_TWINS: Final = {"@a": _host(more.PLAIN, "web"), "@b": _host(more.PLAIN, "web")}

examples(
    keys_not_shared,
    passes=[_ALONE, _TWINS],
    fails=[_SHARED, {**_SHARED, "@c": _host(more.ODD_CURVE)}],
    unknown={**_ALONE, "@c": _host(more.ODD_CURVE)},
)
examples(
    nodes_alike,
    passes=_TWINS,
    fails={"@a": _host(more.PLAIN, "web"), "@b": _host(more.OTHER_KEY, "web")},
    notapplicable=[
        _ALONE,
        {"@a": _host(more.PLAIN, "web"), "@b": _host(more.PLAIN, "web", "other.example.nl")},
    ],
)
examples(
    serials_unique,
    passes=_ALONE,
    fails={"@a": _host(more.SERIAL_SHORT), "@b": _host(more.SERIAL_TWICE)},
)
