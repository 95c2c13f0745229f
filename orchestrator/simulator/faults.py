"""What goes wrong, and when. Pure: a storm's dice come from its seed, not from chance.

A fault as text is ``[ACT:]NAME[-after][@SECONDS]``: ``500``, ``503@2`` (``Retry-After: 2``), ``reset-after``
(the request took effect first), ``slow@1.5``, ``look:hang``, ``login:500``, ``any:401`` (logins too).
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta, Struct, structs

from orchestrator.errors import UsageError
from orchestrator.simulator.exchange import LOGIN as LOGIN_PURPOSE
from orchestrator.simulator.exchange import TWISTS, Kind


class On(StrEnum):
    """Which requests a fault strikes."""

    UNDEPLOY = "undeploy"
    LOOK = "look"
    DEPLOY = "deploy"
    LOGIN = LOGIN_PURPOSE
    ANY = "any"


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that goes wrong with one request, or with ``times`` of them (0: with all from then on).

    ``effect`` says whether the request took effect all the same; None is the kind's own way (see
    ``takes_effect``). ``delay`` is in seconds. ``retry_after`` is sent as written, seconds or a date.
    ``code`` and ``message`` replace the vendor's usual ones in the envelope of a status; ``body`` replaces
    the whole envelope, and is sent as plain text where it is not empty.
    """

    kind: Kind
    on: On = On.UNDEPLOY
    times: Annotated[int, Meta(ge=0)] = 1
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    retry_after: str | None = None
    code: str | None = None
    message: str | None = None
    body: str | None = None
    delay: Annotated[float, Meta(ge=0)] = 0.0
    effect: bool | None = None

    @property
    def takes_effect(self) -> bool:
        """Whether the request does what it asks for: what is slow or cut does, the others do not."""
        if self.effect is None:
            return self.kind in (Kind.SLOW, Kind.CUT)
        return self.effect

    def strikes(self, purpose: str | None) -> bool:
        """Whether a request for this can be struck; one without a purpose only by a fault on any."""
        return self.on is On.ANY or self.on.value == purpose

    def __str__(self) -> str:
        name = str(self.status) if self.kind is Kind.STATUS else self.kind.value
        after = "-after" if self.takes_effect and self.kind not in (Kind.SLOW, Kind.CUT) else ""
        return f"{name}{after}"


NAMES = {kind.value: kind for kind in Kind if kind is not Kind.STATUS}
_TEXT = re.compile(
    r"(?:(undeploy|look|deploy|login|any):)?([2-5]\d\d|[a-z-]+?)(-after)?(?:@(\d+(?:\.\d+)?))?"
)
_DELAYS = {Kind.SLOW.value: 1.0}


def parse_fault(text: str) -> Fault:
    """Read a fault from its text. Raises UsageError that lists the names."""
    found = _TEXT.fullmatch(text.strip())
    name = found[2] if found else ""
    if found is None or not (name.isdigit() or name in NAMES):
        raise UsageError(
            f"no fault is called {text!r}; there are a status (500, 429@2) and {', '.join(NAMES)}"
        )
    on = On(found[1] or (On.LOOK if name == Kind.NO_PODS else On.UNDEPLOY))
    effect = True if found[3] else None
    if name.isdigit():
        return Fault(kind=Kind.STATUS, on=on, status=int(name), retry_after=found[4], effect=effect)
    delay = float(found[4]) if found[4] else _DELAYS.get(name, 0.0)
    return Fault(kind=NAMES[name], on=on, delay=delay, effect=effect)


DEFAULT_STORM: tuple[str, ...] = (
    "500", "500-after", "502", "503@1", "429@1", "reset", "reset-after", "slow@0.2", "garbage", "cut",
    "look:500", "look:reset",
)  # fmt: skip


class Storm(Struct, frozen=True, kw_only=True):
    """Strikes a ``share`` (0 to 1) of the requests with one of ``kinds`` each, the same ones for the same
    seed.

    The roll is made from the seed, the target, the purpose and how often the target was asked that before: it
    does not depend on the order in which requests arrive. ``first`` spares a target after so many requests
    of an act; ``gateways`` (names) spares all others; empty is all.
    """

    share: Annotated[float, Meta(ge=0, le=1)]
    seed: int = 0
    kinds: tuple[Fault | str, ...] = DEFAULT_STORM
    first: int | None = None
    gateways: tuple[str, ...] = ()


