"""A plan apart from its targets. Times are aware datetimes, durations seconds, shares fractions of 1.

Each field is one key of the plan's file. The reader, the writer, the JSON Schema and the form that a journal
keeps all go by these fields, so a new key is named here and nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NewType

from msgspec import Meta, Struct

from orchestrator.model.settings import CredentialReference, Prose, Seconds
from orchestrator.model.text_form import TextForm

if TYPE_CHECKING:  # a list of runs reads the head of each plan, and none of its gateways
    from orchestrator.model.gateway import Gateway

YEARS = range(2000, 3000)
"""The years of a time in a plan. Those at the ends of the calendar cannot be told in every time zone."""

RunId = NewType("RunId", str)

RUN_ID = TextForm(
    pattern=r"[0-9]{8}-[0-9]{6,9}-[a-z0-9-]{1,64}",
    noun="the id of a run",
    words="write it as `undeploy runs` shows it, such as 20261122-190003412-retirement-7f3a",
)

IdPattern = Annotated[str, Meta(extra={"form": "pattern"})]
"""A pattern of target ids."""


class Threshold(Struct, frozen=True, kw_only=True):
    """The limit of a stop rule: strictly more than ``count`` targets of the run, or ``share`` of a wave."""

    count: int | None = None
    share: float | None = None


class StopWhen(Struct, frozen=True, kw_only=True):
    """The stop rules of a plan."""

    failed: Annotated[
        Threshold,
        Meta(description="Stops when more targets than this failed; 20% if not given.", examples=["20%", 10]),
    ] = Threshold(share=0.2)
    unknown: Annotated[
        Threshold,
        Meta(
            description="Stops when more targets than this are unknown; 20% if not given.",
            examples=["20%", 10],
        ),
    ] = Threshold(share=0.2)
    surprising: Annotated[
        Threshold,
        Meta(
            description="Stops when more than this did not exist or were down already; 50% if not given.",
            examples=["50%", 25],
        ),
    ] = Threshold(share=0.5)


class CallBound(Struct, frozen=True, kw_only=True):
    """How much a target may be called before it counts as in use: ``calls`` in the last ``hours``."""

    calls: int = 0
    hours: int = 72


class Window(Struct, frozen=True):
    """When undeploys may start: from ``opens`` until one timeout before ``closes``; ``None`` is unbounded."""

    opens: Annotated[
        datetime | None,
        Meta(
            description="No undeploy starts before; a time with its offset from UTC.",
            examples=["2026-11-22T22:00:00+03:00"],
        ),
    ]
    closes: Annotated[
        datetime | None,
        Meta(
            description="No undeploy starts that could end later; a time with its offset from UTC.",
            examples=["2026-11-23T02:00:00+03:00"],
        ),
    ]


class StepSize(Struct, frozen=True, kw_only=True):
    """The end of a step of a wave: after ``count`` of the wave's targets, or after a ``share`` of them."""

    count: int | None = None
    share: float | None = None


class Wave(Struct, frozen=True, kw_only=True):
    """Targets that may go together; the next wave starts when this one has ended."""

    name: Annotated[str, Meta(description="What the wave is called; each name once.", examples=["canary"])]
    pause_after: Annotated[
        Seconds | None,
        Meta(
            description="How long the run waits after each of its steps, before the next step or wave.",
            examples=["5m"],
        ),
    ] = None
    proceed: Annotated[
        Literal["automatic", "ask"],
        Meta(
            description="ask: somebody is asked before the next step or wave. automatic: nobody is.",
            examples=["ask"],
        ),
    ] = "automatic"
    # Ends with 100%, so that no target of the wave is left over.
    sizes: Annotated[
        tuple[StepSize, ...],
        Meta(
            description="How far each step goes: counts or shares of the wave's targets; the last is 100%.",
            examples=[[1, "10%", "100%"]],
        ),
    ] = ()
    """Cumulative: each step includes the targets of the steps before it. Empty is one step."""


class WaveStep(NamedTuple):
    """Targets that go together: a step of a wave, both as indices. A wave without sizes has one step."""

    wave: int
    step: int


NotificationKind = Literal["started", "wave_ended", "parked", "stopped", "ended"]
"""An occasion on which people are told: ``stopped`` is an end with targets left, ``ended`` any other one."""

