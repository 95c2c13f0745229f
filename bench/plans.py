"""The plans that the benchmark runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT, INSTANCE = "0123456789abcdef0123456789abcdef", "f0fa1789-3b76-433b-a787-9892951c620e"
CHAIN = 10
"""How many targets stand in one chain of ``after``."""


class GatewayKind(NamedTuple):
    """How a plan names a gateway of this kind, and a target by its number."""

    keys: str
    write_target: Callable[[int], str]
    write_id: Callable[[int], str]


KINDS = {
    "roma": GatewayKind(
        f"kind: roma, api_version: v2, project_id: '{PROJECT}', instance_id: {INSTANCE}",
        "ld_api_id: '{0:032x}'".format,
        "gateway/{0:032x}".format,
    ),
    "apinizer": GatewayKind(
        "kind: apinizer",
        "project: P, proxy: api-{0}, environment: prod".format,
        "gateway/P/api-{0}/prod".format,
    ),
}


class PlanText(NamedTuple):
    """What a plan asks for; ``keys`` are further keys of its only gateway, ``top`` further lines.

    With ``chained`` each target comes after the one before it, but for the first one of each chain.
    """

    kind: str
    url: str
    targets: int
    keys: str = "limits: {concurrency: 100}"
    top: str = "snapshot: off"
    chained: bool = False

    def write(self, path: Path) -> Path:
        """Write the plan; return its path."""
        with path.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in self._lines())
        return path

    def _lines(self) -> Iterator[str]:
        kind = KINDS[self.kind]
        auth = "auth: {token: {env: BENCH_TOKEN}}"
        yield "version: 1"
        yield "name: bench"
        yield self.top
        yield "gateways:"
        yield f"  gateway: {{{kind.keys}, url: '{self.url}', {auth}, {self.keys}}}"
        yield "targets:"
        for number in range(self.targets):
            after = f", after: [{kind.write_id(number - 1)}]" if self.chained and number % CHAIN else ""
            yield f"  - {{gateway: gateway, {kind.write_target(number)}{after}}}"
