"""Run folders made up for the tests, the bench and the pictures of the reports: no scan, no engine.

`municipality` is a small, believable fleet; `hostile` is the same with text that attacks whoever shows it; `fleet` is
as large as one likes. All three write what `docs/run-folder.md` describes, with counts that add up.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

OUTCOMES = ("nonconform", "not_established", "conform", "partly", "notapplicable", "not_covered")
WORST_FIRST = ("fail", "error", "unknown", "notchecked", "pass", "notapplicable")
SEVERITIES = ("critical", "high", "medium", "low", "info")

PRINCIPLES = yaml.safe_load(
    (Path(__file__).parents[1] / "checks" / "norms" / "dsm-ibp.yaml").read_text(encoding="utf-8")
)["principles"]

BIO2 = (
    ("5.14.01", "Internetstandaarden", "Internet standards", "measure", True),
    ("5.14.02", "Certificaten", "Certificates", "measure", True),
    ("5.14.04", "Overzicht van wat bereikbaar is", "Overview of what is reachable", "measure", True),
    ("5.15", "Toegangsbeveiliging", "Access control", "control", True),
    ("5.17.03", "Eisen aan wachtwoorden", "Password requirements", "measure", True),
    ("5.18.02", "Rechten periodiek beoordeeld", "Rights reviewed periodically", "measure", True),
    ("5.24.08", "CVD-procedure gepubliceerd", "CVD procedure published", "measure", True),
    ("7.10", "Opslagmedia", "Storage media", "control", True),
    ("8.02.01", "Beheerrechten beperkt", "Privileged rights limited", "measure", True),
    ("8.05.01", "Meervoudige factor", "Multiple factors", "measure", True),
    ("8.07.04", "Bescherming tegen malware actief", "Malware protection active", "measure", True),
    ("8.08.01", "Kwetsbaarheden tijdig verholpen", "Vulnerabilities fixed in time", "measure", True),
    ("8.9", "Configuratiebeheer", "Configuration management", "control", True),
    ("8.13.01", "Back-up bestand tegen gijzeling", "Backup withstands ransomware", "measure", True),
    ("8.15.01", "Inhoud van logregels", "Content of log lines", "measure", True),
    ("8.15.04", "Logbestanden beschermd", "Log files protected", "measure", True),
    ("8.17", "Kloksynchronisatie", "Clock synchronisation", "control", True),
    ("8.19.01", "Alleen toegestane software", "Allowed software only", "measure", True),
    ("8.20", "Beveiliging netwerkcomponenten", "Networks security", "control", True),
    ("8.20.01", "Verkeer alleen waar nodig", "Traffic only where needed", "measure", True),
    ("8.22", "Netwerksegmentatie", "Segregation of networks", "control", True),
    ("8.24.04", "Sterke versleuteling", "Strong cryptography", "measure", True),
)  # fmt: skip
BIO2_ELSEWHERE = (
    ("5.1", "Beleidsregels voor informatiebeveiliging", "Policies for information security"),
    ("5.24", "Beheer van informatiebeveiligingsincidenten", "Incident management"),
    ("5.34", "Privacy en bescherming van persoonsgegevens", "Privacy and protection of PII"),
    ("6.1", "Screening", "Screening"),
    ("6.3", "Bewustwording, opleiding en training", "Awareness, education and training"),
    ("7.1", "Fysieke beveiligingszones", "Physical security perimeters"),
    ("7.2", "Fysieke toegangsbeveiliging", "Physical entry"),
    ("7.5", "Bescherming tegen fysieke dreigingen", "Protecting against physical threats"),
    ("8.30", "Uitbestede ontwikkeling", "Outsourced development"),
)


class Spec(NamedTuple):
    """A check of the made-up catalogue, and what it sees when it holds and when it does not."""

    id: str
    principle: int
    severity: str
    layer: str
    title_nl: str
    title_en: str
    why_nl: str
    why_en: str
    fix: str
    verify: str
    good: str
    bad: str
    expected: str
    controls: str  # "8.20.01 proves"
    odds: float = 0.15
    platform: str = "linux"


CATALOGUE = (
    Spec(
        "firewall.default-deny", 5, "critical", "network",
        "De firewall laat alleen binnen wat is toegestaan", "The firewall only lets in what is allowed",
        "Zonder weigeren als uitgangspunt staat elke nieuwe dienst meteen open voor het hele netwerk.",
        "Without refusal as the starting point every new service is open to the whole network at once.",
        "nft add chain inet filter input '{ type filter hook input priority 0; policy drop; }'\n"
        "nft list ruleset > /etc/nftables.conf\nsystemctl enable --now nftables",
        "nft list chain inet filter input", "input policy drop", "input policy accept",
        "input policy drop", "8.20.01 proves", 0.16,
    ),
    Spec(
        "ssh.root-login", 5, "high", "identity",
        "SSH weigert dat root rechtstreeks inlogt", "SSH refuses a direct root login",
        "Root is een gedeelde naam: wie ermee inlogt, is achteraf niet te herkennen.",
        "Root is a shared name: with it nobody can tell who did what.",
        "echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/00-root.conf\nsystemctl reload ssh",
        "sshd -T | grep permitrootlogin", "PermitRootLogin no", "PermitRootLogin yes", "PermitRootLogin no",
        "8.02.01 supports", 0.3,
    ),
    Spec(
        "ssh.password-login", 4, "high", "identity",
        "SSH vraagt om een sleutel, niet om een wachtwoord", "SSH asks for a key, not for a password",
        "Een wachtwoord kan worden geraden of afgekeken; een sleutel niet.",
        "A password can be guessed or seen; a key cannot.",
        "echo 'PasswordAuthentication no' > /etc/ssh/sshd_config.d/00-password.conf\nsystemctl reload ssh",
        "sshd -T | grep passwordauthentication", "PasswordAuthentication no", "PasswordAuthentication yes",
        "PasswordAuthentication no", "8.05.01 indicates", 0.22,
    ),
    Spec(
        "ssh.ciphers", 2, "medium", "host",
        "SSH biedt alleen sterke versleuteling aan", "SSH offers strong ciphers only",
        "Een zwakke versleuteling die wordt aangeboden, kan een aanvaller afdwingen.",
        "A weak cipher on offer can be forced by an attacker.",
        "echo 'Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com' > /etc/ssh/sshd_config.d/00-ciphers.conf\n"
        "systemctl reload ssh",
        "sshd -T | grep ciphers", "2 ciphers, all strong", "3des-cbc, aes128-cbc", "no CBC, 3DES or RC4",
        "8.24.04 supports", 0.14,
    ),
    Spec(
        "tls.protocol", 2, "high", "network",
        "TLS-diensten weigeren versies ouder dan 1.2", "TLS services refuse versions older than 1.2",
        "TLS 1.0 en 1.1 zijn gebroken; wie ze aanbiedt, biedt schijnveiligheid.",
        "TLS 1.0 and 1.1 are broken; offering them is a false promise.",
        "sed -i 's/ssl_protocols .*/ssl_protocols TLSv1.2 TLSv1.3;/' /etc/nginx/nginx.conf\nnginx -s reload",
        "openssl s_client -connect HOST:443 -tls1_1 </dev/null", "TLS 1.2, TLS 1.3", "TLS 1.0, TLS 1.1, TLS 1.2",
        "TLS 1.2 or newer", "5.14.01 supports", 0.2, "tls",
    ),
    Spec(
        "tls.certificate-expiry", 6, "critical", "application",
        "Certificaten zijn nog ten minste 14 dagen geldig", "Certificates stay valid for at least 14 days",
        "Een verlopen certificaat legt de dienst stil of leert mensen een waarschuwing weg te klikken.",
        "An expired certificate stops the service, or teaches people to click warnings away.",
        "certbot renew --force-renewal\nsystemctl reload nginx",
        "openssl s_client -connect HOST:443 </dev/null | openssl x509 -noout -enddate",
        "valid until 2027-03-01 (98 days)", "valid until 2026-11-27 (4 days)", "at least 14 days",
        "5.14.02 proves", 0.12, "tls",
    ),
    Spec(
        "tls.certificate-name", 8, "medium", "application",
        "Het certificaat noemt de naam waaronder de dienst bekend is", "The certificate names the service",
        "Een certificaat voor een andere naam bewijst niet dat u met de juiste server spreekt.",
        "A certificate for another name does not prove that you speak to the right server.",
        "certbot certonly --nginx -d balie.zeedrecht.example", "openssl x509 -noout -ext subjectAltName",
        "balie.zeedrecht.example", "localhost", "the name in the inventory", "5.14.02 supports", 0.1, "tls",
    ),
    Spec(
        "accounts.empty-password", 4, "critical", "identity",
        "Geen account heeft een leeg wachtwoord", "No account has an empty password",
        "Met een leeg wachtwoord kan iedereen die het account kent, naar binnen.",
        "With an empty password anyone who knows the account can walk in.",
        "passwd --lock ACCOUNT", "awk -F: '$2 == \"\" {print $1}' /etc/shadow",
        "no account without a password", "kiosk has an empty password", "none", "5.17.03 supports", 0.07,
    ),
    Spec(
        "accounts.hash", 1, "high", "data",
        "Wachtwoorden zijn opgeslagen met een sterke hash", "Passwords are stored with a strong hash",
        "Lekt /etc/shadow uit, dan bepaalt de hash hoe snel de wachtwoorden op straat liggen.",
        "Should /etc/shadow leak, the hash decides how soon the passwords are known.",
        "sed -i 's/^ENCRYPT_METHOD .*/ENCRYPT_METHOD YESCRYPT/' /etc/login.defs\nchage -d 0 ACCOUNT",
        "grep ENCRYPT_METHOD /etc/login.defs", "all yescrypt", "beheer uses MD5", "yescrypt or SHA-512",
        "5.17.03 supports", 0.1,
    ),
    Spec(
        "sudo.nopasswd", 5, "high", "identity",
        "Sudo geeft niemand alle rechten zonder wachtwoord", "Sudo gives nobody all rights without a password",
        "Een overgenomen sessie is dan meteen de baas over het hele systeem.",
        "A session that is taken over is master of the whole system at once.",
        "visudo -f /etc/sudoers.d/90-cloud-init-users", "sudo -l -U beheer",
        "no NOPASSWD: ALL", "beheer ALL=(ALL) NOPASSWD: ALL", "named commands only", "8.02.01 proves", 0.2,
    ),
    Spec(
        "files.shadow", 1, "high", "data",
        "Alleen root leest /etc/shadow", "Only root reads /etc/shadow",
        "Wie de hashes kan lezen, kan ze thuis in alle rust kraken.",
        "Whoever can read the hashes can crack them at leisure.",
        "chown root:shadow /etc/shadow\nchmod 0640 /etc/shadow", "stat -c '%a %U:%G' /etc/shadow",
        "0640 root:shadow", "0644 root:root", "0640 root:shadow or stricter", "5.15 supports", 0.05,
    ),
    Spec(
        "files.suid", 5, "medium", "host",
        "Geen onbekende programma's met SUID", "No unknown programs with SUID",
        "Een programma met SUID draait met de rechten van de eigenaar, wie het ook start.",
        "A SUID program runs with its owner's rights, whoever starts it.",
        "chmod u-s /usr/local/bin/backup-helper", "find / -xdev -perm -4000",
        "12 programs, all from packages", "/usr/local/bin/backup-helper", "packaged programs only",
        "8.19.01 indicates", 0.12,
    ),
    Spec(
        "sockets.declared", 8, "high", "network",
        "Elke open poort is een aangemelde dienst", "Every open port is a declared service",
        "Een dienst die niemand heeft aangemeld, wordt door niemand bijgewerkt of bewaakt.",
        "A service nobody declared is updated and watched by nobody.",
        "systemctl disable --now rpcbind.socket", "ss -Htuln",
        "22/tcp, 443/tcp", "111/tcp (rpcbind), 5432/tcp (postgres)", "22/tcp, 443/tcp", "5.14.04 proves", 0.32,
    ),
    Spec(
        "services.unneeded", 4, "medium", "host",
        "Overbodige diensten staan uit", "Services that are not needed are off",
        "Wat niet draait, kan niet worden aangevallen.", "What does not run cannot be attacked.",
        "systemctl disable --now avahi-daemon cups", "systemctl list-unit-files --state=enabled",
        "none of 14 enabled", "avahi-daemon, cups", "none", "8.9 supports", 0.2,
    ),
    Spec(
        "sysctl.rp-filter", 3, "medium", "network",
        "De kernel weigert pakketten met een vervalste afzender", "The kernel refuses forged source addresses",
        "Anders lijkt verkeer van buiten van binnen te komen.", "Otherwise outside traffic looks like inside.",
        "echo 'net.ipv4.conf.all.rp_filter = 1' > /etc/sysctl.d/60-rp-filter.conf\nsysctl --system",
        "sysctl net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.rp_filter = 1",
        "net.ipv4.conf.all.rp_filter = 0", "1 or 2", "8.20 supports", 0.18,
    ),
    Spec(
        "sysctl.kptr", 2, "low", "host",
        "De kernel verbergt zijn adressen", "The kernel hides its addresses",
        "Adressen van de kernel maken een aanval op de kernel veel eenvoudiger.",
        "Kernel addresses make an attack on the kernel far easier.",
        "echo 'kernel.kptr_restrict = 2' > /etc/sysctl.d/60-kptr.conf\nsysctl --system",
        "sysctl kernel.kptr_restrict", "kernel.kptr_restrict = 2", "kernel.kptr_restrict = 0", "1 or 2",
        "8.9 supports", 0.3,
    ),
    Spec(
        "sysctl.aslr", 2, "high", "host",
        "Geheugenindeling is willekeurig (ASLR)", "Memory layout is random (ASLR)",
        "Willekeur maakt van een geslaagde inbraak vaak een mislukte.",
        "Randomness often turns a successful break-in into a failed one.",
        "sysctl -w kernel.randomize_va_space=2", "sysctl kernel.randomize_va_space",
        "kernel.randomize_va_space = 2", "kernel.randomize_va_space = 0", "2", "8.9 supports", 0.03,
    ),
    Spec(
        "sysctl.persisted", 6, "medium", "host",
        "Instellingen van de kernel overleven een herstart", "Kernel settings survive a restart",
        "Een maatregel die na een herstart weg is, ontbreekt precies wanneer het druk is.",
        "A measure that is gone after a restart is missing just when it counts.",
        "sysctl -a --pattern rp_filter > /etc/sysctl.d/60-hardening.conf", "systemd-sysctl --cat-config",
        "runtime equals configuration", "net.ipv4.tcp_syncookies: runtime 1, configured 0",
        "runtime equals configuration", "8.9 supports", 0.16,
    ),
    Spec(
        "firewall.at-boot", 6, "high", "network",
        "De firewall start vóór het netwerk", "The firewall starts before the network",
        "Anders staat het systeem bij elke herstart even open.", "Otherwise every restart leaves it open a while.",
        "systemctl enable nftables", "systemctl is-enabled nftables",
        "nftables enabled, before network-pre.target", "nftables disabled", "enabled", "8.20 supports", 0.15,
    ),
    Spec(
        "firewall.ipv6", 8, "high", "network",
        "IPv6 is net zo streng gefilterd als IPv4", "IPv6 is filtered as strictly as IPv4",
        "IPv6 is de achterdeur die vaak wordt vergeten.", "IPv6 is the back door that is often forgotten.",
        "nft add table inet filter", "nft list ruleset",
        "IPv4 drop, IPv6 drop", "IPv4 drop, IPv6 accept", "equal policies", "8.22 supports", 0.15,
    ),
    Spec(
        "updates.pending", 7, "high", "host",
        "Beveiligingsupdates zijn binnen een week geplaatst", "Security updates are installed within a week",
        "Zodra een lek bekend is, wordt er automatisch naar gezocht.",
        "Once a flaw is known, machines go looking for it.",
        "apt-get update\napt-get upgrade", "apt-get --simulate upgrade",
        "0 security updates wait", "7 security updates wait, the oldest 23 days", "none older than 7 days",
        "8.08.01 proves", 0.3,
    ),
    Spec(
        "updates.support", 7, "critical", "host",
        "Het besturingssysteem krijgt nog updates", "The operating system still gets updates",
        "Voor een systeem zonder ondersteuning komt er nooit meer een oplossing.",
        "A system without support will never get a fix again.",
        "Plan de overgang naar Debian 12 (docs.example/migratie)", "cat /etc/os-release",
        "Debian 12, supported until 2028-06-30", "Debian 10, support ended 2024-06-30", "supported",
        "8.08.01 proves", 0.1,
    ),
    Spec(
        "updates.signatures", 4, "high", "host",
        "Pakketten worden alleen met geldige handtekening geplaatst", "Packages need a valid signature",
        "De handtekening bewijst dat het pakket van de leverancier komt.",
        "The signature proves that the package comes from the vendor.",
        "rm /etc/apt/apt.conf.d/99allow-unsigned", "apt-config dump | grep -i allow",
        "signatures required", "APT::Get::AllowUnauthenticated true", "required", "8.19.01 supports", 0.06,
    ),
    Spec(
        "audit.running", 3, "high", "detection",
        "Auditd legt beheerhandelingen vast", "Auditd records administrative actions",
        "Zonder spoor is na een inbraak niet te zeggen wat er is gebeurd.",
        "Without a trail nobody can tell what happened after a break-in.",
        "apt-get install auditd\nsystemctl enable --now auditd", "auditctl -s",
        "enabled 1, 42 rules", "auditd is not installed", "enabled, with rules", "8.15.01 supports", 0.35,
    ),
    Spec(
        "logging.remote", 3, "high", "detection",
        "Logregels gaan ook naar een andere server", "Log lines also go to another server",
        "Een indringer wist zijn sporen op de machine zelf het eerst.",
        "An intruder first wipes the traces on the machine itself.",
        "echo '*.* @@log01.zeedrecht.example:6514' > /etc/rsyslog.d/90-remote.conf\nsystemctl restart rsyslog",
        "grep -r '@@' /etc/rsyslog.d", "*.* @@log01.zeedrecht.example:6514", "no remote destination",
        "at least one remote destination", "8.15.04 proves", 0.25,
    ),
    Spec(
        "mac.enforcing", 3, "medium", "host",
        "AppArmor of SELinux dwingt zijn regels af", "AppArmor or SELinux enforces its rules",
        "Een overgenomen dienst kan dan nog steeds niet overal bij.",
        "A service that is taken over still cannot reach everything.",
        "apt-get install apparmor apparmor-profiles\naa-enforce /etc/apparmor.d/*", "aa-status",
        "AppArmor: 38 profiles enforced", "AppArmor: 0 profiles enforced", "enforcing", "8.07.04 indicates", 0.2,
    ),
    Spec(
        "layers.depth", 3, "high", "governance",
        "Ten minste drie lagen houden stand", "At least three layers hold",
        "Eén laag kan altijd falen; het gaat erom wat er dan nog staat.",
        "One layer can always fail; what counts is what still stands.",
        "Herstel eerst de lagen die dit rapport noemt", "keurmeester scan --only layers.depth",
        "5 of 6 layers hold: network host identity data detection", "2 of 6 layers hold: host data",
        "3 or more", "8.20 indicates", 0.16, "layers",
    ),
    Spec(
        "time.sync", 8, "medium", "detection",
        "De klok loopt gelijk met een vertrouwde bron", "The clock follows a trusted source",
        "Zonder gelijke klok zijn logregels van verschillende systemen niet te vergelijken.",
        "Without one clock, logs of different systems cannot be compared.",
        "apt-get install chrony\nsystemctl enable --now chrony", "chronyc tracking",
        "chrony, offset 0.4 ms", "no time service runs", "synchronised, offset below 1 s", "8.17 proves", 0.14,
    ),
    Spec(
        "time.one-clock", 8, "medium", "detection",
        "Alle systemen volgen dezelfde klok", "All systems follow the same clock",
        "Twee bronnen betekent twee waarheden.", "Two sources mean two truths.",
        "echo 'server ntp.zeedrecht.example iburst' > /etc/chrony/sources.d/local.sources\nchronyc reload sources",
        "chronyc sources", "1 source: ntp.zeedrecht.example", "3 sources: ntp.zeedrecht.example (9), pool.ntp.org (2)",
        "one source", "8.17 supports", 0, "fleet",
    ),
    Spec(
        "twins.differ", 8, "high", "governance",
        "Gelijke systemen zijn gelijk ingesteld", "Like systems are configured alike",
        "Het ene systeem dat afwijkt, is de deur die openstaat.", "The one that differs is the door left open.",
        "Zet de afwijkende instelling gelijk aan die van de groep", "keurmeester diff",
        "web: no differences", "web: PermitRootLogin differs on web03", "no differences", "8.9 supports", 0, "fleet",
    ),
    Spec(
        "disk.encrypted", 1, "high", "data",
        "Gegevens op schijf zijn versleuteld", "Data on disk is encrypted",
        "Een schijf die het gebouw verlaat, neemt anders alle gegevens mee.",
        "A disk that leaves the building takes all data along.",
        "cryptsetup reencrypt --encrypt --reduce-device-size 32M /dev/sdb1", "lsblk -o NAME,TYPE,MOUNTPOINT",
        "/var on crypt", "/var/lib/postgresql on plain partition /dev/sdb1", "crypt", "7.10 supports", 0.3,
    ),
    Spec(
        "disk.mount-options", 4, "low", "host",
        "Tijdelijke mappen voeren niets uit", "Temporary folders execute nothing",
        "Malware begint vaak in /tmp.", "Malware often starts in /tmp.",
        "systemctl edit tmp.mount  # Options=mode=1777,nodev,nosuid,noexec", "findmnt -no OPTIONS /tmp",
        "nodev,nosuid,noexec", "nodev", "nodev, nosuid, noexec", "8.07.04 indicates", 0.4,
    ),
    Spec(
        "backup.recent", 1, "critical", "recovery",
        "De laatste back-up is jonger dan 26 uur", "The last backup is younger than 26 hours",
        "Zonder verse back-up is elke gijzeling een ramp.", "Without a fresh backup any ransom is a disaster.",
        "systemctl start borgmatic\njournalctl -u borgmatic -n 50", "borgmatic info --last 1",
        "last archive 6 hours ago", "last archive 11 days ago", "at most 26 hours", "8.13.01 supports", 0.14,
    ),
    Spec(
        "backup.immutable", 6, "high", "recovery",
        "Een indringer kan de back-up niet wissen", "An intruder cannot wipe the backup",
        "Gijzelsoftware zoekt eerst de back-up op.", "Ransomware looks for the backup first.",
        "borg config REPO append_only 1", "borg config REPO append_only",
        "append-only", "append_only 0", "append-only", "8.13.01 proves", 0.3,
    ),
    Spec(
        "kernel.panic", 6, "low", "host",
        "Het systeem herstelt zich na een kernelfout", "The system recovers from a kernel panic",
        "Een systeem dat blijft hangen, bewaakt ook niets meer.", "A system that hangs guards nothing any more.",
        "echo 'kernel.panic = 10' > /etc/sysctl.d/60-panic.conf\nsysctl --system", "sysctl kernel.panic",
        "kernel.panic = 10", "kernel.panic = 0", "more than 0", "8.9 indicates", 0.25,
    ),
    Spec(
        "deployment.banner", 7, "low", "application",
        "Diensten verraden hun versie niet", "Services do not give their version away",
        "Een versienummer is een wegwijzer naar bekende lekken.", "A version number points at known flaws.",
        "echo 'server_tokens off;' > /etc/nginx/conf.d/tokens.conf\nnginx -s reload",
        "curl -sI https://HOST | grep -i ^server", "Server: nginx", "Server: nginx/1.18.0", "no version",
        "8.9 indicates", 0.3, "web",
    ),
    Spec(
        "deployment.test-leftovers", 7, "medium", "application",
        "Er staan geen testbestanden in productie", "No test files are left in production",
        "Testbestanden geven inzicht en soms toegang.", "Test files give insight and sometimes access.",
        "rm /var/www/html/phpinfo.php", "ls /var/www/html", "none found", "/var/www/html/phpinfo.php", "none",
        "8.9 indicates", 0.1,
    ),
    Spec(
        "accounts.review", 5, "medium", "governance",
        "Rechten zijn dit kwartaal beoordeeld", "Rights were reviewed this quarter",
        "Rechten groeien vanzelf; krimpen doen ze alleen als iemand kijkt.",
        "Rights grow by themselves; they only shrink when someone looks.",
        "Leg de beoordeling vast in het zaaksysteem", "Toon het verslag van de laatste beoordeling",
        "", "", "", "5.18.02 supports", 0,
    ),
)  # fmt: skip

HOSTS = (
    ("web01", "web", "dmz", "high"), ("web02", "web", "dmz", "high"), ("web03", "web", "dmz", "high"),
    ("proxy01", "proxy", "dmz", "high"), ("app01", "app", "kantoor", "high"), ("app02", "app", "kantoor", "medium"),
    ("db01", "database", "data", "high"), ("db02", "database", "data", "high"), ("file01", "file", "kantoor", "medium"),
    ("mail01", "mail", "dmz", "high"), ("log01", "log", "beheer", "high"), ("backup01", "backup", "beheer", "high"),
    ("sluis01", "jump", "beheer", "high"), ("kiosk01", "workplace", "kantoor", "low"),
)  # fmt: skip

#: What one host does not let its account see.
NEEDS_ROOT = frozenset({"accounts.hash", "accounts.empty-password", "sudo.nopasswd", "files.shadow",
                        "firewall.default-deny", "audit.running", "backup.immutable"})  # fmt: skip
#: Principles on which the municipality has its affairs in order.
SOUND = frozenset({2, 7})

HOSTILE = (
    "<script>window.owned=1</script>",
    "</script><img src=x onerror=window.owned=1>",
    "\x1b]0;OWNED\x07\x1b[2J\x1b[31mred\x1b[0m\x9b31m",
    "safe\u202egnp.exe\u2066\u200b\ufeff",
    "[red]markup[/red][link=file:///etc/passwd]x[/link]",
    "nul\0bell\x07back\x08\r\ncarriage",
    "{{ 7*7 }}{% raw %}${7*7}&lt;b&gt;",
    "=cmd|' /C calc'!A0",
    "\ud800 lone surrogate \U000e0041 tag",
)


@dataclass
class Rows:
    """Counts the findings while they are written, as the engine's aggregate would."""

    run: str
    specs: dict[str, dict[str, Any]]
    totals: Counter[str] = field(default_factory=Counter)
    per_principle: dict[str, Counter[str]] = field(default_factory=dict)
    per_check: dict[str, Counter[str]] = field(default_factory=dict)
    per_target: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)
    failed: dict[str, Counter[str]] = field(default_factory=dict)
    gaps: dict[tuple[str, str, str], tuple[set[str], set[str], list[int]]] = field(default_factory=dict)

    def line(self, row: dict[str, Any]) -> str:
        """Count a finding and give its line."""
        spec, status = self.specs[row["check"]], row["status"]
        self.totals[status] += 1
        self.per_check.setdefault(row["check"], Counter())[status] += 1
        for principle in spec["principles"]:
            self.per_principle.setdefault(principle, Counter())[status] += 1
            self.per_target.setdefault(row["target"], {}).setdefault(principle, Counter())[status] += 1
            if status == "fail":
                self.failed.setdefault(principle, Counter())[row["severity"]] += 1
        if status in ("error", "unknown"):
            key = (status, row["cause"] or "", row["observed"])
            targets, checks, count = self.gaps.setdefault(key, (set(), set(), [0]))
            targets.add(row["target"])
            checks.add(row["check"])
            count[0] += 1
        return _json(row) + "\n"


