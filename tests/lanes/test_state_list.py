"""One list for many looks, on a virtual clock: what it spares, what it may say, and what it must not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import anyio
import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.waves import WaveRunner
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.journal.meta import RunMeta
from orchestrator.journal.pending import PendingTargets
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.session_scope import reopen
from orchestrator.lanes.list_reader import MOST_FAULTS, MOST_TRIES
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.state_list import FRESH_FOR, WORTH_LISTING
from orchestrator.model.credentials import Access, Secret
from orchestrator.model.features import ListRows
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import Act, ListPage, Operation, Reading, Verdict
from orchestrator.model.settings import Auth, CredentialReference, Limits
from orchestrator.model.target import Target
from orchestrator.plan.problems import FilePosition
from orchestrator.rules.stop_rules import StopRules
from tests.engine.test_waves import CALM, KEYS, DirectWriting
from tests.support.engine import (
    LOOK,
    Answer,
    Heard,
    Scripted,
    Wire,
    environment,
    lane,
    played,
    resources,
    target,
)
from tests.support.readings import reading

REMOVED = reading(Verdict.REMOVED, evidence="204")
UP, DOWN, UNCLEAR = (reading(verdict) for verdict in (Verdict.UP, Verdict.DOWN, Verdict.UNCLEAR))
FAULT = reading(Verdict.UNCLEAR, message="HTTP 502")
PAGE = 30
"""Entries of one page of the tests' lists."""


class Shown(Struct, frozen=True):
    """A page as it travels: verdicts by the first part of a target."""

    states: dict[str, Verdict]
    total: int


def _token(access: Access) -> str:
    return access.reveal() if isinstance(access, Secret) else "signed"


