"""The initial state of all simulated gateways together.

A fixture is a value and a JSON document: people write it by hand, a process sends it to another one, and
``from_plan`` makes it of a plan. The command line calls its file a seed file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct, structs

from orchestrator.errors import UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target
from orchestrator.simulator.gateway_fixture import PlannedTargets
from orchestrator.simulator.kinds import FIXTURES, AnyFixture
from orchestrator.system.reading import FileRefusedError, read_regular
from orchestrator.text.characters import quote_text
from orchestrator.text.json_keys import find_repeated_key

Document = TypeVar("Document")


class SimulatorFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All simulated gateways. ``keep``: how many requests the books hold in full."""

    gateways: tuple[AnyFixture, ...]
    keep: int = 100_000

    @classmethod
    def from_plan(
        cls,
        plan: Plan,
        targets: Iterable[Target],
        *,
        down: Collection[str] = (),
        missing: Collection[str] = (),
        edited: Collection[str] = (),
    ) -> SimulatorFixture:
        """Return gateways that hold every target of a plan as deployed and accept a rehearsal's credentials.

        A login's user has the password FAKE_PASSWORD; where a plan has access keys they are FAKE_KEYS, with
        FAKE_SECURITY_TOKEN where it has a security token. FAKE_TOKEN is accepted everywhere. ``down``,
        ``missing`` and ``edited`` are target ids: not deployed at first, not there at all, and changed since
        they were deployed. Raises UsageError for a kind that has no simulator.
        """
        planned = {entry.name: PlannedTargets([], [], []) for entry in plan.gateways}
        for target in targets:
            there = planned[target.gateway]
            if target.id not in missing:
                (there.down if target.id in down else there.targets).append(target.parts)
            if target.id in edited:
                there.edited.append(target.parts)
        return cls(gateways=tuple(_make_gateway(entry, planned[entry.name]) for entry in plan.gateways))

    def with_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> SimulatorFixture:
        """Return the same gateways with more fields set, by kind: ``{"apinizer": {"shape": "b"}}``."""
        return structs.replace(
            self,
            gateways=tuple(
                structs.replace(gateway, **settings.get(str(gateway.__struct_config__.tag), {}))
                for gateway in self.gateways
            ),
        )

    @classmethod
    def from_file(cls, path: Path) -> SimulatorFixture:
        """Read a fixture from JSON. Raises UsageError that says what does not fit."""
        return read_json_file(path, cls, "a seed")


def _make_gateway(entry: Gateway, planned: PlannedTargets) -> AnyFixture:
    fixture = FIXTURES.get(entry.KIND)
    if fixture is None:
        raise UsageError(f"the gateway {entry.name} is of kind {entry.KIND}, for which there is no simulator")
    return cast("AnyFixture", fixture.of_entry(entry, planned))


def read_json_file(path: Path, kind: type[Document], what: str) -> Document:
    """Read a JSON document of a type. Raises UsageError that names the file and what does not fit."""
    try:
        data = read_regular(path)
        document = msgspec.json.decode(data, type=kind)
        key = find_repeated_key(data)
    except FileRefusedError as refused:
        raise UsageError(f"cannot read {what} from {path}: {refused.system or refused}") from None
    # A text that is no UTF-8, or nested too deep, is an error of Python's.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} does not hold {what}: {error}") from error
    if key is not None:
        raise UsageError(f"{path} does not hold {what}: an object has the key {quote_text(key)} twice")
    return document
