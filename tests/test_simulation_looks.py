"""The oracles of what stands around a simulated run: previews, and a clock that jumps.

Each tells what is wrong, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.discover import survey
from orchestrator.discover.survey import SurveyResult
from orchestrator.doctor import visit
from orchestrator.lanes.environment import Environment
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Verdict
from orchestrator.model.search import QueryResult
from orchestrator.model.settings import Retry
from orchestrator.model.target import TargetId
from orchestrator.preview import states
from orchestrator.preview.approval import Approval, ApprovedTarget, Approver
from orchestrator.preview.states import TargetState
from orchestrator.report.values import AttemptReport, TargetReport
from orchestrator.rules import precheck, retry
from orchestrator.rules.retry import draw_backoff
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.books import SeenRequest, SimulatorBooks, TargetFacts
from orchestrator.simulator.exchange import DeliveryManner, RequestEffect
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.simulation import play, surge
from tests.simulation.credentials import TOKENS
from tests.simulation.discovering import SimulatedDiscovery, check_found
from tests.simulation.examining import check_diagnosis, check_doctor_wire
from tests.simulation.guards import check_guards
from tests.simulation.jitter import check_jitter
from tests.simulation.looking import LookWitness, check_reads_only, find_secrets
from tests.simulation.others import check_changes
from tests.simulation.play import play_seed
from tests.simulation.previewing import check_approval, check_silence, check_state, check_status
from tests.simulation.scene import DiscoverScene, SeedScene, make_scene
from tests.simulation.timing import check_gaps, compute_longest_rest, judge_durations
from tests.simulation.wire import WireExchange
from tests.test_simulation import JUDGES
from tests.test_simulation_oracles import LOOK, UNDEPLOY, a_scene, ask, log_in, wire

NAME = TargetId("gw/api1")
_AT = datetime(2026, 11, 22, tzinfo=UTC)


def see(act: Act | None = LOOK, **more: Any) -> SeenRequest:
    """A request about one API, as the books have it."""
    fields: dict[str, Any] = {"method": "DELETE" if act is UNDEPLOY else "GET", "status": 200, "fault": None}
    return SeenRequest(
        number=1,
        at=1.0,
        gateway="gw",
        path="/apis/api1",
        target=NAME,
        act=act,
        manner=DeliveryManner.WHOLE,
        effect=RequestEffect.NONE,
        **fields | more,
    )


def note(*, down: bool) -> TargetFacts:
    return TargetFacts(
        id=NAME, down=down, undeploys=0, looks=0, deploys=0, down_by=0, down_at=0.0, destroyed=False
    )


def show(state: str, **more: Any) -> dict[str, Any]:
    """A target as the JSON of a preview has it."""
    return {"id": NAME, "state": state, "usage": None, "revision": "7", "since": "then"} | more


# --- a command that only looks --------------------------------------------------------------------------


def test_a_change_by_a_command_that_only_looks_is_told() -> None:
    witness, scene = LookWitness("the preview"), a_scene()
    witness.note_arrival(NAME, LOOK, 1.0)
    assert witness.broken == []
    witness.note_arrival(NAME, UNDEPLOY, 1.0)
    assert witness.broken == ["the preview sent undeploy of gw/api1 at 1.000"]

    books = SimulatedPlatforms(scene.fixture).books()
    assert (
        list(check_reads_only("the preview", books, books, [see(), see(None, method="POST", login=True)]))
        == []
    )
    (told,) = check_reads_only("the preview", books, books, [see(None, method="POST")])
    assert told == "the preview sent POST /apis/api1, with the effect none"
    after = replace(books, targets=books.targets | {NAME: note(down=True)})
    assert "gw/api1 is down, and was not" in " ".join(check_reads_only("it", books, after, []))


@pytest.mark.promise(9)
def test_a_credential_in_what_a_command_shows_is_told() -> None:
    assert list(find_secrets("the preview", "the token is •••")) == []
    assert list(find_secrets("the preview", TOKENS[0])) == ["promise 9: the preview shows a credential"]


# --- preview --------------------------------------------------------------------------------------------


@pytest.mark.promise(3)
@pytest.mark.promise(4)
@pytest.mark.parametrize(("state", "down", "is_told"), [
    ("deployed", False, False), ("deployed", True, True), ("deployed", None, True),
    ("undeployed", True, False), ("undeployed", False, True), ("undeployed", None, False),
    ("absent", None, False), ("absent", True, True), ("absent", False, True),
    ("partial", False, True), ("unknown", False, False), ("unknown", None, False),
])  # fmt: skip
def test_a_state_that_the_books_do_not_have_is_told(state: str, down: bool | None, *, is_told: bool) -> None:
    facts = None if down is None else note(down=down)

    assert len(list(check_state(show(state), facts, [see()]))) == is_told


def test_a_target_may_be_partial_where_a_pod_was_made_to_lie() -> None:
    assert list(check_state(show("partial"), note(down=False), [see(fault="partial")])) == []


@pytest.mark.parametrize(("target", "status"), [
    (show("deployed"), 0),
    (show("unknown"), 1),
    (show("deployed", usage={"calls": 0, "is_open": False, "callers_unread": None}), 0),
    (show("deployed", usage={"calls": None, "is_open": True, "callers_unread": None}), 1),
    (show("deployed", usage={"calls": 3, "is_open": False, "callers_unread": "forbidden"}), 1),
    (show("deployed", usage={"calls": 3, "is_open": True, "callers_unread": "forbidden"}), 0),
])  # fmt: skip
def test_an_exit_status_that_does_not_say_what_is_shown_is_told(target: dict[str, Any], status: int) -> None:
    shown = {"targets": [target], "complete": target["state"] != "unknown"}

    assert list(check_status(shown, status)) == []
    assert len(list(check_status(shown, 1 - status))) == 1
    assert len(list(check_status(shown | {"complete": not shown["complete"]}, status))) == 1


@pytest.mark.promise(10)
def test_a_preview_that_goes_on_with_a_silent_gateway_is_told() -> None:
    answered, lost = ask(1.0, 2.0, 200, act=LOOK), ask(30.0, 60.0, None, act=LOOK)

    def find(*exchanges: Any, ended: float) -> list[str]:
        return list(check_silence(a_scene(), wire(answered, *exchanges), ended))

    assert find(lost, ended=62.0) == []
    assert find(lost, ended=70.0) == ["promise 10: the preview ended 68.0 s after the last answer"]
    (late,) = find(lost, ask(65.0, 70.0, 200, act=LOOK), ended=71.0)
    assert late == "the preview asked gw 63.0 s after its last answer"
    # A pause that the gateway asks for is no silence, though it may be no longer than ``park_for``.
    assert find(ask(3.0, 4.0, 429, act=LOOK, wait=50.0), ask(110.0, 111.0, 200, act=LOOK), ended=112.0) == []
    assert len(find(ask(3.0, 4.0, 429, act=LOOK, wait=900.0), ended=200.0)) == 1


def is_caught(told: str, seeds: range, has: Callable[[SeedScene], bool]) -> bool:
    """Return whether one of the seeds whose scene has something breaks what is told."""
    chosen = (seed for seed in seeds if has(make_scene(seed)))
    return any(told in line for seed in chosen for line in play_seed(seed).broken)


@JUDGES
def test_a_preview_that_takes_doubt_for_down_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(states._STATES, Verdict.UNCLEAR, TargetState.UNDEPLOYED)

    assert is_caught("undeployed, and it is deployed", range(1, 60), lambda scene: scene.preview is not None)


@JUDGES
def test_a_run_without_a_drift_guard_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precheck, "describe_drift", lambda before, now: None)

    assert is_caught("was changed since it was approved", range(1, 120), _is_guarded)


def _is_guarded(scene: SeedScene) -> bool:
    return scene.preview is not None and scene.preview.is_approved


def test_an_approval_that_does_not_hold_what_was_shown_is_told() -> None:
    def approve(*targets: ApprovedTarget, incomplete: tuple[str, ...] = ()) -> Approval:
        return Approval(
            plan="p", digest="0", taken=_AT, expires=_AT, by=Approver(user="u", host="h"),
            incomplete=incomplete, targets=targets,
        )  # fmt: skip

    shown = {"targets": [show("deployed"), show("unknown", id="gw/api2")]}
    known = ApprovedTarget(id=NAME, state=TargetState.DEPLOYED, revision="7", since="then")
    unknown = replace(known, id="gw/api2", state=TargetState.UNKNOWN)
    assert list(check_approval(shown, approve(known, unknown, incomplete=("gw/api2",)))) == []
    assert len(list(check_approval(shown, approve(known, unknown)))) == 1
    assert len(list(check_approval(shown, approve(replace(known, since=None), unknown)))) == 2
    assert len(list(check_approval(shown, approve(known)))) == 2


# --- what somebody else changes -------------------------------------------------------------------------


def attempt(act: Act, status: int | None = 200) -> AttemptReport:
    return AttemptReport(
        number=1, act=act, started=_AT, seconds=1.0, status=status, code=None, message=None, sent=True
    )


def end(reason: str | None = None, *attempts: AttemptReport) -> TargetReport:
    outcome = Outcome.NOT_STARTED if reason else Outcome.UNDEPLOYED
    return TargetReport(
        id=NAME, gateway="gw", kind="roma", wave="all", outcome=outcome, reason=reason, evidence=None,
        seconds=None, attempts=attempts, coordinates={"ld_api_id": "api1"},
    )  # fmt: skip


def test_an_undeploy_of_what_was_changed_since_its_approval_is_told() -> None:
    changed, sent = {NAME: True}, see(UNDEPLOY)
    told = [ask(0.5, 2.0, 200, act=LOOK)]

    def find(*requests: SeenRequest, exchanges: Sequence[WireExchange] = told) -> list[str]:
        return list(check_changes(changed, [end()], requests, exchanges))

    assert len(find(see(), sent)) == 1
    assert find(see(), see(), sent, see())[0].startswith("gw/api1 was changed since it was approved")
    # A look that met a fault, or whose reply was lost, proves no change; and without a look nothing does.
    assert find(see(), see(status=500), sent) == find(see(fault="cut"), sent) == find(sent) == []
    assert find(see(), sent, exchanges=[ask(0.5, 2.0, None, act=LOOK)]) == []
    assert list(check_changes({NAME: False}, [end()], [see(), sent], told)) == []
    assert find(see()) == list(check_changes(None, [end()], [see(), sent], told)) == []


def test_an_undeploy_that_a_guard_forbade_is_told_unless_it_was_refused() -> None:
    scene = replace(make_scene(1), plan=replace(make_scene(1).plan, protect=()), skip=())

    def find(status: int | None) -> list[str]:
        facts = TargetFacts(
            id=NAME, down=False, undeploys=1, looks=0, deploys=0, down_by=0, down_at=0.0, destroyed=False
        )
        return list(check_guards(scene, end("snapshot: no", attempt(UNDEPLOY, status)), facts))

    assert find(503) == find(429) == find(401) == []
    assert find(500) == find(None) == [f"{NAME} was sent 1 undeploys, and is reported as snapshot: no"]


def test_a_drift_that_was_none_is_told() -> None:
    drifted = end("drifted: its revision was 7 when it was approved, and is 8 now")

    assert list(check_changes({NAME: False}, [drifted], [], [])) == []
    (told,) = check_changes({}, [drifted], [], [])
    assert told.startswith("gw/api1 is as it was when it was approved, and is reported as drifted")


# --- discover -------------------------------------------------------------------------------------------


def test_a_target_that_is_found_wrongly_or_left_out_without_a_word_is_told() -> None:
    scene, everything = a_scene(), DiscoverScene(by="all", unused=None)
    books = SimulatedPlatforms(scene.fixture).books()
    every = frozenset(target.id for target in scene.targets)

    def find(found: Iterable[str], *gaps: str, wanted: DiscoverScene = everything) -> list[str]:
        results = {"gw": SurveyResult(gaps=[*gaps])}
        played = SimulatedDiscovery(frozenset(map(TargetId, found)), results, "")
        return list(check_found(scene, wanted, {"gw"}, books, played))

    assert find(every) == []
    assert find(every - {NAME}) == ["discover has left out gw/api1, and does not say so"]
    assert find(every - {NAME}, "the list is partial") == []
    assert find({*every, "gw/api99"}) == ["discover has found gw/api99, which is in no book"]
    one = replace(books, targets=books.targets | {NAME: note(down=True)})
    gone = SimulatedDiscovery(every, {"gw": SurveyResult()}, "")
    assert list(check_found(scene, everything, {"gw"}, one, gone)) == [
        "discover has found gw/api1, which is down"
    ]
    # A report that lags shows what somebody took down a moment before.
    slow = replace(scene.fixture, gateways=(ApinizerFixture(name="gw", report_lag=5.0),))
    lagging = replace(scene, fixture=slow)
    assert list(check_found(lagging, everything, {"gw"}, one, gone, {NAME})) == []
    assert list(check_found(lagging, everything, {"gw"}, one, gone, set())) == [
        "discover has found gw/api1, which is down"
    ]
    early = DiscoverScene(by="early", unused=None)
    assert find([], wanted=early) == []
    assert find([NAME], wanted=early) == ["discover has found gw/api1, which its filters leave out"]
    unused = DiscoverScene(by="all", unused=72)
    assert find(every, wanted=unused) == []
    busy = replace(scene.fixture.gateways[0], about={"api1": BackendFixture(calls=((1.0, 5),))})
    scene = replace(scene, fixture=replace(scene.fixture, gateways=(busy,)))
    assert find(every, wanted=unused) == ["discover has found gw/api1, which its filters leave out"]


@JUDGES
def test_a_discover_that_takes_an_unanswered_read_for_an_empty_one_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(survey, "_describe_unanswered", lambda query, read: QueryResult())

    assert is_caught("and does not say so", range(1, 300), lambda scene: scene.discover is not None)


# --- doctor ---------------------------------------------------------------------------------------------


def test_what_a_doctor_asks_too_early_too_often_or_side_by_side_is_told() -> None:
    greeting, scene = ask(0.0, 1.0, 401, act=None, credential=""), a_scene()

    def find(*exchanges: WireExchange, seconds: float = 5.0) -> list[str]:
        return list(check_doctor_wire(scene, wire(*exchanges), seconds))

    assert find(greeting, ask(1.0, 2.0, act=LOOK), ask(2.0, 3.0, act=LOOK)) == []
    assert find(greeting, ask(0.5, 2.0, act=LOOK))[0].endswith("beside another one")
    assert find(ask(0.0, 1.0, act=LOOK)) == [
        "doctor showed gw a credential before it had answered as that gateway would"
    ]
    assert find(replace(greeting, status=None), ask(1.0, 2.0, act=LOOK)) == [
        "doctor went on at gw, which had not answered"
    ]
    many = [ask(float(number), number + 1.0, act=LOOK) for number in range(1, 13)]
    assert find(greeting, *many) == ["doctor sent 13 requests to gw"]
    logins = [log_in(float(number), number + 1.0) for number in (1, 2)]
    assert find(greeting, *logins) == ["promise 5: doctor logged in to gw more than once"]
    assert find(greeting, seconds=90.0) == ["promise 10: doctor took 90.0 s"]


@pytest.mark.parametrize(("text", "told"), [
    ("3 of 12 looked at: 2 deployed, 1 not deployed", []),
    ("3 of 12 looked at: 3 could not be told (HTTP 502)", []),
    ("3 of 12 looked at: 3 deployed", ["doctor tells that 3 of gw are deployed, and 2 are"]),
    ("3 of 12 looked at: 1 not found", ["doctor tells that 1 of gw are not found, and 0 are"]),
    ("4 of 12 looked at: 2 deployed", ["doctor tells of 4 samples of gw, and there are 3"]),
    ("no target to try them with", []),
])  # fmt: skip
def test_a_sample_that_the_books_do_not_have_is_told(text: str, told: list[str]) -> None:
    scene = a_scene()
    books = SimulatorBooks(
        requests=0,
        gateways={},
        targets={target.id: note(down=target.seq == 1) for target in scene.targets},
        destroyed=(),
    )
    checks = [{"check": "targets", "state": "ok", "text": text, "advice": ""}]

    assert list(check_diagnosis(scene, {"name": "gw", "state": "ok", "checks": checks}, books)) == told


def test_a_state_that_no_check_has_and_a_fault_without_advice_are_told() -> None:
    checks = [
        {"check": "targets", "state": "unknown", "text": "none was looked at", "advice": ""},
        {"check": "answer", "state": "fail", "text": "HTTP 502", "advice": ""},
    ]
    books = SimulatedPlatforms(a_scene().fixture).books()

    assert list(check_diagnosis(a_scene(), {"name": "gw", "state": "ok", "checks": checks}, books)) == [
        "doctor calls gw ok, and a check fail",
        "doctor gives no advice on answer of gw",
    ]


@JUDGES
def test_a_doctor_that_shows_its_credential_at_once_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def greet(*_: object) -> None:
        """Trust whatever stands there."""

    monkeypatch.setattr(visit._GatewayVisit, "_greet", greet)

    assert is_caught("before it had answered", range(1, 100), lambda scene: scene.has_doctor)


# --- jitter ---------------------------------------------------------------------------------------------


def struck(waits: Iterable[float], **more: Any) -> list[WireExchange]:
    """Undeploys that met a fault at one moment, an answer between each two, and their repeats."""
    found: list[WireExchange] = []
    for number, wait in enumerate(waits, 1):
        at = 1.0 + number / 100
        found.append(ask(0.5, at, 502, api=number, **more))
        found.append(ask(0.5, at + 0.001, api=number + 100))
        found.append(ask(at + wait, at + wait + 0.1, api=number))
    return found


@pytest.mark.promise(7)
def test_repeats_that_leave_in_step_after_one_moment_of_faults_are_told() -> None:
    scene = a_scene()
    gateway = replace(scene.plan.gateways[0], retry=Retry(first=2.0))
    scene = replace(scene, plan=replace(scene.plan, gateways=(gateway,)))

    def find(*exchanges: WireExchange, **more: Any) -> list[str]:
        return list(check_jitter(scene, wire(*exchanges, **more)))

    in_step, spread = [2.0] * 12, [number / 6 for number in range(12)]
    assert find(*struck(in_step)) == [
        "promise 7: gw got the repeats of 12 targets in step, within 0.000 s of 2 s"
    ]
    assert find(*struck([1.5 + number / 40 for number in range(12)])) != []
    assert find(*struck(spread)) == []
    # Eleven may be so by chance; and a lane that was told to wait, or parked, lets all go at one moment.
    assert find(*struck(in_step[:11])) == []
    assert find(*struck(in_step), ask(1.2, 1.3, 429, api=50, act=LOOK)) == []
    assert find(*(each for each in struck(in_step) if len(each.target or "") < len("gw/api101"))) == []
    assert find(*struck(in_step), frozen=(1.2, 5.0)) == []


@JUDGES
def test_repeats_without_jitter_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        retry, "draw_backoff", lambda policy, failures, _: draw_backoff(policy, failures, 1.0)
    )

    assert is_caught("in step", range(1, 250), is_surge)


def is_surge(scene: SeedScene) -> bool:
    return any(gateway.concurrency == surge.TARGETS for gateway in scene.plan.gateways)


# --- a wall clock that jumps ----------------------------------------------------------------------------


def test_a_duration_that_cannot_be_is_told() -> None:
    def judge(
        run: float | None,
        attempt_took: float,
        *,
        ended: bool = True,
        has_jumped: bool = True,
        taken_over: bool = False,
    ) -> list[str]:
        one = replace(attempt(UNDEPLOY), seconds=attempt_took)
        report = a_report(run, ended=ended)
        targets = [end(None, one)]
        return list(judge_durations(report, targets, 60.0, has_jumped=has_jumped, taken_over=taken_over))

    assert judge(60.5, 2.0) == judge(0.0, 0.0) == []
    assert judge(3600.0, 2.0) == ["the run is reported to have taken 3600.0 s, in a run of 60.0 s"]
    assert judge(-1.0, 2.0) == ["the run is reported to have taken -1.0 s, in a run of 60.0 s"]
    assert judge(60.0, -3599.0)[0].startswith("attempt 1 of gw/api1 is reported to have taken -3599.0 s")
    # Nothing tells the true end of a session that was killed, if the clock has jumped in it.
    assert judge(3600.0, 2.0, ended=False) == []
    assert len(judge(3600.0, 2.0, ended=False, has_jumped=False)) == 1
    assert len(judge(-1.0, 2.0, ended=False)) == 1
    # Nor that of a session which began by the clock of one driver, and ended by that of another.
    assert judge(3600.0, 2.0, taken_over=True) == []
    assert len(judge(3600.0, 2.0, taken_over=True, has_jumped=False)) == 1
    twice = [end(None, attempt(UNDEPLOY), attempt(UNDEPLOY))]
    assert list(judge_durations(a_report(1.0), twice, 60.0, has_jumped=False)) == [
        "the attempts of gw/api1 are out of order"
    ]


def a_report(seconds: float, *, ended: bool = True) -> Any:
    sessions = [SimpleNamespace(ended=_AT if ended else None)]
    return SimpleNamespace(run=SimpleNamespace(seconds=seconds, sessions=sessions))


@pytest.mark.promise(10)
def test_a_rest_that_is_longer_than_all_that_the_plan_allows_is_told() -> None:
    scene, seen = a_scene(), wire(ask(1.0, 2.0), ask(4000.0, 4001.0))

    assert compute_longest_rest(scene) == 60.0 + 10.0 + 15.0 + 30.0 + 20.0
    (told,) = check_gaps(scene, seen, 4002.0)
    assert told == "promise 10: nothing was done for 3998 s from 2.000 on, 135 s at most"
    assert list(check_gaps(scene, wire(ask(1.0, 2.0), ask(130.0, 131.0)), 132.0)) == []
    assert len(list(check_gaps(scene, wire(ask(1.0, 2.0)), 500.0))) == 1
    frozen = wire(ask(1.0, 2.0), ask(4000.0, 4001.0), frozen=(10.0, 3990.0))
    assert list(check_gaps(scene, frozen, 4002.0)) == []


@JUDGES
@pytest.mark.parametrize(("told", "seeds"), [
    ("promise ", range(1, 80)),
    ("too late for the window", range(700, 720)),  # a clock that is put back holds its window open
])  # fmt: skip
def test_a_program_that_measures_its_waits_on_the_wall_clock_is_caught(
    monkeypatch: pytest.MonkeyPatch, told: str, seeds: range
) -> None:
    def build(**given: Any) -> Environment:
        return Environment(**given | {"monotonic": given["now"]})

    monkeypatch.setattr(play, "Environment", build)

    assert is_caught(told, seeds, lambda scene: bool(scene.jumps))