class ScriptedListing:
    """A list whose pages are written out."""

    names = state_names = ("targets",)
    has_pages = True
    page_size = PAGE
    tells_deployments = True
    omission: str | None = "the credential may lack the grants for some applications"

    def build_request(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:
        return Request("list", str(offset), {"token": _token(access)})

    def read(self, name: str, reply: Reply, earlier: ListRows) -> ListPage | Reading:
        if reply.status != 206:
            return msgspec.json.decode(reply.body, type=Reading)
        shown = msgspec.json.decode(reply.body, type=Shown)
        rows: list[tuple[tuple[str, ...], Verdict]] = [
            ((one,), verdict) for one, verdict in shown.states.items()
        ]
        return ListPage(rows=rows, size=len(rows), total=shown.total)

    def read_target(self, target: Target, rows: Mapping[str, Sequence[Verdict]]) -> Mapping[str, Reading]:
        match rows.get("targets"):
            case [Verdict.UP | Verdict.DOWN as verdict]:
                return {LOOK.via: reading(verdict, evidence="look")}
        return {}


class Listed(Scripted, frozen=True, kw_only=True):
    """A scripted kind that can list its targets."""

    @property
    def listing(self) -> ScriptedListing:
        return ScriptedListing()

    def build_request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        return Request(operation.act, target.id, {"token": _token(access)})


ListAnswer: TypeAlias = Shown | Reading | Lost


class Shelf(Wire):
    """A wire with a list: ``pages`` keeps when each page was asked for, and its offset."""

    def __init__(
        self, answers: Callable[[Act, str], Answer], listing: Callable[[int], ListAnswer], takes: float
    ) -> None:
        super().__init__(answers, takes)
        self.pages: list[tuple[float, int]] = []
        self.together = 0
        """How many requests were in flight at once, at most."""
        self._flying = 0
        self._listing = listing

    async def send(self, request: Request) -> Reply | Lost:
        if request.method != "list":
            self._flying += 1
            self.together = max(self.together, self._flying)
            answer = await super().send(request)
            self._flying -= 1
            return answer
        self.pages.append((anyio.current_time(), int(request.url)))
        page = self._listing(int(request.url))
        if isinstance(page, Lost):
            return page
        denied = isinstance(page, Reading) and page.verdict is Verdict.DENIED
        status = 206 if isinstance(page, Shown) else 401 if denied else 200
        return Reply(status, {}, msgspec.json.encode(page), 0.0)

    def targets(self, act: Act) -> list[str]:
        """The ids of the targets that were asked for in an act, in order."""
        return [name for _, asked, name in self.told if asked is act]


class Platform:
    """What is up and what is down; undeploys take effect at once unless they are ``deaf``."""

    def __init__(self, count: int, *, down: set[str] | None = None, deaf: set[str] | None = None) -> None:
        self.state = {f"t{seq}": Verdict.UP for seq in range(1, count + 1)}
        self.state |= dict.fromkeys(down or set(), Verdict.DOWN)
        self.deaf = deaf or set()
        self.hidden: set[str] = set()
        """Those that a list leaves out."""

    def answer(self, act: Act, name: str) -> Answer:
        api = name.removeprefix("gw/")
        if act is Act.LOOK:
            return reading(self.state[api], evidence="look")
        if api in self.deaf:
            self.deaf.discard(api)
        else:
            self.state[api] = Verdict.DOWN
        return REMOVED

    def listed(self, offset: int) -> ListAnswer:
        visible = {api: verdict for api, verdict in self.state.items() if api not in self.hidden}
        page = dict(list(visible.items())[offset : offset + PAGE])
        return Shown(page, len(visible))


class Executed(NamedTuple):
    """What became of a run's targets, and what was sent for it."""

    outcomes: dict[str, str | None]
    reasons: dict[str, str | None]
    wire: Shelf
    warnings: list[str]
    listed: int
    """Pages that the report is told of."""
    remarks: list[str | None]
    told_pages: list[str | None]
    """The pages that the displays are told of, each with the end of it."""
    ended: float
    """When the session ended, in seconds from its start."""


@contextmanager
def journaled(folder: Path, targets: list[Target]) -> Iterator[Database]:
    """A journal that holds these targets, all open."""
    draft = Draft(folder / "journal.sqlite")
    for one in targets:
        draft.add(one, FilePosition(0, one.seq, 1))
    draft.finish(plan_of(max(one.wave for one in targets) + 1), RunMeta())
    try:
        yield draft.database
    finally:
        draft.close()


def listed(look: str = "always") -> Listed:
    return Listed(
        name="gw",
        url="https://gw.example",
        auth=Auth(token=CredentialReference(env="TOKEN")),
        look=look,  # type: ignore[arg-type]
    )


def plan_of(waves: int, look: str = "always", pause: float | None = None) -> Plan:
    return Plan(
        name="p",
        gateways=(listed(look),),
        waves=tuple(Wave(name=f"wave-{index}", pause_after=pause) for index in range(waves)),
        stop_when=CALM,
        snapshot="off",
    )


def session(
    database: Database,
    wire: Shelf,
    *,
    resumed: bool = False,
    run_gate: RunGate | None = None,
    look: str = "always",
    credentials: tuple[str, ...] = ("the-token",),
    keys: bool = False,
    snapshot: Literal["best", "off"] = "off",
    pause: float | None = None,
    rate: float | None = None,
) -> Executed:
    """One session of a run on a lane that looks always; ``wire`` ends in its gateway."""
    waves = database.one("SELECT MAX(wave) FROM target")[0] + 1
    plan = replace(plan_of(waves, look, pause), snapshot=snapshot)
    entry = replace(listed(look), limits=Limits(rate=rate))
    heard = Heard()
    given = iter(credentials[1:] or credentials)
    stopped = run_gate or RunGate()

    async def main() -> float:
        here = environment(lambda _: Secret(next(given)))
        record = SessionRecord(DirectWriting(database), 2 if resumed else 1)
        material = KEYS if keys else Secret(credentials[0])
        lanes = {"gw": lane(entry, here, stopped, heard, material=material, send=wire.send)}
        if snapshot != "off":
            lanes["gw"].state_list.serve_snapshots()
        shared = resources(
            here,
            stopped,
            record,
            plan=plan,
            pending=PendingTargets(database, plan, resumed=resumed),
            stop_rules=StopRules(CALM, {}, first_run=not resumed),
            lanes=lanes,
        )
        await WaveRunner(shared).run()
        return anyio.current_time()

    ended = played(main)
    rows = list(database.rows("SELECT id, outcome, reason FROM target ORDER BY seq"))
    return Executed(
        {name: outcome for name, outcome, _ in rows},
        {name: reason for name, _, reason in rows},
        wire,
        heard.warnings,
        heard.requests,
        [text for state, text in heard.states if state == "remark"],
        heard.lists,
        ended,
    )


def ran(
    folder: Path,
    platform: Platform,
    *,
    listing: Callable[[int], ListAnswer] | None = None,
    takes: float = 0.0,
    **options: Any,
) -> Executed:
    """Run all targets of a platform in one wave; each answer but the list's takes ``takes`` seconds."""
    targets = [target(seq) for seq in range(1, len(platform.state) + 1)]
    wire = Shelf(platform.answer, listing or platform.listed, takes)
    with journaled(folder, targets) as database:
        return session(database, wire, **options)


def offsets(went: Executed) -> list[int]:
    return [offset for _, offset in went.wire.pages]


def test_looks_at_many_cost_pages_and_no_shows(tmp_path: Path) -> None:
    """Before and after each of 100 targets, 10 of them down: 4 pages twice, and no look at a single one."""
    down = {f"t{seq}" for seq in range(1, 101, 10)}
    went = ran(tmp_path, Platform(100, down=down))

    assert offsets(went) == [0, 90, 60, 30, 90, 60, 30, 0]
    assert went.wire.targets(Act.LOOK) == []
    assert len(went.wire.targets(Act.UNDEPLOY)) == len(set(went.wire.targets(Act.UNDEPLOY))) == 90
    assert {name.removeprefix("gw/") for name, end in went.outcomes.items() if end != "undeployed"} == down
    assert {went.outcomes[f"gw/{api}"] for api in down} == {"already_undeployed"}


def test_looks_that_the_list_settles_wait_for_no_turn_at_the_rate(tmp_path: Path) -> None:
    """At one a second, 100 targets that one list settles would else take 100 s more than their undeploys."""
    went = ran(tmp_path, Platform(100), rate=1.0)

    assert set(went.outcomes.values()) == {"undeployed"}
    assert went.wire.targets(Act.LOOK) == []
    last, pages = max(went.wire.times(Act.UNDEPLOY)), sum(at > 90.0 for at, _ in went.wire.pages)
    assert went.ended - last <= pages + 1.0


@pytest.mark.promise(5)
@pytest.mark.parametrize("faults", [0, 1, MOST_FAULTS])
def test_a_first_signature_goes_alone_with_the_list_that_its_target_wants(
    tmp_path: Path, faults: int
) -> None:
    """The look that is let in alone reads the list: nobody may wait for the other one."""
    platform, together = Platform(100), list[int]()
    left = [FAULT] * faults

    def listing(offset: int) -> ListAnswer:
        together.append(offset)
        return Lost(sent=True, detail="reset") if left and left.pop() else platform.listed(offset)

    went = ran(tmp_path, platform, listing=listing, takes=1.0, keys=True)

    assert set(went.outcomes.values()) == {"undeployed"}
    first = [at for at, _, _ in went.wire.told][:2]
    assert together[0] == 0
    assert faults < MOST_FAULTS or first[1] >= first[0] + 1.0


def test_the_report_is_told_of_each_page(tmp_path: Path) -> None:
    went = ran(tmp_path, Platform(100))

    assert went.listed == len(went.wire.pages) == 8
    pages = [f"reads its list of targets, page {number}" for number in range(1, 5)] * 2
    assert went.told_pages[::2] == pages
    assert set(went.told_pages[1::2]) == {None}


def test_the_list_is_whole_before_the_first_undeploy(tmp_path: Path) -> None:
    """Offsets shift while what they count changes."""
    platform = Platform(100)
    seen: list[int] = []

    def listing(offset: int) -> ListAnswer:
        seen.append(sum(verdict is Verdict.DOWN for verdict in platform.state.values()))
        return platform.listed(offset)

    went = ran(tmp_path, platform, listing=listing)

    assert offsets(went)[:4] == [0, 90, 60, 30]
    assert seen == [0] * 4 + [100] * 4


def test_a_list_that_ends_early_ends_the_collecting(tmp_path: Path) -> None:
    """``total`` counts what the credential may not see: an empty page must not be asked for for ever."""
    platform = Platform(60)

    def listing(offset: int) -> ListAnswer:
        shown = platform.listed(offset)
        assert isinstance(shown, Shown)
        return Shown(shown.states, 1000)

    went = ran(tmp_path, platform, listing=listing)

    assert offsets(went) == [0, 990, 30, 60, 30, 990, 60, 0]
    assert set(went.outcomes.values()) == {"undeployed"}


ABSURD = 10**15


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("page", "most"),
    [
        (lambda offset, real: Shown(real, ABSURD), 2),  # by its own word no end is in sight
        (lambda offset, real: Shown(real, 70), 4),  # the same page whatever the offset
        (
            lambda offset, real: Shown(_others(offset), offset + PAGE + 1),
            2 * WORTH_LISTING,
        ),  # one more each time
        (lambda offset, real: Shown(dict(list(_others(offset).items())[:1]), 70), 2 * 70),  # one a page
        (lambda offset, real: Shown({}, 70), 2),
    ],
    ids=["absurd", "repeated", "growing", "singles", "empty"],
)
def test_a_list_that_does_not_end_is_given_up(
    tmp_path: Path, page: Callable[[int, dict[str, Verdict]], Shown], most: int
) -> None:
    """Its targets are looked at one by one, and all is done as without it."""
    platform = Platform(60)

    def listing(offset: int) -> ListAnswer:
        real = platform.listed(0)
        assert isinstance(real, Shown)
        return page(offset, real.states)

    went = ran(tmp_path, platform, listing=listing)

    assert set(went.outcomes.values()) == {"undeployed"}
    assert len(went.wire.pages) <= most


