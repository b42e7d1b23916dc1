"""HAProxy on loopback, in front of nothing, with the settings that a test writes."""

from __future__ import annotations

from pathlib import Path

from tests.servers.configured import Configured


class Haproxy(Configured):
    """One HAProxy that answers 404 itself; its configuration is for its whole life.

    ``more`` goes into its frontend, ``bind`` on its line of the address: ``ssl crt FILE``.
    """

    def __init__(self, folder: Path, address: str, port: int, more: str = "", bind: str = "") -> None:
        file = folder / "haproxy.cfg"
        super().__init__("haproxy", ["-db", "-f", str(file)], file, [(address, port)], workers=False)
        file.write_text(
            "defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n"
            f"frontend web\n bind {address}:{port} {bind}\n {more}\n default_backend nothing\n"
            "backend nothing\n http-request return status 404\n"
        )
