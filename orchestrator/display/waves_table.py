"""The waves of a plan on a terminal: one line each, or all in one."""

from __future__ import annotations

from functools import partial

from rich.cells import cell_len
from rich.text import Text

from orchestrator.display.bars import draw_bar
from orchestrator.display.lanes_table import draw_count
from orchestrator.display.layout import PictureSection, choose_rows
from orchestrator.display.rows import RowColumn, TableRow, draw_rows
from orchestrator.model.live_status import LiveStatus, WaveStatus
from orchestrator.model.outcome import Outcome
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_full_minute, format_span

COLUMNS = (
    RowColumn("wave", 0, 7, 30, is_right=False),
    RowColumn("ended", 1, 9),
    RowColumn("failed", 2, 6),
    RowColumn("unknown", 3, 7),
    RowColumn("done by", 4, 8),
    RowColumn("then", 5, 0, 16, is_right=False),
    RowColumn("", 0, 7, 14, is_right=False),
)
ENOUGH = 6
"""Lines of the table before less important parts of the picture get theirs."""
MARKS = {"ended": "✓", "going": "▶", "to come": "·"}
_STYLES = {"ended": "", "going": "bold", "to come": "bright_black"}


def make_waves_section(status: LiveStatus, width: int, *, rank: int) -> PictureSection:
    """Return the waves as a section of a picture; a plan of one wave has none."""
    waves = status.waves
    size = len(waves) + 1 + (status.waves_left_out > 0) if len(waves) > 1 else 0
    return PictureSection(rank, size, partial(_draw_waves, status, width), enough=ENOUGH)


def _draw_waves(status: LiveStatus, width: int, rows: int) -> list[Text]:
    waves = status.waves
    here = next((n for n, wave in enumerate(waves) if wave.state != "ended"), len(waves) - 1)
    if rows < 4:
        return [_draw_track(status, here, width)]
    room = rows - 1 - (status.waves_left_out > 0)
    # The wave that goes on, then those to come, nearest first; of those that have ended the latest.
    chosen, left_out = choose_rows(len(waves), room, lambda n: (n - here) if n >= here else 2 * (here - n))
    lines = draw_rows(COLUMNS, [_make_row(waves[n]) for n in chosen], width)
    if more := left_out + status.waves_left_out:
        lines.append(Text(f"… {count_noun(more, 'more wave')}", "bright_black"))
    return lines


def _draw_track(status: LiveStatus, here: int, width: int) -> Text:
    """Draw the waves in one line, beginning with the one that goes on."""
    waves, before = status.waves, here
    line = Text(f"{MARKS['ended']} {before:,} ended  " if before else "")
    for n, wave in enumerate(waves[here:], here):
        text = f"{MARKS[wave.state]} {wave.name} {wave.ended:,}/{wave.total:,}"
        more = len(waves) + status.waves_left_out - n
        if line.cell_len + cell_len(text) + len(f"  … {more:,} more") > width and n > here:
            return line.append(f"… {more:,} more", "bright_black")
        line.append(f"{text}  ", _STYLES[wave.state])
    line.rstrip()
    return line


def _make_row(wave: WaveStatus) -> TableRow:
    counts = {outcome: wave.counts.get(outcome.value, 0) for outcome in Outcome}
    name = f"{MARKS[wave.state]} {wave.name}"
    step = f"step {wave.step}/{wave.steps}" if wave.step is not None else wave.state
    cells = (
        Text(name, _STYLES[wave.state]),
        Text(f"{wave.ended:,}/{wave.total:,}"),
        draw_count(counts[Outcome.FAILED], Outcome.FAILED),
        draw_count(counts[Outcome.UNKNOWN], Outcome.UNKNOWN),
        Text(f"~{format_full_minute(wave.done_by)}" if wave.done_by is not None else "·"),
        Text(_describe_next(wave)),
        Text(step),
    )
    # The bars of thirty waves to come would say nothing thirty times.
    is_begun = wave.state != "to come" or wave.ended
    return TableRow(
        cells, lambda cells: draw_bar(counts, wave.total, cells) if is_begun else Text(" " * cells)
    )


def _describe_next(wave: WaveStatus) -> str:
    if wave.state == "ended":
        return ""
    pause = f"pause {format_span(wave.pause_after)}" if wave.pause_after else ""
    return ", ".join(filter(None, (pause, "asks" if wave.asks else "")))
