"""The targets that a run may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.engine.options import RunOptions
from orchestrator.errors import PlanError, RunError, UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.journal.meta import RunMeta
from orchestrator.journal.overlap import refuse_shared
from orchestrator.journal.publishing import name_folder, publish_draft
from orchestrator.model.plan import Plan, StepSize, Wave
from orchestrator.model.target import TargetId
from orchestrator.plan.problems import FilePosition
from orchestrator.plan.protect import ProtectFile
from orchestrator.runs.selection import (
    apply_selection,
    list_idle_warnings,
    make_filter,
    make_touch_test,
    refuse_dead_patterns,
    refuse_idle_filters,
    split_waves,
    summarize_protection,
    warn_of_stuck,
)
from orchestrator.text.lists import ListedLine
from tests.support import journals
from tests.support.engine import gateway, target

IDS = ("apim/Retail/orders/test", "apim/Retail/orders/production", "apim/Payments/pay/production", "roma/a1")
PLAN = Plan(
    name="p",
    gateways=(
        gateway("apim", url="https://APIM.Example.com:8443/base"),
        gateway("roma", url="https://roma.example.com"),
    ),
    waves=(Wave(name="canary"), Wave(name="rest")),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A journal of four targets; the first two are the canary."""
    draft = Draft(tmp_path / "journal.sqlite")
    for seq, name in enumerate(IDS, start=1):
        made = target(seq, name.partition("/")[0], wave=0 if seq < 3 else 1)
        draft.add(
            type(made)(seq, TargetId(name), made.gateway, made.wave, made.parts), FilePosition(0, seq, 1)
        )
    draft.finish(PLAN, RunMeta())
    yield draft.database
    draft.close()


def list_held_back(database: Database, plan: Plan = PLAN, **options: Any) -> dict[str, str]:
    """The targets that are held back, each with its reason."""
    apply_selection(database, plan, RunOptions(**options))
    return dict(database.rows("SELECT id, reason FROM target WHERE outcome = 'not_started' ORDER BY seq"))


LEFT_OUT = "filtered: left out by --only, --skip or --wave"


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, []),
        ({"only": ("apim/**",)}, [3]),
        ({"only": ("apim/*",)}, [0, 1, 2, 3]),
        ({"skip": ("**/production",)}, [1, 2]),
        ({"only": ("apim/Retail/**",), "skip": ("**/test",)}, [0, 2, 3]),
        ({"waves": ("rest",)}, [0, 1]),
        ({"waves": ("rest", "canary")}, []),
        ({"waves": ("rest",), "only": ("apim/**",)}, [0, 1, 3]),
        ({"only": ("APIM/**",)}, [0, 1, 2, 3]),
    ],
)
def test_filters_narrow_a_run(database: Database, options: dict[str, Any], numbers: list[int]) -> None:
    assert list_held_back(database, **options) == {IDS[number]: LEFT_OUT for number in numbers}


def test_a_wave_that_the_plan_does_not_have_is_named(database: Database) -> None:
    """A resume asks this of its filters, too, and holds back nothing."""
    with pytest.raises(UsageError) as caught:
        refuse_idle_filters(database, PLAN, RunOptions(waves=("canary", "rst")))

    assert str(caught.value) == "no wave is named 'rst'; the plan has canary, rest"


def test_a_wave_that_given_ids_have_replaced_is_no_riddle(database: Database) -> None:
    """``--target`` takes the place of the plan's waves: "the plan has targets" alone would mislead."""
    plan = replace(PLAN, waves=(Wave(name="targets"),))
    with pytest.raises(UsageError) as caught:
        refuse_idle_filters(database, plan, RunOptions(waves=("canary",)))

    assert str(caught.value).endswith("(a plan without waves has this one, and so has any with --target)")


def test_a_wave_is_named_in_either_form_of_an_accent(database: Database) -> None:
    waves = (replace(PLAN.waves[0], name="o\u0308n"), *PLAN.waves[1:])
    plan = replace(PLAN, waves=waves)

    assert list_held_back(database, plan, waves=("\u00f6n",)) == list_held_back(
        database, plan, waves=("o\u0308n",)
    )