def _others(offset: int) -> dict[str, Verdict]:
    return {f"x{number}": Verdict.UP for number in range(offset, offset + PAGE)}


def test_a_list_that_is_too_long_is_told_once(tmp_path: Path) -> None:
    went = ran(tmp_path, Platform(60), listing=lambda offset: Shown(_others(offset), ABSURD))

    assert went.warnings == [
        "its list, of 1,000,000,000,000,000 entries by its own word, is too long: each is looked at alone"
    ]


@pytest.mark.parametrize("snapshot", ["best", "off"])
def test_a_list_too_long_for_snapshots_tells_looks_what_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: Literal["best", "off"]
) -> None:
    monkeypatch.setattr(ScriptedListing, "names", ("targets", "more"))
    monkeypatch.setattr("orchestrator.lanes.state_list.MOST_WHOLE", 99)
    went = ran(tmp_path, Platform(100), snapshot=snapshot)

    # With snapshots each target is read once alone; the looks after the undeploys go by the list.
    assert len(went.wire.targets(Act.LOOK)) == (100 if snapshot == "best" else 0)
    assert set(went.outcomes.values()) == {"undeployed"}
    assert len(went.wire.pages) == (2 + 4 if snapshot == "best" else 8)


def test_a_list_that_names_more_than_it_counts_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages may be any length, so its own count bounds no memory."""
    monkeypatch.setattr("orchestrator.lanes.state_list.MOST_STATES", 70)
    many = {f"x{number}": Verdict.UP for number in range(80)}
    went = ran(tmp_path, Platform(60), listing=lambda _: Shown(many, 60))

    assert len(went.wire.pages) == 1
    assert went.warnings == ["its list, of 80 entries by its own word, is too long: each is looked at alone"]
    assert set(went.outcomes.values()) == {"undeployed"}


def test_what_two_pages_show_in_two_states_is_looked_at_alone(tmp_path: Path) -> None:
    platform = Platform(60)

    def listing(offset: int) -> ListAnswer:
        shown = platform.listed(offset)
        assert isinstance(shown, Shown)
        return Shown(shown.states | ({"t1": Verdict.DOWN} if offset else {}), shown.total)

    went = ran(tmp_path, platform, listing=listing)

    assert set(went.outcomes.values()) == {"undeployed"}
    assert set(went.wire.targets(Act.LOOK)) == {"gw/t1"}


@pytest.mark.parametrize(("snapshot", "most"), [("off", 4), ("best", 0)])
@pytest.mark.parametrize("why", ["window", "control"])
def test_nothing_is_read_where_no_undeploy_may_start_any_more(
    tmp_path: Path, why: str, snapshot: Literal["off", "best"], most: int
) -> None:
    """Neither a further page, nor the targets that waited for the list; looks that were let in go on."""
    run_gate = RunGate(closes=31.0)
    platform = Platform(60)

    def listing(offset: int) -> ListAnswer:
        if why == "window":
            run_gate.closes = 0.0  # the first page took very long
        else:
            run_gate.stop("control", "stopped by hand")
        return platform.listed(offset)

    went = ran(tmp_path, platform, listing=listing, run_gate=run_gate, snapshot=snapshot)

    assert offsets(went) == [0]
    assert went.wire.targets(Act.UNDEPLOY) == []
    assert len(went.wire.targets(Act.LOOK)) <= most
    assert set(went.outcomes.values()) <= {"not_started", None}


def test_an_old_down_wants_a_look_at_the_one_and_an_old_up_does_not(tmp_path: Path) -> None:
    """Eight are up and come first, four at a time; the rest of the list is older than it may be by then."""
    down = {f"t{seq}" for seq in range(9, 61)}
    went = ran(tmp_path, Platform(60, down=down), takes=FRESH_FOR / 2 + 1)

    ups, first_old = [f"gw/t{seq}" for seq in range(1, 9)], 2 * (FRESH_FOR / 2 + 1)
    assert went.wire.targets(Act.UNDEPLOY) == ups
    looked = [(at, name) for at, act, name in went.wire.told if act is Act.LOOK]
    assert {name.removeprefix("gw/") for _, name in looked} == down
    assert len(looked) == len(down)
    assert looked[0][0] >= first_old > FRESH_FOR
    assert {went.outcomes[f"gw/{api}"] for api in down} == {"already_undeployed"}


def test_an_old_up_is_believed(tmp_path: Path) -> None:
    went = ran(tmp_path, Platform(60), takes=FRESH_FOR)

    assert went.wire.told[-1][0] > 10 * FRESH_FOR
    assert went.wire.targets(Act.LOOK) == []


def test_a_fresh_down_is_believed(tmp_path: Path) -> None:
    went = ran(tmp_path, Platform(60, down={f"t{seq}" for seq in range(1, 61)}))

    assert went.wire.told == []
    assert offsets(went) == [0, 30]
    assert set(went.outcomes.values()) == {"already_undeployed"}


def test_what_the_list_leaves_out_is_looked_at_alone_and_told_of_once(tmp_path: Path) -> None:
    """A list has gaps where grants are missing; an absence from it proves nothing."""
    platform = Platform(60, down={"t7"})
    platform.hidden = {"t5", "t7", "t20", "t40"}
    went = ran(tmp_path, platform)

    hidden_up = {"gw/t5", "gw/t20", "gw/t40"}
    assert set(went.wire.targets(Act.LOOK)) == hidden_up | {"gw/t7"}
    assert len(went.wire.targets(Act.LOOK)) == 2 * len(hidden_up) + 1
    (warning,) = went.warnings
    assert warning.startswith("the list leaves out gw/t5, which exists: ")
    assert went.outcomes["gw/t7"] == "already_undeployed"
    assert {went.outcomes[name] for name in hidden_up} == {"undeployed"}


def test_what_does_not_exist_is_no_gap(tmp_path: Path) -> None:
    platform = Platform(60)
    platform.hidden = {"t5"}
    gone = reading(Verdict.ABSENT, code="E.3084", message="no such API", evidence="code")
    wire = Shelf(
        lambda act, name: gone if name == "gw/t5" else platform.answer(act, name), platform.listed, 0
    )
    with journaled(tmp_path, [target(seq) for seq in range(1, 61)]) as database:
        went = session(database, wire)

    assert went.warnings == []
    assert went.reasons["gw/t5"] == "absent: E.3084 no such API"
    assert went.wire.targets(Act.LOOK) == ["gw/t5"]


def test_an_unknown_state_on_the_list_is_looked_at_alone(tmp_path: Path) -> None:
    platform = Platform(60)

    def listing(offset: int) -> ListAnswer:
        shown = platform.listed(offset)
        assert isinstance(shown, Shown)
        return Shown(shown.states | ({"t3": Verdict.UNCLEAR} if offset == 0 else {}), shown.total)

    went = ran(tmp_path, platform, listing=listing)

    assert went.wire.targets(Act.LOOK) == ["gw/t3"] * 2
    assert went.warnings == []


@pytest.mark.parametrize(
    "fault",
    [
        FAULT,
        Lost(sent=True, detail="reset"),
        Lost(sent=False, detail="refused"),
        reading(Verdict.BUSY, message="too many", wait=3.0),
        reading(Verdict.NOT_OFFERED, message="404"),
    ],
    ids=["fault", "reset", "refused", "429", "404"],
)
def test_without_a_list_each_target_is_looked_at(tmp_path: Path, fault: ListAnswer) -> None:
    """A list that cannot be had costs a few requests in all, not a few for each target."""
    went = ran(tmp_path, Platform(60, down={"t9"}), listing=lambda _: fault)

    assert 1 <= len(went.wire.pages) <= 2 * MOST_TRIES
    looks = went.wire.targets(Act.LOOK)
    assert (looks.count("gw/t9"), looks.count("gw/t1"), len(looks)) == (1, 2, 2 * 59 + 1)
    assert went.outcomes["gw/t9"] == "already_undeployed"
    assert set(went.outcomes.values()) == {"undeployed", "already_undeployed"}


def test_a_list_that_is_not_offered_is_asked_for_once_and_is_no_warning(tmp_path: Path) -> None:
    """A user without a role, or an older version: nothing is wrong."""
    refused = reading(Verdict.NOT_OFFERED, message="no such role")
    went = ran(tmp_path, Platform(60), listing=lambda _: refused)

    assert offsets(went) == [0]
    assert went.warnings == []
    (remark,) = went.remarks
    assert (
        remark
        == "it has no list of targets for this credential (no such role), so each target is looked at alone"
    )


def test_a_list_that_was_read_once_stays_offered(tmp_path: Path) -> None:
    """A refusal after that is of another cause, and tells nothing of versions and roles."""
    platform, pages = Platform(60), list[int]()

    def listing(offset: int) -> ListAnswer:
        pages.append(offset)
        return reading(Verdict.NOT_OFFERED) if len(pages) > 2 else platform.listed(offset)

    went = ran(tmp_path, platform, listing=listing)

    assert offsets(went) == [0, 30, 30]
    assert went.remarks == []
    assert len(went.warnings) == 1  # as of any list that could be read before
    assert len(went.wire.targets(Act.LOOK)) == 60
    assert set(went.outcomes.values()) == {"undeployed"}


def test_a_list_that_often_leaves_out_targets_is_not_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedListing, "omission", None)
    platform = Platform(60)
    platform.hidden = {"t5"}
    went = ran(tmp_path, platform)

    assert went.warnings == []
    assert went.wire.targets(Act.LOOK) == ["gw/t5"] * 2


def test_one_fault_of_a_page_is_repeated_and_loses_nothing(tmp_path: Path) -> None:
    platform, left = Platform(60), [FAULT]
    went = ran(tmp_path, platform, listing=lambda offset: left.pop() if left else platform.listed(offset))

    assert offsets(went) == [0, 0, 30, 30, 0]
    assert went.wire.targets(Act.LOOK) == []


def test_a_fault_in_the_middle_believes_no_half_of_a_list(tmp_path: Path) -> None:
    platform = Platform(60, down={"t1"})
    went = ran(tmp_path, platform, listing=lambda offset: FAULT if offset else platform.listed(offset))

    assert went.wire.targets(Act.LOOK).count("gw/t1") == 1
    assert went.outcomes["gw/t1"] == "already_undeployed"


@pytest.mark.promise(5)
def test_a_401_to_the_list_costs_one_refresh(tmp_path: Path) -> None:
    platform = Platform(60)
    denied = [reading(Verdict.DENIED, message="token expires")]
    went = ran(
        tmp_path,
        platform,
        listing=lambda offset: denied.pop() if denied else platform.listed(offset),
        credentials=("the-token", "another"),
    )

    assert offsets(went) == [0, 0, 30, 30, 0]
    assert set(went.wire.tokens) == {"another"}
    assert set(went.outcomes.values()) == {"undeployed"}


@pytest.mark.promise(5)
def test_a_401_to_the_list_that_no_refresh_heals_closes_the_lane(tmp_path: Path) -> None:
    denied = reading(Verdict.DENIED, message="bad token")
    went = ran(tmp_path, Platform(60), listing=lambda _: denied)

    assert offsets(went) == [0]
    assert went.wire.told == []
    ended = {name for name, outcome in went.outcomes.items() if outcome is not None}
    assert len(ended) <= 4
    assert all((went.reasons[name] or "").startswith("denied: ") for name in ended)


def test_a_429_to_the_list_makes_looks_wait_as_long_as_it_says(tmp_path: Path) -> None:
    platform, busy = Platform(60), [reading(Verdict.BUSY, message="too many", wait=7.0)]
    went = ran(tmp_path, platform, listing=lambda offset: busy.pop() if busy else platform.listed(offset))

    assert went.wire.pages[0] == (0.0, 0)
    assert went.wire.pages[1][0] >= 7.0
    assert went.wire.targets(Act.LOOK) == []


@pytest.mark.promise(10)
def test_a_list_that_is_only_put_off_is_not_asked_for_for_ever(tmp_path: Path) -> None:
    """The gateway lets each target be looked at, but refuses its list for haste each time."""
    busy = reading(Verdict.BUSY, message="too many", wait=2.0)
    went = snapped(tmp_path, Platform(60), listing=lambda _: busy)

    assert offsets(went) == [0] * MOST_TRIES
    assert all(later - earlier >= 2.0 for (earlier, _), (later, _) in pairwise(went.wire.pages))
    assert len(went.wire.targets(Act.LOOK)) == 60
    assert set(went.outcomes.values()) == {"undeployed"}


@pytest.mark.promise(3)
def test_what_is_still_up_on_the_list_after_its_204_is_looked_at_alone_and_sent_again(
    tmp_path: Path,
) -> None:
    """A 204 that did nothing: the list says so, looks at the one confirm it, and the undeploy is repeated."""
    went = ran(tmp_path, Platform(60, deaf={"t4"}))

    assert went.wire.targets(Act.UNDEPLOY).count("gw/t4") == 2
    assert set(went.wire.targets(Act.LOOK)) == {"gw/t4"}
    assert 2 <= len(went.wire.targets(Act.LOOK)) <= 4  # of that doubt, and one after the repeat
    assert set(went.outcomes.values()) == {"undeployed"}


def test_what_lags_behind_on_the_list_is_not_sent_again(tmp_path: Path) -> None:
    platform = Platform(60)

    def listing(offset: int) -> ListAnswer:
        shown = platform.listed(offset)
        assert isinstance(shown, Shown)
        return Shown(shown.states | ({"t4": Verdict.UP} if offset == 0 else {}), shown.total)

    went = ran(tmp_path, platform, listing=listing)

    assert went.wire.targets(Act.UNDEPLOY).count("gw/t4") == 1
    assert went.wire.targets(Act.LOOK) == ["gw/t4"]
    assert set(went.outcomes.values()) == {"undeployed"}


@pytest.mark.promise(2)
def test_an_interrupt_before_the_shared_look_leaves_unknown_and_resume_looks_first(tmp_path: Path) -> None:
    platform, run_gate = Platform(60), RunGate()
    pages: list[int] = []

    def listing(offset: int) -> ListAnswer:
        pages.append(offset)
        if len(pages) == 3:  # the first page after the undeploys
            run_gate.stop("interrupt", "SIGINT was received")
        return FAULT if len(pages) >= 3 else platform.listed(offset)

    with journaled(tmp_path, [target(seq) for seq in range(1, 61)]) as database:
        cut = session(database, Shelf(platform.answer, listing, 0.0), run_gate=run_gate)
        assert pages == [0, 30, 30]
        assert set(cut.outcomes.values()) == {"unknown"}
        assert set(cut.reasons.values()) == {"interrupt: SIGINT was received"}

        assert reopen(database, lambda *_: True) == 60
        went = session(database, Shelf(platform.answer, platform.listed, 0.0), resumed=True)

    assert went.wire.targets(Act.UNDEPLOY) == []
    assert set(went.outcomes.values()) == {"undeployed"}


def test_so_many_that_wait_are_looked_at_in_mid_wave_within_the_lanes_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is on the list, so each wants a look of its own, beside the undeploys that go on."""
    monkeypatch.setattr("orchestrator.lanes.state_list.MOST_DEFERRED", 20)
    platform = Platform(100)
    platform.hidden = set(platform.state)
    went = ran(tmp_path, platform, takes=1.0)

    assert len(went.wire.pages) > 2
    assert went.wire.together == Listed.CONCURRENCY
    assert set(went.outcomes.values()) == {"undeployed"}