def worst(counts: Iterable[str]) -> str:
    present = set(counts)
    return next((state for state in WORST_FIRST if state in present), "notapplicable")


def coverage(counts: Counter[str]) -> tuple[int, int]:
    return sum(counts[s] for s in WORST_FIRST[:5]), counts["pass"] + counts["fail"]


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def check_records(specs: Iterable[Spec]) -> list[dict[str, Any]]:
    """checks.json."""
    return [
        {
            "id": spec.id, "version": 1, "topic": spec.id.split(".")[0], "platform": spec.platform,
            "principles": [f"DSM-IBP-{spec.principle}"], "severity": spec.severity, "layer": spec.layer,
            "title_nl": spec.title_nl, "title_en": spec.title_en, "why_nl": spec.why_nl, "why_en": spec.why_en,
            "fix": spec.fix, "verify": spec.verify, "advice_nl": "", "advice_en": "",
            "references": [f"{spec.id.split('.')[0]}(8)"],
            "controls": {
                "bio2-1.3": [{"control": spec.controls.split()[0], "relation": spec.controls.split()[1]}]
            },
            "tunables": [{"name": "days", "value": 14, "default": 30, "description": "days a certificate must last"}]
            if spec.id == "tls.certificate-expiry" else [],
        }
        for spec in specs
    ]  # fmt: skip


