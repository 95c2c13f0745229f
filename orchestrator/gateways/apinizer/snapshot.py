"""Apinizer's snapshots: the reads before an undeploy, and the proof after a deploy.

A deploy publishes the manager's present definition, not the one that ran before: the two are the same only
where nothing was edited after the last deploy. After the vendor's pages "Get Deploy Status", "Get Worker
Route Health", "Deploy API Proxy" and "Rollback Deploy History".
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.apinizer.looks import (
    HEALTH,
    STATUS,
    copy_pods,
    find_disobedience,
    is_offered,
    join_facts,
    next_look,
)
from orchestrator.gateways.kept import refuse_strange_deploy
from orchestrator.model.obstacles import MISSING_HISTORY, UNPUBLISHED_EDITS
from orchestrator.model.reading import Completeness, LookFacts, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target

PLAIN_DEPLOY = "{}"
"""The body of a deploy that a snapshot keeps: the address already names the proxy and the environment."""

_NO_REVISION = "no read before the undeploy told its revision"


@refuse_strange_deploy()
def find_revision(deploy: str | None) -> str | None:
    """Return the revision that a deploy first brings back, over the manager's working definition.

    Raises JournalError for a deploy that no version of this program has written.
    """
    return msgspec.json.decode(deploy, type=_RollbackDeploy).revision if deploy else None


class ApinizerRestore(Struct, frozen=True):
    """The restore feature: the reads of a snapshot, and the proof that a proxy is deployed again."""

    asks_pods: bool = False
    """Whether a snapshot asks the pods of a deployed proxy, too; the manager's record tells all else."""

    def next_snapshot_read(
        self,
        target: Target,  # noqa: ARG002
        seen: Mapping[str, Reading],
        lacking: frozenset[str],
    ) -> Operation | Snapshot:
        """Return the next read of a snapshot: the manager's record, then the pods where they are wanted.

        The manager's "undeployed" always wants the pods' word, since pods may serve against it.
        """
        return _next_read(seen, lacking, asks_pods=self.asks_pods)

    def next_binding_read(
        self,
        found: Snapshot,
        seen: Mapping[str, Reading],  # noqa: ARG002
        lacking: frozenset[str],  # noqa: ARG002
    ) -> Operation | Snapshot:
        """Return the snapshot unchanged: an undeploy deletes nothing that hangs on a proxy."""
        return found

    def next_proof(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Reading:
        """Return the next read, or whether the proxy is deployed on every pod that answers.

        There must be no fewer pods than the deploy's own reply named, or than the snapshot has heard from.
        """
        return _next_proof(seen, lacking, about, target.pods)

    def next_completion(
        self,
        target: Target,  # noqa: ARG002
        seen: Mapping[str, Reading],  # noqa: ARG002
        lacking: frozenset[str],  # noqa: ARG002
        about: Reading | None,  # noqa: ARG002
    ) -> Operation | Completeness | Reading:
        """Return that nothing is missing: a proxy is deployed in each environment by itself."""
        return Completeness()

    def adapt_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot unchanged: all that hangs on a proxy stays with it."""
        return snapshot

    def pin_revision(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot whose deploy first brings its revision back, over the working definition.

        Later edits are no obstacle then: they are lost. An unknown revision is one: a plain deploy may bring
        back something else, and that is for a person to accept.
        """
        revision = snapshot.facts.revision
        if revision is None:
            obstacles = dict.fromkeys((*snapshot.obstacles, MISSING_HISTORY.word))
            return replace(snapshot, message=snapshot.message or _NO_REVISION, obstacles=tuple(obstacles))
        deploy = msgspec.json.encode(_RollbackDeploy(revision=revision)).decode()
        return replace(snapshot, deploy=deploy, obstacles=())


class _RollbackDeploy(Struct):
    revision: str | None = None


def _next_read(
    seen: Mapping[str, Reading], lacking: frozenset[str], *, asks_pods: bool
) -> Operation | Snapshot:
    """Return the next read of a snapshot, or the snapshot that the reads so far give."""
    found = next_look(seen, lacking, None)
    if isinstance(found, Operation):
        return found
    if found.verdict is not Verdict.UP:
        return _make_snapshot(found, found.facts or LookFacts())
    if not is_offered(STATUS, seen, lacking):
        # An older manager has no word for unpublished edits, nor for the revision that is deployed.
        return replace(
            _make_snapshot(found, found.facts or LookFacts()),
            deploy=PLAIN_DEPLOY,
            obstacles=(MISSING_HISTORY.word,),
        )
    if asks_pods and is_offered(HEALTH, seen, lacking) and HEALTH.via not in seen:
        return HEALTH
    health = seen.get(HEALTH.via)
    facts = join_facts(found.facts or LookFacts(), (health.facts if health else None) or LookFacts())
    obstacles: list[str] = [UNPUBLISHED_EDITS.word] if facts.edited else []
    if facts.edited is None:
        obstacles.append(MISSING_HISTORY.word)
    return replace(_make_snapshot(found, facts), deploy=PLAIN_DEPLOY, obstacles=tuple(obstacles))


def _make_snapshot(found: Reading, facts: LookFacts) -> Snapshot:
    return Snapshot(
        verdict=found.verdict, code=found.code, message=found.message, hidden=found.hidden, facts=facts
    )


def _next_proof(
    seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None, pods: int
) -> Operation | Reading:
    if not is_offered(STATUS, seen, lacking):
        found = next_look(seen, lacking, None)
        return found if isinstance(found, Operation) else _trust_unless_partial(found, about)
    status, health = seen.get(STATUS.via), seen.get(HEALTH.via)
    if status is None:
        return STATUS
    if status.verdict is not Verdict.UP or not is_offered(HEALTH, seen, lacking):
        return _trust_unless_partial(status, about)
    if health is None:
        return HEALTH
    return _combine(status, health, about, max(pods, about.pod_count if about else 0))


def _trust_unless_partial(manager: Reading, about: Reading | None) -> Reading:
    """Return the manager's reading, or the deploy's own where a row of that reply contradicts "deployed"."""
    doubted = find_disobedience(about)
    if manager.verdict is Verdict.UP and doubted is not None:
        return replace(doubted, verdict=Verdict.PARTIAL, facts=manager.facts)
    return manager


def _combine(status: Reading, health: Reading, about: Reading | None, wanted: int) -> Reading:
    if health.verdict is Verdict.ABSENT:
        return health
    facts = join_facts(status.facts or LookFacts(), health.facts or LookFacts())
    doubted = copy_pods(find_disobedience(about))
    if health.verdict not in (Verdict.UP, Verdict.DOWN):
        return replace(health, facts=facts, **doubted)
    if health.facts is not None and health.facts.deployed is False:
        text = "the manager's two reads contradict each other"
        return Reading(verdict=Verdict.UNCLEAR, message=text, facts=facts, **doubted)
    responded, active = facts.pods_responded or 0, facts.pods_active or 0
    if active < responded:
        text = f"{active} of {responded} pods serve it"
        return Reading(verdict=Verdict.PARTIAL, message=text, facts=facts, **doubted)
    if responded < wanted:
        text = f"{responded} of {wanted} pods answered the manager, all of them serve it"
        return Reading(verdict=Verdict.UNCLEAR, message=text, facts=facts, **doubted)
    return replace(status, facts=facts)
