"""`keurmeester` and `python -m scanner`: the way in."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; the exit code. `--version` alone imports nothing else."""
    if sys.argv[1:] == ["--version"]:
        from scanner._version import __version__

        sys.stdout.write(f"keurmeester {__version__}\n")
        return 0
    from scanner.cli import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