def test_the_plan_protects_its_targets_whatever_the_filters_say(database: Database) -> None:
    plan = Plan(name="p", gateways=PLAN.gateways, waves=PLAN.waves, protect=("apim/Payments/*/production",))

    assert list_held_back(database, plan, only=("apim/Payments/**",), skip=("**",))[IDS[2]] == (
        "protected: apim/Payments/*/production"
    )


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("apim/**", [0, 1, 2]),
        ("apim.example.com/**", [0, 1, 2]),
        ("APIM.example.COM/Retail/**", [0, 1]),
        ("apim.example.com/retail/**", []),
        ("*.example.com/**", [0, 1, 2, 3]),
        ("roma.example.com/a1", [3]),
        ("**/production", [1, 2]),
        ("elsewhere.example.com/**", []),
        ("apim.example.com.:8443/**", [0, 1, 2]),
        ("apim.example.com:443/**", []),
    ],
)
def test_a_site_protects_by_gateway_or_by_host(database: Database, pattern: str, numbers: list[int]) -> None:
    """Whatever a plan calls its gateway; the case of a host does not count, nor need its port be named."""
    assert list(list_held_back(database, protect=(pattern,))) == [IDS[number] for number in numbers]


def test_a_plan_s_own_pattern_knows_hosts_too(database: Database) -> None:
    plan = Plan(name="p", gateways=PLAN.gateways, waves=PLAN.waves, protect=("apim.example.com/Retail/**",))

    assert list(list_held_back(database, plan)) == [IDS[0], IDS[1]]


ONE_PLACE = Plan(
    name="p",
    gateways=(
        gateway("apim", url="https://gw.example.com"),
        gateway("roma", url="HTTPS://GW.Example.com.:443/x/.."),
    ),
    waves=PLAN.waves,
)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, None),
        ({"protect": ("roma/a1",)}, None),  # nothing comes after it
        (
            {"protect": ("apim/Retail/orders/test",)},
            (
                "2 targets come after one that is protected or left out, and cannot go: "
                "apim/Retail/orders/production after apim/Retail/orders/test and 1 more"
            ),
        ),
        (
            {"waves": ("rest",)},
            (
                "1 target comes after one that is protected or left out, and cannot go: "
                "apim/Payments/pay/production after apim/Retail/orders/production"
            ),
        ),
    ],
)
def test_targets_behind_one_that_is_held_back_are_warned_of(
    database: Database, options: dict[str, Any], told: str | None
) -> None:
    """They would end as not_started: dependency, whatever becomes of the others."""
    database.run("INSERT INTO dependency (seq, needs) VALUES (2, 1), (3, 2)")
    apply_selection(database, PLAN, RunOptions(**options))

    assert list(warn_of_stuck(database)) == ([] if told is None else [(None, told)])


