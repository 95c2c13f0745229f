"""What people are told of a run, and that no text from outside does more than say something."""

from __future__ import annotations

import pytest

from orchestrator.model.events import (
    AnyEvent,
    LaneChanged,
    RunStarted,
    RunStopping,
    TargetEnded,
    WaveEnded,
    WaveFacts,
    WaveStarted,
)
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId
from orchestrator.model.target import TargetId
from orchestrator.notify.messages import (
    LONGEST_SUMMARY,
    LONGEST_TEXT,
    MessageMaker,
    RunMessage,
    make_last_message,
    merge_messages,
    quote_outside,
)

AT = 1_795_000_000.0


def started(**fields: object) -> RunStarted:
    given = {
        "run": RunId("20261128-190003412-spring-7f3a"),
        "plan": "spring",
        "targets": 10,
        "left": {"roma-eu": 6, "apim": 2},
        "resumed": False,
        "waves": (WaveFacts(name="canary", targets=2), WaveFacts(name="everything", targets=8)),
        **fields,
    }
    return RunStarted(at=AT, **given)  # type: ignore[arg-type]


def ended(outcome: Outcome) -> TargetEnded:
    return TargetEnded(
        at=AT,
        target=TargetId("roma-eu/1"),
        gateway="roma-eu",
        wave="canary",
        outcome=outcome,
        reason=None,
        evidence=None,
        seconds=0.1,
        attempts=1,
    )


def tell(*events: AnyEvent) -> list[RunMessage]:
    maker = MessageMaker()
    return [message for event in events if (message := maker.observe(event)) is not None]


def test_the_beginning_names_what_is_done_to_what() -> None:
    (message,) = tell(started(reason="CHG-1042", approval="digest given, by ada"))

    assert message.title == "undeploy of spring has begun"
    assert message.body.splitlines() == [
        "run: 20261128-190003412-spring-7f3a",
        "reason: CHG-1042",
        "targets: 8 of 10 to be done",
        "  roma-eu: 6",
        "  apim: 2",
        "approval: digest given, by ada",
    ]


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"resumed": True}, "undeploy of spring is resumed"),
        ({"act": "restore"}, "restore of spring has begun"),
        ({"rehearsal": True}, "rehearsal of an undeploy of spring has begun"),
    ],
)
def test_the_title_says_what_it_is(fields: dict[str, object], title: str) -> None:
    assert tell(started(**fields))[0].title == title


def test_a_wave_that_ended_is_told_with_the_counts_of_the_run() -> None:
    waves = (
        WaveFacts(name="canary", targets=2),
        WaveFacts(name="everything", targets=8, ended={"apim": {Outcome.UNDEPLOYED: 2}}),
    )
    events = [started(waves=waves), WaveStarted(at=AT, wave="canary", left=2)]
    events += [ended(Outcome.UNDEPLOYED), ended(Outcome.FAILED), WaveEnded(at=AT, wave="canary")]  # type: ignore[list-item]

    message = tell(*events)[-1]

    assert (message.title, message.tone) == ("spring: wave canary has ended (1 of 2)", "warning")
    assert message.body == "3 of 10 down · 1 failed"


@pytest.mark.parametrize(
    ("state", "given_up", "title"),
    [
        ("parked", False, "gateway roma-eu is parked"),
        ("parked", True, "gateway roma-eu is given up"),
        ("closed", False, "gateway roma-eu is closed"),
    ],
)
def test_a_gateway_that_is_left_alone_is_told_with_the_reason(state: str, given_up: bool, title: str) -> None:
    change = LaneChanged(
        at=AT,
        gateway="roma-eu",
        state=state,
        reason="parked: HTTP 503",
        given_up=given_up,  # type: ignore[arg-type]
    )

    assert [(each.title, each.body) for each in tell(change)] == [(title, "parked: HTTP 503")]


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({}, "spring"),
        ({"rehearsal": True}, "rehearsal of spring"),
        ({"act": "restore"}, "restore of spring"),
        ({"plan": "x" * 500}, f"{'x' * 79}…"),
    ],
)
def test_each_title_tells_which_run_it_is_and_whether_it_is_a_rehearsal(
    fields: dict[str, object], subject: str
) -> None:
    parked = LaneChanged(at=AT, gateway="roma-eu", state="parked", reason="parked: HTTP 503")
    begun, over = WaveStarted(at=AT, wave="canary", left=2), WaveEnded(at=AT, wave="canary")

    assert [message.title for message in tell(started(**fields), begun, parked, over)[1:]] == [
        f"{subject}: gateway roma-eu is parked",
        f"{subject}: wave canary has ended (1 of 2)",
    ]


