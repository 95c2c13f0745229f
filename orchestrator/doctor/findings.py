"""Findings about a gateway, as values, and the rules that judge whether a finding is good or bad. Pure.

Durations are seconds; instants are Unix times.
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
"""A certificate that ends within this time is warned of, so that it can be renewed before its end."""
LIFE_SOON = 3600.0
"""The same for a credential, where the plan has no window that the credential should outlive."""
CLOCK_WARN = 300.0
"""A clock that differs by this much is warned of."""
CLOCK_LIMIT = 900.0
"""A gateway refuses signatures whose time differs by more than this."""


class FindingState(StrEnum):
    """How good a finding is. ``UNKNOWN``: not asked, or not answered; that alone is no warning."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


CHECKS = (
    "name", "port", "proxy", "tls", "answer", "clock", "credential", "life", "version", "looks", "targets",
    "latency",
)  # fmt: skip
"""The checks in the order in which each depends on those before: the first that fails is the cause."""


STORE = "traffic log"
"""A further check, of gateways with a traffic store alone; it depends on no other one."""


class Finding(Struct, frozen=True, kw_only=True):
    """The result of one check.

    ``advice`` names the remedy for the operator, and is empty where none is needed. ``value`` is the
    result as a number of seconds, for checks that measure one (see docs/doctor.md). ``unread`` says that
    something which the check asked for could not be read: a run can do its work, and yet not all is known.
    """

    check: str
    state: FindingState
    text: str
    advice: str = ""
    value: float | None = None
    unread: bool = False

    @classmethod
    def ok(cls, check: str, text: str, value: float | None = None) -> Finding:
        """Return a finding that all is well."""
        return cls(check=check, state=FindingState.OK, text=text, value=value)

    @classmethod
    def unknown(cls, check: str, text: str) -> Finding:
        """Return a finding that nothing could be found out."""
        return cls(check=check, state=FindingState.UNKNOWN, text=text)

    @classmethod
    def warning(cls, check: str, text: str, advice: str, value: float | None = None) -> Finding:
        """Return a finding that does not keep a run from working now."""
        return cls(check=check, state=FindingState.WARN, text=text, advice=advice, value=value)

    @classmethod
    def missed(cls, check: str, text: str, advice: str) -> Finding:
        """Return a warning that something could not be read."""
        return cls(check=check, state=FindingState.WARN, text=text, advice=advice, unread=True)

    @classmethod
    def failure(cls, check: str, text: str, advice: str, value: float | None = None) -> Finding:
        """Return a finding with which no run can do its work."""
        return cls(check=check, state=FindingState.FAIL, text=text, advice=advice, value=value)


class GatewayDiagnosis(Struct, frozen=True, kw_only=True):
    """All findings about one gateway: one for each of ``CHECKS``, in their order, then one of its store."""

    gateway: str
    kind: str
    url: str
    findings: tuple[Finding, ...]
    requests: int
    """HTTP requests that were sent, with logins."""

    @property
    def state(self) -> FindingState:
        """The worst state of the findings; UNKNOWN does not count."""
        states = {finding.state for finding in self.findings}
        return next(
            (state for state in (FindingState.FAIL, FindingState.WARN) if state in states), FindingState.OK
        )

    @property
    def is_known(self) -> bool:
        """Whether nothing fails, and all that was asked for could be read."""
        return self.state is not FindingState.FAIL and not any(each.unread for each in self.findings)

    @property
    def worst(self) -> tuple[Finding, ...]:
        """The findings that make the state, the cause first; empty where all is well."""
        state = self.state
        if state is FindingState.OK:
            return ()
        return tuple(finding for finding in self.findings if finding.state is state)


def complete_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding for each of ``CHECKS``, in their order, and one of ``STORE`` if there is one.

    The last finding of a check counts.
    """
    found = {finding.check: finding for finding in findings}
    checks = (*CHECKS, STORE) if STORE in found else CHECKS
    return tuple(found.get(check, Finding.unknown(check, "not checked")) for check in checks)


def judge_certificate(ends: float, *, now: float, closes: float | None) -> Finding:
    """Judge a trusted certificate by its end, and by the close of the plan's window."""
    left = ends - now
    text = f"the certificate is believed and ends in {format_time_left(left)}"
    if closes is not None and ends < closes:
        return Finding.warning(
            "tls", f"{text}, before the window closes", "have it renewed before the window", left
        )
    if left < CERTIFICATE_SOON:
        return Finding.warning("tls", text, "have it renewed", left)
    return Finding.ok("tls", text, left)


def judge_clock(difference: float, *, signs: bool) -> Finding:
    """Judge how far the gateway's clock is ahead of this machine's. ``signs``: requests carry signatures."""
    far = abs(difference)
    side = "ahead of" if difference > 0 else "behind"
    text = f"the gateway's clock is {format_span(float(round(far)))} {side} this machine's"
    advice = "set this machine's clock (NTP), unless it is the gateway's that is wrong"
    if far > CLOCK_LIMIT and signs:
        text = f"{text}: signatures more than {format_span(CLOCK_LIMIT)} off are refused, so none was sent"
        return Finding.failure("clock", text, advice, difference)
    if far >= CLOCK_WARN:
        return Finding.warning("clock", text, advice, difference)
    return Finding.ok("clock", "no difference to speak of" if far < 2 else text, difference)