def municipality(path: Path, *, seed: int = 5, text: Callable[[str], str] = str) -> Path:
    """Fourteen hosts of a small municipality: most is well, some is not, one is down, one refuses sudo."""
    chance = random.Random(seed)

    def findings() -> Iterator[dict[str, Any]]:
        for host, role, zone, _ in HOSTS:
            for spec in CATALOGUE:
                if spec.platform != "fleet":
                    yield finding(host, role, zone, spec)
        for spec in CATALOGUE:
            if spec.platform == "fleet":
                yield row("*", spec, "fail", spec.bad, cause=None)

    def row(host: str, spec: Spec, status: str, observed: str, cause: str | None) -> dict[str, Any]:
        blind = status in ("error", "notchecked")
        return {
            "run": path.name, "target": host, "check": spec.id, "check_version": 1, "subject": "", "status": status,
            "cause": cause, "severity": spec.severity, "principles": [f"DSM-IBP-{spec.principle}"],
            "observed": text(observed), "expected": "" if status in ("error", "unknown") else spec.expected,
            "evidence": [] if blind and cause in ("timeout", None) else [digest(host, spec.id)],
            "collected_at": None if blind else "2026-11-23T20:04:31Z",
        }  # fmt: skip

    def finding(host: str, role: str, zone: str, spec: Spec) -> dict[str, Any]:
        if not spec.good:
            return row(host, spec, "notchecked", "", None)
        if host == "mail01":
            return row(host, spec, "error", "no answer from 10.20.4.25 port 22 within 10 seconds", "timeout")
        if host == "backup01" and spec.id in NEEDS_ROOT:
            return row(host, spec, "error", "sudo: a password is required", "privilege")
        if host == "app02" and spec.id == "mac.enforcing":
            return row(
                host, spec, "unknown", "aa-status: exit status 3: apparmor filesystem is not mounted", "parse"
            )
        if spec.platform in ("tls", "web") and role not in ("web", "proxy", "mail"):
            return row(host, spec, "notapplicable", "no TLS service listens", None)
        bad = spec.principle not in SOUND and chance.random() < spec.odds * (
            1.1 if zone == "kantoor" else 0.5
        )
        return row(host, spec, "fail" if bad else "pass", spec.bad if bad else spec.good, None)

    hosts = [host[:3] for host in HOSTS]
    return _write(path, check_records(CATALOGUE), hosts, findings(), silent={"mail01": "timeout"})


