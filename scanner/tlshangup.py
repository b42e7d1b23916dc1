"""Does a server refuse by ending the connection without a word, as Windows does? Judged by all that was asked. Pure.

It may as well be a loss on the way. So what ended so is asked again, one connection at a time, with controls between:
hellos that are accepted otherwise. It is a refusal when chance cannot well have done it:

- each such hello ended so every time, `TIMES` or more, with something accepted between any two of those ends;
- nothing that must be accepted ever did, and nothing broke off in the middle;
- something at least as long was accepted: the server does not choke on length;
- the server has no words for a refusal. Who sends alerts does not hang up; SSL 2 apart, which many cannot even read;
- at whatever rate connections are lost, all of this happens less often than `CHANCE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from scanner.tlsanswer import Answer

#: How often a server hangs up on a hello before that says something: once in its walk, and then once each round.
TIMES: Final = 4
#: Rounds at most.
ROUNDS: Final = 5
CHANCE: Final = 1e-4
#: More different hellos than this are not asked again.
MOST: Final = 16
CONTROL: Final = "control"
#: How a server hangs up (`transcript.End`).
ENDED: Final = frozenset({"reset", "closed"})
#: What a server may refuse; and what it accepted before, in other words.
_OPEN: Final = ("suites ", "groups ", "prime ", "schemes ", "fallback ", "protocols")
_SURE: Final = ("order ", "chacha ", "merge ")


def control(answers: Iterable[Answer]) -> Answer | None:
    """The longest hello that was accepted, or None."""
    accepted = [one for one in answers if one.hello and one.sound and one.accepted]
    return max(accepted, key=lambda one: len(one.asked), default=None)


def doubtful(answers: Sequence[Answer]) -> list[Answer]:
    """What may be refusals, one for each hello; none when something shows that connections are lost.

    Who closes on SSL 2 twice has refused it already (`Answer.turned_away`).
    """
    ended = {one.asked: one for one in answers if one.ask.startswith(_OPEN) and _bare(one)}
    longest = control(answers)
    if longest is None or len(ended) > MOST or any(_lost(one, ended) for one in answers):
        return []
    polite = any(one.hello and one.sound and one.refused and one.alert for one in answers)
    return [
        one for hello, one in ended.items() if len(hello) <= len(longest.asked) and not (polite and one.hello)
    ]


def refusals(answers: Sequence[Answer]) -> frozenset[bytes]:
    """The hellos that were refused without a word."""
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
    """Whether the server hung up on a hello and said nothing."""
    return answer.exchange.end in ENDED and not answer.received


def _lost(answer: Answer, ended: Iterable[bytes]) -> bool:
    """Whether this shows that connections are lost: what was hung up on was answered, or what is accepted was not."""
    broken = answer.exchange.end in ENDED
    if answer.ask.startswith(_OPEN):
        return not _bare(answer) if answer.asked in ended else broken
    if answer.ask == CONTROL:
        return not (answer.sound and answer.accepted)
    return broken and (answer.ask == "chain" or answer.ask.startswith(_SURE))


def _chance(lost: int, answered: int) -> float:
    """How likely it is that one hello is lost so often and so many others never, at the rate that suits this best."""
    rate = lost / (lost + answered)
    return float(rate**lost * (1 - rate) ** answered)
