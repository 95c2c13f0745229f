"""Run the commands of a tutorial or a story against the simulators, and write their output into the page.

    python -m docs.stories          write all pages anew
    python -m docs.stories PAGE...  write these

A block with a title is a file, which is written into an empty folder. A block `console` holds commands, each
after a "$ ", with what they print. They run in one shell, in the order of the page. What goes on in the
background is ended with the shell.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from getpass import getuser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple

DOCS = Path(__file__).parent
PAGES = [DOCS / "tutorial.md", *sorted((DOCS / "stories").glob("*.md"))]
BLOCK = re.compile(
    r"^```(?P<kind>\w+)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
PORTS = ("8791", "8792")
"""The ports that the pages name. A test takes two free ones in their place; a page is written with these,
since they stand in plans, and a reader gets the digests that the page shows."""

_WHO = f"by {getuser()} on {socket.gethostname()}"
_END = "\x1e"  # ends a command's output; no command prints it


class Command(NamedTuple):
    """A command of a page, with the lines that it printed when the page was written."""

    line: str
    printed: list[str]


def record(page: Path, ports: tuple[str, str] | None = None) -> str:
    """Run the commands of a page in an empty folder; return the page with what they print now.

    ``ports``: the ports for those that the page names; two free ones if not given.
    """
    text = page.read_text(encoding="utf-8")
    with TemporaryDirectory() as folder, _open_shell(Path(folder), ports or _find_ports()) as shell:

        def renew(block: re.Match[str]) -> str:
            if block["file"]:
                Path(folder, block["file"]).write_text(shell.to_run(block["text"]), encoding="utf-8")
            elif block["kind"] == "console":
                lines = [line for each in split_commands(block["text"]) for line in shell.run(each)]
                return "\n".join(["```console", *lines, "```"])
            return block[0]

        return BLOCK.sub(renew, text)


def split_commands(text: str) -> Iterator[Command]:
    """Yield the commands of a block."""
    command: Command | None = None
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command
            command = Command(line.removeprefix("$ "), [])
        elif command:
            command.printed.append(line)
    if command:
        yield command


def mask(text: str) -> str:
    """Return a page without what differs from one recording to the next: ids, digests, numbers, widths.

    A duration may have another unit, too: ``920 ms`` and ``1 min 02 s`` read alike.
    """
    text = re.sub(r"\b\d{8}-\d{9}-(?P<name>[a-z-]+)-[0-9a-f]{4}\b", r"<\g<name>>", text)
    text = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{8,64}\b", "<hex>", text)
    text = re.sub(r"\d[\d,.]*", "<n>", text)
    text = re.sub(r"<n> (?:min <n> s|min|ms|s)\b", "<time>", text)
    return re.sub(r" +", " ", text)


class Shell:
    """One bash in a folder. ``ports`` stand in for those that the pages name."""

    def __init__(self, process: subprocess.Popen[str], ports: tuple[str, str]) -> None:
        self._input, self._output = _get_pipes(process)
        self._ports = ports

    def to_run(self, text: str) -> str:
        """Return a text of a page with the ports that are free."""
        return _replace(text, PORTS, self._ports)

    def run(self, command: Command) -> Iterator[str]:
        """Run a command; yield the lines of the page: the command and what it printed.

        Of one that goes on in the background, wait for as many lines as the page has.
        """
        yield f"$ {command.line}"
        line = (
            f"(exit ${{status:-0}}); {self.to_run(command.line)}"  # so that $? is that of the command before
        )
        self._input.write(f"{{ {line}\n}} </dev/null; status=$?; printf '{_END}\\n'\n")
        self._input.flush()
        background = command.line.endswith("&")
        lines: list[str] = []
        ended = False
        while not ended or (background and len(lines) < len(command.printed)):
            printed = self._output.readline()
            if not printed:
                raise EOFError(f"the shell ended during: {command.line}")
            before, end, _ = printed.rstrip("\n").partition(_END)
            ended = ended or bool(end)
            if before or not end:
                lines.append(_replace(before, self._ports, PORTS).replace(_WHO, "by ops on jump01").rstrip())
        yield from lines


@contextmanager
def _open_shell(folder: Path, ports: tuple[str, str]) -> Iterator[Shell]:
    """Start a shell in a folder, with this program first on its path; end it and all that it started."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
    }
    with subprocess.Popen(
        ["bash", "--norc", "-s"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            yield Shell(process, ports)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _get_pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the shell has no pipes")
    return process.stdin, process.stdout


def _find_ports() -> tuple[str, str]:
    """Return two free ports in a row."""
    while True:
        with closing(socket.socket()) as first, closing(socket.socket()) as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return str(port), str(port + 1)


def _replace(text: str, old: tuple[str, ...], new: tuple[str, ...]) -> str:
    table = dict(zip(old, new, strict=True))
    return re.sub("|".join(table), lambda found: table[found[0]], text)


def main() -> None:
    """Write the pages that the command line names, or all of them."""
    for page in [Path(name) for name in sys.argv[1:]] or PAGES:
        page.write_text(record(page, PORTS), encoding="utf-8")


if __name__ == "__main__":
    main()