def hostile(path: Path) -> Path:
    """The same fleet, but everything a target or an inventory says is an attack; some lines are a megabyte."""
    state = {"n": 0}

    def attack(text: str) -> str:
        state["n"] += 1
        return (
            "A" * 1_000_000 + "<b>" if text == "PermitRootLogin yes" else HOSTILE[state["n"] % len(HOSTILE)]
        )

    municipality(path, text=attack)
    run = json.loads((path / "run.json").read_text())
    run["inventory"]["sources"] = [HOSTILE[0], HOSTILE[2], HOSTILE[3]]
    run["operator"] = {"user": HOSTILE[1], "host": HOSTILE[4]}
    (path / "run.json").write_text(_json(run))
    assessment = json.loads((path / "assessment.json").read_text())
    for gap, evil in zip(assessment["gaps"], HOSTILE, strict=False):
        gap["detail"] = evil
    for target, evil in zip(assessment["targets"], HOSTILE, strict=False):
        target["role"] = target["zone"] = target["owner"] = evil
        target["detail"] = evil
    for entry, evil in zip(assessment["calendar"]["entries"], HOSTILE, strict=False):
        entry["names"] = entry["owners"] = [evil]
        entry["issuer"] = entry["seen"][0]["place"] = evil
    (path / "assessment.json").write_text(_json(assessment))
    checks = json.loads((path / "checks.json").read_text())
    for check, evil in zip(checks, HOSTILE, strict=False):
        check["title_nl"] = check["why_nl"] = check["fix"] = check["verify"] = evil
    (path / "checks.json").write_text(_json(checks))
    return path


