"""What file services refuse a stranger: NFS the list of its exports, rsync the names and the content of its modules.

Nothing is mounted or copied: the port mapper is asked where the mount service is, that which exports there are; and an
rsync module is only knocked at. RFC 1833, RFC 1813 appendix I, rsync(1) and rsyncd.conf(5).
"""

from __future__ import annotations

import struct
from typing import Final

from checks.network._port import OnTcp
from checks.network.asking import heard
from checks.network.example_talks import open_port, talk
from checks.network.ports import OpenPort
from scanner import (
    DEFAULT_DENY,
    Dialogue,
    Each,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_PORT_MAPPER: Final = (100000, 2, 4)
_MOUNT: Final = 100005
_EXPORTS: Final = 5
_TCP: Final = 6
_MOST: Final = 1000
#: Names of client groups that stand for everybody, exports(5).
_EVERYBODY: Final = frozenset({"*", "(everyone)", "All Machines", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "::/0"})
#: We are of a version that every server of the last fifteen years speaks, and that asks for no checksums.
_RSYNC: Final = "@RSYNCD: 30.0\n"


@fact
class MountService(OnTcp):
    """Where the port mapper says that the mount service of NFS listens, and in which version."""

    port: int
    version: int
    further_address: str = ""


@fact
class NfsExport:
    """A folder that is given out over NFS, and the names of those who may mount it; none means everybody."""

    path: str
    groups: tuple[str, ...]

    @property
    def to_everybody(self) -> bool:
        """Whether anybody may mount it."""
        return not self.groups or bool(_EVERYBODY & set(self.groups))


@fact
class NfsExports(OnTcp):
    """What the mount service tells a stranger."""

    port: int
    exports: tuple[NfsExport, ...]


@fact
class RsyncListing(OnTcp):
    """The modules that an rsync server names to a stranger."""

    port: int
    modules: tuple[str, ...]
    further_address: str = ""


@fact
class RsyncModule:
    """A module that was named."""

    port: int
    name: str
    further_address: str = ""

    def __str__(self) -> str:
        return f"{self.name} on {self.port}/tcp"


@fact
class RsyncDoor:
    """How an rsync server answers who asks for a module without a name or password."""

    port: int
    name: str
    answer: str

    def __str__(self) -> str:
        return f"{self.name} on {self.port}/tcp"


# --- NFS ------------------------------------------------------------------------------------------------------


def _call(program: int, version: int, procedure: int) -> Say:
    """A call without arguments and without a name, RFC 5531 section 9; over TCP its length comes first."""
    message = struct.pack(">IIIIIIIIII", 0x4B4D, 0, 2, program, version, procedure, 0, 0, 0, 0)
    return Say((struct.pack(">I", 1 << 31 | len(message)) + message).decode("latin-1"), frame=(1, 3, 4))


def _result(raw: Raw) -> bytes:
    """What was answered to the call. Raises NotUnderstood with the refusal."""
    exchange = heard(raw)
    message = exchange.received[4:]
    if len(message) < 24 or not exchange.received[0] & 0x80:
        raise NotUnderstood("no answer of a remote procedure call in one piece")
    number, kind, denied, _, length = struct.unpack_from(">IIIII", message)
    if (number, kind, denied, length) != (0x4B4D, 1, 0, 0):
        raise NotUnderstood("the call was denied, or this is no answer to it")
    (state,) = struct.unpack_from(">I", message, 20)
    if state != 0:
        raise NotUnderstood(f"the call was not accepted ({state})")
    return message[24:]


class _Words:
    """What RFC 4506 packs into words of four bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self) -> int:
        """One word. Raises NotUnderstood when there is none."""
        if self._at + 4 > len(self._data):
            raise NotUnderstood("an answer that is cut short")
        (value,) = struct.unpack_from(">I", self._data, self._at)
        self._at += 4
        return int(value)

    def text(self) -> str:
        """A string and what fills its last word."""
        size = self.number()
        value = self._data[self._at : self._at + size]
        if len(value) != size:
            raise NotUnderstood("an answer that is cut short")
        self._at += (size + 3) // 4 * 4
        return value.decode("utf-8", "replace")

    def more(self) -> bool:
        """Whether another item of a list follows."""
        return self.number() == 1


@fact
class PortMap(OnTcp):
    """What the port mapper says: program, version, protocol and port of each service."""

    port: int
    services: tuple[tuple[int, int, int, int], ...]
    further_address: str = ""


@probe(
    "outside",
    dump=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="RPC port map", port=port.number, impact=Impact.KNOCK, turns=(_call(*_PORT_MAPPER),)
        ),
        when=lambda port: port.service == "rpcbind",
    ),
)
def port_map(dump: Raw, port: OpenPort) -> PortMap:
    """The list of mappings, RFC 1833 section 3."""
    words, found = _Words(_result(dump)), []
    while words.more():
        found.append((words.number(), words.number(), words.number(), words.number()))
        if len(found) > _MOST:
            raise NotUnderstood("a port map without end")
    return PortMap(port.number, tuple(found), port.further_address)


@probe("outside")
def mount_services(maps: list[PortMap]) -> list[MountService]:
    """The newest mount service on each port; a list of exports is the same in all versions."""
    newest: dict[tuple[int, str], int] = {}
    for one in maps:
        for program, version, protocol, port in one.services:
            if program == _MOUNT and protocol == _TCP and 0 < port < 65536 and version <= 3:
                place = port, one.further_address
                newest[place] = max(version, newest.get(place, 0))
    if not newest and any(program == _MOUNT for one in maps for program, *_ in one.services):
        raise NotUnderstood(
            "the mount service does not listen where it is asked: over TCP, in a known version"
        )
    return [MountService(port, version, address) for (port, address), version in sorted(newest.items())]


@probe(
    "outside",
    exports=Each(
        MountService,
        lambda service: Dialogue(
            purpose="NFS list of exports",
            port=service.port,
            impact=Impact.KNOCK,
            turns=(_call(_MOUNT, service.version, _EXPORTS),),
        ),
    ),
)
def nfs_exports(exports: Raw, service: MountService) -> NfsExports:
    """A list of lists, RFC 1813 section 5.2.5."""
    words, found = _Words(_result(exports)), []
    while words.more():
        path, groups = words.text(), []
        while words.more():
            groups.append(words.text())
            if len(groups) > _MOST:
                raise NotUnderstood("a list of groups without end")
        found.append(NfsExport(path, tuple(groups)))
        if len(found) > _MOST:
            raise NotUnderstood("a list of exports without end")
    return NfsExports(service.port, tuple(found))


# --- rsync ----------------------------------------------------------------------------------------------------


def _rsync(purpose: str, port: int, request: str, until: str) -> Dialogue:
    greeting = Say(until=r"^@RSYNCD: [^\n]*\n")
    return Dialogue(
        purpose=purpose,
        port=port,
        impact=Impact.KNOCK,
        turns=(greeting, Say(f"{_RSYNC}{request}\n", until=until)),
    )


@probe(
    "outside",
    listing=Each(
        OpenPort,
        lambda port: _rsync(
            "rsync modules", port.number, "#list", r"(?:^|\n)@(?:RSYNCD: EXIT|ERROR)[^\n]*\n"
        ),
        when=lambda port: port.service == "rsync",
    ),
)
def rsync_listing(listing: Raw, port: OpenPort) -> RsyncListing:
    """Lines of a name and a remark, after what the server greets with."""
    said = _said(listing)
    if "@RSYNCD: EXIT" not in said:
        raise NotUnderstood("the list of modules has no end")
    # What greets people (motd) stands before the names; a line of the list has a tab behind a padded name.
    named = [line.partition("\t")[0].strip() for line in said if "\t" in line]
    names = tuple(dict.fromkeys(name for name in named if name))
    return RsyncListing(port.number, names, port.further_address)


@probe("outside")
def rsync_modules(listings: list[RsyncListing]) -> list[RsyncModule]:
    """The first of the modules that were named, where their names are plain."""
    if listings and not any(one.modules for one in listings):
        raise NotUnderstood("it names no modules, so that none can be knocked at")
    return [
        RsyncModule(one.port, name, one.further_address)
        for one in listings
        for name in one.modules[:10]
        if name.isascii() and name.isprintable()
    ]


@probe(
    "outside",
    knock=Each(
        RsyncModule,
        lambda module: _rsync(
            f"rsync module {module.name}",
            module.port,
            module.name,
            r"(?:^|\n)@(?:RSYNCD: (?:OK|AUTHREQD)|ERROR)[^\n]*\n",
        ),
    ),
)
def rsync_door(knock: Raw, module: RsyncModule) -> RsyncDoor:
    """OK, AUTHREQD and a challenge, or an error."""
    answer = next((line for line in _said(knock) if line.startswith(("@RSYNCD: ", "@ERROR"))), "")
    return RsyncDoor(module.port, module.name, answer)


def _said(raw: Raw) -> list[str]:
    """The lines that came after the greeting."""
    exchange = heard(raw)
    if len(exchange.turns) < 2 or not exchange.turns[0].received.startswith(b"@RSYNCD: "):
        raise NotUnderstood("no greeting of an rsync server")
    return exchange.turns[1].received.decode("utf-8", "replace").splitlines()


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "nfs.exports-hidden",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De NFS-server vertelt een vreemde niet welke mappen hij uitdeelt",
    why_nl="De lijst noemt paden en namen van andere systemen: een routekaart naar de gegevens.",
    fix=(
        "printf '[nfsd]\\nvers3=n\\nvers4=y\\n' > /etc/nfs.conf.d/only-v4.conf\n"
        "systemctl mask --now rpcbind.service rpcbind.socket\nsystemctl restart nfs-server"
    ),
    verify="showmount -e HOST",
    references=("RFC 1813 section 5.2.5", "CVE-1999-0554", "nfs.conf(5)"),
    advice="Where version 3 is needed: let only the clients reach ports 111, 2049 and that of mountd.",
    advice_nl="Is versie 3 nodig? Laat dan alleen de clients bij poort 111, 2049 en die van mountd.",
)
def exports_hidden(told: NfsExports) -> Verdict:
    """The NFS server does not tell a stranger which folders it gives out.

    The list names paths and other systems: a map of the way to the data.
    """
    paths = [one.path for one in told.exports]
    return holds(not paths, ", ".join(paths[:10]) or "none told", "none told")


@check(
    "nfs.not-to-everybody",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De NFS-server deelt geen map uit aan iedereen",
    why_nl="NFS gelooft wat een client over zijn gebruikers zegt: wie mag aankoppelen, leest alles.",
    fix="sed -Ei 's/^([^#[:space:]]+[[:space:]]+)\\*\\(/\\1@clients(/' /etc/exports\nexportfs -ra",
    verify="showmount -e HOST | grep -E 'everyone|\\*'",
    references=("exports(5)", "CVE-1999-0554"),
    advice="Name the clients, or a netgroup of them, and use sec=krb5p where that can be done.",
    advice_nl="Noem de clients, of een netgroup daarvan, en gebruik waar het kan sec=krb5p.",
)
def not_to_everybody(told: NfsExports) -> Verdict:
    """The NFS server gives no folder out to everybody.

    NFS believes what a client says of its users: whoever may mount reads everything.
    """
    if not told.exports:
        raise NotUnderstood("it tells of no folder, so not either to whom it gives any")
    everybody = [one.path for one in told.exports if one.to_everybody]
    return holds(
        not everybody,
        ", ".join(everybody[:10]) or f"{len(told.exports)} told, none to everybody",
        "named clients",
    )


@check(
    "rsync.modules-hidden",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De rsync-server noemt een vreemde geen modules",
    why_nl="De namen verraden wat er te halen is, zoals een back-up.",
    fix="sed -i '1i list = false' /etc/rsyncd.conf\nsystemctl restart rsync",
    verify="rsync rsync://HOST/",
    references=("rsyncd.conf(5) list",),
)
def modules_hidden(listing: RsyncListing) -> Verdict:
    """The rsync server names no modules to a stranger.

    The names tell what there is to be had, such as a backup.
    """
    return holds(not listing.modules, ", ".join(listing.modules[:10]) or "none named", "none named")


@check(
    "rsync.password-required",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De rsync-server geeft geen module zonder wachtwoord",
    why_nl="Wie de poort bereikt, kopieert anders alles, of zet er zelf iets neer.",
    fix=(
        "printf 'auth users = backup\\nsecrets file = /etc/rsyncd.secrets\\n' >> /etc/rsyncd.conf\n"
        "systemctl restart rsync"
    ),
    verify="rsync rsync://HOST/MODULE/",
    references=("rsyncd.conf(5) auth users",),
    advice="The lines belong below the module. Better still: no rsync server, but rsync over SSH.",
    advice_nl="De regels horen onder de module. Nog beter: geen rsync-server, maar rsync over SSH.",
)
def password_required(door: RsyncDoor) -> Verdict:
    """The rsync server gives no module without a password.

    Whoever reaches the port otherwise copies everything, or puts something there.
    """
    if door.answer.startswith("@RSYNCD: OK"):
        return holds(False, "opened", "a password or a refusal")
    if door.answer.startswith("@RSYNCD: AUTHREQD"):
        return holds(True, "asks for a password", "a password or a refusal")
    if not door.answer.startswith("@ERROR: access denied"):
        raise NotUnderstood(f"neither opened nor refused: {door.answer[:80]}")
    return holds(True, "access denied", "a password or a refusal")


# --- examples: Ganesha 4.3, rsync 3.2 -------------------------------------------------------------------------


def _text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value + bytes(-len(value) % 4)


def _answered(result: bytes, state: int = 0) -> str:
    message = struct.pack(">IIIIII", 0x4B4D, 1, 0, 0, 0, state) + result
    return talk(struct.pack(">I", 1 << 31 | len(message)) + message)


_MAPPED: Final = _answered(struct.pack(">IIIIII", 1, _MOUNT, 3, _TCP, 20048, 0))
_BY_DATAGRAM: Final = _answered(struct.pack(">IIIIII", 1, _MOUNT, 3, 17, 20048, 0))
_NO_MOUNT: Final = _answered(struct.pack(">IIIIII", 1, 100000, 4, _TCP, 111, 0))


def _exported(*folders: tuple[bytes, bytes]) -> dict[str, object]:
    listed = b""
    for path, group in folders:
        groups = struct.pack(">I", 1) + _text(group) if group else b""
        listed += struct.pack(">I", 1) + _text(path) + groups + bytes(4)
    return open_port(111, dump=_MAPPED, exports=_answered(listed + bytes(4)))


def _listed(*lines: bytes, knock: str = "") -> dict[str, object]:
    said = b"".join(one + b"\n" for one in lines)
    return open_port(873, listing=talk(b"@RSYNCD: 31.0\n", said), knock=knock)


def _knocked(answer: bytes) -> dict[str, object]:
    return _listed(b"backup         \tevery night", b"@RSYNCD: EXIT", knock=talk(b"@RSYNCD: 31.0\n", answer))


_NOWHERE: Final = open_port(80, dump="", exports="", listing="", knock="")

examples(
    exports_hidden,
    passes=_exported(),
    fails=_exported((b"/srv/data", b"192.0.2.0/24")),
    unknown=[
        open_port(111, dump=_answered(b"", state=3), exports=""),
        open_port(111, dump=_BY_DATAGRAM, exports=""),
        open_port(111, dump=_MAPPED, exports=_answered(struct.pack(">III", 1, 99, 0))),
        open_port(111, dump=_MAPPED, exports=talk(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")),
    ],
    notapplicable=[_NOWHERE, open_port(111, dump=_NO_MOUNT, exports="")],
)
examples(
    not_to_everybody,
    passes=_exported((b"/srv/data", b"192.0.2.0/24")),
    fails=[_exported((b"/srv/data", group)) for group in (b"*", b"", b"All Machines")],
    unknown=_exported(),
)
examples(
    modules_hidden,
    passes=[_listed(b"@RSYNCD: EXIT"), _listed(b"Welcome to us", b"@RSYNCD: EXIT")],
    fails=_listed(b"backup         \tevery night", b"@RSYNCD: EXIT"),
    unknown=[_listed(b"@ERROR: protocol startup error"), open_port(873, listing=talk(b"220 ready\r\n"))],
    notapplicable=_NOWHERE,
)
examples(
    password_required,
    passes=[
        _knocked(b"@RSYNCD: AUTHREQD 9rJ3a\n"),
        _knocked(b"@ERROR: access denied to backup from x (192.0.2.9)\n"),
    ],
    fails=_knocked(b"@RSYNCD: OK\n"),
    unknown=[_knocked(b"@ERROR: chroot failed\n"), _listed(b"@RSYNCD: EXIT")],
    notapplicable=_NOWHERE,
)
