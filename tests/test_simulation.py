"""The simulation itself: it passes, it repeats itself, and it catches an engine that is broken on purpose."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from orchestrator.engine import attempts, session, target_run, usage_gate
from orchestrator.engine.control_commands import SetLimits
from orchestrator.engine.queue import TargetQueue
from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.apinizer.looks import next_look
from orchestrator.gateways.apinizer.snapshot import ApinizerRestore
from orchestrator.gateways.roma import binding_replies
from orchestrator.gateways.roma import completion as roma_completion
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.gateways.roma.snapshot import RomaRestore
from orchestrator.journal import remainder
from orchestrator.journal.database import Database
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.taken_down import TakenDown, list_taken_down
from orchestrator.lanes.login import Authenticator
from orchestrator.lanes.masking import Mask
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.http import Reply
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Completeness, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules import completion, precheck
from orchestrator.rules.admission import AdmissionDelayed, AdmissionRequest, LaneState
from orchestrator.rules.parking import FaultCounter
from orchestrator.rules.retry import (
    RetryPolicy,
    SendStep,
    Step,
    TargetEnd,
    TargetHistory,
    choose_first_step,
    decide,
)
from orchestrator.runs import restore
from tests.simulation.clock import CrashError, DeadlockError, StandstillError, VirtualLoop, play
from tests.simulation.play import play_seed
from tests.simulation.promises import compute_most_in_flight
from tests.simulation.scene import make_scene


def find_broken(first: int, last: int) -> str:
    """Return everything that the seeds find broken, as one text."""
    return "\n".join(line for seed in range(first, last + 1) for line in play_seed(seed).broken)


def is_caught(promise: str, seeds: int = 30, first: int = 1) -> bool:
    """Return whether one of the seeds finds a promise broken; stop at the first that does.

    ``first`` spares time where such a seed is rare: it is a seed not far before one that finds it.
    """
    return any(promise in line for seed in range(first, first + seeds) for line in play_seed(seed).broken)


JUDGES = pytest.mark.long(
    "breaks the engine on purpose, and plays seeds until a judge of simulated runs notices"
)


@pytest.mark.promise(11)
@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.promise(4)
@pytest.mark.promise(5)
@pytest.mark.promise(6)
@pytest.mark.promise(7)
@pytest.mark.promise(8)
@pytest.mark.promise(9)
@pytest.mark.promise(10)
@pytest.mark.timeout(300)  # of pure computing, which a busy machine does slowly
def test_four_seeds_break_no_promise() -> None:
    assert find_broken(1, 4) == ""


@pytest.mark.promise(11)
@pytest.mark.long("plays many seeds; `make simulate` plays more")
@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.promise(4)
@pytest.mark.promise(5)
@pytest.mark.promise(6)
@pytest.mark.promise(7)
@pytest.mark.promise(8)
@pytest.mark.promise(9)
@pytest.mark.promise(10)
@pytest.mark.timeout(300)
def test_more_seeds_break_no_promise() -> None:
    assert find_broken(5, 40) == ""


@pytest.mark.long("plays seeds that once found a fault; each fault has a quick test of its own")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "seed",
    [
        115,  # a full disk lost an outcome that the live status had counted
        509,  # discover began to ask for calls with a token that its search had seen rejected
        1240,  # a front-end API that was not read was taken for drift
    ],
)
def test_a_seed_that_once_found_a_fault_finds_none(seed: int) -> None:
    assert find_broken(seed, seed) == ""


@pytest.mark.long("plays two whole seeds")
def test_the_same_seed_plays_the_same() -> None:
    for seed in (3, 7):
        assert play_seed(seed) == play_seed(seed)


def test_seeds_make_different_worlds() -> None:
    assert len({len(make_scene(seed).targets) for seed in range(1, 40)}) > 10


# --- the judges -----------------------------------------------------------------------------------------


def test_as_many_may_be_in_doubt_as_the_operator_lets_be_in_flight() -> None:
    """A limit that is raised in mid-run counts from then on; one that is lowered was in force before."""
    scene = make_scene(3)
    gateway, *others = scene.plan.gateways
    rest = sum(other.concurrency for other in others)
    raised = replace(scene, acts=((1.0, SetLimits(gateway.name, 50)), (2.0, SetLimits(gateway.name, 1))))

    assert compute_most_in_flight(replace(scene, acts=())) == gateway.concurrency + rest
    assert compute_most_in_flight(raised) == 50 + rest


# --- an engine that is broken on purpose ----------------------------------------------------------------


@JUDGES
def test_a_request_that_leaves_before_its_intent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def posted(
        self: SessionRecord, target: Target, number: int, operation: Operation, at: float
    ) -> None:
        statement = "INSERT INTO attempt (seq, number, act, via, started) VALUES (?, ?, ?, ?, ?)"
        self._writing.post(statement, (target.seq, number, operation.act.value, operation.via, at))

    monkeypatch.setattr(SessionRecord, "keep_intent", posted)

    assert is_caught("promise 2")


@JUDGES
def test_a_gateway_that_takes_every_reply_for_success_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def removed(self: object, operation: Operation, target: Target, reply: Reply) -> Reading:
        return Reading(verdict=Verdict.REMOVED, evidence="204")

    monkeypatch.setattr(Roma, "read", removed)
    monkeypatch.setattr(Apinizer, "read", removed)

    assert is_caught("promise 3")


@JUDGES
def test_doubt_that_is_rounded_to_success_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        target_run, "decide", lambda policy, history, *_, **__: (history, TargetEnd(Outcome.UNDEPLOYED))
    )

    assert is_caught("promise 3")


@JUDGES
def test_sending_again_without_a_look_after_a_crash_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_run, "choose_first_step", lambda policy, history: SendStep())

    assert is_caught("promise 2", seeds=60)


@JUDGES
def test_a_window_that_the_engine_ignores_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunGate, "refusal", lambda self, act, now, *, takes: None)

    assert is_caught("promise 7", seeds=60)


@JUDGES
def test_attempts_without_end_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target is repeated as long as the reply leaves doubt."""

    def forgetful(
        policy: RetryPolicy, history: TargetHistory, act: Act, reading: Reading, *, roll: float
    ) -> tuple[TargetHistory, Step]:
        history, step = decide(policy, history, act, reading, roll=roll)
        if (
            isinstance(step, TargetEnd)
            and step.outcome is Outcome.FAILED
            and (step.reason or "").startswith("spent")
        ):
            return replace(history, charged=0), SendStep(1.0)
        return history, step

    monkeypatch.setattr(target_run, "decide", forgetful)

    assert is_caught("promise 7", seeds=60)