def judge_lifetime(ends: float | None, auth: Auth, *, now: float, closes: float | None) -> Finding:
    """Judge how long the credential in use lasts; warn only of one that the program cannot renew itself."""
    if auth.access_key is not None and auth.security_token is None:
        return Finding.ok("life", "access keys have no end of their own")
    left = None if ends is None else ends - now
    if auth.password_login is not None:
        until = "" if left is None else f"; this token lasts {format_time_left(left)}"
        return Finding.ok("life", f"renewed by a login when it ends{until}", left)
    if left is None:
        return Finding.unknown("life", "the credential does not say when it ends")
    if auth.token is not None and auth.token.command is not None:
        return Finding.ok(
            "life", f"ends in {format_time_left(left)}, and is then had again from its command", left
        )
    return _judge_fixed_life(left, closes=None if closes is None else closes - now)


def _judge_fixed_life(left: float, *, closes: float | None) -> Finding:
    advice = "have a new one put where its reference points to"
    if left <= 0:
        return Finding.warning("life", "by its own words the credential has ended", advice, left)
    text = f"the credential ends in {format_time_left(left)}"
    if closes is not None and left < closes:
        text = f"{text}, before the window closes ({format_time_left(closes)} from now)"
        return Finding.warning("life", text, advice, left)
    # With a window its close is the measure, and the credential outlives it.
    if closes is None and left < LIFE_SOON:
        return Finding.warning("life", text, advice, left)
    return Finding.ok("life", text, left)


def judge_greeting(reading: Reading) -> Finding:
    """Judge a reply by which a gateway refused or failed the first question, which shows no credential."""
    if reading.verdict not in (Verdict.DENIED, Verdict.REFUSED):
        return judge_fault("answer", reading)
    said = " ".join(part for part in (reading.code, reading.message) if part)
    text = f"it refuses a question that needs no credential{_append_quote(said)}"
    advice = "check url; a proxy in front of the gateway may want a login of its own"
    return Finding.failure("answer", text, reading.hint or advice)


def judge_fault(check: str, reading: Reading) -> Finding:
    """Judge a reply by which a gateway refused or failed a check of the credential."""
    said = " ".join(part for part in (reading.code, reading.message) if part)
    match reading.verdict:
        case Verdict.DENIED:
            text = f"the credential was refused{_append_quote(said)}"
            return Finding.failure(
                check, text, reading.hint or "put a valid one where its reference points to"
            )
        case Verdict.REFUSED:
            text = said or "the credential may not read here"
            return Finding.failure(check, text, reading.hint or "give its user the right to read")
        case Verdict.BUSY:
            return Finding.failure(check, f"it wants fewer requests{_append_quote(said)}", "try again later")
    return Finding.failure(
        check, said or "no reason was given", reading.hint or "see whether the gateway is well"
    )


def _append_quote(text: str) -> str:
    return f": {text}" if text else ""


def judge_looks(offered: Mapping[str, bool], all_of: Sequence[str]) -> Finding:
    """Judge which reads of live state the gateway offers; ``offered`` holds the reads that were tried."""
    there = [via for via in all_of if offered.get(via)]
    lacking = [via for via in all_of if offered.get(via) is False]
    if not offered:
        return Finding.unknown("looks", "no target to try them with")
    # No failure: a run works without looks, and its doubts end as unknown.
    if not there:
        return Finding.warning(
            "looks", f"none is offered ({', '.join(lacking)})", "a doubt will stay unknown: settle it by hand"
        )
    missing = f"; not offered: {', '.join(lacking)}" if lacking else ""
    return Finding.ok("looks", f"{', '.join(there)}{missing}")


def judge_targets(seen: Sequence[Reading], total: int) -> Finding:
    """Judge a sample of the plan's targets; ``seen`` holds the reading of each that was looked at."""
    if not seen:
        return Finding.unknown(
            "targets", "the plan has no target here" if not total else "none was looked at"
        )
    counts: dict[str, int] = {}
    for reading in seen:
        word = _WORDS.get(reading.verdict, "could not be told")
        word = "not visible, or not there" if reading.hidden else word
        counts[word] = counts.get(word, 0) + 1
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    text = f"{len(seen)} of {total:,} looked at: {told}"
    odd = next((reading for reading in seen if reading.verdict not in _PLAIN), None)
    if odd is None:
        return Finding.ok("targets", text)
    said = " ".join(part for part in (odd.code, odd.message) if part)
    text, advice = f"{text}{f' ({said})' if said else ''}", _ADVICE.get(odd.verdict, _UNTOLD)
    is_told = all(reading.hidden or reading.verdict in _WORDS for reading in seen)
    return (Finding.warning if is_told else Finding.missed)("targets", text, advice)


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
    """Judge the times of the replies, by their median."""
    if not seconds:
        return Finding.unknown("latency", "no reply")
    middle = median(seconds)
    return Finding.ok("latency", f"{format_span(middle)} (median of {len(seconds)})", middle)
