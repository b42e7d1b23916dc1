"""How the SSH server lets people in."""

from __future__ import annotations

from scanner import DEFAULT_DENY, Command, Layer, Raw, Severity, Verdict, check, examples, fact, holds, probe, read


@fact
class Sshd:
    """What sshd will really do for a connection from outside, from its own dump (`sshd -T`)."""

    permitrootlogin: str
    port: int


@probe("linux", dump=Command("sshd -T", root=True, needs="sshd"))
def sshd(dump: Raw) -> Sshd:
    """Every line is a keyword and its arguments, sshd(8) -T."""
    return read(Sshd, {key: value for key, _, value in (line.partition(" ") for line in dump.lines)})


@check(
    "ssh.root-login",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="SSH weigert dat root rechtstreeks inlogt",
    why_nl="Root is een gedeelde naam: wie ermee inlogt, is achteraf niet te herkennen.",
    fix="echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/00-root.conf\nsystemctl reload ssh",
    verify="sshd -T | grep permitrootlogin",
    references=("sshd_config(5) PermitRootLogin",),
)
def root_login_refused(sshd: Sshd) -> Verdict:
    """SSH refuses a direct root login.

    Root is a shared name: with it nobody can tell who did what.
    """
    return holds(sshd.permitrootlogin == "no", f"PermitRootLogin {sshd.permitrootlogin}", "PermitRootLogin no")


examples(root_login_refused, passes="permitrootlogin no\nport 22", fails="permitrootlogin yes\nport 22", unknown="x")
