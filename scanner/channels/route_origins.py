"""Validated route origins (RPKI) out of an export of a validator: just those that cover the addresses asked for."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scanner.channels import ChannelError
from scanner.model import Cause, Gap, State, Timed

if TYPE_CHECKING:
    from scanner.sources import RouteOrigins

#: Bytes of an export; that of the whole internet is some 80 million (2026).
LIMIT: Final = 1 << 28

Origin = tuple[str, int, int]
"""A prefix, the longest prefix in it that may be announced, and the number of the autonomous system that may."""


def covering(path: str, source: RouteOrigins) -> Timed:
    """As `RouteOrigins` documents. Raises ChannelError when the export cannot be read."""
    if not path:
        gap = Gap(State.NOTAPPLICABLE, None, "the inventory names no export of route origins")
        return Timed(code=None, gap=gap)
    began = time.monotonic()
    try:
        generated, origins = _read(path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        raise ChannelError(Cause.POLICY, f"route origins {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ChannelError(
            Cause.PARSE, f"route origins {path}: not an export of routinator or rpki-client"
        ) from None
    found = [
        [text, str(network), longest, number]
        for text in source.addresses
        for network, longest, number in _above(text, origins)
    ]
    out = json.dumps(
        {"generated": generated, "total": sum(map(len, origins.values())), "covering": found},
        separators=(",", ":"),
    )
    return Timed(out=out.encode(), took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


@lru_cache(maxsize=1)
def _read(path: str, _changed: int) -> tuple[float, dict[str, list[Origin]]]:
    """When the export was made, and its origins by prefix; read once for all targets."""
    with Path(path).open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ChannelError(Cause.TRUNCATED, f"route origins {path}: more than {LIMIT} bytes")
    said = json.loads(data)
    found: dict[str, list[Origin]] = {}
    for one in said["roas"]:
        number = int(str(one["asn"]).upper().removeprefix("AS"))
        found.setdefault(one["prefix"], []).append((one["prefix"], int(one["maxLength"]), number))
    return _generated(said["metadata"]), found


def _generated(metadata: dict[str, Any]) -> float:
    """When it was made, as routinator and rpki-client write it. Raises KeyError or ValueError."""
    if "generated" in metadata:
        return float(metadata["generated"])
    return datetime.fromisoformat(metadata["buildtime"]).astimezone(UTC).timestamp()


def _above(text: str, origins: dict[str, list[Origin]]) -> list[tuple[IPv4Network | IPv6Network, int, int]]:
    """The origins of every prefix that this address is in."""
    address = ip_address(text)
    return [
        (network, longest, number)
        for length in range(address.max_prefixlen, -1, -1)
        for network in (ip_network((address, length), strict=False),)
        for _, longest, number in origins.get(str(network), ())
    ]