ALL_NOTIFICATIONS: tuple[NotificationKind, ...] = ("started", "wave_ended", "parked", "stopped", "ended")

MOST_NOTIFICATIONS = 10
"""Places that one run tells at most: each has a thread."""


class PlannedNotification(Struct, frozen=True, kw_only=True):
    """A place that is told how a run goes, and on which occasions."""

    url: Annotated[
        CredentialReference,
        Meta(
            description="Where the apprise URL is found, which is a secret.",
            examples=[{"env": "CHANGE_CHANNEL"}],
        ),
    ]
    on: Annotated[
        tuple[NotificationKind, ...],
        Meta(
            description="What is told; all if not given. parked: also a gateway that is given up or closed."
            " stopped: the end with targets left. ended: any other end.",
            examples=[["parked", "stopped", "ended"]],
        ),
    ] = ALL_NOTIFICATIONS


class PlanHeader(Struct, frozen=True, kw_only=True):
    """The keys at the top of a plan, apart from its version, its gateways and its targets."""

    # The version is no field: it belongs to the file, and a journal never had it.
    name: Annotated[
        str, Meta(description="What the plan is called in reports.", examples=["orders-retirement"])
    ]
    parent: Annotated[
        Annotated[str, RUN_ID.meta] | None,
        Meta(
            description="Id of the run whose remainder this is: reports name it, report --chain adds up.",
            examples=["20261122-190003412-retirement-7f3a"],
        ),
    ] = None
    reason: Annotated[
        Prose | None,
        Meta(
            description="Why: in the reports, and in Apinizer's history where a target has no description.",
            examples=["CHG-1042 scheduled maintenance"],
        ),
    ] = None
    window: Annotated[
        Window | None,
        Meta(
            description="When undeploys may start.",
            examples=[{"opens": "2026-11-22T22:00:00+03:00", "closes": "2026-11-23T02:00:00+03:00"}],
        ),
    ] = None
    stop_when: Annotated[
        StopWhen,
        Meta(
            description="When a run stops by itself: a share of a wave's ended targets, or a count of the"
            " run.",
            examples=[{"failed": "20%", "unknown": "20%", "surprising": "50%"}],
        ),
    ] = StopWhen()
    protect: Annotated[
        tuple[IdPattern, ...],
        Meta(
            description="Patterns of target ids that are never touched, whatever else the plan says.",
            examples=[["apim/Payments/*/production"]],
        ),
    ] = ()
    at_most: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="The plan is refused if it has more targets.", examples=[500]),
    ] = None
    snapshot: Annotated[
        Literal["best", "required", "off"],
        Meta(
            description="best: keep what a restore needs, go on where it cannot be read. required: leave a"
            " target whose snapshot cannot be read. off: keep nothing.",
            examples=["required"],
        ),
    ] = "best"
    in_use: Annotated[
        Literal["ignore", "warn", "refuse"],
        Meta(
            description="What becomes of a target that was called lately. ignore: nobody asks. warn: a person"
            " is told. refuse: it is left, and so is one whose calls cannot be told.",
            examples=["refuse"],
        ),
    ] = "ignore"
    in_use_over: Annotated[
        CallBound,
        Meta(
            description="A target is in use with more calls than this, such as 100/72h; 0/72h if not given.",
            examples=["100/72h"],
        ),
    ] = CallBound()
    approval: Annotated[
        Literal["none", "digest", "file", "signed"],
        Meta(
            description="What a run wants before it begins. none: --yes is enough. digest: --approve."
            " file: --approval. signed: --approval with --hmac-key.",
            examples=["signed"],
        ),
    ] = "none"
    notify: Annotated[
        tuple[PlannedNotification, ...],
        Meta(
            description="Who is told how a run goes, through apprise; at most ten.",
            examples=[[{"url": {"env": "CHANGE_CHANNEL"}, "on": ["parked", "ended"]}]],
        ),
    ] = ()


class Plan(PlanHeader, frozen=True, kw_only=True):
    """A plan without its targets. Targets may be too many for memory, so the journal holds them."""

    gateways: tuple[Gateway, ...]
    waves: tuple[Wave, ...]
