"""A real Dovecot on loopback: IMAP and POP3, one account that exists nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.lab.certificates import Authority
from tests.outside import server_at
from tests.servers.ports import address, await_port, free_port, running


@contextmanager
def dovecot(folder: Path, *settings: str) -> Iterator[Target]:
    """A server with these settings beside the necessary ones."""
    folder.chmod(0o755)  # its programs give up root
    pair = Authority().issue("mail.lab.test")
    (folder / "chain").write_bytes(pair.chain)
    (folder / "key").write_bytes(pair.key)
    where = address()
    imap, pop3 = free_port(where), free_port(where)
    config = folder / "dovecot.conf"
    config.write_text(
        f"""base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/messages
protocols = imap pop3
listen = {where}
ssl_cert = <{folder}/chain
ssl_key = <{folder}/key
passdb {{
  driver = static
  args = password=only-for-this-test
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={folder}/home
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""
        + "\n".join(settings)
        + "\n"
    )
    log = folder / "log"
    with running("dovecot", "-F", "-c", config, log=log, at=(where, imap)) as process:
        await_port(where, pop3, process, log)
        yield server_at(where, {"port": imap, "name": "imap"}, {"port": pop3, "name": "pop3"})
