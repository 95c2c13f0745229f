"""What passes between a simulated platform, its faults and whatever delivers its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Protocol

import msgspec
from msgspec import Struct

from orchestrator.model.reading import Act


class Manner(StrEnum):
    """How an answer reaches the client, if it does."""

    WHOLE = "whole"
    CUT = "cut"  # the connection closes half-way through the answer
    HANG = "hang"  # nothing comes, the connection stays open
    RESET = "reset"  # the connection is reset, nothing comes
    GARBAGE = "garbage"  # bytes that are not HTTP


class Effect(StrEnum):
    """What a request changed."""

    NONE = "none"
    DOWN = "down"
    PART = "part"  # some pods obeyed, not all
    UP = "up"
    DESTROYED = "destroyed"  # a definition is gone for good; an undeploy never does that
    GRANTED = "granted"  # a login gave a token
    REFUSED = "refused"  # a login gave none, and may have brought its user nearer to a lock


class Kind(StrEnum):
    """What can go wrong with a request."""

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
    REFUSED_WITH_RESULT = "refused-with-result"  # 400 with a deploymentResult, nothing changed
    NO_PODS = "no-pods"  # no pod could be reached


TWISTS = frozenset(
    (
        Kind.INNER_FALSE,
        Kind.PARTIAL,
        Kind.QUOTED,
        Kind.NO_RESULT,
        Kind.EMPTY_ROWS,
        Kind.REFUSED_WITH_RESULT,
        Kind.NO_PODS,
    )
)


LOGIN = "login"
"""What a login is for, where other requests have an act."""


class Why(StrEnum):
    """What is wrong with the credential of a request."""

    MISSING = "missing"
    WRONG = "wrong"
    EXPIRED = "expired"
    # Of a signature.
    NO_KEY = "no-key"
    SIGNATURE = "signature"
    SECURITY_TOKEN = "security-token"  # noqa: S105 - a name
    CLOCK = "clock"
    LOCKED = "locked"


class Objection(Struct, frozen=True):
    """Why a request is not let in; ``until`` is the Unix time at which its token ended, ``key`` the access
    key that nobody has."""

    why: Why
    until: float = 0.0
    key: str = ""

    @property
    def is_of_a_signature(self) -> bool:
        return self.why not in (Why.MISSING, Why.WRONG, Why.EXPIRED)


class Asked(Struct, frozen=True):
    """One request as it arrived; ``raw_path`` has its query, and is still percent-encoded."""

    method: str
    raw_path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(Struct, frozen=True):
    """One whole HTTP answer, without what any server adds (date, length)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Row(Struct):
    """What is known of one target. ``down_by`` is the number of the request that took it down, 0 for none."""

    id: str
    down: bool = False
    undeploys: int = 0
    looks: int = 0
    deploys: int = 0
    down_by: int = 0
    down_at: float = 0.0
    destroyed: bool = False


class Done(Struct, frozen=True):
    """What a platform answers, and what it changed."""

    answer: Answer
    effect: Effect = Effect.NONE


Perform = Callable[[float, Kind | None], Done]
Wording = Callable[[int, str | None, str | None], Answer]
"""Writes a status in an envelope; code and message are the usual ones where None."""


class Call(Struct, frozen=True, kw_only=True):
    """What a request asks for. Nothing has happened until ``perform`` is called with the Unix time and the
    twist, if any.

    ``row`` is None where no known target is meant; ``shares`` names what two calls should not touch at once.
    A login has no act. ``error`` words a fault's status where the platform's own way is not the one.
    """

    perform: Perform
    act: Act | None = None
    login: bool = False
    error: Wording | None = None
    row: Row | None = None
    needs_token: bool = True
    shares: str | None = None

    @property
    def purpose(self) -> str | None:
        """The act, or ``LOGIN``; None for what is neither."""
        return LOGIN if self.login else self.act.value if self.act else None


class Delivery(Struct, frozen=True, kw_only=True):
    """What the client is to get: ``answer`` in its ``manner``, ``delay`` seconds from now.

    ``number`` counts all requests of the world from 1; ``world`` is the number of the seeding. ``answer`` is
    None only where none exists (HANG, RESET, GARBAGE).
    """

    number: int
    world: int
    call: Call
    manner: Manner = Manner.WHOLE
    answer: Answer | None = None
    delay: float = 0.0
    effect: Effect = Effect.NONE
    fault: str | None = None


class Gate(Protocol):
    """Who is let in. ``objection`` counts what it sees: bad signatures lock their key.

    ``key_locks`` and ``user_locks`` say how often an access key or a user was locked.
    """

    @property
    def key_locks(self) -> int: ...
    @property
    def user_locks(self) -> int: ...

    def objection(self, asked: Asked, now: float) -> Objection | None: ...


class Platform(Protocol):
    """One kind's state and words. All of it is pure: time comes in, nothing goes out but answers.

    ``route`` changes nothing and never raises. ``error`` writes a status in the vendor's envelope; code and
    message are the vendor's usual ones where None.
    """

    TWISTS: ClassVar[frozenset[Kind]]

    @property
    def rows(self) -> Sequence[Row]: ...

    @property
    def gate(self) -> Gate: ...

    def route(self, asked: Asked) -> Call: ...
    def denied(self, objection: Objection) -> Answer: ...
    def busy(self, wait: int, rate: float) -> Answer: ...
    def elsewhere(self) -> Answer: ...
    def error(self, status: int, code: str | None = None, message: str | None = None) -> Answer: ...


def always(answer: Answer) -> Perform:
    """A call that changes nothing, whatever the weather."""
    done = Done(answer)
    return lambda _now, _twist: done


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a header by its lower-case name, whatever the mapping's own case."""
    return next((value for key, value in headers.items() if key.lower() == name), None)


_encode = msgspec.json.Encoder().encode


def json_answer(status: int, value: object, content_type: str = "application/json") -> Answer:
    """An answer with a JSON body."""
    return Answer(status, _encode(value), {"Content-Type": content_type})


def page(status: int, title: str) -> Answer:
    """An HTML page, as a proxy, a login form or an unknown route would answer."""
    text = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, text.encode(), {"Content-Type": "text/html;charset=UTF-8"})
