"""The stage of a scenario: real processes, real sockets, the machine's own time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .stage import Stage, stage


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Sets a stage with so many targets of ROMA and of Apinizer; further arguments are of both seeds."""
    with ExitStack() as stack:

        def build(roma: int, apim: int, **fields: Any) -> Stage:
            return stack.enter_context(stage(tmp_path, roma, apim, **fields))

        yield build
