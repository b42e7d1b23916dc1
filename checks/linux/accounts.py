"""Who the host knows: its accounts and groups, those of a directory included where it lists them.

Full names and hashes are cut away before anything is kept. A directory that answers by name only (sssd without
`enumerate`) is not listed by getent(1); such accounts are judged where they are managed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Final

from checks.linux._answers import named
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    NO_GAP,
    SECURE_DEFAULT,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Command,
    File,
    Layer,
    NotUnderstood,
    Raw,
    ScanTime,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    read,
)

PASSWD: Final = Command(
    "getent passwd",
    limit=8 << 20,
    redact=(
        # The second field may hold a hash, the fifth a person's name: neither is ours to keep.
        (r"^([^:\n]*):(?![x*!]{0,3}:)[^:\n]*:", r"\1:HASH:"),
        (r"^((?:[^:\n]*:){4})[^:\n]*:", r"\1:"),
    ),
)
GROUP: Final = Command(
    "getent group",
    limit=8 << 20,
    redact=((r"^([^:\n]*):(?![x*!]{0,3}:)[^:\n]*:", r"\1:HASH:"),),
)
LOGIN_DEFS: Final = File(path="/etc/login.defs")
NO_LOGIN: Final = frozenset(
    f"{folder}/{name}"
    for folder in ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
    for name in ("nologin", "false", "sync", "shutdown", "halt")
) | {"/bin/true", "/usr/bin/true", "/dev/null"}


@fact
class Account:
    """One account as every program sees it. ``password`` is ``x`` (see shadow), empty, a lock or ``HASH``."""

    name: str
    password: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def may_log_in(self) -> bool:
        """Whether its shell lets a person in; no shell at all means /bin/sh, passwd(5)."""
        return self.shell not in NO_LOGIN

    def __str__(self) -> str:
        return self.name


@fact
class Group:
    """One group and the accounts that are in it beside those whose primary group it is."""

    name: str
    gid: int
    members: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


@fact
class LoginDefs:
    """The settings of the shadow tools, login.defs(5); of a setting that comes twice the last counts."""

    settings: dict[str, str]

    def number(self, name: str, default: int) -> int:
        """A numeric setting, or its documented default. Raises NotUnderstood when it is not a number."""
        value = self.settings.get(name, str(default))
        if not value.isdecimal():
            raise NotUnderstood(f"/etc/login.defs: {name} {value!r} is not a number")
        return int(value)

    @property
    def first_person(self) -> int:
        """The lowest uid that is for people."""
        return self.number("UID_MIN", 1000)


def _records(raw: Raw, fields: int, what: str) -> list[list[str]]:
    found = [line.split(":") for line in raw.lines]
    if not found:
        raise NotUnderstood(f"{what} is empty: a host always has some")
    for record in found:
        if len(record) != fields or not record[0] or record[0][0] in "+-":
            raise NotUnderstood(f"{what}: cannot read the line of {record[0][:40]!r}")
    return found


@probe("linux", passwd=PASSWD)
def accounts(passwd: Raw) -> list[Account]:
    """``name:password:uid:gid:full name:home:shell``, passwd(5)."""
    names = ("name", "password", "uid", "gid", "", "home", "shell")
    return [
        read(Account, {name: value for name, value in zip(names, record, strict=True) if name})
        for record in _records(passwd, 7, "getent passwd")
    ]


@probe("linux", group=GROUP)
def groups(group: Raw) -> list[Group]:
    """``name:password:gid:members``, group(5)."""
    return [
        read(Group, {"name": name, "gid": gid, "members": tuple(filter(None, members.split(",")))})
        for name, _, gid, members in _records(group, 4, "getent group")
    ]


@probe("linux", defs=LOGIN_DEFS)
def login_defs(defs: Raw | None) -> LoginDefs:
    """``NAME value`` on each line; ``#`` begins a remark."""
    if defs is None:
        raise NotUnderstood("no /etc/login.defs: where this distribution keeps its settings is not known")
    found: dict[str, str] = {}
    for line in defs.lines:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", words[0]):
            raise NotUnderstood(f"/etc/login.defs says {line[:60]!r}")
        found[words[0]] = " ".join(words[1:]).strip('"')
    return LoginDefs(found)


