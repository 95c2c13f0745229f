"""A thread that the system does not give is a refusal before the first request, and no bug."""

from __future__ import annotations

import threading

import pytest

from orchestrator.errors import RunError
from orchestrator.system.threads import start_thread


def test_the_work_is_done_by_a_thread_that_keeps_no_process_alive() -> None:
    done = threading.Event()

    thread = start_thread(done.set, "work")

    assert done.wait(10)
    assert (thread.name, thread.daemon) == ("work", True)


def test_a_thread_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)

    with pytest.raises(RunError, match=r"no further thread .*; nothing was sent"):
        start_thread(lambda: None, "work")
