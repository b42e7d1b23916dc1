"""The words of the field, as types.

Boundary data (inventory, profiles, norms, run files) is pydantic with ``extra="forbid"``; what is made by the
hundred thousand (verdicts, findings) is a named tuple. The words are those of XCCDF 1.2 (NISTIR 7275r4,
section 6.6.4.2), OSCAL 1.1 and InSpec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Sequence


class State(StrEnum):
    """What one check says of one subject (XCCDF 1.2 result values)."""

    PASS = "pass"  # noqa: S105 -- an XCCDF word, not a password
    FAIL = "fail"
    ERROR = "error"
    UNKNOWN = "unknown"
    NOTAPPLICABLE = "notapplicable"
    NOTCHECKED = "notchecked"
    NOTSELECTED = "notselected"
    INFORMATIONAL = "informational"


#: Roll-up order, worst first: a group of findings is as good as its worst member.
WORST_FIRST: Final = (
    State.FAIL,
    State.ERROR,
    State.UNKNOWN,
    State.NOTCHECKED,
    State.PASS,
    State.NOTAPPLICABLE,
)
#: States in which nothing was established; they are never counted as good or bad.
BLIND: Final = frozenset({State.ERROR, State.UNKNOWN})


class Severity(StrEnum):
    """How much a failed check matters (XCCDF severity, with critical on top)."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def weight(self) -> int:
        """0 for info to 4 for critical, for sorting only; no score is computed from it."""
        return _SEVERITY_WEIGHT[self]


_SEVERITY_WEIGHT: Final = {severity: weight for weight, severity in enumerate(Severity)}


class Layer(StrEnum):
    """Where a measure sits; defence in depth counts layers that hold."""

    NETWORK = "network"
    HOST = "host"
    IDENTITY = "identity"
    APPLICATION = "application"
    DATA = "data"
    DETECTION = "detection"
    RECOVERY = "recovery"
    GOVERNANCE = "governance"


class Cause(StrEnum):
    """Why something could not be established."""

    DNS = "dns"
    ROUTE = "route"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    RESET = "reset"
    TLS = "tls"
    HOSTKEY = "hostkey"
    AUTH = "auth"
    PRIVILEGE = "privilege"
    TOOL_MISSING = "tool-missing"
    TRUNCATED = "truncated"
    PARSE = "parse"
    POLICY = "policy"
    INTERNAL = "internal"


class Impact(StrEnum):
    """What a question from outside can do where it is asked, mildest first.

    ``look``: what any visitor does: connect, shake hands, ask one ordinary thing. ``knock``: ask, without any name or
    password, for what should be refused. ``try``: offer a made-up name, or an empty or well-known password, once; a
    failed login may stand in the log.
    """

    LOOK = "look"
    KNOCK = "knock"
    TRY = "try"

    def within(self, consent: Impact) -> bool:
        """Whether this goes no further than what was consented to."""
        order = list(Impact)
        return order.index(self) <= order.index(consent)


# The eight principles of DSM-IBP by name, for use in `@check(principle=...)`. What they mean is data:
# checks/norms/dsm-ibp.yaml. A catalogue of another organisation uses its own ids as plain strings.
DATA_FIRST: Final = "DSM-IBP-1"
SECURE_DESIGN: Final = "DSM-IBP-2"
IN_DEPTH: Final = "DSM-IBP-3"
SECURE_DEFAULT: Final = "DSM-IBP-4"
DEFAULT_DENY: Final = "DSM-IBP-5"
FAIL_SECURE: Final = "DSM-IBP-6"
SECURE_DEPLOYMENT: Final = "DSM-IBP-7"
NO_GAP: Final = "DSM-IBP-8"


class Gap(NamedTuple):
    """Why a fact is not there: a value, so that the type checker makes you handle it.

    ``state`` is error (could not look), unknown (looked, not understood) or notapplicable (looked, and the
    thing is really not there).
    """

    state: State
    cause: Cause | None
    detail: str


@dataclass(frozen=True, slots=True)
class Raw:
    """What came back for one source: bytes, and how it ended.

    ``code`` is the exit status where there is one. ``gap`` says why there is no answer; then ``out`` holds what came
    before things went wrong, and nobody may judge it.
    """

    out: bytes = b""
    err: bytes = b""
    code: int | None = 0
    gap: Gap | None = None

    @property
    def text(self) -> str:
        """``out`` as UTF-8. Raises UnicodeDecodeError, which ends as *unknown*."""
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        """The lines of ``text`` that are not empty, without line ends."""
        return [line for line in self.text.split("\n") if line]


@dataclass(frozen=True, slots=True)
class Timed(Raw):
    """And when it came: for a probe that needs to know, such as that of the host's clock.

    Apart from `Raw`, because what is equal but for the moment is judged once for all hosts. ``took`` is seconds. ``at``
    is the scanner's clock (seconds since the epoch, UTC) when the answer was complete.
    """

    took: float = 0.0
    at: float = 0.0


