"""Bindings from their cheaper side, on a virtual clock: what that spares, and when it is not believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import msgspec
import pytest

from orchestrator.gateways.roma.binding_types import BINDING_TYPES, BoundRead, BoundSide
from orchestrator.lanes import binding_reader
from orchestrator.lanes.binding_reader import (
    BELIEVED_FOR,
    MOST_AT_ONCE,
    MOST_FAILURES,
    RESTS_FOR,
    WORTH_ASKING,
)
from orchestrator.lanes.exchange import ask_target, exchange
from orchestrator.lanes.list_reader import MOST_FAULTS
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target, TargetId
from orchestrator.rules.admission import AdmissionRequest
from tests.support.engine import EPOCH, Heard, environment, lane, played
from tests.support.recorded import gateway

ENV = "DEFAULT_ENVIRONMENT_RELEASE_ID"
NO_PERMISSION = {"error_code": "APIG.1005", "error_msg": "No permissions to request this method"}
ROMA = gateway("roma", limits={"concurrency": 8})

Bound = dict[str, dict[str, list[str]]]
"""For each type, the front ends of each thing."""


class Instance:
    """What is bound at one instance, told from both sides; ``asked`` keeps the paths of all requests."""

    def __init__(self, bound: Bound, *, hidden: set[str] | None = None) -> None:
        self.bound = {name: dict(bound.get(name, {})) for name in BINDING_TYPES}
        self.hidden = hidden or set()
        """The things that lists do not show to this credential."""
        self.asked: list[str] = []
        self.answer: Callable[[str], Reply | Lost | None] = lambda _: None
        """What a path is answered instead."""
        self.takes = 0.01
        self.setting = ""
        """What stands before the front end's id in each entry's ``visit_param``."""

    @property
    def lists(self) -> int:
        return sum(path in {of.owners_path for of in BINDING_TYPES.values()} for path in self.asked)

    @property
    def places(self) -> int:
        return sum(path.endswith(("/binded-apis", "/attached-apis")) for path in self.asked)

    @property
    def compared(self) -> int:
        """Single reads of the lane itself; those of the targets are no requests in these tests."""
        return len(self.asked) - self.lists - self.places

    async def send(self, request: Request) -> Reply | Lost:
        url = urlsplit(request.url)
        path = url.path.rpartition("/instances/")[2].partition("/")[2]
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.asked.append(path)
        await anyio.sleep(self.takes)
        if (answer := self.answer(path)) is not None:
            return answer
        key, entries = self._list(path, query)
        offset, limit = int(query["offset"]), int(query["limit"])
        shown = entries[offset : offset + limit]
        return reply({"total": len(entries), "size": len(shown), key: shown})

    def _list(self, path: str, query: dict[str, str]) -> tuple[str, list[dict[str, Any]]]:
        for name, of in BINDING_TYPES.items():
            side, front = of.front_side, query.get("api_id") or path.removeprefix("apis/").partition("/")[0]
            if path == side.path.format(of=front):
                hung = [one for one, where in self.bound[name].items() if front in where]
                return side.entries, [{side.id: one, side.name: one} for one in hung]
            side = of.owner_side
            if path == of.owners_path:
                return path, [
                    {of.owner_id: one, of.owner_name: one}
                    for one in self.bound[name]
                    if one not in self.hidden
                ]
            for owner, fronts in self.bound[name].items():
                if path == side.path.format(of=owner) and query.get(side.of or "", owner) == owner:
                    return side.entries, [self._bind(side, front) for front in fronts]
        raise AssertionError(f"nothing is at {path}")

    def _bind(self, side: BoundSide, front: str) -> dict[str, Any]:
        entry = {side.id: front, side.environment: ENV}
        return {**entry, "visit_param": self.setting + front} if self.setting else entry

    def read_alone(self, name: str, front: str) -> Reading:
        bound = [{"id": one, "name": one} for one, fronts in self.bound[name].items() if front in fronts]
        return Reading(verdict=Verdict.TOLD, kept={"bound": bound, "size": len(bound), "total": len(bound)})


def reply(fields: Any, status: int = 200) -> Reply:
    return Reply(status, {}, msgspec.json.encode(fields), EPOCH)


class Ran(msgspec.Struct):
    """What became of the reads of many targets."""

    alone: int = 0
    wrong: int = 0
    """Answers that show less or more than the single read."""
    warnings: list[str] = []
    lists: list[str | None] = []
    at: float = 0.0


def fronts(count: int) -> list[str]:
    return [f"front-{number}" for number in range(count)]


def run(
    instance: Instance,
    targets: int,
    *,
    left: int | None = None,
    later: int = 0,
    pause: float = 0.0,
    stop_at: float | None = None,
) -> Ran:
    """Read the bindings of so many targets, eight at a time; ``pause`` seconds after each."""
    ran, heard, gate = Ran(), Heard(), RunGate()

    async def main() -> None:
        here = lane(ROMA, environment(), gate, heard, send=instance.send)
        here.begin_step(left or targets, later=later)

        async def read_alone(operation: Operation) -> Reading | None:
            target = Target(1, TargetId("gw/1"), "gw", 0, ("1",))
            admission = AdmissionRequest(target.id, Act.LOOK)
            assert await here.admit(admission) is None
            return (await exchange(here, admission, ask_target(here, operation, target))).found

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                target = Target(number, TargetId(f"gw/{number}"), "gw", 0, (str(number),))
                seen: dict[str, Reading] = {}
                for name, of in BINDING_TYPES.items():
                    operation = BoundRead(of, f"front-{number}", ENV).operation
                    truth = instance.read_alone(name, f"front-{number}")
                    seen |= await here.bindings.answer(target, operation, seen, read_alone)
                    if operation.via not in seen:
                        ran.alone, seen[operation.via] = ran.alone + 1, truth
                    ran.wrong += sort_bound(seen[operation.via]) != sort_bound(truth)
                here.leave(target.id)
                await anyio.sleep(pause)

        numbers = iter(range(targets))
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(work, numbers)
        ran.at = anyio.current_time()

    played(main)
    ran.warnings, ran.lists = heard.warnings, heard.lists
    return ran


def sort_bound(reading: Reading) -> list[str]:
    return sorted(each["id"] for each in (reading.kept or {})["bound"])


FEW: Bound = {
    "applications": {f"app-{number}": fronts(60)[number::3] for number in range(7)},
    "throttles": {"slow": fronts(60)[:40], "unused": []},
    "plugins": {"cors": fronts(60)},
}


def test_a_page_for_each_list_and_one_for_each_thing_stand_for_all_reads() -> None:
    instance = Instance(FEW)
    ran = run(instance, 60)

    assert (instance.lists, instance.places) == (5, 10)
    assert instance.compared == 5  # one target
    assert (ran.alone, ran.wrong) == (0, 0)
    assert ran.warnings == []
    assert "reads its list of applications, page 1" in ran.lists
    assert "reads its list of front ends of plug-in cors, page 1" in ran.lists


def test_where_nothing_is_bound_five_lists_say_so() -> None:
    instance = Instance({})
    ran = run(instance, 1000)

    assert (instance.lists, instance.places) == (5, 0)
    assert instance.compared == 5 * 3  # the 1st, the 100th and the 1,000th target
    assert (ran.alone, ran.wrong) == (0, 0)


def test_where_things_are_many_each_target_is_read_alone_type_by_type() -> None:
    """Each type goes by the side that costs fewer requests."""
    many: Bound = {"applications": {f"app-{number}": [] for number in range(60)}, "acls": {"a": fronts(9)}}
    instance = Instance(many)
    ran = run(instance, 60)

    assert instance.asked.count("apps") == 1
    assert (instance.lists, instance.places) == (5, 1)
    assert (ran.alone, ran.wrong) == (60, 0)


def test_a_thing_with_more_pages_than_targets_are_left_is_not_read_to_its_end() -> None:
    instance = Instance({"plugins": {"cors": fronts(40_000)}})
    ran = run(instance, 60)

    assert instance.places == 1
    assert ran.alone == 60
    assert ran.wrong == 0


def test_a_few_targets_are_read_alone() -> None:
    instance = Instance(FEW)
    ran = run(instance, WORTH_ASKING - 1)

    assert instance.asked == []
    assert ran.alone == 5 * (WORTH_ASKING - 1)


def test_small_steps_that_follow_each_other_share_what_was_read() -> None:
    """Five targets alone cost five reads a type, and the thirty things of a type cost 31 pages."""
    bound: Bound = {"acls": {f"a{number}": fronts(60)[number::30] for number in range(30)}}
    alone, shared = Instance(bound), Instance(bound)

    assert run(alone, 5).wrong == run(shared, 5, later=55).wrong == 0
    assert (alone.places, shared.places) == (0, 30)
    assert shared.asked.count("acls") == 1


def test_long_lists_come_whole() -> None:
    instance = Instance({"applications": {"shop": fronts(1700)}})
    ran = run(instance, 1700)

    assert (instance.lists, instance.places) == (5, 4)
    assert ran.wrong == 0


def test_what_is_hidden_from_the_credential_is_found_by_comparing_and_then_read_alone() -> None:
    """A user without all grants sees fewer applications on the list than hang on a front end."""
    hidden: Bound = {"applications": {"ours": fronts(30), "theirs": fronts(60)}}
    instance = Instance(hidden, hidden={"theirs"})
    ran = run(instance, 60)

    assert ran.alone == 59  # the first one was read alone to be compared
    assert ran.wrong == 0
    (warning,) = ran.warnings
    assert warning == (
        "its list of applications leaves out what hangs on gw/0: the credential may lack some grants, so what"
        " hangs on each front end is read alone"
    )


def test_what_is_hidden_at_a_few_targets_is_found_later_and_told() -> None:
    instance = Instance(
        {"applications": {"theirs": [f"front-{n}" for n in range(90, 300)]}}, hidden={"theirs"}
    )
    ran = run(instance, 300, pause=0.1)

    assert (
        "its list of applications leaves out what hangs on gw/99; 103 targets went by it" in ran.warnings[0]
    )
    assert 0 < ran.wrong < 15


@pytest.mark.parametrize("path", ["apps", "app-auths/binded-apis"])
def test_what_the_credential_may_not_read_is_asked_once(path: str) -> None:
    instance = Instance({"applications": {"a": fronts(9)}})
    instance.answer = lambda asked: reply(NO_PERMISSION, 403) if asked == path else None
    ran = run(instance, 60)

    assert instance.asked.count(path) == 1
    assert (ran.alone, ran.wrong) == (60, 0)


@pytest.mark.parametrize("fault", [Lost(sent=True, detail="cut"), reply({"error_code": "x"}, 502)])
def test_what_cannot_be_read_is_read_alone_and_tried_again_later(fault: Reply | Lost) -> None:
    instance = Instance({"throttles": {"a": fronts(9)}})
    instance.answer = lambda asked: fault if asked == "throttle-bindings/binded-apis" else None
    ran = run(instance, 60)
    asked = instance.asked.count("throttle-bindings/binded-apis")

    assert 2 <= asked <= 8
    assert (ran.alone, ran.wrong) == (60, 0)

    instance.asked.clear()
    run(instance, 200, pause=RESTS_FOR / 4)
    assert instance.asked.count("throttles") == MOST_FAILURES


def test_settings_that_would_fill_the_memory_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry with settings of its own, so that no two are kept once."""
    instance = Instance({"applications": {f"app-{number}": fronts(100) for number in range(8)}})
    instance.setting = "x" * 1000
    monkeypatch.setattr(binding_reader, "LARGEST_ROWS", 300_000)
    ran = run(instance, 60)

    assert ran.alone == 60
    assert instance.places == 2 + MOST_AT_ONCE * MOST_FAULTS  # two fit, and each worker meets the bound
    assert any("too large to be held" in each for each in ran.warnings)


