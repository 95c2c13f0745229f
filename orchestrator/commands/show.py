"""undeploy show: show everything that a run keeps about one target."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.options.display import format_option
from orchestrator.commands.options.runs import run_argument, state_option
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.journal.report_source import JournalReportSource
    from orchestrator.report.values import AttemptReport, TargetRecord


@click.command("show")
@run_argument
@click.argument("target", metavar="TARGET")
@format_option("text", "json", help_text="text, or JSON for programs.")
@state_option
def command(run: str, target: str, form: str, state: Path) -> None:
    """Show everything that a run keeps about one target.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. TARGET is the target's
    id, or a pattern, an end or a part of it that no other target of the run has.
    """
    from orchestrator.journal.run_lookup import find_run

    with find_run(state, run).open_source() as source:
        kept = source.read_target(find_target(source, target))
    for line in [render_json(kept)] if form == "json" else render_text(kept):
        click.echo(line)


def find_target(source: JournalReportSource, ref: str) -> str:
    """Return the id of the one target that ``ref`` means; raises ``UsageError`` for none, or several."""
    from orchestrator.journal.report_source import MOST_NAMED
    from orchestrator.text.characters import make_visible

    found = source.find_ids(ref)
    if len(found) == 1:
        return found[0]
    run = source.report.run.id
    if not found:
        raise UsageError(f"run {run} has no target {make_visible(ref)}; its report names all")
    names = "".join(f"\n    {make_visible(name)}" for name in found[:MOST_NAMED])
    more = "\n    and more" if len(found) > MOST_NAMED else ""
    raise UsageError(f"{make_visible(ref)} means several targets of run {run}; say which:{names}{more}")


def render_json(kept: TargetRecord) -> str:
    """Return the target's object of report.json, with its ``snapshot``."""
    import msgspec

    from orchestrator.report.formats.json import encode_target

    told = {**encode_target(kept.target), "snapshot": kept.snapshot}
    if kept.usage is not None:
        told["usage"] = {"read": kept.usage_read, **msgspec.structs.asdict(kept.usage)}
    return msgspec.json.encode(told).decode()


def render_text(kept: TargetRecord) -> Iterator[str]:
    """Yield the target as lines for people, with its state at the approval, and its outcome in restores."""
    from orchestrator.report.words import OUTCOME_WORDS
    from orchestrator.text.characters import make_visible
    from orchestrator.text.formats import format_span

    target = kept.target
    yield f"target    {make_visible(target.id)}"
    if target.name:
        yield f"name      {make_visible(target.name)}"
    yield f"gateway   {make_visible(target.gateway)} ({target.kind}), wave {make_visible(target.wave)}"
    why = f": {make_visible(target.reason)}" if target.reason else ""
    yield f"outcome   {OUTCOME_WORDS[target.outcome]}{why}"
    if target.evidence:
        yield f"evidence  {target.evidence}"
    if target.seconds is not None:
        yield f"took      {format_span(target.seconds)}"
    if approved := kept.approved:
        known = [("revision", approved.revision), ("last deploy", approved.since)]
        more = "".join(f", {name} {make_visible(value)}" for name, value in known if value)
        yield f"approved  as {approved.state}{more}"
    for restored in kept.restores:
        told = f"{restored.outcome or 'not ended'}{f': {restored.reason}' if restored.reason else ''}"
        yield f"restore   {restored.restore}: {make_visible(told)}"
    yield from _render_snapshot(kept)
    yield from _render_usage(kept)
    yield f"requests  {target.requests}"
    yield from map(_render_attempt, target.attempts)


def _render_snapshot(kept: TargetRecord) -> Iterator[str]:
    from orchestrator.text.characters import make_visible
    from orchestrator.text.formats import format_moment

    if kept.snapshot is None:
        yield "snapshot  none"
        return
    taken = kept.snapshot["taken"]
    source = _describe_source(kept, "target")
    yield f"snapshot  {kept.snapshot['verdict']}" + (
        f", taken {format_moment(taken)}{source}" if taken else ""
    )
    for name, value in kept.snapshot.items():
        if name not in ("taken", "verdict", "bindings") and value not in (None, [], {}, False):
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"          {name}: {make_visible(shown)}"
    yield from _render_bindings(kept.snapshot, _describe_source(kept, "bound"))


def _render_bindings(snapshot: Mapping[str, Any], source: str) -> Iterator[str]:
    """Yield what is bound to the target's front-end APIs; nothing for a target without any.

    ``source`` says where that was read from, if the run knows.
    """
    from msgspec import convert

    from orchestrator.model.bindings import Bindings
    from orchestrator.report.bindings import render_bindings
    from orchestrator.text.characters import make_visible

    kept = snapshot.get("bindings")
    if kept is None and not snapshot.get("fronts"):
        return
    for number, text in enumerate(render_bindings(convert(kept, Bindings | None))):
        yield f"{'bound' if not number else '':<10}{make_visible(text)}"
    if kept is not None and source:
        yield f"{'':<10}read{source}"


def _describe_source(kept: TargetRecord, part: str) -> str:
    """Return whether a part of the snapshot came off lists; nothing where the run took no such snapshot."""
    from orchestrator.text.counting import count_noun

    if kept.own_reads is None or kept.snapshot is None:
        return ""
    if kept.snapshot["verdict"] in ("unclear", "not_offered"):
        return ""
    count = kept.own_reads.bound if part == "bound" else kept.own_reads.target
    return f" with {count_noun(count, 'read')} of its own" if count else " off the gateway's lists"


def _render_usage(kept: TargetRecord) -> Iterator[str]:
    """Yield how often the target was called, and who may call; nothing where the run did not ask."""
    from orchestrator.model.usage import describe_callers, describe_calls
    from orchestrator.text.characters import make_visible
    from orchestrator.text.formats import format_moment

    if kept.usage is None or kept.usage_read is None:
        return
    yield f"calls     {make_visible(describe_calls(kept.usage))}, read {format_moment(kept.usage_read)}"
    yield f"callers   {make_visible(describe_callers(kept.usage))}"


def _render_attempt(attempt: AttemptReport) -> str:
    from orchestrator.text.characters import make_visible
    from orchestrator.text.formats import format_moment, format_span

    said = " ".join(filter(None, (attempt.code, attempt.message)))
    took = f" after {format_span(attempt.seconds)}" if attempt.seconds is not None else ""
    line = (
        f"{attempt.number:>4} {attempt.act.value:<8} {format_moment(attempt.started)}  {attempt.reply}{took}"
    )
    return f"      {line}{f': {make_visible(said)}' if said else ''}"
