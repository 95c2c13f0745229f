"""Write the metrics of a run into docs/telemetry.md, from the code itself.

python -m docs.metrics          write them
python -m docs.metrics --check  only tell whether they are as the code is
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.telemetry.gauges import GAUGES
from orchestrator.telemetry.metrics import name_for_prometheus

PAGE = Path(__file__).parent / "telemetry.md"
BEGIN, END = (
    "<!-- made by python -m docs.metrics: begin -->\n",
    "<!-- made by python -m docs.metrics: end -->\n",
)


def list_metrics() -> Iterator[str]:
    """Yield the rows of the table of the metrics."""
    yield "| OpenTelemetry | `/metrics` | labels | holds |"
    yield "|---|---|---|---|"
    for gauge in GAUGES:
        labels = ", ".join(f"`{label}`" for label in gauge.labels)
        yield f"| `{gauge.name}` | `{name_for_prometheus(gauge)}` | {labels} | {gauge.text} |".replace(
            "|  |", "| |"
        )


def write_into(page: str) -> str:
    """Return the page with the metrics of today's code."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = "".join(f"{line}\n" for line in list_metrics())
    return f"{before}{BEGIN}{made}{END}{after}"


def main() -> None:
    """Write the page, or check it."""
    page = PAGE.read_text(encoding="utf-8")
    made = write_into(page)
    if "--check" not in sys.argv:
        PAGE.write_text(made, encoding="utf-8")
    elif made != page:
        sys.exit("docs/telemetry.md is not as the code is: python -m docs.metrics writes it anew")


if __name__ == "__main__":
    main()