class Verdict(NamedTuple):
    """What a check says: it holds or it does not, and what was seen. Made by `holds` only."""

    passed: bool
    observed: str
    expected: str = ""


class Finding(NamedTuple):
    """One check judged on one subject of one target: a line of results.jsonl.

    ``evidence`` are the SHA-256 digests of the raw evidence the judgement rests on. ``collected_at`` is seconds
    since the epoch, UTC; 0.0 when nothing was collected. ``target`` is ``*`` for a check over the fleet.
    """

    target: str
    check: str
    subject: str
    status: State
    cause: Cause | None
    observed: str
    expected: str
    evidence: tuple[str, ...]
    collected_at: float


class Renewal(NamedTuple):
    """Something that ends some day and that somebody must renew: a certificate, at one place where it was seen.

    ``sha256`` (hexadecimal) names it, so that what is seen at several places is one. ``ends`` is seconds since the
    epoch, UTC. ``how``: ``acme`` (renews itself, as far as can be seen), ``public-ca``, ``own-ca`` or ``self``.
    """

    sha256: str
    names: tuple[str, ...]
    issuer: str
    ends: float
    how: str
    place: str


class Model(BaseModel):
    """Boundary data: immutable, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


def _valid_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name\nuse letters, digits, '.', '_' and '-', and begin with a letter or digit"
        )
    return value


Name = Annotated[str, AfterValidator(_valid_name)]
Port = Annotated[int, Field(ge=1, le=65535)]


#: What may be spoken before TLS; the dialogues are in channels/starttls.py.
StartTls: TypeAlias = Literal[
    "", "smtp", "lmtp", "imap", "pop3", "sieve", "ftp", "nntp", "irc", "xmpp-client", "xmpp-server", "ldap",
    "postgresql", "mysql", "rdp",
]  # fmt: skip


def _valid_ports(value: object) -> object:
    numbers = value if isinstance(value, list | tuple) else ()
    if value in ("usual", "all") or (
        numbers and all(type(one) is int and 0 < one < 65536 for one in numbers)
    ):
        return value
    raise ValueError("this is no choice of ports\nwrite usual, all, or a list of numbers from 1 to 65535")


#: Which TCP ports to try from outside.
PortChoice = Annotated[Literal["usual", "all"] | tuple[Port, ...], BeforeValidator(_valid_ports)]


def _valid_path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value):
        raise ValueError(f"{value!r} is not a path\nbegin with '/', and write what is not ASCII as %XX")
    return value


UrlPath = Annotated[str, AfterValidator(_valid_path)]


def _valid_realm(value: str) -> str:
    if not re.fullmatch(r"(?:[A-Za-z0-9][A-Za-z0-9.-]{0,199})?", value):
        raise ValueError(f"{value!r} is not a realm\nwrite what is behind the '@', such as gemeente.example")
    return value


Realm = Annotated[str, AfterValidator(_valid_realm)]


_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*)")


def _valid_reference(value: object) -> object:
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        # The value itself is not repeated: it may be the secret.
        raise ValueError("this is no reference to a secret\nwrite 'env:NAME' or 'file:/path', never itself")
    return value


SecretRef = Annotated[
    str,
    BeforeValidator(_valid_reference),
    Field(json_schema_extra={"pattern": f"^{_REFERENCE.pattern}$"}),
]


class Service(Model):
    """A service a target is meant to offer: what listens, why, and who may come in.

    ``client_certificate``: only who shows a certificate of ours gets an answer (mutual TLS). ``protected`` are the
    paths of a web site that nobody sees without logging in. ``secret`` is what a RADIUS server shares with the scanner
    as a client of it, and ``realm`` the one that it is asked for.
    """

    port: Port
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str = ""
    purpose: str = ""
    tls: bool = False
    client_certificate: bool = False
    server_name: str = ""
    starttls: StartTls = ""
    from_: tuple[str, ...] = Field(default=(), alias="from")
    secret: SecretRef | None = None
    realm: Realm = ""
    protected: tuple[UrlPath, ...] = ()

    @property
    def key(self) -> str:
        """``443/tcp``."""
        return f"{self.port}/{self.protocol}"


class Credential(Model):
    """How to log in, by reference: the secrets themselves are resolved where they are used."""

    user: str
    key: SecretRef | None = None
    passphrase: SecretRef | None = None
    certificate: str | None = None
    password: SecretRef | None = None
    agent: bool = False

    @model_validator(mode="after")
    def _one_way_in(self) -> Credential:
        if not (self.key or self.password or self.agent):
            raise ValueError("there is no way to log in\nwrite 'key', 'password' or 'agent: true'")
        if self.certificate and not self.key:
            raise ValueError("'certificate' stands alone\nadd the 'key' it was signed for")
        return self


class Target(Model):
    """One host (or other asset) as the inventory describes it.

    ``services`` is None when the inventory does not say which services the host offers: that differs from
    an empty list, which says that it offers none. ``consent`` is how far questions from outside may go; ``domains``
    are the domain names it serves (web, mail), for the internet standards. ``addresses`` are those it has beside
    ``address``. ``ports`` are the TCP ports to try from outside, beside those of its services: None for what the
    profile says, else the usual ones. ``dkim_selectors`` are those that the mail of its domains is signed with.
    """

    name: Name
    address: str
    addresses: tuple[str, ...] = ()
    port: Port = 22
    channel: Literal["ssh", "local"] = "ssh"
    platform: Literal["linux", "windows", "network", "other"] = "linux"
    role: str = ""
    zone: str = "default"
    tenant: str = ""
    owner: str = ""
    criticality: Literal["", "low", "medium", "high"] = ""
    tags: tuple[str, ...] = ()
    credential: str | None = None
    host_keys: tuple[str, ...] = ()
    jump: str | None = None
    services: tuple[Service, ...] | None = None
    cluster: str = ""
    consent: Impact = Impact.LOOK
    domains: tuple[str, ...] = ()
    ports: PortChoice | None = None
    dkim_selectors: tuple[str, ...] = ()
    description: str = ""

    @property
    def is_out_of_sight(self) -> bool:
        """Whether its address may be another's where the scanner stands: its network lies behind a jump host, and the
        inventory does not say which ports to try from here.
        """
        return self.jump is not None and self.ports is None


class Inventory(Model):
    """Where the targets come from, and how to reach them.

    ``digest`` is the SHA-256 over the source files; ``zones`` bounds how many hosts of one zone are looked at
    at the same time. ``vantage`` is the zone the scanner itself stands in; ``resolvers`` are the addresses of the name
    servers it asks, none for the system's; ``revocation_hosts`` may be asked what CAs publish. ``dns_anchors`` are
    files with trust anchors for DNSSEC of your own; ``route_origins`` is an export of a validator of the RPKI.
    """

    sources: tuple[str, ...]
    digest: str
    targets: tuple[Target, ...]
    credentials: dict[str, Credential] = {}
    zones: dict[str, int] = {}
    trust_anchors: tuple[str, ...] = ()
    vantage: str = ""
    resolvers: tuple[str, ...] = ()
    revocation_hosts: tuple[str, ...] = ()
    dns_anchors: tuple[str, ...] = ()
    route_origins: str = ""

    def target(self, name: str) -> Target:
        """The target of that name. Raises KeyError."""
        for target in self.targets:
            if target.name == name:
                return target
        raise KeyError(name)

    @classmethod
    def merged(cls, inventories: Sequence[Inventory]) -> Inventory:
        """Several inventories as one, in their order. Raises InputError when one name stands for two things.

        The digest of several is the SHA-256 over their digests, each in hexadecimal and followed by a newline.
        """
        if len(inventories) == 1:
            return inventories[0]
        where: dict[tuple[str, str], tuple[object, str]] = {}
        for inventory in inventories:
            file = ", ".join(inventory.sources)
            for what, name, value in (
                *(("target", target.name, object()) for target in inventory.targets),
                *(("credential", name, value) for name, value in inventory.credentials.items()),
                *(("zone", name, value) for name, value in inventory.zones.items()),
            ):
                known, first = where.setdefault((what, name), (value, file))
                if known != value:
                    raise InputError(
                        f"{what} {name!r} is also in {first}",
                        file=file,
                        remedy="rename or remove one of them",
                    )
        digests = "".join(f"{inventory.digest}\n" for inventory in inventories)
        return cls(
            sources=tuple(source for inventory in inventories for source in inventory.sources),
            digest=sha256(digests.encode()).hexdigest(),
            targets=tuple(target for inventory in inventories for target in inventory.targets),
            credentials={
                name: value for inventory in inventories for name, value in inventory.credentials.items()
            },
            zones={name: value for inventory in inventories for name, value in inventory.zones.items()},
            trust_anchors=tuple(dict.fromkeys(path for one in inventories for path in one.trust_anchors)),
            vantage=next((one.vantage for one in inventories if one.vantage), ""),
            resolvers=tuple(dict.fromkeys(one for some in inventories for one in some.resolvers)),
            revocation_hosts=tuple(
                dict.fromkeys(one for some in inventories for one in some.revocation_hosts)
            ),
            dns_anchors=tuple(dict.fromkeys(path for one in inventories for path in one.dns_anchors)),
            route_origins=next((one.route_origins for one in inventories if one.route_origins), ""),
        )


class InputError(Exception):
    """Wrong input from a person: a file, line and remedy in one message; ends with exit code 3."""

    def __init__(self, message: str, *, file: str = "", line: int = 0, remedy: str = "") -> None:
        self.message, self.file, self.line, self.remedy = message, file, line, remedy
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{message}" + (f"\n  {remedy}" if remedy else ""))


def worst(states: object) -> State:
    """The worst of an iterable of states; notapplicable for none at all."""
    present = set(states)  # type: ignore[call-overload]
    for state in WORST_FIRST:
        if state in present:
            return state
    return State.NOTAPPLICABLE
