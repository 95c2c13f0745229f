"""The last line of a preview: whether a run may begin, and what to do next."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.model.plan import Wave, Window
from orchestrator.model.reading import LookFacts, Verdict
from orchestrator.model.usage import Usage
from orchestrator.preview.assessment import assess_preview
from orchestrator.preview.json import render_json
from orchestrator.preview.lines import render_before_question, render_lines
from orchestrator.preview.markdown import render_markdown
from orchestrator.preview.phrases import judge_preview
from tests.preview.test_states import PLAN, TAKEN, make_preview, make_seen

UP = (make_seen(1), make_seen(2))
LONG, TIGHT, SHORT, OVER = (
    Window(None, TAKEN + timedelta(seconds=seconds)) for seconds in (4 * 3600, 31, 29, -3600)
)
LATER = Window(TAKEN + timedelta(hours=1), TAKEN + timedelta(hours=1, seconds=29))
TOO_SHORT = "the window is too short: 2 targets would change, and none can start"


@pytest.mark.parametrize(
    ("seen", "more", "sentence", "advice"),
    [
        (UP, {}, "ready: 2 targets would change", "undeploy run"),
        (UP, {"window": LONG}, "fits the window: 2 targets would change", "undeploy run"),
        (
            UP,
            {"window": TIGHT, "seconds": 20.0},
            "does not fit the window: 2 targets would change, 2 of them too late",
            "run it now",
        ),
        (UP, {"window": SHORT}, TOO_SHORT, "set another window"),
        (UP, {"window": LATER}, TOO_SHORT, "set another window"),
        (UP, {"window": SHORT, "seconds": 0.0}, TOO_SHORT, "set another window"),
        (UP, {"window": OVER}, "the window is over: 2 targets would change, and none can start", "another"),
        (
            UP,
            {"window": LONG, "seconds": 0.0},
            "2 targets would change; whether that fits the window cannot be told",
            "undeploy run",
        ),
        ((make_seen(1, Verdict.DOWN),), {}, "nothing to do: no target would change", "no run"),
        (
            (make_seen(1, Verdict.DOWN), make_seen(2, Verdict.ABSENT)),
            {},
            "nothing would change: 1 target does not exist",
            "absent: ok",
        ),
        (
            (*UP, make_seen(3, Verdict.UNCLEAR)),
            {"window": SHORT},
            "not ready: the state of 1 target could not be read",
            "preview again",
        ),
    ],
)  # fmt: skip
def test_the_verdict_is_the_last_line_and_names_the_next_step(
    seen: Any, more: dict[str, Any], sentence: str, advice: str
) -> None:
    shown = assess_preview(PLAN, make_preview(*seen, **more), guarded=False)

    assert judge_preview(shown).sentence == sentence
    assert advice in judge_preview(shown).advice
    assert [*render_lines(shown)][-1] == f"verdict   {sentence}; {judge_preview(shown).advice}"
    assert [*render_before_question(shown)][-1] == f"verdict   {sentence}"
    assert any(sentence[1:] in line for line in list(render_markdown(shown))[:4])


def test_what_does_not_exist_needs_no_run_only_where_the_plan_says_so() -> None:
    roma, apim = PLAN.gateways
    plan = replace(PLAN, gateways=(replace(roma, absent="ok"), apim))

    gone, hidden = (
        judge_preview(assess_preview(plan, make_preview(seen), guarded=False))
        for seen in (make_seen(1, Verdict.ABSENT), make_seen(1, Verdict.ABSENT, hidden=True))
    )

    assert gone.advice == "no run is needed"
    assert hidden.sentence == "nothing would change: 1 target does not exist"


def test_a_target_that_stays_up_for_its_use_would_not_change() -> None:
    plan = replace(PLAN, in_use="refuse")
    free, used = (replace(make_seen(seq), usage=Usage(hours=72, calls=seq - 1)) for seq in (1, 2))

    one, none = (
        judge_preview(assess_preview(plan, make_preview(*seen, hours=72), guarded=False))
        for seen in ((free, used), (used,))
    )

    assert one.sentence == "ready: 1 target would change"
    assert none.sentence == "nothing would change: by in_use: refuse 1 target stays up"
    assert "in_use_over" in none.advice

    untold = replace(make_seen(3), usage=Usage(hours=72, why="no traffic log"))
    blind = judge_preview(assess_preview(plan, make_preview(untold, hours=72), guarded=False))
    assert blind.sentence == none.sentence
    assert "in_use_over" not in blind.advice


def test_a_run_that_asks_fits_its_window_on_a_condition() -> None:
    """Nobody knows how long a person takes to answer; behind the last wave no question is asked."""
    plan = replace(PLAN, waves=(Wave(name="a", proceed="ask"), Wave(name="b"), Wave(name="c", proceed="ask")))
    seen = (make_seen(1, wave=0), make_seen(2, wave=1), make_seen(3, wave=2))
    shown = assess_preview(plan, make_preview(*seen, window=LONG), guarded=False)

    condition = "fits the window, if its question is answered at once: 3 targets would change"
    assert judge_preview(shown).sentence == condition
    assert any(
        line.endswith(": it fits, if its question is answered at once") for line in render_lines(shown)
    )
    head, _, _ = "".join(render_json(shown)).partition(',"restore"')
    assert '"questions":1,"late":0' in head
    late = assess_preview(plan, make_preview(*seen, window=TIGHT, seconds=20.0), guarded=False)
    assert judge_preview(late).sentence.startswith("does not fit the window: ")


def test_the_targets_of_a_warning_have_their_names_beside_them() -> None:
    named = make_seen(1, Verdict.PARTIAL, facts=LookFacts(name="orders\u202e" + "x" * 100))
    shown = assess_preview(PLAN, make_preview(named), guarded=False)
    wanted = f"roma/{1:032x}"

    (line,) = (line for line in render_lines(shown) if line.startswith(f"          {wanted}"))
    (bullet,) = (line for line in render_markdown(shown) if f"(`{wanted}` (" in line)
    assert line.strip() == f"{wanted} (orders\\u202e{'x' * 47}…)"
    assert f"{'x' * 47}…))" in bullet
