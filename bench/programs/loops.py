"""The two event loops that a measured program may run on."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable


def choose_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the maker of the loop with this name: asyncio or uvloop."""
    module = importlib.import_module(name)
    make: Callable[[], asyncio.AbstractEventLoop] = module.new_event_loop
    return make
