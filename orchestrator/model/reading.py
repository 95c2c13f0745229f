"""The operations of a gateway, and the readings that it makes of the replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Any

from msgspec import Struct

from orchestrator.model.bindings import Bindings
from orchestrator.model.http import Reply, Request


class Act(StrEnum):
    """The purpose of one request."""

    UNDEPLOY = "undeploy"
    LOOK = "look"
    DEPLOY = "deploy"
    PUBLISH = "publish"  # in a restore, after the deploy: in one more environment
    BIND = "bind"  # in a restore, after that: one of the things that hung on the front end


CHANGES = frozenset({Act.UNDEPLOY, Act.DEPLOY})
"""The acts that a run is made for. The others look, or complete what a deploy brought back."""


class Operation(Struct, frozen=True):
    """One request of a kind: the act, and what tells requests of that act to one target apart.

    For a look ``via`` is the vendor's read that it goes through; for a step after a deploy, its object.
    """

    act: Act
    via: str = ""


UNDEPLOY = Operation(Act.UNDEPLOY)


DEPLOY = Operation(Act.DEPLOY)


class Verdict(Enum):
    """The meaning of a reply. The comment says how far a verdict reaches and what follows."""

    # Replies to an undeploy.
    REMOVED = "removed"  # target: the vendor's full evidence
    DOUBT = "doubt"  # target: it may have arrived; may be repeated
    STRANGE = "strange"  # target: it may have arrived; not repeated before a look
    PARTIAL = "partial"  # target: accepted, but not everywhere; a look with pods decides
    CONTESTED = "contested"  # target: refused for one of several causes; a look settles it
    REFUSED = "refused"  # target: refused, with the vendor's code and text
    UNSENT = "unsent"  # lane: nothing left this machine; said by the engine, never by a gateway's read
    # Replies to a look.
    TOLD = "told"  # target: it says something else than whether the target is deployed
    UP = "up"  # target: it is deployed
    DOWN = "down"  # target: it is not deployed
    UNCLEAR = "unclear"  # target: this look could not tell; it may be repeated
    NOT_OFFERED = "not_offered"  # lane: this gateway has no such look
    # Replies to either.
    ABSENT = "absent"  # target: the vendor's own words for "does not exist"
    BUSY = "busy"  # lane: wait; costs the target no attempt
    DENIED = "denied"  # lane: the credential was rejected
    ELSEWHERE = "elsewhere"  # lane: this is not the place that the plan means


class LookFacts(Struct, frozen=True, kw_only=True):
    """The facts that a look saw, as far as the vendor tells them; ``None`` is "not told"."""

    deployed: bool | None = None
    pods_active: int | None = None
    pods_responded: int | None = None
    serving: tuple[str, ...] = ()
    """Names or addresses of the pods that still serve; where they are many, of the first ones."""
    revision: str | None = None
    since: str | None = None
    edited: bool | None = None
    """The definition was changed after the last deploy."""
    path: str | None = None
    """The path at which the target is served."""
    name: str | None = None
    """The name that people know, where the id does not hold it."""


class FrontEnd(Struct, frozen=True, kw_only=True):
    """An API that is published for a target, and disappears when the target is undeployed."""

    id: str
    name: str | None = None
    path: str | None = None


class Reading(Struct, frozen=True, kw_only=True):
    """The meaning of one reply, as a gateway reads it.

    ``message`` is the vendor's own text: at most 256 characters, control characters made visible, and not
    yet masked where a gateway gives it. ``wait`` is the wait that the gateway asks for, in seconds from
    the reply's arrival.
    """

    verdict: Verdict
    code: str | None = None
    message: str | None = None
    wait: float | None = None
    rate: float | None = None
    """With BUSY: the requests a second that the gateway accepts by its own words."""
    evidence: str | None = None
    """The proof of the verdict: ``look``, ``code`` (the vendor's error code), or a kind's ``EVIDENCE``."""
    hidden: bool = False
    """With ABSENT: by the vendor's words the target may exist and be hidden from this user."""
    pods: tuple[str, ...] = ()
    """With PARTIAL, and with a refusal that names some: the first of the pods that did not obey."""
    more_pods: int = 0
    """Number of further pods that did not obey."""
    pod_count: int = 0
    """How many pods (or rows) the reply to a change named in all; 0 where it named none. Of a look: how many
    it names, where it has not heard from all of them."""
    hint: str = ""
    is_answer: bool = False
    """With STRANGE and UNCLEAR: the reply has the vendor's own form, so it is no fault of the gateway."""
    facts: LookFacts | None = None
    kept: Mapping[str, Any] | None = None
    """With TOLD, and for a deploy: the fields of the reply that are needed later."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """The state of a target before its undeploy, and the deploy that brings it back.

    ``verdict`` is UP, DOWN, ABSENT or PARTIAL (the manager calls it down, and it is still served); UNCLEAR or
    NOT_OFFERED where the gateway could not tell.
    """

    verdict: Verdict
    code: str | None = None
    message: str | None = None
    hidden: bool = False
    facts: LookFacts = LookFacts()
    fronts: tuple[FrontEnd, ...] = ()
    # Only the kind reads it: the engine knows one act, and a new kind keeps its own facts.
    deploy: str | None = None
    """JSON that the vendor's deploy needs; None where the reads were not enough for one."""
    bindings: Bindings | None = None
    """What hangs on the front ends; None where it was not read, or where the kind knows none."""
    obstacles: tuple[str, ...] = ()
    """The words of the obstacles to a restore."""


class MissingPart(Struct, frozen=True):
    """Something that a target had before its undeploy, and lacks now."""

    name: str
    """As people read it: ``environment test``."""
    step: Operation | None
    """The request that brings the part back; None where none can."""
    shown_by: str = ""
    """The ``via`` of the read that shows whether the part is back; empty where none does."""
    obstacle: str | None = None
    """The word of the obstacle with which a person accepts to lose the part; None where no word does."""


class Completeness(Struct, frozen=True):
    """What a target that is deployed still lacks of all that its snapshot saw; whole if nothing."""

    missing: tuple[MissingPart, ...] = ()


class ListPage(Struct, frozen=True, kw_only=True):
    """One page of a gateway's list: for each entry, the parts of its target and the kind's own row.

    A row is compact and compares by value: an entry that two pages show alike counts once. ``size`` counts
    the entries of the page, those without a target included; ``total`` those of the whole list. ``spared``
    has, by name, what reads about many targets would tell that the page stands for.
    """

    rows: Sequence[tuple[tuple[str, ...], Any]]
    size: int
    total: int
    spared: Mapping[str, Any] = {}


class HealthCheck(Struct, frozen=True):
    """One read about a gateway as a whole: a request, and the reader of its reply.

    ``read`` returns the meaning of a reply in words, or the reading of a fault. It never raises, whatever
    the bytes.
    """

    name: str
    request: Request
    read: Callable[[Reply], str | Reading]


class ApiVersion(Struct, frozen=True):
    """The API version of a gateway. ``hint`` says what to change where it is not the plan's."""

    text: str
    served: bool = True
    hint: str = ""
