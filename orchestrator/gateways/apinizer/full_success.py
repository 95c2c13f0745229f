"""Reads the reply that nearly every undeploy gets: a full success in one of the two documented shapes.

The careful reader in ``replies.py`` takes any body apart, and costs several times as much. This one knows
nothing but those two shapes: it leaves a body with anything else in it to the careful reader.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from orchestrator.model.http import Reply
from orchestrator.model.target import Target


class _Place(Struct, frozen=True, forbid_unknown_fields=True):
    """One row: an environment (its ``environmentName``), or a pod of one (its ``envName``)."""

    success: bool
    environmentName: str | UnsetType = UNSET  # noqa: N815 - the vendor's name, like the ones below
    envName: str | UnsetType = UNSET  # noqa: N815
    podName: str | UnsetType = UNSET  # noqa: N815
    podIp: str | UnsetType = UNSET  # noqa: N815
    message: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    responseTime: float | UnsetType = UNSET  # noqa: N815


class _Overall(_Place, frozen=True, forbid_unknown_fields=True):
    """The result of the undeploy on all workers, with its rows under the name that its shape gives them."""

    deploymentResults: list[_Place] | UnsetType = UNSET  # noqa: N815
    detailList: list[_Place] | UnsetType = UNSET  # noqa: N815


class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    deploymentResult: _Overall  # noqa: N815
    success: bool | UnsetType = UNSET
    status: str | UnsetType = UNSET
    resultMessage: str | UnsetType = UNSET  # noqa: N815


_DECODER = msgspec.json.Decoder(_Body)
_ENCODER = msgspec.json.Encoder()


def count_proven_rows(target: Target, reply: Reply) -> int:
    """Return how many rows prove that the target was undeployed; 0 where the careful reader has to say.

    Every row must name the target's environment as it stands there, and nothing may say anything else.
    """
    if reply.status != 200:
        return 0
    try:
        body = _DECODER.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    overall, rows = body.deploymentResult, _list_rows(body.deploymentResult)
    is_success = (body.success is True and body.status in (UNSET, "SUCCESS")) or (
        body.success is UNSET and body.status == "SUCCESS"
    )
    if not (is_success and overall.success and rows) or _may_repeat_keys(reply.body, body):
        return 0
    environment = target.parts[-1]
    if not _speaks_of(overall, environment, can_be_silent=True):
        return 0
    for row in rows:
        if not row.success or not _speaks_of(row, environment, can_be_silent=False):
            return 0
    return len(rows)


def _list_rows(overall: _Overall) -> list[_Place]:
    first, second = overall.deploymentResults, overall.detailList
    if first is UNSET:
        return [] if second is UNSET else second
    return first if second is UNSET else []  # a body in both shapes at once is none of the two


def _speaks_of(row: _Place, environment: str, *, can_be_silent: bool) -> bool:
    names = (row.environmentName, row.envName)
    if names == (UNSET, UNSET):
        return can_be_silent
    return all(name is UNSET or name == environment for name in names)


def _may_repeat_keys(text: bytes, body: _Body) -> bool:
    """Return whether a key may stand there twice: then the text has more colons than its value has."""
    # An escaped colon counts in the value alone, so it could make up for the colon of a second key.
    return text.count(b":") != _ENCODER.encode(body).count(b":") or b"\\u003" in text
