"""A catalog read through a lane, on a virtual clock: how much at once, how often again, and when no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import anyio
import pytest
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.discover.survey import (
    MOST_DENIALS,
    MOST_GAPS,
    MOST_TRIES,
    MOST_UNANSWERED,
    GatewaySurvey,
)
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Access, AccessKeys, Material, Secret
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.http import LARGEST_BODY, Lost, Reply, Request
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.search import FoundTarget, QueryResult, SearchQuery, TargetFilter
from orchestrator.model.settings import Auth, CredentialReference, Limits, Retry
from tests.simulation.clock import VirtualLoop, play
from tests.support.engine import Scripted

AUTH = Auth(token=CredentialReference(env="NOBODY_SETS_THIS"))
Answer = QueryResult | Reading | Lost


class ShelfSearch(Struct, frozen=True):
    """Starts with one list of queries by number; a test says what each reply is."""

    books: Callable[[], Iterator[SearchQuery]]
    filters: Mapping[str, frozenset[str]] = {}

    def start(self, wanted: TargetFilter) -> SearchQuery:
        return make_query("list", lambda: QueryResult(queries=self.books()))


class ShelfGateway(Scripted, frozen=True, kw_only=True):
    """A kind that can be searched."""

    KIND: ClassVar[str] = "shelf"
    COORDINATES: ClassVar[tuple[Coordinate, ...]] = (Coordinate(name="book", plural="books"),)
    CONCURRENCY: ClassVar[int] = 4
    TIMEOUT: ClassVar[float] = 30.0
    BOOKS: ClassVar[int] = 0
    TAKEN: ClassVar[list[int]] = []

    @property
    def search(self) -> ShelfSearch:
        return ShelfSearch(self.books)

    def books(self) -> Iterator[SearchQuery]:
        for number in range(self.BOOKS):
            self.TAKEN.append(number)
            yield make_query(
                str(number), lambda number=number: QueryResult(seen=1, found=(make_found(number),))
            )


def make_found(number: int) -> FoundTarget:
    return FoundTarget(parts=(str(number),), traits={})


def make_query(name: str, good: Callable[[], QueryResult], failed: Any = None) -> SearchQuery:
    def read(reply: Reply) -> QueryResult | Reading:
        return ANSWERS[reply.status] if reply.status else good()

    return SearchQuery(
        name=name, request=lambda access, now: Request("GET", name, {}), read=read, failed=failed
    )


ANSWERS = {
    401: Reading(verdict=Verdict.DENIED, message="no"),
    403: Reading(verdict=Verdict.REFUSED, message="may not"),
    429: Reading(verdict=Verdict.BUSY, wait=10.0),
    500: Reading(verdict=Verdict.UNCLEAR, message="System error"),
}


class SurveyScene:
    """One survey: what the gateway answers, and what came of it."""

    def __init__(
        self, books: int, statuses: Callable[[str, int], int | Lost] = lambda *_: 0, **fields: Any
    ) -> None:
        self.kind = type("Shelf", (ShelfGateway,), {"BOOKS": books, "TAKEN": []}, frozen=True, kw_only=True)
        given = {"name": "gw", "url": "https://gw", "auth": AUTH, "retry": Retry(first=1.0)}
        self.gateway = self.kind(**given | fields)
        self.times: list[tuple[float, str]] = []
        self.found: list[str] = []
        self.told: list[tuple[str, str | None, float | None]] = []
        self.flying = self.most = 0
        self.material: Material = Secret("token")
        self._statuses = statuses
        self.survey = GatewaySurvey(self.gateway, TargetFilter(), self._environment(), self, self._keep)

    def _keep(self, one: FoundTarget) -> None:
        self.found.append(one.parts[0])

    def on_lane_state(self, gateway: str, state: str, reason: str | None, seconds: float | None, /) -> None:
        self.told.append((state, reason, seconds))

    def _environment(self) -> Environment:
        async def credential(_: Gateway) -> Material:
            return self.material

        def nothing(*_: object) -> Any:
            raise AssertionError("a survey needs no journal")

        return Environment(
            now=lambda: 1e9 + anyio.current_time(),
            monotonic=anyio.current_time,
            roll=lambda: 1.0,
            connect=nothing,
            credential=credential,
        )

    async def send(self, request: Request) -> Reply | Lost:
        before = sum(name == request.url for _, name in self.times)
        self.times.append((anyio.current_time(), request.url))
        self.flying += 1
        self.most = max(self.most, self.flying)
        await anyio.sleep(0.1)
        self.flying -= 1
        status = self._statuses(request.url, before)
        return status if isinstance(status, Lost) else Reply(status, {}, b"", 0.0)

    def play(self) -> SurveyScene:
        async def main() -> None:
            await self.survey.run(self.material, self.send)

        play_survey(main)
        return self


def play_survey(main: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await main()

    play(VirtualLoop(), body())


def test_everything_is_read_and_kept() -> None:
    scene = SurveyScene(50).play()

    assert sorted(map(int, scene.found)) == list(range(50))
    assert (scene.survey.result.seen, scene.survey.result.requests) == (50, 51)
    assert scene.survey.result.whole
    assert scene.most == 4


def test_long_replies_are_read() -> None:
    bounds: set[int] = set()
    scene = SurveyScene(5)
    send = scene.send

    async def watching(request: Request) -> Reply | Lost:
        bounds.add(request.largest)
        return await send(request)

    scene.send = watching  # type: ignore[method-assign]
    scene.play()

    assert min(bounds) >= 10 * LARGEST_BODY


def test_only_as_many_queries_are_made_as_are_asked() -> None:
    """A catalog of a million is not held: the next query is made when a worker is free for it."""
    ahead: list[int] = []
    scene = SurveyScene(200)
    send = scene.send

    async def watching(request: Request) -> Reply | Lost:
        ahead.append(len(scene.kind.TAKEN) - len(scene.found))
        return await send(request)

    scene.send = watching  # type: ignore[method-assign]
    scene.play()

    assert max(ahead) <= 4


def test_the_rate_and_the_concurrency_of_the_plan_hold() -> None:
    scene = SurveyScene(20, limits=Limits(concurrency=2, rate=5.0)).play()
    times = sorted(at for at, _ in scene.times)

    assert scene.most <= 2
    assert all(later - earlier >= 0.2 - 1e-6 for earlier, later in pairwise(times))


def test_a_429_pauses_all_and_costs_nothing() -> None:
    scene = SurveyScene(20, lambda name, before: 429 if name == "3" and before < 6 else 0).play()

    assert scene.survey.result.whole
    assert len(scene.found) == 20
    assert scene.told == [("paused", "no reason was given", 10.0)]
    assert scene.times[-1][0] > 60


def test_a_wait_that_is_too_long_is_told_as_long_as_it_is_kept() -> None:
    scene = SurveyScene(20, lambda name, _: 0 if name == "list" else 429, park_for=4.0).play()

    assert scene.told == [
        ("warning", "it asks to wait for 10 s; it is asked again after 4 s (park_for)", None),
        ("paused", "no reason was given", 4.0),
    ]


def test_nothing_but_429_ends_after_park_for() -> None:
    scene = SurveyScene(20, lambda name, _: 0 if name == "list" else 429, park_for=60.0).play()

    (gap,) = scene.survey.result.gaps
    assert gap == "all that was not asked yet: parked: nothing but refusals to be looked at more"
    assert 60 <= scene.times[-1][0] < 120


@pytest.mark.parametrize("fault", [500, Lost(sent=True, detail="no whole reply in time")])
def test_a_passing_fault_is_asked_again_and_one_that_stays_is_named(fault: Any) -> None:
    scene = SurveyScene(
        6, lambda name, before: fault if name == "3" or (name == "4" and before < 2) else 0
    ).play()
    (gap,) = scene.survey.result.gaps

    assert gap.startswith("3: ")
    assert sorted(scene.found) == ["0", "1", "2", "4", "5"]
    assert [name for _, name in scene.times].count("3") == MOST_TRIES


def test_what_was_refused_is_named_and_not_asked_again() -> None:
    scene = SurveyScene(6, lambda name, _: 403 if name == "3" else 0).play()

    assert scene.survey.result.gaps == ["3: may not"]
    assert [name for _, name in scene.times].count("3") == 1


def test_a_gateway_that_answers_nothing_is_given_up_on() -> None:
    scene = SurveyScene(1000, lambda name, _: 0 if name == "list" or int(name) < 8 else 500).play()

    given_up = f"all that was not asked yet: {MOST_UNANSWERED} reads in a row went unanswered"
    assert scene.survey.result.gaps.count(given_up) == 1
    assert len(scene.survey.result.gaps) <= MOST_UNANSWERED + 4
    assert len(scene.times) < 60


def test_so_many_unanswered_queries_in_a_row_end_a_survey() -> None:
    scene = SurveyScene(
        1000,
        lambda name, _: 0 if name == "list" or int(name) < 8 else 500,
        limits=Limits(concurrency=1),
    ).play()

    assert {name for _, name in scene.times} == {"list", *map(str, range(8 + MOST_UNANSWERED))}
    assert [gap.partition(":")[0] for gap in scene.survey.result.gaps] == [
        *map(str, range(8, 8 + MOST_UNANSWERED)),
        "all that was not asked yet",
    ]


def test_a_request_that_did_not_leave_is_not_counted() -> None:
    unsent = Lost(sent=False, detail="connection refused")
    scene = SurveyScene(4, lambda name, before: unsent if name == "2" and before < 2 else 0).play()

    assert sorted(map(int, scene.found)) == list(range(4))
    assert (scene.survey.result.requests, len(scene.times)) == (5, 7)


@pytest.mark.promise(5)
def test_a_rejected_credential_costs_one_refresh_and_what_was_in_flight() -> None:
    scene = SurveyScene(100, lambda name, _: 0 if name == "list" or int(name) < 20 else 401).play()
    denied = len(scene.times) - 1 - len(scene.found)

    assert denied <= 4
    (gap,) = scene.survey.result.gaps
    assert gap.startswith(
        "all that was not asked yet: denied: the credential was rejected, and its reference"
    )


def survey_queries(*queries: SearchQuery, statuses: Callable[[str, int], int | Lost]) -> SurveyScene:
    """Play a survey whose list leads to these queries."""

    class Few(ShelfGateway, frozen=True, kw_only=True):
        def books(self) -> Iterator[SearchQuery]:
            yield from queries

    scene = SurveyScene(0, statuses)
    scene.survey.gateway = Few(name="gw", url="https://gw", auth=AUTH)
    return scene.play()


def test_findings_of_all_queries_add_up_and_a_remark_is_told_once() -> None:
    each = QueryResult(seen=3, deployed=2, remarks=("an old version of the gateway",))
    other = QueryResult(seen=1, deployed=1, remarks=("a list without an end",))
    scene = survey_queries(
        make_query("a", lambda: each),
        make_query("b", lambda: each),
        make_query("c", lambda: other),
        statuses=lambda *_: 0,
    )
    result = scene.survey.result

    assert (result.seen, result.deployed) == (7, 5)
    assert sorted(result.remarks) == ["a list without an end", "an old version of the gateway"]


@pytest.mark.parametrize("status", [403, 500])
def test_a_query_says_itself_what_its_failure_leaves_unseen(status: int) -> None:
    """Such as a list that only some versions of a gateway have: without it others are asked."""

    def fail(read: Reading) -> QueryResult:
        return QueryResult(remarks=(f"without the short list: {read.message}",), queries=iter((instead,)))

    instead = make_query("instead", lambda: QueryResult(seen=1))
    scene = survey_queries(
        make_query("short", QueryResult, fail), statuses=lambda name, _: status if name == "short" else 0
    )

    assert (scene.survey.result.gaps, scene.survey.result.seen) == ([], 1)
    assert scene.survey.result.remarks == [f"without the short list: {ANSWERS[status].message}"]


@pytest.mark.parametrize("answered", [0, 403])
def test_only_unanswered_queries_in_a_row_count(answered: int) -> None:
    """Every tenth goes unanswered. Whatever the gateway answers in between, it does answer."""
    scene = SurveyScene(
        200,
        lambda name, _: 0 if name == "list" else 500 if int(name) % 10 == 5 else answered,
        limits=Limits(concurrency=1),
    ).play()
    asked = {name for _, name in scene.times}

    assert len(asked) == 201
    assert len(scene.survey.result.gaps) == (20 if answered == 0 else 200)


@pytest.mark.promise(5)
def test_a_query_that_ends_unanswered_while_it_goes_alone_lets_another_go_alone() -> None:
    """A first signature goes alone. Where no reply tells whether it is taken, the next one does too."""

    class Sick(ShelfSearch, frozen=True):
        def start(self, wanted: TargetFilter) -> SearchQuery:
            others = [make_query(str(number), lambda: QueryResult(seen=1)) for number in range(8)]
            return make_query("list", QueryResult, lambda _: QueryResult(queries=iter(others)))

    class Shelf(ShelfGateway, frozen=True, kw_only=True):
        @property
        def search(self) -> ShelfSearch:
            return Sick(self.books)

    lost = Lost(sent=True, detail="no whole reply in time")
    scene = SurveyScene(0, lambda name, _: lost if name == "list" else 0)
    scene.material = AccessKeys(Secret("AK"), Secret("SK"))
    scene.survey.gateway = Shelf(name="gw", url="https://gw", auth=AUTH)
    scene.play()
    tried = [at for at, name in scene.times if name == "list"]
    times = [at for at, name in scene.times if name != "list"]

    assert scene.survey.result.seen == 8
    assert times[0] - tried[-1] < 1
    assert times[1] - times[0] > 0.05
    assert scene.most == 4


class SlowBookScene(SurveyScene):
    """A survey whose query for the book 3 is answered ``slower`` than the others, and always with 401."""

    def __init__(self, slower: float) -> None:
        super().__init__(300, lambda name, _: 401 if name == "3" else 0, limits=Limits(concurrency=4))
        self.renewed = 0
        self._slower = slower
        self.survey._environment = replace(self.survey._environment, credential=self._renew)

    async def _renew(self, _: Gateway) -> Material:
        self.renewed += 1
        return Secret(f"token-{self.renewed}")

    async def send(self, request: Request) -> Reply | Lost:
        reply = await super().send(request)
        await anyio.sleep(self._slower if request.url == "3" else 0.0)
        return reply


@pytest.mark.promise(5)
def test_a_renewed_credential_that_is_refused_at_once_ends_the_survey() -> None:
    scene = SlowBookScene(0.0).play()

    assert ([name for _, name in scene.times].count("3"), scene.renewed) == (2, 1)
    assert scene.survey.result.gaps == [
        "all that was not asked yet: denied: the renewed credential was refused too (no)"
    ]


def test_a_credential_that_is_renewed_in_vain_for_one_query_is_not_renewed_for_ever() -> None:
    """The others work meanwhile: so it is about what was asked, whatever the vendor calls it."""
    scene = SlowBookScene(0.3).play()

    assert [name for _, name in scene.times].count("3") == scene.renewed == MOST_DENIALS + 1
    assert sorted(map(int, scene.found)) == [number for number in range(300) if number != 3]
    assert scene.survey.result.gaps == ["3: no"]


@pytest.mark.promise(5)
def test_access_keys_are_tried_alone_first() -> None:
    scene = SurveyScene(10, lambda *_: 401)
    scene.material = AccessKeys(Secret("AK"), Secret("SK"))
    scene.play()

    assert len(scene.times) == 1


def test_a_name_that_is_no_part_of_a_url_is_named_and_the_rest_goes_on() -> None:
    def impossible(access: Access, now: float) -> Request:
        raise ValueError("'..' cannot be a part of a URL's path")

    class Odd(ShelfGateway, frozen=True, kw_only=True):
        def books(self) -> Iterator[SearchQuery]:
            yield SearchQuery(name="the project ..", request=impossible, read=lambda _: QueryResult())
            yield make_query("good", lambda: QueryResult(seen=1))

    scene = SurveyScene(0)
    scene.survey.gateway = Odd(name="gw", url="https://gw", auth=AUTH)
    scene.play()

    assert scene.survey.result.gaps == ["the project ..: '..' cannot be a part of a URL's path"]
    assert scene.survey.result.seen == 1


def test_gaps_are_kept_by_name_up_to_a_number() -> None:
    scene = SurveyScene(0)
    for number in range(MOST_GAPS + 5):
        scene.survey.miss(str(number))

    assert len(scene.survey.result.gaps) == MOST_GAPS
    assert scene.survey.result.more_gaps == 5


@pytest.mark.promise(10)
def test_lists_that_name_too_much_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.discover.survey.MOST_ASKED", 30)
    scene = SurveyScene(10**9).play()

    assert len(scene.times) == 30
    assert scene.survey.result.gaps == [
        "all that was not asked yet: more than 30 reads would be needed; narrow the filters"
    ]
