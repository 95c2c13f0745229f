"""Threads of this process that go with it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from orchestrator.errors import RunError


def start_thread(work: Callable[[], object], name: str) -> Thread:
    """Start a daemon thread. Raises RunError if the system gives this process no further one.

    The message says that nothing was sent, so call this before a session sends anything.
    """
    thread = Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # too little memory, or a limit to the tasks of this user
        raise RunError(
            f"the system gives this process no further thread ({error}); nothing was sent."
            " Raise its limits of memory and of tasks"
        ) from error
    return thread
