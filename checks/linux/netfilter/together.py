"""One ruleset out of all that a host shows: nftables, what iptables keeps in it, and the legacy tables beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from checks.linux.netfilter.iptables import is_nft, read_save
from checks.linux.netfilter.nftables import has_xt, read_nft
from checks.linux.netfilter.rules import Chain, Key, Ruleset


def ruleset(
    nft: str | None,
    saves: Iterable[tuple[str, str]],
    legacy_tables: Mapping[str, frozenset[str]],
    nft_loaded: bool,
) -> Ruleset:
    """Everything that was seen, and what could not be.

    ``nft`` is `nft -j list ruleset`, None when there is no nft. ``saves`` are (family, text) of every iptables-save
    that answered. ``legacy_tables`` are the legacy tables the kernel says it has, by family; ``nft_loaded`` whether it
    has nf_tables. Raises ValueError when something is not understood.
    """
    chains = read_nft(nft) if nft is not None else {}
    compatible: dict[Key, Chain] = {}
    legacy: dict[Key, Chain] = {}
    for family, text in saves:
        if is_nft(text):
            compatible |= read_save(text, "nft", family)
        else:
            legacy |= read_save(text, "legacy", family)
    unseen = []
    if nft is None:
        chains = compatible
        if nft_loaded or compatible:
            unseen.append("nftables rules (the program nft is not installed)")
    else:
        _explain(chains, compatible)
    read = {(family, table) for _, family, table, _ in legacy}
    for family, tables in legacy_tables.items():
        if missed := sorted(table for table in tables if (family, table) not in read):
            unseen.append(f"legacy {family} tables {', '.join(missed)} (no iptables-legacy-save)")
    return Ruleset({**chains, **legacy}, "; ".join(unseen))


def _explain(chains: dict[Key, Chain], compatible: Mapping[Key, Chain]) -> None:
    """Put what iptables says in place of the rules where nft sees only that an extension stands there."""
    for key, chain in chains.items():
        told = compatible.get(key)
        if told is None or not any(has_xt(rule) for rule in chain.rules):
            continue
        if len(told.rules) == len(chain.rules):
            chain.rules = [
                replace(other, text=f"{chain.name}: {other.text}") if has_xt(rule) else rule
                for rule, other in zip(chain.rules, told.rules, strict=True)
            ]
