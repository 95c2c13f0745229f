"""Reads tests/samples: recorded replies with the reading that they want, and recorded requests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import Struct

from orchestrator.gateways import KINDS
from orchestrator.model.bindings import Bindings
from orchestrator.model.credentials import Secret
from orchestrator.model.gateway import Gateway, LookOnlyRestore
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target, TargetId

SAMPLES = Path(__file__).parent.parent / "samples"
FOLDERS: dict[str, Path] = {}
"""Where the samples of a kind lie, unless they lie in ``SAMPLES``."""
TOKEN = "FAKE-TOKEN"
UNDEPLOY = Operation(Act.UNDEPLOY)
DEPLOY = Operation(Act.DEPLOY)


class KindFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the tests know of a kind beside its samples, from its file ``kind.yaml``."""

    url: str
    keys: dict[str, Any] = {}
    """Its own keys in a plan."""
    target: tuple[str, ...]
    """The parts of the target that its samples are about."""
    looks: tuple[str, ...]
    """Every read that it knows; the first is the one that a plain look begins with."""
    deploys: bool = False
    steps: tuple[str, ...] = ()
    """The acts that may follow a deploy, each with its ``via`` behind a space."""
    concurrency: int
    timeout: float
    proofs: tuple[str, ...]
    """The samples of an undeploy that is proved in full."""
    absent: tuple[str, ...]
    """The vendor's own words for what does not exist; one is in each reply that is believed to say so."""
    verdicts: tuple[str, ...]
    """Every verdict that its replies may mean."""

    @property
    def operations(self) -> list[Operation]:
        """The undeploy, the deploy if there is one, what may follow the deploy, and the looks."""
        changes = [UNDEPLOY, DEPLOY] if self.deploys else [UNDEPLOY]
        pairs = (step.split(" ", 1) for step in self.steps)
        return [
            *changes,
            *(Operation(Act(act), via) for act, via in pairs),
            *(Operation(Act.LOOK, via) for via in self.looks),
        ]


def folder_of(kind: str) -> Path:
    """Return the folder with the samples of a kind."""
    return FOLDERS.get(kind, SAMPLES / kind)


@cache
def facts_of(kind: str) -> KindFacts | None:
    """Return what is known of a kind; None for a kind without samples."""
    file = folder_of(kind) / "kind.yaml"
    return msgspec.yaml.decode(file.read_bytes(), type=KindFacts) if file.exists() else None


def every_kind(offers: str = "") -> list[Any]:
    """Return a test's parameter for each kind of the table, or for those that offer a feature.

    A kind without samples is skipped by name.
    """
    kinds = [kind for kind in KINDS if not offers or (facts_of(kind) and _offers(gateway(kind), offers))]
    return [pytest.param(kind, id=kind, marks=_skip_unknown(kind)) for kind in kinds]


def _offers(asked: Gateway, name: str) -> bool:
    found = getattr(asked, name)
    return found is not None and type(found) is not LookOnlyRestore


def every_operation() -> list[Any]:
    """Return a test's parameters for each operation of each kind."""
    found = []
    for kind in KINDS:
        facts = facts_of(kind)
        for operation in facts.operations if facts else [UNDEPLOY]:
            name = f"{kind}-{operation.act} {operation.via}".rstrip()
            found.append(pytest.param(kind, operation, id=name, marks=_skip_unknown(kind)))
    return found


def _skip_unknown(kind: str) -> list[pytest.MarkDecorator]:
    if facts_of(kind) is not None:
        return []
    return [
        pytest.mark.skip(
            reason=f"the kind {kind} has no samples: {folder_of(kind).name}/kind.yaml is missing"
        )
    ]


def feature(kind: str, name: str, **keys: Any) -> Any:
    """Return a feature of a kind that offers it."""
    asked = gateway(kind, **keys)
    assert _offers(asked, name), f"the kind {kind} offers no feature {name}"
    return getattr(asked, name)


