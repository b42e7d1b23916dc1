"""What real servers for file transfer and remote desktops refuse and what not, as seen from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from scanner.model import Target
from tests.outside import look, state, told
from tests.servers.desktops import vnc, x11
from tests.servers.vsftpd import vsftpd

pytestmark = pytest.mark.server

FTP = ("refused-remote.ftp-anonymous", "refused-remote.ftp-clear-text")
VNC = ("refused-remote.vnc-without-password", "refused-remote.vnc-clear-text")
X11 = ("refused-remote.x11-without-cookie",)


def seen(target: Target, checks: Sequence[str]) -> list[str]:
    found = look(target, only=checks)
    print("\n".join(told(found[id_]) for id_ in checks))
    return [str(state(found[id_])) for id_ in checks]


@pytest.mark.parametrize(
    ("options", "tls", "anonymous", "clear"),
    [
        (["anonymous_enable=YES"], False, "fail", "fail"),
        (["anonymous_enable=NO"], False, "pass", "fail"),
        (["anonymous_enable=NO", "force_local_logins_ssl=NO"], True, "pass", "fail"),
        (["anonymous_enable=NO", "force_local_logins_ssl=YES"], True, "pass", "pass"),
        (["anonymous_enable=YES", "force_local_logins_ssl=YES"], True, "fail", "pass"),
        (["anonymous_enable=YES", "allow_anon_ssl=YES", "force_anon_logins_ssl=YES"], True, "fail", "pass"),
    ],
)
def test_ftp(tmp_path: Path, options: list[str], tls: bool, anonymous: str, clear: str) -> None:
    with vsftpd(tmp_path / "ftp", *options, tls=tls) as target:
        assert seen(target, FTP) == [anonymous, clear]


@pytest.mark.parametrize(
    ("types", "password", "clear"),
    [
        ("None", "fail", "fail"),
        ("VncAuth", "pass", "fail"),
        ("TLSVnc,X509Vnc", "pass", "pass"),
        ("TLSNone", "fail", "pass"),
        ("TLSVnc,VncAuth", "pass", "fail"),
    ],
)
def test_vnc(tmp_path: Path, types: str, password: str, clear: str) -> None:
    with vnc(tmp_path / "vnc", types) as target:
        assert seen(target, VNC) == [password, clear]


def test_x11(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies"
    subprocess.run(
        ["xauth", "-q", "-f", cookies, "add", ":0", "MIT-MAGIC-COOKIE-1", "5b" * 16], check=True, cwd=tmp_path
    )
    with x11(tmp_path / "open", "-ac") as target:
        assert seen(target, X11) == ["fail"]
    with x11(tmp_path / "closed", "-auth", str(cookies)) as target:
        assert seen(target, X11) == ["pass"]
