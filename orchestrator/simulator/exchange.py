"""The values that pass between a simulated platform, its faults and the server that delivers its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Protocol

import msgspec
from msgspec import Struct

from orchestrator.model.reading import Act


class DeliveryManner(StrEnum):
    """The ways in which an answer reaches the client, or does not."""

    WHOLE = "whole"
    CUT = "cut"  # the connection closes half-way through the answer
    HANG = "hang"  # no answer; the connection stays open
    RESET = "reset"  # no answer; the connection is reset
    GARBAGE = "garbage"  # bytes that are not HTTP


class RequestEffect(StrEnum):
    """The change that a request made."""

    NONE = "none"
    DOWN = "down"
    PART = "part"  # some pods obeyed, not all
    UP = "up"
    PUBLISHED = "published"  # a front-end API, in one more environment
    WITHDRAWN = "withdrawn"  # a front-end API, from one environment
    BOUND = "bound"  # something hangs on a front-end API that did not before
    DESTROYED = "destroyed"  # a definition is gone for good; an undeploy must never do that
    GRANTED = "granted"  # a login gave a token
    REFUSED = "refused"  # a login gave none, and may have brought its user closer to a lock


class FaultKind(StrEnum):
    """The ways in which a request can go wrong."""

    STATUS = "status"
    SLOW = "slow"
    HANG = "hang"
    RESET = "reset"
    GARBAGE = "garbage"
    CUT = "cut"
    LOGIN_PAGE = "login-page"  # 200 with HTML
    ERROR_PAGE = "error-page"  # 502 with HTML
    EMPTY = "empty"  # 200 with nothing
    REDIRECT = "redirect"
    ELSEWHERE = "elsewhere"  # as another installation would answer
    # Twists: answers that only a platform itself can give; ``Platform.TWISTS`` says which it has.
    INNER_FALSE = "inner-false"  # success outside, false inside, nothing changed
    PARTIAL = "partial"  # one pod does not obey
    QUOTED = "quoted"  # "true" and "false" in quotes
    NO_RESULT = "no-result"  # done, but the answer has no deploymentResult
    EMPTY_ROWS = "empty-rows"  # done, but the answer has no row
    NO_DEPLOYMENT = "no-deployment"  # success outside, nothing changed, no row
    REFUSED_WITH_RESULT = "refused-with-result"  # 400 with a deploymentResult, nothing changed
    REFUSED_PARTIAL = "refused-partial"  # 400 with a deploymentResult, and one pod alone does not obey
    NO_PODS = "no-pods"  # no pod could be reached
    POD_UNREACHED = "pod-unreached"  # one pod could not be reached, and counts as one that has answered
    POD_SILENT = "pod-silent"  # one pod could not be reached, and neither counts nor stands in the list


TWISTS = frozenset(
    (
        FaultKind.INNER_FALSE,
        FaultKind.PARTIAL,
        FaultKind.QUOTED,
        FaultKind.NO_RESULT,
        FaultKind.EMPTY_ROWS,
        FaultKind.NO_DEPLOYMENT,
        FaultKind.REFUSED_WITH_RESULT,
        FaultKind.REFUSED_PARTIAL,
        FaultKind.NO_PODS,
        FaultKind.POD_UNREACHED,
        FaultKind.POD_SILENT,
    )
)


LOGIN = "login"
"""The purpose of a login; other requests have an act as their purpose."""


class DenialReason(StrEnum):
    """The fault of a request's credential."""

    MISSING = "missing"
    WRONG = "wrong"
    EXPIRED = "expired"
    # Of a signature.
    NO_KEY = "no-key"
    SIGNATURE = "signature"
    SECURITY_TOKEN = "security-token"  # noqa: S105 - a name
    CLOCK = "clock"
    LOCKED = "locked"


class AccessDenial(Struct, frozen=True):
    """Why a request is denied. ``until`` is the Unix time at which its token ended; ``key`` is the unknown
    access key."""

    why: DenialReason
    until: float = 0.0
    key: str = ""

    @property
    def concerns_signature(self) -> bool:
        return self.why not in (DenialReason.MISSING, DenialReason.WRONG, DenialReason.EXPIRED)


class ReceivedRequest(Struct, frozen=True):
    """One request as it arrived; ``raw_path`` includes the query, and is still percent-encoded."""

    method: str
    raw_path: str
    headers: Mapping[str, str]
    body: bytes


