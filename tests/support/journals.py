"""Journals for tests: a plan of two kinds of gateway, a draft of it, and what a run writes into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.draft import Draft
from orchestrator.journal.meta import RunMeta
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.settings import Auth, CredentialReference
from orchestrator.model.target import Target, TargetId
from orchestrator.plan.problems import FilePosition

AUTH = Auth(token=CredentialReference(env="TOKEN"))
START = 1_795_374_000.0


def roma(name: str = "roma") -> Roma:
    return Roma(name=name, url="https://roma.example.com", auth=AUTH, project_id="p", instance_id="i")


def apim(name: str = "apim") -> Apinizer:
    return Apinizer(name=name, url="https://apim.example.com", auth=AUTH)


def plan(*gateways: Gateway, waves: Sequence[str] = ("everything",)) -> Plan:
    return Plan(
        name="retirement",
        reason="CHG-1042",
        gateways=gateways or (roma(), apim()),
        waves=tuple(Wave(name=name) for name in waves),
    )


def target(seq: int, name: str, wave: int = 0) -> Target:
    """Make a target from its id, whose parts hold nothing that would be encoded."""
    gateway, *parts = name.split("/")
    return Target(seq, TargetId(name), gateway, wave, tuple(parts))


def place(seq: int) -> FilePosition:
    return FilePosition(0, seq + 10, 5)


def draft(path: Path, targets: Iterable[Target]) -> Draft:
    made = Draft(path)
    for each in targets:
        made.add(each, place(each.seq))
    return made


def journal(folder: Path, of: Plan, targets: Iterable[Target]) -> Path:
    """Make a finished journal in ``folder``; nothing has run yet."""
    path = folder / "journal.sqlite"
    made = draft(path, targets)
    finish(made, of)
    made.close()
    return path


def finish(made: Draft, of: Plan) -> None:
    made.finish(of, RunMeta(digest="d" * 64, folder="/", source="s", created=START))


def small(folder: Path, count: int = 3) -> Path:
    """Make a journal of ``count`` ROMA targets ``roma/a1``, ``roma/a2`` ..."""
    return journal(folder, plan(), (target(seq, f"roma/a{seq}") for seq in range(1, count + 1)))


def writable(folder: Path, count: int = 3) -> Database:
    return open_database(small(folder, count), write=True)
