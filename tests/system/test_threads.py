"""A thread that the system does not give is a refusal before the first request, and no bug."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

import orchestrator
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


@pytest.mark.source
def test_no_thread_of_a_run_is_begun_by_hand() -> None:
    """Two others may be: at the end, or where output is stuck, a refusal would come too late."""
    package = Path(orchestrator.__file__).parent
    texts = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in package.rglob("*.py")}

    assert {name for name, text in texts.items() if re.search(r"\bThread\(", text)} == {
        "system/streams.py",
        "system/threads.py",
        "telemetry/sending.py",
    }