class HttpAnswer(Struct, frozen=True):
    """One whole HTTP answer, without the headers that any server adds (date, length)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class SimulatedTarget(Struct):
    """One target's state. ``down_by`` is the number of the request that took it down, 0 for none.

    ``repeats`` counts creates of bindings that were there already.
    """

    id: str
    down: bool = False
    undeploys: int = 0
    looks: int = 0
    deploys: int = 0
    publishes: int = 0
    binds: int = 0
    repeats: int = 0
    down_by: int = 0
    down_at: float = 0.0
    destroyed: bool = False

    @property
    def published(self) -> tuple[str, ...]:
        """The environments in which something is published for the target now, where its kind has such."""
        return ()

    @property
    def first_published(self) -> tuple[str, ...]:
        """The environments in which something was published for the target at first."""
        return ()

    @property
    def hanging(self) -> tuple[str, ...]:
        """The things that hang on its front ends now, in words, where its kind has such."""
        return ()

    @property
    def hung(self) -> tuple[str, ...]:
        """The things that hung on its front ends at first, in the same words."""
        return ()


class CallResult(Struct, frozen=True):
    """A platform's answer to a request, and the change that the request made."""

    answer: HttpAnswer
    effect: RequestEffect = RequestEffect.NONE


Perform = Callable[[float, FaultKind | None], CallResult]
ErrorWording = Callable[[int, str | None, str | None], HttpAnswer]
"""Writes a status in an envelope; a code or message of None becomes the usual one."""


class PlatformCall(Struct, frozen=True, kw_only=True):
    """The call that a request asks for. Nothing happens before ``perform`` is called with the Unix time and
    the twist, if any.

    ``row`` is None if the request names no known target; ``shares`` names the thing that two calls should not
    change at once. A login has no act. ``error`` words the status of a fault where the platform's own wording
    does not fit.
    """

    perform: Perform
    act: Act | None = None
    login: bool = False
    error: ErrorWording | None = None
    row: SimulatedTarget | None = None
    needs_token: bool = True
    shares: str | None = None

    @property
    def purpose(self) -> str | None:
        """The act, or ``LOGIN``; None for any other request."""
        return LOGIN if self.login else self.act.value if self.act else None


class Delivery(Struct, frozen=True, kw_only=True):
    """The reply to the client: ``answer`` in its ``manner``, ``delay`` seconds from now.

    ``number`` counts all requests from 1; ``generation`` counts how often the platforms were filled.
    ``answer`` is None only for HANG, RESET and GARBAGE.
    """

    number: int
    generation: int
    call: PlatformCall
    manner: DeliveryManner = DeliveryManner.WHOLE
    answer: HttpAnswer | None = None
    delay: float = 0.0
    effect: RequestEffect = RequestEffect.NONE
    fault: str | None = None


class AccessGate(Protocol):
    """Decides which requests are let in. ``find_denial`` counts each request: bad signatures lock their key.

    ``key_locks`` and ``user_locks`` say how often an access key or a user was locked.
    """

    @property
    def key_locks(self) -> int: ...
    @property
    def user_locks(self) -> int: ...

    def find_denial(self, asked: ReceivedRequest, now: float) -> AccessDenial | None: ...


class SimulatedPlatform(Protocol):
    """The state and the wording of one kind of gateway. Pure: the caller gives the time and gets answers.

    ``route`` changes nothing and never raises. ``error`` writes a status in the vendor's envelope; a code or
    message of None becomes the vendor's usual one.
    """

    TWISTS: ClassVar[frozenset[FaultKind]]

    @property
    def rows(self) -> Sequence[SimulatedTarget]: ...

    @property
    def gate(self) -> AccessGate: ...

    def route(self, asked: ReceivedRequest) -> PlatformCall: ...
    def answer_denied(self, objection: AccessDenial) -> HttpAnswer: ...
    def answer_busy(self, wait: int, rate: float) -> HttpAnswer: ...
    def answer_elsewhere(self) -> HttpAnswer: ...
    def error(self, status: int, code: str | None = None, message: str | None = None) -> HttpAnswer: ...


def answer_always(answer: HttpAnswer) -> Perform:
    """Return a call that changes nothing and always gives this answer, whatever the faults are."""
    done = CallResult(answer)
    return lambda _now, _twist: done


def get_header(headers: Mapping[str, str], name: str) -> str | None:
    """Return the value of a header by its lower-case name, whatever case the mapping has."""
    return next((value for key, value in headers.items() if key.lower() == name), None)


_encode = msgspec.json.Encoder().encode


def json_answer(status: int, value: object, content_type: str = "application/json") -> HttpAnswer:
    """Return an answer with a JSON body."""
    return HttpAnswer(status, _encode(value), {"Content-Type": content_type})


def html_page(status: int, title: str) -> HttpAnswer:
    """Return an HTML page, as a proxy, a login form or an unknown route would answer."""
    text = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return HttpAnswer(status, text.encode(), {"Content-Type": "text/html;charset=UTF-8"})
