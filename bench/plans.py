"""The plans that the benchmark runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

PROJECT, INSTANCE = "0123456789abcdef0123456789abcdef", "f0fa1789-3b76-433b-a787-9892951c620e"
GATEWAY = "gateway"
"""The name of a plan's first gateway."""
CHAIN = 10
"""How many targets stand in one chain of ``after``."""


IN_ONE_FILE = 200_000
"""Targets in one file: the program reads none of more than 64 MB."""


class GatewayKind(NamedTuple):
    """How people and plans name a gateway of this kind, and the keys of a target by its number."""

    title: str
    keys: str
    name_target: Callable[[int], dict[str, str]]


def _name_backend(number: int) -> dict[str, str]:
    return {"ld_api_id": f"{number:032x}"}


def _name_proxy(number: int) -> dict[str, str]:
    return {"project": "P", "proxy": f"api-{number}", "environment": "prod"}


KINDS = {
    "roma": GatewayKind(
        "ROMA",
        f"kind: roma, api_version: v2, project_id: '{PROJECT}', instance_id: {INSTANCE}",
        _name_backend,
    ),
    "apinizer": GatewayKind("Apinizer", "kind: apinizer", _name_proxy),
}


class PlanGateway(NamedTuple):
    """A gateway of a plan; ``keys`` are further ones of its own."""

    url: str
    keys: str = "limits: {concurrency: 100}"
    kind: str = "roma"
    name: str = GATEWAY


class PlanText(NamedTuple):
    """What a plan asks for: so many targets of each of its gateways. ``top`` has further lines.

    With ``chained`` each target comes after the one before it, but for the first one of each chain. With
    ``in_files`` the targets stand in files beside the plan, as those of long plans must.
    """

    gateways: Sequence[PlanGateway]
    targets: int
    top: str = "snapshot: off"
    chained: bool = False
    in_files: bool = False

    def write(self, path: Path) -> Path:
        """Write the plan, and its files beside it; return its path."""
        with path.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in self._list_head())
            for gateway in self.gateways:
                entries = self._write_files(gateway, path) if self.in_files else self._list_targets(gateway)
                out.writelines(f"  - {_write_flow(gateway.name, entry)}\n" for entry in entries)
        return path

    def _list_head(self) -> Iterator[str]:
        auth = "auth: {token: {env: BENCH_TOKEN}}"
        yield "version: 1"
        yield "name: bench"
        yield self.top
        yield "gateways:"
        for gateway in self.gateways:
            own = f"{KINDS[gateway.kind].keys}, {auth}, {gateway.keys}"
            yield f"  {gateway.name}: {{url: '{gateway.url}', {own}}}"
        yield "targets:"

    def _list_targets(self, gateway: PlanGateway) -> Iterator[dict[str, Any]]:
        name_target = KINDS[gateway.kind].name_target
        for number in range(self.targets):
            keys = name_target(number)
            if self.chained and number % CHAIN:
                yield {**keys, "after": ["/".join([gateway.name, *name_target(number - 1).values()])]}
            else:
                yield keys

    def _write_files(self, gateway: PlanGateway, plan: Path) -> Iterator[dict[str, Any]]:
        targets = self._list_targets(gateway)
        number = 0
        while some := list(islice(targets, IN_ONE_FILE)):
            path = plan.with_name(f"{plan.stem}-{gateway.name}-{number}.jsonl")
            path.write_text("".join(f"{json.dumps(target)}\n" for target in some), encoding="utf-8")
            yield {"from_file": path.name}
            number += 1


def _write_flow(gateway: str, target: dict[str, Any]) -> str:
    """Return an entry as most people write one, on one line."""
    words = ", ".join(f"{key}: {_write_scalar(value)}" for key, value in target.items())
    return f"{{gateway: {gateway}, {words}}}"


def _write_scalar(value: str | list[str]) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else f"'{value}'"
