"""What a real Redis refuses and what not, as seen from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scanner.model import Cause, Impact
from tests.outside import look, state, told
from tests.servers.redis import redis

pytestmark = pytest.mark.server

READ, SAMPLE, CLEAR = (
    "refused-redis.without-login",
    "refused-redis.sample-password",
    "refused-redis.clear-text",
)


@pytest.mark.parametrize(
    ("options", "tls", "read", "sample", "clear"),
    [
        ((), False, "fail", "notapplicable", "fail"),
        (("requirepass q7Wc2nU8",), False, "pass", "pass", "fail"),
        (("requirepass foobared",), False, "pass", "fail", "fail"),
        (("user default on nopass -@all +ping",), False, "pass", "notapplicable", "fail"),
        (("user default on nopass ~* -@all +get",), False, "fail", "notapplicable", "fail"),
        (("user default on nopass ~app:* +@all",), False, "unknown", "notapplicable", "unknown"),
        (("requirepass q7Wc2nU8", "tls-auth-clients no"), True, "pass", "pass", "pass"),
        (("tls-auth-clients no",), True, "fail", "notapplicable", "pass"),
        ((), True, "pass", "pass", "pass"),
    ],
    ids=[
        "open",
        "password",
        "sample",
        "acl",
        "acl-get",
        "acl-keys",
        "tls-password",
        "tls-open",
        "tls-client-certificate",
    ],
)
def test_a_setting_and_its_verdict(
    tmp_path: Path, options: Sequence[str], tls: bool, read: str, sample: str, clear: str
) -> None:
    with redis(tmp_path / "redis", *options, tls=tls) as target:
        found = look(target, only=[READ, SAMPLE, CLEAR])
    for id_, expected in ((READ, read), (SAMPLE, sample), (CLEAR, clear)):
        assert str(state(found[id_])) == expected, told(found[id_])


def test_without_consent_nothing_is_asked(tmp_path: Path) -> None:
    with redis(tmp_path / "redis") as target:
        found = look(target.model_copy(update={"consent": Impact.KNOCK}), only=[READ, SAMPLE])
    assert str(state(found[READ])) == "fail"
    assert [(str(one.status), one.cause) for one in found[SAMPLE]] == [("error", Cause.POLICY)]
