"""Live flips of what spans more than one setting: twins that differ, and layers that fall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from scanner.model import State
from tests.lab.flips import (
    LOAD_FIREWALL,
    Flip,
    change,
    listens,
    mode,
    policy,
    replace,
    rule,
    run,
    sshd,
    sysctl,
)

if TYPE_CHECKING:
    from tests.lab.flips import How
    from tests.lab.host import Host
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner

#: Check -> what is changed on the first of two hosts that are alike but for one SSH setting, and both states.
FLEET: Final[tuple[tuple[str, How, State, State], ...]] = (
    ("twins.same-ssh", sshd("MaxAuthTries 6"), State.FAIL, State.PASS),
    ("twins.same-kernel-settings", sysctl("kernel.kptr_restrict", "1"), State.PASS, State.FAIL),
    ("twins.same-firewall", rule("tcp dport 8080 accept"), State.PASS, State.FAIL),
    ("twins.same-services", listens(8080), State.PASS, State.FAIL),
    (
        "twins.same-release",
        replace("/usr/lib/os-release", r"^VERSION_ID=.*$", 'VERSION_ID="13"'),
        State.PASS,
        State.FAIL,
    ),
)

_LISTENS: Final = ("sockets.declared", "sockets.inner-services-bound", "sockets.no-open-container-engine")

LAYERS: Final = (
    Flip("inventory.name-agrees", run("hostname other", "hostname h-good")),
    Flip(
        "layers.behind-the-firewall",
        policy("input", "accept"),
        among=("firewall.default-deny-input", *_LISTENS),
    ),
    Flip(
        "layers.login",
        sshd("PasswordAuthentication yes"),
        among=("ssh.keys-or-two-factors", "passwords.lockout", "ssh.log-level"),
    ),
    Flip(
        "layers.data",
        mode("/etc/shadow", 0o644),
        among=("files.password-hashes", "integrity.recent", "backup.recent"),
    ),
    Flip(
        "layers.logs-here-and-there",
        change("/etc/rsyslog.d/10-central.conf", "# nothing goes anywhere\n"),
        among=("logging.journal-kept", "logging.leaves-the-host"),
    ),
    Flip(
        "layers.after-a-restart",
        run("nft flush ruleset", LOAD_FIREWALL),
        among=("firewall.loaded-at-boot", "firewall.running-equals-saved", "mac.stays-on"),
    ),
)


@pytest.fixture(scope="module")
def twins(lab: Lab, scanner: Scanner) -> tuple[Host, Host]:
    """Two hosts of one cluster."""
    pair = lab.host("h-good"), lab.host("h-twin")
    for host in pair:
        scanner.allow(host)
    return pair


@pytest.mark.parametrize(("check", "how", "before", "during"), FLEET)
def test_the_verdict_follows_the_fleet(
    check: str,
    how: How,
    before: State,
    during: State,
    lab: Lab,
    twins: tuple[Host, Host],
    scanner: Scanner,
) -> None:
    assert seen(check, lab, twins, scanner) is before, scanner.why
    with how(twins[0]):
        assert seen(check, lab, twins, scanner) is during, scanner.why
    assert seen(check, lab, twins, scanner) is before, scanner.why


@pytest.mark.parametrize("path", ["/etc/ssh/ssh_host_ed25519_key.pub", "/etc/machine-id"])
def test_a_copied_identity_is_seen(path: str, lab: Lab, twins: tuple[Host, Host], scanner: Scanner) -> None:
    assert seen("inventory.no-clones", lab, twins, scanner) is State.PASS, scanner.why
    with twins[0].changed(path, twins[1].must(f"cat {path}")):
        assert seen("inventory.no-clones", lab, twins, scanner) is State.FAIL, scanner.why
    assert seen("inventory.no-clones", lab, twins, scanner) is State.PASS, scanner.why


def seen(check: str, lab: Lab, hosts: tuple[Host, ...], scanner: Scanner) -> State:
    """The state of a check over the fleet."""
    found = scanner.scan([lab.target(host, "audit", cluster="web") for host in hosts], [check])
    scanner.why = found.why(check)
    return found.state(check, "*")


@pytest.mark.parametrize("flip", LAYERS, ids=str)
def test_the_verdict_follows_the_layers(flip: Flip, twins: tuple[Host, Host], scanner: Scanner) -> None:
    flip.prove(scanner, twins[0])
