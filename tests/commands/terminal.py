"""The program on a pseudo-terminal."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer


def on_a_terminal(typed: str, *arguments: str | Path, interrupt: bool = False) -> tuple[int, str]:
    """Run ``undeploy`` on a terminal of its own, with ``typed`` at its keyboard.

    With ``interrupt`` it gets SIGINT once it has asked.
    """
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm", "COLUMNS": "100"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        patience = Timer(20, process.kill)
        patience.start()
        shown = b""
        while piece := _read(ours):
            shown += piece
            if interrupt and b"type the plan's digest" in shown:
                process.send_signal(signal.SIGINT)
                interrupt = False
        patience.cancel()
        os.close(ours)
    return process.returncode, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other side was closed
        return b""
