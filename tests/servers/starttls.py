"""Servers that speak another protocol before TLS: mail, directory, databases, files, chat.

Most give up their rights, so their folder is a `public_folder`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from tests.servers import free_port, listens, program, running
from tests.servers.tls import ALL, Keys


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder for a server that gives up its rights: pytest's own are private, and made private again at any time."""
    with tempfile.TemporaryDirectory(prefix="keurmeester-server-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def postfix(folder: Path, pair: Keys | None) -> Iterator[int]:
    """Postfix with its smtpd; without a key it offers no STARTTLS. The SMTP port."""
    port, here = free_port(), folder / f"postfix-{bool(pair)}"
    (here / "etc").mkdir(parents=True)
    for name in ("queue", "data"):
        (here / name).mkdir()
    shutil.chown(here / "data", "postfix")
    tls = (
        f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {pair.chain}\nsmtpd_tls_key_file = {pair.key}\n"
        if pair
        else ""
    )
    (here / "etc/main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {here}/queue\ndata_directory = {here}/data\n"
        "inet_protocols = ipv4\nmyhostname = mail.lab.test\nalias_maps =\nalias_database =\n"
        "maillog_file = /dev/stdout\nsmtpd_client_connection_rate_limit = 0\n"
        f"smtpd_client_connection_count_limit = 0\nmynetworks = 192.0.2.0/24\n{tls}"
    )
    (here / "etc/master.cf").write_text(
        f"127.0.0.1:{port} inet n - n - - smtpd\nanvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n"
        "tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n"
    )
    command = [program("postfix"), "-c", here / "etc", "start-fg"]
    with running(command, listens(port), folder=here):
        try:
            yield port
        finally:  # its master leads a session of its own
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((here / "queue/pid/master.pid").read_text()), signal.SIGTERM)


class Dovecot(NamedTuple):
    """The ports of its protocols."""

    imap: int
    pop3: int
    lmtp: int
    sieve: int


def _listener(name: str, port: int) -> str:
    return f"  inet_listener {name} {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n"


@contextmanager
def dovecot(folder: Path, pair: Keys | None, *, old: bool = False) -> Iterator[Dovecot]:
    """Dovecot; ``old``: with TLS 1.1 too, and without a key it offers no STARTTLS."""
    ports, here = Dovecot(*(free_port() for _ in Dovecot._fields)), folder / f"dovecot-{bool(pair)}-{old}"
    here.mkdir()
    tls = (
        f"ssl = yes\nssl_cert = <{pair.chain}\nssl_key = <{pair.key}\n"
        + (
            f"ssl_min_protocol = TLSv1.1\nssl_cipher_list = {ALL}\n"
            if old
            else "ssl_min_protocol = TLSv1.2\n"
        )
        if pair
        else "ssl = no\n"
    )
    services = "".join(
        f"service {service} {{\n  chroot =\n{''.join(_listener(*one) for one in listeners)}}}\n"
        for service, listeners in {
            "imap-login": [("imap", ports.imap), ("imaps", 0)],
            "pop3-login": [("pop3", ports.pop3), ("pop3s", 0)],
            "lmtp": [("lmtp", ports.lmtp)],
            "managesieve-login": [("sieve", ports.sieve)],
        }.items()
    )
    config = here / "dovecot.conf"
    config.write_text(
        f"base_dir = {here}/run\nstate_dir = {here}/run\nlog_path = /dev/stdout\nprotocols = imap pop3 lmtp sieve\n"
        f"mail_location = maildir:{here}/mail\n{tls}passdb {{\n  driver = static\n  args = nologin\n}}\n{services}"
    )
    with running([program("dovecot"), "-F", "-c", config], listens(ports.sieve), folder=here):
        yield ports


@contextmanager
def slapd(folder: Path, pair: Keys | None) -> Iterator[int]:
    """OpenLDAP; without a key it knows no StartTLS. The port."""
    port, here = free_port(), folder / f"slapd-{bool(pair)}"
    (here / "db").mkdir(parents=True)
    tls = f"TLSCertificateFile {pair.chain}\nTLSCertificateKeyFile {pair.key}\n" if pair else ""
    (here / "slapd.conf").write_text(
        f"include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n{tls}"
        f"database mdb\nsuffix dc=lab,dc=test\ndirectory {here}/db\n"
    )
    command = [program("slapd"), "-f", here / "slapd.conf", "-h", f"ldap://127.0.0.1:{port}", "-d", "0"]
    with running(command, listens(port), folder=here):
        yield port


def _as_user(user: str) -> list[str]:
    return [program("setpriv"), f"--reuid={user}", f"--regid={user}", "--init-groups"]


