"""The bare loop over libyaml's events that the reading of a plan is compared with.

python -m bench.programs.bare_yaml PLAN
"""

from __future__ import annotations

import sys
from pathlib import Path

from yaml.cyaml import CParser  # type: ignore[attr-defined]

from bench.programs.meter import Meter


def main() -> None:
    """Read every event of the file, and do nothing with it."""
    meter = Meter()
    with Path(sys.argv[1]).open("rb") as stream:
        next_event = CParser(stream).get_event
        while next_event() is not None:
            pass
    meter.report()


if __name__ == "__main__":
    main()
