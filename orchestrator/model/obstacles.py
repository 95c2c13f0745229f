"""The reasons why a restore may not bring back a target exactly as it was, with the texts for people.

A snapshot, a report and ``--accept`` name an obstacle by its word. Each kind lists its own in ``OBSTACLES``.
"""

from __future__ import annotations

from msgspec import Struct


class Obstacle(Struct, frozen=True, kw_only=True):
    """One reason for which a target stays down unless a person accepts the reason."""

    word: str
    consequence: str
    """The effect of a restore in spite of the obstacle; part of a sentence about one target."""
    warning: str | None = None
    """The warning of a preview; ``{targets}`` stands for the counted targets. None warns of nothing."""
    question: str | None = None
    """The question on a terminal, with ``{count}`` targets; None: only the option ``--accept`` accepts."""


# --accept takes each word by itself: one --force would hide to which obstacle a person agreed.
UNPUBLISHED_EDITS = Obstacle(
    word="unpublished-edits",
    consequence="edits that were never deployed would go live with it",
    warning="{targets} with edits that were never deployed: a restore would publish those, not what runs now",
)

MISSING_HISTORY = Obstacle(
    word="missing-history",
    consequence="what was deployed could not be read, so that it may come back otherwise",
    warning="of {targets} it cannot be read how they were deployed: a restore may bring back something else",
)

LOST_BINDINGS = Obstacle(
    word="lost-bindings",
    consequence="what hung on its front end could not all be read, so that it may come back without that",
    warning="of {targets} not all that hangs on the front ends can be read: a restore may lack some of it",
)