class Faults(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is to go wrong. ``script`` is keyed by target id, or by a gateway's name for any of its
    requests.

    Of a script each request takes the first fault that strikes its purpose; a target's own script goes before
    its gateway's, and both before the storm.
    """

    storm: Storm | None = None
    script: dict[str, tuple[Fault | str, ...]] = {}


def parse_storm(text: str, seed: int = 0) -> Storm:
    """Read ``SHARE[:FAULT,FAULT…]``; the share is a fraction or a percentage. Raises UsageError."""
    share_text, _, kinds_text = text.partition(":")
    share = parse_share(share_text.strip())
    kinds = tuple(kind for kind in kinds_text.split(",") if kind.strip()) or DEFAULT_STORM
    return Storm(share=share, seed=seed, kinds=tuple(as_fault(kind) for kind in kinds))


def parse_share(text: str) -> float:
    """Read ``0.3`` or ``30%``. Raises UsageError."""
    if not re.fullmatch(r"\d+(\.\d+)?%?", text) or (share := _share(text)) > 1:
        raise UsageError(f"{text!r} is no share; write a fraction such as 0.3, or a percentage such as 30%")
    return share


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def as_fault(fault: Fault | str) -> Fault:
    """A fault from its value or its text. Raises UsageError."""
    return parse_fault(fault) if isinstance(fault, str) else fault


class Weather:
    """The faults of one gateway, as they are used up."""

    def __init__(self, faults: Faults, gateway: str, twists: frozenset[Kind]) -> None:
        self._gateway = gateway
        self._script: dict[str, list[Fault]] = {}
        for place, texts in faults.script.items():
            if place == gateway or place.startswith(f"{gateway}/"):
                self._script[place] = [_fitting(as_fault(text), gateway, twists) for text in texts]
        self._storm = faults.storm
        self._kinds = self._storm_kinds(faults.storm, twists)

    def _storm_kinds(self, storm: Storm | None, twists: frozenset[Kind]) -> tuple[Fault, ...]:
        if storm is None or (storm.gateways and self._gateway not in storm.gateways):
            return ()
        kinds = (as_fault(kind) for kind in storm.kinds)
        fitting = (fault for fault in kinds if fault.kind not in TWISTS or fault.kind in twists)
        return tuple(_fitting(fault, self._gateway, twists) for fault in fitting)

    def pick(self, target: str | None, purpose: str | None, nth: int) -> Fault | None:
        """The fault that strikes this request, the ``nth`` for this of its target or gateway, or None."""
        scripted = self._scripted(target, purpose) if target and self._script else None
        return scripted or self._scripted(self._gateway, purpose) or self._struck(target, purpose, nth)

    def _scripted(self, place: str, purpose: str | None) -> Fault | None:
        script = self._script.get(place, [])
        for index, fault in enumerate(script):
            if fault.strikes(purpose):
                if fault.times == 1:
                    del script[index]
                elif fault.times > 1:
                    script[index] = structs.replace(fault, times=fault.times - 1)
                return fault
        return None

    def _struck(self, target: str | None, purpose: str | None, nth: int) -> Fault | None:
        storm = self._storm
        if storm is None or purpose is None or (storm.first is not None and nth > storm.first):
            return None
        kinds = [fault for fault in self._kinds if fault.strikes(purpose)]
        text = f"{storm.seed}\0{target or self._gateway}\0{purpose}\0{nth}"
        roll = blake2b(text.encode(), digest_size=16).digest()
        if not kinds or int.from_bytes(roll[:8]) >= storm.share * 2**64:
            return None
        return kinds[int.from_bytes(roll[8:]) % len(kinds)]


def _fitting(fault: Fault, gateway: str, twists: frozenset[Kind]) -> Fault:
    if fault.kind is Kind.STATUS and fault.status is None:
        raise UsageError(
            f"a fault of the gateway {gateway} has the kind status and says no status, such as 500"
        )
    if fault.kind in TWISTS and fault.on is On.LOGIN:
        raise UsageError(
            f"a login, here of the gateway {gateway}, cannot have the fault {fault.kind.value!r}"
        )
    if fault.kind in TWISTS - twists:
        raise UsageError(
            f"the gateway {gateway} is of a kind that cannot have the fault {fault.kind.value!r}"
        )
    return fault
