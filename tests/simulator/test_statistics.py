"""The statistics of a simulated ROMA Connect: how often its front-end APIs were called."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.simulator.roma_fixture import BackendFixture
from tests.simulator.test_samples import compare
from tests.support.simulated import BACKEND, PLACE, SimulatedClient, document, roma, status

OTHER = "5f1c0a7799e84d3c8a1b2f60c4d5e6f7"
CALLED = BackendFixture(calls=((0.5, 3), (10.2, 1201), (80.0, 7)))
BOTH = {"targets": (BACKEND, OTHER), "about": {BACKEND: CALLED}}
HOURS = "cycle=hour&duration=72h"


def client(**fields: Any) -> SimulatedClient:
    return SimulatedClient(roma(**{"statistics": "owner", **BOTH} | fields))


def ask(of: SimulatedClient, query: str, read: str = "api") -> Any:
    return of.ask("GET", f"/v2/{PLACE}/statistics/{read}?{query}")


def front(of: SimulatedClient, backend: str = BACKEND) -> str:
    listed = document(of.ask("GET", f"/v2/{PLACE}/apis"))["apis"]
    return next(api["id"] for api in listed if api["ld_api_id"] == backend)


def samples(delivery: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = document(delivery)["list"]
    return listed


def test_a_front_end_tells_its_calls_hour_by_hour():
    shown = client()

    told = samples(ask(shown, f"mode=API&api_id={front(shown)}&{HOURS}"))

    assert [sample["req_count"] for sample in told if sample["req_count"]] == [1201, 3]
    assert len({sample["current_minute"] for sample in told}) == 72
    assert {sample["api_id"] for sample in told} == {front(shown)}
    quiet = samples(ask(shown, f"mode=API&api_id={front(shown, OTHER)}&{HOURS}"))
    assert [sample["req_count"] for sample in quiet] == [0] * 72


def test_quiet_hours_may_be_left_out():
    shown = client(tells_quiet_hours=False)

    assert len(samples(ask(shown, f"mode=API&api_id={front(shown)}&{HOURS}"))) == 2
    assert samples(ask(shown, f"mode=API&api_id={front(shown, OTHER)}&{HOURS}")) == []


def test_the_instance_tells_its_calls_with_and_without_the_apis():
    named, summed = client(), client(sums_instance=True)

    told = samples(ask(named, f"mode=INSTANCE&{HOURS}"))
    together = samples(ask(summed, f"mode=INSTANCE&{HOURS}"))

    assert {sample["api_id"] for sample in told} == {front(named)}
    assert [sum(sample["req_count"] for sample in each) for each in (told, together)] == [1204, 1204]
    assert not any("api_id" in sample for sample in together)


def test_the_last_hour_is_told_minute_by_minute():
    shown = client()

    told = samples(ask(shown, f"api_id={front(shown)}&duration=1h", "api/latest"))

    assert (len(told), sum(sample["req_count"] for sample in told)) == (60, 3)


def test_calls_go_with_their_front_end():
    shown = client()
    gone = front(shown)
    shown.ask("POST", f"/v2/{PLACE}/livedata-apis/{BACKEND}/undeploy")

    assert document(ask(shown, f"mode=API&api_id={gone}&{HOURS}"))["error_code"] == "APIG.3002"
    assert sum(sample["req_count"] for sample in samples(ask(shown, f"mode=INSTANCE&{HOURS}"))) == 0


REFUSED = {
    "no mode": ("owner", HOURS, 400, "mode"),
    "no front end": ("owner", f"mode=API&{HOURS}", 400, "api_id"),
    "an unknown front end": ("owner", f"mode=API&api_id=00&{HOURS}", 404, "does not exist"),
    "no cycle": ("owner", "mode=INSTANCE&duration=72h", 400, "cycle"),
    "an unknown cycle": ("owner", "mode=INSTANCE&cycle=week&duration=72h", 400, "cycle"),
    "too many hours": ("owner", "mode=INSTANCE&cycle=hour&duration=73h", 400, "duration"),
    "too many minutes": ("owner", "mode=INSTANCE&cycle=minute&duration=91m", 400, "duration"),
    "no time": ("owner", "mode=INSTANCE&cycle=hour", 400, "start_time"),
    "a strange time": (
        "owner",
        "mode=INSTANCE&cycle=hour&start_time=1970-01-10%2000:00:01&end_time=now",
        400,
        "end_time",
    ),
    "a user": ("user", f"mode=INSTANCE&{HOURS}", 403, "No permissions"),
    "a user without any": ("forbidden", f"mode=API&api_id=00&{HOURS}", 403, "No permissions"),
    "an older version": ("absent", f"mode=INSTANCE&{HOURS}", 404, "not been published"),
}


@pytest.mark.parametrize(("statistics", "query", "expected", "text"), REFUSED.values(), ids=REFUSED)
def test_statistics_that_cannot_be_told_are_refused(statistics, query, expected, text):
    answer = ask(client(statistics=statistics), query)

    assert status(answer) == expected
    assert text in document(answer)["error_msg"]


def test_the_time_may_be_given_by_its_ends():
    shown = client()
    ends = "start_time=1970-01-10%2000:00:00&end_time=1970-01-12%2023:00:00"

    told = samples(ask(shown, f"mode=API&api_id={front(shown)}&cycle=hour&{ends}"))

    assert len(told) == 71
    assert told[0]["req_time"] == "1970-01-10 00:00:00"


# The sample, what differs at the instance, the query; ``{front}`` is the front-end API.
SAMPLES: dict[str, tuple[dict[str, Any], str]] = {
    "statistics-200": ({}, f"mode=API&api_id={{front}}&{HOURS}"),
    "statistics-without-calls": ({"about": {}}, f"mode=API&api_id={{front}}&{HOURS}"),
    "statistics-without-api-ids": ({"sums_instance": True}, f"mode=INSTANCE&{HOURS}"),
    "statistics-none": ({"tells_quiet_hours": False, "about": {}}, f"mode=API&api_id={{front}}&{HOURS}"),
    "statistics-403": ({"statistics": "user"}, f"mode=INSTANCE&{HOURS}"),
    "statistics-404-no-such-api": ({}, f"mode=API&api_id=00&{HOURS}"),
    "statistics-404-not-published": ({"statistics": "absent"}, f"mode=API&api_id={{front}}&{HOURS}"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_statistics_are_told_as_the_sample_does(name):
    fields, query = SAMPLES[name]
    shown = client(**fields)

    answer = ask(shown, query.format(front=front(shown))).answer

    compare("roma", name, answer)
