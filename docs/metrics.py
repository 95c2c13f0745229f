"""Write the metrics of a run into docs/telemetry.md, from the code itself.

python -m docs.metrics          write them
python -m docs.metrics --check  only tell whether they are as the code is
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from docs.made_part import MadePart
from orchestrator.telemetry.gauges import GAUGES
from orchestrator.telemetry.metrics import name_for_prometheus

PAGE = Path(__file__).parent / "telemetry.md"


def list_metrics() -> Iterator[str]:
    """Yield the rows of the table of the metrics."""
    yield "| OpenTelemetry | `/metrics` | labels | holds |"
    yield "|---|---|---|---|"
    for gauge in GAUGES:
        labels = ", ".join(f"`{label}`" for label in gauge.labels)
        yield f"| `{gauge.name}` | `{name_for_prometheus(gauge)}` | {labels} | {gauge.text} |".replace(
            "|  |", "| |"
        )


PART = MadePart(PAGE, "docs.metrics", lambda: "".join(f"{line}\n" for line in list_metrics()))

if __name__ == "__main__":
    PART.run()
