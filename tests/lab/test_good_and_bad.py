"""A hardened host and a weak one, whole: what one holds the other lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from scanner.model import State

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner

# The machine's own trust store may hold a CA with a serial number that is frowned upon.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

#: What a host on a borrowed kernel, and without a commercial agent, cannot have; and what is made of it. Debian 12's
#: OpenSSL knows no ML-KEM, and the lab's authority revokes nothing.
OUT_OF_REACH: Final = frozenset(
    {
        "audit.from-boot",
        "layers.several-hold",
        "mac.enforcing",
        "malware.agent-runs",
        "revocation.possible",
        "sysctl.process-tracing",
        "tls.post-quantum",
    }
)


def test_a_hardened_host_holds_and_a_weak_one_does_not(lab: Lab, scanner: Scanner) -> None:
    good, bad = lab.host("h-good"), lab.host("h-bad")
    scanner.allow(good)
    held, lacked = scanner.look(good, "audit"), scanner.look(bad, "scan")
    assert {finding.check for finding in held if finding.status is State.FAIL} <= OUT_OF_REACH
    passed = {finding.check for finding in held if finding.status is State.PASS}
    failed = {finding.check for finding in lacked if finding.status is State.FAIL}
    assert len(passed & failed) >= 70
