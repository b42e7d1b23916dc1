"""What a time server (NTP) refuses a stranger: questions about itself, by which it is misused to bring others down.

Before and after them the time is asked, as any client does: only between two answers silence is a refusal. RFC 9327 for
mode 6; mode 7 is as in ntp_request.h of the reference implementation.
"""

from __future__ import annotations

from typing import Final

from checks.network._heard import heard
from checks.network._talk import OnUdp, conversation
from checks.network.declared import DeclaredUdp
from scanner import (
    DEFAULT_DENY,
    Dialogue,
    Each,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

#: What we say the time is, which the server repeats: so we know which question is answered (RFC 5905 section 7.3).
_BEFORE, _AFTER = b"keur-one", b"keur-two"
_READ_VARIABLES: Final = bytes.fromhex("160200010000000000000000")
_MONITOR_LIST: Final = bytes.fromhex("1700032a00000000") + bytes(40)


@fact
class TimeServer(OnUdp):
    """What came back to questions of mode 6 and 7, in bytes; and whether the time was told before and after them."""

    port: int
    variables: int
    monitor_list: int
    there: bool


def _time(cookie: bytes) -> bytes:
    return b"\x23" + bytes(39) + cookie


def _say(message: bytes) -> Say:
    return Say(message.decode("latin-1"), quiet=2)


@probe(
    "outside",
    questions=Each(
        DeclaredUdp,
        lambda service: Dialogue(
            purpose="NTP questions of mode 6 and 7",
            port=service.number,
            protocol="udp",
            impact=Impact.KNOCK,
            timeout=15,
            silence=True,
            turns=tuple(map(_say, (_time(_BEFORE), _READ_VARIABLES, _MONITOR_LIST, _time(_AFTER)))),
        ),
        when=lambda service: service.service == "ntp",
    ),
)
def time_server(questions: Raw, service: DeclaredUdp) -> TimeServer:
    """An answer is known by its mode; it may come late. One that says "no" is no answer."""
    told: set[bytes] = set()
    sizes = {6: 0, 7: 0}
    for turn in conversation(questions).turns:
        said = turn.received
        if not said:
            continue
        mode = said[0] & 7
        if mode == 4 and len(said) >= 48:
            told.add(said[24:32])
        elif (mode == 6 and len(said) >= 12 and said[1] & 0x80) or (
            mode == 7 and len(said) >= 8 and said[0] & 0x80
        ):
            refused = said[1] & 0x40 if mode == 6 else said[4] & 0xF0
            sizes[mode] += 0 if refused else len(said)
        else:
            raise NotUnderstood("no answer of a time server")
    return TimeServer(service.number, sizes[6], sizes[7], {_BEFORE, _AFTER} <= told)


@check(
    "ntp.questions-refused",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    title_nl="De tijdserver geeft een vreemde alleen de tijd",
    why_nl="Op een korte vraag komt een lang antwoord: met een vals afzenderadres legt dat een ander plat.",
    fix=(
        "echo 'restrict default kod nomodify nopeer noquery limited' >> /etc/ntpsec/ntp.conf\n"
        "systemctl restart ntpsec"
    ),
    verify="ntpq -c rv HOST",
    references=("RFC 9327 section 6", "RFC 8633 section 3.4", "CVE-2013-5211", "ntp.conf(5) restrict"),
    advice="chrony answers neither kind of question over the network.",
    advice_nl="chrony beantwoordt geen van beide soorten vragen over het netwerk.",
)
def questions_refused(server: TimeServer) -> Verdict:
    """The time server gives a stranger the time alone.

    A short question gets a long answer: with a false sender that brings another down.
    """
    answered = {"mode 6": server.variables, "mode 7 (monlist)": server.monitor_list}
    given = [f"{name}: {size} bytes" for name, size in answered.items() if size]
    if not given and not server.there:
        raise NotUnderstood("the server does not even tell the time, before and after")
    return holds(not given, "; ".join(given) or "only the time is told", "only the time is told")


# --- examples: ntpsec 1.2.2; monlist after ntp_request.h ------------------------------------------------------

_HERE: Final = {"target": {"services": [{"port": 123, "protocol": "udp", "name": "ntp"}]}}
_VARIABLES: Final = bytes.fromhex("d6820001c016000000000018") + b"leap=3, stratum=16, prec"


def _told(cookie: bytes) -> bytes:
    return b"\x24" + bytes(23) + cookie + bytes(16)


def _answers(
    variables: bytes = b"", monitor_list: bytes = b"", after: bytes = _told(_AFTER)
) -> dict[str, object]:
    return {**_HERE, "questions": heard(_told(_BEFORE), variables, monitor_list, after)}


examples(
    questions_refused,
    passes=[_answers(), _answers(variables=bytes.fromhex("d6c20001c016000000000000"))],
    fails=[
        _answers(variables=_VARIABLES),
        _answers(monitor_list=bytes.fromhex("d700032a00010048") + bytes(72)),
        _answers(variables=_VARIABLES, after=b""),
    ],
    unknown=[_answers(after=b""), {**_HERE, "questions": heard()}, _answers(variables=b"\x16nonsense")],
    notapplicable=[{"questions": ""}, {**_HERE, "questions": heard(end="refused")}],
)
