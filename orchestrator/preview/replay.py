"""The JSON of a preview, read again, so that a rehearsal begins with the state that it saw. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.preview.json import SCHEMA
from orchestrator.preview.states import TargetState
from orchestrator.text.characters import quote_text
from orchestrator.text.counting import count_noun
from orchestrator.text.json_keys import find_repeated_key


class ReplayedTarget(Struct, frozen=True, kw_only=True):
    """One target as the preview saw it."""

    id: str
    state: TargetState
    edited: bool | None = None


class ReplayedPreview(Struct, frozen=True, kw_only=True):
    """The part of a preview's JSON that a rehearsal needs."""

    schema: int
    kind: str
    digest: str
    targets: tuple[ReplayedTarget, ...]

    def list_ids(self, state: TargetState) -> frozenset[str]:
        """Return the ids of the targets in a state."""
        return frozenset(target.id for target in self.targets if target.state is state)

    @property
    def edited(self) -> frozenset[str]:
        """The ids of the targets with edits that were never deployed."""
        return frozenset(target.id for target in self.targets if target.edited)


def read_preview(data: bytes, digest: str) -> ReplayedPreview:
    """Return the preview in ``data``; raises ``UsageError`` unless it is one of the plan with ``digest``."""
    try:
        found = msgspec.json.decode(data, type=ReplayedPreview)
    # Nesting that is too deep is an error of Python's, not of the decoder's.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"it is no preview ({error}); `undeploy preview PLAN --format json` prints one"
        ) from error
    if (key := find_repeated_key(data)) is not None:
        raise UsageError(f"it was edited: an object has the key {quote_text(key)} twice")
    if found.kind != "preview" or found.schema != SCHEMA:
        raise UsageError(f"it is {found.kind} of schema {found.schema}, not a preview of schema {SCHEMA}")
    # A plan with other targets would begin its rehearsal with states that belong to none of them.
    if found.digest != digest:
        raise UsageError(
            f"it shows a plan with the digest {found.digest[:8]}…, and this plan has {digest[:8]}…:"
            " it is another plan, was changed since, or has other --target"
        )
    return found


def list_differences(seen: ReplayedPreview) -> Iterator[str]:
    """Yield, as lines, the states that a rehearsal cannot reproduce."""
    for state, why in (
        (TargetState.UNKNOWN, "nobody could tell"),
        (TargetState.PARTIAL, "still served in part"),
    ):
        if count := len(seen.list_ids(state)):
            targets = count_noun(count, "target")
            yield f"{targets} of which the preview says {state.value} ({why}): deployed here"
