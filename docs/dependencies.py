"""Write the tables of docs/dependencies.md, from the locks, the installed metadata and what is noted of them.

python -m docs.dependencies          write them
python -m docs.dependencies --check  only tell whether they are as the locks are
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cache

from docs.licences import NOTES, read_licence
from docs.locks import DEVELOPMENT_LOCK, EXTRAS_LOCK, PROJECT, ROOT, RUNTIME_LOCK, Pin, read_lock
from docs.made_part import MadePart
from docs.release_days import read_days

PAGE = ROOT / "docs" / "dependencies.md"
UNKNOWN = "not known"


@cache
def read_purposes() -> Mapping[str, str]:
    """Return what each package is for that pyproject.toml names."""
    purposes: Mapping[str, str] = tomllib.loads(NOTES.read_text(encoding="utf-8"))["purpose"]
    return purposes


def describe_use(pin: Pin) -> str:
    """Return what a package is for: its purpose, or else the packages that need it."""
    if PROJECT not in pin.wanted_by:
        return "needed by " + ", ".join(pin.wanted_by)
    if pin.name not in read_purposes():
        raise ValueError(f"{NOTES.name} does not say what {pin.name} is for")
    return read_purposes()[pin.name]


def write_rows(pins: Iterable[Pin], days: Mapping[str, date]) -> Iterator[str]:
    """Yield a table of packages; ``days`` has their releases' days, and that of the locks as ``locked``."""
    yield "| package | version | licence | released | age in days | for |"
    yield "|---|---|---|---|---|---|"
    for pin in pins:
        day = days.get(f"{pin.name}=={pin.version}")
        age = str((days["locked"] - day).days) if day else UNKNOWN
        cells = (pin.name, pin.version, read_licence(pin.name), str(day or UNKNOWN), age, describe_use(pin))
        yield f"| {' | '.join(cells)} |"


def write_tables() -> str:
    """Return the tables of today's locks: what runs, what the extras add, and what tests and builds."""
    runtime, extras, development = map(read_lock, (RUNTIME_LOCK, EXTRAS_LOCK, DEVELOPMENT_LOCK))
    added = [pin for pin in extras.values() if pin.name not in runtime]
    others = [pin for pin in development.values() if pin.name not in extras]
    days = read_days()
    lines = [
        f"The locks are of {days['locked']}; ages are counted until that day.",
        "",
        f"## What runs: {len(runtime)} packages",
        "",
        *write_rows(runtime.values(), days),
        "",
        f"## Extras: {len(added)} packages more",
        "",
        *write_rows(added, days),
        "",
        f"## Tests and builds: {len(others)} packages more",
        "",
        *write_rows(others, days),
    ]
    return "\n".join([*lines, ""])


PART = MadePart(PAGE, "docs.dependencies", write_tables)

if __name__ == "__main__":
    PART.run()