def _twice(pairs: Iterable[tuple[object, object]]) -> list[str]:
    """``key: value, value`` for every key that has more than one value."""
    found: dict[object, list[str]] = {}
    for key, value in dict.fromkeys(pairs):
        found.setdefault(key, []).append(str(value))
    return [f"{key}: {', '.join(values)}" for key, values in found.items() if len(values) > 1]


@check(
    "accounts.uid0-only-root",
    principle=DEFAULT_DENY,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="Alleen root heeft uid 0",
    why_nl="Elk account met uid 0 is de beheerder zelf, hoe het ook heet. Zo'n tweede naam is een achterdeur "
    "die in "
    "logboeken en in het toegangsbeheer niet opvalt.",
    fix="awk -F: '$3 == 0 && $1 != \"root\" {print $1}' /etc/passwd\n"
    "sed -i '/^NAME:/d' /etc/passwd /etc/shadow    # userdel and usermod refuse: root's processes have that uid too",
    verify="getent passwd | awk -F: '$3 == 0 {print $1}'    # prints: root",
    references=("passwd(5)", "ISO/IEC 27002:2022 5.16, 8.2"),
    advice="Look first at what runs under the name: its files and processes belong to root.",
    advice_nl="Kijk eerst wat er onder die naam draait: bestanden en processen ervan zijn van root.",
)
def uid0_only_root(accounts: list[Account]) -> Verdict:
    """Only root has uid 0.

    Every account with uid 0 is the administrator, whatever its name. A second name for root is a back door that does
    not stand out in logs or in access reviews.
    """
    mighty = list(dict.fromkeys(account.name for account in accounts if account.uid == 0))
    if not mighty:
        raise NotUnderstood("no account has uid 0")
    return holds(mighty == ["root"], f"uid 0: {named(mighty)}", "uid 0: root")


_DEBIAN = """root:x:0:0::/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
sync:x:4:65534::/bin:/bin/sync
games:x:5:60::/usr/games:/usr/sbin/nologin
_chrony:x:100:101::/var/lib/chrony:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
jdevries:x:1001:1001::/home/jdevries:/bin/bash
"""
_GROUPS = """root:x:0:
daemon:x:1:
adm:x:4:
sudo:x:27:jdevries
shadow:x:42:
games:x:60:
_chrony:x:101:
docker:x:998:
jdevries:x:1001:
nogroup:x:65534:
"""
_DEFS = "# remark\nUMASK 027\nUID_MIN\t\t\t 1000\nUID_MAX\t\t\t60000\nENCRYPT_METHOD SHA512\n"

examples(
    uid0_only_root,
    passes=_DEBIAN,
    fails=_DEBIAN + "toor:x:0:0::/root:/bin/bash\n",
    unknown=["", "root:x:0:0\n", _DEBIAN + "+::::::\n", _DEBIAN.replace(":0:0:", ":7:7:")],
)


@check(
    "accounts.unique-users",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Elke gebruikersnaam en elk uid komt één keer voor",
    why_nl="Twee namen met hetzelfde nummer zijn voor het systeem dezelfde gebruiker: ze delen bestanden en "
    "rechten, en in "
    "het logboek is niet te zien wie iets deed.",
    fix="getent passwd | cut -d: -f3 | sort -n | uniq -d\nusermod -u 1234 NAME\n"
    "find / -xdev -uid OLD_UID -exec chown -h 1234 {} +",
    verify="getent passwd | cut -d: -f3 | sort -n | uniq -d    # prints nothing",
    references=("passwd(5)", "ISO/IEC 27002:2022 5.16"),
    advice="Change the owner of the account's files in the same maintenance window.",
    advice_nl="Pas in hetzelfde onderhoudsmoment de eigenaar van de bestanden aan.",
)
def unique_users(accounts: list[Account]) -> Verdict:
    """Every user name and every uid is there once.

    Two names with one number are the same user to the system: they share files and rights, and no log can tell who
    did what.
    """
    twice = _twice((f"uid {account.uid}", account.name) for account in accounts)
    twice += _twice((f"name {account.name}", account.uid) for account in accounts)
    return holds(
        not twice, named(twice) or f"{len(accounts)} accounts, all different", "no name or uid twice"
    )


