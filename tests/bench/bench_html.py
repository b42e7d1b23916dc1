"""The HTML report of 200,000 findings, against a jinja2 page with a table of them all, from the same run folder.

Both read results.jsonl with the same parser and show the same columns. Each measurement is a process of its own, so
that the peak of memory is its own too. What Python and jinja2 keep as bytecode after the first run (imports, compiled
templates) does not count, for neither.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jinja2

from reports import html
from reports.runfolder import RunFolder, parse
from tests import report_data
from tests.bench import figure

HOSTS, CHECKS = 1000, 200
ROUNDS = 3

TABLE = """<!doctype html><meta charset="utf-8"><title>r</title><table>
{% for r in rows %}<tr class="{{ r.status }}"><td>{{ r.status }}<td>{{ r.severity }}<td>{{ r.target }}
<td>{{ r.subject }}<td>{{ checks[r.check].title_nl }}<td>{{ r.check }}<td>{{ r.observed }}<td>{{ r.expected }}</tr>
{% endfor %}</table>"""


def table(run: Path, template: jinja2.Template) -> Path:
    """What one would write without thinking: every row in the page, streamed."""
    folder = RunFolder.open(run)
    page = run / "table.html"
    with (run / "results.jsonl").open("rb") as lines, page.open("w", encoding="utf-8") as out:
        stream = template.stream(rows=map(parse, lines), checks=folder.checks)
        stream.enable_buffering(1000)
        out.writelines(stream)
    return page


def measure(kind: str, run: Path) -> None:
    """One measurement in this process."""
    plain = jinja2.Environment(autoescape=True).from_string(TABLE)
    html.template()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, worked = time.perf_counter(), time.process_time()
    page = html.write(run) if kind == "report" else table(run, plain)
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - started,
                "cpu": time.process_time() - worked,
                "bytes": page.stat().st_size,
                "peak": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
            }
        )
    )


def measured(kind: str, run: Path) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.bench_html", kind, str(run)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Alternate both, and print the medians as ratios."""
    with tempfile.TemporaryDirectory() as folder:
        run = report_data.fleet(Path(folder) / "run", hosts=HOSTS, checks=CHECKS)
        pairs = [(measured("report", run), measured("table", run)) for _ in range(ROUNDS)]

    def median(name: str) -> float:
        return statistics.median(ours[name] / theirs[name] for ours, theirs in pairs)

    ours = pairs[0][0]
    figure("HTML of 200,000 findings: wall, x a jinja2 table of all rows", median("wall"), "<= 0.15")
    figure("HTML of 200,000 findings: cpu, x a jinja2 table of all rows", median("cpu"), "<= 0.15")
    figure("HTML of 200,000 findings: bytes, x a jinja2 table of all rows", median("bytes"), "<= 0.1")
    figure("HTML of 200,000 findings: peak memory added, MiB", ours["peak"], "<= 50")
    figure("HTML of 200,000 findings: seconds", ours["wall"], "")
    figure("HTML of 200,000 findings: MB", ours["bytes"] / 1e6, "")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
