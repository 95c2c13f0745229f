"""Write the picture and the list of the packages into docs/architecture.md, from the code itself.

    python -m docs.packages          write them
    python -m docs.packages --check  only tell whether they are as the code is

The layers come from import-linter's contract in pyproject.toml, the sentences from the packages' docstrings,
the arrows from their imports. An arrow that follows from two others is left out: what is drawn can be read.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.shape import imports_between_rooms, read_tree
from docs.made_part import MadePart

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "orchestrator"
PAGE = ROOT / "docs" / "architecture.md"


def read_layers() -> list[list[str]]:
    """Return the rooms of the package, layer by layer, the outermost first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def first_sentence(room: str) -> str:
    """Return the first sentence of a room's docstring."""
    path = PACKAGE / room / "__init__.py"
    path = path if path.is_file() else PACKAGE / f"{room}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def direct_arrows(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the arrows without those that follow from others."""

    def reached(room: str) -> set[str]:
        return arrows[room] | {further for other in arrows[room] for further in reached(other)}

    return {
        room: others - {further for other in others for further in reached(other)}
        for room, others in arrows.items()
    }


def draw(layers: list[list[str]]) -> Iterator[str]:
    """Yield the lines of the picture, as Mermaid."""
    yield "```mermaid"
    yield "flowchart TB"
    for number, layer in enumerate(layers):
        rooms = [room for room in layer if room != "__main__"]
        if rooms:
            yield f'  subgraph layer{number}[" "]'
            yield "    direction LR"
            yield from (f"    {room}" for room in rooms)
            yield "  end"
    for room, others in sorted(direct_arrows(imports_between_rooms(read_tree(PACKAGE))).items()):
        yield from (f"  {room} --> {other}" for other in sorted(others))
    yield "```"


def write_list(layers: list[list[str]]) -> Iterator[str]:
    """Yield the layers as an ordered list, with a sentence for each of their rooms."""
    for number, rooms in enumerate(layers, 1):
        for position, room in enumerate(rooms):
            mark = f"{number}." if position == 0 else "  "
            yield (
                f"{mark:3} - **{room}**: {first_sentence(room)}"
                if len(rooms) > 1
                else f"{mark:3} **{room}**: {first_sentence(room)}"
            )


def write_packages() -> str:
    """Return the picture and the list of today's code."""
    layers = read_layers()
    return "\n".join([*draw(layers), "", *write_list(layers), ""])


PART = MadePart(PAGE, "docs.packages", write_packages)

if __name__ == "__main__":
    PART.run()
