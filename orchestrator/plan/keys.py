"""The keys of a plan that are no field of a value, or that are known and not obeyed yet."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, StopWhen, Wave, Window
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, Limits, ManagerLogin, Retry, Tls

READS_VERSION = 1

_SECRET = re.compile(r"gateways\..+\.(auth|url|proxy)(?![^.\[])")

RUN = r"^[0-9]{8}-[0-9]{6,9}-[a-z0-9-]{1,64}$(?!\n)"
"""What the id of a run looks like."""

SHORT_WAVE = "targets"
"""The name of the one wave of a plan whose targets stand at the top level, and of targets given by id."""


class Header(Struct, frozen=True, kw_only=True):
    """The keys at the top of a plan, apart from gateways and targets."""

    version: Annotated[int, Meta(ge=READS_VERSION, le=READS_VERSION)]
    name: str
    parent: Annotated[str, Meta(pattern=RUN)] | None = None
    reason: str | None = None
    window: Window | None = None
    stop_when: StopWhen = StopWhen()
    protect: tuple[str, ...] = ()
    at_most: Annotated[int, Meta(ge=1)] | None = None
    snapshot: Literal["best", "required", "off"] = "best"
    approval: Literal["none", "digest", "file", "signed"] = "none"


ELSEWHERE_IN_HEADER = ("gateways", "waves", "targets")

NOT_YET: dict[type[Struct], frozenset[str]] = {
    Gateway: frozenset({"zone"}),
}
"""Keys that the format knows and this program does not obey: refused, never ignored."""

FORMS: dict[type[Struct], dict[str, str]] = {
    Header: {"protect": "pattern", "reason": "prose"},
    Gateway: {"proxy": "proxy"},
    IamLogin: {"user": "account", "domain": "account"},
    ManagerLogin: {"user": "account"},
    Tls: {"ca_file": "path", "cert_file": "path", "key_file": "path"},
    CredentialReference: {"env": "variable", "file": "path", "command": "argument", "keyring": "keyring"},
}
"""How a text is written where its type does not say; of a list, how each of its texts is."""

WAYS_IN = (("token",), ("iam",), ("login",), ("access_key", "secret_key"))
"""The forms of ``auth``: keys that are given together, and with no others but the next ones."""

WITH_KEYS = "security_token"
"""The key of ``auth`` that may come with the last form."""

ABOUT: dict[type[Struct], dict[str, str]] = {
    Header: {
        "version": "The version of the plan's format: 1.",
        "name": "What the plan is called in reports.",
        "parent": "Id of the run whose remainder this is: reports name it, report --chain adds up.",
        "reason": "Why: in the reports, and in Apinizer's history where a target has no description.",
        "window": "When undeploys may start.",
        "stop_when": "When a run stops by itself: a share of a wave's ended targets, or a count of the run.",
        "protect": "Patterns of target ids that are never touched, whatever else the plan says.",
        "at_most": "The plan is refused if it has more targets.",
        "snapshot": "best: keep what a restore needs, go on where it cannot be read. required: leave a target"
        " whose snapshot cannot be read. off: keep nothing.",
        "approval": "What a run wants before it begins. none: --yes is enough. digest: --approve."
        " file: --approval. signed: --approval with --hmac-key.",
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
    Gateway: {
        "url": "Base address: http or https, without user information, query and fragment.",
        "auth": "Where the credential is found; never the credential itself.",
        "limits": "How hard the gateway may be used.",
        "retry": "How a target is repeated.",
        "look": "doubt: only where a reply leaves doubt. always: before and after each target.",
        "absent": "fail: a target that does not exist has failed. ok: it is already undeployed.",
        "timeout": "How long one reply may take.",
        "park_for": "How long it is probed while it is ill, before its targets are left; 10m if not given.",
        "tls": "What an https gateway is trusted by, and what we show it.",
        "proxy": "The proxy to go through; HTTPS_PROXY, HTTP_PROXY and NO_PROXY if not given.",
    },
    Auth: {
        "token": "A token, by reference.",
        "iam": "A user of Huawei's IAM, who logs in with a password.",
        "login": "A user of the manager, who logs in with a password.",
        "access_key": "An access key, by reference; with secret_key.",
        "secret_key": "Its secret key, by reference.",
        "security_token": "Comes with temporary access keys only.",
    },
    IamLogin: {
        "url": "IAM's base address.",
        "user": "The name of the user.",
        "domain": "The account that the user belongs to.",
        "password": "The password, by reference.",
    },
    ManagerLogin: {"user": "The name of the user.", "password": "The password, by reference."},
    CredentialReference: {
        "env": "The name of an environment variable.",
        "file": "A path, relative to the plan.",
        "command": "A program and its arguments, run without a shell; it prints the credential.",
        "keyring": "service/user of the system's keyring.",
    },
    Tls: {
        "ca_file": "Certificates (PEM) that are trusted beside the system's; a path, relative to the plan.",
        "cert_file": "Our certificate (PEM), where one is asked for; with its key if key_file is not given.",
        "key_file": "The key (PEM) of our certificate.",
        "insecure": "true: believe any certificate.",
    },
    Limits: {
        "concurrency": "How many requests may be in flight to this gateway.",
        "rate": "At most so many undeploys, and apart from them so many looks; no fixed rate if not given.",
    },
    Retry: {
        "attempts": "Undeploy requests a target at most; 5 if not given.",
        "first": "The longest first wait; doubles with each further one; 0.5s if not given.",
        "ceiling": "No wait is longer, unless the gateway asks for it; 30s if not given.",
    },
    Wave: {
        "name": "What the wave is called; each name once.",
        "pause_after": "How long the run waits after each of its steps, before the next step or wave.",
        "proceed": "ask: somebody is asked before the next step or wave. automatic: nobody is.",
        "sizes": "How far each step goes: counts or shares of the wave's targets; the last is 100%.",
    },
    Plan: {"gateways": "The installations that are talked to, by name."},
}
"""What the keys mean, for editors and the starter plan."""


def is_secret(path: str) -> bool:
    """Say whether texts at the key path ``path`` may be a credential, so that no message repeats them."""
    return _SECRET.match(path) is not None
