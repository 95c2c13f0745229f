"""The plans that the benchmark runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

PROJECT, INSTANCE = "0123456789abcdef0123456789abcdef", "f0fa1789-3b76-433b-a787-9892951c620e"
CHAIN = 10
"""How many targets stand in one chain of ``after``."""


IN_ONE_FILE = 200_000
"""Targets in one file: the program reads none of more than 64 MB."""


class GatewayKind(NamedTuple):
    """How a plan names a gateway of this kind, and the keys of a target by its number."""

    keys: str
    name_target: Callable[[int], dict[str, str]]


def _name_backend(number: int) -> dict[str, str]:
    return {"ld_api_id": f"{number:032x}"}


def _name_proxy(number: int) -> dict[str, str]:
    return {"project": "P", "proxy": f"api-{number}", "environment": "prod"}


KINDS = {
    "roma": GatewayKind(
        f"kind: roma, api_version: v2, project_id: '{PROJECT}', instance_id: {INSTANCE}", _name_backend
    ),
    "apinizer": GatewayKind("kind: apinizer", _name_proxy),
}


class PlanText(NamedTuple):
    """What a plan asks for; ``keys`` are further keys of its only gateway, ``top`` further lines.

    With ``chained`` each target comes after the one before it, but for the first one of each chain. With
    ``in_files`` the targets stand in files beside the plan, as those of long plans must.
    """

    kind: str
    url: str
    targets: int
    keys: str = "limits: {concurrency: 100}"
    top: str = "snapshot: off"
    chained: bool = False
    in_files: bool = False

    def write(self, path: Path) -> Path:
        """Write the plan, and its files beside it; return its path."""
        with path.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in self._list_head())
            if self.in_files:
                out.writelines(
                    f"  - {{gateway: gateway, from_file: {name}}}\n" for name in self._write_files(path)
                )
            else:
                out.writelines(f"  - {_write_flow(target)}\n" for target in self._list_targets())
        return path

    def _list_head(self) -> Iterator[str]:
        auth = "auth: {token: {env: BENCH_TOKEN}}"
        yield "version: 1"
        yield "name: bench"
        yield self.top
        yield "gateways:"
        yield f"  gateway: {{{KINDS[self.kind].keys}, url: '{self.url}', {auth}, {self.keys}}}"
        yield "targets:"

    def _list_targets(self) -> Iterator[dict[str, Any]]:
        name_target = KINDS[self.kind].name_target
        for number in range(self.targets):
            keys = name_target(number)
            if self.chained and number % CHAIN:
                yield {**keys, "after": ["/".join(["gateway", *name_target(number - 1).values()])]}
            else:
                yield keys

    def _write_files(self, plan: Path) -> Iterator[str]:
        targets = self._list_targets()
        number = 0
        while some := list(islice(targets, IN_ONE_FILE)):
            path = plan.with_suffix(f".{number}.jsonl")
            path.write_text("".join(f"{json.dumps(target)}\n" for target in some), encoding="utf-8")
            yield path.name
            number += 1


def _write_flow(target: dict[str, Any]) -> str:
    """Return a target as most people write one, on one line."""
    words = ", ".join(f"{key}: {_write_scalar(value)}" for key, value in target.items())
    return f"{{gateway: gateway, {words}}}"


def _write_scalar(value: str | list[str]) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else f"'{value}'"
