"""The states of a preview, the forecast of a run, and each warning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.features import GroupMembership
from orchestrator.model.plan import Plan, StepSize, Wave, Window
from orchestrator.model.reading import FrontEnd, LookFacts, Snapshot, Verdict
from orchestrator.model.settings import Auth, CredentialReference, Limits
from orchestrator.model.target import Target, TargetId
from orchestrator.model.usage import Usage
from orchestrator.preview.forecast import forecast_run
from orchestrator.preview.losses import list_deleted_front_ends
from orchestrator.preview.states import (
    Preview,
    PreviewedGateway,
    PreviewGroup,
    SeenList,
    SeenTarget,
    SiblingDeployments,
    TargetState,
    build_approved,
    count_by_group,
)
from orchestrator.preview.warnings import PreviewWarning, list_warnings
from orchestrator.rules.precheck import StateAtApproval

TAKEN = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
AUTH = Auth(token=CredentialReference(env="T"))
ROMA = Roma(name="roma", url="https://r.example", auth=AUTH, project_id="p", instance_id="i")
APIM = Apinizer(name="apim", url="https://a.example", auth=AUTH)
PLAN = Plan(name="p", gateways=(ROMA, APIM), waves=(Wave(name="one"), Wave(name="two")))


def make_seen(
    seq: int,
    verdict: Verdict = Verdict.UP,
    *,
    gateway: str = "roma",
    wave: int = 0,
    reads: int = 3,
    listed: tuple[str, ...] = (),
    **more: object,
) -> SeenTarget:
    parts = (f"{seq:032x}",) if gateway == "roma" else ("P", f"x{seq}", "test")
    target = Target(seq, TargetId("/".join((gateway, *parts))), gateway, wave, parts)
    snapshot = Snapshot(verdict=verdict, **more)
    return SeenTarget(target=target, step=0, snapshot=snapshot, reads=reads, listed=listed)


def make_preview(
    *seen_targets: SeenTarget,
    window: Window | None = None,
    seconds: float = 0.1,
    lists: tuple[SeenList, ...] = (),
    **more: object,
) -> Preview:
    """Return a preview; ``lists`` are those of ROMA."""
    gateways = tuple(
        PreviewedGateway(
            name=one.name,
            kind=one.KIND,
            requests=1,
            seconds=(seconds,) if seconds else (),
            lists=lists if one is ROMA else (),
        )
        for one in PLAN.gateways
    )
    fields = {"gateways": gateways} | more
    return Preview(
        plan="p",
        reason=None,
        digest="ab" * 32,
        taken=TAKEN.timestamp(),
        seconds=1.0,
        window=window,
        targets=seen_targets,
        **fields,
    )


def find_warnings(plan: Plan, seen: Preview) -> dict[str, PreviewWarning]:
    found = list_warnings(plan, seen, forecast_run(plan, seen, guarded=False))
    return {one.kind: one for one in found}


@pytest.mark.parametrize(
    ("verdict", "state", "group"),
    [
        (Verdict.UP, TargetState.DEPLOYED, PreviewGroup.WILL_CHANGE),
        (Verdict.PARTIAL, TargetState.PARTIAL, PreviewGroup.WILL_CHANGE),
        (Verdict.DOWN, TargetState.UNDEPLOYED, PreviewGroup.ALREADY_SO),
        (Verdict.ABSENT, TargetState.ABSENT, PreviewGroup.DOES_NOT_EXIST),
        (Verdict.UNCLEAR, TargetState.UNKNOWN, PreviewGroup.UNKNOWN),
        (Verdict.NOT_OFFERED, TargetState.UNKNOWN, PreviewGroup.UNKNOWN),
    ],
)
def test_a_verdict_has_a_state_and_a_group(verdict: Verdict, state: TargetState, group: PreviewGroup) -> None:
    one = make_seen(1, verdict)

    assert (one.state, one.group) == (state, group)
    assert count_by_group([one])[group.value] == count_by_group([one])["targets"] == 1


def test_a_preview_is_complete_once_the_state_of_every_target_is_known() -> None:
    known = [make_seen(number, verdict) for number, verdict in enumerate((Verdict.UP, Verdict.ABSENT), 1)]
    unclear = make_seen(3, Verdict.UNCLEAR)
    whole, broken = make_preview(*known), make_preview(*known, unclear)

    assert (whole.unknown, whole.complete) == ((), True)
    assert (broken.unknown, broken.complete) == ((unclear,), False)


@pytest.mark.parametrize(
    ("usages", "told"),
    [
        ((), True),
        ((None,), True),
        ((Usage(hours=72, calls=0),), True),
        ((Usage(hours=72, why="no"),), False),
        ((Usage(hours=72, calls=3), Usage(hours=72)), False),
        ((None, Usage(hours=72)), False),
    ],
)
def test_the_use_is_told_if_that_of_each_target_is_that_was_asked_for(
    usages: tuple[Usage | None, ...], told: bool
) -> None:
    seen = [replace(make_seen(number), usage=usage) for number, usage in enumerate(usages, 1)]
    assert make_preview(*seen).tells_use is told


def test_what_a_preview_did_not_do_or_see_counts_for_nothing() -> None:
    seen = SeenTarget(target=make_seen(1).target, step=0, snapshot=Snapshot(verdict=Verdict.UP))
    previewed = make_preview(seen)

    assert previewed.requests == len(PLAN.gateways), "one of each gateway"
    assert (seen.reads, seen.places, seen.use_reads) == (0, 0, 0)
    assert {place.shared_use_reads for place in previewed.gateways} == {0}
    assert (previewed.protected, previewed.filtered, previewed.patterns) == (0, 0, 0)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_guarded_run_compares_with_the_state_that_was_approved(verdict: Verdict) -> None:
    """Any state that could not be told is one: that it is not told."""
    approved = build_approved(make_seen(1, verdict).state.value, "7", "2026")
    told = verdict if verdict in (Verdict.UP, Verdict.DOWN, Verdict.PARTIAL, Verdict.ABSENT) else None

    assert approved == StateAtApproval(state=(told or Verdict.UNCLEAR).value, revision="7", since="2026")


def test_why_is_told_where_something_is_to_be_said() -> None:
    assert make_seen(1, message="slow").why == "slow"
    assert make_seen(1, code="E.1").why == "E.1"
    assert make_seen(1, Verdict.DOWN, code="E.1", message="slow").why == "E.1 slow"
    assert make_seen(1).why is None
    assert make_seen(1, Verdict.NOT_OFFERED).why == "this version offers no look"
    assert make_seen(1, Verdict.UNCLEAR, message="denied: no").why == "denied: no"
    assert (
        make_seen(1, Verdict.ABSENT, code="APIG.3084", hidden=True).why == "APIG.3084 (or it may not be seen)"
    )


def test_a_run_needs_what_the_preview_read_and_an_undeploy_of_what_changes() -> None:
    ahead = forecast_run(PLAN, make_preview(make_seen(1), make_seen(2, Verdict.DOWN, reads=1)), guarded=False)

    assert (ahead.looks, ahead.undeploys, ahead.requests) == (4, 1, 5)
    assert ahead.seconds == pytest.approx(4 * 0.1)  # those of one target go one after the other
    assert (ahead.left, ahead.fits) == (None, None)


def test_without_snapshots_every_target_is_sent_for() -> None:
    plan = replace(PLAN, snapshot="off")
    previewed = make_preview(make_seen(1), make_seen(2, Verdict.DOWN))

    assert forecast_run(plan, previewed, guarded=False).looks == 0
    assert forecast_run(plan, previewed, guarded=False).undeploys == 2
    assert forecast_run(plan, previewed, guarded=True).undeploys == 1


def test_look_always_looks_after_each_that_goes_down() -> None:
    gateways = (replace(ROMA, look="always"), replace(APIM, look="always"))
    plan = replace(PLAN, gateways=gateways)
    previewed = make_preview(make_seen(1, reads=3), make_seen(2, gateway="apim", reads=2))

    assert forecast_run(plan, previewed, guarded=False).looks == (3 + 1) + (2 + 2)
    many = make_preview(*(make_seen(number, reads=3) for number in range(60)))
    assert forecast_run(plan, many, guarded=False).looks == 60 * (3 + 1)  # it has shown no list


def test_lists_are_read_in_place_of_each_target() -> None:
    lists = (SeenList(2, 600, False), SeenList(3, 1100, True))
    many = make_preview(
        *(make_seen(number, reads=number < 7, listed=("definition",)) for number in range(60)), lists=lists
    )
    always = replace(PLAN, gateways=(replace(ROMA, look="always"), APIM))
    counts = [
        (forecast.looks, forecast.undeploys, forecast.pages)
        for forecast in (
            forecast_run(PLAN, many, guarded=False),
            forecast_run(PLAN, many, guarded=True),
            forecast_run(always, many, guarded=False),
            forecast_run(replace(always, snapshot="off"), many, guarded=False),
        )
    ]

    assert counts == [
        (7 + 5, 60, 5),
        (7 + 5 + 60, 60, 5),  # an approval wants the state of each target alone
        (7 + 5 + 3, 60, 5 + 3),  # the looks after read the list of states again
        (3 + 3, 60, 3 + 3),
    ]


def test_lists_are_read_again_while_a_long_run_goes_on() -> None:
    lists = (SeenList(1, 60, False), SeenList(1, 60, True))
    seen = [make_seen(number, reads=0, listed=("definition",)) for number in range(1000)]
    slow = replace(PLAN, gateways=(replace(ROMA, limits=Limits(rate=10.0)), APIM))
    forecast = forecast_run(slow, make_preview(*seen, lists=lists), guarded=False)

    assert forecast.pages == 2 + 2  # 100 s by the rate; a list is believed for a minute


@pytest.mark.parametrize(
    ("first", "looks"),
    [
        # Definition, history and front end, then two lists; where no pause is between, the lists alone.
        (Wave(name="one", proceed="ask"), 3 + 2),
        (Wave(name="one", pause_after=60.0), 3 + 2),
        (Wave(name="one"), 2),
    ],
)
def test_a_step_of_few_targets_reads_lists_if_more_come_soon(first: Wave, looks: int) -> None:
    lists = (SeenList(1, 60, False), SeenList(1, 60, True))
    fronts = (FrontEnd(id="front"),)
    few = [make_seen(0, reads=0, listed=("definition",), fronts=fronts)]
    rest = [make_seen(number, wave=1, reads=0, listed=("definition",)) for number in range(1, 60)]
    plan = replace(PLAN, waves=(first, Wave(name="two")))
    forecast = forecast_run(plan, make_preview(*few, *rest, lists=lists), guarded=False)

    assert (forecast.looks, forecast.pages) == (looks, 2)


def test_a_rate_and_the_pauses_bound_the_time() -> None:
    slow = replace(ROMA, limits=Limits(rate=0.5))
    waves = (Wave(name="one", pause_after=60.0), Wave(name="two", pause_after=60.0))
    plan = replace(PLAN, gateways=(slow, APIM), waves=waves)
    previewed = make_preview(make_seen(1), make_seen(2, wave=1))

    assert forecast_run(plan, previewed, guarded=False).seconds == pytest.approx(6 + 60 + 6)


def test_without_an_answer_no_time_is_made_up() -> None:
    assert forecast_run(PLAN, make_preview(make_seen(1), seconds=0.0), guarded=False).seconds is None


@pytest.mark.parametrize(
    ("opens", "closes", "left", "fits"),
    [
        (None, TAKEN + timedelta(hours=4), 4 * 3600, True),
        (TAKEN + timedelta(hours=1), TAKEN + timedelta(hours=4), 3 * 3600, True),
        (None, TAKEN + timedelta(seconds=5), 5, False),
        (None, TAKEN - timedelta(hours=1), -3600, False),
    ],
)
def test_a_window_is_measured_from_when_a_run_may_begin(
    opens: datetime | None, closes: datetime, left: float, fits: bool
) -> None:
    previewed = make_preview(make_seen(1), window=Window(opens, closes))
    ahead = forecast_run(PLAN, previewed, guarded=False)

    assert (ahead.left, ahead.fits) == (left, fits)
    assert ("window" in find_warnings(PLAN, previewed)) is not fits


def test_a_credential_that_ends_before_a_window_without_an_end_opens_is_told() -> None:
    place = PreviewedGateway(
        name="roma", kind="roma", requests=1, seconds=(0.1,), until=TAKEN.timestamp() + 60
    )
    window = Window(TAKEN + timedelta(hours=1), None)
    previewed = replace(make_preview(make_seen(1), window=window), gateways=(place,))

    assert "credential" in find_warnings(PLAN, previewed)
    assert "credential" not in find_warnings(PLAN, replace(previewed, window=None))


def test_a_credential_that_ends_too_early_is_told() -> None:
    place = PreviewedGateway(
        name="roma", kind="roma", requests=1, seconds=(0.1,), until=TAKEN.timestamp() + 60
    )
    here = (place, PreviewedGateway(name="apim", kind="apinizer", requests=0, seconds=()))
    window = Window(None, TAKEN + timedelta(hours=1))

    assert (
        "before the window closes"
        in find_warnings(PLAN, make_preview(make_seen(1), window=window, gateways=here))["credential"].text
    )
    assert "credential" not in find_warnings(PLAN, make_preview(make_seen(1), gateways=here))


def test_what_goes_with_a_target_is_named() -> None:
    front = FrontEnd(id="f", name="orders", path="/orders")
    up, down = make_seen(1, fronts=(front,)), make_seen(2, Verdict.DOWN, fronts=(front,))
    previewed = make_preview(up, down)

    assert list(list_deleted_front_ends(PLAN, previewed.targets)) == [(up, front)]
    assert find_warnings(PLAN, previewed)["front_end"].text.startswith(
        "1 front-end API is deleted with 1 target"
    )


def test_the_last_environment_is_one_that_nobody_else_has() -> None:
    one = make_seen(1, gateway="apim")
    alone = make_preview(one, siblings=(SiblingDeployments(one.target, frozenset({"test"})),))
    others = make_preview(one, siblings=(SiblingDeployments(one.target, frozenset({"test", "production"})),))

    assert find_warnings(PLAN, alone)["last_environment"].targets == (one.target.id,)
    # Another target of the plan may be the one in another environment: nothing is said of where it is now.
    assert find_warnings(PLAN, alone)["last_environment"].text == (
        "1 target whose proxy would then be deployed in no environment"
    )
    assert "last_environment" not in find_warnings(PLAN, others)


def test_what_a_restore_would_not_bring_back_is_told_by_cause() -> None:
    previewed = make_preview(
        make_seen(1, obstacles=("unpublished-edits", "new-front-end-id")),
        make_seen(2, obstacles=("missing-history",)),
        make_seen(3, Verdict.DOWN, obstacles=("missing-history",)),
    )
    found = find_warnings(PLAN, previewed)

    assert len(found["unpublished_edits"].targets) == len(found["missing_history"].targets) == 1
    assert "no_snapshot" not in found
    assert "no_snapshot" in find_warnings(replace(PLAN, snapshot="off"), previewed)


def test_pods_that_differ_are_told() -> None:
    uneven = make_seen(1, gateway="apim", facts=LookFacts(pods_active=1, pods_responded=2))
    even = make_seen(2, gateway="apim", facts=LookFacts(pods_active=2, pods_responded=2))
    orphan = make_seen(3, Verdict.PARTIAL, gateway="apim")
    found = find_warnings(PLAN, make_preview(uneven, even, orphan))

    assert found["pods"].targets == (uneven.target.id,)
    assert found["orphan"].targets == (orphan.target.id,)


def test_a_stop_rule_is_foreseen_where_it_would_fire_first() -> None:
    gone = [make_seen(number, Verdict.ABSENT) for number in range(2)]
    up = [make_seen(number) for number in range(2, 4)]
    later = make_seen(9, wave=1)

    assert find_warnings(PLAN, make_preview(*gone, *up, later))["stop_rule"].text == (
        "a stop rule would end the run in one: failed: 2 of 4 (50%) in the wave, limit 20%"
    )
    assert "stop_rule" not in find_warnings(PLAN, make_preview(*gone, *up))  # nothing comes after it
    forgiving = replace(PLAN, gateways=(replace(ROMA, absent="ok"), APIM))
    assert "stop_rule" not in find_warnings(forgiving, make_preview(*gone, *up, later))
    assert "nothing in it was undeployed" not in str(
        find_warnings(PLAN, make_preview(make_seen(1, Verdict.DOWN), later))
    )


def test_a_step_is_named_where_a_wave_has_some() -> None:
    plan = replace(PLAN, waves=(Wave(name="one", sizes=(StepSize(count=1), StepSize(share=1.0))),))
    second = replace(make_seen(2), step=1)

    assert (
        "in step 1 of wave one"
        in find_warnings(plan, make_preview(make_seen(1, Verdict.ABSENT), second))["stop_rule"].text
    )


@pytest.mark.parametrize(
    ("is_sure", "text"),
    [
        (True, "1 target of the deployed group G: they may stay reachable through it"),
        (
            False,
            "1 target that may be of (its members are not told) the deployed group G: they may",
        ),
    ],
)
def test_members_of_a_deployed_group_are_warned_of(is_sure: bool, text: str) -> None:
    one = make_seen(1, gateway="apim")
    membership = GroupMembership("G", (one.target,), is_sure=is_sure)

    warning = find_warnings(PLAN, make_preview(one, memberships=(membership,)))["group"]

    assert warning.text.startswith(text)
    assert warning.targets == (str(one.target.id),)
