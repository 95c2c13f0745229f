"""ROMA's statistics, and the use of a backend API that they amount to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.gateways.roma.binding_types import APPLICATIONS, BoundRead
from orchestrator.gateways.roma.requests import encode_statistics
from orchestrator.gateways.roma.statistics import read_instance_statistics
from orchestrator.gateways.roma.usage import INSTANCE
from orchestrator.model.bindings import Binding, Bindings, UnreadBindings
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import FrontEnd, Operation, Reading, Snapshot, Verdict
from orchestrator.model.usage import Usage
from tests.support.recorded import PARTS, SAMPLES, TOKEN, gateway, read_yaml, target

ROMA = gateway("roma")
OURS = target(*PARTS["roma"])
FRONT = "5f918d104dc84480a75166ba99efff21"
SECOND = "7a1ad0c350844ee69479b47df9a881cb"
ENVIRONMENT = "DEFAULT_ENVIRONMENT_RELEASE_ID"
SHARED = sorted(path.parent for path in (SAMPLES / "roma" / "usage").glob("*/reply.json"))
HOURS = 72


def read_reply(folder: Path) -> Reply:
    body = (folder / "body").read_bytes()
    return Reply(json.loads((folder / "reply.json").read_text())["status"], {}, body, 0.0)


def snapshot(*fronts: str, bindings: Bindings | None = None, **fields: Any) -> Snapshot:
    deploy = json.dumps({"auth_type": fields.pop("auth_type", "APP"), "env_id": ENVIRONMENT})
    front_ends = tuple(FrontEnd(id=front) for front in fronts)
    return Snapshot(verdict=Verdict.UP, fronts=front_ends, deploy=deploy, bindings=bindings, **fields)


def follow(
    seen_at: Snapshot | None,
    seen: dict[str, Reading] | None = None,
    *,
    told: dict[str, Any] | None = None,
    lacking: dict[str, str] | None = None,
) -> Operation | Usage:
    assert ROMA.traffic is not None
    return ROMA.traffic.next_read(OURS, seen_at, told or {}, seen or {}, lacking or {}, HOURS)


def counted(**calls: int) -> dict[str, Reading]:
    """Return the statistics of front-end APIs by the ``via`` of their reads."""
    return {
        encode_statistics(front.removeprefix("_"), HOURS).via: Reading(
            verdict=Verdict.TOLD, kept={"calls": count}
        )
        for front, count in calls.items()
    }


NOBODY = Bindings()
"""The bindings were read, and there are none."""


@pytest.mark.parametrize("folder", SHARED, ids=lambda folder: folder.name)
def test_the_statistics_of_an_instance_tell_what_their_samples_cover(folder: Path) -> None:
    expected = read_yaml(folder / "expected.yaml")

    found = read_instance_statistics(read_reply(folder))

    if (wanted := expected.get("reading")) is not None:
        assert found == msgspec.convert(wanted, Reading)
        return
    assert ROMA.traffic is not None
    for front, calls in expected["calls"].items():
        usage = ROMA.traffic.next_read(
            OURS, snapshot(front, bindings=NOBODY), {INSTANCE: found}, {}, {}, expected["hours"]
        )
        alone = encode_statistics(front, expected["hours"])
        assert usage == (alone if calls is None else Usage(hours=expected["hours"], calls=calls))


def test_samples_without_a_time_do_not_cover_the_hours_of_an_instance() -> None:
    """One sample of each of 72 APIs, which says nothing of an API that it leaves out."""
    samples = [{"api_id": f"{number:032x}", "req_count": 0} for number in range(HOURS)]
    found = read_instance_statistics(Reply(200, {}, msgspec.json.encode({"list": samples}), 0.0))

    assert ROMA.traffic is not None
    usage = ROMA.traffic.next_read(OURS, snapshot(FRONT, bindings=NOBODY), {INSTANCE: found}, {}, {}, HOURS)
    assert usage == encode_statistics(FRONT, HOURS)


def test_the_instance_is_read_once_by_one_request_for_the_hours_asked() -> None:
    assert ROMA.traffic is not None
    read = ROMA.traffic.next_shared_read({}, 24)

    assert read is not None
    request = read.build(Secret(TOKEN), 0.0)
    assert request.url.endswith("/statistics/api?cycle=hour&duration=24h&mode=INSTANCE")
    assert "/v2/" in request.url
    assert ROMA.traffic.next_shared_read({read.name: Reading(verdict=Verdict.NOT_OFFERED)}, 24) is None


def test_the_calls_of_all_front_ends_add_up() -> None:
    seen_at = snapshot(FRONT, SECOND, bindings=NOBODY)

    assert follow(seen_at) == encode_statistics(FRONT, HOURS)
    one = counted(**{FRONT: 4})
    assert follow(seen_at, one) == encode_statistics(SECOND, HOURS)
    assert follow(seen_at, one | counted(**{f"_{SECOND}": 5})) == Usage(hours=HOURS, calls=9)


def test_a_sum_that_no_journal_can_add_up_is_not_told() -> None:
    front = counted(**{FRONT: 2**63 - 1}) | counted(**{f"_{SECOND}": 2**63 - 1})

    found = follow(snapshot(FRONT, SECOND, bindings=NOBODY), front)

    assert found == Usage(hours=HOURS, why="more than 1,000,000,000,000 calls were counted, which cannot be")
    assert follow(snapshot(FRONT, bindings=NOBODY), counted(**{FRONT: 10**12})) == Usage(
        hours=HOURS, calls=10**12
    )


def test_one_front_end_that_cannot_be_told_leaves_the_sum_untold() -> None:
    gone = {encode_statistics(SECOND, HOURS).via: Reading(verdict=Verdict.UNCLEAR, message="System error")}

    found = follow(snapshot(FRONT, SECOND, bindings=NOBODY), counted(**{FRONT: 4}) | gone)

    assert found == Usage(hours=HOURS, why="System error")


@pytest.mark.parametrize(
    ("seen_at", "why"),
    [
        (None, "its front-end API was not read"),
        (Snapshot(verdict=Verdict.UNCLEAR), "its front-end API was not read"),
        (snapshot(obstacles=("missing-history",)), "its front-end API was not read"),
        (snapshot(), "it has no front-end API of its own, and calls are counted by front-end API alone"),
        (snapshot("../a"), "its front-end API has an id of a form that no id has"),
    ],
)
def test_without_a_front_end_nothing_tells_the_calls(seen_at: Snapshot | None, why: str) -> None:
    assert follow(seen_at) == Usage(hours=HOURS, why=why)


def test_statistics_that_are_not_offered_are_not_asked_for_again() -> None:
    found = follow(snapshot(FRONT, bindings=NOBODY), lacking={"statistics": "APIGW.0101 no such API"})

    assert found == Usage(hours=HOURS, why="APIGW.0101 no such API")


def bound(*names: str) -> tuple[Binding, ...]:
    return tuple(
        Binding(what=APPLICATIONS.word, environment=ENVIRONMENT, id=f"id-{name}", name=name) for name in names
    )


def test_the_callers_are_the_applications_of_the_snapshot() -> None:
    policy = Binding(what="plug-in", environment=ENVIRONMENT, id="p", name="cors")
    bindings = Bindings(found=(*bound("web-shop", "billing", "web-shop"), policy))

    found = follow(snapshot(FRONT, bindings=bindings), counted(**{FRONT: 1204}))

    assert found == Usage(hours=HOURS, calls=1204, callers=("web-shop", "billing"))


def test_callers_that_the_snapshot_could_not_read_are_not_told() -> None:
    bindings = Bindings(unread=(UnreadBindings(APPLICATIONS.word, "APIG.1005"),))

    found = follow(snapshot(FRONT, bindings=bindings), counted(**{FRONT: 0}))

    assert found == Usage(hours=HOURS, calls=0, callers_unread="APIG.1005")


def test_the_callers_are_read_alone_where_no_bindings_were_read() -> None:
    read = BoundRead(APPLICATIONS, FRONT, ENVIRONMENT).operation
    page = {"bound": [{"id": "a", "name": "web-shop"}, {"id": "b"}], "size": 2, "total": 1002}
    seen = counted(**{FRONT: 3})

    assert follow(snapshot(FRONT), seen) == read
    seen[read.via] = Reading(verdict=Verdict.TOLD, kept=page)
    assert follow(snapshot(FRONT), seen) == Usage(
        hours=HOURS, calls=3, callers=("web-shop", "b"), more_callers=1000
    )


def test_anybody_may_call_what_wants_no_credential() -> None:
    found = follow(snapshot(FRONT, bindings=NOBODY, auth_type="NONE"), counted(**{FRONT: 1}))

    assert found == Usage(hours=HOURS, calls=1, is_open=True)


@pytest.mark.parametrize("via", ["statistics/a/b/72", "statistics/../72", "statistics/a/-1", "statistics/a"])
def test_a_read_that_could_name_something_else_is_not_sent(via: str) -> None:
    operation = Operation(encode_statistics(FRONT, HOURS).act, via)

    with pytest.raises(ValueError, match=r"hours|name something else"):
        ROMA.build_request(operation, OURS, Secret(TOKEN), note=None, now=0.0)