@JUDGES
def test_a_credential_in_a_vendor_s_text_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mask, "clean_reading", lambda self, reading: reading)

    assert is_caught("promise 9")


@JUDGES
def test_two_changes_of_one_proxy_at_a_time_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Apinizer, "exclusive_key", lambda self, target: None)

    assert is_caught("two changes of one proxy overlapped")


@JUDGES
def test_a_worker_that_is_never_woken_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TargetQueue, "release", lambda self, target: None)

    assert is_caught("every task waits for another one")


@JUDGES
@pytest.mark.promise(10)
def test_an_exchange_without_a_deadline_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "open_connection", lambda environment, gateway: environment.connect(gateway))

    assert is_caught("promise 10: it has not ended")


@JUDGES
def test_a_target_without_an_outcome_row_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine forgets to keep what became of a target."""
    monkeypatch.setattr(SessionRecord, "keep_outcome", lambda self, target, end, *, seconds, at: None)

    assert is_caught("has not reached its end")


@JUDGES
@pytest.mark.promise(4)
def test_a_lane_that_stays_open_in_a_wrong_place_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaneState, "close", lambda self, reason: None)

    assert is_caught("promise 4", seeds=1, first=38)


@JUDGES
@pytest.mark.promise(4)
def test_any_404_that_is_taken_for_absence_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = Apinizer.read

    def believe(self: Apinizer, operation: Operation, target: Target, reply: Reply) -> Reading:
        gone = Reading(verdict=Verdict.ABSENT, code="404", evidence="code")
        return gone if reply.status == 404 else proper(self, operation, target, reply)

    monkeypatch.setattr(Apinizer, "read", believe)

    assert is_caught("promise 4", seeds=10)


@JUDGES
@pytest.mark.promise(5)
def test_a_rejected_credential_that_is_never_renewed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(self: Authenticator, generation: int, reading: Reading) -> None:
        """Go on with it."""

    monkeypatch.setattr(Authenticator, "renew", keep)

    assert is_caught("with a credential that was rejected")


@JUDGES
@pytest.mark.promise(5)
def test_an_access_key_that_does_not_go_alone_first_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Authenticator, "must_go_alone", False)

    assert is_caught("before its access key was ever let in", seeds=1, first=25)


@JUDGES
@pytest.mark.promise(6)
def test_a_lane_that_does_not_wait_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaneState, "_pause", lambda self, reading, began, now: None)

    assert is_caught("promise 6")


@JUDGES
@pytest.mark.promise(6)
def test_an_ill_gateway_that_is_never_parked_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultCounter, "is_ill", lambda self, left, within_reach: False)

    assert is_caught("promise 6", seeds=40)


@JUDGES
@pytest.mark.promise(6)
def test_a_lane_that_waits_for_a_parked_neighbour_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper, states = LaneState.admit, defaultdict[object, list[LaneState]](list)

    def admit_together(self: LaneState, request: AdmissionRequest, now: float) -> object:
        side_by_side = states[asyncio.get_running_loop()]
        if self not in side_by_side:
            side_by_side.append(self)
        ill = any(each.state == "parked" and not each.given_up for each in side_by_side if each is not self)
        return AdmissionDelayed(1.0) if ill else proper(self, request, now)

    monkeypatch.setattr(LaneState, "admit", admit_together)

    assert is_caught("by a lane that is well", seeds=1, first=20)


@JUDGES
@pytest.mark.promise(8)
def test_looks_after_an_interrupt_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt stops the run as an operator does, so that doubts are still looked at."""
    proper = RunGate.stop
    monkeypatch.setattr(RunGate, "stop", lambda self, kind, text: proper(self, "control", text))

    assert is_caught("promise 8", seeds=60)


