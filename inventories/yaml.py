"""The inventory as YAML: targets, the groups they inherit from, credentials by reference, zones.

The format is the models below; `schema` gives it to editors. What one value may be is said there; how values
refer to each other (is there such a group, do jumps go round) is checked by `_Reader`. For people:
docs/inventory.md.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from scanner import Credential, Impact, Inventory, Located, PortChoice, Service, Target, load_yaml

Place: TypeAlias = tuple[str | int, ...]

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_IP_ADDRESS: Final = re.compile(r"[0-9A-Fa-f.:]+(%[A-Za-z0-9._-]+)?")  # behind the % is an interface
_HOST_KEY: Final = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]+=*)(?: .*)?"
)


def _is_host_name(value: str) -> bool:
    labels = value.removesuffix(".").split(".")
    return len(value) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def _plain_ip(value: str) -> str:
    """The address in its usual form; an IPv4 address written as IPv6 (RFC 4291 section 2.5.5.2) is IPv4."""
    address = ipaddress.ip_address(value)
    return str(getattr(address, "ipv4_mapped", None) or address)


def _valid_address(value: str) -> str:
    if _is_host_name(value):
        return value
    with suppress(ValueError):
        if _IP_ADDRESS.fullmatch(value):
            return _plain_ip(value)
    raise ValueError(
        f"{value[:80]!r} is neither a host name nor an IP address\n"
        "write the bare name or address; the port goes in 'port', the user in the credential"
    )


def _valid_domain(value: str) -> str:
    if _is_host_name(value) and "." in value.removesuffix("."):
        return value.removesuffix(".").lower()
    raise ValueError(f"{value[:80]!r} is not a domain name\nwrite it bare, such as gemeente.nl")


def _valid_selector(value: str) -> str:
    if _is_host_name(value):
        return value.lower()
    raise ValueError(
        f"{value[:80]!r} is not a DKIM selector\nwrite what stands before ._domainkey, such as selector1"
    )


def _valid_ip(value: str) -> str:
    with suppress(ValueError):
        if _IP_ADDRESS.fullmatch(value):
            return _plain_ip(value)
    raise ValueError(f"{value[:80]!r} is not an IP address\nwrite one such as 192.0.2.1 or 2001:db8::1")


def _valid_revocation_host(value: str) -> str:
    host, colon, port = value.rpartition(":") if value.count(":") == 1 else (value, "", "")
    if colon and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(
            f"{value[:80]!r} has no port behind its colon\nwrite crl.example.nl or crl.example.nl:8080"
        )
    with suppress(ValueError):
        return f"{_valid_address(host.removeprefix('*.')) and host.lower()}{colon}{port}"
    raise ValueError(
        f"{value[:80]!r} is not a host\nwrite the bare name, such as crl.example.nl or *.example.nl; no http://"
    )


def _valid_host_key(value: str) -> str:
    if match := _HOST_KEY.fullmatch(value.strip()):
        with suppress(ValueError):
            if _strings(base64.b64decode(match[2], validate=True))[0] == match[1].encode():
                return f"{match[1]} {match[2]}"
    # Not repeated: it may be a private key.
    raise ValueError(
        "this is not an SSH host key\n"
        "write 'ssh-ed25519 AAAA...': the content of /etc/ssh/ssh_host_ed25519_key.pub on the target"
    )


def _strings(blob: bytes) -> list[bytes]:
    """The strings in an SSH wire format (RFC 4251, section 5). Raises ValueError when it is cut short."""
    found = []
    while blob:
        end = 4 + int.from_bytes(blob[:4])
        if len(blob) < end:
            raise ValueError("cut short")
        found.append(blob[4:end])
        blob = blob[end:]
    return found


class Part(BaseModel):
    """A part of the file: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fields(Part):
    """What can be said of one target itself, and of many in 'defaults' and 'groups'."""

    address: Annotated[str, AfterValidator(_valid_address)] = Field(
        default="", description="Host name or IP address; the target's own name when left out"
    )
    addresses: tuple[Annotated[str, AfterValidator(_valid_ip)], ...] = Field(
        default=(), description="The IP addresses it has beside that one, such as that of IPv6"
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=22, description="Port of the channel")
    channel: Literal["ssh", "local"] = Field(default="ssh", description="How it is reached")
    platform: Literal["linux", "windows", "network", "other"] = Field(
        default="linux", description="What it runs"
    )
    role: str = Field(default="", description="What it is for: web, db, mail")
    zone: str = Field(default="default", description="The network zone it stands in")
    tenant: str = Field(default="", description="The organisation (municipality) it serves")
    owner: str = Field(default="", description="Who answers for it")
    criticality: Literal["", "low", "medium", "high"] = Field(
        default="", description="How much depends on it"
    )
    tags: tuple[str, ...] = Field(default=(), description="Words to select by, added to those inherited")
    credential: str | None = Field(default=None, description="The name of an entry in 'credentials'")
    host_keys: tuple[Annotated[str, AfterValidator(_valid_host_key)], ...] = Field(
        default=(), description="Its SSH host keys, as they stand in /etc/ssh/ssh_host_*_key.pub"
    )
    jump: str | None = Field(default=None, description="The name of the target to connect through")
    services: tuple[Service, ...] | None = Field(
        default=None, description="All services it is meant to offer; [] for none; left out when not known"
    )
    cluster: str = Field(default="", description="Targets of one cluster are meant to be alike")
    consent: Impact = Field(
        default=Impact.LOOK,
        description="How far questions from outside may go: look, knock (ask for what should be refused) or try"
        " (offer a made-up name or an empty password, once)",
    )
    domains: tuple[Annotated[str, AfterValidator(_valid_domain)], ...] = Field(
        default=(), description="Domain names it serves (web, mail), for the internet standards"
    )
    ports: PortChoice | None = Field(
        default=None,
        description="TCP ports to try from outside, beside those of its services: usual, all or a list of numbers;"
        " what the profile says when left out, else the usual ones",
    )
    dkim_selectors: tuple[Annotated[str, AfterValidator(_valid_selector)], ...] = Field(
        default=(), description="The DKIM selectors that mail of these domains is signed with"
    )
    description: str = Field(default="", description="For people")


