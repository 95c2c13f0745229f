"""The lanes of a run as a table on a terminal, one line a gateway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from rich.text import Text

from orchestrator.display.bars import draw_bar
from orchestrator.display.layout import PictureSection, choose_rows
from orchestrator.display.palette import LANE_STYLES, OUTCOME_LOOKS
from orchestrator.display.phrases import format_bound, format_rate
from orchestrator.display.rows import RowColumn, TableRow, draw_rows
from orchestrator.model.live_status import LaneStatus, LiveStatus
from orchestrator.model.outcome import Outcome
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_full_minute

COLUMNS = (
    RowColumn("gateway", 0, 7, 24, is_right=False),
    RowColumn("ended", 1, 9),
    RowColumn("failed", 2, 6),
    RowColumn("unknown", 3, 7),
    RowColumn("in flight", 4, 9),
    RowColumn("done by", 5, 8),
    RowColumn("rate", 6, 7),
    RowColumn("at most", 7, 7),
    RowColumn("to repeat", 8, 9),
    RowColumn("429s", 9, 5),
    RowColumn("lane", 0, 11, 14, is_right=False),
)
ENOUGH = 7
"""Lines of the table before less important parts of the picture get theirs."""
# A lane that needs attention is named first where there is no room for all.
_URGENCY = ("closed", "given up", "parked", "paused", "open", "stopped", "done")


def make_lanes_section(status: LiveStatus, width: int, *, rank: int) -> PictureSection:
    """Return the table of the lanes as a section of a picture that is ``width`` wide."""
    lanes = status.lanes
    # With the headings at least one lane, and the line on the others.
    least = min(len(lanes) + 1, 3)
    size = len(lanes) + 1 + (status.lanes_left_out > 0) if lanes else 0
    return PictureSection(rank, size, partial(_draw_lanes, status, width), least, ENOUGH)


def _draw_lanes(status: LiveStatus, width: int, rows: int) -> list[Text]:
    lanes = status.lanes
    room = rows - 1 - (status.lanes_left_out > 0)
    chosen, left_out = choose_rows(len(lanes), room, lambda n: (_URGENCY.index(name_state(lanes[n])), n))
    lines = draw_rows(COLUMNS, [_make_row(lanes[n]) for n in chosen], width)
    if left_out or status.lanes_left_out:
        others = [lane for n, lane in enumerate(lanes) if n not in chosen]
        lines.append(_tell_others(others, left_out + status.lanes_left_out))
    return lines


def _tell_others(others: Sequence[LaneStatus], count: int) -> Text:
    states = Counter(name_state(lane) for lane in others)
    told = ", ".join(f"{states[state]:,} {state}" for state in _URGENCY if states[state])
    return Text(f"… {count_noun(count, 'more gateway')}{f': {told}' if told else ''}", "bright_black")


def name_state(lane: LaneStatus) -> str:
    """Return the state of a lane in one or two words."""
    if lane.state == "open":
        return lane.state_words
    return "given up" if lane.given_up else lane.state


def _make_row(lane: LaneStatus) -> TableRow:
    counts = {outcome: lane.counts.get(outcome.value, 0) for outcome in Outcome}
    cells = (
        Text(lane.name, "bold"),
        Text(f"{lane.ended:,}/{lane.total:,}"),
        draw_count(counts[Outcome.FAILED], Outcome.FAILED),
        draw_count(counts[Outcome.UNKNOWN], Outcome.UNKNOWN),
        Text(_format_in_flight(lane)),
        Text(f"~{format_full_minute(lane.done_by)}" if lane.done_by is not None and lane.left else "·"),
        Text(format_rate(lane.rate) if lane.rate is not None else "·"),
        Text(f"≤ {format_bound(lane.bound)}" if lane.bound is not None else "·"),
        Text(f"{lane.repeating:,}" if lane.repeating else "·"),
        Text(f"{lane.refused:,}" if lane.refused else "·"),
        Text(_format_state(lane), LANE_STYLES[lane.state]),
    )
    return TableRow(cells, lambda cells: draw_bar(counts, lane.total, cells))


def draw_count(count: int, outcome: Outcome) -> Text:
    """Draw how many targets have an outcome, in its colours; a dot for none."""
    return Text(f"{count:,}", OUTCOME_LOOKS[outcome].count_style) if count else Text("·")


def _format_in_flight(lane: LaneStatus) -> str:
    of = f"/{lane.limit:,}" if lane.limit is not None else ""
    return f"{lane.in_flight:,}{of}" if lane.in_flight else "·"


def _format_state(lane: LaneStatus) -> str:
    # The reason stands below the table, where there is more room.
    return lane.state_words.partition(":")[0] if lane.state == "paused" else name_state(lane)
