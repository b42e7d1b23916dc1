"""A third party's checks: what a host says before login."""

from __future__ import annotations

from scanner import (
    SECURE_DEPLOYMENT,
    File,
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
)


@fact
class Banner:
    """The text of /etc/issue."""

    text: str


@probe("linux", issue=File("/etc/issue"))
def banner(issue: Raw) -> Banner:
    """Text as agetty(8) shows it."""
    if "\0" in issue.text:
        raise NotUnderstood("/etc/issue is not text")
    return Banner(issue.text)


@check(
    "motd.no-version",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.HOST,
    title_nl="De tekst voor het inloggen verraadt geen versie",
    why_nl="Een versienummer helpt wie een zwakke plek zoekt.",
    fix="echo 'Alleen voor bevoegden' > /etc/issue",
    verify="cat /etc/issue",
    references=("agetty(8)",),
)
def no_version(banner: Banner) -> Verdict:
    """The text before login gives no version away.

    A version number helps whoever looks for a weak spot.
    """
    shown = [code for code in (r"\r", r"\s", r"\v", r"\m") if code in banner.text]
    return holds(not shown, f"shows {', '.join(shown)}" if shown else "shows no version")


examples(no_version, passes="Alleen voor bevoegden\n", fails="Debian \\r \\l\n", unknown="\0")
