"""A rehearsal's credentials, and its report compared with the counts of the simulators."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from orchestrator.model.credentials import AccessKeys, LoginPassword, Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.report.values import ReportSource, TargetReport
from orchestrator.simulator.books import SimulatorBooks, TargetFacts
from orchestrator.simulator.gateway_fixture import FAKE_KEYS, FAKE_PASSWORD, FAKE_SECURITY_TOKEN, FAKE_TOKEN
from orchestrator.text.characters import make_visible


def make_rehearsal_credential(gateway: Gateway) -> Material:
    """Return the credential that the simulator of a gateway accepts, of the kind that the plan names."""
    auth = gateway.auth
    if auth.password_login is not None:
        return LoginPassword(Secret(FAKE_PASSWORD))
    if auth.access_key is not None:
        token = None if auth.security_token is None else Secret(FAKE_SECURITY_TOKEN)
        return AccessKeys(Secret(FAKE_KEYS.access), Secret(FAKE_KEYS.secret), token)
    return Secret(FAKE_TOKEN)


def compare_counts(books: SimulatorBooks, source: ReportSource) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each count: its name, the simulators' number, and the report's."""
    totals = source.report.totals
    undeploys = sum(gateway.undeploys for gateway in books.gateways.values())
    down = sum(gateway.down for gateway in books.gateways.values())
    claimed = totals.undeployed + totals.already_undeployed
    yield "requests", f"{books.requests:,}", f"{totals.requests:,}"
    yield "undeploy requests", f"{undeploys:,}", f"{sum(map(_count_undeploys, source.targets())):,}"
    yield "targets down", f"{down:,}", f"{claimed:,}"
    yield "requests struck by a fault", f"{sum(gateway.struck for gateway in books.gateways.values()):,}", ""


def find_disagreements(
    books: SimulatorBooks, source: ReportSource, missing: Collection[str] = ()
) -> Iterator[str]:
    """Yield each claim of the report that is not true.

    ``missing`` holds the ids of the targets that the simulators were not to know.
    """
    if books.requests != source.report.totals.requests:
        yield f"{books.requests:,} requests arrived, the report counts {source.report.totals.requests:,}"
    for target in source.targets():
        facts = books.targets.get(target.id)
        wrong = _find_invention(target, missing) if facts is None else _find_false_claim(facts, target)
        if wrong:
            yield f"{make_visible(target.id)}: {wrong}"
    for destroyed in books.destroyed:
        yield f"{make_visible(destroyed)}: its definition was deleted for good"


def _count_undeploys(target: TargetReport) -> int:
    # What the run held back after its intent, as a stop rule fires, has arrived nowhere.
    return sum(attempt.act is Act.UNDEPLOY and attempt.sent for attempt in target.attempts)


def _find_invention(target: TargetReport, missing: Collection[str]) -> str | None:
    if target.id not in missing:
        return "the simulators do not know it"
    return "the report says undeployed, and it is not there" if target.outcome is Outcome.UNDEPLOYED else None


def _find_false_claim(facts: TargetFacts, target: TargetReport) -> str | None:
    sent = _count_undeploys(target)
    if sent != facts.undeploys:
        return f"{facts.undeploys} undeploy requests arrived, the report counts {sent}"
    claimed = target.outcome in (Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED)
    if claimed and not facts.down:
        return f"the report says {target.outcome.value}, and it is still up"
    if not claimed and target.outcome is not Outcome.UNKNOWN and facts.down_by:
        return f"the report says {target.outcome.value}, and request {facts.down_by} took it down"
    return None
