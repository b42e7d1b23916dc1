"""DNSSEC from the wire: whether a name, or an answer, is proved by a chain of signatures from a trust anchor.

Pure: the answers were collected before, the time is that of the scan. Validated is as RFC 4035 section 5, RFC 5155
section 8 and RFC 6840 say. Four outcomes (RFC 4033 section 5): *secure*, *insecure* (proved to be unsigned), *bogus*
(signed, and wrong), and *not established*: never secure out of doubt.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zonefile
from dns.dnssectypes import DSDigest
from dns.exception import UnsupportedAlgorithm, ValidationFailure
from dns.rdtypes.ANY.DS import DS

from checks.network.answers import Answer, Answers, Question
from scanner import NotUnderstood, ScanTime

#: Signatures that are verified for one scan of a name, and keys in one set that are tried: whoever sends more wants to
#: keep us busy (CVE-2023-50387, KeyTrap).
VERIFICATIONS: Final = 200
KEYS: Final = 24
#: Iterations of NSEC3 that are computed; RFC 9276 section 3.2 lets a validator stop far below.
ITERATIONS: Final = 500
_IN: Final = dns.rdataclass.IN
_DS, _NS, _SOA = dns.rdatatype.DS, dns.rdatatype.NS, dns.rdatatype.SOA
_CNAME, _DNAME = dns.rdatatype.CNAME, dns.rdatatype.DNAME
#: Algorithms that can be verified here; one that nobody can verify makes a zone insecure (RFC 4035 section 5.2).
_ALGORITHMS: Final = frozenset({5, 7, 8, 10, 13, 14, 15, 16})
_DIGESTS: Final = frozenset({1, 2, 4})

Anchors = dict[dns.name.Name, list[Any]]


class Status(StrEnum):
    """What validation says of a name or an answer."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    UNESTABLISHED = "not established"


@dataclass(frozen=True)
class Outcome:
    """What validation says, and why; ``zone`` and ``keys`` are the last ones on the way that are trusted."""

    status: Status
    why: str = ""
    zone: dns.name.Name = dns.name.root
    keys: dns.rrset.RRset | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.why}" if self.why else str(self.status)


