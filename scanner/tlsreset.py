"""Does a server refuse by resetting the connection, as Windows does? Judged by all that was asked. Pure.

A reset may as well be a loss on the way. So what was reset is asked again, one connection at a time, with controls
between: hellos that are accepted otherwise. It is a refusal when chance cannot well have done it:

- each such hello was reset every time, `TIMES` or more, with something accepted between any two of those resets;
- nothing that must be accepted was ever reset, and nothing broke off in the middle;
- something at least as long was accepted: the server does not choke on length;
- the server has no words for a refusal. Who sends alerts does not reset; SSL 2 apart, which many cannot even read;
- at whatever rate connections are lost, all of this happens less often than `CHANCE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from scanner.tlsanswer import Answer

#: How often a hello is reset at least before that says something: once in its walk, and then once each round.
TIMES: Final = 4
#: Rounds at most.
ROUNDS: Final = 5
CHANCE: Final = 1e-4
#: More different hellos than this are not asked again.
MOST: Final = 16
CONTROL: Final = "control"
#: What a server may refuse; and what it accepted before, in other words.
_OPEN: Final = ("suites ", "groups ", "prime ", "schemes ", "fallback ", "protocols")
_SURE: Final = ("order ", "chacha ", "merge ")


def control(answers: Iterable[Answer]) -> Answer | None:
    """The longest hello that was accepted, or None."""
    accepted = [one for one in answers if one.hello and one.sound and one.accepted]
    return max(accepted, key=lambda one: len(one.asked), default=None)


def doubtful(answers: Sequence[Answer]) -> list[Answer]:
    """The resets that may be refusals, one for each hello; none when one reset shows that they are losses."""
    resets = {one.asked: one for one in answers if one.ask.startswith(_OPEN) and _bare(one)}
    longest = control(answers)
    if longest is None or len(resets) > MOST or any(_lost(one, resets) for one in answers):
        return []
    polite = any(one.hello and one.sound and one.refused and one.alert for one in answers)
    return [
        one
        for hello, one in resets.items()
        if len(hello) <= len(longest.asked) and not (polite and one.hello)
    ]


def refusals(answers: Sequence[Answer]) -> frozenset[bytes]:
    """The hellos that were refused by a reset."""
    times, since = Counter[bytes](), set[bytes]()
    for one in answers:
        if one.ask == CONTROL:
            since.clear()
        elif _bare(one) and one.asked not in since:
            times[one.asked] += 1
            since.add(one.asked)
    asked = len({one.asked for one in answers if one.ask.startswith(_OPEN)})
    answered = sum(bool(one.received) for one in answers)
    return frozenset(
        one.asked
        for one in doubtful(answers)
        if (often := times[one.asked]) >= TIMES and asked * _chance(often, answered) <= CHANCE
    )


def _bare(answer: Answer) -> bool:
    """Whether a hello was answered by a reset, and by nothing else."""
    return answer.exchange.end == "reset" and not answer.received


def _lost(answer: Answer, resets: Iterable[bytes]) -> bool:
    """Whether this cannot be a server that resets what it refuses."""
    if answer.ask.startswith(_OPEN):
        return not _bare(answer) if answer.asked in resets else answer.exchange.end == "reset"
    if answer.ask == CONTROL:
        return not (answer.sound and answer.accepted)
    return answer.exchange.end == "reset" and (answer.ask == "chain" or answer.ask.startswith(_SURE))


def _chance(resets: int, answered: int) -> float:
    """How likely it is that one hello is lost so often and so many others never, at the rate that suits this best."""
    rate = resets / (resets + answered)
    return float(rate**resets * (1 - rate) ** answered)
