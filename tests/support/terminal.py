"""The program on a pseudo-terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

QUESTION = re.compile(rb"type the \w+'s digest, \w{8}: |\[y/N\] ")


def on_a_terminal(
    typed: str, *arguments: str | Path, interrupt: bool = False, ahead: str = ""
) -> tuple[int, str]:
    """Run ``undeploy`` on a terminal of its own; each line of ``typed`` answers the next question.

    ``ahead`` is typed before anything is shown. With ``interrupt`` it gets SIGINT once it has asked.
    """
    ours, theirs = pty.openpty()
    os.write(ours, ahead.encode())
    answers = typed.splitlines(keepends=True)
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
        shown, asked = b"", 0
        while piece := _read(ours):
            shown += piece
            while len(QUESTION.findall(shown)) > asked:
                if interrupt:
                    process.send_signal(signal.SIGINT)
                elif asked < len(answers):
                    os.write(ours, answers[asked].encode())
                asked += 1
        patience.cancel()
        os.close(ours)
    return process.returncode, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other side was closed
        return b""
