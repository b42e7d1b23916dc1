"""Our walk over a list of endpoints, as a program of its own: what `bench_tls` measures.

python -m tests.bench.tls_look PARTS HOST:PORT...      prints connections and seconds
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from scanner.channels import tls
from scanner.sources import TlsWalk


def main() -> None:
    """Look at every endpoint, eight at a time, and print a line for each."""
    parts, *endpoints = sys.argv[1:]

    def look(endpoint: str) -> tuple[str, int, float]:
        host, _, port = endpoint.rpartition(":")
        raw = tls.look(TlsWalk(int(port), "www.lab.test", parts=parts), host)  # type: ignore[arg-type]
        return endpoint, raw.out.count(b"\n"), raw.took

    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        for endpoint, connections, took in pool.map(look, endpoints):
            print(endpoint, connections, took)
    print("all", round(time.perf_counter() - began, 3), file=sys.stderr)


if __name__ == "__main__":
    main()
