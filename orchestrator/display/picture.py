"""The whole picture of a live run on a terminal, for any width and height. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil

from msgspec import Struct
from rich.cells import cell_len, chop_cells
from rich.text import Text

from orchestrator.display.bars import draw_bar
from orchestrator.display.lanes_table import make_lanes_section
from orchestrator.display.layout import FILLER, PictureSection, arrange, make_section
from orchestrator.display.notices import (
    make_causes_section,
    make_controls_section,
    make_headroom_section,
    make_trouble_section,
    make_warnings_section,
    make_work_section,
)
from orchestrator.display.palette import ALARM, OUTCOME_LOOKS, TO_COME, TONE_STYLES, WARNING
from orchestrator.display.phrases import format_rate, list_late_gateways
from orchestrator.display.waves_table import make_waves_section
from orchestrator.model.live_status import LiveStatus
from orchestrator.model.outcome import Outcome
from orchestrator.report.words import OUTCOME_WORDS
from orchestrator.text.cells import cut_to_width
from orchestrator.text.counting import name_first
from orchestrator.text.formats import format_clock, format_span, format_time_of_day

CURVE = " ▁▂▃▄▅▆▇█"
NO_BREAK = "\N{NO-BREAK SPACE}"
MOST_WRAPPED = 3
"""Lines of a text that may take several."""
ANSWER = "y goes on, n stops the run; then Enter: "


class Picture(Struct, frozen=True):
    """The lines of a picture, none of them wider than it was asked for."""

    lines: Sequence[Text]
    typed_at: tuple[int, int] | None = None
    """The row and the column, from 0, where an answer is typed; None if no answer is wanted."""


def draw_picture(
    status: LiveStatus, *, width: int, height: int, answers: bool = False, link: str = ""
) -> Picture:
    """Draw ``status`` in at most ``height`` lines of at most ``width`` columns.

    ``answers``: this terminal takes the answer to the question of the status. ``link``: the run's live page.
    """
    prompt = [Text(ANSWER[:width], "bold")] if answers and status.question is not None else []
    # The prompt comes last and has no line below: Enter then only moves what is drawn anew anyway.
    sections = [*_list_sections(status, width, link)]
    lines = arrange(sections, height - len(prompt))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    typed_at = (len(lines), min(len(ANSWER), width - 1)) if prompt else None
    return Picture([*lines, *prompt], typed_at)


def _list_sections(status: LiveStatus, width: int, link: str) -> Iterator[PictureSection]:
    """Yield the sections from the top to the bottom. What an operator must not miss has the smallest rank."""
    yield make_section(4, [_draw_title(status, width)])
    if link:
        # Not between other words: a terminal makes a link of what stands on a line of its own.
        yield make_section(5, _wrap([link], width, ""))
    yield _make_text_section(9, _describe_setting(status), width)
    yield _make_text_section(9, status.run.protect, width)
    yield make_section(1, _draw_verdict(status, width))
    yield make_section(0, _draw_sentence(status, width))
    yield _make_ends_section(status, width)
    yield make_section(6, [_draw_progress(status, width)])
    yield make_section(8, [_draw_legend(status)])
    yield make_section(7, [_draw_pace(status)])
    for group in _group_tables(status, width):
        if any(section.size for section in group):
            yield _EMPTY
        yield from group
    if status.question is not None:
        yield make_section(0, _wrap([status.question], width, WARNING))


def _group_tables(status: LiveStatus, width: int) -> Iterator[Sequence[PictureSection]]:
    """Yield the sections that may have many lines, in groups with an empty line between them."""
    late = [*list_late_gateways(status.forecast)] if status.forecast is not None else []
    yield [make_waves_section(status, width, rank=5)]
    yield [
        make_lanes_section(status, width, rank=3),
        make_trouble_section(status, rank=2),
        make_work_section(status, rank=8),
    ]
    yield [make_causes_section(status, rank=4)]
    yield [
        make_headroom_section(status, rank=7),
        make_warnings_section(status, late, rank=6),
        make_controls_section(status, rank=8),
    ]


_EMPTY = make_section(FILLER, [Text("")])


def _make_text_section(rank: int, text: str, width: int) -> PictureSection:
    """Return a dim text that may take several lines, and is cut to fewer if there is no room."""
    return PictureSection(
        rank,
        len([*_wrap_one(text, width, MOST_WRAPPED)]),
        lambda rows: [Text(line, "bright_black") for line in _wrap_one(text, width, rows)],
    )


def _draw_title(status: LiveStatus, width: int) -> Text:
    run = status.run
    title = Text.assemble((" REHEARSAL ", "reverse"), " ") if run.rehearsal else Text()
    title.append(f"{'restore of ' if run.act == 'restore' else ''}{run.plan}", "bold")
    title.append(f" · run {run.id}" + (f" · session {run.session}" if run.session > 1 else ""))
    clock = format_clock(status.at)
    gap = width - title.cell_len - len(clock)
    return title.append(" " * gap).append(clock, "bright_black") if gap > 1 else title


def _describe_setting(status: LiveStatus) -> str:
    run = status.run
    stand_in = "simulators in place of " if run.rehearsal else ""
    places = [f"{lane.name} {lane.url}" for lane in status.lanes if lane.url]
    parts = [f"{run.act_words} at {stand_in}{name_first(places, 3)}" if places else run.act_words]
    if run.reason:
        parts.append(run.reason)
    if run.approval:
        parts.append(f"approved: {run.approval}")
    return "; ".join(parts)


def _draw_verdict(status: LiveStatus, width: int) -> list[Text]:
    verdict = status.verdict
    styles = {"bad": ALARM, "waiting": WARNING}
    badge = f" {verdict.state.upper()} "
    # Held together by spaces that do not break, for as long as the line is cut.
    lines = _wrap([f"{badge.replace(' ', NO_BREAK)} {verdict.headline}"], width, "bold")
    first = Text(lines[0].plain.replace(NO_BREAK, " "), "bold")
    first.stylize(styles.get(verdict.tone, f"{TONE_STYLES[verdict.tone]} reverse"), 0, len(badge))
    return [first, *lines[1:]]


def _draw_sentence(status: LiveStatus, width: int) -> list[Text]:
    lines = [status.verdict.sentence] if status.verdict.sentence else []
    if status.stopping is None:
        return _wrap(lines, width, "")
    if status.stopping not in status.verdict.sentence:
        lines.append(f"stopping: {status.stopping}")
    if status.is_interrupted and status.ended is None:
        # An own line, and not the end of a long one: it must not be cut.
        return [*_wrap(lines, width, "bold"), Text("interrupt again to leave at once", "bold")]
    return _wrap(lines, width, "bold")


def _make_ends_section(status: LiveStatus, width: int) -> PictureSection:
    """Return when the run ends, against its window: in one line if that fits, else in as many as are free."""
    line = _draw_ends(status)
    if line.cell_len > width:
        line = _draw_ends(status, is_brief=True)
    lines = [line] if line.cell_len <= width else _wrap_ends(status, width)
    return PictureSection(
        1,
        len(lines) if line.plain else 0,
        lambda rows: lines if rows >= len(lines) else [_shorten_ends(status, line)],
        1,
        len(lines),
    )


def _shorten_ends(status: LiveStatus, line: Text) -> Text:
    """Return what is told in one line that will be cut: the latest end before its reason."""
    reason, _, latest = status.verdict.done_by.rpartition("; ")
    return Text(f"{latest}; {reason}") if reason else line


def _draw_ends(status: LiveStatus, *, is_brief: bool = False) -> Text:
    told = [Text(words, style) for words, style in _list_ends(status)]
    window = _describe_window(status)
    if is_brief and told:
        window = window.partition(",")[0]
    return Text(" · ").join([*told, *([Text(window, "bright_black")] if window else [])])


def _list_ends(status: LiveStatus) -> Iterator[tuple[str, str]]:
    """Yield when the run will be done and how that fits the window, each with its style."""
    verdict = status.verdict
    if verdict.done_by:
        yield verdict.done_by, ""
    if verdict.against_close:
        yield verdict.against_close, WARNING if verdict.is_late else ""


def _wrap_ends(status: LiveStatus, width: int) -> list[Text]:
    """Return the end in several lines: its last words are the time, which a cut line would lose."""
    lines = [line for words, style in _list_ends(status) for line in _wrap([words], width, style)]
    window = Text(_describe_window(status).partition(",")[0], "bright_black")
    if lines and window.plain and lines[-1].cell_len + len(" · ") + window.cell_len <= width:
        lines[-1] = Text(" · ").join([lines[-1], window])
    elif window.plain:
        lines.append(window)
    return lines


def _describe_window(status: LiveStatus) -> str:
    opens, closes, now = status.run.opens, status.closes, status.at
    if opens is not None and opens > now:
        return f"window opens {format_time_of_day(opens, now)}, in {format_span(ceil(opens - now))}"
    if closes is None:
        return ""
    if closes <= now:
        return "window closed"
    return f"window closes {format_time_of_day(closes, now)}, in {format_span(ceil(closes - now))}"


def _draw_progress(status: LiveStatus, width: int) -> Text:
    counts = status.verdict.counts
    total, ended = counts.get("targets", 0), counts.get("ended", 0)
    # Rounded down: 100 % means that nothing is left.
    told = f" {ended * 100 // max(total, 1)}% ended"
    outcomes = {outcome: counts.get(outcome.value, 0) for outcome in Outcome}
    return draw_bar(outcomes, total, width - len(told)).append(told)


def _draw_legend(status: LiveStatus) -> Text:
    counts = status.verdict.counts
    legend = Text()
    for outcome, look in OUTCOME_LOOKS.items():
        if count := counts.get(outcome.value, 0):
            legend.append(look.character, look.bar_style).append(f" {OUTCOME_WORDS[outcome]} {count:,}  ")
    if rest := counts.get("targets", 0) - sum(counts.get(outcome.value, 0) for outcome in Outcome):
        legend.append(TO_COME.character, TO_COME.bar_style).append(f" to come {rest:,}")
    return legend


def _draw_pace(status: LiveStatus) -> Text:
    over_time = status.over_time
    # The clock may have been set back since.
    line = Text(f"{format_span(round(max(0.0, status.at - status.run.started)))} so far")
    rates = [lane.rate for lane in status.lanes if lane.rate is not None]
    if rates and status.ended is None:
        line.append(f" · {format_rate(sum(rates))}")
    counts = [sum(bucket.values()) for bucket in over_time.ended[-40:]]
    if any(counts):
        line.append(" ").append(draw_curve(counts), "color(35)")
        line.append(f" ended each {format_span(over_time.seconds)}", "bright_black")
    return line


def draw_curve(counts: Sequence[int]) -> str:
    """Return ``counts`` as a row of little columns; the greatest count is as high as a line."""
    top = max(counts, default=0)
    if not top:
        return ""
    return "".join(CURVE[-(-count * (len(CURVE) - 1) // top)] for count in counts)


def _wrap(texts: Iterable[str], width: int, style: str) -> list[Text]:
    """Return each text in at most ``MOST_WRAPPED`` lines, broken between words where that is possible."""
    return [Text(line, style) for text in texts for line in _wrap_one(text, width, MOST_WRAPPED)]


def _wrap_one(text: str, width: int, most: int) -> Iterator[str]:
    line, lines = "", 0
    for word in (piece for whole in text.split(" ") for piece in chop_cells(whole, width)):
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines += 1
            if lines == most:
                yield f"{line} …" if cell_len(line) + 2 <= width else f"{cut_to_width(line, width - 1)}…"
                return
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line
