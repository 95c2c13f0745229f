"""The keys of a plan that are no field of a value, or that are known and not obeyed yet."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from orchestrator.model import (
    Auth,
    GatewayEntry,
    Limits,
    Plan,
    Reference,
    Retry,
    StopWhen,
    Target,
    Wave,
    Window,
)

READS_VERSION = 1

_AUTH = re.compile(r"gateways\..+\.auth(?![^.\[])")

SHORT_WAVE = "targets"
"""The name of the one wave of a plan whose targets stand at the top level, and of targets given by id."""


class Header(Struct, frozen=True, kw_only=True):
    """The keys at the top of a plan, apart from gateways and targets."""

    version: Annotated[int, Meta(ge=READS_VERSION, le=READS_VERSION)]
    name: str
    reason: str | None = None
    window: Window | None = None
    stop_when: StopWhen = StopWhen()
    protect: tuple[str, ...] = ()
    at_most: Annotated[int, Meta(ge=1)] | None = None
    snapshot: Literal["off"] = "off"
    approval: Literal["none"] = "none"


ELSEWHERE_IN_HEADER = ("gateways", "waves", "targets")

NOT_YET: dict[type[Struct], frozenset[str]] = {
    GatewayEntry: frozenset({"park_for", "zone", "proxy", "tls"}),
    Auth: frozenset({"iam", "access_key", "secret_key", "security_token", "login"}),
    Reference: frozenset({"command", "keyring"}),
    Limits: frozenset({"rate"}),
    Wave: frozenset({"pause_after", "proceed", "sizes"}),
    Target: frozenset({"after"}),
}
"""Keys that the format knows and this program does not obey: refused, never ignored."""

VALUES_NOT_YET: dict[str, frozenset[str]] = {
    "snapshot": frozenset({"best", "required"}),
    "approval": frozenset({"digest", "file"}),
}
"""Values of top-level keys, likewise."""

ABOUT: dict[type[Struct], dict[str, str]] = {
    Header: {
        "version": "The version of the plan's format: 1.",
        "name": "What the plan is called in reports.",
        "reason": "Why: in the reports, and in Apinizer's history where a target has no description.",
        "window": "When undeploys may start.",
        "stop_when": "When a run stops by itself: a share of a wave's ended targets, or a count of the run.",
        "protect": "Patterns of target ids that are never touched, whatever else the plan says.",
        "at_most": "The plan is refused if it has more targets.",
        "snapshot": "off: nothing is kept for a restore.",
        "approval": "none: --yes is enough.",
    },
    Window: {
        "opens": "No undeploy starts before; a time with its offset from UTC.",
        "closes": "No undeploy starts that could end later; a time with its offset from UTC.",
    },
    StopWhen: {
        "failed": "Stops when more targets than this failed; 20% if not given.",
        "unknown": "Stops when more targets than this are unknown; 20% if not given.",
        "surprising": "Stops when more than this did not exist or were down already; 50% if not given.",
    },
    GatewayEntry: {
        "url": "Base address: http or https, without user information, query and fragment.",
        "auth": "Where the credential is found; never the credential itself.",
        "limits": "How hard the gateway may be used.",
        "retry": "How a target is repeated.",
        "look": "doubt: only where a reply leaves doubt. always: before and after each target.",
        "absent": "fail: a target that does not exist has failed. ok: it is already undeployed.",
        "timeout": "How long one reply may take.",
    },
    Auth: {"token": "A token, by reference."},
    Reference: {"env": "The name of an environment variable.", "file": "A path, relative to the plan."},
    Limits: {"concurrency": "How many requests may be in flight to this gateway."},
    Retry: {
        "attempts": "Undeploy requests a target at most; 5 if not given.",
        "first": "The longest first wait; doubles with each further one; 0.5s if not given.",
        "ceiling": "No wait is longer, unless the gateway asks for it; 30s if not given.",
    },
    Wave: {"name": "What the wave is called; each name once."},
    Plan: {"gateways": "The installations that are talked to, by name."},
}
"""What the keys mean, for editors and the starter plan."""


def is_secret(path: str) -> bool:
    """Say whether texts at the key path ``path`` may be a credential, so that no message repeats them."""
    return _AUTH.match(path) is not None