@JUDGES
@pytest.mark.promise(8)
def test_results_that_an_interrupt_loses_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionRecord, "keep_result", lambda *_, **__: None)

    assert is_caught("promise 8", seeds=20)


@JUDGES
def test_a_drift_guard_that_lets_everything_pass_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precheck, "describe_drift", lambda approved, now: None)

    assert is_caught("was approved as down", seeds=18, first=3)


# --- a restore that is broken on purpose ----------------------------------------------------------------


@JUDGES
def test_a_restore_that_deploys_without_a_look_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(policy: RetryPolicy, history: TargetHistory) -> Step:
        return (
            SendStep()
            if policy.act is Act.DEPLOY and not history.in_doubt
            else choose_first_step(policy, history)
        )

    monkeypatch.setattr(target_run, "choose_first_step", blind)

    assert is_caught("without a look that showed it to be down")


@JUDGES
@pytest.mark.promise(11)
def test_looks_that_are_not_turned_round_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "mirror_reading", lambda policy, act, reading: reading)

    assert is_caught("is not up everywhere")


@JUDGES
@pytest.mark.promise(11)
def test_a_deploy_that_is_believed_pod_or_no_pod_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(
        self: object, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: object
    ) -> Operation | Reading:
        return next_look(seen, lacking, None)

    monkeypatch.setattr(ApinizerRestore, "next_proof", believe)

    assert is_caught("is not up everywhere", seeds=20, first=240)


@JUDGES
@pytest.mark.promise(11)
def test_a_restore_that_forgets_a_target_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def some(database: Database) -> Iterator[TakenDown]:
        return (row for row in list_taken_down(database) if row.seq != 2)

    monkeypatch.setattr(restore, "list_taken_down", some)

    assert is_caught("is left out of the restore")