@contextmanager
def postgresql(folder: Path, pair: Keys | None) -> Iterator[int]:
    """PostgreSQL, run as its own user. The port."""
    port, here = free_port(), folder / f"postgresql-{bool(pair)}"
    here.mkdir()
    shutil.chown(here, "postgres", "postgres")
    bin_folder = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    made = [*_as_user("postgres"), bin_folder / "initdb", "-D", here / "data", "-A", "reject", "-N"]
    subprocess.run([str(word) for word in made], check=True, capture_output=True, cwd=here)
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={here}", "fsync=off"]
    if pair:
        for name, source in (("server.crt", pair.chain), ("server.key", pair.key)):
            copy = Path(shutil.copy(source, here / name))
            shutil.chown(copy, "postgres", "postgres")
            copy.chmod(0o600)
        options += ["ssl=on", f"ssl_cert_file={here}/server.crt", f"ssl_key_file={here}/server.key"]
    command = [*_as_user("postgres"), bin_folder / "postgres", "-D", here / "data"]
    command += [word for option in options for word in ("-c", option)]
    with running(command, listens(port), folder=here):
        yield port


@contextmanager
def mariadb(folder: Path, pair: Keys | None, *options: str) -> Iterator[int]:
    """MariaDB, run as its own user. The port."""
    port, here = free_port(), folder / f"mariadb-{bool(pair)}"
    (here / "data").mkdir(parents=True)
    for one in (here, here / "data"):
        shutil.chown(one, "mysql", "mysql")
    install = [
        program("mariadb-install-db"), "--no-defaults", f"--datadir={here}/data", "--user=mysql", "--skip-test-db",
        "--auth-root-authentication-method=socket",
    ]  # fmt: skip
    subprocess.run(install, check=True, capture_output=True, cwd=here)
    command = [
        program("mariadbd"), "--no-defaults", f"--datadir={here}/data", "--user=mysql", f"--port={port}",
        "--bind-address=127.0.0.1", f"--socket={here}/s", f"--pid-file={here}/pid", *options,
    ]  # fmt: skip
    if pair:
        for name, source in (("server.crt", pair.chain), ("server.key", pair.key)):
            shutil.chown(shutil.copy(source, here / name), "mysql", "mysql")
        command += [f"--ssl-cert={here}/server.crt", f"--ssl-key={here}/server.key"]
    with running(command, listens(port), folder=here):
        yield port


@contextmanager
def vsftpd(folder: Path, pair: Keys | None) -> Iterator[int]:
    """vsftpd. The port."""
    port, here = free_port(), folder / f"vsftpd-{bool(pair)}"
    (here / "empty").mkdir(parents=True)
    tls = f"ssl_enable=YES\nrsa_cert_file={pair.chain}\nrsa_private_key_file={pair.key}\n" if pair else ""
    config = here / "vsftpd.conf"
    config.write_text(
        f"listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=NO\nlocal_enable=YES\n"
        f"secure_chroot_dir={here}/empty\nseccomp_sandbox=NO\n{tls}"
    )
    with running([program("vsftpd"), config], listens(port), folder=here):
        yield port


@contextmanager
def prosody(folder: Path, pair: Keys | None, name: str) -> Iterator[tuple[int, int]]:
    """Prosody, run as its own user. The ports for clients and for servers."""
    client, server, here = free_port(), free_port(), folder / f"prosody-{bool(pair)}"
    (here / "data").mkdir(parents=True)
    key = "nil"
    if pair:
        chain, private = here / "server.crt", here / "server.key"
        shutil.copy(pair.chain, chain)
        shutil.chown(shutil.copy(pair.key, private), "prosody", "prosody")
        key = f'{{ certificate = "{chain}"; key = "{private}"; }}'
    shutil.chown(here / "data", "prosody", "prosody")
    modules = '"tls"; "saslauth"; "dialback"' if pair else '"saslauth"; "dialback"'
    config = here / "prosody.cfg.lua"
    config.write_text(
        f"""data_path = "{here}/data"
modules_enabled = {{ {modules} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {client} }}
s2s_ports = {{ {server} }}
c2s_require_encryption = {str(bool(pair)).lower()}
limits = {{}}
log = {{ info = "*console" }}
ssl = {key}
VirtualHost "{name}"
"""
    )
    command = [*_as_user("prosody"), program("prosody"), "-F", "--config", str(config)]
    with running(command, listens(client), folder=here):
        yield client, server


@contextmanager
def xrdp(folder: Path, pair: Keys | None, *, old: bool = False) -> Iterator[int]:
    """xrdp without sessions; ``old``: with TLS 1.1 too, and without a key it keeps to RDP's own cipher. The port."""
    port, here = free_port(), folder / f"xrdp-{bool(pair)}-{old}"
    here.mkdir()
    versions = f"TLSv1.1, TLSv1.2\ntls_ciphers={ALL}" if old else "TLSv1.2, TLSv1.3"
    tls = f"certificate={pair.chain}\nkey_file={pair.key}\nssl_protocols={versions}\n" if pair else ""
    config = here / "xrdp.ini"
    config.write_text(
        f"[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:{port}\n"
        f"security_layer={'negotiate' if pair else 'rdp'}\n{tls}"
        f"[Logging]\nLogFile={here}/messages\nEnableSyslog=false\n"
    )
    with running([program("xrdp"), "-n", "-c", config], listens(port), folder=here):
        yield port


