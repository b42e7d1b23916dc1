"""A real Samba server, one setting at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import State
from tests.outside import look, told
from tests.servers.smbd import smbd

pytestmark = pytest.mark.server

GOOD = (
    "server min protocol = SMB2_10",
    "server signing = mandatory",
    "restrict anonymous = 2",
    "map to guest = never",
)
#: Check -> the setting that makes it fail, and what stands in its place otherwise.
BAD = {
    "smb.version1-refused": "server min protocol = NT1",
    "smb.signing-required": "server signing = auto",
    "smb.null-session-refused": "restrict anonymous = 0",
    "smb.guest-refused": "map to guest = bad user",
}


def verdict(folder: Path, check: str, *settings: str) -> State:
    with smbd(folder, *settings) as target:
        found = look(target, only=[check])[check]
    port = (target.services or ())[0].port
    (ours,) = (one for one in found if one.subject == f"{port}/tcp")
    print(told([ours]))
    return ours.status


@pytest.mark.parametrize("check", BAD)
def test_one_setting_flips_the_verdict(check: str, tmp_path: Path) -> None:
    key = BAD[check].split(" =")[0]
    bad = (*(one for one in GOOD if not one.startswith(key)), BAD[check])
    assert verdict(tmp_path / "good", check, *GOOD) is State.PASS
    assert verdict(tmp_path / "bad", check, *bad) is State.FAIL