@pytest.fixture
def one_place(monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan whose two gateways are one installation."""
    monkeypatch.setattr(type(ONE_PLACE.gateways[0]), "installation", "here")
    return ONE_PLACE


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"protect": ("roma/Payments/**",)}, [0, 1, 3]),
        ({"skip": ("roma/Payments/**",)}, [0, 1, 3]),
        ({"skip": ("apim/a1",)}, [0, 1, 2]),
        ({"only": ("roma/**",)}, [3]),
        ({"only": ("apim/**",)}, [0, 1, 2]),
        ({"only": ("gw.example.com/**",)}, [0, 1, 2, 3]),
    ],
)
def test_filters_that_hold_back_know_all_names_of_an_installation_and_filters_that_admit_one(
    database: Database, one_place: Plan, options: dict[str, Any], left: list[int]
) -> None:
    out = list_held_back(database, one_place, **options)
    assert [number for number, name in enumerate(IDS) if name not in out] == left


@pytest.mark.parametrize(
    ("options", "wanted", "touched"),
    [
        ({}, [0, 1, 2, 3], [0, 1, 2, 3]),
        ({"only": ("apim/**",)}, [0, 1, 2], [0, 1, 2]),
        ({"skip": ("**/test",)}, [1, 2, 3], [1, 2, 3]),
        ({"protect": ("**/production",)}, [0, 1, 2, 3], [0, 3]),
        ({"only": ("apim/**",), "protect": ("**/production",)}, [0, 1, 2], [0]),
        ({"only": ("**/production",), "protect": ("apim/Payments/**",)}, [1, 2], [1]),
        ({"skip": ("**/test",), "protect": ("roma/**",)}, [1, 2, 3], [1, 2]),
        ({"waves": ("rest",), "protect": ("roma/**",)}, [2, 3], [2]),
        ({"only": ("roma/**",), "protect": ("roma/**",)}, [3], []),
    ],
)
def test_a_resume_opens_wanted_targets_and_touches_those_that_are_not_protected(
    options: dict[str, Any], wanted: list[int], touched: list[int]
) -> None:
    """The test for what a run may touch and the test for what a resume opens again are two: no mix-up."""
    chosen = RunOptions(**options)
    waves = (0, 0, 1, 1)
    found = {
        test: [number for number, name in enumerate(IDS) if test(name, waves[number])]
        for test in (make_filter(PLAN, chosen), make_touch_test(PLAN, chosen))
    }
    assert list(found.values()) == [wanted, touched]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"only": ("apim",)}, "--only apim matches no target of the plan; nothing was sent. An id is"),
        ({"only": ("apim",)}, '"apim/**" is all of a gateway of that name'),
        ({"skip": ("apim/Retail/**", "roma/b*")}, "--skip roma/b* matches no target of the plan; nothing"),
    ],
)
def test_a_filter_that_matches_nothing_is_refused_with_a_hint(
    database: Database, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_idle_filters(database, PLAN, RunOptions(**options))
    assert told in str(caught.value)


def test_all_filters_that_match_nothing_are_told_at_once(database: Database) -> None:
    with pytest.raises(UsageError) as idle:
        refuse_idle_filters(database, PLAN, RunOptions(only=("nobody/x", ""), skip=("z/**",)))
    with pytest.raises(UsageError, match="no wave is named 'a' or 'z'; the plan has"):
        refuse_idle_filters(database, PLAN, RunOptions(waves=("a", "z")))

    assert [line.partition(" matches")[0] for line in str(idle.value).splitlines()] == [
        "--only nobody/x", "--only ''", "--skip z/**",
    ]  # fmt: skip


def test_a_start_counts_the_patterns_in_force_the_protected_targets_and_the_idle_patterns(
    database: Database,
) -> None:
    own = ("**/production", "roma/b", "**/production")
    plan = Plan(name="p", gateways=PLAN.gateways, waves=PLAN.waves, protect=own)
    options = RunOptions(protect=("crm/**", "apim/Gone/**", *(f"apim/Gone{n}/**" for n in range(20))))
    apply_selection(database, plan, options)
    guard = summarize_protection(database, plan, options)

    assert (guard.patterns, guard.protected) == (24, 2)
    assert guard.warnings[:2] == (
        (None, "protect: the pattern crm/** (given) names no gateway of this plan"),
        ("roma", "protect: the pattern roma/b (in the plan) matches none of the targets"),
    )
    ((_, many),) = guard.warnings[2:]
    assert many.startswith("protect: 21 patterns apim/Gone/** (given), apim/Gone0/** (given), ")
    assert many.endswith("apim/Gone8/** (given) and 11 more match none of the targets")


def read_protect_file(name: str, *patterns: str) -> ProtectFile:
    """A protect file with a pattern in each line."""
    return ProtectFile(name, tuple(ListedLine(text, number, 1) for number, text in enumerate(patterns, 1)))


def test_an_idle_pattern_is_told_with_the_place_that_names_it_first(database: Database) -> None:
    options = RunOptions(
        protect_files=(
            read_protect_file("site", "apim/A/**", "apim/B/**"),
            read_protect_file("x", "apim/B/**"),
        ),
        protect=("apim/A/**", "apim/C/**", "apim/D/**"),
    )
    plan = replace(PLAN, protect=("apim/D/**",))

    assert list(list_idle_warnings(database, plan, options)) == [
        (
            "apim",
            (
                "protect: 4 patterns apim/D/** (in the plan), apim/A/** (site:1), apim/B/** (site:2),"
                " apim/C/** (given) match none of the targets"
            ),
        )
    ]


@pytest.mark.parametrize(
    ("most", "told"), [(None, "a5 (given) match"), (5, "a5 (given) match"), (4, "1 more")]
)
def test_a_warning_names_as_many_patterns_as_its_reader_wants(
    database: Database, most: int | None, told: str
) -> None:
    options = RunOptions(protect=tuple(f"roma/x/a{number}" for number in range(1, 6)))
    ((gateway, text),) = list_idle_warnings(database, PLAN, options, most=most)

    assert gateway == "roma"
    assert told in text
    assert ("more" in text) == (most == 4)


def test_patterns_that_name_no_gateway_of_the_plan_are_one_warning_about_no_gateway(
    database: Database,
) -> None:
    options = RunOptions(protect=("crm/**", "erp/**"))

    assert list(list_idle_warnings(database, PLAN, options)) == [
        (None, "protect: 2 patterns crm/** (given), erp/** (given) name no gateway of this plan")
    ]


def test_a_run_without_patterns_protects_nothing_and_warns_of_nothing(database: Database) -> None:
    apply_selection(database, PLAN, RunOptions())
    guard = summarize_protection(database, PLAN, RunOptions())

    assert (guard.patterns, guard.protected, guard.warnings) == (0, 0, ())


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({}, []),
        ({"protect": ("apim/**",)}, []),
        ({"protect": ("apim/**", "apim/")}, ["protect:0:0"]),
        ({"protect_files": (read_protect_file("site", "apim/**", "apim/"),)}, ["site:2:1"]),
        ({"protect_files": (read_protect_file("site"),)}, ["site:0:0"]),
        ({"protect_files": (read_protect_file("s", "apim/"),), "protect": ("/x",)}, ["s:1:1", "protect:0:0"]),
    ],
)
def test_a_pattern_that_can_protect_nothing_is_refused_with_its_place(
    options: dict[str, Any], places: list[str]
) -> None:
    found = []
    try:
        refuse_dead_patterns(journals.plan(), RunOptions(**options))
    except PlanError as error:
        found = [f"{each.path}{each.file}:{each.line}:{each.column}" for each in error.problems]

    assert found == places


SIZED = Wave(name="canary", sizes=(StepSize(count=1), StepSize(share=1.0)))


def test_a_wave_is_split_by_the_targets_that_are_not_held_back(database: Database) -> None:
    """A wave without sizes stays one step, whatever the others have."""
    plan = replace(PLAN, waves=(SIZED, PLAN.waves[1]))
    apply_selection(database, plan, RunOptions())
    split_waves(database, plan)

    assert [step for (step,) in database.rows("SELECT step FROM target ORDER BY seq")] == [0, 1, 0, 0]


def test_a_target_that_is_held_back_takes_no_place_in_the_steps_of_its_wave(database: Database) -> None:
    plan = replace(PLAN, waves=(SIZED, PLAN.waves[1]))
    apply_selection(database, plan, RunOptions(skip=("apim/Retail/orders/test",)))
    split_waves(database, plan)

    assert database.one("SELECT step FROM target WHERE id = ?", (IDS[1],)) == (0,)


@pytest.mark.parametrize(
    ("options", "shared"),
    [
        ({}, 3),
        ({"skip": ("roma/a1",)}, 2),
        ({"only": ("roma/a1",)}, 1),
        ({"protect": ("roma/a1",)}, 2),
        ({"only": ("roma/a1", "roma/a2"), "protect": ("roma/a1",)}, 1),
        ({"only": ("roma/a1",), "protect": ("roma/a1",)}, 0),
        ({"skip": ("roma/a1",), "protect": ("roma/a2", "roma/a3")}, 0),
        ({"waves": ("rest",)}, 1),
        ({"waves": ("rest",), "skip": ("roma/a3",)}, 0),
    ],
)
def test_what_a_run_leaves_alone_by_filters_or_protection_it_does_not_share_with_a_live_run(
    tmp_path: Path, options: dict[str, Any], shared: int
) -> None:
    plan = journals.plan(waves=("canary", "rest"))
    places = []
    for name in ("live", "ours"):
        (tmp_path / name).mkdir()
        targets = [journals.target(seq, f"roma/a{seq}", wave=int(seq == 3)) for seq in (1, 2, 3)]
        places.append(journals.journal(tmp_path / name, plan, targets))
    live = publish_draft(places[0].parent, name_folder(tmp_path, name="live", suffix="1", at=journals.START))
    told = "nothing"
    with live.lock():
        try:
            refuse_shared([live], places[1], make_touch_test(plan, RunOptions(**options)))
        except RunError as error:
            told = str(error)

    assert ("nothing" if not shared else f"touches {shared} target") in told