class _Verdict(Exception):  # noqa: N818 -- an outcome
    """Validation ends here, in something else than secure."""

    def __init__(self, status: Status, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


def _bogus(why: str) -> _Verdict:
    return _Verdict(Status.BOGUS, why)


def _doubt(why: str) -> _Verdict:
    return _Verdict(Status.UNESTABLISHED, why)


def chain_questions(name: str) -> tuple[Question, ...]:
    """What must be asked to follow the chain from the root to a name: the keys and the DS of each name on the way."""
    labels = name.rstrip(".").split(".")
    names = [".".join(labels[at:]) for at in reversed(range(len(labels)))]
    return ((".", "DNSKEY"), *((one, kind) for one in names for kind in ("DS", "DNSKEY")))


def read_anchors(own: str) -> Anchors:
    """The trust anchors: the root's (root_anchors.csv) and the inventory's own; one of one's own for a name takes the
    place of what was known for it. Raises NotUnderstood.
    """
    anchors: Anchors = {dns.name.root: list(_root_anchors())}
    try:
        sets = dns.zonefile.read_rrsets(own, default_ttl=0, rdclass=None, relativize=False)
        found: Anchors = {}
        for rrset in sets:
            for one in rrset:
                if rrset.rdtype == dns.rdatatype.DNSKEY:
                    one = dns.dnssec.make_ds(rrset.name, one, "SHA256")
                elif rrset.rdtype != _DS:
                    raise NotUnderstood(f"trust anchors: {rrset.rdtype.name} is neither DS nor DNSKEY")
                found.setdefault(rrset.name, []).append(one)
    except dns.exception.DNSException as error:
        raise NotUnderstood(f"trust anchors for the DNS: {type(error).__name__}") from None
    return anchors | found


@lru_cache(maxsize=1)
def _root_anchors() -> tuple[Any, ...]:
    make: Any = DS  # untyped, as is Node
    rows = csv.DictReader(files(__package__).joinpath("root_anchors.csv").read_text().splitlines())
    return tuple(
        make(
            _IN,
            _DS,
            int(row["tag"]),
            int(row["algorithm"]),
            int(row["digest_type"]),
            bytes.fromhex(row["digest"]),
        )
        for row in rows
    )


class Validator:
    """Validates names and answers from one collection of answers, at one moment."""

    def __init__(self, answers: Answers, anchors: Anchors, now: ScanTime) -> None:
        self._answers, self._anchors, self._now = answers, anchors, now.timestamp()
        self._chains: dict[dns.name.Name, Outcome] = {}
        self._left = VERIFICATIONS

    def chain(self, name: str | dns.name.Name) -> Outcome:
        """Whether the zone that a name is in is trusted; its keys when it is."""
        at = dns.name.from_text(name) if isinstance(name, str) else name
        if at not in self._chains:
            self._chains[at] = self._follow(at)
        return self._chains[at]

    def answer(self, name: str, kind: str, under: str = "") -> Outcome:
        """Whether what was answered to a question, records or their absence, is proved. With ``under`` the chain to
        that name was asked, not to the name itself: names in between with a zone of their own are not established.
        """
        answer = self._answers(name, kind)
        chain = self._signed_by(answer) or self.chain(under or name)
        if chain.status is not Status.SECURE or chain.keys is None:
            return chain
        try:
            self._prove(answer, _Zone(self, answer.message, chain.zone, chain.keys))
        except _Verdict as verdict:
            return Outcome(verdict.status, verdict.why, chain.zone)
        return chain

    def _signed_by(self, answer: Answer) -> Outcome | None:
        """The chain to the zone that says it signed these records, when it holds: then it does not matter whether all
        labels between it and the name are proved to begin no zone.
        """
        for rrset in answer.message.answer:
            if (
                rrset.name == answer.name
                and rrset.rdtype == dns.rdatatype.RRSIG
                and rrset.covers == answer.kind
            ):
                zone = rrset[0].signer
                if answer.name.is_subdomain(zone) and (zone, "DNSKEY") in self._answers:
                    chain = self.chain(zone)
                    return chain if chain.status is Status.SECURE and chain.zone == zone else None
        return None

    def _prove(self, answer: Answer, zone: _Zone) -> None:
        if not answer.is_answer:
            raise _doubt(answer.says)
        for kind in (answer.kind, _CNAME):
            found = answer.message.get_rrset(answer.message.answer, answer.name, _IN, kind)
            if found is None:
                continue
            if kind != answer.kind:
                zone.verify_alias(found)
                raise _doubt(f"{answer}: an alias of {answer.canonical}, which was not followed")
            zone.verify(found, answer.message.answer, expanded=True)
            return
        if any(rrset.rdtype == _DNAME for rrset in answer.message.answer):
            raise _doubt(f"{answer}: an alias (DNAME) that was not followed")
        zone.absent(answer.name, answer.kind)

    # --- the chain ----------------------------------------------------------------------------------------------

    def _follow(self, name: dns.name.Name) -> Outcome:
        zone = max((one for one in self._anchors if name.is_subdomain(one)), key=len)
        keys: dns.rrset.RRset | None = None
        try:
            keys = self._keys(zone, self._anchors[zone], anchored=True)
            for length in range(len(zone) + 1, len(name) + 1):
                _, at = name.split(length)
                delegation = self._delegation(at, zone, keys)
                if delegation is not None:
                    keys = self._keys(at, delegation)
                    zone = at
        except _Verdict as verdict:
            # Another root than ours tells of the resolver, or of anchors that are missing; not of the name.
            doubtful = keys is None and zone == dns.name.root
            return Outcome(Status.UNESTABLISHED if doubtful else verdict.status, verdict.why, zone, keys)
        return Outcome(Status.SECURE, "", zone, keys)

    def _delegation(self, at: dns.name.Name, zone: dns.name.Name, keys: dns.rrset.RRset) -> list[Any] | None:
        """The DS records that the zone has for a name below it; None when no other zone begins there."""
        answer = self._answers(at, "DS")
        if not answer.is_answer:
            raise _doubt(answer.says)
        view = _Zone(self, answer.message, zone, keys)
        for kind in (_DS, _CNAME):
            found = answer.message.get_rrset(answer.message.answer, at, _IN, kind)
            if found is not None:
                if kind == _CNAME:
                    view.verify_alias(found)
                    return None
                # Not from a wildcard: that delegates nothing.
                view.verify(found, answer.message.answer)
                return list(found)
        if any(rrset.rdtype == _SOA and rrset.name == at for rrset in answer.message.authority):
            # RFC 4035 section 3.1.4.1: the DS is the parent's to tell, and this is the child.
            raise _doubt(
                f"{answer.server} has a view of its own of {_text(at)}, and does not ask {_text(zone)} for its DS"
            )
        if not view.begins_nothing(at):
            raise _Verdict(
                Status.INSECURE, f"{_text(zone)} proves that {_text(at)} has no DS: it is not signed"
            )
        return None

    def _keys(self, zone: dns.name.Name, ds: list[Any], anchored: bool = False) -> dns.rrset.RRset:
        """The keys of a zone, signed by one that a DS is for."""
        what = "a trust anchor" if anchored else "the DS in its parent"
        usable = [one for one in ds if one.algorithm in _ALGORITHMS and one.digest_type in _DIGESTS]
        if not usable:
            raise _Verdict(
                Status.INSECURE, f"{_text(zone)}: no DS has an algorithm and digest that can be verified"
            )
        if any(one.digest_type != 1 for one in usable):
            # RFC 4509 section 3: no SHA-1 where there is better.
            usable = [one for one in usable if one.digest_type != 1]
        answer = self._answers(zone, "DNSKEY")
        if not answer.is_answer:
            raise _doubt(answer.says)
        found = answer.message.get_rrset(answer.message.answer, zone, _IN, dns.rdatatype.DNSKEY)
        signed = any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in answer.message.answer)
        if anchored and (found is None or not signed):
            # The resolver does not pass on what DNSSEC needs: that tells nothing of the zone.
            raise _doubt(f"{answer.server} gives no signed keys of {_text(zone)}: it does not speak DNSSEC")
        if found is None and not any(
            rrset.rdtype == dns.rdatatype.RRSIG
            for rrset in (*answer.message.answer, *answer.message.authority)
        ):
            # The zone as it is within, or one that lost its signatures: an answer from outside would tell.
            raise _doubt(
                f"{_text(zone)} has a DS in its parent, and is not signed as {answer.server} has it: a view from within"
                " (give a resolver from outside, inventory: resolvers), or signatures that are gone"
            )
        if found is None:
            raise _bogus(f"{_text(zone)} has a DS in its parent and no DNSKEY")
        if len(found) > KEYS:
            raise _doubt(f"{_text(zone)}: more than {KEYS} keys")
        entry = [key for key in found if any(_is_for(zone, key, one) for one in usable)]
        if not entry:
            raise _bogus(f"no DNSKEY of {_text(zone)} is the one of {what}")
        trusted = dns.rrset.from_rdata_list(zone, found.ttl, entry)
        _Zone(self, answer.message, zone, trusted).verify(found, answer.message.answer)
        return found

    # --- signatures ---------------------------------------------------------------------------------------------

    def signature(
        self, rrset: dns.rrset.RRset, rrsig: Any, zone: dns.name.Name, keys: dns.rrset.RRset
    ) -> str:
        """Why this signature does not hold; empty when it does."""
        if rrsig.expiration < self._now:
            return f"the signature expired on {_day(rrsig.expiration)}"
        if rrsig.inception > self._now:
            return f"the signature holds from {_day(rrsig.inception)}"
        candidates = [
            key
            for key in keys
            if key.algorithm == rrsig.algorithm
            and key.flags & 0x0100
            and not key.flags & 0x0080
            and dns.dnssec.key_id(key) == rrsig.key_tag
        ]
        if not candidates:
            return f"the key {rrsig.key_tag} that signed is not there"
        self._left -= len(candidates)
        if self._left < 0:
            raise _doubt(f"{_text(zone)}: more signatures than are verified")
        make: Any = dns.node.Node
        node = make()
        node.replace_rdataset(dns.rrset.from_rdata_list(zone, keys.ttl, candidates).to_rdataset())
        try:
            dns.dnssec.validate_rrsig(rrset, rrsig, {zone: node}, now=self._now)
        except UnsupportedAlgorithm:
            raise _doubt(f"{_text(zone)}: algorithm {rrsig.algorithm} cannot be verified here") from None
        except (ValidationFailure, ValueError):
            return "the signature is not right"
        return ""


