"""What was decided for a run, until its workflow takes it: actions to carry out, and news to tell."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from orchestrator.distributed.payloads import GoOn, LaneInput, Orders
from orchestrator.distributed.run_news import NewsItem


class StartLane(Struct, frozen=True):
    """Start the workflow of a part of a lane."""

    workflow: str
    given: LaneInput


class TellOrders(Struct, frozen=True):
    """Signal ``orders`` to a lane."""

    workflow: str
    orders: Orders


class LetGoOn(Struct, frozen=True):
    """Signal ``go_on`` to a lane: the run has judged its chunk."""

    workflow: str
    go_on: GoOn


class Release(Struct, frozen=True):
    """Signal ``release`` to a lane: its results are wanted no longer."""

    workflow: str


Action: TypeAlias = StartLane | TellOrders | LetGoOn | Release


class RunDecisions:
    """Collects the actions and the news of one turn of the decisions, each in its order."""

    def __init__(self) -> None:
        self._actions: list[Action] = []
        self._news: list[NewsItem] = []

    def act(self, *actions: Action) -> None:
        """Have something done."""
        self._actions += actions

    def tell(self, item: NewsItem) -> None:
        """Have something told to the driver."""
        self._news.append(item)

    def take_actions(self) -> list[Action]:
        """Return what is to be done since this was asked last."""
        actions, self._actions = self._actions, []
        return actions

    def take_news(self) -> tuple[NewsItem, ...]:
        """Return what is to be told since this was asked last."""
        news, self._news = self._news, []
        return tuple(news)