def test_few_targets_are_looked_at_one_by_one(tmp_path: Path) -> None:
    went = ran(tmp_path, Platform(WORTH_LISTING - 1))

    assert went.wire.pages == []
    assert len(went.wire.targets(Act.LOOK)) == 2 * (WORTH_LISTING - 1)


def test_what_is_owed_to_the_evidence_waits_until_all_undeploys_are_sent(tmp_path: Path) -> None:
    """Looks that take their time, or are put off by a 429, must not keep a worker from the next undeploy."""
    went = ran(tmp_path, Platform(12), takes=1.0)
    last = max(went.wire.times(Act.UNDEPLOY))
    after = [at for at in went.wire.times(Act.LOOK) if at > last]

    assert len(after) == 12
    assert len(went.wire.targets(Act.UNDEPLOY)) == 12


def test_from_so_many_targets_on_a_list_pays(tmp_path: Path) -> None:
    went = ran(tmp_path, Platform(WORTH_LISTING))

    assert offsets(went) == [0, 30, 30, 0]
    assert went.wire.targets(Act.LOOK) == []


def test_a_small_wave_behind_a_large_one_goes_by_the_list_that_is_there(tmp_path: Path) -> None:
    platform = Platform(65)
    targets = [target(seq, wave=seq > 60) for seq in range(1, 66)]
    with journaled(tmp_path, targets) as database:
        went = session(database, Shelf(platform.answer, platform.listed, 0.0))

    assert offsets(went) == [0, 60, 30, *[60, 30, 0] * 2]
    assert went.wire.targets(Act.LOOK) == []
    assert set(went.outcomes.values()) == {"undeployed"}


