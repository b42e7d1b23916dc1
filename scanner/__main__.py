"""`keurmeester` and `python -m scanner`: the way in."""

from __future__ import annotations

import gc
import signal
import sys


def main() -> int:
    """Run the command line; the exit code. `--version` alone imports nothing else."""
    if sys.argv[1:] == ["--version"]:
        from scanner._version import __version__

        sys.stdout.write(f"keurmeester {__version__}\n")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was collected is still judged
    # What is imported stays until the end: looking among it for garbage would cost an eighth of the start.
    gc.disable()
    from scanner.cli import run

    gc.freeze()
    gc.enable()
    return run()


if __name__ == "__main__":
    sys.exit(main())