class _Zone:
    """One message as seen from one zone whose keys are trusted."""

    def __init__(
        self, validator: Validator, message: dns.message.Message, zone: dns.name.Name, keys: dns.rrset.RRset
    ) -> None:
        self._validator, self._message, self.zone, self._keys = validator, message, zone, keys

    def verify(
        self, rrset: dns.rrset.RRset, section: Iterable[dns.rrset.RRset], expanded: bool = False
    ) -> None:
        """Raises _Verdict unless a signature of the zone holds. ``expanded``: it may come from a wildcard, when it is
        proved that no nearer name is there.
        """
        what = f"{_text(rrset.name)} {rrset.rdtype.name}"
        signatures = [
            one
            for found in section
            if found.name == rrset.name
            and found.rdtype == dns.rdatatype.RRSIG
            and found.covers == rrset.rdtype
            for one in found
        ]
        if not signatures:
            raise _bogus(f"{what} is not signed, in a zone that is")
        ours = [one for one in signatures if one.signer == self.zone]
        if not ours:
            raise _doubt(f"{what} is signed by {_text(signatures[0].signer)}, not by {_text(self.zone)}")
        why = ""
        for one in ours:
            reason = self._validator.signature(rrset, one, self.zone, self._keys)
            if reason:
                why = why or reason
                continue
            labels = len(rrset.name) - 1 - (rrset.name.labels[0] == b"*")
            if one.labels < labels:
                if not expanded:
                    raise _bogus(f"{what} comes from a wildcard where none may")
                self._no_nearer(rrset.name, one.labels)
            elif one.labels > labels:
                why = why or "the signature is for a longer name"
                continue
            return
        raise _bogus(f"{what}: {why}")

    def verify_alias(self, alias: dns.rrset.RRset) -> None:
        """Raises _Verdict unless the zone signed this CNAME, which may come from a wildcard, or the DNAME above it that
        it is made from and is never signed itself (RFC 6672 section 5.3.1).
        """
        for rrset in self._message.answer:
            if rrset.rdtype == _DNAME and _is_made_from(alias, rrset):
                self.verify(rrset, self._message.answer)
                return
        self.verify(alias, self._message.answer, expanded=True)

    # --- proofs of absence --------------------------------------------------------------------------------------

    def begins_nothing(self, at: dns.name.Name) -> bool:
        """Whether it is proved that no zone begins at a name without DS; False when one does, and is not signed."""
        nsec, nsec3 = self._denials()
        for owner, one in nsec:
            if owner == at:
                return self._no_delegation(at, one)
            if self._covers(owner, one, at):
                return True
        if nsec3:
            return self._begins_nothing_hashed(at, nsec3)
        raise _bogus(f"{_text(self.zone)} does not prove that {_text(at)} has no DS")

    def _begins_nothing_hashed(self, at: dns.name.Name, nsec3: _Hashed) -> bool:
        match = nsec3.matching(at)
        if match is not None:
            return self._no_delegation(at, match)
        _, cover = nsec3.next_closer(at)
        return not cover.flags & 1  # opt-out: an unsigned zone may begin there

    def _no_delegation(self, at: dns.name.Name, one: Any) -> bool:
        if _has(one, _DS):
            raise _bogus(f"{_text(self.zone)} proves that {_text(at)} has a DS, and it was not given")
        if _has(one, _SOA) and at != self.zone:
            raise _bogus(f"the proof that {_text(at)} has no DS comes from the wrong side of the zone cut")
        return not _has(one, _NS)

    def absent(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> None:
        """Raises _Verdict unless it is proved that there are no such records at a name."""
        nsec, nsec3 = self._denials()
        if any(self._denies(owner, one, name, kind) for owner, one in nsec):
            return
        cover = next(((owner, one) for owner, one in nsec if self._covers(owner, one, name)), None)
        if cover is not None:
            owner, one = cover
            if one.next.is_subdomain(name):
                return  # nothing of its own, only names below it
            wildcard = dns.name.Name((b"*", *name.labels[-self._encloser(owner, one, name) :]))
            if any(
                self._denies(at, two, wildcard, kind) or self._covers(at, two, wildcard) for at, two in nsec
            ):
                return
        elif nsec3:
            self._absent_hashed(name, kind, nsec3)
            return
        raise _bogus(f"{_text(self.zone)} does not prove that {_text(name)} has no {kind.name}")

    def _absent_hashed(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, nsec3: _Hashed) -> None:
        match = nsec3.matching(name)
        if match is not None:
            if _lacks(match, kind):
                return
            raise _bogus(
                f"{_text(self.zone)} proves that {_text(name)} has {kind.name}, and it was not given"
            )
        encloser, cover = nsec3.next_closer(name)
        if cover.flags & 1:
            raise _Verdict(Status.INSECURE, f"{_text(self.zone)} leaves unsigned names open (opt-out)")
        wildcard = dns.name.Name((b"*", *encloser.labels))
        star = nsec3.matching(wildcard)
        if (star is not None and _lacks(star, kind)) or (
            star is None and nsec3.covering(wildcard) is not None
        ):
            return
        raise _bogus(f"{_text(self.zone)} does not prove that no wildcard gives {_text(name)} {kind.name}")

    def _no_nearer(self, name: dns.name.Name, labels: int) -> None:
        """Raises _Verdict unless it is proved that a wildcard with so many labels is the nearest (RFC 4035, 5.3.4)."""
        nsec, nsec3 = self._denials()
        cover = next(((owner, one) for owner, one in nsec if self._covers(owner, one, name)), None)
        if cover is not None and self._encloser(*cover, name) == labels + 1:
            return
        _, closer = name.split(labels + 2)
        hashed = nsec3.covering(closer) if nsec3 else None
        if hashed is not None:
            if hashed.flags & 1:
                raise _Verdict(Status.INSECURE, f"{_text(self.zone)} leaves unsigned names open (opt-out)")
            return
        raise _bogus(f"{_text(self.zone)} does not prove that {_text(name)} is not there itself")

    def _denies(
        self, owner: dns.name.Name, one: Any, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> bool:
        return owner == name and _lacks(one, kind)

    def _covers(self, owner: dns.name.Name, one: Any, name: dns.name.Name) -> bool:
        """Whether the name would stand between these two, and so is not there (RFC 4034 section 6.1; 6840, 4.1)."""
        below = name.is_subdomain(owner) and name != owner
        if below and (_has(one, _DNAME) or (_has(one, _NS) and not _has(one, _SOA))):
            return False
        return bool(owner < name and (name < one.next or one.next == self.zone))

    def _encloser(self, owner: dns.name.Name, one: Any, name: dns.name.Name) -> int:
        """How many labels, the root's included, the nearest name above has that these two show to be there."""
        return max(name.fullcompare(two)[2] for two in (owner, one.next))

    def _denials(self) -> tuple[list[tuple[dns.name.Name, Any]], _Hashed | None]:
        """The NSEC and NSEC3 records in the message that the zone signed."""
        nsec: list[tuple[dns.name.Name, Any]] = []
        hashed: list[tuple[dns.name.Name, Any]] = []
        for rrset in self._message.authority:
            if rrset.rdtype == dns.rdatatype.NSEC and rrset.name.is_subdomain(self.zone):
                self.verify(rrset, self._message.authority)
                nsec += [(rrset.name, one) for one in rrset]
            elif rrset.rdtype == dns.rdatatype.NSEC3 and rrset.name.parent() == self.zone:
                self.verify(rrset, self._message.authority)
                hashed += [(rrset.name, one) for one in rrset]
        return nsec, _Hashed(self.zone, hashed) if hashed else None


class _Hashed:
    """NSEC3 records of one zone (RFC 5155): names by their hash."""

    def __init__(self, zone: dns.name.Name, records: list[tuple[dns.name.Name, Any]]) -> None:
        self._zone, first = zone, records[0][1]
        # RFC 5155 section 8.2: one set of parameters; others are not looked at.
        self._records = [
            (owner.labels[0].upper(), one)
            for owner, one in records
            if (one.algorithm, one.iterations, one.salt) == (first.algorithm, first.iterations, first.salt)
        ]
        if first.algorithm != 1 or first.iterations > ITERATIONS:
            raise _doubt(f"{_text(zone)}: NSEC3 with {first.iterations} iterations is not computed")
        self._salt, self._iterations = first.salt, first.iterations
        self._hashes: dict[dns.name.Name, bytes] = {}

    def _hash(self, name: dns.name.Name) -> bytes:
        if name not in self._hashes:
            made = dns.dnssec.nsec3_hash(name, self._salt.hex() if self._salt else None, self._iterations, 1)
            self._hashes[name] = made.encode()
        return self._hashes[name]

    def matching(self, name: dns.name.Name) -> Any:
        """The record of this very name, or None."""
        wanted = self._hash(name)
        return next((one for owner, one in self._records if owner == wanted), None)

    def covering(self, name: dns.name.Name) -> Any:
        """The record that shows that the name is not there, or None."""
        wanted = self._hash(name)
        for owner, one in self._records:
            after = one.next_name().labels[0].upper()
            if owner < wanted < after or (after <= owner and (wanted > owner or wanted < after)):
                return one
        return None

    def next_closer(self, name: dns.name.Name) -> tuple[dns.name.Name, Any]:
        """The nearest name above that is there, and the record that covers the next one down (RFC 5155, 8.3).

        Raises _Verdict when that is not proved.
        """
        closer = name
        for encloser in _above(name, self._zone):
            match = self.matching(encloser)
            if match is not None:
                cover = self.covering(closer)
                if cover is None or _has(match, _DNAME) or (_has(match, _NS) and not _has(match, _SOA)):
                    break
                return encloser, cover
            closer = encloser
        raise _bogus(f"{_text(self._zone)} does not prove that {_text(name)} is not there")


def _is_made_from(alias: dns.rrset.RRset, dname: dns.rrset.RRset) -> bool:
    """Whether the name is below that of the DNAME, and the alias leads to the same below its target."""
    old, new, target = dname.name, dname[0].target, alias[0].target
    if alias.name == old or not (alias.name.is_subdomain(old) and target.is_subdomain(new)):
        return False
    return bool(alias.name.relativize(old) == target.relativize(new))


def _above(name: dns.name.Name, zone: dns.name.Name) -> Iterator[dns.name.Name]:
    while name != zone and len(name) > 1:
        name = name.parent()
        yield name


def _has(one: Any, kind: dns.rdatatype.RdataType) -> bool:
    """Whether the type is in the bitmap of an NSEC or NSEC3 record (RFC 4034 section 4.1.2)."""
    window, bit = divmod(int(kind), 256)
    return any(
        number == window and len(bitmap) > bit // 8 and bool(bitmap[bit // 8] & (0x80 >> bit % 8))
        for number, bitmap in one.windows
    )


def _lacks(one: Any, kind: dns.rdatatype.RdataType) -> bool:
    """Whether the name of this record has neither the type nor an alias, and is no other zone's (RFC 6840, 4.1)."""
    delegates = _has(one, _NS) and not _has(one, _SOA) and kind != _DS
    return not (_has(one, kind) or _has(one, _CNAME) or delegates)


def _is_for(zone: dns.name.Name, key: Any, ds: Any) -> bool:
    if (ds.key_tag, ds.algorithm) != (dns.dnssec.key_id(key), key.algorithm):
        return False
    made: Any = dns.dnssec.make_ds(zone, key, DSDigest(ds.digest_type).name, validating=True)
    return bool(made.digest == ds.digest)


def _day(seconds: int) -> str:
    return f"{ScanTime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d}"


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True) if name != dns.name.root else "the root"
