"""Apache httpd on loopback, as it is out of the box but for what a test writes."""

from __future__ import annotations

from pathlib import Path

from tests.servers.configured import Configured

_MODULES = (
    "mpm_event", "authz_core", "authz_host", "authn_core", "dir", "mime", "autoindex", "status", "dav", "dav_fs",
    "headers", "alias",
)  # fmt: skip
_FRAME = """\
{modules}
ServerRoot {folder}
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
DavLockDB {folder}/lock
StartServers 1
Listen {address}:{port}
ServerName www.example.nl
DocumentRoot {folder}/site
DirectoryIndex index.html
TypesConfig /dev/null
AddType text/html .html
<Directory {folder}/site>
  Require all granted
</Directory>
"""


class Apache(Configured):
    """One Apache; ``more`` follows after a plain configuration."""

    def __init__(self, folder: Path, address: str, port: int, more: str = "") -> None:
        self.folder, self._address, self._port = folder, address, port
        (folder / "site").mkdir(exist_ok=True)
        file = folder / "httpd.conf"
        super().__init__("apache2", ["-DFOREGROUND", "-f", str(file)], file, [(address, port)])
        file.write_text(self._text(more))

    def configure(self, more: str) -> None:
        """Another configuration, from now on."""
        self.change(self._text(more))

    def _text(self, more: str) -> str:
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _MODULES
        )
        frame = _FRAME.format(modules=modules, folder=self.folder, address=self._address, port=self._port)
        return frame + more.replace("@folder@", str(self.folder))
