"""Write the manual page and the completion files from the command line itself; the wheel installs them.

    python -m docs.manual          write them
    python -m docs.manual --check  only tell whether they are as the command line is

The page has one section a command, with the words of its ``--help``.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from orchestrator.cli import PROGRAM, undeploy
from orchestrator.version import __version__

FOLDER = Path(__file__).parent
PAGE = FOLDER / "undeploy.1"
COMPLETIONS = {
    "bash": FOLDER / "completions" / "undeploy",
    "fish": FOLDER / "completions" / "undeploy.fish",
    "zsh": FOLDER / "completions" / "_undeploy",
}
"""The file of each shell, under the name by which the shell finds it."""

ENVIRONMENT = {
    "UNDEPLOY_STATE": "The folder where runs are kept; --state takes precedence.",
    "UNDEPLOY_PROTECT_FILE": "A file with patterns of targets that no run may touch, one a line.",
    "UNDEPLOY_TRUST_STATE": "The absolute path of a state folder that is used although another user owns it, "
    "or others may write to it.",
    "HTTPS_PROXY, HTTP_PROXY, NO_PROXY": "Proxies on the way to gateways whose plan names none.",
    "SSL_CERT_FILE, SSL_CERT_DIR": "Certificates to trust in place of the system's.",
    "NO_COLOR": "No colours.",
    "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_*": "Where a trace and metrics go, with the extra `otel`.",
    "TRACEPARENT": "The span of a pipeline below which the trace of a run stands.",
}
FILES = {
    ".undeploy/runs/RUN/": "A run: plan.yaml as it was run, journal.sqlite, and the reports report.json, "
    "report.html, report.md, report.xml and report.csv.",
    ".undeploy/rehearsals/RUN/": "The same of a rehearsal.",
}


def escape(text: str) -> str:
    """Return text that roff prints as it is; what stands between backticks becomes bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


def write_prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; click marks those that keep their lines with a ``\\b``."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        first, *rest = paragraph.splitlines()
        if first.strip() == "\b":
            yield from (".nf", *(escape(line) for line in rest), ".fi")
        else:
            yield escape(" ".join(paragraph.split()))


def write_terms(terms: Mapping[str, str]) -> Iterator[str]:
    """Yield words, each with its sentence below it."""
    for word, sentence in terms.items():
        yield from (".TP", f"\\fB{escape(word)}\\fR", escape(" ".join(sentence.split())))


def list_options(command: click.Command, ctx: click.Context) -> dict[str, str]:
    """Return the options of a command, spelt as in its help, with their help."""
    records = (param.get_help_record(ctx) for param in command.get_params(ctx))
    return dict(record for record in records if record and record[1])


def write_command(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    """Yield the section of one subcommand."""
    ctx = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([PROGRAM, name, *command.collect_usage_pieces(ctx)])
    yield f'.SS "{escape(usage.strip())}"'
    yield from write_prose(command.help or "")
    yield from write_terms(list_options(command, ctx))


def write_page() -> Iterator[str]:
    """Yield the lines of the manual page."""
    ctx = click.Context(undeploy, info_name=PROGRAM, **undeploy.context_settings)
    about, _, description = inspect.cleandoc(undeploy.help or "").partition("\n\n")
    statuses = (undeploy.epilog or "").partition(": ")[2].rstrip(".").split("; ")
    yield '.\\" Made by python -m docs.manual.'
    yield f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM} {__version__}" "User Commands"'
    yield from (".nh", ".ad l")  # no hyphens within names that readers copy, and no stretched lines
    yield from (".SH NAME", f"{PROGRAM} \\- {escape(about[0].lower() + about[1:].rstrip('.'))}")
    yield from (".SH SYNOPSIS", f"\\fB{PROGRAM}\\fR {escape(' '.join(undeploy.collect_usage_pieces(ctx)))}")
    yield from (".SH DESCRIPTION", *write_prose(description))
    yield from (".SH OPTIONS", *write_terms(list_options(undeploy, ctx)))
    yield ".SH COMMANDS"
    for name in undeploy.list_commands(ctx):
        command = undeploy.get_command(ctx, name)
        assert command is not None
        yield from write_command(name, command, ctx)
    yield from (".SH EXIT STATUS", *write_terms(dict(status.split(" ", 1) for status in statuses)))
    yield from (".SH ENVIRONMENT", *write_terms(ENVIRONMENT))
    yield from (".SH FILES", *write_terms(FILES))


def write_completion(shell: str) -> str:
    """Return the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(undeploy, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    return completion.source_template % completion.source_vars()


def make_files() -> dict[Path, str]:
    """Return the text of each file, as the command line is today."""
    completions = {path: f"{write_completion(shell).strip()}\n" for shell, path in COMPLETIONS.items()}
    return {PAGE: "\n".join([*write_page(), ""])} | completions


def main() -> None:
    """Write the files, or with ``--check`` exit with the names of those that are out of date."""
    made = make_files()
    if "--check" not in sys.argv:
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
        return
    old = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    if old:
        sys.exit(f"{', '.join(old)}: not as the command line is; python -m docs.manual writes them anew")


if __name__ == "__main__":
    main()