def test_more_places_than_a_list_of_front_ends_has_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = Instance({"throttles": {f"policy-{number}": fronts(100) for number in range(9)}})
    assert run(instance, 60).alone == 0
    instance.bound["throttles"]["more"] = [f"invented-{number}" for number in range(100)]
    monkeypatch.setattr(binding_reader, "MOST_PLACES", 150)

    assert run(instance, 60).alone == 60


def test_a_list_that_grows_while_it_is_read_is_not_believed() -> None:
    """A thing that is added may move another one to a page that was read before."""
    instance = Instance({"signs": {"hmac": fronts(600)}})

    def grow(asked: str) -> None:
        if asked == "sign-bindings/binded-apis":
            instance.bound["signs"]["hmac"] = ["new", *instance.bound["signs"]["hmac"]]

    instance.answer = grow
    ran = run(instance, 60)

    assert (ran.alone, ran.wrong) == (60, 0)


def test_what_the_total_counts_and_no_page_shows_is_a_gap() -> None:
    instance = Instance({"acls": {"offices": fronts(9)}})
    shown = [{"api_id": "front-1", "env_id": ENV}]
    instance.answer = lambda asked: (
        reply({"total": 9, "size": 1, "apis": shown}) if asked == "acl-bindings/binded-apis" else None
    )

    assert run(instance, 60).alone == 60


def test_it_is_believed_for_five_minutes_and_read_again_while_that_is_worth_it() -> None:
    instance = Instance({"acls": {"offices": fronts(9)}})
    ran = run(instance, 800, pause=10.0)

    assert ran.at == pytest.approx(1000, abs=10)
    times = int(ran.at // BELIEVED_FOR) + 1
    assert instance.asked.count("acls") == times
    assert ran.wrong == 0


def test_at_a_slow_gateway_it_is_not_read_again_for_fewer_targets_than_it_costs() -> None:
    instance = Instance({"acls": {f"a{number}": fronts(9) for number in range(40)}})
    ran = run(instance, 60, left=500, pause=BELIEVED_FOR / 2)

    assert instance.asked.count("acls") == 1
    assert ran.wrong == 0


@pytest.mark.promise(10)
def test_a_type_that_takes_too_long_is_given_up() -> None:
    instance = Instance({"acls": {f"a{number}": [] for number in range(400)}})
    instance.takes = 25.0
    ran = run(instance, 500)

    assert instance.asked.count("acl-bindings/binded-apis") < 100
    assert ran.alone >= 500
