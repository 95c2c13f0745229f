"""How long a plan of many targets takes to read, as a ratio to a bare libyaml event loop over the same file.

    python -m bench.plan_read [TARGETS] [PAIRS]

The two are measured in turn, each time in a fresh process, and the median of the pairs' ratios is printed:
absolute times on a shared machine mean nothing. The goal is 1.5, the floor 2.5.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HEAD = """\
version: 1
name: bench
gateways:
  apim:
    kind: apinizer
    url: https://apim.example.com
    auth: {token: {env: APINIZER_TOKEN}}
  roma:
    kind: roma
    url: https://roma.example.com
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    auth: {token: {env: ROMA_TOKEN}}
targets:
"""
BARE = """
from yaml.cyaml import CParser
with open(path, "rb") as stream:
    next_event = CParser(stream).get_event
    while next_event() is not None:
        pass
"""
READ = """
class Uncounted:
    def add(self, target, place): pass
    def require(self, seq, needs, place): pass
    def astray(self): return iter(())
    def duplicates(self, installations): return iter(())
read_plan(Path(path), Uncounted())
"""
MEASURE = """
import sys, time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from yaml.cyaml import CParser
from orchestrator.plan.reader import read_plan
path = sys.argv[1]
before = getrusage(RUSAGE_SELF).ru_maxrss
start = time.process_time()
{work}
print(time.process_time() - start, getrusage(RUSAGE_SELF).ru_maxrss - before)
"""
SHAPES = {
    "Apinizer, four lines a target": (
        "  - gateway: apim\n    project: Retail\n    proxy: orders-api-{0}\n    environment: production\n"
    ),
    "ROMA, two lines a target": "  - gateway: roma\n    ld_api_id: bd42841c20184da6bbf4{0:012d}\n",
    "Apinizer, one flow line a target": (
        "  - {{gateway: apim, project: Retail, proxy: orders-api-{0}, environment: production}}\n"
    ),
}


def seconds_and_memory(work: str, path: Path) -> tuple[float, int]:
    """Return the CPU seconds of ``work`` in a fresh process, and by how many KiB its memory grew."""
    command = [sys.executable, "-c", MEASURE.format(work=work), str(path)]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(words[0]), int(words[1])


def main(targets: int, pairs: int) -> None:
    """Print a line for each way to write a target."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        for name, entry in SHAPES.items():
            with path.open("w", encoding="utf-8") as out:
                out.write(HEAD)
                out.writelines(entry.format(number) for number in range(targets))
            measured = [
                (seconds_and_memory(BARE, path), seconds_and_memory(READ, path)) for _ in range(pairs)
            ]
            ratio = statistics.median(read[0] / bare[0] for bare, read in measured)
            micros = statistics.median(read[0] for _, read in measured) / targets * 1e6
            grown = max(read[1] for _, read in measured) - min(bare[1] for bare, _ in measured)
            print(f"{name}: {ratio:.2f} of bare libyaml, {micros:.0f} us a target, {grown:+,} KiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