def test_a_lane_that_looks_only_at_doubts_asks_for_no_list(tmp_path: Path) -> None:
    went = ran(tmp_path, Platform(60), look="doubt")

    assert went.wire.pages == []
    assert went.wire.targets(Act.LOOK) == []


def test_lists_stay_a_small_share_of_the_requests_however_many_targets_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list grows with the targets: read for each so many of them it would cost their square."""
    monkeypatch.setattr("orchestrator.lanes.state_list.MOST_DEFERRED", 40)
    lists = {}
    for count in (120, 360, 1080):
        folder = tmp_path / str(count)
        folder.mkdir()
        went = ran(folder, Platform(count), takes=1.0)
        assert went.wire.targets(Act.LOOK) == []
        assert set(went.outcomes.values()) == {"undeployed"}
        lists[count] = len(went.wire.pages) / (count / PAGE)

    # One before the first undeploy, one for each half of the targets, and one for those that came meanwhile.
    assert all(each <= 4.1 for each in lists.values()), lists


def snapped(folder: Path, platform: Platform, **options: Any) -> Executed:
    """Run all targets with snapshots, and looks at doubts alone."""
    return ran(folder, platform, look="doubt", snapshot="best", **options)


def test_snapshots_come_off_one_list(tmp_path: Path) -> None:
    went = snapped(tmp_path, Platform(100, down={"t7"}))

    assert offsets(went) == [0, 90, 60, 30]
    assert went.wire.targets(Act.LOOK) == []
    assert len(went.wire.targets(Act.UNDEPLOY)) == 99
    assert went.outcomes["gw/t7"] == "already_undeployed"


def test_a_list_is_read_again_by_one_worker_shortly_before_it_is_too_old(tmp_path: Path) -> None:
    """100 undeploys of 4 s, four at a time: 100 s. The other three go on with the old list meanwhile."""
    went = snapped(tmp_path, Platform(100), takes=4.0)

    assert offsets(went)[:4] == [0, 90, 60, 30]
    again = [at for at, _ in went.wire.pages[4:]]
    assert len(again) == 4  # once, although it took until second 100
    assert FRESH_FOR / 2 < again[0] <= FRESH_FOR
    assert went.wire.targets(Act.LOOK) == []
    assert went.wire.together == Listed.CONCURRENCY


def test_a_list_that_costs_more_than_it_would_spare_is_not_read_again(tmp_path: Path) -> None:
    """50 targets, a minute each, of 300 on the list: four would go by its ten pages in their time."""
    platform = Platform(300)
    targets = [target(seq) for seq in range(1, 51)]
    with journaled(tmp_path, targets) as database:
        wire = Shelf(platform.answer, platform.listed, FRESH_FOR + 1)
        went = session(database, wire, look="doubt", snapshot="best")

    assert len(went.wire.pages) == 10
    singles = went.wire.targets(Act.LOOK)
    assert len(singles) == len(set(singles)) == 46
    assert set(went.outcomes.values()) == {"undeployed"}


def test_what_is_deployed_again_behind_a_list_s_back_is_undeployed_all_the_same(tmp_path: Path) -> None:
    """Somebody undeploys t5 behind a young list: our 204 is evidence all the same, and a "down" holds."""
    platform = Platform(60, down={"t9"})
    shown = platform.listed

    def listing(offset: int) -> ListAnswer:
        page = shown(offset)
        platform.state["t5"] = Verdict.DOWN
        return page

    went = snapped(tmp_path, platform, listing=listing)

    assert went.outcomes["gw/t5"] == "undeployed"
    assert went.outcomes["gw/t9"] == "already_undeployed"


def test_an_entry_that_moves_while_the_list_is_read_is_met_all_the_same(tmp_path: Path) -> None:
    """With each page one entry before it vanishes, as front ends do while undeploys go on."""
    platform = Platform(100)
    gone = iter(["t1", "t2", "t3", "t4"])

    def listing(offset: int) -> ListAnswer:
        page = platform.listed(offset)
        platform.hidden.add(next(gone, "t100"))
        return page

    went = snapped(tmp_path, platform, listing=listing)

    looked = set(went.wire.targets(Act.LOOK))
    assert looked <= {"gw/t1", "gw/t2", "gw/t3", "gw/t4"}
    assert offsets(went) == [0, 90, 60, 30, 0]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the pages that are asked for; a list has all of 60 entries on one page."""
    asked = list[int]()

    class Large(ScriptedListing):
        page_size = 60

        def build_request(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:
            asked.append(size)
            return super().build_request(name, offset, size, access, now=now)

    monkeypatch.setattr(Listed, "listing", property(lambda _: Large()))
    return asked


def test_a_page_that_is_lost_twice_is_asked_for_with_a_tenth_of_the_entries(
    tmp_path: Path, sizes: list[int]
) -> None:
    """Too large a page is lost each time; then the list is read by shorter pages, and nothing alone."""
    platform = Platform(60)

    def listing(offset: int) -> ListAnswer:
        if sizes[-1] > 6:
            return Lost(sent=True, detail="the reply is larger than 9 bytes")
        return Shown(dict(list(platform.state.items())[offset : offset + sizes[-1]]), 60)

    went = snapped(tmp_path, platform, listing=listing)

    assert sizes == [60, 60] + [6] * 10
    assert went.wire.targets(Act.LOOK) == []
    assert went.warnings == []


@pytest.mark.parametrize("fault", [FAULT, Lost(sent=False, detail="refused")], ids=["replied", "unsent"])
def test_a_page_that_was_not_lost_on_its_way_is_not_asked_for_with_fewer_entries(
    tmp_path: Path, sizes: list[int], fault: ListAnswer
) -> None:
    """A reply that tells a fault is not too large, nor is one to a request that never left."""
    went = snapped(tmp_path, Platform(60), listing=lambda _: fault)

    assert sizes == [60] * MOST_FAULTS
    assert len(went.wire.targets(Act.LOOK)) == 60


def test_a_list_that_is_lost_in_any_form_is_told_of_once(tmp_path: Path) -> None:
    went = snapped(tmp_path, Platform(60), listing=lambda _: Lost(sent=True, detail="reset"))

    assert offsets(went) == [0] * MOST_FAULTS
    (warning,) = went.warnings
    assert warning == "its list of targets could not be read (reset): each target is looked at alone"
    assert len(went.wire.targets(Act.LOOK)) == 60
    assert set(went.outcomes.values()) == {"undeployed"}


class LateShelf(Shelf):
    """A wire whose list takes ``list_takes`` seconds a page."""

    list_takes = 29.0

    async def send(self, request: Request) -> Reply | Lost:
        if request.method == "list":
            await anyio.sleep(self.list_takes)
        return await super().send(request)


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("is_lost", "within", "why"),
    [(False, FRESH_FOR + 29.0, "it took too long"), (True, 30.0, "no whole reply in time")],
    ids=["slow", "lost"],
)
def test_targets_do_not_wait_for_a_list_that_comes_too_late(
    tmp_path: Path, *, is_lost: bool, within: float, why: str
) -> None:
    """Twenty pages of 29 s would keep all targets waiting for ten minutes, and be too old then."""
    platform = Platform(600)

    def listing(offset: int) -> ListAnswer:
        return Lost(sent=True, detail="no whole reply in time") if is_lost else platform.listed(offset)

    wire = LateShelf(platform.answer, listing, 0.0)
    with journaled(tmp_path, [target(seq) for seq in range(1, 601)]) as database:
        went = session(database, wire, look="doubt", snapshot="best")

    assert min(at for at, _, _ in wire.told) <= within
    assert len(went.wire.targets(Act.LOOK)) == 600
    (warning,) = went.warnings
    assert why in warning
    assert set(went.outcomes.values()) == {"undeployed"}


