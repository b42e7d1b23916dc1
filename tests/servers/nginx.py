"""nginx on loopback, with the servers that a test writes."""

from __future__ import annotations

from pathlib import Path

from tests.servers.configured import Configured

_FRAME = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  types {{ text/html html; text/css css; application/javascript js; text/plain txt; image/png png; }}
{servers}
}}
user root;
"""


class Nginx(Configured):
    """One nginx; ``servers`` is what stands in the http block, where ``@folder@`` stands for its folder."""

    def __init__(self, folder: Path, servers: str, listens: list[tuple[str, int]]) -> None:
        self.folder = folder
        file = folder / "nginx.conf"
        super().__init__("nginx", ["-p", str(folder), "-e", "stderr", "-c", str(file)], file, listens)
        file.write_text(self._text(servers))

    def serve(self, servers: str) -> None:
        """Other servers, from now on."""
        self.change(self._text(servers))

    def _text(self, servers: str) -> str:
        return _FRAME.format(folder=self.folder, servers=servers.replace("@folder@", str(self.folder)))
