"""DNS answers out of a transcript: the messages as they came over the wire (RFC 1035 section 4), and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from scanner import Blind, Cause, Exchange, NotUnderstood, Raw, exchanges

Question = tuple[str, str]
#: What an answer that tells nothing raises: it cannot be understood, or it did not come.
Untold: Final = (NotUnderstood, Blind)
#: CNAMEs that are followed from one name (as resolvers do).
ALIASES: Final = 8
#: Labels of a name that is asked further; a longer one comes from someone who wants us busy.
LABELS: Final = 20


@dataclass(frozen=True)
class Answer:
    """What one server said to one question."""

    name: dns.name.Name
    kind: dns.rdatatype.RdataType
    message: dns.message.Message
    server: str

    def __str__(self) -> str:
        return f"{_shown(self.name)} {self.kind.name}"

    @property
    def is_answer(self) -> bool:
        """Whether it tells of the name: that something is there, or that nothing is."""
        return self.message.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}

    @property
    def no_such_name(self) -> bool:
        """Whether the name (or what it is an alias of) is not there at all, nor anything below it (RFC 8020)."""
        return self.message.rcode() == dns.rcode.NXDOMAIN

    @property
    def says(self) -> str:
        """In words, when it is no answer: ``192.0.2.53 answers SERVFAIL``."""
        return f"{self}: {self.server} answers {dns.rcode.to_text(self.message.rcode())}"

    @property
    def malformed(self) -> str:
        """Why a record in it cannot be read; empty when all can."""
        return str(self.message.errors[0].exception) if self.message.errors else ""

    def must(self) -> Answer:
        """Itself, when it tells of the name and all of it can be read. Raises NotUnderstood, or Blind when the
        server could not or would not say.
        """
        if self.malformed:
            raise NotUnderstood(f"{self}: a record cannot be read: {self.malformed}")
        if not self.is_answer:
            raise Blind(self.says, Cause.DNS)
        if not self.message.flags & dns.flags.RA and not self.message.flags & dns.flags.AA:
            raise NotUnderstood(f"{self}: {self.server} does not look names up for us")
        if self._refers:
            raise NotUnderstood(f"{self}: {self.server} says who may know, not what is there")
        return self

    @property
    def _refers(self) -> bool:
        """Whether it only names other servers (RFC 2308 section 2.2 tells it from an answer that nothing is there)."""
        kinds = {rrset.rdtype for rrset in self.message.authority}
        own = self.message.flags & dns.flags.AA or self.message.answer or self.no_such_name
        return not own and dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds

    @property
    def canonical(self) -> dns.name.Name:
        """The name after all CNAMEs in the answer. Raises NotUnderstood when they do not end."""
        name = self.name
        for _ in range(ALIASES):
            found = self.message.get_rrset(
                self.message.answer, name, self.message.question[0].rdclass, dns.rdatatype.CNAME
            )
            if not found or self.kind == dns.rdatatype.CNAME:
                return name
            name = found[0].target
        raise NotUnderstood(f"{self}: more than {ALIASES} aliases one after the other")

    @property
    def records(self) -> list[Any]:
        """The records of the type that was asked for, behind any alias; an empty list is none. Raises NotUnderstood."""
        self.must()
        found = self.message.get_rrset(
            self.message.answer, self.canonical, self.message.question[0].rdclass, self.kind
        )
        return list(found) if found else []

    @property
    def own(self) -> list[Any]:
        """The records of the name itself: an alias has none, whatever it leads to (RFC 1034 section 3.6.2)."""
        return self.records if self.canonical == self.name else []

    @property
    def texts(self) -> tuple[str, ...]:
        """The records as in a zone file, sorted."""
        return tuple(sorted(one.to_text() for one in self.records))

    @property
    def strings(self) -> tuple[str, ...]:
        """TXT records, the strings of each joined (RFC 7208 section 3.3), as Latin-1."""
        return tuple(b"".join(one.strings).decode("latin-1") for one in self.records)


class Answers:
    """The answers to the questions of some `Lookup` sources."""

    def __init__(self, *raws: Raw) -> None:
        self._found: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], Answer] = {}
        self._late: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], str] = {}
        for raw in raws:
            for exchange in exchanges(raw):
                self._add(exchange)

    def _add(self, exchange: Exchange) -> None:
        ask, server = exchange.ask, exchange.to
        asked, _, kind_text = ask.rpartition(" ")
        try:
            name, kind = dns.name.from_text(asked), dns.rdatatype.from_text(kind_text)
            if exchange.end == "timeout":
                self._late[name, kind] = server
                return
            message = dns.message.from_wire(exchange.received, continue_on_error=True)
        except dns.exception.DNSException as error:
            raise NotUnderstood(f"the answer to {ask}: {type(error).__name__}") from None
        if message.flags & dns.flags.TC:
            raise NotUnderstood(f"the answer to {ask} is cut short")
        if [(one.name, one.rdtype) for one in message.question] not in ([(name, kind)], []):
            raise NotUnderstood(f"the answer to {ask} is to another question")
        answer = Answer(name, kind, message, server)
        if answer.is_answer and not message.question:
            raise NotUnderstood(f"the answer to {ask} does not repeat the question")
        self._found[name, kind] = answer

    def __repr__(self) -> str:
        """For `keurmeester explain`: each question and what it gave."""
        shown = []
        for one in self._found.values():
            found = [
                str(rdata) for rrset in one.message.answer if rrset.rdtype == one.kind for rdata in rrset
            ]
            shown.append(f"{one}: {', '.join(found) or dns.rcode.to_text(one.message.rcode())}")
        return "; ".join(shown)

    def __contains__(self, question: tuple[str | dns.name.Name, str]) -> bool:
        key = self._key(*question)
        return key in self._found or key in self._late

    def __call__(self, name: str | dns.name.Name, kind: str) -> Answer:
        """The answer to a question. Raises NotUnderstood when it was not asked, Blind when no answer came."""
        key = self._key(name, kind)
        if key in self._late:
            raise Blind(f"{_shown(key[0])} {kind}: {self._late[key]} has no answer in time", Cause.TIMEOUT)
        if key not in self._found:
            raise NotUnderstood(f"{_shown(key[0])} {kind} was not asked")
        return self._found[key]

    def soa_of(self, domain: str) -> Answer:
        """The SOA answer for a domain of the inventory. Raises NotUnderstood when the server says that there is no such
        name: that tells of its view of the DNS, or of the inventory, and nothing of what the domain is like.
        """
        soa = self(domain, "SOA").must()
        if soa.no_such_name and soa.canonical == soa.name:
            raise NotUnderstood(
                f"{soa.server} says that {domain} does not exist: give a resolver that knows it (inventory:"
                " resolvers), or take it out of domains"
            )
        return soa

    def __or__(self, other: Answers) -> Answers:
        """Both."""
        both = Answers()
        both._found, both._late = self._found | other._found, self._late | other._late
        return both

    def all(self) -> Iterable[Answer]:
        """All of them, in the order of asking."""
        return self._found.values()

    def _key(self, name: str | dns.name.Name, kind: str) -> tuple[dns.name.Name, dns.rdatatype.RdataType]:
        made = dns.name.from_text(name) if isinstance(name, str) else name
        return made, dns.rdatatype.from_text(kind)


def host_name(name: dns.name.Name) -> str:
    """A name as it is asked again: lower case, no dot at the end; empty for the root."""
    return name.canonicalize().to_text(omit_final_dot=True) if name != dns.name.root else ""


def askable(name: str) -> bool:
    """Whether a name that someone else wrote may be asked further: it is one, and no endless one."""
    labels = name.removesuffix(".").split(".")
    return (
        len(name) < 254
        and len(labels) <= LABELS
        and "\\" not in name
        and name.isascii()
        and all(0 < len(label) < 64 for label in labels)
    )


def _shown(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True) if name != dns.name.root else "."