examples(
    unique_users,
    passes=[_DEBIAN, _DEBIAN + "jdevries:x:1001:1001::/home/jdevries:/bin/bash\n"],
    fails=[
        _DEBIAN + "pbakker:x:1001:1002::/home/pbakker:/bin/bash\n",
        _DEBIAN + "jdevries:x:1002:1002::/home/x:/bin/sh\n",
    ],
    unknown="jdevries:x:thousand:1001::/home/jdevries:/bin/bash\n",
)


@check(
    "accounts.unique-groups",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Elke groepsnaam en elk gid komt één keer voor",
    why_nl="Twee groepen met hetzelfde nummer zijn één groep: leden van de ene krijgen ongemerkt de rechten van "
    "de andere.",
    fix="getent group | cut -d: -f3 | sort -n | uniq -d\ngroupmod -g 1234 NAME\n"
    "find / -xdev -gid OLD_GID -exec chgrp -h 1234 {} +",
    verify="getent group | cut -d: -f3 | sort -n | uniq -d    # prints nothing",
    references=("group(5)", "ISO/IEC 27002:2022 5.16"),
)
def unique_groups(groups: list[Group]) -> Verdict:
    """Every group name and every gid is there once.

    Two groups with one number are one group: members of the one silently get the rights of the other.
    """
    twice = _twice((f"gid {group.gid}", group.name) for group in groups)
    twice += _twice((f"name {group.name}", group.gid) for group in groups)
    return holds(not twice, named(twice) or f"{len(groups)} groups, all different", "no name or gid twice")


examples(
    unique_groups,
    passes=_GROUPS,
    fails=[_GROUPS + "finance:x:42:pbakker\n", _GROUPS + "docker:x:123:pbakker\n"],
    unknown=["", "root:x:0\n"],
)


@check(
    "accounts.groups-exist",
    principle=NO_GAP,
    severity=Severity.LOW,
    layer=Layer.IDENTITY,
    title_nl="De hoofdgroep van elk account bestaat",
    why_nl="Verwijst een account naar een groep die er niet is, dan krijgt wie die groep later aanmaakt er "
    "vanzelf de "
    "bestanden van dat account bij.",
    fix="usermod -g EXISTING_GROUP NAME    # or: groupadd -g GID NAME",
    verify="pwck -rq",
    references=("passwd(5)", "pwck(8)"),
)
def groups_exist(accounts: list[Account], groups: list[Group]) -> Verdict:
    """The primary group of every account exists.

    When an account points at a group that is not there, whoever makes a group with that number later gets the files of
    that account with it.
    """
    known = {group.gid for group in groups}
    lost = [f"{account.name}: gid {account.gid}" for account in accounts if account.gid not in known]
    return holds(not lost, named(lost) or "every primary group exists", "every primary group exists")


examples(
    groups_exist,
    passes={"passwd": _DEBIAN, "group": _GROUPS},
    fails={"passwd": _DEBIAN + "old:x:1003:1003::/home/old:/bin/bash\n", "group": _GROUPS},
    unknown={"passwd": _DEBIAN, "group": ""},
)