class Group(Fields):
    """What some targets have in common."""

    parent: str | None = Field(default=None, description="The name of the group that this one inherits from")


class Host(Fields):
    """One target."""

    groups: tuple[str, ...] = Field(default=(), description="The groups it inherits from; the later one wins")


class Zone(Part):
    """A network zone."""

    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="How many of its targets may be looked at at the same time"
    )


class InventoryFile(Part):
    """An inventory of Keurmeester."""

    defaults: Fields = Field(
        default=Fields(), description="What holds for each target that says nothing else"
    )
    groups: dict[str, Group] = Field(default={}, description="Name -> what the members have in common")
    targets: dict[str, Host | None] = Field(description="Name -> what is particular to this target")
    credentials: dict[str, Credential] = Field(default={}, description="Name -> how to log in, by reference")
    zones: dict[str, Zone | None] = Field(
        default={}, description="All zones by name, so that a typing error is found"
    )
    vantage: str = Field(default="", description="The zone that the scanner itself stands in")
    resolvers: tuple[Annotated[str, AfterValidator(_valid_ip)], ...] = Field(
        default=(), description="Addresses of the name servers to ask; the system's when left out"
    )
    revocation_hosts: tuple[Annotated[str, AfterValidator(_valid_revocation_host)], ...] = Field(
        default=(),
        description="Hosts of CAs that may be asked whether a certificate was revoked: a name, '*.domain', or name:port"
        " when the port is not 80 or 443",
    )
    trust_anchors: tuple[str, ...] = Field(
        default=(), description="PEM files with the CAs of your own services"
    )
    dns_anchors: tuple[str, ...] = Field(
        default=(), description="Files with DS or DNSKEY records: trust anchors for DNSSEC of your own"
    )
    route_origins: str = Field(
        default="", description="An export of validated route origins (JSON, of routinator or rpki-client)"
    )


def read(path: Path) -> Inventory:
    """The inventory in one file. Raises InputError with the line and a remedy.

    Relative paths in it start at its own folder.
    """
    located = load_yaml(path)
    return _Reader(located, located.validate(InventoryFile)).inventory(path)


