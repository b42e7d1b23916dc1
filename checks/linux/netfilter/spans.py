"""Sets of whole numbers (ports, addresses) as sorted, disjoint, inclusive ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from operator import itemgetter
from typing import Final, TypeAlias

Spans: TypeAlias = tuple[tuple[int, int], ...]

PORTS: Final[Spans] = ((0, 65535),)
_LOW: Final = itemgetter(0)
_HIGH: Final = itemgetter(1)
EVERYWHERE: Final[dict[int, Spans]] = {4: ((0, 2**32 - 1),), 6: ((0, 2**128 - 1),)}


def spans(ranges: Iterable[tuple[int, int]]) -> Spans:
    """The union of ranges, in any order, touching or overlapping."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def points(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as ranges of one."""
    return [(number, number) for number in numbers]


def join(*many: Spans) -> Spans:
    """What is in any of them."""
    return spans(one for some in many for one in some)


def _overlap(some: Spans, low: int, high: int) -> tuple[int, int]:
    """From which to which index (exclusive) the ranges overlap one range."""
    first = bisect_left(some, low, key=_HIGH)
    return first, bisect_right(some, high, lo=first, key=_LOW)


def meet(first: Spans, second: Spans) -> Spans:
    """What is in both."""
    if len(first) < len(second):
        first, second = second, first
    found: list[tuple[int, int]] = []
    for low, high in second:
        start, end = _overlap(first, low, high)
        found += [(max(low, one), min(high, other)) for one, other in first[start:end]]
    return tuple(found)


def minus(first: Spans, second: Spans) -> Spans:
    """What is in the first and not in the second."""
    if len(second) == 1:
        ((low, high),) = second
        start, end = _overlap(first, low, high)
        if start == end:
            return first
        edges = ((first[start][0], low - 1), (high + 1, first[end - 1][1]))
        return first[:start] + tuple(edge for edge in edges if edge[0] <= edge[1]) + first[end:]
    found: list[tuple[int, int]] = []
    at = 0
    for low, high in first:
        while at < len(second) and second[at][1] < low:
            at += 1
        here = at
        while here < len(second) and second[here][0] <= high:
            if second[here][0] > low:
                found.append((low, second[here][0] - 1))
            low = second[here][1] + 1
            here += 1
        if low <= high:
            found.append((low, high))
    return tuple(found)


def size(some: Spans) -> int:
    """How many numbers are in it."""
    return sum(high - low + 1 for low, high in some)


def network(text: str) -> Spans:
    """``10.0.0.0/8``, ``10.0.0.0/255.0.0.0`` or one address, as a range. Raises ValueError."""
    block = ip_network(text, strict=False)
    return ((int(block.network_address), int(block.broadcast_address)),)


def show_addresses(some: Spans, version: int, limit: int = 5) -> str:
    """Networks where they fit, ranges where they do not, the first few."""
    shown = []
    for low, high in some[:limit]:
        first = ip_address(low.to_bytes(4 if version == 4 else 16))
        length = high - low + 1
        if length & (length - 1) == 0 and low % length == 0:
            shown.append(f"{first}/{first.max_prefixlen - length.bit_length() + 1}")
        else:
            shown.append(f"{first}-{ip_address(high.to_bytes(4 if version == 4 else 16))}")
    return ", ".join(shown) + (f" and {len(some) - limit} more" if len(some) > limit else "")


def show_ports(some: Spans, limit: int = 10) -> str:
    """``22, 80-90``, the first few."""
    shown = [str(low) if low == high else f"{low}-{high}" for low, high in some[:limit]]
    return ", ".join(shown) + (f" and {len(some) - limit} more" if len(some) > limit else "")
