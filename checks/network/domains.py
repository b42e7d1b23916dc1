"""The domain names a target serves, as the inventory has them: what every look at DNS, mail and web begins with."""

from __future__ import annotations

from typing import Final

from scanner import Absent, Target, fact, probe

_WEB: Final = frozenset({"http", "https"})
_MAIL: Final = frozenset({"smtp", "smtps", "submission", "submissions"})


@fact
class Domain:
    """A domain name that a target serves, in lower case and without a dot at the end.

    ``kind`` is ``web`` or ``mail`` when the services in the inventory leave no doubt what this target does for it,
    else empty.
    """

    name: str
    kind: str = ""

    def __str__(self) -> str:
        return self.name


@probe("outside")
def domains(target: Target) -> list[Domain]:
    """The inventory's ``domains``, each once."""
    if not target.domains:
        raise Absent("the inventory names no domains for this target")
    offered = {one.name for one in target.services or ()}
    web, mail = bool(offered & _WEB), bool(offered & _MAIL)
    kind = "web" if web and not mail else "mail" if mail and not web else ""
    return [Domain(name, kind) for name in dict.fromkeys(target.domains)]
