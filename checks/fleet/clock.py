"""One time for all hosts: logs of two hosts can only be laid side by side when their clocks agree."""

from __future__ import annotations

from typing import Annotated, Final

from checks.linux.time import HostClock
from scanner import NO_GAP, Fleet, Layer, Severity, Timed, Verdict, check, examples, holds


@check(
    "clock.one-time",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="Alle hosts hebben dezelfde tijd",
    why_nl=(
        "Bij een incident moet de volgorde van gebeurtenissen over hosts heen kloppen. Eén klok die"
        " afwijkt, verdraait die."
    ),
    fix="chronyc makestep    # or: systemctl restart systemd-timesyncd; on the host that differs",
    verify="date -u",
    references=("ISO/IEC 27002:2022 8.17", "RFC 4120 section 7.1"),
)
def one_time(
    fleet: Fleet[HostClock],
    *,
    seconds: Annotated[float, "seconds that two hosts may differ; the network is in it"] = 2.0,
) -> Verdict:
    """All hosts have the same time.

    In an incident the order of events across hosts must be right. One clock that differs twists it.
    """
    offsets = sorted((clock.offset_seconds, name) for name, clock in fleet)
    (least, first), (most, last) = offsets[0], offsets[-1]
    spread = most - least
    observed = f"{len(offsets)} hosts within {spread:.3f} s"
    if spread > seconds:
        observed += f": {first} {least:+.3f} s, {last} {most:+.3f} s against the scanner"
    return holds(spread <= seconds, observed, f"within {seconds} s of each other")


def _clock(ahead: float) -> dict[str, Timed]:
    return {"date": Timed(out=f"{1795435200 + ahead:.9f}\n".encode(), at=1795435200.0)}


_RIGHT: Final = _clock(0.012)
examples(
    one_time,
    passes={"@web1": _RIGHT, "@web2": _clock(0.2), "@db1": _clock(-0.3)},
    fails={"@web1": _RIGHT, "@web2": _RIGHT, "@db1": _clock(-300)},
    notapplicable={"@web1": _RIGHT},
)
