"""What the DNS says of the mail of a domain: mail servers, and the records that policies stand in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pydantic import InstanceOf

from checks.network import spf
from checks.network.answers import Answers, Question, askable, host_name
from checks.network.domains import Domain
from scanner import (
    Absent,
    Blind,
    Cause,
    Each,
    Gap,
    Lookup,
    NotUnderstood,
    Raw,
    State,
    Target,
    Unseen,
    fact,
    probe,
)

#: Mail servers of one domain that are looked at.
EXCHANGERS: Final = 10
#: How records begin: RFC 7489 section 6.4 allows spaces, RFC 8460 and 8461 section 3 do not.
DMARC: Final = r"v[ \t]*=[ \t]*DMARC1"
TLS_REPORTS, MTA_STS = "v=TLSRPTv1", "v=STSv1"
_TAG_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@fact
class MailRecords:
    """What the DNS says of a domain's mail: ``told``, by the resolver. ``selectors`` are those that the inventory names
    for DKIM.
    """

    domain: str
    told: InstanceOf[Answers]
    selectors: tuple[str, ...]

    def __str__(self) -> str:
        return self.domain

    @property
    def answers(self) -> Answers:
        """What was told, when it is what a stranger is told. Raises NotUnderstood when it is not, Blind."""
        self.told.soa_of(self.domain)
        if self.told(controllers(self.domain), "SRV").records:
            raise NotUnderstood(
                f"the resolver knows {self.domain} as an Active Directory, which is the view from inside: give a public"
                " resolver (inventory: resolvers)"
            )
        return self.told

    @property
    def exchangers(self) -> tuple[str, ...]:
        """The mail servers, most wanted first; none when it has none or says so (RFC 7505). Raises NotUnderstood."""
        found = self.answers(self.domain, "MX").records
        names = [(one.preference, host_name(one.exchange)) for one in found]
        return tuple(name for _, name in sorted(names) if name)

    @property
    def null_mx(self) -> bool:
        """Whether it says that it takes no mail (RFC 7505)."""
        found = self.answers(self.domain, "MX").records
        return len(found) == 1 and not host_name(found[0].exchange)

    @property
    def spf(self) -> tuple[str, ...]:
        """Its SPF records: there should be one."""
        return spf.records(self.answers(self.domain, "TXT").strings)

    @property
    def receives(self) -> MailRecords:
        """Itself when it has mail servers. Raises Absent."""
        if not self.exchangers:
            raise Absent(f"{self.domain} takes no mail")
        return self

    def texts(self, label: str, version: str) -> tuple[str, ...]:
        """The TXT records below it that begin with this version: ``_mta-sts``, `MTA_STS`."""
        return versioned(self.answers(f"{label}.{self.domain}", "TXT").strings, version)


def versioned(strings: tuple[str, ...], version: str) -> tuple[str, ...]:
    """Those that begin with a version tag, a pattern such as `DMARC`, followed by the end of it."""
    pattern = re.compile(rf"{version}[ \t]*(?:;|\Z)")
    return tuple(one for one in strings if pattern.match(one))


def tags(record: str) -> dict[str, str]:
    """The tags of a record such as ``v=DMARC1; p=reject``, names in lower case. Raises ValueError: what is wrong."""
    found: dict[str, str] = {}
    for part in record.split(";"):
        if not part.strip():
            continue
        name, mark, value = (one.strip() for one in part.partition("="))
        if not mark or not _TAG_NAME.fullmatch(name):
            raise ValueError(f"{part.strip()[:60]}: no tag")
        if name.lower() in found:
            raise ValueError(f"{name} stands there twice")
        found[name.lower()] = value
    return found


def organisational(domain: str) -> Iterator[str]:
    """A domain and those above it, up to two labels: where a DMARC policy may stand."""
    labels = domain.split(".")
    for at in range(max(1, len(labels) - 1)):
        yield ".".join(labels[at:])


def controllers(domain: str) -> str:
    """Where clients within find the domain controllers, when it is the name of an Active Directory too."""
    return f"_ldap._tcp.dc._msdcs.{domain}"


def mail_questions(name: str) -> tuple[Question, ...]:
    """What is asked of the mail of a domain; first whether the resolver sees it as the outside does."""
    return (
        (name, "SOA"),
        (controllers(name), "SRV"),
        (name, "MX"),
        (name, "TXT"),
        *((f"_dmarc.{one}", "TXT") for one in organisational(name)),
        (f"_mta-sts.{name}", "TXT"),
        (f"mta-sts.{name}", "A"),
        (f"mta-sts.{name}", "AAAA"),
        (f"_smtp._tls.{name}", "TXT"),
    )


@probe(
    "outside",
    reply=Each(
        Domain, lambda domain: Lookup(questions=mail_questions(domain.name), timeout=40, limit=1 << 18)
    ),
)
def mail_records(reply: Raw, domain: Domain, target: Target) -> MailRecords:
    """The records; what each means, and whether it means anything, is read where it is judged."""
    return MailRecords(domain.name, Answers(reply), target.dkim_selectors)


@fact
class Exchanger:
    """A mail server that some of the domains name."""

    host: str
    domains: tuple[str, ...]

    def __str__(self) -> str:
        return self.host


@probe("outside")
def exchangers(found: list[MailRecords]) -> list[Exchanger | Unseen]:
    """Every mail server once; a domain whose mail servers could not be read is a gap of its own."""
    hosts: dict[str, list[str]] = {}
    unseen: list[Exchanger | Unseen] = []
    for one in found:
        try:
            names = one.exchangers
            if len(names) > EXCHANGERS or not all(map(askable, names)):
                raise NotUnderstood(f"{one.domain} has mail servers that are not asked about")
        except NotUnderstood as reason:
            unseen.append(
                Unseen(f"mail servers of {one.domain}", Gap(State.UNKNOWN, Cause.PARSE, str(reason)))
            )
            continue
        except Blind as blind:
            unseen.append(
                Unseen(f"mail servers of {one.domain}", Gap(State.ERROR, blind.cause, blind.detail))
            )
            continue
        for name in names:
            hosts.setdefault(name, []).append(one.domain)
    return [*(Exchanger(host, tuple(domains)) for host, domains in sorted(hosts.items())), *unseen]