@check(
    "accounts.shadow-group-empty",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="Geen account zit in de groep shadow",
    why_nl="De groep shadow mag de wachtwoordhashes lezen. Wie erin zit kan ze meenemen en op een andere "
    "machine kraken.",
    fix="getent group shadow\ngpasswd -d NAME shadow\nusermod -g OWN_GROUP NAME    # when shadow is its primary "
    "group",
    verify="getent group shadow    # ends with ':'",
    references=("shadow(5)", "Debian Policy 9.2 (base-passwd)"),
)
def shadow_group_empty(accounts: list[Account], groups: list[Group]) -> Verdict:
    """No account is in the group shadow.

    The group shadow may read the password hashes. Whoever is in it can take them away and crack them elsewhere.
    """
    shadow = next((group for group in groups if group.name == "shadow"), None)
    if shadow is None:
        raise Absent("no group is called shadow: only root reads /etc/shadow")
    inside = sorted({*shadow.members, *(account.name for account in accounts if account.gid == shadow.gid)})
    return holds(not inside, f"in the group shadow: {named(inside) or 'none'}", "in the group shadow: none")


examples(
    shadow_group_empty,
    passes={"passwd": _DEBIAN, "group": _GROUPS},
    fails=[
        {"passwd": _DEBIAN, "group": _GROUPS.replace("shadow:x:42:", "shadow:x:42:jdevries")},
        {"passwd": _DEBIAN + "web:x:105:42::/var/www:/usr/sbin/nologin\n", "group": _GROUPS},
    ],
    notapplicable={"passwd": _DEBIAN, "group": _GROUPS.replace("shadow:x:42:\n", "")},
    unknown={"passwd": "", "group": _GROUPS},
)


@check(
    "accounts.system-nologin",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Systeemaccounts kunnen niet inloggen",
    why_nl="Een account voor een dienst heeft geen mens achter zich. Met een loginshell is het voor een "
    "aanvaller een deur "
    "die niemand in de gaten houdt.",
    fix="usermod -s /usr/sbin/nologin NAME",
    verify="getent passwd | awk -F: '$3 < 1000 && $7 !~ /(nologin|false|sync|shutdown|halt)$/ {print $1, $7}'"
    "    # prints: root /bin/bash",
    references=("nologin(8)", "login.defs(5) UID_MIN", "ISO/IEC 27002:2022 5.18"),
    advice="Test the service afterwards: a few run jobs through `su - NAME` and need `su -s /bin/sh` then.",
    advice_nl="Test de dienst daarna: sommige starten taken met `su - NAAM` en hebben dan `su -s /bin/sh` nodig.",
)
def system_nologin(
    accounts: list[Account],
    defs: LoginDefs,
    *,
    allowed: Annotated[tuple[str, ...], "system accounts that may keep a login shell"] = (),
) -> Verdict:
    """System accounts cannot log in.

    Nobody stands behind the account of a service. With a login shell it is a door that nobody watches.
    """
    first = defs.first_person
    system = [account for account in accounts if account.uid < first or account.uid == 65534]
    open_ = [
        f"{account.name} {account.shell or '(no shell: /bin/sh)'}"
        for account in system
        if account.uid != 0 and account.may_log_in and account.name not in allowed
    ]
    return holds(
        not open_,
        named(open_) or f"{len(system)} accounts below uid {first}, none but root with a login shell",
        "shell nologin or false for every system account but root",
    )


examples(
    system_nologin,
    passes={"passwd": _DEBIAN, "defs": _DEFS},
    fails=[
        {"passwd": _DEBIAN + "postgres:x:110:115::/var/lib/postgresql:/bin/bash\n", "defs": _DEFS},
        {"passwd": _DEBIAN + "legacy:x:111:115::/opt/legacy:\n", "defs": _DEFS},
    ],
    unknown=[
        {"passwd": _DEBIAN},
        {"passwd": _DEBIAN, "defs": "UID_MIN many\n"},
        {"passwd": _DEBIAN, "defs": "<html>\n"},
    ],
)


