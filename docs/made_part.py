"""The part of a page that a command writes from the code: between two comments that name the command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class MadePart(NamedTuple):
    """The part of ``page`` that ``python -m module`` writes; ``make`` returns its text as it is today."""

    page: Path
    module: str
    make: Callable[[], str]

    def read(self) -> str:
        """Return the page as it stands."""
        return self.page.read_text(encoding="utf-8")

    def renew(self) -> str:
        """Return the page with the part of today's code."""
        begin, end = (f"<!-- made by python -m {self.module}: {place} -->\n" for place in ("begin", "end"))
        before, _, rest = self.read().partition(begin)
        return f"{before}{begin}{self.make()}{end}{rest.partition(end)[2]}"

    def run(self) -> None:
        """Write the page, or with ``--check`` exit with the reason where it is not as the code is."""
        made = self.renew()
        if "--check" not in sys.argv:
            self.page.write_text(made, encoding="utf-8")
        elif made != self.read():
            sys.exit(f"{self.page.name} is not as the code is: python -m {self.module} writes it anew")
