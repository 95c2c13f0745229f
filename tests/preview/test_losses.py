"""The losses of a run as the three forms of a preview tell them."""

from __future__ import annotations

import json

from msgspec.structs import replace

from orchestrator.model.bindings import Binding, Bindings, UnreadBindings
from orchestrator.model.reading import FrontEnd, Verdict
from orchestrator.model.usage import Usage
from orchestrator.preview.assessment import AssessedPreview, assess_preview
from orchestrator.preview.json import render_json
from orchestrator.preview.lines import render_before_question, render_lines
from orchestrator.preview.losses import foresee_restore, list_deleted_front_ends
from orchestrator.preview.markdown import render_markdown
from orchestrator.preview.states import SeenTarget
from tests.preview.test_states import PLAN, make_preview, make_seen

SHOP = Binding(what="application", environment="RELEASE", id="a1", name="web-shop")
GAP = UnreadBindings("plug-in", "APIG.1005 No *permissions*")


def make_bound(seq: int, bindings: Bindings | None, **more: object) -> SeenTarget:
    front = FrontEnd(id=f"front-{seq}", path="/orders")
    return make_seen(seq, fronts=(front,), bindings=bindings, obstacles=("new-front-end-id",), **more)


def assess(*seen_targets: SeenTarget) -> AssessedPreview:
    return assess_preview(PLAN, make_preview(*seen_targets), guarded=False)


SHOWN = assess(
    make_bound(1, Bindings(found=(SHOP,))),
    make_bound(2, Bindings(found=(SHOP,), unread=(GAP,))),
    make_seen(3, Verdict.DOWN, fronts=(FrontEnd(id="old"),), bindings=Bindings(found=(SHOP,))),
    make_seen(4, gateway="apim"),
)
TOLD = [
    "roma: 2 front-end APIs with 2 authorizations of 1 application",
    "roma: plug-ins of 1 target cannot be read: APIG.1005 No *permissions*",
]


def test_the_lines_and_the_question_tell_all_that_goes_and_all_that_can_come_back() -> None:
    for render in (render_lines, render_before_question):
        lines = list(render(SHOWN))
        at = lines.index("deleted with them: 2 front-end APIs")
        assert [line.strip() for line in lines[at + 1 : at + 3]] == TOLD
        assert "restore   could bring back 3 of 3; 2 of them only with --accept new-front-end-id" in lines


def test_markdown_tells_it_and_no_text_of_a_vendor_is_markup() -> None:
    text = "\n".join(render_markdown(SHOWN))

    assert f"- {TOLD[0]}\n" in text
    assert r"No \*permissions\*" in text
    assert "| A restore | could bring back 3 of 3; 2 of them only with" in text


def test_json_has_the_counts_and_the_names() -> None:
    found = json.loads("\n".join(render_json(SHOWN)))

    assert found["restore"] == {"targets": 3, "restorable": 3, "to_accept": {"new-front-end-id": 2}}
    assert found["gateways"][0]["lost"] == {
        "front_ends": 2,
        "kinds": [{"what": "application", "count": 2, "things": 1}],
        "further_front_ends": 0,
        "further_bindings": 0,
        "unread": [{"what": "plug-in", "why": GAP.why, "targets": 1}],
        "never_read": 0,
    }
    assert found["targets"][1]["bindings"] == {
        "found": [{"what": "application", "environment": "RELEASE", "id": "a1", "name": "web-shop"}],
        "unread": [{"what": "plug-in", "why": GAP.why}],
    }
    assert found["targets"][3]["bindings"] is None


def test_without_a_snapshot_nothing_comes_back() -> None:
    plan = replace(PLAN, snapshot="off")
    lines = list(render_lines(assess_preview(plan, make_preview(make_seen(1)), guarded=False)))

    assert "restore   could bring back none of 1" in lines


def test_bindings_of_a_target_that_stays_as_it_is_are_no_loss() -> None:
    down = make_seen(1, Verdict.DOWN, fronts=(FrontEnd(id="old"),), bindings=Bindings(found=(SHOP,)))

    assert not [line for line in render_lines(assess(down)) if "authorization" in line or "restore" in line]


def test_what_stays_up_for_its_use_is_neither_lost_nor_brought_back() -> None:
    shop = replace(SHOWN.preview.targets[0], usage=Usage(calls=7, hours=72))
    quiet = [replace(seen, usage=Usage(calls=0, hours=72)) for seen in SHOWN.preview.targets[1:]]
    preview = replace(SHOWN.preview, targets=(shop, *quiet))

    for in_use, targets in (("warn", 3), ("refuse", 2)):
        plan = replace(SHOWN.plan, in_use=in_use)
        assert foresee_restore(plan, preview).undeployed == targets
        going = [seen for seen, _ in list_deleted_front_ends(plan, preview.targets)]
        assert (shop in going) is (in_use == "warn" and bool(shop.snapshot.fronts))
