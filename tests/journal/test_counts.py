"""Every sentence with a count agrees with the journal, whatever was kept: one fold makes all of them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.journal.report_source import JournalReportSource
from orchestrator.journal.restores import Restore
from orchestrator.journal.schema import INSERT_INTENT
from orchestrator.model.plan import RunId
from orchestrator.model.reading import Snapshot, Verdict
from orchestrator.report.advice import advise
from orchestrator.report.counts import count_current_outcomes, count_done
from orchestrator.report.headline import compose_headline
from orchestrator.report.values import Report
from tests.support.journals import draft, finish, plan, target, writable

OUTCOMES = ("undeployed", "already_undeployed", "failed", "unknown", "not_started")
SENT = {"undeployed": "removed", "unknown": "doubt", "failed": "partial"}
VERDICTS = ("up", "unclear", "not_offered", None)
BACK = ("restored", "already_deployed", "failed", None)
REASONS = ("filtered: a", "protected: b", "in_use: c", "dependency: d", "window: e", "interrupt: f")
"""Why targets were not started, in turn."""

Fate = tuple[str, str | None, str | None]
"""What became of a target: its outcome, what its snapshot saw, and its outcome in a restore, if any."""

FATES = st.lists(
    st.tuples(st.sampled_from(OUTCOMES), st.sampled_from(VERDICTS), st.sampled_from(BACK)),
    min_size=1,
    max_size=9,
)


def kept(folder: Path, fates: list[Fate]) -> Report:
    """The report of a run of such fates, with a restore beside it where one has brought something back."""
    database = writable(folder, len(fates))
    with database.transaction():
        for seq, (outcome, verdict, _) in enumerate(fates, 1):
            database.run("UPDATE target SET outcome = ? WHERE seq = ?", (outcome, seq))
            if outcome == "not_started":
                reason = REASONS[seq % len(REASONS)]
                database.run("UPDATE target SET reason = ? WHERE seq = ?", (reason, seq))
            if outcome in SENT:
                database.run(INSERT_INTENT, (seq, 1, "undeploy", "", 1.0))
                database.run("UPDATE attempt SET verdict = ? WHERE seq = ?", (SENT[outcome], seq))
            if verdict is not None:
                value = msgspec.json.encode(Snapshot(verdict=Verdict(verdict))).decode()
                database.run("INSERT INTO snapshot VALUES (?, 1.0, ?, ?)", (seq, verdict, value))
        database.run("INSERT INTO session VALUES (1, 1.0, 2.0, '{}', '{}', 'complete', NULL, 0, 1.0)")
    restores = restored(folder / "restore", fates)
    report = JournalReportSource(database, RunId("r1"), held=False, restores=restores).report
    database.close()
    return report


def restored(folder: Path, fates: list[Fate]) -> tuple[Restore, ...]:
    touched = [(seq, fate[2]) for seq, fate in enumerate(fates, 1) if is_touched(fate)]
    if not touched:
        return ()
    folder.mkdir()
    made = draft(
        folder / "journal.sqlite", (target(n, f"roma/a{seq}") for n, (seq, _) in enumerate(touched, 1))
    )
    finish(made, plan())
    with made.database.transaction():
        for number, (_, outcome) in enumerate(touched, 1):
            made.database.run("UPDATE target SET outcome = ? WHERE seq = ?", (outcome, number))
    made.close()
    restore = Restore(
        id=RunId("r2"),
        journal=folder / "journal.sqlite",
        brings_back=(RunId("r1"),),
        begun=3.0,
        live=False,
        whole=True,
    )
    return (restore,)


def is_touched(fate: Fate) -> bool:
    """Only what was seen up and may have been reached is part of a restore; or another run took it down.

    A run that continues this one takes down what this one did not start, and one restore brings back both.
    """
    outcome, verdict, back = fate
    return back is not None and (outcome == "not_started" or (outcome in SENT and verdict == "up"))


def is_up(fate: Fate) -> bool:
    return is_touched(fate) and fate[2] in ("restored", "already_deployed")


@settings(deadline=None, max_examples=40)
@given(fates=FATES)
def test_all_counts_are_those_of_the_journal(fates: list[Fate]) -> None:
    with TemporaryDirectory() as folder:
        report = kept(Path(folder), fates)
    still = [fate for fate in fates if not is_up(fate)]
    counts = Counter(outcome for outcome, _, _ in still)
    now, back = count_current_outcomes(report), report.restore_outlook

    assert back is not None
    assert {name: getattr(now, name) for name in OUTCOMES} == {name: counts[name] for name in OUTCOMES}
    assert sum(report.up_again.values()) == len(fates) - len(still)
    assert back.undeployed == counts["undeployed"]
    assert back.restorable == sum(fate[:2] == ("undeployed", "up") for fate in still)
    assert back.doubtful == counts["unknown"] + counts["failed"]
    assert back.undeployed + back.doubtful == back.restorable + back.doubtful_restorable + sum(
        lost.count for lost in back.unrestorable
    )
    spoken(report, fates)


def spoken(report: Report, fates: list[Fate]) -> None:
    """The sentences say these counts and no others."""
    up, down = sum(map(is_up, fates)), count_done(count_current_outcomes(report))
    head = compose_headline(report)
    told = [step.text for step in advise(report)]
    assert not [text for text in (head, *told) if re.search(r"(?<!\w)-\d", text)]
    missed = sum(
        fate[0] == "not_started" and REASONS[seq % len(REASONS)] not in REASONS[:2] and not is_up(fate)
        for seq, fate in enumerate(fates, 1)
    )
    assert said(head, r"was not started|were not started", len(fates)) == missed
    assert said(head, r"is down|are down", len(fates)) == down
    assert said(head, r"(?:is|are) up again", len(fates)) == up
    back = report.restore_outlook
    assert back is not None
    (way,) = [text for text in told if text.startswith("To bring back")] or [""]
    if back.restorable and back.restorable < back.undeployed:
        assert re.search(rf"\b{back.restorable} of the {back.undeployed} that this run took down", way)
    elif back.restorable:
        assert re.search(rf"the ({back.restorable}|one) that this run took down", way)
    else:
        assert "took down" not in way
    assert ("may have gone down" in way) == (back.doubtful_restorable > 0)
    lost = [int(text.split()[0].replace(",", "")) for text in told if "cannot be brought back" in text]
    assert sum(lost) == back.undeployed + back.doubtful - back.restorable - back.doubtful_restorable
    if up or any(map(is_touched, fates)):
        assert f"{up} of {len(fates)} " in told[0]


def said(head: str, verb: str, whole: int) -> int:
    """The count that a headline gives before a verb; 0 where it does not come up."""
    found = re.search(
        rf"\b(?:(all)|(none)|(the one)|(\d+))(?: of)?(?: \d+)?(?: targets?)? (?:{verb})", head.lower()
    )
    if found is None or found[2]:
        return 0
    return whole if found[1] else 1 if found[3] else int(found[4])
