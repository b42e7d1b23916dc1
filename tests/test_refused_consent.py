"""What the questions to data services say, before anything runs: a name or password only where that is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest

from checks.network.ports import OpenPort
from checks.network.refused_mysql import MysqlPort
from checks.network.refused_postgresql import Asked, PostgresqlPort
from checks.network.refused_remote import FtpPort
from checks.network.refused_tls import MutualPort
from scanner.declare import Each
from scanner.model import Impact
from scanner.sources import Dialogue
from tests.outside import every_check
from tests.test_refused_faults import SERVICES, TOPICS

#: Accounts and passwords that products come with; and logins under a name that was made up.
_LOGINS: Final = re.compile(
    r"foobared|guest|Z3Vlc3Q6Z3Vlc3Q|USER |PASS |user\0(?:postgres|keurmeester-test)\0|\0root\0|\0keurmeester-test\0"
)
#: What would change something there.
_CHANGES: Final = re.compile(
    r"\b(?:SET|DEL|FLUSHALL|CONFIG|SHUTDOWN|INSERT|UPDATE|DELETE|DROP|CREATE|PUT|STOR|MKD|DELE|PATCH|kill|crst|srst)\b",
    re.IGNORECASE,
)


def _ports() -> Iterator[object]:
    for name in SERVICES:
        yield OpenPort(number=4000, service=name, declared=True, tls=name == "https", server_name="")
    refused = Asked("", "refused")
    for tls in (False, True):
        yield PostgresqlPort(port=4000, server_name="", offers_tls=tls, in_clear=refused)
        yield MysqlPort(port=4000, refused=False, said="", offers_tls=tls)
        yield FtpPort(port=4000, server_name="", offers_tls=tls, wants_tls=False, said="")
    yield MutualPort(number=4000, server_name="")


def _questions() -> list[Dialogue]:
    found: dict[Dialogue, None] = {}
    probes = [probe for given in every_check().registry.probes.values() for probe in given.values()]
    for probe in probes:
        if probe.function.__module__.rpartition(".")[2] in TOPICS:
            for source in probe.sources.values():
                assert isinstance(source, Each)
                for port in _ports():
                    if isinstance(port, source.fact) and source.when(port):
                        asked = source.source(port)
                        assert isinstance(asked, Dialogue)
                        found[asked] = None
    return list(found)


@pytest.mark.parametrize("question", _questions(), ids=lambda one: one.describe())
def test_a_question_goes_no_further_than_it_says(question: Dialogue) -> None:
    words = "".join(say.data for say in question.turns)
    assert (question.impact is Impact.TRY) == bool(_LOGINS.search(words))
    assert not _CHANGES.search(words)
    assert question.timeout <= 10


def test_there_are_questions_for_every_service() -> None:
    assert len(_questions()) >= 50
