"""Print the lowest version that pyproject.toml allows of each runtime dependency, as `name==version`."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"

for requirement in tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]:
    lowest = re.fullmatch(r"([A-Za-z0-9._-]+)>=([0-9.]+)(?:,<[0-9.]+)?", requirement)
    if lowest is None:
        sys.exit(f"no lowest version can be read from {requirement!r}")
    sys.stdout.write(f"{lowest[1]}=={lowest[2]}\n")
