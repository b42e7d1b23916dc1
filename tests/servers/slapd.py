"""A real OpenLDAP server with two entries, on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.lab.certificates import Authority
from tests.outside import server_at
from tests.servers.ports import address, free_port, running

_SEED = """dn: dc=lab,dc=test
objectClass: dcObject
objectClass: organization
o: lab
dc: lab

dn: cn=somebody,dc=lab,dc=test
objectClass: person
cn: somebody
sn: One
userPassword: only-for-this-test
"""


@contextmanager
def slapd(folder: Path, *settings: str, tls: bool = True, access: Sequence[str] = ()) -> Iterator[Target]:
    """A directory with these global settings and access rules; on one port open, on another over TLS."""
    (folder / "db").mkdir(parents=True)
    pair = Authority().issue("ldap.lab.test")
    (folder / "chain").write_bytes(pair.chain)
    (folder / "key").write_bytes(pair.key)
    certificate = [f"TLSCertificateFile {folder}/chain", f"TLSCertificateKeyFile {folder}/key"] if tls else []
    config = folder / "slapd.conf"
    lines = [
        *(f"include /etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "inetorgperson")),
        "modulepath /usr/lib/ldap",
        "moduleload back_mdb",
        f"pidfile {folder}/pid",
        *certificate,
        *settings,
        "database mdb",
        "suffix dc=lab,dc=test",
        f"directory {folder}/db",
        *access,
    ]
    config.write_text("\n".join(lines) + "\n")
    (folder / "seed").write_text(_SEED)
    subprocess.run(["slapadd", "-q", "-f", config, "-l", folder / "seed"], check=True)
    where = address()
    clear, secure = free_port(where), free_port(where)
    urls = f"ldap://{where}:{clear}" + (f" ldaps://{where}:{secure}" if tls else "")
    with running("slapd", "-d", "0", "-f", config, "-h", urls, log=folder / "log", at=(where, clear)):
        services = [{"port": clear, "name": "ldap"}, *([{"port": secure, "name": "ldaps"}] if tls else [])]
        yield server_at(where, *services)
