"""Command lines of undeploy in texts: in prose, shell, crontabs, units, pipelines, and lists of YAML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

from orchestrator.cli import COMMANDS, PROGRAM, undeploy

_FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_START = re.compile(rf"(?<![\w.-]){PROGRAM} (?=(?:--state \S+ )?(?:{'|'.join(COMMANDS)})\b)")
_CONTINUED = re.compile(r"\\\n\s*")
_ENDS = frozenset("`;&|<>)\n")
"""Characters that end a command outside quotes. In a page a ``#`` after a space begins a comment as well."""


class Fence(NamedTuple):
    """A fenced block of a page: the word behind its fence, and its text."""

    language: str
    text: str


def list_fences(page: Path, *languages: str) -> list[Fence]:
    """Return the fenced blocks of a page that are in one of the languages."""
    found = (Fence(each["language"], each["text"]) for each in _FENCE.finditer(page.read_text("utf-8")))
    return [fence for fence in found if fence.language in languages]


def find_command_lines(text: str) -> list[list[str]]:
    """Return the arguments of each command line of undeploy in ``text``.

    The bare name of a command between backticks is a mention, and no command line.
    """
    text = _CONTINUED.sub("", text)
    lines = []
    for start in _START.finditer(text):
        arguments = shlex.split(_cut_command(text[start.end() :]))
        mention = len(arguments) == 1 and text[start.start() - 1 : start.start()] == "`"
        if not mention:
            lines.append(arguments)
    return lines


def _cut_command(rest: str) -> str:
    """Return ``rest`` up to the end of its command: an operator, a comment, or the quote around it."""
    quote = ""
    for index, character in enumerate(rest):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            if character not in rest[index + 1 :].partition("\n")[0]:
                return rest[:index]
            quote = character
        elif character in _ENDS or rest.startswith(" #", index):
            return rest[:index]
    return rest


def find_argument_lists(value: Any) -> Iterator[list[str]]:
    """Yield undeploy's arguments where a document has them in a list, behind its program or beside it."""
    if isinstance(value, dict):
        if value.get("command") == [PROGRAM]:
            yield value["args"]
        for each in value.values():
            yield from find_argument_lists(each)
    elif isinstance(value, list):
        if value[:1] == [PROGRAM] and value[1:]:
            yield value[1:]
        for each in value:
            yield from find_argument_lists(each)


def list_command_lines(page: Path) -> list[list[str]]:
    """Return the arguments of each command line on a page, as text and in its blocks of YAML."""
    documents = (
        document
        for fence in list_fences(page, "yaml")
        if PROGRAM in fence.text
        for document in yaml.safe_load_all(fence.text)
    )
    lists = [found for document in documents for found in find_argument_lists(document)]
    return [*find_command_lines(page.read_text("utf-8")), *lists]


def parse_command_line(arguments: Sequence[str]) -> click.Context:
    """Let the program's own commands parse the arguments, and do nothing more. Raises ``UsageError``."""
    with undeploy.make_context(PROGRAM, list(arguments)) as context:
        name, command, rest = undeploy.resolve_command(context, [*context._protected_args, *context.args])
        assert name is not None
        assert command is not None
        return command.make_context(name, rest, parent=context)