@JUDGES
def test_a_remainder_that_forgets_what_comes_first_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remainder._PrerequisiteStream, "of", lambda _stream, _seq: ())

    assert is_caught("the remainder has the order", seeds=4)


@JUDGES
def test_a_remainder_without_what_is_unknown_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = remainder.Remainder.list_targets

    def some(rest: remainder.Remainder) -> Iterator[remainder.RemainingTarget]:
        return (each for each in proper(rest) if each.outcome is not Outcome.UNKNOWN)

    monkeypatch.setattr(remainder.Remainder, "list_targets", some)

    assert is_caught("and left are", seeds=20)


def without_binds(found: Operation | Completeness | Reading) -> Operation | Completeness | Reading:
    if not isinstance(found, Completeness):
        return found
    kept = (part for part in found.missing if part.step is None or part.step.act is not Act.BIND)
    return Completeness(tuple(kept))


@JUDGES
@pytest.mark.promise(11)
def test_a_restore_that_forgets_what_hung_on_a_front_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = RomaRestore.next_completion
    monkeypatch.setattr(RomaRestore, "next_completion", lambda *given: without_binds(proper(*given)))

    assert is_caught("is reported restored, and lacks", seeds=10, first=19)


@JUDGES
@pytest.mark.promise(11)
def test_a_restore_that_binds_without_a_look_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roma_completion, "join_pages", lambda *_: [])

    assert is_caught("creates of what was there", seeds=10, first=32)


@JUDGES
@pytest.mark.promise(11)
def test_a_reason_that_does_not_name_what_lacks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_list_missing", lambda *_: "something")

    assert is_caught("and its reason says only", seeds=10, first=47)


@JUDGES
@pytest.mark.promise(9)
def test_a_snapshot_that_keeps_signature_secrets_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_texts(_: object, fields: Mapping[str, object]) -> dict[str, object]:
        return {key: value for key, value in fields.items() if isinstance(value, str)}

    monkeypatch.setattr(binding_replies, "keep_settings", keep_texts)

    assert is_caught("holds a credential")


@JUDGES
def test_a_gate_that_lets_targets_in_use_go_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_gate, "describe_doubt", lambda *_: None)

    assert is_caught("was sent, with")


@JUDGES
@pytest.mark.promise(11)
def test_a_restore_that_forgets_further_environments_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RomaRestore, "next_completion", lambda *_: Completeness())

    assert is_caught("and lacks environment", seeds=10, first=19)


@JUDGES
@pytest.mark.promise(7)
def test_a_publish_without_a_bound_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_may_send", lambda policy, step: step is None or step.charged < 9)

    assert is_caught("times", seeds=10, first=19)


@JUDGES
def test_a_restore_in_the_order_of_the_run_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "list_order", lambda database: iter(()))

    assert is_caught("which comes first")


# --- the clock ------------------------------------------------------------------------------------------


def test_time_jumps_to_the_next_timer_and_is_exact() -> None:
    async def main() -> list[float]:
        at: list[float] = []

        async def sleep(seconds: float) -> None:
            await anyio.sleep(seconds)
            at.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            for seconds in (86400.0, 0.5, 3.0):
                group.start_soon(sleep, seconds)
        return at

    assert play(VirtualLoop(), main()) == [0.5, 3.0, 86400.0]


def test_a_program_that_waits_for_ever_is_a_deadlock() -> None:
    async def main() -> None:
        await anyio.Event().wait()

    with pytest.raises(DeadlockError):
        play(VirtualLoop(), main())


def test_a_program_that_turns_without_a_wait_is_no_end_either() -> None:
    async def main() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(StandstillError):
        play(VirtualLoop(), main())


def test_a_killed_process_does_nothing_more() -> None:
    done: list[str] = []
    loop = VirtualLoop()

    async def main() -> None:
        done.append("began")
        loop.kill()
        await anyio.sleep(1)
        done.append("went on")

    with pytest.raises(CrashError):
        play(loop, main())

    assert done == ["began"]
