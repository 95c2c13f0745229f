"""The faults of the simulators, and their times. Pure: a storm takes its dice from its seed, not from chance.

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
from orchestrator.simulator.exchange import TWISTS, FaultKind


class FaultScope(StrEnum):
    """The requests that a fault can strike."""

    UNDEPLOY = "undeploy"
    LOOK = "look"
    DEPLOY = "deploy"
    PUBLISH = "publish"
    BIND = "bind"
    LOGIN = LOGIN_PURPOSE
    ANY = "any"


class InjectedFault(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing that goes wrong with one request, or with ``times`` of them (0: with all from then on).

    ``effect`` says whether the request takes effect all the same; None leaves that to the kind (see
    ``takes_effect``). ``delay`` is in seconds. ``retry_after`` is sent as written, seconds or a date.
    ``code`` and ``message`` replace the vendor's usual ones in the envelope of a status; ``body`` replaces
    the whole envelope, and is sent as plain text where it is not empty.
    """

    kind: FaultKind
    on: FaultScope = FaultScope.UNDEPLOY
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
        """Whether the request takes effect: by default a slow or a cut one does, others do not."""
        if self.effect is None:
            return self.kind in (FaultKind.SLOW, FaultKind.CUT)
        return self.effect

    def strikes(self, purpose: str | None) -> bool:
        """Return whether this fault can strike a request for ``purpose``; only ANY strikes one without."""
        return self.on is FaultScope.ANY or self.on.value == purpose

    def __str__(self) -> str:
        name = str(self.status) if self.kind is FaultKind.STATUS else self.kind.value
        after = "-after" if self.takes_effect and self.kind not in (FaultKind.SLOW, FaultKind.CUT) else ""
        return f"{name}{after}"


NAMES = {kind.value: kind for kind in FaultKind if kind is not FaultKind.STATUS}
_TEXT = re.compile(
    r"(?:(undeploy|look|deploy|publish|bind|login|any):)?([2-5]\d\d|[a-z-]+?)(-after)?(?:@(\d+(?:\.\d+)?))?"
)
_DELAYS = {FaultKind.SLOW.value: 1.0}
_OF_LOOKS = (FaultKind.NO_PODS, FaultKind.POD_UNREACHED, FaultKind.POD_SILENT)


def parse_fault(text: str) -> InjectedFault:
    """Read a fault from its text. Raises UsageError that lists the names."""
    found = _TEXT.fullmatch(text.strip())
    name = found[2] if found else ""
    if found is None or not (name.isdigit() or name in NAMES):
        raise UsageError(
            f"no fault is called {text!r}; there are a status (500, 429@2) and {', '.join(NAMES)}"
        )
    on = FaultScope(found[1] or (FaultScope.LOOK if name in _OF_LOOKS else FaultScope.UNDEPLOY))
    effect = True if found[3] else None
    if name.isdigit():
        return InjectedFault(
            kind=FaultKind.STATUS, on=on, status=int(name), retry_after=found[4], effect=effect
        )
    delay = float(found[4]) if found[4] else _DELAYS.get(name, 0.0)
    return InjectedFault(kind=NAMES[name], on=on, delay=delay, effect=effect)


STORM_FAULTS: tuple[str, ...] = (
    "500", "500-after", "502", "503@1", "429@1", "reset", "reset-after", "slow@0.2", "garbage", "cut",
    "look:500", "look:reset",
)  # fmt: skip
"""The faults of a storm that names none."""


class FaultStorm(Struct, frozen=True, kw_only=True):
    """Strikes a ``share`` (0 to 1) of the requests with one of ``kinds`` each. The same seed strikes the same
    requests.

    The roll follows from the seed, the target, the purpose and how many such requests the target has had. The
    order in which requests arrive does not change it. ``first`` spares a target after so many requests of an
    act. ``gateways`` (names) spares all other gateways; if it is empty, the storm strikes all.
    """

    share: Annotated[float, Meta(ge=0, le=1)]
    seed: int = 0
    kinds: tuple[InjectedFault | str, ...] = STORM_FAULTS
    first: int | None = None
    gateways: tuple[str, ...] = ()


