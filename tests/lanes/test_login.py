"""What lets a lane's requests in: tokens, logins, access keys, and what a 401 costs."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.errors import CredentialError
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.login import LOGIN_TRIES, RENEW_BEFORE, read_token_end
from orchestrator.lanes.masking import list_secrets
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import (
    AccessKeys,
    LoginGranted,
    LoginPassword,
    LoginRejected,
    LoginUnclear,
    Material,
    Secret,
)
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.reading import Act, Verdict
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from tests.support import engine
from tests.support.engine import EPOCH, Heard, Scripted, environment, gateway, played
from tests.support.readings import reading

A, B, C = TargetId("gw/a"), TargetId("gw/b"), TargetId("gw/c")
UNDEPLOY, LOOK = Act.UNDEPLOY, Act.LOOK
DENIED = reading(Verdict.DENIED, code="E.401", message="bad token")


def opened(
    credential: Callable[[Gateway], Material],
    *,
    heard: Heard | None = None,
    entry: Gateway | None = None,
    send: object = None,
) -> Lane:
    """A lane whose references give what ``credential`` gives."""
    entry = entry or gateway()
    return engine.lane(
        entry,
        environment(credential),
        RunGate(),
        heard,
        material=credential(entry),
        send=send,
    )


class Reference:
    """A reference that gives one text after the other, and counts how often it was read."""

    def __init__(self, *texts: str | CredentialError) -> None:
        self._texts = list(texts)
        self.read = 0

    def __call__(self, _gateway: Gateway) -> Secret:
        text = self._texts[min(self.read, len(self._texts) - 1)]
        self.read += 1
        if isinstance(text, CredentialError):
            raise text
        return Secret(text)


@pytest.mark.promise(5)
def test_many_401_at_once_cost_one_renewal() -> None:
    reference = Reference("one", "two")

    async def main() -> Lane:
        lane = opened(reference)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(lane.renew_credential, 1, DENIED)
        return lane

    lane = played(main)

    assert reference.read == 2
    assert lane.state.state == "open"
    assert lane.authenticator.active is not None
    assert (lane.authenticator.active.access, lane.authenticator.active.generation) == (Secret("two"), 2)


@pytest.mark.promise(5)
@pytest.mark.parametrize(
    ("renewed", "admitted", "tokens"),
    [("two", None, ["two"]), ("one", "denied: the credential was rejected", [])],
)
@pytest.mark.parametrize("given_up", [False, True])
def test_no_request_leaves_while_the_reference_of_a_rejected_token_is_read_again(
    renewed: str, admitted: str | None, tokens: list[str], given_up: bool
) -> None:
    """A reference may be a command that takes half a minute: each reply before the 401 frees a worker."""
    sent: list[tuple[float, str]] = []

    async def read_again(_: Gateway) -> Secret:
        await anyio.sleep(20.0)
        return Secret(renewed)

    async def main() -> tuple[float, str | None]:
        here = replace(environment(), credential=read_again)
        lane = engine.lane(gateway(), here, RunGate(), material=Secret("one"))
        if given_up:
            lane.state.give_up("parked: ill", 0.0)
        async with anyio.create_task_group() as group:
            group.start_soon(lane.renew_credential, 1, DENIED)
            await anyio.sleep(1.0)
            refused = await lane.admit(AdmissionRequest(A, LOOK, settling=True))
            if refused is None and lane.authenticator.active is not None:
                access = lane.authenticator.active.access
                sent.append((anyio.current_time(), access.reveal() if isinstance(access, Secret) else ""))
        return anyio.current_time(), refused

    at, refused = played(main)

    assert at == 20.0
    assert refused is None if admitted is None else (refused or "").startswith(admitted)
    assert [token for _, token in sent] == tokens


@pytest.mark.promise(5)
def test_the_same_credential_again_closes_the_lane() -> None:
    reference = Reference("one")
    heard = Heard()

    async def main() -> Lane:
        lane = opened(reference, heard=heard)
        lane.confirm_credential(1)
        for _ in range(10):
            await lane.renew_credential(1, DENIED)
        return lane

    lane = played(main)
    why = "denied: the credential was rejected, and its reference gives no other one (E.401 bad token)"

    assert (reference.read, lane.state.reason) == (2, why)
    assert heard.states == [("closed", why)]


@pytest.mark.promise(5)
@pytest.mark.promise(10)
@pytest.mark.parametrize("second", ["one", CredentialError("gateway gw: the token {command: pass} hangs")])
def test_a_renewal_in_vain_is_made_once_for_all_that_wait(second: str | CredentialError) -> None:
    """Each may take as long as a command may take, and they would go one after the other."""
    reference = Reference("one", second)

    async def main() -> Lane:
        lane = opened(reference)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(lane.renew_credential, 1, DENIED)
        return lane

    assert (played(main).state.state, reference.read) == ("closed", 2)


@pytest.mark.promise(5)
def test_a_new_credential_that_is_refused_at_once_closes_the_lane() -> None:
    reference = Reference("one", "two", "three")

    async def main() -> Lane:
        lane = opened(reference)
        lane.confirm_credential(1)
        await lane.renew_credential(1, DENIED)
        await lane.renew_credential(2, DENIED)
        return lane

    lane = played(main)

    assert reference.read == 2
    assert lane.state.reason == "denied: the renewed credential was refused too (E.401 bad token)"


@pytest.mark.promise(5)
def test_a_credential_that_had_worked_is_renewed_again() -> None:
    reference = Reference("one", "two", "three")

    async def main() -> Lane:
        lane = opened(reference)
        for generation in (1, 2):
            lane.confirm_credential(generation)
            await lane.renew_credential(generation, DENIED)
        return lane

    lane = played(main)

    assert (reference.read, lane.state.state) == (3, "open")
    assert lane.authenticator.active is not None
    assert lane.authenticator.active.access == Secret("three")


@pytest.mark.promise(5)
def test_a_late_answer_to_the_old_credential_says_nothing_of_the_new_one() -> None:
    reference = Reference("one", "two", "three")

    async def main() -> Lane:
        lane = opened(reference)
        await lane.renew_credential(1, DENIED)
        lane.confirm_credential(1)
        await lane.renew_credential(1, DENIED)
        await lane.renew_credential(2, DENIED)
        return lane

    lane = played(main)

    assert (reference.read, lane.state.state) == (2, "closed")


def test_a_reference_that_cannot_be_read_any_more_closes_the_lane() -> None:
    reference = Reference("one", CredentialError("the token {file: t} cannot be read"))

    async def main() -> str | None:
        lane = opened(reference)
        await lane.renew_credential(1, DENIED)
        return await lane.admit(AdmissionRequest(A, UNDEPLOY))

    assert played(main) == "denied: the token {file: t} cannot be read (E.401 bad token)"


@pytest.mark.promise(9)
def test_every_credential_that_was_in_use_is_masked() -> None:
    async def main() -> Lane:
        lane = opened(Reference('o"ne', "zwö"))
        await lane.renew_credential(1, DENIED)
        return lane

    assert played(main).authenticator.mask.secrets == {'o"ne', "zwö"}


# --- logins ---------------------------------------------------------------------------------------------


class WrittenLogin:
    """A login whose replies are written out: the token, or why there is none."""

    def build_request(self, password: Secret) -> Request:
        return Request("login", "https://iam.example", {}, password.reveal().encode())

    def read(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        kind, text, number = msgspec.json.decode(reply.body, type=tuple[str, str, float | None])
        match kind:
            case "granted":
                return LoginGranted(Secret(text), number)
            case "rejected":
                return LoginRejected("E.1", text)
        return LoginUnclear("E.5", text, number)


class LogsIn(Scripted, frozen=True, kw_only=True):
    """A kind with such a login."""

    @property
    def login(self) -> WrittenLogin:
        return WrittenLogin()


class Iam:
    """Answers logins one after the other, each after a second; the last answer stays."""

    def __init__(self, *answers: tuple[str, str, float | None] | Lost) -> None:
        self._answers = answers
        self.asked = 0

    async def __call__(self, _request: Request) -> Reply | Lost:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        await anyio.sleep(1.0)
        return answer if isinstance(answer, Lost) else Reply(201, {}, msgspec.json.encode(answer), 0.0)


def logging_in(iam: Iam, heard: Heard | None = None, **fields: Any) -> Lane:
    entry = LogsIn(**{"name": "gw", "url": "https://gw.example", "auth": gateway().auth, **fields})
    return opened(lambda _: LoginPassword(Secret("pass word")), entry=entry, send=iam, heard=heard)


@pytest.mark.promise(9)
def test_the_password_and_every_token_of_a_login_are_masked_to_the_end() -> None:
    iam, heard = Iam(("granted", "token-one", None), ("granted", "token-two", None)), Heard()

    async def main() -> Lane:
        lane = logging_in(iam, heard)
        await lane.admit(AdmissionRequest(A, UNDEPLOY))
        await lane.renew_credential(1, DENIED)
        await lane.admit(AdmissionRequest(B, UNDEPLOY))
        return lane

    assert played(main).authenticator.mask.secrets == {"pass word", "token-one", "token-two"}
    assert heard.requests == iam.asked == 2


@pytest.mark.promise(5)
def test_one_login_serves_all_workers() -> None:
    iam = Iam(("granted", "token-1", None))

    async def main() -> tuple[float, list[str | None]]:
        lane, admitted = logging_in(iam), list[str | None]()

        async def worker(target: TargetId) -> None:
            admitted.append(await lane.admit(AdmissionRequest(target, UNDEPLOY)))

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(worker, TargetId(f"gw/{number}"))
        assert lane.authenticator.active is not None
        assert lane.authenticator.active.access == Secret("token-1")
        return anyio.current_time(), admitted

    assert played(main) == (1.0, [None] * 20)
    assert iam.asked == 1


@pytest.mark.promise(5)
def test_a_wrong_password_costs_one_request_and_closes_the_lane() -> None:
    iam, heard = Iam(("rejected", "try again", None)), Heard()

    async def main() -> list[str | None]:
        lane, admitted = logging_in(iam, heard), list[str | None]()

        async def worker(target: TargetId) -> None:
            admitted.append(await lane.admit(AdmissionRequest(target, UNDEPLOY)))

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(worker, TargetId(f"gw/{number}"))
        return admitted

    why = "denied: the login was refused (E.1 try again)"
    assert played(main) == [why] * 20
    assert iam.asked == 1
    assert heard.states == [("closed", why)]


def admit_all(lane: Lane, number: int) -> Callable[[], Awaitable[list[tuple[float, str | None]]]]:
    """Return what plays undeploys of so many targets that ask at once: when each gets which decision."""

    async def main() -> list[tuple[float, str | None]]:
        got: list[tuple[float, str | None]] = []

        async def worker(target: TargetId) -> None:
            refused = await lane.admit(AdmissionRequest(target, UNDEPLOY))
            got.append((anyio.current_time(), refused))

        async with anyio.create_task_group() as group:
            for each in range(number):
                group.start_soon(worker, TargetId(f"gw/{each}"))
        return got

    return main


@pytest.mark.promise(6)
def test_only_the_request_that_logged_in_goes_at_once_and_those_that_waited_keep_the_rate() -> None:
    async def main() -> list[float]:
        lane = logging_in(Iam(("granted", "token-1", None)), limits=Limits(rate=2.5))
        return [at for at, _ in await admit_all(lane, 3)()]

    assert played(main) == pytest.approx([1.0, 1.4, 1.8])


def test_a_request_whose_login_failed_waits_for_a_slot() -> None:
    iam = Iam(("unclear", "busy", 1.0), ("granted", "token-1", None))

    async def main() -> list[tuple[float, str | None]]:
        return await admit_all(logging_in(iam, limits=Limits(rate=0.1)), 1)()

    assert played(main) == [(11.0, None)]
    assert iam.asked == 2


@pytest.mark.promise(5)
@pytest.mark.parametrize(
    ("answer", "state", "why"),
    [
        (("rejected", "no", None), "closed", "denied: the login was refused (E.1 no)"),
        (Lost(sent=False, detail="refused"), "given_up", "parked: no token could be had: refused"),
    ],
)
def test_a_login_that_ends_the_lane_wakes_those_that_wait_for_a_slot(
    answer: tuple[str, str, float | None] | Lost, state: str, why: str
) -> None:
    heard = Heard()

    async def main() -> list[tuple[float, str | None]]:
        return await admit_all(logging_in(Iam(answer), heard, limits=Limits(rate=0.001)), 2)()

    first, second = played(main)
    assert first == second, "the slot of the other one is a thousand seconds away"
    assert first[1] == why
    assert heard.states[-1] == (state, why)


@pytest.mark.promise(10)
@pytest.mark.parametrize(("short_of", "asked", "ends"), [(1.0, 2, 1.0), (1.5, 3, 2.0)])
def test_a_login_that_is_put_off_is_tried_until_park_for_is_over_and_not_at_its_end(
    short_of: float, asked: int, ends: float
) -> None:
    """Each login takes a second, and the first one is answered at second 1."""
    iam = Iam(("unclear", "busy", gateway().park_for - short_of))

    async def main() -> list[tuple[float, str | None]]:
        return await admit_all(logging_in(iam), 1)()

    ((at, why),) = played(main)
    assert (at - gateway().park_for, iam.asked) == (ends, asked)
    assert why == "parked: no token could be had: E.5 busy"


def test_a_look_that_would_need_a_login_ends_all_doubts_of_a_lane_that_was_given_up() -> None:
    """The one that waits for its slot is woken."""
    iam = Iam(("granted", "token-1", None))

    async def main() -> list[tuple[float, str | None]]:
        lane, got = logging_in(iam, limits=Limits(rate=0.01)), list[tuple[float, str | None]]()
        lane.state.give_up("parked: HTTP 502", 0.0)
        lane.state.pace.note_departure(Act.LOOK, 0.0)
        lane.state.pace.hold(Act.LOOK, 0.0)

        async def settle(target: TargetId, after: float, *, due: bool) -> None:
            await anyio.sleep(after)
            look = AdmissionRequest(target, Act.LOOK, settling=True)
            look.note_login(succeeded=due)
            refused = await lane.admit(look)
            got.append((anyio.current_time(), refused))

        async with anyio.create_task_group() as group:
            group.start_soon(partial(settle, A, 0.0, due=False))
            group.start_soon(partial(settle, B, 3.0, due=True))  # its own login gave a token that is over now
        assert lane.state.hopeless == "parked: HTTP 502"
        return got

    assert played(main) == [(3.0, "parked: HTTP 502")] * 2
    assert iam.asked == 0


def test_a_token_is_renewed_before_its_end() -> None:
    iam = Iam(("granted", "token-1", EPOCH + 7200.0), ("granted", "token-2", EPOCH + 14400.0))

    async def main() -> tuple[int, int]:
        lane = logging_in(iam)
        assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
        await anyio.sleep(7200.0 - RENEW_BEFORE - 2.0)
        assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
        before = iam.asked
        await anyio.sleep(2.0)
        assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
        return before, iam.asked

    assert played(main) == (1, 2)


@pytest.mark.promise(5)
def test_a_login_s_token_that_dies_early_is_renewed_once_for_all() -> None:
    iam = Iam(("granted", "token-1", None), ("granted", "token-2", None))

    async def main() -> tuple[object, str]:
        lane = logging_in(iam)
        await lane.admit(AdmissionRequest(A, UNDEPLOY))
        lane.confirm_credential(1)
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(lane.renew_credential, 1, DENIED)
        await lane.admit(AdmissionRequest(A, UNDEPLOY))
        assert lane.authenticator.active is not None
        return lane.authenticator.active.access, lane.state.state

    assert played(main) == (Secret("token-2"), "open")
    assert iam.asked == 2


@pytest.mark.promise(5)
def test_the_password_is_read_once_for_all_401s_to_one_token() -> None:
    """A reference may be a command, and a command may ask a person: it is not run for each 401."""
    read, iam = [0], Iam(("granted", "token-1", None), Lost(sent=True, detail="no reply"))

    def password(_gateway: Gateway) -> Material:
        read[0] += 1
        return LoginPassword(Secret("pass word"))

    async def main() -> str:
        lane = opened(
            password, entry=LogsIn(name="gw", url="https://gw.example", auth=gateway().auth), send=iam
        )
        await lane.admit(AdmissionRequest(A, UNDEPLOY))
        lane.confirm_credential(1)
        for _ in range(4):  # one after the other, while no login has been answered yet
            await lane.renew_credential(1, DENIED)
        return lane.state.state

    assert played(main) == "open"
    assert read == [2]


@pytest.mark.promise(7)
def test_a_login_that_goes_unanswered_is_tried_a_few_times_and_then_the_lane_is_parked() -> None:
    iam = Iam(("unclear", "system error", None))

    async def main() -> str | None:
        return await logging_in(iam).admit(AdmissionRequest(A, UNDEPLOY))

    assert played(main) == "parked: no token could be had: E.5 system error"
    assert iam.asked == LOGIN_TRIES


def test_a_token_is_used_to_its_end_where_its_renewal_is_not_answered() -> None:
    """Half an hour of a night is not given up for a login that can be tried again."""
    iam = Iam(("granted", "token-1", EPOCH + 7200.0), ("unclear", "system error", None))

    async def main() -> tuple[float, str | None]:
        lane = logging_in(iam)
        for _ in range(1000):
            if refused := await lane.admit(AdmissionRequest(A, UNDEPLOY)):
                return anyio.current_time(), refused
            await anyio.sleep(10.0)
        return anyio.current_time(), None

    at, refused = played(main)
    assert 7200.0 <= at < 7230.0
    assert refused == "parked: no token could be had: E.5 system error"
    assert 30 <= iam.asked <= 1 + 30 + LOGIN_TRIES


def test_a_token_that_was_refused_is_not_used_for_want_of_another() -> None:
    iam = Iam(("granted", "token-1", EPOCH + 7200.0), ("unclear", "system error", None))

    async def main() -> str | None:
        lane = logging_in(iam)
        await lane.admit(AdmissionRequest(A, UNDEPLOY))
        lane.confirm_credential(1)
        await lane.renew_credential(1, DENIED)
        return await lane.admit(AdmissionRequest(A, UNDEPLOY))

    assert played(main) == "parked: no token could be had: E.5 system error"
    assert iam.asked == 1 + LOGIN_TRIES


def test_a_login_waits_as_long_as_it_is_told_to() -> None:
    iam = Iam(("unclear", "later", 40.0), Lost(sent=False, detail="refused"), ("granted", "token", None))

    async def main() -> float:
        assert await logging_in(iam).admit(AdmissionRequest(A, UNDEPLOY)) is None
        return anyio.current_time()

    # A second a login; 40 s as told; 1 s, the second backoff of a lane that has none of its own.
    assert played(main) == 44.0


# --- access keys ----------------------------------------------------------------------------------------

KEYS = AccessKeys(Secret("access-1"), Secret("secret-1"))


@pytest.mark.promise(5)
def test_the_first_signed_request_goes_alone() -> None:
    """Five bad signatures lock a key, so nobody else signs before the first one was let in."""

    async def main() -> list[tuple[float, str]]:
        lane, at = opened(lambda _: KEYS), list[tuple[float, str]]()

        async def worker(target: TargetId, act: Act) -> None:
            await lane.admit(AdmissionRequest(target, act))
            at.append((anyio.current_time(), target))

        async with anyio.create_task_group() as group:
            for target, act in ((A, LOOK), (B, UNDEPLOY), (C, UNDEPLOY)):
                group.start_soon(worker, target, act)
            await anyio.sleep(3.0)
            lane.confirm_credential(1)
        return at

    assert played(main) == [(0.0, A), (3.0, B), (3.0, C)]


@pytest.mark.promise(5)
def test_the_first_401_to_a_signature_closes_the_lane() -> None:
    reads = []

    def reference(entry: Gateway) -> Material:
        reads.append(entry.name)
        return KEYS

    async def main() -> tuple[str | None, str | None]:
        lane = opened(reference)
        await lane.admit(AdmissionRequest(A, UNDEPLOY))
        await lane.renew_credential(1, DENIED)
        return lane.state.reason, await lane.admit(AdmissionRequest(B, UNDEPLOY))

    why = "denied: the signature was rejected (E.401 bad token)"
    assert played(main) == (why, why)
    assert len(reads) == 1


def test_a_first_signed_request_that_was_lost_lets_the_next_one_go_alone() -> None:
    async def main() -> list[str]:
        lane, went = opened(lambda _: KEYS), list[str]()

        async def worker(target: TargetId) -> None:
            await lane.admit(AdmissionRequest(target, UNDEPLOY))
            went.append(target)
            await anyio.sleep(1.0)
            lane.leave(target)

        async with anyio.create_task_group() as group:
            for target in (A, B):
                group.start_soon(worker, target)
            await anyio.sleep(0.5)
            assert went == [A]
        return went

    assert played(main) == [A, B]


# --- the rest -------------------------------------------------------------------------------------------


@pytest.mark.promise(9)
def test_a_key_s_id_is_no_secret_and_its_secret_parts_are_masked() -> None:
    keys = AccessKeys(Secret("AKID"), Secret("sk"), Secret("st"))

    assert list_secrets(keys) == ("sk", "st")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ('{"exp": 1800000000}', 1.8e9),
        ('{"exp": -62135700000}', None),
        ('{"exp": 1e300}', None),
        ('{"sub": "x"}', None),
        ("[]", None),
        ("not json", None),
        ('{"x":' + "[" * 5000, None),
    ],
)
def test_a_token_that_says_when_it_ends_is_heard(claims: str, expected: float | None) -> None:
    middle = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")

    assert read_token_end(Secret(f"aa.{middle}.cc")) == expected


@pytest.mark.parametrize("text", ["plain", "a.b", "a.b.c", "a.%%%.c", "..", "a.é.c"])
def test_a_token_that_says_nothing_of_its_end_has_none(text: str) -> None:
    assert read_token_end(Secret(text)) is None
