"""The counts of what hangs on front ends, and their sentences."""

from __future__ import annotations

import pytest

from orchestrator.model.bindings import Binding, Bindings, UnreadBindings
from orchestrator.model.reading import FrontEnd, Snapshot, Verdict
from orchestrator.report.bindings import (
    MOST_CAUSES,
    count_bindings,
    describe_bindings,
    list_gaps,
    render_bindings,
)

FRONTS = (FrontEnd(id="front"),)


def bind(what: str, name: str, *, environment: str = "RELEASE") -> Binding:
    return Binding(what=what, environment=environment, id=f"id of {name}", name=name)


def make_snapshot(
    *found: Binding, unread: tuple[UnreadBindings, ...] = (), fronts: tuple[FrontEnd, ...] = FRONTS
) -> Snapshot:
    bindings = Bindings(found=found, unread=unread)
    return Snapshot(verdict=Verdict.UP, fronts=fronts, bindings=bindings)


def test_an_application_of_several_front_ends_counts_once_and_its_authorizations_each() -> None:
    shop, billing = bind("application", "web-shop"), bind("application", "billing")
    policy = bind("throttling policy", "slow")
    counts = count_bindings(
        [
            make_snapshot(shop, bind("application", "web-shop", environment="TEST"), policy),
            make_snapshot(shop, billing, bind("throttling policy", "fast")),
            make_snapshot(),
        ]
    )

    assert describe_bindings(counts) == (
        "3 front-end APIs with 4 authorizations of 2 applications and 2 bindings of 2 throttling policies"
    )
    assert not list(list_gaps(counts))


def test_what_hangs_on_a_further_front_end_is_not_counted_among_what_comes_back() -> None:
    further = [
        Binding(what="application", environment="TEST", id=each, front=f"front-{each}") for each in "ab"
    ]
    counts = count_bindings([make_snapshot(bind("application", "web-shop"), *further)])

    assert describe_bindings(counts) == "1 front-end API with 1 authorization of 1 application"
    assert list(list_gaps(counts)) == [
        "2 more bindings hang on 2 further front-end APIs: no restore brings them back"
    ]
    assert list(list_gaps(count_bindings([make_snapshot(further[0])]))) == [
        "1 more binding hangs on 1 further front-end API: no restore brings it back"
    ]


@pytest.mark.parametrize(
    ("snapshots", "told"),
    [
        ([make_snapshot()], "1 front-end API with nothing bound to it"),
        ([make_snapshot(), make_snapshot()], "2 front-end APIs with nothing bound to them"),
        (
            [make_snapshot(bind("plug-in", "cors"))],
            "1 front-end API with 1 binding of 1 plug-in",
        ),
    ],
)
def test_one_and_none_have_their_own_words(snapshots: list[Snapshot], told: str) -> None:
    assert describe_bindings(count_bindings(snapshots)).startswith(told)


def test_thousands_are_grouped() -> None:
    many = make_snapshot(*(bind("application", str(number)) for number in range(1234)))

    assert describe_bindings(count_bindings([many])) == (
        "1 front-end API with 1,234 authorizations of 1,234 applications"
    )


def test_a_gap_is_never_taken_for_nothing_bound() -> None:
    gap = UnreadBindings("plug-in", "APIG.1005 No permissions")
    unread = count_bindings([make_snapshot(unread=(gap, gap)), make_snapshot(unread=(gap,))])
    old = count_bindings([Snapshot(verdict=Verdict.UP, fronts=FRONTS), Snapshot(verdict=Verdict.UP)])

    assert describe_bindings(unread) == "2 front-end APIs"
    assert list(list_gaps(unread)) == ["plug-ins of 2 targets cannot be read: APIG.1005 No permissions"]
    assert describe_bindings(old) == "1 front-end API"
    assert list(list_gaps(old)) == ["the things bound to the front-end APIs of 1 target were never read"]


def test_causes_that_differ_from_read_to_read_stay_few() -> None:
    gaps = tuple(UnreadBindings("plug-in", f"request {number}") for number in range(MOST_CAUSES + 2))
    told = list(list_gaps(count_bindings([make_snapshot(unread=gaps)])))

    assert len(told) == MOST_CAUSES + 1
    assert told[-1] == "2 more causes for things that cannot be read"


def test_each_binding_of_one_target_has_a_line_with_its_settings() -> None:
    tunnel = {"auth_tunnel": "NORMAL", "auth_whitelist": ["10.0.0.0/8"]}
    found = (
        Binding(what="application", environment="RELEASE", id="a1", name="web-shop", settings=tunnel),
        Binding(what="plug-in", environment="TEST", id="p1", front="front-2"),
    )
    bindings = Bindings(found=found, unread=(UnreadBindings("signature key", "APIG.1005"),))

    assert list(render_bindings(bindings)) == [
        'application web-shop (a1) in RELEASE: auth_tunnel NORMAL, auth_whitelist ["10.0.0.0/8"]',
        "plug-in p1 in TEST on front-end API front-2",
        "signature keys cannot be read: APIG.1005",
    ]
    assert list(render_bindings(Bindings())) == ["nothing"]
    assert list(render_bindings(None)) == ["not read"]
