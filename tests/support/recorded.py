"""Reads tests/samples: recorded replies with the reading that they want, and recorded requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from orchestrator.gateways import KINDS
from orchestrator.model.credentials import Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from orchestrator.model.target import Target, TargetId

SAMPLES = Path(__file__).parent.parent / "samples"
TOKEN = "FAKE-TOKEN"
URLS = {"roma": "https://roma.example.com", "apinizer": "https://apim.example.com"}
PROJECT = "0123456789abcdef0123456789abcdef"
INSTANCE = "f0fa1789-3b76-433b-a787-9892951c620e"
OWN_KEYS = {"roma": {"project_id": PROJECT, "instance_id": INSTANCE}, "apinizer": {}}
PARTS = {
    "roma": ("bd42841c20184da6bbf457c6d8a06e37",),
    "apinizer": ("MyProject", "petstore-api", "production"),
}
UNDEPLOY = Operation(Act.UNDEPLOY)
DEPLOY = Operation(Act.DEPLOY)
ASKS = {
    "roma": [
        UNDEPLOY,
        DEPLOY,
        *(
            Operation(Act.LOOK, via)
            for via in ("show", "definition", "history", "front/5f918d104dc84480a75166ba")
        ),
    ],
    "apinizer": [
        UNDEPLOY,
        DEPLOY,
        *(Operation(Act.LOOK, via) for via in ("deploy-status", "route-health", "deploy-histories", "proxy")),
    ],
}


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
    least = {"kind": kind, "name": "gw", "url": URLS[kind], "auth": {"token": {"env": "TOKEN"}}}
    return msgspec.convert({**least, **OWN_KEYS[kind], **keys}, KINDS[kind])


def target(
    *parts: str, description: str | None = None, persistent: bool | None = None, deploy: str | None = None
) -> Target:
    return Target(1, TargetId("gw/" + "/".join(parts)), "gw", 0, parts, description, persistent, deploy)


def samples(kind: str) -> list[Sample]:
    folders = sorted((SAMPLES / kind).glob("*/reply.json"))
    return [_sample(kind, file.parent) for file in folders]


def recorded_requests(kind: str) -> list[Recorded]:
    return [_recorded(kind, file.parent) for file in sorted((SAMPLES / kind).glob("requests/*/ask.yaml"))]


def _sample(kind: str, folder: Path) -> Sample:
    reply = msgspec.json.decode((folder / "reply.json").read_bytes())
    expected = yaml.safe_load((folder / "expected.yaml").read_text("utf-8"))
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
    asked = yaml.safe_load((folder / "ask.yaml").read_text("utf-8"))
    wanted = msgspec.json.decode((folder / "request.json").read_bytes())
    options = {key: asked[key] for key in ("description", "persistent", "deploy") if key in asked}
    url = URLS[kind] + wanted["path"]
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
