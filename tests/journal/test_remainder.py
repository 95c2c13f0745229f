"""Any journal: what is left of it is exactly what the plan that is made of it names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from orchestrator.errors import JournalError, RunError, UsageError
from orchestrator.journal.database import open_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.remainder import RemainderCause, open_remainder
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan, Wave, Window
from orchestrator.model.settings import Auth, CredentialReference, Tls
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import join_id
from orchestrator.plan.reader import ParsedPlan, read_plan
from orchestrator.plan.target_sink import TargetList
from orchestrator.runs.remainder import write_remainder
from orchestrator.text.formats import format_unix_time
from tests.support.journals import START, apim, draft, finish, place, roma, small

RUN = "20261122-190003412-retirement-7f3a"
NAMES = ("no", "1e10", "a/b", "%3F", "ü\u00e9", "' \"", "x: y #z", "-", "~", "支付", "{}", "\ufffe")
DOWN = frozenset({"undeployed", "already_undeployed"})
REASONS = (None, "window: closed", "refused: APIG.1\n\x00 \u202e", "protected: apim/**", "filtered: x", "y")


class Story:
    """A journal of a run: its targets, what each comes after, and how it ended, all made up."""

    def __init__(self, folder: Path, dice: Random, *, protect: bool = True) -> None:
        self.folder = folder / RUN
        self.folder.mkdir()
        gateways = (
            roma("roma"),
            replace(apim("1apim"), auth=Auth(token=CredentialReference(file="t")), tls=Tls(ca_file="ca.pem")),
        )
        waves = tuple(Wave(name=name) for name in ("yes", "rest", "empty"))
        self.plan = Plan(name="no", gateways=gateways, waves=waves, window=Window(None, None), at_most=100)
        self.targets: list[Target] = []
        for seq in range(1, dice.randint(1, 40) + 1):
            gateway, parts = "roma", (dice.choice(["0123", "no", "a"]) + f"_{seq}",)
            if dice.random() < 0.6:
                gateway, parts = (
                    "1apim",
                    (dice.choice(NAMES), f"{dice.choice(NAMES)}{seq}", dice.choice(NAMES)),
                )
            description = dice.choice([None, "no", "ü: #"]) if gateway == "1apim" else None
            wave = min(2 * seq // 40, 1)
            self.targets.append(Target(seq, join_id(gateway, parts), gateway, wave, parts, description))
        self.needs: dict[int, set[int]] = {}
        self.outcomes: dict[int, tuple[str | None, str | None]] = {}
        for target in self.targets:
            outcome = dice.choice(
                [None, "undeployed", "already_undeployed", "failed", "unknown", "not_started"]
            )
            reason = dice.choice(REASONS) if outcome not in (None, *DOWN) else None
            if not protect and (reason or "").startswith("protected"):
                reason = None
            self.outcomes[target.seq] = outcome, reason
            if target.seq > 1 and dice.random() < 0.4:
                self.needs[target.seq] = {dice.randrange(1, target.seq) for _ in range(dice.randint(1, 3))}
        self._keep()

    def _keep(self) -> None:
        made = draft(self.folder / "journal.sqlite", self.targets)
        for seq, before in self.needs.items():
            for needs in before:
                made.add_dependency(seq, self.targets[needs - 1].id, place(seq))
        assert list(made.find_dependency_faults()) == []
        finish(made, self.plan)
        made.close()
        with closing(open_database(self.folder / "journal.sqlite", write=True)) as database:
            ended = [(*end, seq) for seq, end in self.outcomes.items()]
            database.run_many("UPDATE target SET outcome = ?, reason = ? WHERE seq = ?", ended)

    def left(self) -> list[Target]:
        """What is left, by the words of the product, without what comes after something protected."""
        protected = {
            seq
            for seq, (outcome, reason) in self.outcomes.items()
            if outcome == "not_started" and (reason or "").startswith("protected:")
        }
        up = [target for target in self.targets if self.outcomes[target.seq][0] not in DOWN]
        out = set(protected)
        for target in up:  # who needs whom stands in order here
            out |= {target.seq for needs in self.needs.get(target.seq, ()) if needs in out}
        return [target for target in up if target.seq not in out]

    def expected_needs(self) -> Mapping[TargetId, set[TargetId]]:
        left = {target.seq: target.id for target in self.left()}
        found = {name: {left[n] for n in self.needs.get(seq, ()) if n in left} for seq, name in left.items()}
        return {name: needs for name, needs in found.items() if needs}

    def remainder(self, folder: Path | None = None) -> str:
        out = StringIO()
        with open_remainder(RunFolder(self.folder)) as rest:
            write_remainder(rest, RUN, out, folder=folder)
        return out.getvalue()


def read(folder: Path, text: str) -> tuple[ParsedPlan, TargetList]:
    path, sink = folder / "rest.yaml", TargetList()
    path.write_text(text, encoding="utf-8")
    return read_plan(path, sink), sink


@pytest.mark.promise(1)
@pytest.mark.parametrize("seed", range(60))
def test_the_remainder_names_exactly_what_is_left(tmp_path: Path, seed: int) -> None:
    story = Story(tmp_path, Random(seed))
    left = story.left()
    if not left:
        with open_remainder(RunFolder(story.folder)) as rest:
            assert rest.count == 0
        return
    loaded, sink = read(tmp_path, story.remainder())

    assert [(found.id, found.parts, found.description) for found in sink.targets] == [
        (target.id, target.parts, target.description) for target in left
    ]
    by_seq = {target.seq: target.id for target in sink.targets}
    needs = {by_seq[seq]: {by_seq[n] for n in before} for seq, before in sink.needs.items()}
    assert needs == story.expected_needs()
    assert (loaded.plan.parent, loaded.plan.window, loaded.plan.at_most) == (RUN, None, 100)
    waves = {target.wave for target in left}
    assert [wave.name for wave in loaded.plan.waves] == [
        story.plan.waves[wave].name for wave in sorted(waves)
    ]


def test_what_comes_after_the_protected_is_named_and_left_out(tmp_path: Path) -> None:
    story = next(
        made
        for seed in range(100)
        if (made := Story(_sub(tmp_path, seed), Random(seed))).left()
        and len(made.left())
        < sum(o not in DOWN and not (r or "").startswith("protected") for o, r in made.outcomes.values())
    )
    told = story.remainder()
    _, _, end = told.partition("\n# Left out, since what goes first is protected")
    held = {line.split(" comes after ")[0] for line in end.splitlines()[1:]}

    assert held
    assert not held & {f"#   {target.id}" for target in story.left()}


def _sub(folder: Path, seed: int) -> Path:
    made = folder / str(seed)
    made.mkdir()
    return made


def test_paths_are_absolute_wherever_the_folder_is_another(tmp_path: Path) -> None:
    story = Story(tmp_path, Random(3))

    for folder, path in ((None, "/ca.pem"), (tmp_path, "/ca.pem"), (Path("/"), "ca.pem")):
        loaded, _ = read(tmp_path, story.remainder(folder))
        assert loaded.plan.gateways[1].tls.ca_file == path
        assert loaded.plan.gateways[1].auth.token == CredentialReference(file="/t" if path[0] == "/" else "t")


def test_a_run_that_goes_on_has_no_remainder(tmp_path: Path) -> None:
    story = Story(tmp_path, Random(3))
    folder = RunFolder(story.folder)

    with (
        folder.lock(),
        pytest.raises(RunError, match="is going on"),
        open_remainder(RunFolder(story.folder)),
    ):
        pass


@pytest.mark.parametrize(("key", "value"), [("rehearsal", 1), ("act", "restore")])
def test_only_a_run_that_undeploys_has_one(tmp_path: Path, key: str, value: object) -> None:
    story = Story(tmp_path, Random(3))
    with closing(open_database(story.folder / "journal.sqlite", write=True)) as database:
        database.run_many("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, value)])  # type: ignore[list-item]

    with pytest.raises(UsageError, match="was a re"), open_remainder(RunFolder(story.folder)):
        pass


def make_run(folder: Path, *outcomes: tuple[str | None, str | None]) -> RunFolder:
    """A run whose targets ``roma/a1``, ``roma/a2`` ... ended so, with their reasons."""
    (folder / RUN).mkdir()
    small(folder / RUN, len(outcomes))
    with closing(open_database(folder / RUN / "journal.sqlite", write=True)) as database:
        database.run_many(
            "UPDATE target SET outcome = ?, reason = ? WHERE seq = ?",
            [(*ended, seq) for seq, ended in enumerate(outcomes, 1)],
        )
        database.run("INSERT INTO dependency VALUES (4, 3)")
        database.run("INSERT INTO dependency VALUES (4, 2)")
    return RunFolder(folder / RUN)


FAILED, LATE = ("failed", "refused: APIG.1"), ("not_started", "window: it closed")


def test_the_causes_come_in_the_order_of_their_first_targets_with_their_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path, FAILED, LATE, LATE, LATE, ("undeployed", None), ("failed", "refused: APIG.2"))
    with open_remainder(run) as rest:
        assert list(rest.list_causes()) == [
            RemainderCause(Outcome.FAILED, 2, "refused: APIG.1"),
            RemainderCause(Outcome.NOT_STARTED, 3, "window: it closed"),
        ]
        assert (rest.count, rest.by_wave, rest.stuck_count) == (5, {0: 5}, 0)


def test_what_goes_first_and_is_left_too_is_named_with_each_target(tmp_path: Path) -> None:
    run = make_run(tmp_path, LATE, LATE, ("undeployed", None), LATE)
    with open_remainder(run) as rest:
        found = {target.target.id: target.after for target in rest.list_targets()}

    assert found == {"roma/a1": (), "roma/a2": (), "roma/a4": ("roma/a2",)}


def test_what_comes_after_a_protected_target_is_counted_and_named_with_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, LATE, ("not_started", "protected: roma/**"), LATE, LATE)
    with open_remainder(run) as rest:
        assert list(rest.list_stuck()) == [("roma/a4", "roma/a2")]
        assert (rest.stuck_count, rest.count) == (1, 2)


@pytest.mark.parametrize(("kept", "told"), [(None, None), (1, True), (0, False)])
def test_a_target_that_is_left_keeps_what_the_plan_said_of_it(
    tmp_path: Path, kept: int | None, told: bool | None
) -> None:
    run = make_run(tmp_path, FAILED, LATE, LATE, LATE)
    with closing(open_database(run.journal, write=True)) as database:
        database.run("UPDATE target SET persistent = ?, description = 'first' WHERE seq = 1", (kept,))
    with open_remainder(run) as rest:
        first = next(iter(rest.list_targets()))

    assert (first.target.persistent, first.target.description) == (told, "first")
    assert (first.outcome, first.reason) == (Outcome.FAILED, "refused: APIG.1")


def test_a_remainder_lets_go_of_its_journal(tmp_path: Path) -> None:
    run = make_run(tmp_path, FAILED, LATE, LATE, LATE)
    with open_remainder(run) as rest:
        pass

    with pytest.raises(JournalError):
        list(rest.list_causes())


def test_a_journal_whose_targets_are_not_those_of_its_run_has_no_remainder(tmp_path: Path) -> None:
    run = make_run(tmp_path, FAILED, LATE, LATE, LATE)
    with closing(open_database(run.journal, write=True)) as database:
        database.run("UPDATE target SET id = 'roma/another' WHERE seq = 1")

    with pytest.raises(JournalError), open_remainder(run):
        pass


def test_a_killed_run_is_said_to_have_no_known_end(tmp_path: Path) -> None:
    out = StringIO()
    with open_remainder(make_run(tmp_path, FAILED, LATE, LATE, (None, None))) as rest:
        write_remainder(rest, RUN, out, folder=tmp_path)

    began = next(line for line in out.getvalue().splitlines() if "It began" in line)
    assert began == f"# It began {format_unix_time(START)}; its end is not known: killed."


def test_a_run_that_nobody_works_on_is_not_told_as_running(tmp_path: Path) -> None:
    with open_remainder(make_run(tmp_path, FAILED, LATE, LATE, (None, None))) as rest:
        assert rest.report.run.state == "killed"