@pytest.mark.promise(10)
@pytest.mark.parametrize("takes", [59.0, 65.0], ids=["nearly too old", "too old"])
def test_a_list_that_is_too_old_as_it_comes_is_not_read_for_each_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: float
) -> None:
    """A report without pages may take so long, since its gateway's replies may take 150 s."""
    platform = Platform(120)
    monkeypatch.setattr(LateShelf, "list_takes", takes)
    monkeypatch.setattr(ScriptedListing, "page_size", 500)

    def listing(_offset: int) -> ListAnswer:
        return Shown(dict(platform.state), len(platform.state))

    wire = LateShelf(platform.answer, listing, 2.0)
    with journaled(tmp_path, [target(seq) for seq in range(1, 121)]) as database:
        went = session(database, wire, look="doubt", snapshot="best")

    assert len(wire.pages) <= 5
    assert set(went.outcomes.values()) == {"undeployed"}


class SlowSpells(Shelf):
    """A wire whose list takes 61 s a page in some spells, and no time otherwise."""

    spells: tuple[tuple[float, float], ...] = ()

    async def send(self, request: Request) -> Reply | Lost:
        now = anyio.current_time()
        if request.method == "list" and any(begins <= now < ends for begins, ends in self.spells):
            await anyio.sleep(FRESH_FOR + 1.0)
        return await super().send(request)


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("spells", "is_left"),
    [(((0.0, math.inf),), True), (((0.0, 100.0), (900.0, 1000.0)), False)],
    ids=["always slow", "slow twice"],
)
def test_a_list_that_stays_too_slow_is_left_for_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, spells: tuple[tuple[float, float], ...], is_left: bool
) -> None:
    """All targets wait for each try. One try that succeeds between two shows that the list has its uses."""
    platform = Platform(600)
    monkeypatch.setattr(ScriptedListing, "page_size", 300)

    def listing(offset: int) -> ListAnswer:
        return Shown(dict(list(platform.state.items())[offset : offset + 300]), 600)

    wire = SlowSpells(platform.answer, listing, 17.0)
    wire.spells = spells
    with journaled(tmp_path, [target(seq) for seq in range(1, 601)]) as database:
        went = session(database, wire, look="doubt", snapshot="best")

    left = "its list of targets took too long 2 times: this session does without"
    assert (left in went.warnings) == is_left
    assert went.wire.told[-1][0] > 2000.0
    asked = [at for at, _ in went.wire.pages]
    assert len(asked) == 2 if is_left else max(asked) > 1400.0
    assert set(went.outcomes.values()) == {"undeployed"}


