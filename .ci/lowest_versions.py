"""Print the lowest version that pyproject.toml allows of each dependency that runs, as `name==version`.

Those of the extras are among them.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"

project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
extras = (each for name, each in project["optional-dependencies"].items() if name != "dev")
for requirement in (*project["dependencies"], *(one for each in extras for one in each)):
    lowest = re.fullmatch(r"([A-Za-z0-9._-]+)>=([0-9.]+)(?:,<[0-9.]+)?", requirement)
    if lowest is None:
        sys.exit(f"no lowest version can be read from {requirement!r}")
    sys.stdout.write(f"{lowest[1]}=={lowest[2]}\n")
