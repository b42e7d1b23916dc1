"""lighttpd on loopback, with the settings that a test writes."""

from __future__ import annotations

from pathlib import Path

from tests.servers.configured import Configured


class Lighttpd(Configured):
    """One lighttpd; ``more`` follows after a plain configuration. Its configuration is for its whole life."""

    def __init__(self, folder: Path, address: str, port: int, more: str = "") -> None:
        file = folder / "lighttpd.conf"
        super().__init__("lighttpd", ["-D", "-f", str(file)], file, [(address, port)], workers=False)
        file.write_text(
            f'server.document-root = "{folder}/site"\nserver.bind = "{address}"\nserver.port = {port}\n'
            'index-file.names = ("index.html")\nmimetype.assign = (".html" => "text/html", ".css" => "text/css")\n'
            + more
        )