def test_long_pages_are_asked_for_again_after_an_outage_of_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lost every page may have been no matter of their size."""
    platform = Platform(600)
    sizes = list[int]()

    class Large(ScriptedListing):
        page_size = 60

        def build_request(self, name: str, offset: int, size: int, access: Access, *, now: float) -> Request:
            sizes.append(size)
            return super().build_request(name, offset, size, access, now=now)

    def listing(offset: int) -> ListAnswer:
        if len(sizes) <= 3:
            return Lost(sent=True, detail="reset")
        return Shown(dict(list(platform.state.items())[offset : offset + sizes[-1]]), 600)

    monkeypatch.setattr(Listed, "listing", property(lambda _: Large()))
    wire = Shelf(platform.answer, listing, 17.0)
    with journaled(tmp_path, [target(seq) for seq in range(1, 601)]) as database:
        session(database, wire, look="doubt", snapshot="best")

    assert sizes[:3] == [60, 60, 6]
    assert set(sizes[3:]) == {60}


def test_a_page_that_was_never_sent_is_no_request(tmp_path: Path) -> None:
    went = snapped(tmp_path, Platform(60), listing=lambda _: Lost(sent=False, detail="refused"))

    assert went.wire.pages
    assert went.listed == 0


@pytest.mark.long("plays a long list")
def test_a_list_that_was_too_long_for_few_targets_serves_many(tmp_path: Path) -> None:
    """The first step has too few targets for so many pages; the second one has enough."""
    platform = Platform(2300)
    targets = [target(seq, wave=seq > 60) for seq in range(1, 2301)]
    with journaled(tmp_path, targets) as database:
        wire = Shelf(platform.answer, platform.listed, 0.0)
        went = session(database, wire, look="doubt", snapshot="best", pause=60.0)

    assert offsets(went)[0] == 0
    assert len(went.wire.pages) == 1 + 77
    assert len(went.wire.targets(Act.LOOK)) == 60


def waved(folder: Path, count: int, **options: Any) -> Executed:
    """Run all targets of a platform in waves of ten."""
    platform = Platform(count)
    targets = [target(seq, wave=(seq - 1) // 10) for seq in range(1, count + 1)]
    with journaled(folder, targets) as database:
        return session(database, Shelf(platform.answer, platform.listed, 0.0), **options)


def test_small_waves_that_follow_each_other_share_a_list(tmp_path: Path) -> None:
    """One list of 4 pages serves the snapshots of ten waves of ten targets."""
    went = waved(tmp_path, 100, look="doubt", snapshot="best")

    assert (len(went.wire.pages), went.wire.targets(Act.LOOK)) == (4, [])
    assert set(went.outcomes.values()) == {"undeployed"}


def test_small_waves_with_long_pauses_read_no_list(tmp_path: Path) -> None:
    went = waved(tmp_path, 100, look="doubt", snapshot="best", pause=30.0)

    assert (len(went.wire.pages), len(went.wire.targets(Act.LOOK))) == (0, 100)


def test_looks_after_a_small_wave_cost_no_more_pages_than_they_are(tmp_path: Path) -> None:
    """Ten looks are worth 4 pages, and not the 14 of a list of 400."""
    short, long = tmp_path / "short", tmp_path / "long"
    short.mkdir()
    long.mkdir()
    few, many = waved(short, 100), waved(long, 400)

    assert (len(few.wire.pages), few.wire.targets(Act.LOOK)) == (4 + 10 * 4, [])
    assert (len(many.wire.pages), len(many.wire.targets(Act.LOOK))) == (14, 400)
    assert set(few.outcomes.values()) == set(many.outcomes.values()) == {"undeployed"}


def test_a_canary_does_not_speak_for_the_pace_of_the_next_step(tmp_path: Path) -> None:
    """Sixteen targets a minute are not worth 19 pages; but whether the next step is as slow, nobody knows."""
    platform = Platform(550)
    targets = [target(seq, wave=seq > 50) for seq in range(1, 551)]
    with journaled(tmp_path, targets) as database:
        wire = Shelf(platform.answer, platform.listed, 17.0)
        went = session(database, wire, look="doubt", snapshot="best")

    singles = set(went.wire.targets(Act.LOOK))
    assert len(went.wire.pages) == 2 * 19
    assert "gw/t50" in singles
    assert singles.isdisjoint({f"gw/t{seq}" for seq in range(51, 67)})
    assert set(went.outcomes.values()) == {"undeployed"}