@check(
    "accounts.no-image-accounts",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Standaardaccounts van het installatie-image zijn weg",
    why_nl="Namen als ubuntu, pi en vagrant kent iedereen, en soms ook hun sleutel of wachtwoord. Bovendien "
    "zegt zo'n naam niet "
    "wie er inlogde.",
    fix="loginctl terminate-user NAME\nuserdel --remove NAME",
    verify="getent passwd ubuntu debian ec2-user vagrant pi    # prints nothing",
    references=("cloud-init: default_user of each distribution", "BIO2 1.3 5.16.02"),
    advice="Make sure that another administrator can log in before you remove the account.",
    advice_nl="Zorg dat een andere beheerder kan inloggen voor u het account verwijdert.",
)
def no_image_accounts(
    accounts: list[Account],
    *,
    names: Annotated[tuple[str, ...], "accounts that images bring along"] = (
        "almalinux", "azureuser", "bitnami", "centos", "cloud-user", "cloudlinux", "core", "debian", "ec2-user",
        "fedora", "opc", "opensuse", "oracle-cloud-agent", "pi", "rocky", "ubuntu", "vagrant",
    ),
) -> Verdict:  # fmt: skip
    """Accounts that came with the installation image are gone.

    Everyone knows names like ubuntu, pi and vagrant, and sometimes their key or password. And such a name does not
    say who logged in.
    """
    left = [account.name for account in accounts if account.name in names and account.may_log_in]
    return holds(not left, f"default accounts with a login shell: {named(left) or 'none'}", "none")


examples(
    no_image_accounts,
    passes=_DEBIAN,
    fails=_DEBIAN + "ubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n",
    unknown="",
)


@check(
    "accounts.no-shared-names",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Geen account heeft een naam voor een groep mensen",
    why_nl="Met een account als beheer of test werken meer mensen. Dan is achteraf niet te zien wie iets deed, "
    "en wie vertrekt "
    "houdt het wachtwoord.",
    fix="adduser OWN_NAME\nusermod --lock --expiredate 1 --shell /usr/sbin/nologin NAME",
    verify="getent passwd admin beheer test gast    # prints nothing, or a shell nologin",
    references=("BIO2 1.3 5.16.02", "ISO/IEC 27002:2022 5.16"),
    advice="A shared account that must stay needs a recorded owner; put its name in a waiver, not out of the list.",
    advice_nl="Een groepsaccount dat moet blijven heeft een vastgelegde eigenaar nodig; leg het vast als "
    "ontheffing.",
)
def no_shared_names(
    accounts: list[Account],
    *,
    names: Annotated[tuple[str, ...], "names that stand for more than one person"] = (
        "admin", "administrator", "beheer", "beheerder", "beheerders", "demo", "gast", "gebruiker", "guest", "helpdesk",
        "leverancier", "ops", "stagiair", "support", "temp", "test", "tester", "tijdelijk", "user", "vendor",
    ),
) -> Verdict:  # fmt: skip
    """No login account has a name that stands for a group of people.

    Several people work with an account like admin or test. Nobody can tell afterwards who did what, and who leaves
    takes the password along.
    """
    plain = {
        account.name: account.name.lower().rstrip("0123456789") for account in accounts if account.may_log_in
    }
    shared = [name for name, bare in plain.items() if bare in names]
    return holds(not shared, f"shared names with a login shell: {named(shared) or 'none'}", "none")


examples(
    no_shared_names,
    passes=[_DEBIAN, _DEBIAN + "admin:x:990:990::/:/usr/sbin/nologin\n"],
    fails=_DEBIAN + "beheer:x:1002:1002::/home/beheer:/bin/bash\nTest2:x:1003:1003::/home/t:/bin/sh\n",
    unknown="",
)


