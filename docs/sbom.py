"""Write the bill of materials of what runs: CycloneDX 1.6, as JSON.

    python -m docs.sbom FILE [LOCK]

Names, versions and hashes come from LOCK (requirements.lock if not given), licences from the installed
metadata. The same lock gives the same bytes: the file has no time, and its serial number is made from its
components.
"""

from __future__ import annotations

import json
import sys
import tomllib
import uuid
from collections.abc import Mapping
from pathlib import Path

from docs.licences import read_licence
from docs.locks import PROJECT, ROOT, RUNTIME_LOCK, Pin, read_lock


def name_package(name: str, version: str) -> str:
    """Return the package URL, which is its reference within the bill as well."""
    return f"pkg:pypi/{name}@{version}"


def describe_pin(pin: Pin) -> dict[str, object]:
    """Return the component of one pin. It has a hash for each file of the release: wheels and sdist."""
    url = name_package(pin.name, pin.version)
    return {
        "type": "library",
        "bom-ref": url,
        "name": pin.name,
        "version": pin.version,
        "purl": url,
        "licenses": [{"expression": read_licence(pin.name)}],
        "hashes": [{"alg": "SHA-256", "content": each} for each in pin.hashes],
    }


def link_pins(root: str, pins: Mapping[str, Pin]) -> list[dict[str, object]]:
    """Return which component needs which, the program itself included."""
    references = {PROJECT: root} | {pin.name: name_package(pin.name, pin.version) for pin in pins.values()}
    return [
        {
            "ref": reference,
            "dependsOn": [references[pin.name] for pin in pins.values() if name in pin.wanted_by],
        }
        for name, reference in references.items()
    ]


def make_bill(lock: Path = RUNTIME_LOCK) -> dict[str, object]:
    """Return the bill of materials of a lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = read_lock(lock)
    root = name_package(PROJECT, project["version"])
    components = [describe_pin(pin) for pin in pins.values()]
    program = {
        "type": "application",
        "bom-ref": root,
        "name": PROJECT,
        "version": project["version"],
        "purl": root,
        "licenses": [{"expression": project["license"]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([program, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": program},
        "components": components,
        "dependencies": link_pins(root, pins),
    }


def main(path: Path, lock: Path = RUNTIME_LOCK) -> None:
    """Write the bill of a lock to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make_bill(lock), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
