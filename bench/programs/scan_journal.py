"""A bare scan of a journal: each row of its targets and of their requests is fetched once.

python -m bench.programs.scan_journal JOURNAL
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing

from bench.programs.meter import Meter


def main() -> None:
    """Fetch every row, and do nothing with it."""
    meter = Meter()
    with closing(sqlite3.connect(sys.argv[1])) as connection:
        for table in ("target", "attempt"):
            for _ in connection.execute(f"SELECT * FROM {table}"):
                pass
    meter.report()


if __name__ == "__main__":
    main()
