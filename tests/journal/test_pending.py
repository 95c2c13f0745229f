"""What is still to be done, and what a resume opens again."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.journal import earlier_causes
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.pending import BATCH, START, PendingTargets
from orchestrator.journal.session_scope import HoldRule, hold_back, reopen, split_into_steps
from orchestrator.journal.untold import UNTOLD
from orchestrator.model.outcome import ACCEPTED_LOSS, DEPLOYED_IN_PART, Outcome, Reason
from orchestrator.model.plan import WaveStep
from orchestrator.model.target import TargetId
from orchestrator.rules.dependencies import Prerequisite
from tests.support.journals import draft, finish, journal, place, plan, target

NAMES = ["roma/a1", "apim/p/x/test", "roma/a2", "apim/p/y/test", "roma/a3", "roma/b1"]
SET = "UPDATE target SET outcome = ?, reason = ?, evidence = 'look', seconds = 1.0, ended = 2.0 WHERE seq = ?"
CANARY, REST = WaveStep(0, 0), WaveStep(1, 0)
ATTEMPT = (
    "INSERT INTO attempt (seq, number, act, via, started, verdict, code) VALUES (?, ?, ?, '', 1.0, ?, ?)"
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    targets = [target(seq, name, wave=name == "roma/b1") for seq, name in enumerate(NAMES, 1)]
    path = journal(tmp_path, plan(waves=("canary", "rest")), targets)
    with closing(open_database(path, write=True)) as opened:
        yield opened


def pending(database: Database, *, resumed: bool = False) -> PendingTargets:
    return PendingTargets(database, plan(waves=("canary", "rest")), resumed=resumed)


def outcomes(database: Database) -> dict[str, tuple[str | None, str | None]]:
    rows = database.rows("SELECT id, outcome, reason FROM target ORDER BY seq")
    return {name: (outcome, reason) for name, outcome, reason in rows}


def test_a_batch_has_one_wave_and_one_gateway_in_the_plans_order(database: Database) -> None:
    asked = pending(database)
    first = [made for made, _ in asked.read_batch(CANARY, "roma", START)[0]]
    assert [str(made.id) for made in first] == ["roma/a1", "roma/a2", "roma/a3"]
    assert [str(made.id) for made, _ in asked.read_batch(REST, "roma", START)[0]] == ["roma/b1"]
    assert first[0] == target(1, "roma/a1")
    assert [str(made.id) for made, _ in asked.read_batch(CANARY, "roma", (0, 3))[0]] == ["roma/a3"]
    assert asked.read_batch(CANARY, "roma", (0, 5)) == ([], (0, 5))
    assert asked.read_batch(CANARY, "apim", START)[0][1][0].parts == ("p", "y", "test")


def test_what_has_ended_is_neither_in_a_batch_nor_left(database: Database) -> None:
    database.run(SET, ("undeployed", None, 1))
    database.run(SET, ("unknown", "spent: x", 4))
    assert [made.seq for made, _ in pending(database).read_batch(CANARY, "roma", START)[0]] == [3, 5]
    assert pending(database).count_left() == {(CANARY, "apim"): 1, (CANARY, "roma"): 2, (REST, "roma"): 1}
    assert pending(database).count_left_in(CANARY) == {"apim": 1, "roma": 2}
    assert pending(database).count_targets() == 6
    assert pending(database).count_outcomes() == {(Outcome.UNDEPLOYED, ""): 1, (Outcome.UNKNOWN, "spent"): 1}
    assert pending(database).count_outcomes(REST) == {}


def test_batches_are_bounded_and_miss_nothing(tmp_path: Path) -> None:
    count = BATCH * 2 + 1
    path = journal(tmp_path, plan(), (target(seq, f"roma/a{seq}") for seq in range(1, count + 1)))
    with closing(open_database(path, write=False)) as database:
        asked = PendingTargets(database, plan(), resumed=True)
        seen: list[int] = []
        sizes = []
        at = START
        while (read := asked.read_batch(WaveStep(0, 0), "roma", at))[0]:
            batch, at = read
            sizes.append(len(batch))
            seen += [made.seq for made, _ in batch]
    assert seen == list(range(1, count + 1))
    assert sizes == [BATCH, BATCH, 1]


def test_a_resumed_target_has_its_own_past(database: Database) -> None:
    for row in [
        (1, 1, "undeploy", "doubt", "APIG.9999"),
        (1, 2, "undeploy", None, None),  # killed in flight
        (3, 1, "undeploy", "busy", None),
        (4, 1, "undeploy", "doubt", None),
    ]:
        database.run(ATTEMPT, row)
    first, second, third = (
        history for _, history in pending(database, resumed=True).read_batch(CANARY, "roma", START)[0]
    )
    assert (first.requests, first.charged, first.in_doubt, first.may_have_arrived) == (2, 2, True, True)
    assert (second.requests, second.charged, second.in_doubt) == (1, 0, False)
    assert (third.requests, third.in_doubt) == (0, False)
    assert pending(database).read_batch(CANARY, "roma", START)[0][0][1].requests == 0


@pytest.mark.promise(11)
def test_a_resumed_restore_knows_each_step_that_was_sent_apart_from_the_deploys(database: Database) -> None:
    step = "INSERT INTO attempt (seq, number, act, via, started, verdict) VALUES (1, ?, ?, ?, 1.0, ?)"
    for row in [
        (1, "deploy", "", "removed"),
        (2, "look", "fronts/1", "told"),
        (3, "publish", "front/b", "doubt"),
        (4, "bind", "app/1", "removed"),
        (5, "publish", "front/b", None),  # killed in flight
    ]:
        database.run(step, row)
    _, history = pending(database, resumed=True).read_batch(CANARY, "roma", START)[0][0]

    assert (history.requests, history.charged) == (5, 1)
    assert {via: each.charged for via, each in history.steps.items()} == {"front/b": 2, "app/1": 1}
    assert all(each.may_have_arrived for each in history.steps.values())


@pytest.mark.promise(1)
def test_what_a_lost_engine_may_have_sent_is_a_doubt_and_no_attempt(database: Database) -> None:
    attempt = (
        "INSERT INTO attempt (seq, number, act, via, started, verdict) VALUES (1, ?, 'undeploy', ?, 1.0, ?)"
    )
    database.run(attempt, (1, "", "doubt"))
    database.run(attempt, (2, UNTOLD, "doubt"))
    _, history = pending(database, resumed=True).read_batch(CANARY, "roma", START)[0][0]

    assert (history.requests, history.charged) == (2, 1)
    assert history.in_doubt
    assert history.may_have_arrived


def test_pods_that_did_not_obey_are_known_after_a_resume(database: Database) -> None:
    row = (1, 1, "undeploy", "", 1.0, "partial", '[["pod-1","pod-2"],3]')
    database.run(
        "INSERT INTO attempt (seq, number, act, via, started, verdict, pods) VALUES (?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    about = pending(database, resumed=True).read_batch(CANARY, "roma", START)[0][0][1].unsettled_reply
    assert about is not None
    assert (about.pods, about.pod_count) == (("pod-1", "pod-2"), 3)


def only(*names: str) -> Callable[[str, int], str | None]:
    return lambda name, wave: "by a pattern" if name in names else None


def test_the_first_hold_that_matches_gives_the_reason(database: Database) -> None:
    database.run(SET, ("undeployed", None, 5))
    held = hold_back(
        database,
        [
            HoldRule(Reason.PROTECTED, only("roma/a1")),
            HoldRule(Reason.FILTERED, only("roma/a1", "roma/a2", "roma/a3")),
            HoldRule(Reason.FILTERED, lambda name, wave: "wave rest" if wave == 1 else None),
        ],
    )
    assert held == 3
    assert outcomes(database) == {
        "roma/a1": ("not_started", "protected: by a pattern"),
        "apim/p/x/test": (None, None),
        "roma/a2": ("not_started", "filtered: by a pattern"),
        "apim/p/y/test": (None, None),
        "roma/a3": ("undeployed", None),
        "roma/b1": ("not_started", "filtered: wave rest"),
    }
    assert hold_back(database, []) == 0


@pytest.mark.promise(1)
def test_a_target_that_may_have_gone_down_is_not_called_untouched_since_it_is_protected_by_now(
    database: Database,
) -> None:
    database.run(ATTEMPT, (1, 1, "undeploy", "doubt", None))
    database.run(ATTEMPT, (3, 1, "undeploy", "busy", None))
    protects = HoldRule(Reason.PROTECTED, only("roma/a1", "roma/a2"))

    for _ in range(2):  # a further resume finds it so again
        reopen(database, lambda name, wave: True)
        hold_back(database, [protects])
        found = outcomes(database)
        assert found["roma/a1"] == ("unknown", "protected: by a pattern")
        assert found["roma/a2"] == ("not_started", "protected: by a pattern")


@pytest.mark.parametrize(
    ("outcome", "reason", "opens"),
    [
        ("undeployed", None, False),
        ("already_undeployed", None, False),
        ("failed", "refused: no", False),
        ("unknown", "spent: 5 attempts", True),
        ("unknown", "protected: of an odd journal", True),
        ("not_started", "window: closed", True),
        ("not_started", "stop_rule: failed", True),
        ("not_started", "parked: ill", True),
        ("not_started", "filtered: --only x", False),
        ("not_started", "protected: x", False),
        ("not_started", "skipped: by control", False),
    ],
)
def test_a_resume_opens_what_is_provisional(
    database: Database, outcome: str, reason: str | None, opens: bool
) -> None:
    for seq in range(2, 7):
        database.run(SET, ("undeployed", None, seq))
    database.run(SET, (outcome, reason, 1))
    assert reopen(database, lambda name, wave: True) == int(opens)
    row = database.one("SELECT outcome, reason, evidence, seconds, ended FROM target WHERE seq = 1")
    assert row == ((None,) * 5 if opens else (outcome, reason, "look", 1.0, 2.0))


@pytest.mark.promise(1)
def test_what_a_killed_session_left_is_named_and_narrowed(database: Database) -> None:
    database.run(ATTEMPT, (1, 1, "undeploy", None, None))
    assert reopen(database, lambda name, wave: name == "roma/a2" or wave == 1) == 2
    killed = "interrupt: the run was killed"
    assert outcomes(database) == {
        "roma/a1": ("unknown", killed),
        "apim/p/x/test": ("not_started", killed),
        "roma/a2": (None, None),
        "apim/p/y/test": ("not_started", killed),
        "roma/a3": ("not_started", killed),
        "roma/b1": (None, None),
    }


@pytest.mark.parametrize(
    ("attempts", "left"),
    [
        ([], "not_started"),
        ([("undeploy", None)], "unknown"),
        ([("undeploy", "doubt")], "unknown"),
        ([("undeploy", "partial")], "unknown"),
        ([("undeploy", "doubt"), ("look", "up")], "not_started"),
        ([("look", "up"), ("undeploy", "doubt")], "unknown"),
        ([("undeploy", "doubt"), ("look", "unclear")], "unknown"),
        ([("undeploy", "doubt"), ("look", None)], "unknown"),
        ([("undeploy", "busy")], "not_started"),
        ([("undeploy", "unsent")], "not_started"),
        ([("undeploy", "denied")], "not_started"),
        ([("undeploy", "elsewhere")], "not_started"),
        ([("undeploy", "contested")], "unknown"),
        ([("undeploy", "contested"), ("look", "up")], "not_started"),
        ([("look", None)], "not_started"),
        ([("undeploy", "doubt"), ("look", "up"), ("undeploy", "busy")], "not_started"),
    ],
)
@pytest.mark.promise(1)
def test_only_a_request_that_may_have_arrived_makes_a_killed_target_unknown(
    database: Database, attempts: list[tuple[str, str | None]], left: str
) -> None:
    for number, (act, verdict) in enumerate(attempts, 1):
        database.run(ATTEMPT, (1, number, act, verdict, None))
    reopen(database, lambda name, wave: False)
    assert outcomes(database)["roma/a1"][0] == left


# --- steps, and who comes after whom --------------------------------------------------------------------


def ordered(folder: Path, *needs: tuple[int, str], count: int = 6) -> Database:
    """A journal of ``roma/a1`` ... in one wave; ``needs`` says by number who comes after which id."""
    path = folder / "journal.sqlite"
    made = draft(path, (target(seq, f"roma/a{seq}") for seq in range(1, count + 1)))
    for seq, name in needs:
        made.add_dependency(seq, TargetId(name), place(seq))
    finish(made, plan())
    made.close()
    return open_database(path, write=True)


def test_nobody_stands_in_a_batch_before_one_that_it_waits_for(tmp_path: Path) -> None:
    with closing(ordered(tmp_path, (1, "roma/a6"), (6, "roma/a4"), (2, "roma/a4"))) as database:
        asked = PendingTargets(database, plan(), resumed=False)
        whole, at = asked.read_batch(WaveStep(0, 0), "roma", START)
        rest, end = asked.read_batch(WaveStep(0, 0), "roma", (1, 2))

    assert [made.seq for made, _ in whole] == [3, 4, 5, 2, 6, 1]
    assert at == (2, 1)
    assert ([made.seq for made, _ in rest], end) == ([6, 1], (2, 1))


def test_steps_split_a_wave_in_the_order_in_which_it_goes(tmp_path: Path) -> None:
    with closing(ordered(tmp_path, (1, "roma/a6"))) as database:
        database.run(SET, ("not_started", "filtered: x", 2))
        split_into_steps(database, [(0, lambda count: (1, 3, count))])
        asked = PendingTargets(database, plan(), resumed=False)

        wave_steps = [
            [made.seq for made, _ in asked.read_batch(WaveStep(0, step), "roma", START)[0]]
            for step in range(3)
        ]
        assert wave_steps == [[3], [4, 5], [6, 1]]
        assert asked.count_left() == {
            (WaveStep(0, 0), "roma"): 1,
            (WaveStep(0, 1), "roma"): 2,
            (WaveStep(0, 2), "roma"): 2,
        }
        assert asked.count_steps(0) == 3


def test_a_loss_that_a_person_accepted_counts_apart(database: Database) -> None:
    database.run(SET, ("failed", f"{ACCEPTED_LOSS}, without its plug-ins: none", 1))
    database.run(SET, ("failed", f"{DEPLOYED_IN_PART}, but without plug-in a", 2))

    assert pending(database).count_outcomes() == {
        (Outcome.FAILED, ACCEPTED_LOSS): 1,
        (Outcome.FAILED, "partial"): 1,
    }


def test_what_a_leg_waits_for_is_told_with_what_became_of_it(tmp_path: Path) -> None:
    needs = [(2, "roma/a1"), (5, "roma/a1"), (6, "roma/a5"), (4, "roma/a3")]
    with closing(ordered(tmp_path, *needs)) as database:
        split_into_steps(database, [(0, lambda count: (3, count))])
        database.run(SET, ("failed", "refused: no", 1))
        database.run(SET, ("not_started", "dependency: x", 4))
        asked = PendingTargets(database, plan(), resumed=False)
        first, second = (list(asked.list_prerequisites(WaveStep(0, step))) for step in (0, 1))

    one = TargetId("roma/a1")
    assert first == [Prerequisite(2, 1, one, "roma", Outcome.FAILED, "refused: no", in_same_step=True)]
    assert second == [
        Prerequisite(5, 1, one, "roma", Outcome.FAILED, "refused: no", in_same_step=False),
        Prerequisite(6, 5, TargetId("roma/a5"), "roma", None, None, in_same_step=True),
    ]


def test_a_leg_has_begun_once_a_session_has_come_to_it(database: Database) -> None:
    assert pending(database, resumed=True).list_begun() == frozenset()
    database.run("INSERT INTO note (session, at, kind, text) VALUES (1, 1.0, 'leg', '1 0')")
    assert pending(database, resumed=True).list_begun() == {REST}
    assert pending(database).list_begun() == frozenset()


def test_only_an_undeploy_makes_a_target_touched(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.run(ATTEMPT, (1, 1, "look", "up", None))
    database.run(ATTEMPT, (3, 1, "undeploy", None, None))
    database.run(SET, ("undeployed", None, 5))
    assert [[target.seq for target in part] for part in pending(database).list_untouched()] == [[1, 2, 4, 6]]
    monkeypatch.setattr("orchestrator.journal.pending.STRETCH", 2)
    parts = [[target.seq for target in part] for part in pending(database).list_untouched()]
    assert parts == [[1, 2], [4], [6]]


def test_the_standing_of_all_targets_is_counted_by_wave_gateway_and_outcome(database: Database) -> None:
    database.run(SET, ("undeployed", None, 1))
    database.run(SET, ("failed", "refused: no", 6))

    assert pending(database).count_standing() == {
        0: {"roma": {None: 2, Outcome.UNDEPLOYED: 1}, "apim": {None: 2}},
        1: {"roma": {Outcome.FAILED: 1}},
    }


def test_targets_that_a_full_disk_left_without_an_outcome_stand_at_the_end_as_in_a_report(
    database: Database,
) -> None:
    database.run(ATTEMPT, (2, 1, "undeploy", None, None))

    assert pending(database).count_standing(at_end=True)[0]["apim"] == {
        Outcome.UNKNOWN: 1,
        Outcome.NOT_STARTED: 1,
    }


def test_what_went_wrong_before_a_session_is_grouped_as_the_reports_group_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seq, outcome, reason in (
        (1, "failed", "spent: x"),
        (2, "undeployed", None),
        (3, "failed", "refused: no"),
        (4, "not_started", "skipped: by ada"),
        (5, "not_started", "filtered: x"),
        (6, "unknown", "spent: x"),
    ):
        database.run(SET, (outcome, reason, seq))
    database.run(ATTEMPT, (1, 1, "undeploy", "doubt", "APIG.9"))
    database.run(ATTEMPT, (1, 2, "look", "unclear", None))
    told = [
        (group.outcome, group.label, group.count, group.examples)
        for group in pending(database).group_causes()
    ]
    monkeypatch.setattr(earlier_causes, "MOST_READ", 1)
    bounded = [(group.label, group.count) for group in pending(database).group_causes()]

    assert told == [
        ("failed", "APIG.9", 1, ("roma/a1",)),
        ("failed", "refused", 1, ("roma/a2",)),
        ("unknown", "spent", 1, ("roma/b1",)),
        ("not_started", "filtered", 1, ()),
        ("not_started", "skipped", 1, ()),
    ]
    assert bounded == [
        ("APIG.9", 1),
        ("other causes", 1),
        ("other causes", 1),
        ("filtered", 1),
        ("skipped", 1),
    ]
