"""A client of yaml-language-server, by which editors check, explain and complete a YAML file."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

PROGRAM = Path(__file__).parent / "node_modules/yaml-language-server/bin/yaml-language-server"
LONGEST = 30.0
"""Seconds within which the server must say what it is asked."""

_SETTINGS = {
    "yaml": {"schemaStore": {"enable": False}, "validate": True, "completion": True, "hover": True},
    "http": {"proxyStrictSSL": True},
    "[yaml]": {},
}
"""What an editor tells the server of its settings; without the catalog it asks no other machine."""


def find_missing() -> str | None:
    """Return what is missing to start the server; None if it can be started."""
    if shutil.which("node") is None:
        return "there is no node here"
    return None if PROGRAM.exists() else "npm ci --prefix tests/editors was not run here"


class LanguageServer:
    """One server in a process of its own, spoken to as JSON-RPC over its pipes."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._asked = 0
        self._read = b""
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}

    def open(self, name: str) -> list[str]:
        """Open a file of the folder, and return what the server finds wrong, as ``LINE: WORDS``."""
        file = self._folder / name
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": file.read_text("utf-8")}
        self._notify("textDocument/didOpen", {"textDocument": document})
        while file.as_uri() not in self._diagnostics:
            self._take_message()
        found = self._diagnostics[file.as_uri()]
        return [f"{each['range']['start']['line'] + 1}: {each['message']}" for each in found]

    def explain(self, name: str, line: int, column: int) -> str:
        """Return what the server shows at a place of an open file, counted from 1; empty for nothing."""
        shown = self._ask("textDocument/hover", self._place(name, line, column))
        return shown["contents"]["value"] if shown else ""

    def complete(self, name: str, line: int, column: int) -> dict[str, str]:
        """Return the completions that the server offers at a place, with what it says of each."""
        offered = self._ask("textDocument/completion", self._place(name, line, column))
        return {item["label"]: _read_text(item.get("documentation", "")) for item in offered["items"]}

    def start(self) -> None:
        """Shake hands."""
        folder = self._folder.as_uri()
        self._ask(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": folder,
                "workspaceFolders": [{"uri": folder, "name": "plans"}],
                "capabilities": {"workspace": {"configuration": True}},
            },
        )
        self._notify("initialized", {})

    def _place(self, name: str, line: int, column: int) -> dict[str, Any]:
        uri = (self._folder / name).as_uri()
        return {"textDocument": {"uri": uri}, "position": {"line": line - 1, "character": column - 1}}

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": parameters})
        while True:
            message = self._take_message()
            if message.get("id") == self._asked and "method" not in message:
                return message["result"]

    def _notify(self, method: str, parameters: dict[str, Any]) -> None:
        self._send({"method": method, "params": parameters})

    def _take_message(self) -> dict[str, Any]:
        """Take the next message; answer the server's own questions, and keep what it finds wrong."""
        message = self._receive()
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": _answer(message)})
        return message

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        while b"\r\n\r\n" not in self._read:
            self._read_more()
        head, _, rest = self._read.partition(b"\r\n\r\n")
        (length,) = (
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
        )
        self._read = rest
        while len(self._read) < length:
            self._read_more()
        body, self._read = self._read[:length], self._read[length:]
        return json.loads(body)

    def _read_more(self) -> None:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            began = monotonic()
            assert selector.select(LONGEST), (
                f"the language server says nothing for {monotonic() - began:.0f} s"
            )
        more = os.read(self._process.stdout.fileno(), 65536)
        assert more, "the language server has ended"
        self._read += more


@contextmanager
def start_language_server(folder: Path) -> Iterator[LanguageServer]:
    """Start a server for the files of a folder, and end it."""
    process = subprocess.Popen(
        ["node", PROGRAM, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        server = LanguageServer(process, folder)
        server.start()
        yield server
    finally:
        process.kill()
        process.communicate()


def _answer(question: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return what an editor answers: its settings, and nothing to all else."""
    if question["method"] != "workspace/configuration":
        return None
    return [_SETTINGS.get(item.get("section"), {}) for item in question["params"]["items"]]


def _read_text(documentation: str | dict[str, str]) -> str:
    return documentation if isinstance(documentation, str) else documentation["value"]