class FaultScenario(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All faults to come. The keys of ``script`` are target ids, or the names of gateways for any of their
    requests.

    A request takes the first fault of a script that strikes its purpose. The script of a target goes before
    that of its gateway, and both go before the storm.
    """

    storm: FaultStorm | None = None
    script: dict[str, tuple[InjectedFault | str, ...]] = {}


def parse_storm(text: str, seed: int = 0) -> FaultStorm:
    """Read ``SHARE[:FAULT,FAULT…]``; the share is a fraction or a percentage. Raises UsageError."""
    share_text, _, kinds_text = text.partition(":")
    share = parse_share(share_text.strip())
    kinds = tuple(kind for kind in kinds_text.split(",") if kind.strip()) or STORM_FAULTS
    return FaultStorm(share=share, seed=seed, kinds=tuple(read_fault(kind) for kind in kinds))


def parse_share(text: str) -> float:
    """Read ``0.3`` or ``30%``. Raises UsageError."""
    if not re.fullmatch(r"\d+(\.\d+)?%?", text) or (share := _parse_fraction(text)) > 1:
        raise UsageError(f"{text!r} is no share; write a fraction such as 0.3, or a percentage such as 30%")
    return share


def _parse_fraction(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def read_fault(fault: InjectedFault | str) -> InjectedFault:
    """Return a fault from its value or its text. Raises UsageError."""
    return parse_fault(fault) if isinstance(fault, str) else fault


class FaultPicker:
    """Picks the faults of one gateway, and uses up those of its script."""

    def __init__(self, faults: FaultScenario, gateway: str, twists: frozenset[FaultKind]) -> None:
        self._gateway = gateway
        self._script: dict[str, list[InjectedFault]] = {}
        for place, texts in faults.script.items():
            if place == gateway or place.startswith(f"{gateway}/"):
                self._script[place] = [_check_fault(read_fault(text), gateway, twists) for text in texts]
        self._storm = faults.storm
        self._kinds = self._select_storm_kinds(faults.storm, twists)

    def _select_storm_kinds(
        self, storm: FaultStorm | None, twists: frozenset[FaultKind]
    ) -> tuple[InjectedFault, ...]:
        if storm is None or (storm.gateways and self._gateway not in storm.gateways):
            return ()
        kinds = (read_fault(kind) for kind in storm.kinds)
        fitting = (fault for fault in kinds if fault.kind not in TWISTS or fault.kind in twists)
        return tuple(_check_fault(fault, self._gateway, twists) for fault in fitting)

    def pick(self, target: str | None, purpose: str | None, nth: int) -> InjectedFault | None:
        """Return the fault for the ``nth`` request of a target, or gateway, for a purpose, or None."""
        scripted = self._pick_scripted(target, purpose) if target and self._script else None
        return (
            scripted
            or self._pick_scripted(self._gateway, purpose)
            or self._pick_from_storm(target, purpose, nth)
        )

    def _pick_scripted(self, place: str, purpose: str | None) -> InjectedFault | None:
        script = self._script.get(place, [])
        for index, fault in enumerate(script):
            if fault.strikes(purpose):
                if fault.times == 1:
                    del script[index]
                elif fault.times > 1:
                    script[index] = structs.replace(fault, times=fault.times - 1)
                return fault
        return None

    def _pick_from_storm(self, target: str | None, purpose: str | None, nth: int) -> InjectedFault | None:
        storm = self._storm
        if storm is None or purpose is None or (storm.first is not None and nth > storm.first):
            return None
        kinds = [fault for fault in self._kinds if fault.strikes(purpose)]
        # A hash of the request's own place, so that the order of arrival does not change the storm.
        text = f"{storm.seed}\0{target or self._gateway}\0{purpose}\0{nth}"
        roll = blake2b(text.encode(), digest_size=16).digest()
        if not kinds or int.from_bytes(roll[:8]) >= storm.share * 2**64:
            return None
        return kinds[int.from_bytes(roll[8:]) % len(kinds)]


def _check_fault(fault: InjectedFault, gateway: str, twists: frozenset[FaultKind]) -> InjectedFault:
    if fault.kind is FaultKind.STATUS and fault.status is None:
        raise UsageError(
            f"a fault of the gateway {gateway} has the kind status and says no status, such as 500"
        )
    if fault.kind in TWISTS and fault.on is FaultScope.LOGIN:
        raise UsageError(
            f"a login, here of the gateway {gateway}, cannot have the fault {fault.kind.value!r}"
        )
    if fault.kind in TWISTS - twists:
        raise UsageError(
            f"the gateway {gateway} is of a kind that cannot have the fault {fault.kind.value!r}"
        )
    return fault