def schema() -> dict[str, Any]:
    """The JSON Schema of the format, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **InventoryFile.model_json_schema()}


_INHERITED: Final = frozenset(Fields.model_fields) - {"tags"}


class _Reader:
    """Gives the parts of one file their meaning."""

    def __init__(self, located: Located, file: InventoryFile) -> None:
        self.located, self.file = located, file
        self.hosts = {name: host or Host() for name, host in file.targets.items()}
        self.zones = file.zones.keys() or {layer.zone for _, layer in self.written()}

    def inventory(self, path: Path) -> Inventory:
        """All of it, checked and resolved."""
        if not self.hosts:
            raise self.located.error(
                ("targets",), "there are no targets", "write 'name: {address: ...}' below"
            )
        self.check_groups()
        for place, fields in self.written():
            self.check_references(place, fields)
            self.check_services(place, fields.services or ())
        targets = {name: self.target(name, host) for name, host in self.hosts.items()}
        self.check_addresses(targets)
        self.check_jumps(targets)
        file, folder = self.file, path.parent
        return Inventory(
            sources=(str(path),),
            digest=self.located.digest,
            targets=tuple(_with_secrets(folder, target) for target in targets.values()),
            credentials={name: _absolute(folder, value) for name, value in file.credentials.items()},
            zones={name: zone.concurrency for name, zone in file.zones.items() if zone and zone.concurrency},
            trust_anchors=tuple(self.files("trust_anchors", file.trust_anchors, folder)),
            vantage=self.vantage(file.vantage),
            resolvers=file.resolvers,
            revocation_hosts=file.revocation_hosts,
            dns_anchors=tuple(self.files("dns_anchors", file.dns_anchors, folder)),
            route_origins=self.route_origins(folder),
        )

    def written(self) -> Iterator[tuple[Place, Fields]]:
        """Every place where fields can be written, with what stands there."""
        yield ("defaults",), self.file.defaults
        for name, group in self.file.groups.items():
            yield ("groups", name), group
        for name, host in self.hosts.items():
            yield ("targets", name), host

    def check_groups(self) -> None:
        """Every group that is named exists, and none is its own ancestor."""
        groups = self.file.groups
        for name, group in groups.items():
            if group.parent is not None and group.parent not in groups:
                raise self.located.unknown(("groups", name, "parent"), "group", group.parent, groups)
        for name, host in self.hosts.items():
            for index, group_name in enumerate(host.groups):
                if group_name not in groups:
                    raise self.located.unknown(
                        ("targets", name, "groups", index), "group", group_name, groups
                    )
        if chain := _round({name: group.parent for name, group in groups.items()}):
            message = f"goes round: {' -> '.join(chain)}"
            raise self.located.error(("groups", chain[0], "parent"), message, "remove one of these parents")

    def check_references(self, place: Place, fields: Fields) -> None:
        """Whatever is named exists."""
        for field, name, what, known in (
            ("credential", fields.credential, "credential", self.file.credentials),
            ("jump", fields.jump, "target", self.hosts),
            ("zone", fields.zone if "zone" in fields.model_fields_set else None, "zone", self.zones),
        ):
            if name is not None and name not in known:
                raise self.located.unknown((*place, field), what, name, known)

    def vantage(self, zone: str) -> str:
        """The zone the scanner stands in, which must be one."""
        if zone and zone not in self.zones:
            raise self.located.unknown(("vantage",), "zone", zone, self.zones)
        return zone

    def check_services(self, place: Place, services: tuple[Service, ...]) -> None:
        """No port twice, every origin is a zone, a network or any, and only RADIUS has a secret."""
        first: dict[str, int] = {}
        for index, service in enumerate(services):
            here = (*place, "services", index)
            if first.setdefault(service.key, index) != index:
                line = self.located.line((*place, "services", first[service.key]))
                message = f"{service.key} stands here twice, first on line {line}"
                raise self.located.error(here, message, "make it one service")
            if (service.secret or service.realm) and (service.name, service.protocol) != ("radius", "udp"):
                message = "'secret' and 'realm' are of a RADIUS server"
                raise self.located.error(here, message, "write 'name: radius, protocol: udp', or remove them")
            for number, origin in enumerate(service.from_):
                self.check_origin((*here, "from", number), origin)

    def check_origin(self, place: Place, origin: str) -> None:
        """A zone, a network or any."""
        if origin == "any" or origin in self.zones:
            return
        try:
            ipaddress.ip_network(origin)
        except ValueError as error:
            if "/" not in origin and ":" not in origin and not origin.replace(".", "").isdigit():
                raise self.located.unknown(place, "zone", origin, {"any", *self.zones}) from None
            remedy = "write a network such as 192.0.2.0/24 or 2001:db8::/32, the name of a zone, or any"
            raise self.located.error(place, f"is not a network: {error}", remedy) from None

    def target(self, name: str, host: Host) -> Target:
        """The target itself: what is nearer to it wins, tags add up."""
        fields: dict[str, Any] = {"name": name}
        tags: list[str] = []
        for layer in (self.file.defaults, *self.ancestry(host), host):
            fields |= {field: getattr(layer, field) for field in layer.model_fields_set & _INHERITED}
            tags += layer.tags
        fields["tags"] = tuple(dict.fromkeys(tags))
        target = self.located.validate(Target, ("targets", name), {"address": name, **fields})
        if "address" not in fields and not _is_host_name(name):
            raise self.located.error(("targets", name), "has no address", "write 'address: ...' below it")
        return target

    def ancestry(self, host: Host) -> list[Group]:
        """Its groups, farthest first: parents before groups, and among equals the one listed last wins."""
        found: list[Group] = []
        level = [self.file.groups[name] for name in host.groups]
        while level:
            found = level + found
            level = [self.file.groups[group.parent] for group in level if group.parent is not None]
        return found

    def check_addresses(self, targets: Mapping[str, Target]) -> None:
        """No host is counted twice."""
        first: dict[tuple[object, ...], str] = {}
        for name, target in targets.items():
            earlier = first.setdefault((target.channel, target.address, target.port, target.jump), name)
            if earlier != name:
                message = f"is the same host as {earlier!r}: {target.address} port {target.port}"
                raise self.located.error(
                    ("targets", name, "address"),
                    message,
                    "correct the address or port, or remove one of them",
                )

    def check_jumps(self, targets: Mapping[str, Target]) -> None:
        """No target is reached by way of itself."""
        if chain := _round({name: target.jump for name, target in targets.items()}):
            remedy = f"write 'jump: null' at a target that is reached directly, such as {chain[-2]!r}"
            raise self.located.error(
                ("targets", chain[0], "jump"), f"goes round: {' -> '.join(chain)}", remedy
            )

    def route_origins(self, folder: Path) -> str:
        """The export, which must be there when it is named."""
        name = self.file.route_origins
        path = _beside(folder, name) if name else ""
        if path and not Path(path).is_file():
            raise self.located.error(("route_origins",), f"there is no file {path!r}", "check the path")
        return path

    def files(self, key: str, names: tuple[str, ...], folder: Path) -> Iterator[str]:
        """The files, which must be there: without them all that is your own would be distrusted."""
        for index, name in enumerate(names):
            path = _beside(folder, name)
            if not Path(path).is_file():
                raise self.located.error((key, index), f"there is no file {path!r}", "check the path")
            yield path


def _round(links: Mapping[str, str | None]) -> list[str]:
    """The first chain of links that comes back to where it was, or nothing."""
    for start in links:
        chain = [start]
        while (following := links[chain[-1]]) is not None:
            if following in chain:
                return [*chain[chain.index(following) :], following]
            chain.append(following)
    return []


def _beside(folder: Path, name: str) -> str:
    path = Path(name)
    with suppress(RuntimeError):  # no such user: then ~name is taken for a folder
        path = path.expanduser()
    return str((folder / path).absolute())


def _found_from(folder: Path, reference: str) -> str:
    """The reference to a secret with a whole path in it."""
    scheme, _, name = reference.partition(":")
    return f"file:{_beside(folder, name)}" if scheme == "file" else reference


def _with_secrets(folder: Path, target: Target) -> Target:
    """The target with whole paths in the references of its services."""
    if not any(service.secret for service in target.services or ()):
        return target
    services = tuple(
        service.model_copy(update={"secret": _found_from(folder, service.secret)})
        if service.secret
        else service
        for service in target.services or ()
    )
    return target.model_copy(update={"services": services})


def _absolute(folder: Path, credential: Credential) -> Credential:
    """The credential with whole paths in it."""
    paths: dict[str, str] = {}
    for field in ("key", "passphrase", "password"):
        reference: str | None = getattr(credential, field)
        if reference:
            paths[field] = _found_from(folder, reference)
    if credential.certificate:
        paths["certificate"] = _beside(folder, credential.certificate)
    return credential.model_copy(update=paths)
