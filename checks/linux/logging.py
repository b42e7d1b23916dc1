"""Whether records survive: on the host after a restart, and on another host when this one is taken over.

What rsyslog and systemd-journal-upload send is read from their configuration, and counts only while they run. Of other
agents it is seen that they run, not what they send where.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Final

from checks.linux._answers import named, only_missing
from checks.linux._rsyslog import SOCKETS, Forward, forwards
from checks.linux.units import Units, shown
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    IN_DEPTH,
    SECURE_DESIGN,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    tree_files,
)

FILES: Final = Command(
    "grep -RaHZ -e '^' /etc/rsyslog.conf /etc/rsyslog.d /etc/systemd/journal-upload.conf"
    f" /etc/systemd/journal-upload.conf.d {SOCKETS}",
    root=True,
    exits=(0, 1, 2),
    redact=(
        (
            r"(?i)((?:passw(?:or)?d|pwd|pass|user|token|apikey|headers)\s*=\s*)(\"[^\"\n]*\"|\[[^\]\n]*\])",
            r"\1-",
        ),
        (r":(om(?:mysql|pgsql)):[^\n]*", r":\1:-"),
    ),
)
_AGENTS: Final = (
    "alloy", "amazon-cloudwatch-agent", "azuremonitoragent", "datadog-agent", "elastic-agent", "filebeat",
    "fluent-bit", "fluentd", "google-cloud-ops-agent-fluent-bit", "graylog-sidecar", "nxlog", "otelcol",
    "otelcol-contrib", "promtail",
    "splunk", "Splunkd", "SplunkForwarder", "syslog-ng", "td-agent", "td-agent-bit", "vector", "wazuh-agent",
)  # fmt: skip


@fact
class LogFiles:
    """What rsyslog and systemd-journal-upload are told to send; ``upload`` is the URL of the latter, or empty."""

    forwards: tuple[Forward, ...]
    upload: str


@probe("linux", files=FILES)
def log_files(files: Raw) -> LogFiles:
    """rsyslog.conf(5) and journal-upload.conf(5), their folders included."""
    only_missing(files)
    found = tree_files(files)
    uploads = [
        match[1]
        for path, lines in found.items()
        if "/journal-upload.conf" in path
        for line in lines
        if (match := re.match(r"\s*URL\s*=\s*(\S*)", line))
    ]
    return LogFiles(tuple(forwards(found)), uploads[-1] if uploads else "")


@fact
class Forwarding:
    """What really leaves the host: sent by a service that runs. ``agents`` run too, but what they send is not seen."""

    forwards: tuple[Forward, ...]
    upload: str
    agents: tuple[str, ...]
    idle: tuple[str, ...]


@probe("linux")
def forwarding(files: LogFiles, units: Units) -> Forwarding:
    """Configuration beside the services that would carry it out."""
    away = tuple(one for one in files.forwards if one.leaves)
    runs = bool(units.active("rsyslog.service"))
    uploads = bool(units.active("systemd-journal-upload.service"))
    agents = [
        unit.id.removesuffix(".service") for unit in units.active(*(f"{name}.service" for name in _AGENTS))
    ]
    if runs and len(away) < len(files.forwards):
        agents.append("what listens on this host for rsyslog")
    idle = [] if runs else [str(one) for one in away]
    if files.upload and not uploads:
        idle.append(f"journal-upload {files.upload}")
    return Forwarding(away if runs else (), files.upload if uploads else "", tuple(agents), tuple(idle))


def _rsyslog(text: str, folder: str = "") -> str:
    main = 'module(load="imuxsock")\n$IncludeConfig /etc/rsyslog.d/*.conf\n' + text
    lines = [f"/etc/rsyslog.conf\0{line}\n" for line in main.split("\n")]
    return "".join(
        lines + [f"/etc/rsyslog.d/50-remote.conf\0{line}\n" for line in folder.split("\n") if folder]
    )


def _upload(url: str) -> str:
    return f"/etc/systemd/journal-upload.conf\0[Upload]\n/etc/systemd/journal-upload.conf\0URL={url}\n"


_LOCAL: Final = "*.*;auth.none\t\t-/var/log/syslog\nauth.*\t\t\t/var/log/auth.log\n*.emerg\t:omusrmsg:*\n"
_GOOD: Final = (
    'global(DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="/etc/ssl/ca.pem")\n'
    '*.* action(type="omfwd" target="log.example.nl" port="6514" protocol="tcp"\n  StreamDriverMode="1"'
    ' StreamDriverAuthMode="x509/name"  # who must answer\n  StreamDriverPermittedPeers="log.example.nl"\n'
    '  queue.type="LinkedList" queue.filename="away" action.resumeRetryCount="-1" queue.saveOnShutdown="on")'
)
_OLD_GOOD: Final = (
    "$DefaultNetstreamDriver gtls\n$ActionSendStreamDriverMode 1\n$ActionSendStreamDriverAuthMode x509/name\n"
    "$ActionQueueType LinkedList\n$ActionQueueFileName away\n$ActionResumeRetryCount -1\n*.* "
    "@@(o)log.example.nl:6514"
)
_RELP: Final = (
    'action(type="omrelp" target="192.0.2.9" port="20514" tls="on" tls.authmode="name" tls.permittedpeer=["log"]\n'
    ' queue.type="Disk" queue.filename="relp" action.resumeRetryCount="-1")'
)
_RUNS: Final = shown("rsyslog.service active enabled")
_UPLOADS: Final = shown("systemd-journal-upload.service active enabled")
_NO_FILES: Final = Raw(
    b"",
    b"grep: /etc/rsyslog.conf: No such file or directory\ngrep: /etc/rsyslog.d: No such file or directory\n",
    2,
)
_UNREAD: Final = {"files": _rsyslog('include(file="/opt/log/*.conf")'), "shown": _RUNS}


@check(
    "logging.leaves-the-host",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.DETECTION,
    title_nl="Logregels gaan ook naar een andere host",
    why_nl="Wie de host overneemt wist de logboeken erop. Alleen wat al ergens anders staat blijft bewaard.",
    fix="apt install rsyslog rsyslog-gnutls\ncat > /etc/rsyslog.d/50-remote.conf <<'X'\n"
    'global(DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="/etc/ssl/certs/ca-certificates.crt")\n'
    '*.* action(type="omfwd" target="log.example.nl" port="6514" protocol="tcp" StreamDriverMode="1"\n'
    '  StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="log.example.nl"\n'
    '  queue.type="LinkedList" queue.filename="remote" queue.saveOnShutdown="on" action.resumeRetryCount="-1")\n'
    "X\nrsyslogd -N1 && systemctl restart rsyslog",
    verify="grep -rE '@|omfwd|omrelp' /etc/rsyslog.conf /etc/rsyslog.d; systemctl is-active rsyslog",
    references=("rsyslog.conf(5)", "systemd-journal-upload(8)", "BIO2 1.3 8.15"),
    advice="Ask for the name of the collector before you begin, and look there whether the records arrive.",
    advice_nl="Vraag eerst naar de naam van de verzamelaar en kijk daar of de regels aankomen.",
)
def leaves_the_host(forwarding: Forwarding) -> Verdict:
    """Records also go to another host.

    Whoever takes over the host wipes the logs on it. Only what is already elsewhere is kept.
    """
    sent = [str(one) for one in forwarding.forwards]
    if forwarding.upload:
        sent.append(f"journal-upload {forwarding.upload}")
    if not sent and forwarding.agents:
        raise NotUnderstood(f"{named(list(forwarding.agents))} runs: what it sends, and where, is not read")
    if sent and not forwarding.upload and all(one.only for one in forwarding.forwards):
        filters = named([f"{one.only} to {one}" for one in forwarding.forwards], 3)
        raise NotUnderstood(f"whether logins are among what is sent is not sure: {filters}")
    idle = f"; not running: {named(list(forwarding.idle))}" if forwarding.idle else ""
    return holds(bool(sent), f"sent to: {named(sent) or 'nowhere'}{idle}", "at least one other host")


examples(
    leaves_the_host,
    passes=[
        {"files": _rsyslog(_LOCAL, _GOOD), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL + _OLD_GOOD), "shown": _RUNS},
        {"files": _rsyslog("*.* @192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog("*.info;mail.none;authpriv.*\t@192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog("*.*;*.!=debug @192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog("local0.* @192.0.2.9\nauth,authpriv.* @192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog("/* after the pattern of the line above */\n*.* @192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog(_RELP), "shown": _RUNS},
        {
            "files": _rsyslog(_LOCAL, _GOOD).replace(
                "$IncludeConfig /etc/rsyslog.d/*.conf",
                'include(mode="optional" file="/etc/rsyslog.d/*.conf")',
            ),
            "shown": _RUNS,
        },
        {"files": _upload("https://log.example.nl:19532"), "shown": _UPLOADS},
    ],
    fails=[
        {"files": _rsyslog(_LOCAL), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL, "#" + _GOOD.replace("\n", "\n#")), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL, _GOOD), "shown": shown("rsyslog.service failed enabled")},
        {"files": _upload("https://log.example.nl"), "shown": shown()},
        {"files": _NO_FILES, "shown": shown()},
    ],
    unknown=[
        *(
            {"files": _rsyslog(_LOCAL + only), "shown": _RUNS}
            for only in (
                "local0.* @192.0.2.1",
                "local0.* /var/log/haproxy.log\n& @192.0.2.1",
                "*.*;auth,authpriv.none @@log.example.nl",
                "*.crit @@log.example.nl",
                ':programname, isequal, "haproxy" @@log.example.nl',
                "if $programname == 'haproxy' then @@log.example.nl",
                'if $programname == "haproxy" then {\n  action(type="omfwd" target="log.example.nl")\n}\n',
                'ruleset(name="net") {\n  if ($msg contains "}") then {\n    stop }\n  *.* @@log.example.nl\n}\n',
                'mail.* action(type="omfwd" target="log.example.nl")',
            )
        ),
        _UNREAD,
        {"files": _rsyslog(_LOCAL), "shown": shown("filebeat.service active enabled")},
        {"files": _rsyslog("*.* @@127.0.0.1:5140"), "shown": _RUNS},
        {"files": Raw(b"", b"grep: /etc/rsyslog.conf: Permission denied\n", 2), "shown": _RUNS},
    ],
)


@check(
    "logging.sent-encrypted",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="Logregels gaan versleuteld naar een verzamelaar die zich bewijst",
    why_nl="In logregels staan namen en adressen. Zonder TLS leest het netwerk mee; zonder controle van het "
    "certificaat kan iemand "
    "zich als verzamelaar voordoen.",
    fix="apt install rsyslog-gnutls\n"
    '# in the omfwd action: protocol="tcp" StreamDriver="gtls" StreamDriverMode="1" '
    'StreamDriverAuthMode="x509/name"\n'
    "rsyslogd -N1 && systemctl restart rsyslog",
    verify="grep -riE 'StreamDriver|tls' /etc/rsyslog.conf /etc/rsyslog.d",
    references=("rsyslog.com/doc: omfwd, Stream Driver parameters", "ISO/IEC 27002:2022 8.15, 8.24"),
)
def sent_encrypted(forwarding: Forwarding) -> Verdict:
    """Records go encrypted to a collector that proves who it is.

    They hold names and addresses. Without TLS the network reads along; without a look at the certificate somebody can
    pose as the collector.
    """
    sent = [*forwarding.forwards]
    if not sent and not forwarding.upload:
        if forwarding.agents:
            raise NotUnderstood(f"{named(list(forwarding.agents))} runs: how it sends is not read")
        raise Absent("no records are sent to another host")
    bare = [str(one) for one in sent if one.secure is False]
    if forwarding.upload and not forwarding.upload.startswith("https://"):
        bare.append(f"journal-upload {forwarding.upload}")
    odd = [str(one) for one in sent if one.secure is None]
    if odd and not bare:
        raise NotUnderstood(f"whether {named(odd)} is encrypted is not read")
    said = [str(one) for one in sent] + ([forwarding.upload] if forwarding.upload else [])
    return holds(
        not bare,
        f"not protected: {named(bare)}" if bare else f"protected: {named(said)}",
        "TLS, x509/name or x509/certvalid",
    )


examples(
    sent_encrypted,
    passes=[
        {"files": _rsyslog(_LOCAL, _GOOD), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL + _OLD_GOOD), "shown": _RUNS},
        {"files": _rsyslog(_RELP), "shown": _RUNS},
        {"files": _upload("https://log.example.nl:19532"), "shown": _UPLOADS},
    ],
    fails=[
        {"files": _rsyslog("*.* @192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog("*.* @@log.example.nl:514"), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL, _GOOD.replace("x509/name", "anon")), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL, _GOOD.replace('Mode="1"', 'Mode="0"')), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL, _GOOD + "\n*.* @192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog(_RELP.replace('tls="on"', 'tls="off"')), "shown": _RUNS},
        {"files": _upload("http://192.0.2.1:19532"), "shown": _UPLOADS},
    ],
    notapplicable=[{"files": _rsyslog(_LOCAL), "shown": _RUNS}, {"files": _NO_FILES, "shown": shown()}],
    unknown=[
        _UNREAD,
        {"files": _rsyslog('action(type="omelasticsearch" server="search.example.nl")'), "shown": _RUNS},
        {"files": _NO_FILES, "shown": shown("fluent-bit.service active enabled")},
    ],
)


@check(
    "logging.waits-on-outage",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="Logregels wachten op schijf als de verzamelaar weg is",
    why_nl="Valt de verzamelaar of het netwerk uit, dan gooit rsyslog standaard weg wat niet verstuurd kan "
    "worden. Wie het netwerk "
    "verstoort, werkt dan ongezien.",
    fix='# in the omfwd action: queue.type="LinkedList" queue.filename="remote" queue.saveOnShutdown="on"'
    ' action.resumeRetryCount="-1"\nrsyslogd -N1 && systemctl restart rsyslog',
    verify="grep -riE 'queue|ResumeRetryCount' /etc/rsyslog.conf /etc/rsyslog.d",
    references=("rsyslog.com/doc: Reliable Forwarding of syslog Messages", "ISO/IEC 27002:2022 8.15"),
    advice="Give the queue a limit (queue.maxDiskSpace), so that it does not fill the disk.",
    advice_nl="Geef de wachtrij een grens (queue.maxDiskSpace), zodat die de schijf niet vult.",
)
def waits_on_outage(forwarding: Forwarding) -> Verdict:
    """Records wait on disk while the collector is away.

    When the collector or the network is down, rsyslog by default throws away what it cannot send. Whoever disturbs the
    network then works unseen.
    """
    if not forwarding.forwards:
        if forwarding.upload:
            return holds(True, "journal-upload goes on in the journal where it was", "nothing is thrown away")
        if forwarding.agents:
            raise NotUnderstood(
                f"{named(list(forwarding.agents))} runs: what it does on an outage is not read"
            )
        raise Absent("no records are sent to another host")
    lossy = [str(one) for one in forwarding.forwards if not one.safe]
    return holds(
        not lossy,
        f"lost on an outage: {named(lossy) or 'nothing'}",
        "a queue with a file, action.resumeRetryCount=-1, and not UDP",
    )


examples(
    waits_on_outage,
    passes=[
        {"files": _rsyslog(_LOCAL, _GOOD), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL + _OLD_GOOD), "shown": _RUNS},
        {"files": _rsyslog(_RELP), "shown": _RUNS},
        {"files": _upload("https://log.example.nl:19532"), "shown": _UPLOADS},
    ],
    fails=[
        {"files": _rsyslog("*.* @192.0.2.1"), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL, _GOOD.replace(' queue.filename="away"', "")), "shown": _RUNS},
        {"files": _rsyslog(_LOCAL, _GOOD.replace('Count="-1"', 'Count="10"')), "shown": _RUNS},
        {"files": _rsyslog(_OLD_GOOD + "\n*.* @@second.example.nl"), "shown": _RUNS},
    ],
    notapplicable={"files": _rsyslog(_LOCAL), "shown": _RUNS},
    unknown=[_UNREAD, {"files": _NO_FILES, "shown": shown("vector.service active enabled")}],
)


@fact
class Journal:
    """Where the journal is kept: ``storage`` as set, and whether its folder on disk is there."""

    storage: str
    folder: bool


@probe(
    "linux",
    conf=Command("systemd-analyze cat-config systemd/journald.conf"),
    folder=Command("find /var/log -maxdepth 1 -name journal -printf '%y\\n'"),
)
def journal(conf: Raw, folder: Raw) -> Journal:
    """All parts of journald.conf(5) in the order in which they count; the last value of a name holds."""
    if "[Journal]" not in conf.lines:
        raise NotUnderstood("journald.conf has no [Journal]")
    found = [match[1] for line in conf.lines if (match := re.match(r"\s*Storage\s*=\s*(\S*)", line))]
    kinds = set(folder.lines)
    if kinds - {"d", "l"}:
        raise NotUnderstood(f"/var/log/journal is of kind {folder.text[:20]!r}")
    return Journal((found[-1] if found else "").lower() or "auto", bool(kinds))


@check(
    "logging.journal-kept",
    principle=IN_DEPTH,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="Het journaal overleeft een herstart",
    why_nl="Een journaal in het geheugen is na een herstart weg, en met een herstart begint menig onderzoek.",
    fix="mkdir -p /etc/systemd/journald.conf.d /var/log/journal\n"
    "printf '[Journal]\\nStorage=persistent\\n' > /etc/systemd/journald.conf.d/10-storage.conf\n"
    "systemctl restart systemd-journald",
    verify="journalctl --list-boots",
    references=("journald.conf(5) Storage: auto by default", "ISO/IEC 27002:2022 8.15"),
)
def journal_kept(journal: Journal) -> Verdict:
    """The journal survives a restart.

    A journal in memory is gone after a restart, and many an investigation begins with one.
    """
    if journal.storage not in ("auto", "persistent", "volatile", "none"):
        raise NotUnderstood(f"Storage={journal.storage}")
    kept = journal.storage == "persistent" or (journal.storage == "auto" and journal.folder)
    return holds(
        kept,
        f"Storage={journal.storage}, /var/log/journal {'is there' if journal.folder else 'is not there'}",
        "Storage=persistent, or auto with /var/log/journal",
    )


_JOURNALD: Final = "# /etc/systemd/journald.conf\n[Journal]\n#Storage=auto\n#Compress=yes\n"
_DROP_IN: Final = _JOURNALD + "\n# /etc/systemd/journald.conf.d/10.conf\n[Journal]\nStorage="
examples(
    journal_kept,
    passes=[{"conf": _JOURNALD, "folder": "d\n"}, {"conf": _DROP_IN + "persistent\n", "folder": ""}],
    fails=[
        {"conf": _JOURNALD, "folder": ""},
        {"conf": _DROP_IN + "volatile\n", "folder": "d\n"},
        {"conf": _DROP_IN + "none\n", "folder": "d\n"},
    ],
    unknown=[
        {"conf": "", "folder": "d\n"},
        {"conf": _DROP_IN + "forever\n", "folder": "d\n"},
        {"conf": _JOURNALD, "folder": "s\n"},
    ],
)


@fact
class OpenLogs:
    """Path below /var/log -> permission bits, of files that others than owner and group can use."""

    seen: dict[str, int]


@probe(
    "linux",
    # A folder that others cannot enter closes all that is in it, such as Ubuntu's unattended-upgrades.
    found=Command(
        "find /var/log -xdev -maxdepth 5 -type d '!' -perm -0001 -prune -o -type f -perm /0007 -printf '%m %P\\n'",
        root=True,
    ),
)
def open_logs(found: Raw) -> OpenLogs:
    """``mode path`` on each line, find(1); nothing when all is closed."""
    return OpenLogs({path: int(mode, 8) for mode, path in (line.split(" ", 1) for line in found.lines)})


@check(
    "logging.files-closed",
    principle=DATA_FIRST,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Logboeken zijn niet voor iedereen leesbaar",
    why_nl="Logboeken van toepassingen bevatten vaak persoonsgegevens, soms tokens en wachtwoorden. Elke "
    "gebruiker en elke dienst "
    "op de host kan ze dan lezen.",
    fix="chmod o-rwx /var/log/FILE\ngrep -rn create /etc/logrotate.d    # there too: create 0640",
    verify="find /var/log -xdev -type f -perm /0007",
    references=("ISO/IEC 27002:2022 8.15", "AVG artikel 5 lid 1 onder f"),
    advice="Set the mode where the file is made, in the program or in logrotate, else it comes back.",
    advice_nl="Zet de rechten waar het bestand ontstaat, in het programma of in logrotate, anders komt het terug.",
)
def files_closed(
    logs: OpenLogs,
    *,
    public: Annotated[tuple[str, ...], "logs below /var/log that all may read, as patterns"] = (
        "alternatives.log*", "apt/*", "bootstrap.log", "dnf*.log*", "dpkg.log*", "faillog", "fontconfig.log*",
        "hawkey.log*", "installer/*", "lastlog", "README", "sa/*", "sysstat/*", "wtmp*", "wtmp.db",
    ),
) -> Verdict:  # fmt: skip
    """Logs are not readable for everyone.

    Logs of applications often hold personal data, sometimes tokens and passwords. Every user and every service on the
    host can then read them.
    """
    wrong = [
        f"{path} {mode:o}"
        for path, mode in logs.seen.items()
        if mode & 0o002 or not any(fnmatchcase(path, pattern) for pattern in public)
    ]
    return holds(not wrong, named(wrong) or "none but those that all may read", "no rights for others")


_PUBLIC: Final = "644 faillog\n664 lastlog\n644 apt/history.log\n644 dpkg.log\n664 wtmp\n"
examples(
    files_closed,
    passes=[_PUBLIC, ""],
    fails=[_PUBLIC + "644 app/access.log\n", _PUBLIC.replace("664 wtmp", "666 wtmp")],
    unknown="find says this\n",
)
