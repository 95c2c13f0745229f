"""The requests of one session as they left, and their replies as the program got them. Nothing is judged."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.model.reading import Act

BUSY = 429
DENIED = 401
UNAVAILABLE = 503


class WireExchange(Struct, kw_only=True, eq=False):
    """One request. Times are virtual Unix seconds.

    ``target`` and ``act`` are None if the request names no known target, or is no undeploy, look, deploy,
    publish or bind. ``credential`` tells apart what let the request in; it is no secret itself. ``store``:
    the request went to the traffic log of its gateway, which is another host. ``is_report``: it was for a
    report or a list of a whole manager, where a 401 may be about the role of the user.
    """

    gateway: str
    left: float
    target: str | None = None
    act: Act | None = None
    login: bool = False
    store: bool = False
    is_report: bool = False
    credential: str = ""
    came: float | None = None
    """When the reply was handed over, or the request was given up; None if the process died before."""
    status: int | None = None
    """None without a reply."""
    is_unsent: bool = False
    """Nothing of it has left, as it turned out."""
    is_denied: bool = False
    """The reply says in its body that the credential is not good, whatever its status."""
    is_limit: bool = False
    """The reply says in its body that more came than may, whatever its status."""
    wait: float | None = None
    """The seconds of its ``Retry-After``, or of the vendor's words for the same."""
    body: bytes = b""
    """What the request carried."""
    is_untold: bool = False
    """Its reader was lost before the others could learn of the reply."""
    behind: float = 0.0
    """The most seconds that the wall clock of its sender was behind before it left."""
    is_elsewhere: bool = False
    """Another installation answered."""
    is_login_refused: bool = False
    is_astray: bool = False
    """It went to a host that is not its gateway's, or where a redirect has pointed."""

    def is_open_at(self, at: float) -> bool:
        """Return whether it was under way at a moment; its own beginning and end are not."""
        return self.left < at and (self.came is None or at < self.came)

    @property
    def is_rejection(self) -> bool:
        """Whether the reply says that the credential is rejected. A 401 to a report may be about a role,
        whatever it says; a 400 is not."""
        is_told = self.is_denied and self.status != DENIED if self.is_report else self.is_denial
        return is_told and not self.login

    @property
    def is_denial(self) -> bool:
        """Whether the reply says that the credential is not good, or lacks a role."""
        return self.is_denied or self.status == DENIED

    @property
    def is_let_in(self) -> bool:
        """Whether a reply came, and not one that says that the credential is not good."""
        return self.status is not None and not self.is_denial

    @property
    def is_refusal_to_take_more(self) -> bool:
        is_busy = self.status == BUSY or (self.status == UNAVAILABLE and self.wait is not None)
        return is_busy or self.is_limit

    @property
    def is_fault(self) -> bool:
        """Whether no reader of a change could take it for an answer: no reply came, or a passing fault."""
        if self.came is None or self.is_refusal_to_take_more:
            return False
        return self.status is None or self.status == 408 or self.status >= 500

    @property
    def may_be_answer(self) -> bool:
        """Whether a reader of a change might take it for one."""
        is_known = self.is_fault or self.is_refusal_to_take_more or self.is_elsewhere or self.is_denial
        return self.came is not None and not is_known

    def __str__(self) -> str:
        what = "a login" if self.login else f"{self.act or 'a request'} of {self.target or self.gateway}"
        return f"{what} at {self.left:.3f}"


class SessionWire(Struct, kw_only=True):
    """All that passed in one session.

    ``change`` is the act of the run. ``signals`` are the times of its interrupts, ``resolved`` the gateways
    whose credential was read, each time. ``began`` is when it began, ``closes`` when its window closes.
    """

    change: Act
    began: float
    closes: float | None = None
    frozen: tuple[float, float] | None = None
    """From when to when the process was stopped."""
    exchanges: list[WireExchange]
    signals: list[float]
    resolved: list[str]

    @classmethod
    def begin(
        cls,
        change: Act,
        began: float,
        closes: float | None = None,
        frozen: tuple[float, float] | None = None,
    ) -> SessionWire:
        """Return the wire of a session that begins."""
        return cls(
            change=change,
            began=began,
            closes=closes,
            frozen=frozen,
            exchanges=[],
            signals=[],
            resolved=[],
        )

    def measure(self, since: float, until: float) -> float:
        """Return the seconds between two moments in which the process could do something."""
        start, end = self.frozen or (since, since)
        return until - since - max(0.0, min(until, end) - max(since, start))

    def list_of(self, gateway: str) -> list[WireExchange]:
        """Return the exchanges with a gateway in the order in which they left; not those with its log."""
        return [each for each in self.exchanges if each.gateway == gateway and not each.store]

    def list_changes(self, gateway: str) -> list[WireExchange]:
        """Return the changes that the run is for, of one gateway."""
        return [each for each in self.list_of(gateway) if each.act is self.change]


def sort_by_end(exchanges: list[WireExchange]) -> Iterator[tuple[float, WireExchange]]:
    """Yield the exchanges that have ended, each after its end, the first to end first."""
    ended = [(each.came, each) for each in exchanges if each.came is not None]
    yield from sorted(ended, key=lambda pair: pair[0])
