"""Make the pictures of the README from the running program: docs/terminal.svg and docs/report.png.

python docs/pictures.py        needs tmux and chromium
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).parent
UNDEPLOY = Path(sys.executable).parent / "undeploy"
WIDTH, HEIGHT = 108, 22
STORM = "60%:slow@0.4,slow@0.7,500,500,reset-after,503@1"
INSTANTS = (5.0, 25.0)
"""Seconds after the start at which the terminal is looked at: in mid-run, and after the end."""


def terminal(state: str) -> None:
    """Rehearse the example in a real terminal, and draw what it showed in mid-run and at the end."""
    rehearse = f"{UNDEPLOY} rehearse plans/example.yaml --state {state} --storm '{STORM}'; sleep 60"
    tmux = ["tmux", "-L", "undeploy-pictures"]
    shown = []
    subprocess.run([*tmux, "new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), rehearse], check=True)
    try:
        for before, instant in zip((0.0, *INSTANTS), INSTANTS, strict=False):
            time.sleep(instant - before)
            seen = subprocess.run(
                [*tmux, "capture-pane", "-p", "-e"], check=True, capture_output=True, text=True
            )
            shown.append(seen.stdout.rstrip().replace(state, ".undeploy"))
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(width=WIDTH, record=True, file=nowhere, force_terminal=True)
        console.print(Text("$ undeploy rehearse plans/example.yaml"))
        console.print(Text.from_ansi(f"\n{'·' * WIDTH}\n".join(shown)), soft_wrap=True)
        console.save_svg(str(DOCS / "terminal.svg"), title="undeploy", theme=MONOKAI)


def report(state: str) -> None:
    """Photograph the report of that rehearsal."""
    page = next(Path(state).glob("rehearsals/*/report.html"))
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={profile}", "--window-size=1200,1500", "--hide-scrollbars",
                f"--screenshot={DOCS / 'report.png'}", page.absolute().as_uri(),
            ],
            check=True, capture_output=True,
        )  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        terminal(folder)
        report(folder)