@check(
    "accounts.no-root-by-group",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="Niemand is via een groep ongemerkt root",
    why_nl="Wie in de groep docker, lxd of disk zit kan zonder wachtwoord root worden: via een container met de "
    "schijf van de "
    "host, of door de schijf rechtstreeks te lezen en te schrijven. Sudo en zijn logboek worden dan overgeslagen.",
    fix="gpasswd -d NAME docker    # let the person use sudo for the few commands that are needed",
    verify="getent group docker lxd incus-admin disk kmem libvirt    # every line ends with ':'",
    references=("docs.docker.com: Docker daemon attack surface", "wiki.debian.org/SystemGroups"),
    advice="The person keeps the group until the end of the session that is open now.",
    advice_nl="De persoon houdt de groep tot het einde van de sessie die nu open is.",
)
def no_root_by_group(
    accounts: list[Account],
    groups: list[Group],
    *,
    mighty: Annotated[tuple[str, ...], "groups whose members are root in all but name"] = (
        "disk", "docker", "incus-admin", "kmem", "libvirt", "lxd", "podman",
    ),
    allowed: Annotated[tuple[str, ...], "accounts that may be in such a group"] = (),
) -> Verdict:  # fmt: skip
    """Nobody is root through a group without it showing.

    Whoever is in the group docker, lxd or disk becomes root without a password: through a container that holds the
    host's disk, or by reading and writing the disk itself. Sudo and its log are passed by.
    """
    inside: list[str] = []
    for group in groups:
        if group.name in mighty:
            primary = [account.name for account in accounts if account.gid == group.gid]
            persons = dict.fromkeys((*group.members, *primary))
            inside += [f"{person} in {group.name}" for person in persons if person not in ("root", *allowed)]
    return holds(not inside, named(inside) or "nobody", "nobody")


examples(
    no_root_by_group,
    passes={"passwd": _DEBIAN, "group": _GROUPS},
    fails=[
        {"passwd": _DEBIAN, "group": _GROUPS.replace("docker:x:998:", "docker:x:998:root,jdevries")},
        {"passwd": _DEBIAN + "ci:x:1005:998::/home/ci:/bin/bash\n", "group": _GROUPS},
    ],
    unknown={"passwd": _DEBIAN, "group": "docker:x:998\n"},
)


@check(
    "accounts.hashes-in-shadow",
    principle=SECURE_DESIGN,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="Geen wachtwoordhash staat in het voor iedereen leesbare passwd",
    why_nl="Het bestand passwd mag iedereen lezen. Een hash daarin kan elke gebruiker en elke dienst meenemen "
    "en kraken.",
    fix="pwconv\npasswd NAME    # the old hash was readable for all: choose a new password",
    verify="getent passwd | awk -F: '$2 !~ /^[x*!]+$/ {print $1}'    # prints nothing",
    references=("passwd(5)", "pwconv(8)"),
)
def hashes_in_shadow(accounts: list[Account]) -> Verdict:
    """No password hash stands in passwd, which everyone may read.

    Every user and every service can take a hash from passwd and crack it.
    """
    bare = [account.name for account in accounts if account.password == "HASH"]  # noqa: S105 -- a mark
    return holds(not bare, f"hash in passwd: {named(bare) or 'none'}", "hash in passwd: none")


examples(
    hashes_in_shadow,
    passes=_DEBIAN,
    fails=_DEBIAN + "old:HASH:1003:1003::/home/old:/bin/bash\n",
    unknown="",
)

_LAST: Final = re.compile(
    r"(\S+)\s.*?(\*\*Never logged in\*\*|[A-Z][a-z]{2} ([A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d [+-]\d{4} \d{4}))\s*"
)


@fact
class LastLogins:
    """When each account logged in last; None when never.

    ``of_all``: every account is listed, as lastlog(8) does; lastlog2(8) leaves out those that never logged in.
    """

    when: dict[str, datetime | None]
    of_all: bool


