"""What real brokers and a real ZooKeeper refuse and what not, as seen from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scanner.model import Target
from tests.outside import look, state, told
from tests.servers.mosquitto import mosquitto
from tests.servers.rabbitmq import rabbitmq
from tests.servers.zookeeper import zookeeper

pytestmark = pytest.mark.server

RABBIT = (
    "refused-queues.amqp-clear-text",
    "refused-queues.amqp-anonymous",
    "refused-queues.amqp-guest",
    "refused-queues.management-guest",
)
MQTT = ("refused-queues.mqtt-anonymous", "refused-queues.mqtt-clear-text")
ZOOKEEPER = "refused-queues.zookeeper-commands"


def seen(target: Target, checks: Sequence[str]) -> list[str]:
    found = look(target, only=checks)
    print("\n".join(told(found[id_]) for id_ in checks))
    return [str(state(found[id_])) for id_ in checks]


def test_rabbitmq_as_it_comes_lets_guest_in() -> None:
    with rabbitmq() as target:
        assert seen(target, RABBIT) == ["fail", "pass", "fail", "fail"]


def test_rabbitmq_over_tls_without_guest() -> None:
    with rabbitmq("default_user = beheer", "default_pass = q7Wc2nU8", tls=True) as target:
        assert seen(target, RABBIT) == ["pass", "pass", "pass", "pass"]


@pytest.mark.parametrize(
    ("options", "tls", "anonymous", "clear"),
    [
        (["allow_anonymous true"], False, "fail", "fail"),
        (["allow_anonymous false"], False, "pass", "fail"),
        (["allow_anonymous true"], True, "fail", "pass"),
        (["allow_anonymous false"], True, "pass", "pass"),
        (["allow_anonymous true", "require_certificate true"], True, "pass", "pass"),
    ],
)
def test_mosquitto(tmp_path: Path, options: list[str], tls: bool, anonymous: str, clear: str) -> None:
    with mosquitto(tmp_path / "mosquitto", *options, tls=tls) as target:
        assert seen(target, MQTT) == [anonymous, clear]


@pytest.mark.parametrize(("allowed", "expected"), [("srvr", "pass"), ("*", "fail")])
def test_zookeeper(tmp_path: Path, allowed: str, expected: str) -> None:
    with zookeeper(tmp_path / "zookeeper", f"4lw.commands.whitelist={allowed}") as target:
        assert seen(target, [ZOOKEEPER]) == [expected]
