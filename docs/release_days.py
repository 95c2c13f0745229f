"""Ask the registry when each release of the locks appeared, and write the days down: a part of `make lock`.

    python -m docs.release_days UV

UV is the program of that name: it is a client of registries that tells the time of each upload. Nothing is
installed. Where the registry tells no time, or cannot be reached, the day is left out, and so is the age in
docs/dependencies.md.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from docs.locks import DEVELOPMENT_LOCK, read_lock

DAYS = Path(__file__).parent / "release-days.toml"
PROJECT = """
[project]
name = "pins"
version = "0"
requires-python = ">={python}"
dependencies = [{pins}]
"""


def read_days() -> Mapping[str, date]:
    """Return the day of each release, as ``name==version``, with that of the locks as ``locked``."""
    days: Mapping[str, date] = tomllib.loads(DAYS.read_text(encoding="utf-8"))
    return days


def ask_registry(uv: str, pins: list[str]) -> dict[str, date]:
    """Return the day of the first upload of each release of which the registry tells it."""
    with tempfile.TemporaryDirectory() as folder:
        listed = ", ".join(f'"{pin}"' for pin in pins)
        Path(folder, "pyproject.toml").write_text(
            PROJECT.format(pins=listed, python=platform.python_version()), encoding="utf-8"
        )
        subprocess.run([uv, "lock", "--quiet", "--project", folder], check=True)
        packages = tomllib.loads(Path(folder, "uv.lock").read_text(encoding="utf-8"))["package"]
    days = {}
    for package in packages:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        times = [str(file["upload-time"]) for file in files if "upload-time" in file]
        if times:
            days[f"{package['name']}=={package['version']}"] = datetime.fromisoformat(min(times)).date()
    return days


def main() -> None:
    """Write the days of the pins of today's locks."""
    pins = [f"{pin.name}=={pin.version}" for pin in read_lock(DEVELOPMENT_LOCK).values()]
    days = dict(read_days()) if DAYS.exists() else {}
    try:
        days |= ask_registry(sys.argv[1], pins)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"the registry told no days: {error}\n")
    lines = [
        f"locked = {datetime.now(UTC).date()}",
        *(f'"{pin}" = {days[pin]}' for pin in pins if pin in days),
    ]
    text = "\n".join(["# Made by `make lock`: the day of each release's first upload.", *lines, ""])
    DAYS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