@contextmanager
def inspircd(folder: Path, pair: Keys | None, *, old: bool = False) -> Iterator[int]:
    """InspIRCd; ``old``: with TLS 1.1 too, and without a key it has STARTTLS but nothing to do it with. The port."""
    port, here = free_port(), folder / f"inspircd-{bool(pair)}-{old}"
    here.mkdir()
    versions = "NORMAL:+VERS-TLS1.1" if old else "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"
    tls = (
        '<module name="ssl_gnutls">\n<sslprofile name="Clients" provider="gnutls"'
        f' certfile="{pair.chain}" keyfile="{pair.key}" priority="{versions}">\n'
        if pair
        else ""
    )
    config = here / "inspircd.conf"
    config.write_text(
        f'<path configdir="{here}" datadir="{here}" logdir="{here}" runtimedir="{here}">\n'
        '<server name="irc.lab.test" description="lab" network="Lab" id="001">\n'
        '<admin name="lab" nick="lab" email="lab@lab.test">\n<dns server="127.0.0.1">\n'
        '<connect allow="*" localmax="1000" globalmax="1000" timeout="10" resolvehostnames="no">\n'
        f'<bind address="127.0.0.1" port="{port}" type="clients">\n{tls}<module name="starttls">\n'
    )
    command = [program("inspircd"), "--config", config, "--nofork", "--nopid", "--nolog", "--runasroot"]
    with running(command, listens(port), folder=here):
        yield port


_UNPACKED: Final = Path(__file__).parents[2] / ".cache/unpacked"
_NEWS: Final = _UNPACKED / "inn2/usr/lib/news"


@contextmanager
def nnrpd(folder: Path, pair: Keys | None, *, old: bool = False) -> Iterator[int]:
    """INN's server for readers, with no article; ``old``: with TLS 1.1 too, without a key STARTTLS fails. The port."""
    port, here = free_port(), folder / f"nnrpd-{bool(pair)}-{old}"
    for name in ("db", "run", "log", "spool/overview", "spool/articles"):
        (here / name).mkdir(parents=True)
    for name in ("db/active", "spool/tradspool.map"):
        (here / name).touch()
    versions = f'[ TLSv1.1 TLSv1.2 ]\ntlsciphers: "{ALL}"' if old else "[ TLSv1.2 TLSv1.3 ]"
    tls = f"tlscertfile: {pair.chain}\ntlskeyfile: {here}/key\ntlsprotocols: {versions}\n" if pair else ""
    if pair:
        (here / "key").write_bytes(pair.key.read_bytes())
        (here / "key").chmod(0o600)
    (here / "inn.conf").write_text(
        'mta: "/bin/false %s"\novmethod: tradindexed\nhismethod: hisv6\npathhost: news.lab.test\ndomain: lab.test\n'
        f"pathnews: {here}\npathetc: {here}\npathdb: {here}/db\npathrun: {here}/run\npathlog: {here}/log\n"
        f"pathspool: {here}/spool\npathbin: {_NEWS}/bin\n{tls}"
    )
    (here / "storage.conf").write_text("method tradspool {\n newsgroups: *\n class: 0\n}\n")
    (here / "readers.conf").write_text(
        'auth "all" {\n hosts: "127.0.0.1"\n default: "reader"\n}\n'
        'access "all" {\n users: "reader"\n newsgroups: "*"\n}\n'
    )
    for one in (here, *here.rglob("*")):
        shutil.chown(one, "news", "news")
    folders = [_NEWS, _UNPACKED / "inn2-inews/usr/lib/news", *_UNPACKED.glob("libcanlock3/usr/lib/*")]
    libraries = ":".join(map(str, folders))
    environment = {"INNCONF": str(here / "inn.conf"), "LD_LIBRARY_PATH": libraries}
    subprocess.run(  # an empty index: it serves nothing without one
        [*_as_user("news"), str(_NEWS / "bin/makehistory"), "-O", "-x"],
        check=True, capture_output=True, cwd=here, env={**os.environ, **environment},
    )  # fmt: skip
    command = [
        _NEWS / "bin/nnrpd",
        "-D",
        "-f",
        "-b",
        "127.0.0.1",
        "-p",
        str(port),
        "-c",
        here / "readers.conf",
    ]
    with running(command, listens(port), folder=here, environment=environment):
        yield port
