"""Ask the tools that read files again, and write the golden findings anew.

    python -m tests.hosts rhel9          needs root, and the lab's bases for the tools (tests/lab)
    python -m tests.hosts --judge rhel9  only the golden findings, from the answers as they are

What changed in the golden findings is printed with what was observed: read it line by line before it is committed,
for this is where a wrong pass becomes a wrong expectation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

from scanner import scope as scopes
from scanner.sources import Shell
from tests.hosts.recorded import INSIDE, NAMES, Host, asked, golden, judged
from tests.hosts.transcript import Answer, dump
from tests.hosts.tree import TOOLS, Tree

if TYPE_CHECKING:
    from scanner.scope import Scope


def ask_again(host: Host, scope: Scope) -> None:
    """Write answers.txt: what every source that only reads files says of the host's tree."""
    with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        Path(folder).chmod(0o755)
        tree = Tree(host, Path(folder))
        answers: dict[str, Answer] = {}
        for source in asked(host, scope):
            line = source.describe()
            if not isinstance(source, Shell) or line in host.programs or source.argv[0] not in TOOLS:
                continue
            if unknown := tree.can_answer(source):
                sys.stderr.write(
                    f"{host.name}: not recorded: {line[:100]}\n  tree.txt does not tell of {unknown}\n"
                )
            else:
                answers[line] = tree.ask(source)
        (host.folder / "answers.txt").write_text(dump(answers))


def judge_again(host: Host, scope: Scope) -> None:
    """Write findings.golden, and print what changed beside what was observed."""
    findings = judged(host, scope)
    lines, file = golden(findings), host.folder / "findings.golden"
    before = file.read_text().splitlines() if file.exists() else []
    observed = {line: finding.observed for line, finding in zip(lines, findings, strict=True)}
    for line in list(unified_diff(before, lines, lineterm="", n=0))[2:]:
        if not line.startswith("@@"):
            sys.stdout.write(f"{line}\n" + (f"      {observed[line[1:]]}\n" if line[1:] in observed else ""))
    file.write_text("".join(f"{line}\n" for line in lines))


def main() -> int:
    """Record the hosts that were asked for, else all."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description="Record recorded hosts again.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; default all")
    parser.add_argument("--judge", action="store_true", help="leave answers.txt as it is")
    arguments = parser.parse_args()
    if strange := sorted(set(arguments.names) - set(NAMES)):
        parser.error(f"there is no host {strange[0]!r}; there are {', '.join(NAMES)}")
    scope = scopes.build(scopes.load(scopes.Config()), only=INSIDE)
    for name in arguments.names or NAMES:
        if not arguments.judge:
            ask_again(Host(name), scope)
        judge_again(Host(name), scope)
    return 0


if __name__ == "__main__":
    sys.exit(main())
