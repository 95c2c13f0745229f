"""What was found out about a gateway, as values, and the rules by which a finding is good or bad. Pure.

Times are seconds; instants are Unix times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from statistics import median

from msgspec import Struct

from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.settings import Auth
from orchestrator.text.formats import format_span, format_time_left

CERTIFICATE_SOON = 14 * 86400.0
"""A certificate that ends within this is told, so that it can be renewed before it does."""
LIFE_SOON = 3600.0
"""The same of a credential, where the plan has no window that it should outlive."""
CLOCK_WARN = 300.0
CLOCK_LIMIT = 900.0
"""Signatures that are older or younger are refused."""


class FindingState(StrEnum):
    """How good a finding is. ``unknown``: not asked, or not to be had; that alone is no warning."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


CHECKS = (
    "name", "port", "proxy", "tls", "answer", "clock", "credential", "life", "version", "looks", "targets",
    "latency",
)  # fmt: skip
"""The checks, in the order in which one depends on another: the first that fails is the cause."""


class Finding(Struct, frozen=True, kw_only=True):
    """What one check found. ``advice`` is what to do about it, empty where nothing is to be done.

    ``value`` is the finding as a number where it has one, in seconds (see docs/doctor.md).
    """

    check: str
    state: FindingState
    text: str
    advice: str = ""
    value: float | None = None


class GatewayDiagnosis(Struct, frozen=True, kw_only=True):
    """All that was found out about one gateway: one finding a check, in the order of ``CHECKS``."""

    gateway: str
    kind: str
    url: str
    findings: tuple[Finding, ...]
    requests: int
    """HTTP requests that were sent, logins included."""

    @property
    def state(self) -> FindingState:
        """Return the worst state of its findings; UNKNOWN does not count."""
        states = {finding.state for finding in self.findings}
        return next(
            (state for state in (FindingState.FAIL, FindingState.WARN) if state in states), FindingState.OK
        )

    @property
    def worst(self) -> tuple[Finding, ...]:
        """Return the findings that make its state, the cause first; () where all is well."""
        state = self.state
        if state is FindingState.OK:
            return ()
        return tuple(finding for finding in self.findings if finding.state is state)


def complete_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding for each of ``CHECKS``, in their order; the newest one of a check counts."""
    found = {finding.check: finding for finding in findings}
    return tuple(found.get(check, unknown(check, "not checked")) for check in CHECKS)


def ok(check: str, text: str, value: float | None = None) -> Finding:
    """Return a finding that all is well."""
    return Finding(check=check, state=FindingState.OK, text=text, value=value)


def unknown(check: str, text: str) -> Finding:
    """Return a finding that nothing could be found out."""
    return Finding(check=check, state=FindingState.UNKNOWN, text=text)


def warning(check: str, text: str, advice: str, value: float | None = None) -> Finding:
    """Return a finding that does not keep a run from working now."""
    return Finding(check=check, state=FindingState.WARN, text=text, advice=advice, value=value)


def failure(check: str, text: str, advice: str, value: float | None = None) -> Finding:
    """Return a finding with which no run can do its work."""
    return Finding(check=check, state=FindingState.FAIL, text=text, advice=advice, value=value)


def judge_certificate(ends: float, *, now: float, closes: float | None) -> Finding:
    """Judge a certificate that is believed, by its end and the close of the plan's window."""
    left = ends - now
    text = f"the certificate is believed and ends in {format_time_left(left)}"
    if closes is not None and ends < closes:
        return warning("tls", f"{text}, before the window closes", "have it renewed before the window", left)
    if left < CERTIFICATE_SOON:
        return warning("tls", text, "have it renewed", left)
    return ok("tls", text, left)


def judge_clock(difference: float, *, signs: bool) -> Finding:
    """Judge how far the gateway's clock is ahead of ours; ``signs`` where access keys are in use."""
    far = abs(difference)
    side = "ahead of" if difference > 0 else "behind"
    text = f"the gateway's clock is {format_span(float(round(far)))} {side} this machine's"
    advice = "set this machine's clock (NTP), unless it is the gateway's that is wrong"
    if far > CLOCK_LIMIT and signs:
        text = f"{text}: signatures more than {format_span(CLOCK_LIMIT)} off are refused, so none was sent"
        return failure("clock", text, advice, difference)
    if far >= CLOCK_WARN:
        return warning("clock", text, advice, difference)
    return ok("clock", "no difference to speak of" if far < 2 else text, difference)


