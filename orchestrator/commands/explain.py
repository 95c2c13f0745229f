"""A plan in words: how it goes, what bounds it, and what stops it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from orchestrator.rules.steps import find_step_ends
from orchestrator.rules.stop_rules import SHARES_FROM, STOP_RULES, list_thresholds
from orchestrator.text.characters import make_visible
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_span

if TYPE_CHECKING:
    from orchestrator.model.gateway import Gateway
    from orchestrator.model.plan import StopWhen, Threshold, Wave
    from orchestrator.model.settings import Auth, CredentialReference

_RATES = (("s", 1), ("m", 60), ("h", 3600))


def describe_access(gateways: Iterable[Gateway]) -> Iterator[str]:
    """Yield a line a gateway: where it is, and where what lets us in comes from; never what that is."""
    for gateway in gateways:
        through = f" through {make_visible(gateway.proxy)}" if gateway.proxy is not None else ""
        place = f"{make_visible(gateway.url)}{through}"
        yield f"gateway {make_visible(gateway.name)}: {place}; {_describe_credential(gateway.auth)}"


def _describe_credential(auth: Auth) -> str:
    if auth.iam is not None:
        return f"logs in at {make_visible(auth.iam.url)}, password from {_describe_source(auth.iam.password)}"
    if auth.login is not None:
        return f"logs in, password from {_describe_source(auth.login.password)}"
    parts = {
        "token": auth.token,
        "access key": auth.access_key,
        "secret key": auth.secret_key,
        "security token": auth.security_token,
    }
    return ", ".join(
        f"{name} from {_describe_source(given)}" for name, given in parts.items() if given is not None
    )


def _describe_source(reference: CredentialReference) -> str:
    """Name what a reference refers to; of a command the program alone, since arguments may say more."""
    if reference.command is not None:
        return f"command {make_visible(reference.command[0])}"
    name = next(name for name in ("env", "file", "keyring") if getattr(reference, name) is not None)
    return f"{name} {make_visible(getattr(reference, name))}"


def describe_limits(gateways: Iterable[Gateway]) -> Iterator[str]:
    """Yield a line a gateway: how hard it may be used, and how long it is waited for."""
    for gateway in gateways:
        yield f"gateway {make_visible(gateway.name)}: {'; '.join(_list_limits(gateway))}"


def _list_limits(gateway: Gateway) -> Iterator[str]:
    count = gateway.concurrency
    yield f"{count_noun(count, 'request')} in flight at most"
    if gateway.limits.rate is not None:
        rate = format_rate(gateway.limits.rate)
        yield f"{rate} undeploys and {rate} looks at most"
    yield f"parked for {format_span(gateway.park_for)} at most"


def describe_pace(wave: Wave, targets: int) -> str:
    """Return the steps, pauses and questions of a wave of so many targets; nothing where it just goes."""
    steps = find_step_ends(wave.sizes, targets)
    is_split = len(steps) > 1
    words: list[str] = []
    if is_split:
        parts = ", ".join(f"{last - first:,}" for first, last in pairwise((0, *steps)))
        words.append(f"steps of {parts} targets")
    if wave.pause_after is not None:
        words.append(f"pauses {format_span(wave.pause_after)} after {'each' if is_split else 'it'}")
    if wave.proceed == "ask":
        words.append("asks before it goes on")
    return "; ".join(words)


def format_percent(share: float) -> str:
    """Return a share as a plan has it: ``12.5%``."""
    return f"{share * 100:.8g}%"


def format_rate(rate: float) -> str:
    """Return a number a second as a plan has it, in the first unit in which it is a whole number."""
    for unit, seconds in _RATES:
        number = round(rate * seconds, 6)
        if number >= 1 and number == int(number):
            return f"{int(number)}/{unit}"
    return f"{rate * 3600:.6g}/h"


def describe_stop_rules(rules: StopWhen) -> Iterator[str]:
    """Yield what stops a run by itself, a line a rule, and how it is counted."""
    thresholds = list_thresholds(rules)
    for key, threshold in thresholds.items():
        yield f"stops when more than {_describe_threshold(threshold)} {STOP_RULES[key].words}"
    yield "stops when a wave or step ends with none of its targets undeployed"
    if any(threshold.share is not None for threshold in thresholds.values()):
        yield (
            f"a share is one of a wave or step: from {SHARES_FROM} ended targets on, "
            "and at any number before the next one starts"
        )


def _describe_threshold(threshold: Threshold) -> str:
    if threshold.count is not None:
        return f"{count_noun(threshold.count, 'target')} of the run"
    return f"{format_percent(threshold.share or 0)} of the ended targets"