def fleet(path: Path, *, hosts: int = 1000, checks: int = 200, seed: int = 7) -> Path:
    """As many findings as hosts times checks, a quarter of them wrong, with differing observations."""
    chance = random.Random(seed)
    specs = [
        CATALOGUE[number % len(CATALOGUE)]._replace(
            id=f"linux.setting-{number:03d}", good="value = 1", bad="value = 0", principle=number % 8 + 1
        )
        for number in range(checks)
    ]
    roles = ("web", "app", "database", "file", "mail", "workplace")
    names = [(f"host{number:04d}", roles[number % len(roles)], "kantoor") for number in range(hosts)]

    def findings() -> Iterator[dict[str, Any]]:
        for host, _, _ in names:
            for number, spec in enumerate(specs):
                status = chance.choices(WORST_FIRST, (22, 2, 1, 0, 70, 5))[0]
                yield {
                    "run": path.name, "target": host, "check": spec.id, "check_version": 1, "subject": "",
                    "status": status, "cause": {"unknown": "parse", "error": "privilege"}.get(status),
                    "severity": spec.severity, "principles": [f"DSM-IBP-{spec.principle}"],
                    "observed": f"/etc/some/file:{chance.randrange(400)} option = {chance.randrange(9)}"
                    if status in ("fail", "pass") else "could not be read",
                    "expected": "option = 10", "evidence": [digest(host, number // 5)],
                    "collected_at": "2026-11-23T20:04:31Z",
                }  # fmt: skip

    return _write(path, check_records(specs), names, findings())


def _write(
    path: Path,
    checks: list[dict[str, Any]],
    hosts: list[tuple[str, str, str]],
    findings: Iterator[dict[str, Any]],
    silent: dict[str, str] | None = None,
) -> Path:
    silent = silent or {}
    path.mkdir(parents=True)
    rows = Rows(path.name, {check["id"]: check for check in checks})
    with (path / "results.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(rows.line(finding) for finding in findings)
    applicable, established = coverage(rows.totals)
    totals = {state: rows.totals[state] for state in WORST_FIRST}
    run = {
        "format": 1, "run": path.name, "started": "2026-11-23T20:04:12Z", "ended": "2026-11-23T20:05:03Z",
        "status": "complete", "tool": {"name": "keurmeester", "version": "0.1.0"},
        "plugins": [{"name": "keurmeester", "version": "0.1.0", "sha256": digest("plugin")}],
        "profile": {"id": "server", "title_nl": "Servers", "title_en": "Servers", "sha256": digest("profile")},
        "operator": {"user": "beheer", "host": "scan01"},
        "inventory": {
            "sources": ["inventories/zeedrecht.yaml"], "sha256": digest("inventory"), "targets": len(hosts) + 3,
            "selected": len(hosts), "filter": 'platform == "linux"',
        },
        "targets": {"planned": len(hosts), "reached": len(hosts) - len(silent)},
        "counts": totals, "coverage": {"applicable": applicable, "established": established},
        "digest": digest("run"), "exit_code": 2 if totals["error"] + totals["unknown"] else int(totals["fail"] > 0),
    }  # fmt: skip
    _dump(path / "run.json", run)
    _dump(path / "checks.json", checks)
    _dump(path / "assessment.json", _assess(path.name, checks, hosts, rows, silent))
    with (path / "inventory.jsonl").open("w") as out:
        for name, role, zone in hosts:
            out.write(json.dumps({"name": name, "address": "10.20.4.25", "role": role, "zone": zone}) + "\n")
    return path


def _json(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    lone = any("\ud800" <= character <= "\udfff" for character in text)
    return json.dumps(value, separators=(",", ":")) if lone else text


def _dump(path: Path, value: object) -> None:
    path.write_text(_json(value), encoding="utf-8")


def _assess(
    run: str,
    checks: list[dict[str, Any]],
    hosts: list[tuple[str, str, str]],
    rows: Rows,
    silent: dict[str, str],
) -> dict[str, Any]:
    principles = []
    for principle in PRINCIPLES:
        key = principle["id"]
        counts = rows.per_principle.get(key, Counter())
        applicable, established = coverage(counts)
        texts = ("title_nl", "title_en", "statement_nl", "statement_en")
        principles.append(
            {
                "id": key,
                **{name: principle[name] for name in texts},
                "state": worst(counts.keys()),
                "checks": sum(key in check["principles"] for check in checks),
                "counts": {state: counts[state] for state in WORST_FIRST},
                "applicable": applicable,
                "established": established,
                "failed_by_severity": {s: rows.failed.get(key, Counter())[s] for s in SEVERITIES},
            }
        )
    targets = [
        {
            "name": name, "role": role, "zone": zone, "tenant": "Zeedrecht", "owner": "Team Infra",
            "criticality": "high", "reached": name not in silent, "cause": silent.get(name),
            "detail": "no answer within 10 seconds" if name in silent else "",
            "counts": dict(sum(rows.per_target[name].values(), Counter())),
            "principles": {
                key: {"state": worst(counts), "counts": dict(counts)} for key, counts in rows.per_target[name].items()
            },
        }
        for name, role, zone in hosts
    ]  # fmt: skip
    gaps = [
        {"status": status, "cause": cause, "detail": detail, "targets": sorted(names), "checks": sorted(ids),
         "findings": count[0]}
        for (status, cause, detail), (names, ids, count) in rows.gaps.items()
    ]  # fmt: skip
    norms = [_norm(checks, rows)]
    return {
        "run": run,
        "principles": principles,
        "norms": norms,
        "targets": targets,
        "gaps": gaps,
        "calendar": {"entries": _calendar([name for name, _, _ in hosts]), "unseen": sorted(silent)},
    }


def _calendar(hosts: list[str]) -> list[dict[str, Any]]:
    """Three certificates: one that has ended, one that ends within a month, one that has time; soonest first."""
    return [
        {
            "sha256": digest("certificate", ends), "names": [f"{name}.zeedrecht.example"], "issuer": issuer,
            "ends": f"{ends}T12:00:00Z", "how": how, "owners": ["Team Infra"] if how != "self" else [],
            "seen": [{"target": host, "place": "443/tcp"} for host in hosts[:seen]],
        }
        for name, ends, issuer, how, seen in (
            ("oud", "2026-11-20", "CN=oud.zeedrecht.example", "self", 1),
            ("zaken", "2026-12-10", "CN=Zeedrecht Issuing CA,O=Zeedrecht", "own-ca", 5),
            ("www", "2027-05-31", "CN=Voorbeeld OV CA,O=Voorbeeld,C=NL", "public-ca", 2),
        )
    ]  # fmt: skip


def _norm(checks: list[dict[str, Any]], rows: Rows) -> dict[str, Any]:
    controls = []
    for number, title_nl, title_en, kind, testable in BIO2:
        mapped = [
            {"check": check["id"], "relation": row["relation"], "via": ""}
            for check in checks for row in check["controls"]["bio2-1.3"] if row["control"] == number
        ]  # fmt: skip
        counts = sum((rows.per_check.get(row["check"], Counter()) for row in mapped), Counter[str]())
        state = worst(counts.keys()) if mapped else ""
        outcome = {
            "": "not_covered", "fail": "nonconform", "error": "not_established", "unknown": "not_established",
            "notchecked": "not_established", "notapplicable": "notapplicable",
            "pass": "conform" if any(row["relation"] == "proves" for row in mapped) else "partly",
        }[state]  # fmt: skip
        controls.append(
            {"id": number, "title_nl": title_nl, "title_en": title_en, "kind": kind, "testable": testable,
             "confidence": "high", "outcome": outcome, "counts": dict(counts), "checks": mapped,
             "gap_nl": "De procedure eromheen." if mapped else "",
             "gap_en": "The procedure around it." if mapped else ""}
        )  # fmt: skip
    for number, title_nl, title_en in BIO2_ELSEWHERE:
        controls.append(
            {"id": number, "title_nl": title_nl, "title_en": title_en, "kind": "control", "testable": False,
             "confidence": "high", "outcome": "not_covered", "counts": {}, "checks": [],
             "gap_nl": "", "gap_en": ""}
        )  # fmt: skip
    summary = Counter(control["outcome"] for control in controls)
    return {
        "id": "bio2-1.3", "title_nl": "BIO2, Baseline Informatiebeveiliging Overheid",
        "title_en": "BIO2, Dutch government baseline",
        "version": "1.3", "date": "2026-01-09", "source": "MinBZK/Baseline-Informatiebeveiliging-Overheid",
        "status_nl": "geldend", "status_en": "in force", "confidence": "high",
        "summary": {outcome: summary[outcome] for outcome in OUTCOMES},
        "controls": controls,
    }  # fmt: skip