def test_a_wave_that_a_stop_cuts_off_has_not_ended() -> None:
    stops = RunStopping(at=AT, reason="stop_rule: failed: 4 in the run, limit 3")
    begun, over = WaveStarted(at=AT, wave="canary", left=2), WaveEnded(at=AT, wave="canary")

    message = tell(started(), begun, stops, over)[-1]

    assert (message.title, message.tone) == ("spring: wave canary was broken off (1 of 2)", "warning")


def test_a_pause_is_not_worth_a_message() -> None:
    paused = LaneChanged(at=AT, gateway="roma-eu", state="paused", seconds=3.0)
    assert tell(paused, LaneChanged(at=AT, gateway="roma-eu", state="open"), ended(Outcome.FAILED)) == []


HOSTILE = "@channel <!everyone> <https://evil.example|click> [click](https://evil.example) `x`\u202e\nline"


def test_a_text_from_outside_mentions_nobody_and_links_to_nothing() -> None:
    (message,) = tell(LaneChanged(at=AT, gateway="roma-eu", state="parked", reason=HOSTILE))

    assert not set("@<>[]`\n\u202e") & set(message.body)
    assert len(quote_outside("x" * 10_000)) == LONGEST_TEXT


def test_the_last_message_has_the_report_cut_at_a_line_and_the_head() -> None:
    summary = "\n".join(f"| roma-eu/{number:032x} | failed |" for number in range(1000))

    message = make_last_message(
        "spring",
        "1 of 2 targets is down",
        summary + " @here <!channel>",
        "ab" * 32,
        exit_status=1,
        complete=True,
    )

    assert message.markdown
    assert message.tone == "failure"
    assert len(message.body) < LONGEST_SUMMARY + 200
    assert "(cut; the reports have the rest)" in message.body
    assert message.body.endswith(f"journal head: {'ab' * 32}")
    assert message.title == "spring: 1 of 2 targets is down"
    stopped = make_last_message("x", "y", "| @here <!channel> |", None, exit_status=4, complete=False)
    assert (stopped.kind, "@" in stopped.body, "<!" in stopped.body) == ("stopped", False, False)


def test_several_messages_become_one() -> None:
    one, two, three = (
        RunMessage(kind="parked", title=f"t{number}", body=f"b{number}\nmore") for number in (1, 2, 3)
    )

    assert merge_messages([one], 0) is one
    merged = merge_messages([one, two, three], 4)
    assert merged.title == "t3"
    assert merged.body == "b3\nmore\n\nt1: b1\nt2: b2\nand 4 messages more"


def test_a_long_name_cuts_no_news_off_a_title() -> None:
    plan, wave = "p" * 400, "w" * 400
    begun = started(plan=plan, waves=(WaveFacts(name=wave, targets=10),))

    first, second = tell(begun, WaveStarted(at=AT, wave=wave, left=10), WaveEnded(at=AT, wave=wave))
    last = make_last_message(plan, "all 2 targets are down", "", None, exit_status=0, complete=True)

    assert first.title.endswith(" has begun")
    assert second.title.endswith(" has ended (1 of 1)")
    assert last.title.endswith(": all 2 targets are down")