def judge_lifetime(ends: float | None, auth: Auth, *, now: float, closes: float | None) -> Finding:
    """Judge how long the credential in use lasts. Only what the program cannot renew itself is warned of."""
    if auth.access_key is not None and auth.security_token is None:
        return ok("life", "access keys have no end of their own")
    left = None if ends is None else ends - now
    if auth.iam is not None or auth.login is not None:
        until = "" if left is None else f"; this token lasts {format_time_left(left)}"
        return ok("life", f"renewed by a login when it ends{until}", left)
    if left is None:
        return unknown("life", "the credential does not say when it ends")
    if auth.token is not None and auth.token.command is not None:
        return ok("life", f"ends in {format_time_left(left)}, and is then had again from its command", left)
    return _judge_fixed_life(left, closes=None if closes is None else closes - now)


def _judge_fixed_life(left: float, *, closes: float | None) -> Finding:
    advice = "have a new one put where its reference points to"
    if left <= 0:
        return warning("life", "by its own words the credential has ended", advice, left)
    text = f"the credential ends in {format_time_left(left)}"
    if closes is not None and left < closes:
        text = f"{text}, before the window closes ({format_time_left(closes)} from now)"
        return warning("life", text, advice, left)
    if closes is None and left < LIFE_SOON:
        return warning("life", text, advice, left)
    return ok("life", text, left)


def judge_fault(check: str, reading: Reading) -> Finding:
    """Return what a fault of a gateway as a whole means for the operator."""
    said = " ".join(part for part in (reading.code, reading.message) if part)
    match reading.verdict:
        case Verdict.DENIED:
            text = f"the credential was refused{_append_quote(said)}"
            return failure(check, text, reading.hint or "put a valid one where its reference points to")
        case Verdict.REFUSED:
            text = said or "the credential may not read here"
            return failure(check, text, reading.hint or "give its user the right to read")
        case Verdict.BUSY:
            return failure(check, f"it wants fewer requests{_append_quote(said)}", "try again later")
    return failure(check, said or "no reason was given", reading.hint or "see whether the gateway is well")


def _append_quote(text: str) -> str:
    return f": {text}" if text else ""


def judge_looks(offered: Mapping[str, bool], all_of: Sequence[str]) -> Finding:
    """Say which reads of live state are there; ``offered`` holds those of which it is known."""
    there = [via for via in all_of if offered.get(via)]
    lacking = [via for via in all_of if offered.get(via) is False]
    if not offered:
        return unknown("looks", "no target to try them with")
    if not there:
        return warning(
            "looks", f"none is offered ({', '.join(lacking)})", "a doubt will stay unknown: settle it by hand"
        )
    missing = f"; not offered: {', '.join(lacking)}" if lacking else ""
    return ok("looks", f"{', '.join(there)}{missing}")


def judge_targets(seen: Sequence[Reading], total: int) -> Finding:
    """Say what the sample of a plan's targets is like; ``seen`` holds what a look at each amounts to."""
    if not seen:
        return unknown("targets", "the plan has no target here" if not total else "none was looked at")
    counts: dict[str, int] = {}
    for reading in seen:
        word = _WORDS.get(reading.verdict, "could not be told")
        word = "not visible, or not there" if reading.hidden else word
        counts[word] = counts.get(word, 0) + 1
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    text = f"{len(seen)} of {total:,} looked at: {told}"
    odd = next((reading for reading in seen if reading.verdict not in _PLAIN), None)
    if odd is None:
        return ok("targets", text)
    said = " ".join(part for part in (odd.code, odd.message) if part)
    return warning("targets", f"{text}{f' ({said})' if said else ''}", _ADVICE.get(odd.verdict, _UNTOLD))


_WORDS = {
    Verdict.UP: "deployed",
    Verdict.DOWN: "not deployed",
    Verdict.PARTIAL: "not deployed everywhere",
    Verdict.ABSENT: "not found",
}
_PLAIN = frozenset({Verdict.UP, Verdict.DOWN})
_ADVICE = {
    Verdict.ABSENT: "compare the plan's ids and the credential's rights with this gateway",
    Verdict.PARTIAL: "see to the pods that still serve it",
    Verdict.DENIED: "the credential may have ended meanwhile",
}
_UNTOLD = "see whether the gateway is well, and what the credential may read"


def judge_latency(seconds: Sequence[float]) -> Finding:
    """Return the median time of the replies."""
    if not seconds:
        return unknown("latency", "no reply")
    middle = median(seconds)
    return ok("latency", f"{format_span(middle)} (median of {len(seconds)})", middle)
