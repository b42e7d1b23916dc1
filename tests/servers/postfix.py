"""A real Postfix on loopback, with a port for each set of settings; it delivers nothing to anybody."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.lab.certificates import Authority
from tests.outside import server_at
from tests.servers.ports import await_port, free_port, running

WHERE = "127.0.0.1"  # Postfix knows no other address of loopback
_SERVICES = """
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
error     unix  - - n -     - error
discard   unix  - - n -     - discard
anvil     unix  - - n -     1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(
    folder: Path, servers: Mapping[str, Mapping[str, str]], name: str = "smtp"
) -> Iterator[tuple[Target, dict[str, int]]]:
    """A server with a port for each name, which differs from the others by these settings; the ports."""
    folder.chmod(0o755)  # its programs give up root
    for part in ("etc", "queue", "data", "sasl"):
        (folder / part).mkdir()
    shutil.chown(folder / "data", "postfix")
    pair = Authority().issue("mail.lab.test")
    (folder / "tls").write_bytes(pair.key + pair.chain)
    (folder / "sasl" / "smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {folder}/sasl/db\nmech_list: PLAIN LOGIN\n"
    )
    (folder / "etc" / "main.cf").write_text(
        f"""compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
inet_interfaces = {WHERE}
inet_protocols = ipv4
myhostname = mail.lab.test
mydestination = mail.lab.test
mynetworks = 192.0.2.0/24
alias_maps =
alias_database =
local_recipient_maps = inline:{{known=1}}
maillog_file = /dev/stdout
smtpd_tls_chain_files = {folder}/tls
smtpd_sasl_type = cyrus
cyrus_sasl_config_path = {folder}/sasl
smtpd_peername_lookup = no
default_transport = discard
local_transport = discard
relay_transport = discard
"""
    )
    ports = {server: free_port(WHERE) for server in servers}
    lines = []
    for server, settings in servers.items():
        lines.append(f"{WHERE}:{ports[server]} inet n - n - - smtpd")
        lines += [f"  -o {{ {key} = {value} }}" for key, value in settings.items()]
    (folder / "etc" / "master.cf").write_text(_SERVICES + "\n".join(lines) + "\n")
    for part in ("dynamicmaps.cf", "postfix-files"):
        shutil.copy(Path("/etc/postfix") / part, folder / "etc")
    log = folder / "log"
    with running("postfix", "-c", folder / "etc", "start-fg", log=log) as process:
        try:
            for port in ports.values():
                await_port(WHERE, port, process, log)
            yield server_at(WHERE, *({"port": port, "name": name} for port in ports.values())), ports
        finally:  # its master leads a session of its own
            subprocess.run(["postfix", "-c", folder / "etc", "stop"], stderr=subprocess.DEVNULL, check=True)
