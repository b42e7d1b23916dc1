"""The engine of Keurmeester, and all that a check, inventory or report may use of it.

Everything listed in ``__all__`` is public and stable; all else may change. Names load when first used, so that
importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner._version import __version__

if TYPE_CHECKING:
    from scanner.declare import (
        Absent,
        Blind,
        Check,
        Each,
        Fleet,
        NotUnderstood,
        Results,
        Row,
        ScanTime,
        Unseen,
        at_least,
        check,
        dated,
        examples,
        fact,
        holds,
        probe,
        read,
        table,
    )
    from scanner.model import (
        DATA_FIRST,
        DEFAULT_DENY,
        FAIL_SECURE,
        IN_DEPTH,
        NO_GAP,
        SECURE_DEFAULT,
        SECURE_DEPLOYMENT,
        SECURE_DESIGN,
        Cause,
        Credential,
        Finding,
        Gap,
        Impact,
        InputError,
        Inventory,
        Layer,
        PortChoice,
        Raw,
        Renewal,
        Service,
        Severity,
        State,
        Target,
        Timed,
        Verdict,
    )
    from scanner.plain import (
        visible,
    )
    from scanner.sources import (
        Command,
        Dialogue,
        EapTls,
        Fetch,
        File,
        Lookup,
        NameAnchors,
        Ports,
        RouteOrigins,
        Say,
        SshHello,
        SshLogin,
        TlsWalk,
        Tree,
        TrustAnchors,
        tree_files,
    )
    from scanner.transcript import (
        Exchange,
        Turn,
        exchanges,
    )
    from scanner.yamlfile import (
        Located,
        load_yaml,
    )

_HOME = {
    "declare": (
        "Absent Blind Check Each Fleet NotUnderstood Results Row ScanTime Unseen at_least check dated "
        "examples fact holds probe read table"
    ),
    "model": (
        "DATA_FIRST DEFAULT_DENY FAIL_SECURE IN_DEPTH NO_GAP SECURE_DEFAULT SECURE_DEPLOYMENT SECURE_DESIGN "
        "Cause Credential Finding Gap Impact InputError Inventory Layer PortChoice Raw Renewal Service "
        "Severity State Target Timed Verdict"
    ),
    "plain": "visible",
    "sources": (
        "Command Dialogue EapTls Fetch File Lookup NameAnchors Ports RouteOrigins Say SshHello SshLogin TlsWalk Tree "
        "TrustAnchors tree_files"
    ),
    "transcript": "Exchange Turn exchanges",
    "yamlfile": "Located load_yaml",
}
_WHERE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "DATA_FIRST", "DEFAULT_DENY", "FAIL_SECURE", "IN_DEPTH", "NO_GAP", "SECURE_DEFAULT",
    "SECURE_DEPLOYMENT", "SECURE_DESIGN", "Absent", "Blind", "Cause", "Check", "Command", "Credential",
    "Dialogue", "Each", "EapTls", "Exchange", "Fetch", "File", "Finding", "Fleet", "Gap", "Impact", "InputError",
    "Inventory", "Layer", "Located", "Lookup", "NameAnchors", "NotUnderstood", "PortChoice", "Ports", "Raw",
    "Renewal", "Results", "RouteOrigins", "Row", "Say", "ScanTime", "Service", "Severity", "SshHello",
    "SshLogin", "State", "Target", "Timed", "TlsWalk", "Tree", "TrustAnchors", "Turn", "Unseen", "Verdict",
    "__version__", "at_least", "check", "dated", "examples", "exchanges", "fact", "holds", "load_yaml",
    "probe", "read", "table", "tree_files", "visible",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
