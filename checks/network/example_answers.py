"""DNS answers for examples: real messages, made of records as in a zone file, and only when an example is run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from checks.network.answers import ALIASES, Question
from scanner import Exchange, Turn
from scanner.transcript import write

#: A resolver in the examples.
RESOLVER: Final = "192.0.2.53"


class Said:
    """The transcript of what a resolver says to these questions when the world has just these records.

    ``fails`` are names it answers SERVFAIL to. With ``authoritative`` it is a name server with the zone. As text it is
    the evidence.
    """

    def __init__(
        self,
        questions: Iterable[Question],
        *records: str,
        fails: Iterable[str] = (),
        authoritative: bool = False,
    ) -> None:
        self._questions, self._lines, self._authoritative = tuple(questions), records, authoritative
        self._fails = frozenset(dns.name.from_text(one) for one in fails)

    def __str__(self) -> str:
        return self._transcript

    @cached_property
    def _transcript(self) -> str:
        return write(self._exchange(name, kind) for name, kind in self._questions).decode()

    @cached_property
    def _records(self) -> dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset]:
        found: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
        for line in self._lines:
            owner, _, kind, data = line.split(None, 3)
            if data.startswith("\\#"):  # RFC 3597 section 5: bytes that need not make sense
                rdtype = dns.rdatatype.from_text(kind)
                raw = dns.rdata.GenericRdata(dns.rdataclass.IN, rdtype, bytes.fromhex(data.split()[2]))
                made = dns.rrset.from_rdata(owner, 3600, raw)
            else:
                made = dns.rrset.from_text(owner, 3600, "IN", kind, data)
            for one in made:
                found.setdefault((made.name, made.rdtype), made).add(one, 3600)
        return found

    def _exchange(self, name: str, kind: str) -> Exchange:
        query = dns.message.QueryMessage(id=0)
        query.flags = dns.flags.RD | dns.flags.CD
        asked, rdtype = dns.name.from_text(name), dns.rdatatype.from_text(kind)
        query.find_rrset(query.question, asked, dns.rdataclass.IN, rdtype, create=True, force_unique=True)
        answer: Any = dns.message.make_response(query, recursion_available=not self._authoritative)
        answer.flags |= dns.flags.AA if self._authoritative else dns.flags.CD
        for _ in range(ALIASES):
            found = self._records.get((asked, rdtype))
            alias = self._records.get((asked, dns.rdatatype.CNAME))
            if found:
                answer.answer.append(found)
            if found or not alias:
                break
            answer.answer.append(alias)
            asked = alias[0].target
        if asked in self._fails:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not any(owner.is_subdomain(asked) for owner, _ in self._records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        turn = Turn(query.to_wire(), answer.to_wire(max_size=65535))
        return Exchange(f"{name} {kind}", (turn,), "done", to=RESOLVER)
