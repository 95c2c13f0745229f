"""The messages of a run: which of its events people are told, and in which words. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.display.progress import RunProgress
from orchestrator.display.verdict import compose_headline
from orchestrator.model.events import AnyEvent, LaneChanged, RunStarted, WaveEnded
from orchestrator.model.outcome import TROUBLE
from orchestrator.model.plan import NotificationKind
from orchestrator.report.words import name_act
from orchestrator.text.characters import show_briefly
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_unix_time

MessageTone = Literal["info", "success", "warning", "failure"]

LONGEST_TEXT = 300
"""Characters of a text from outside, such as a vendor's message."""

LONGEST_NAME = 80
"""Characters of the name of a plan or of a wave in a title, so that the news behind it is not cut."""

MOST_GATEWAYS = 10
"""Gateways that the first message names."""

LONGEST_SUMMARY = 6000
"""Characters of the summary at the end. A service may take fewer, and then apprise cuts it."""

_HARMLESS = str.maketrans(
    {"@": "\uff20", "<": "\u2039", ">": "\u203a", "[": "\uff3b", "]": "\uff3d", "`": "'"}
)
"""Characters that services turn into mentions, links and code, and others that look like them."""


class RunMessage(Struct, frozen=True, kw_only=True):
    """One message for people."""

    kind: NotificationKind
    title: str
    body: str
    tone: MessageTone = "info"
    markdown: bool = False
    """Whether the body is Markdown; otherwise it is plain text."""


class MessageMaker:
    """Makes a message of an event that is worth one."""

    def __init__(self) -> None:
        self._progress = RunProgress()

    @property
    def has_begun(self) -> bool:
        """Whether a session has begun; a resume of a run that has reached its end begins none."""
        return self._progress.started is not None

    def observe(self, event: AnyEvent) -> RunMessage | None:
        """Return the message for an event; None for most events."""
        self._progress.observe(event)
        match event:
            case RunStarted():
                return _describe_start(event)
            case WaveEnded():
                return self._describe_wave(event)
            case LaneChanged(state="parked" | "closed"):
                return self._describe_lane(event)
        return None

    def make_failure(self, error: str) -> RunMessage | None:
        """Return the message of an error that ended the command; None if no session had begun by then."""
        if not self.has_begun:
            return None
        return RunMessage(
            kind="stopped",
            title=self._compose_title("ended with an error"),
            body=quote_outside(error),
            tone="failure",
        )

    def _describe_wave(self, event: WaveEnded) -> RunMessage:
        progress = self._progress
        number, of = progress.waves[event.wave].number, len(progress.waves)
        over = "has ended" if progress.stopping is None else "was broken off"
        is_bad = any(map(progress.count_in_run, TROUBLE)) or progress.stopping is not None
        return RunMessage(
            kind="wave_ended",
            title=self._compose_title(f"wave {_shorten(event.wave)} {over} ({number} of {of})"),
            body=compose_headline(progress),
            tone="warning" if is_bad else "info",
        )

    def _describe_lane(self, event: LaneChanged) -> RunMessage:
        state = "given up" if event.given_up else event.state
        return RunMessage(
            kind="parked",
            title=self._compose_title(f"gateway {event.gateway} is {state}"),
            body=quote_outside(event.reason or "no reason is known"),
            tone="warning" if event.state == "parked" and not event.given_up else "failure",
        )

    def _compose_title(self, news: str) -> str:
        """Return a title that tells which run it is: a channel may hear of several, and of rehearsals."""
        if (started := self._progress.started) is None:
            return quote_outside(news)
        rehearsal = "rehearsal of " if started.rehearsal else ""
        restore = "restore of " if started.act == "restore" else ""
        return quote_outside(f"{rehearsal}{restore}{_shorten(started.plan)}: {news}")


def _describe_start(event: RunStarted) -> RunMessage:
    act = name_act(event.act, rehearsal=event.rehearsal)
    begun = "is resumed" if event.resumed else "has begun"
    return RunMessage(
        kind="started",
        title=quote_outside(f"{act} of {_shorten(event.plan)} {begun}"),
        body="\n".join(_list_facts(event)),
    )


def _list_facts(event: RunStarted) -> list[str]:
    facts = [f"run: {event.run}"]
    if event.reason:
        facts.append(f"reason: {quote_outside(event.reason)}")
    facts.append(f"targets: {sum(event.left.values()):,} of {event.targets:,} to be done")
    names = list(event.left.items())
    facts += [f"  {quote_outside(name)}: {count:,}" for name, count in names[:MOST_GATEWAYS]]
    if len(names) > MOST_GATEWAYS:
        facts.append(f"  and {count_noun(len(names) - MOST_GATEWAYS, 'gateway')} more")
    if event.closes is not None:
        facts.append(f"the window closes at {format_unix_time(event.closes)}")
    if event.approval:
        facts.append(f"approval: {quote_outside(event.approval)}")
    return facts


def make_last_message(
    plan: str, ending: str, summary: str, head: str | None, *, exit_status: int, complete: bool
) -> RunMessage:
    """Return the message at the end of a run of ``plan``.

    ``ending`` says how it ended, ``summary`` is report.md, and ``head`` is that of the journal.
    """
    cut = summary if len(summary) <= LONGEST_SUMMARY else _cut_at_line(summary)
    head_line = f"\n\njournal head: {head}" if head else ""
    return RunMessage(
        kind="ended" if complete else "stopped",
        title=quote_outside(f"{_shorten(plan)}: {ending}"),
        body=f"{_disarm(cut)}{head_line}",
        tone="success" if exit_status == 0 else "failure",
        markdown=True,
    )


def _cut_at_line(text: str) -> str:
    kept = text[:LONGEST_SUMMARY]
    return f"{kept[: kept.rfind(chr(10))]}\n\n(cut; the reports have the rest)"


def _shorten(name: str) -> str:
    return show_briefly(name, LONGEST_NAME)


def quote_outside(text: str) -> str:
    """Return a text with parts from outside so that no service takes them for a mention, a link or code."""
    return show_briefly(text, LONGEST_TEXT).translate(_HARMLESS)


def _disarm(markdown: str) -> str:
    """Return Markdown of our own, in which texts from outside are escaped already, without mentions."""
    return markdown.replace("@", "\uff20").replace("<!", "\u2039!").replace("<http", "\u2039http")


def merge_messages(messages: list[RunMessage], left_out: int) -> RunMessage:
    """Return several messages as one: the title of the last one, and all of them in its body."""
    if len(messages) == 1 and not left_out:
        return messages[0]
    *earlier, last = messages
    lines = [f"{each.title}: {each.body.splitlines()[0] if each.body else ''}" for each in earlier]
    if left_out:
        lines.append(f"and {count_noun(left_out, 'message')} more")
    before = "\n".join(f"- {line}" if last.markdown else line for line in lines)
    return replace(last, body=f"{last.body}\n\n{before}")
