"""The lines below the tables of the live picture: lanes in trouble, causes, headroom, warnings, controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from math import ceil

from rich.text import Text

from orchestrator.display.lane_progress import BRIEF_PAUSE
from orchestrator.display.layout import PictureSection
from orchestrator.display.palette import ALARM, OUTCOME_LOOKS, WARNING
from orchestrator.model.causes import CauseGroup
from orchestrator.model.live_status import LaneStatus, LiveStatus, RuleHeadroom
from orchestrator.model.outcome import drop_word
from orchestrator.report.words import OUTCOME_WORDS, name_target
from orchestrator.text.counting import count_noun, name_first
from orchestrator.text.formats import format_clock, format_span

NEAR_RANK = 5
MOST_CONTROLS = 3
"""The newest acts of operators that are shown."""


def make_list_section(
    rank: int, lines: Sequence[Text], noun: str, *, least: int = 1, enough: int = 1
) -> PictureSection:
    """Return a section of lines of which the first are shown, and the others counted as ``noun``."""
    return PictureSection(rank, len(lines), partial(_cut_list, lines, noun), least, enough)


def _cut_list(lines: Sequence[Text], noun: str, rows: int) -> list[Text]:
    if rows >= len(lines):
        return list(lines)
    if rows == 1:
        return [lines[0]]
    more = count_noun(len(lines) - rows + 1, f"more {noun}")
    return [*lines[: rows - 1], Text(f"… {more}", "bright_black")]


def make_trouble_section(status: LiveStatus, *, rank: int) -> PictureSection:
    """Return a line for each lane that does not work, with the reason."""
    lines = [_describe_trouble(lane, status.at) for lane in status.lanes if _is_in_trouble(lane)]
    return make_list_section(rank, lines, "gateway", enough=4)


def _is_in_trouble(lane: LaneStatus) -> bool:
    # A gateway that throttles pauses its lane every second, which the table shows.
    is_brief = lane.until is not None and lane.since is not None and lane.until - lane.since <= BRIEF_PAUSE
    return lane.state != "open" and not is_brief


def _describe_trouble(lane: LaneStatus, now: float) -> Text:
    style = ALARM if lane.state == "closed" else WARNING
    text = Text.assemble((" ! ", style), " ", (lane.name, "bold"), f" {lane.state_words.partition(':')[0]}")
    if lane.probe_at is not None and not lane.given_up:
        text.append(f", probe in {format_span(ceil(max(0.0, lane.probe_at - now)))}")
    if lane.gives_up_at is not None and not lane.given_up:
        text.append(f", gives up {format_clock(lane.gives_up_at)}")
    # The reason comes last: it may be long, and its end can be spared.
    return text.append(f": {drop_word(lane.reason, lane.state)}") if lane.reason else text


def make_work_section(status: LiveStatus, *, rank: int) -> PictureSection:
    """Return a line for each lane that repeats requests or reads a list."""
    return make_list_section(rank, list(_list_work(status.lanes)), "gateway")


def _list_work(lanes: Sequence[LaneStatus]) -> Iterator[Text]:
    for lane in lanes:
        if lane.list_asked:
            yield Text.assemble("· ", (lane.name, "bold"), f" {lane.list_asked}")
        elif lane.repeating and lane.fault and lane.state == "open":
            targets = count_noun(lane.repeating, "target")
            yield Text.assemble("↻ ", (lane.name, "bold"), f" repeats {targets}: {lane.fault}")


def make_causes_section(status: LiveStatus, *, rank: int) -> PictureSection:
    """Return the targets that did not reach the goal, grouped by cause, the failed ones first."""
    width = max((len(f"{cause.count:,}") for cause in status.causes), default=0)
    lines = [_describe_cause(cause, width) for cause in status.causes]
    return make_list_section(rank, lines, "cause", least=2, enough=5)


def _describe_cause(cause: CauseGroup, width: int) -> Text:
    look = OUTCOME_LOOKS[cause.outcome]
    badge = f" {look.character} {cause.count:>{width},} {OUTCOME_WORDS[cause.outcome]} "
    line = Text.assemble((badge, look.count_style), " ", (cause.label, "bold" if look.count_style else ""))
    if cause.text and cause.text != cause.label:
        line.append(f": {drop_word(cause.text, cause.label)}")
    if cause.gateways:
        line.append(f" · {name_first(cause.gateways, 2)}", "bright_black")
    for target, name in islice(cause.list_examples(), 1):
        line.append(f" · {name_target(target, name)}", "bright_black")
    return line


def make_headroom_section(status: LiveStatus, *, rank: int) -> PictureSection:
    """Return the stop rules, the one that is nearest to stopping the run first.

    If one is near, the section is more important than its ``rank``.
    """
    rules = sorted(
        (rule for rule in status.headroom if rule.more is not None), key=lambda rule: rule.more or 0
    )
    rank = NEAR_RANK if any(rule.near for rule in rules) else rank
    return make_list_section(rank, [_describe_headroom(rule) for rule in rules], "stop rule")


def _describe_headroom(rule: RuleHeadroom) -> Text:
    return Text(f"stop rule {rule.text}", "yellow" if rule.near else "bright_black")


def make_warnings_section(status: LiveStatus, late: Sequence[str], *, rank: int) -> PictureSection:
    """Return the warnings, those on the window and on the restore first."""
    lines = [*late]
    if lost := status.unrestorable:
        lines.append(f"{lost:,} went down, or may have, that a restore cannot bring back")
    lines += reversed(status.warnings)
    return make_list_section(rank, [Text(f"! {text}", "yellow") for text in lines], "warning", enough=3)


def make_controls_section(status: LiveStatus, *, rank: int) -> PictureSection:
    """Return the newest acts of operators, the newest last."""
    lines = [Text(f"» {text}") for text in _list_controls(status)]
    return PictureSection(rank, len(lines), lambda rows: lines[-rows:])


def _list_controls(status: LiveStatus) -> Iterator[str]:
    for control in status.controls[-MOST_CONTROLS:]:
        origin = f" ({control.origin})" if control.origin else ""
        yield f"{format_clock(control.at)} {control.by}{origin}: {control.act}"