PARTS = {kind: facts.target for kind in KINDS if (facts := facts_of(kind))}
ASKS = {kind: facts.operations for kind in KINDS if (facts := facts_of(kind))}
PROJECT, INSTANCE = facts_of("roma").keys.values()


class Sample(Struct, frozen=True):
    """One recorded reply, the gateway and the target that it is for, and the reading that it wants."""

    name: str
    kind: str
    gateway: Gateway
    operation: Operation
    target: Target
    reply: Reply
    wanted: Reading

    def read(self) -> Reading:
        return self.gateway.read(self.operation, self.target, self.reply)


class Recorded(Struct, frozen=True):
    """One recorded request, and what is asked for."""

    name: str
    gateway: Gateway
    operation: Operation
    target: Target
    note: str | None
    wanted: Request

    def request(self) -> Request:
        return self.gateway.build_request(self.operation, self.target, Secret(TOKEN), note=self.note, now=0.0)


def gateway(kind: str, **keys: Any) -> Gateway:
    """A gateway as a plan's entry gives it; ``keys`` come on top of the least that its kind wants."""
    facts = facts_of(kind)
    least = {"kind": kind, "name": "gw", "url": facts.url, "auth": {"token": {"env": "TOKEN"}}}
    return msgspec.convert({**least, **facts.keys, **keys}, KINDS[kind])


def our_target(kind: str) -> Target:
    """The target that the samples of a kind are about."""
    return target(*facts_of(kind).target)


def target(
    *parts: str,
    description: str | None = None,
    persistent: bool | None = None,
    deploy: str | None = None,
    bindings: dict[str, Any] | None = None,
) -> Target:
    hung = None if bindings is None else msgspec.convert(bindings, Bindings)
    name = TargetId("gw/" + "/".join(parts))
    return Target(1, name, "gw", 0, parts, description, persistent, deploy, bindings=hung)


@cache
def samples(kind: str) -> tuple[Sample, ...]:
    folders = sorted(folder_of(kind).glob("*/reply.json"))
    return tuple(_sample(kind, file.parent) for file in folders)


@cache
def recorded_requests(kind: str) -> tuple[Recorded, ...]:
    asked = sorted(folder_of(kind).glob("requests/*/ask.yaml"))
    return tuple(_recorded(kind, file.parent) for file in asked)


def read_yaml(file: Path) -> Any:
    """Read a file of a sample. There are a thousand: libyaml takes a tenth of the time of the pure loader."""
    return yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)


def _sample(kind: str, folder: Path) -> Sample:
    reply = msgspec.json.decode((folder / "reply.json").read_bytes())
    expected = read_yaml(folder / "expected.yaml")
    headers = {name.lower(): value for name, value in reply["headers"].items()}
    reading = expected["reading"]
    return Sample(
        name=f"{kind}/{folder.name}",
        kind=kind,
        gateway=gateway(kind, **expected.get("gateway", {})),
        operation=_ask(expected),
        target=target(*expected["target"], deploy=expected.get("deploy")),
        reply=Reply(reply["status"], headers, _body(folder) or b"", expected.get("at", 0.0)),
        wanted=msgspec.convert({**reading, "verdict": Verdict(reading["verdict"])}, Reading),
    )


def _recorded(kind: str, folder: Path) -> Recorded:
    asked = read_yaml(folder / "ask.yaml")
    wanted = msgspec.json.decode((folder / "request.json").read_bytes())
    keys = ("description", "persistent", "deploy", "bindings")
    options = {key: asked[key] for key in keys if key in asked}
    url = facts_of(kind).url + wanted["path"]
    return Recorded(
        name=f"{kind}/{folder.name}",
        gateway=gateway(kind, **asked.get("gateway", {})),
        operation=_ask(asked),
        target=target(*asked["target"], **options),
        note=asked.get("note"),
        wanted=Request(wanted["method"], url, wanted["headers"], _body(folder)),
    )


def _ask(fields: dict[str, Any]) -> Operation:
    return Operation(Act(fields["act"]), fields.get("via", ""))


def _body(folder: Path) -> bytes | None:
    file = folder / "body"
    return file.read_bytes() if file.exists() else None