@probe("linux", old=Command("lastlog", needs="lastlog"), new=Command("lastlog2", needs="lastlog2"))
def last_logins(old: Raw | None, new: Raw | None) -> LastLogins:
    """A heading, then a line for each account, lastlog(8) or its successor lastlog2(8)."""
    answer = new or old
    if answer is None:
        raise NotUnderstood(
            "neither lastlog nor lastlog2 is here: nothing tells when accounts logged in last"
        )
    heading, *lines = answer.lines
    if not heading.startswith("Username") or not heading.rstrip().endswith("Latest"):
        raise NotUnderstood(f"lastlog begins with {heading[:60]!r}")
    found: dict[str, datetime | None] = {}
    for line in lines:
        match = _LAST.fullmatch(line)
        if not match:
            raise NotUnderstood(f"lastlog says {line[:60]!r}")
        found[match[1]] = datetime.strptime(match[3], "%b %d %H:%M:%S %z %Y") if match[3] else None
    return LastLogins(found, of_all=new is None)


@check(
    "accounts.no-dormant",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="Accounts van mensen worden gebruikt",
    why_nl="Een account dat maanden niet is gebruikt hoort vaak bij iemand die weg is. Wordt het overgenomen, "
    "dan merkt niemand "
    "het.",
    fix="usermod --lock --expiredate 1 --shell /usr/sbin/nologin NAME",
    verify="lastlog -b 90",
    references=("lastlog(8)", "BIO2 1.3 5.18.02"),
    advice="Ask the owner first: scheduled jobs and file copies do not always count as a login.",
    advice_nl="Vraag het eerst aan de eigenaar: geplande taken en kopieeracties tellen niet altijd als inloggen.",
)
def no_dormant(
    accounts: list[Account],
    defs: LoginDefs,
    logins: LastLogins,
    now: ScanTime,
    *,
    days: Annotated[int, "days without a login after which an account is dormant"] = 90,
) -> Verdict:
    """Accounts of people are in use.

    An account that nobody used for months often belongs to someone who left. When it is taken over, nobody notices.
    """
    oldest = now - timedelta(days=days)
    people = [one for one in accounts if one.uid >= defs.first_person and one.uid != 65534 and one.may_log_in]
    if not people:
        raise Absent("no account of a person has a login shell")
    unseen = [account.name for account in people if account.name not in logins.when]
    if unseen and logins.of_all:
        raise NotUnderstood(f"lastlog does not know {named(unseen)}")
    dormant = []
    for account in people:
        last = logins.when.get(account.name)
        if last is None or last < oldest:
            dormant.append(f"{account.name} {last.date().isoformat() if last else 'never'}")
    return holds(
        not dormant, named(dormant) or f"{len(people)} accounts, all used", f"a login within {days} days"
    )


_NEVER = "root                                                                **Never logged in**\n"
_HEAD = "Username         Port     From                                       Latest\n"
_RECENT = (
    "jdevries         pts/0    192.0.2.10                                 Mon Nov 16 09:12:33 +0100 2026\n"
)
examples(
    no_dormant,
    passes={"passwd": _DEBIAN, "defs": _DEFS, "old": _HEAD + _NEVER + _RECENT},
    fails=[
        {"passwd": _DEBIAN, "defs": _DEFS, "old": _HEAD + _NEVER + _RECENT.replace("Nov 16", "Jan  6")},
        {"passwd": _DEBIAN, "defs": _DEFS, "old": _HEAD + _NEVER.replace("root    ", "jdevries")},
        {"passwd": _DEBIAN, "defs": _DEFS, "new": _HEAD},
    ],
    unknown=[
        {"passwd": _DEBIAN, "defs": _DEFS},
        {"passwd": _DEBIAN, "defs": _DEFS, "old": _HEAD + _NEVER},
        {"passwd": _DEBIAN, "defs": _DEFS, "old": _HEAD + "jdevries gisteren\n"},
    ],
    notapplicable={"passwd": _DEBIAN.partition("jdevries")[0], "defs": _DEFS, "old": _HEAD + _NEVER},
)
