"""Principle 3: whether protection stands in layers, judged from the findings of the host itself.

Three-valued: what holds for sure counts; what could not be established counts neither way and, where it would decide,
makes the verdict an error. A layer is its measures of high and critical severity: one small fault does not fell it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from scanner import (
    FAIL_SECURE,
    IN_DEPTH,
    SECURE_DEPLOYMENT,
    Blind,
    Check,
    Layer,
    Results,
    Severity,
    State,
    Verdict,
    at_least,
    check,
    examples,
)

_WEIGHTY: Final = frozenset({Severity.HIGH, Severity.CRITICAL})
_LAYERS: Final = (
    Layer.NETWORK, Layer.HOST, Layer.IDENTITY, Layer.APPLICATION, Layer.DATA, Layer.DETECTION, Layer.RECOVERY,
)  # fmt: skip


def _of(count: int, parts: Mapping[str, State]) -> Verdict:
    """Whether so many parts hold. When too few were judged here to say so, nobody looked."""
    judged = [name for name, state in parts.items() if state is not State.NOTAPPLICABLE]
    if 0 < len(judged) < count:
        raise Blind(f"only {', '.join(judged)} was judged on this host, of {', '.join(parts)}")
    return at_least(count, parts)


def _all(results: Results, parts: Mapping[str, tuple[State, tuple[str, ...]]]) -> Verdict:
    """Whether every part that applies here holds: its state, and the checks that it rests on.

    That a part does not apply must have been found; of a part that nobody judged nothing is known.
    """
    ran = {one.id for one, _ in results.findings}
    unjudged = [name for name, (_, ids) in parts.items() if ran.isdisjoint(ids)]
    if unjudged and len(unjudged) < len(parts) and not any(one is State.FAIL for one, _ in parts.values()):
        raise Blind(f"not judged on this host: {', '.join(unjudged)}")
    states = {name: state for name, (state, _) in parts.items()}
    return at_least(sum(one is not State.NOTAPPLICABLE for one in states.values()), states)


def _every(results: Results, *ids: str) -> tuple[State, tuple[str, ...]]:
    return results.all_of(*ids), ids


def _one(results: Results, *ids: str) -> tuple[State, tuple[str, ...]]:
    return results.any_of(*ids), ids


@check(
    "layers.several-hold",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.GOVERNANCE,
    title_nl="Ten minste drie lagen van bescherming houden stand",
    why_nl=(
        "Elke laag heeft ooit een gat. Een aanvaller moet er dan nog minstens twee door, en daar tijd"
        " voor nodig hebben."
    ),
    fix="# mend the high and critical findings of the layer that lacks least",
    verify='keurmeester scan --only \'severity in ("high", "critical")\'',
    references=("NIST SP 800-53 Rev. 5, PL-8(1)", "ISO/IEC 27002:2022 8.27"),
)
def several_hold(
    results: Results,
    *,
    layers: Annotated[int, "how many layers must hold"] = 3,
) -> Verdict:
    """At least three layers of protection hold.

    Each layer has a hole at some time. An attacker must then still get through two others at least, and need time for
    it. A layer holds when none of its measures of high or critical severity fails.
    """

    def state(layer: Layer) -> State:
        def belongs(one: Check) -> bool:
            return one.layer is layer and one.severity in _WEIGHTY

        return results.state(belongs)

    return _of(layers, {layer.value: state(layer) for layer in _LAYERS})


@check(
    "layers.behind-the-firewall",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.GOVERNANCE,
    title_nl="Achter de firewall staat de host ook zelf dicht",
    why_nl=(
        "Eén verkeerde regel in de firewall, en alles wat luistert is te bereiken. Dan telt wat de host"
        " zelf toelaat."
    ),
    fix=(
        "# see firewall.default-deny-input, sockets.inner-services-bound, sockets.no-clear-text and"
        " services.no-legacy"
    ),
    verify='keurmeester scan --only \'topic in ("firewall", "sockets", "services")\'',
    references=("ISO/IEC 27002:2022 8.20, 8.27",),
)
def behind_the_firewall(results: Results) -> Verdict:
    """Behind the firewall the host itself is closed as well.

    One wrong rule in the firewall, and everything that listens can be reached. Then what the host itself admits counts.
    """
    return _all(
        results,
        {
            "packet filter": _every(results, "firewall.default-deny-input"),
            "what listens": _every(
                results,
                "sockets.no-clear-text", "sockets.inner-services-bound", "sockets.no-open-container-engine",
                "services.no-legacy",
            ),
        }
    )  # fmt: skip


@check(
    "layers.prevent-detect-recover",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.GOVERNANCE,
    title_nl="Voorkomen, opmerken en herstellen zijn alle drie geregeld",
    why_nl=(
        "Voorkomen lukt niet altijd. Wie een inbraak niet merkt of niet kan herstellen, is met één fout"
        " alles kwijt."
    ),
    fix="# see firewall.default-deny-input, updates.security-installed, audit.running, logging.leaves-the-host,"
    " backup.recent",
    verify='keurmeester scan --only \'layer in ("network", "detection", "recovery")\'',
    references=("NIST Cybersecurity Framework 2.0, functions PROTECT, DETECT and RECOVER",),
)
def prevent_detect_recover(results: Results) -> Verdict:
    """Preventing, noticing and recovering are all three arranged.

    Preventing does not always work. Who does not notice a break-in, or cannot recover, loses everything by one mistake.
    """
    return _of(
        3,
        {
            "prevention": results.all_of("firewall.default-deny-input", "updates.security-installed"),
            "detection": results.any_of("audit.running", "logging.leaves-the-host", "malware.agent-runs"),
            "recovery": results.all_of("backup.recent", "backup.planned"),
        },
    )


@check(
    "layers.login",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.GOVERNANCE,
    title_nl="Inloggen is driedubbel beschermd: sterk bewijs, een grens aan pogingen en een spoor",
    why_nl=(
        "Een gestolen wachtwoord mag niet genoeg zijn, raden mag niet eindeloos kunnen, en wie inlogt"
        " moet te zien zijn."
    ),
    fix="# see ssh.keys-or-two-factors, passwords.lockout, ssh.max-auth-tries, ssh.log-level, sudo.logged",
    verify='keurmeester scan --only \'topic in ("ssh", "passwords", "sudo")\'',
    references=("ISO/IEC 27002:2022 8.5", "BIO2 1.3, control 8.05"),
)
def login(results: Results) -> Verdict:
    """Logging in is guarded three times: strong proof, a limit to attempts, and a trace.

    A stolen password must not be enough, guessing must not go on without end, and who logs in must be seen.
    """
    return _all(
        results,
        {
            "strong proof": _one(results, "ssh.keys-or-two-factors"),
            "limit to attempts": _one(results, "passwords.lockout", "ssh.max-auth-tries"),
            "trace": _one(results, "ssh.log-level", "sudo.logged", "audit.records-accounts"),
        },
    )


@check(
    "layers.data",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.GOVERNANCE,
    title_nl="Gegevens hebben ten minste drie beschermingen die los van elkaar staan",
    why_nl="Rechten, versleuteling, toezicht en een reservekopie vangen elk een ander ongeluk op. Met één ervan is één"
    " fout genoeg.",
    fix="# see files.data-folders, disk-encryption.data, audit.running, backup.recent",
    verify='keurmeester scan --only \'topic in ("files", "disk_encryption", "audit", "backup")\'',
    references=("ISO/IEC 27002:2022 8.3, 8.13, 8.24, 8.27",),
)
def data(
    results: Results,
    *,
    measures: Annotated[int, "how many of the four must hold"] = 3,
) -> Verdict:
    """Data have at least three protections that stand apart from each other.

    Rights, encryption, watching and a copy each catch another accident. With one of them, one mistake is enough.
    """
    return _of(
        measures,
        {
            "rights": results.all_of(
                "files.data-folders", "files.password-hashes", "filesystem.world-writable-files"
            ),
            "encryption": results.any_of("disk-encryption.data"),
            "watching": results.any_of("audit.running", "integrity.recent"),
            "copy": results.all_of("backup.recent", "backup.planned"),
        },
    )


@check(
    "layers.logs-here-and-there",
    principle=IN_DEPTH,
    severity=Severity.MEDIUM,
    layer=Layer.GOVERNANCE,
    title_nl="Logboeken staan op de host en ook ergens anders",
    why_nl="Een inbreker wist het logboek op de host. Een storing in het netwerk houdt het logboek elders leeg. Samen"
    " blijft er een over.",
    fix="# see logging.journal-kept and logging.leaves-the-host",
    verify="keurmeester scan --only 'topic == \"logging\"'",
    references=("ISO/IEC 27002:2022 8.15", "BIO2 1.3, control 8.15"),
)
def logs_here_and_there(results: Results) -> Verdict:
    """Logs are kept on the host and somewhere else too.

    A burglar wipes the log on the host. A failing network keeps the log elsewhere empty. Together one remains.
    """
    return _of(
        2,
        {
            "on the host": results.any_of("logging.journal-kept"),
            "elsewhere": results.any_of("logging.leaves-the-host"),
        },
    )


@check(
    "layers.after-a-restart",
    principle=(IN_DEPTH, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.GOVERNANCE,
    title_nl="Na een herstart staat de bescherming er weer, zonder dat iemand eraan denkt",
    why_nl=(
        "Een storing midden in de nacht mag de host niet open achterlaten. Wat alleen nu werkt, is geen"
        " bescherming."
    ),
    fix="# see firewall.loaded-at-boot, firewall.running-equals-saved, mac.stays-on, audit.from-boot",
    verify='keurmeester scan --only \'topic in ("firewall_start", "mac", "audit")\'',
    references=("ISO/IEC 27002:2022 8.27",),
)
def after_a_restart(results: Results) -> Verdict:
    """After a restart the protection stands again, without anyone thinking of it.

    A failure in the middle of the night must not leave the host open. What only works now is no protection.
    """
    return _all(
        results,
        {
            "packet filter": _every(results, "firewall.loaded-at-boot", "firewall.running-equals-saved"),
            "confinement": _every(results, "mac.stays-on"),
        },
    )


@check(
    "layers.updates-take-hold",
    principle=(IN_DEPTH, SECURE_DEPLOYMENT),
    severity=Severity.HIGH,
    layer=Layer.GOVERNANCE,
    title_nl="Van lek tot dicht is de keten heel: updates bestaan, zijn bekend, geïnstalleerd en gestart",
    why_nl=(
        "Elke schakel die ontbreekt maakt de andere waardeloos: een update die klaarstaat of niet is"
        " gestart, dicht niets."
    ),
    fix="# see end-of-support.release-supported, package-sources.security-suite, updates.lists-fresh,"
    " updates.security-installed, updates.restarted",
    verify='keurmeester scan --only \'topic in ("updates", "end_of_support", "package_sources")\'',
    references=("BIO2 1.3, control 8.08", "ISO/IEC 27002:2022 8.8"),
)
def updates_take_hold(results: Results) -> Verdict:
    """From hole to closed the chain is whole: updates exist, are known, installed and started.

    Each link that is missing makes the others worthless: an update that waits or was not started closes nothing.
    """
    return _all(
        results,
        {
            "exist": _every(results, "end-of-support.release-supported", "package-sources.security-suite"),
            "known": _every(results, "updates.lists-fresh"),
            "installed": _every(results, "updates.security-installed"),
            "started": _every(results, "updates.restarted"),
        },
    )


# --- examples -------------------------------------------------------------------------------------------------

_GOOD: Final = {
    "firewall.default-deny-input": "pass", "sockets.no-clear-text": "pass", "sockets.inner-services-bound": "pass",
    "services.no-legacy": "pass", "updates.security-installed": "pass", "audit.running": "pass",
    "backup.recent": "pass", "ssh.keys-or-two-factors": "pass", "passwords.lockout": "pass", "ssh.log-level": "pass",
    "files.data-folders": "pass", "disk-encryption.data": "pass", "logging.journal-kept": "pass",
    "logging.leaves-the-host": "pass", "firewall.loaded-at-boot": "pass", "firewall.running-equals-saved": "pass",
    "mac.stays-on": "pass", "end-of-support.release-supported": "pass", "package-sources.security-suite": "pass",
    "updates.lists-fresh": "pass", "updates.restarted": "pass",
}  # fmt: skip


def _some(*ids: str, **states: str) -> dict[str, str]:
    """The findings named, all good but for the states given; ``__`` in a name is a dot, ``_`` a dash."""
    changed = {name.replace("__", ".").replace("_", "-"): state for name, state in states.items()}
    return {**{one: _GOOD[one] for one in ids}, **changed}


examples(
    several_hold,
    passes=[_GOOD, {**_GOOD, "firewall.default-deny-input": "fail"}],
    fails={**_GOOD, "firewall.default-deny-input": "fail", "ssh.keys-or-two-factors": "fail", "audit.running": "fail",
           "disk-encryption.data": "fail", "updates.security-installed": "fail"},
    notapplicable={"ssh.log-level": "pass"},
)  # fmt: skip
_CLOSED: Final = ("firewall.default-deny-input", "sockets.no-clear-text", "services.no-legacy")
examples(
    behind_the_firewall,
    passes=_some(*_CLOSED),
    fails=[_some(*_CLOSED, services__no_legacy="fail"), _some(*_CLOSED, firewall__default_deny_input="fail")],
    error=[_some(*_CLOSED, firewall__default_deny_input="error"), _some("services.no-legacy")],
    notapplicable={"ssh.log-level": "pass"},
)
_THREE: Final = (
    "firewall.default-deny-input",
    "updates.security-installed",
    "audit.running",
    "backup.recent",
)
examples(
    prevent_detect_recover,
    passes=[_some(*_THREE), _some(*_THREE, logging__leaves_the_host="error")],
    fails=[
        _some(*_THREE, backup__recent="fail"),
        _some(*_THREE, backup__recent="fail", backup__planned="pass"),
    ],
    error=[_some(*_THREE, audit__running="unknown"), _some(*_THREE[:3])],
)
_LOGIN: Final = ("ssh.keys-or-two-factors", "passwords.lockout", "ssh.log-level")
examples(
    login,
    passes=_some(*_LOGIN),
    fails=_some(*_LOGIN, passwords__lockout="fail"),
    error=_some("ssh.log-level"),
)
_DATA: Final = ("files.data-folders", "disk-encryption.data", "audit.running", "backup.recent")
examples(
    data,
    passes=[_some(*_DATA), _some(*_DATA, disk_encryption__data="fail")],
    fails=_some(*_DATA, disk_encryption__data="fail", backup__recent="fail"),
)
_LOGS: Final = ("logging.journal-kept", "logging.leaves-the-host")
examples(logs_here_and_there, passes=_some(*_LOGS), fails=_some(*_LOGS, logging__leaves_the_host="fail"))
_START: Final = ("firewall.loaded-at-boot", "firewall.running-equals-saved", "mac.stays-on")
examples(
    after_a_restart,
    passes=[_some(*_START), _some(*_START, mac__stays_on="notapplicable")],
    fails=_some(*_START, firewall__loaded_at_boot="fail"),
)
_CHAIN: Final = (
    "end-of-support.release-supported", "package-sources.security-suite", "updates.lists-fresh",
    "updates.security-installed", "updates.restarted",
)  # fmt: skip
examples(
    updates_take_hold,
    passes=[_some(*_CHAIN), _some(*_CHAIN, updates__restarted="notapplicable")],
    fails=_some(*_CHAIN, updates__restarted="fail"),
)
