"""The deploy that a snapshot of ROMA Connect keeps as text: its body, and the further environments.

The body of a deploy takes one environment. A front-end API that was published in several needs a publish in
each further one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from orchestrator.gateways.kept import refuse_strange_deploy
from orchestrator.gateways.roma.definition import split_environments

# The keys for what is ours, beside the keys of the body.
_FURTHER = "further_env_ids"
_LOST_FRONT = "front_end_lost"


class LostFront(Enum):
    """A front-end API that a deploy does not bring back, as the kept deploy says it."""

    KNOWN = True
    POSSIBLE = "possible"


BACKEND_ALONE = '{"deploy_front_api":false}'
"""The deploy of a backend API that has no front-end API, or none any more."""
WITHOUT_ITS_FRONT = f'{{"deploy_front_api":false,"{_LOST_FRONT}":true}}'
"""The deploy of a backend API whose front-end API could not be read, so that it does not come back."""
PERHAPS_WITHOUT_FRONT = f'{{"deploy_front_api":false,"{_LOST_FRONT}":"{LostFront.POSSIBLE.value}"}}'
"""The same where no read told whether it had a front-end API at all."""


class KeptDeploy(NamedTuple):
    """The body of a deploy, and the ids of all environments in which the front-end API was published."""

    body: dict[str, Any]
    environments: tuple[str, ...]
    """Without a front-end API empty; else the body names the first one."""
    lost_front: LostFront | None = None


def encode_deploy(body: Mapping[str, Any], further: Sequence[str]) -> str:
    """Return the text of a deploy whose ``body`` names one environment; ``further`` are the other ids."""
    ours = {_FURTHER: further} if further else {}
    return msgspec.json.encode({**body, **ours}).decode()


@refuse_strange_deploy()
def decode_deploy(text: str | None) -> KeptDeploy:
    """Return the deploy that a snapshot keeps.

    Journals of earlier versions name several environments in the body, as the vendor's reads do: joined by a
    bar, which no deploy accepts. Raises JournalError for a text that no version has written.
    """
    body = msgspec.json.decode(text or "{}", type=dict[str, Any])
    further, lost_front = body.pop(_FURTHER, ()), body.pop(_LOST_FRONT, None)
    environments = tuple(dict.fromkeys((*split_environments(body.get("env_id")), *further)))
    if environments:
        body["env_id"] = environments[0]
    return KeptDeploy(body, environments, LostFront(lost_front) if lost_front else None)
