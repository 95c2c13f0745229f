"""What an Apinizer manager is asked before an undeploy, and after a deploy."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.model.reading import Act, LookFacts, Operation, Reading, Snapshot, Verdict
from tests.support.recorded import PARTS, gateway, samples, target

APIM = gateway("apinizer")
OURS = target(*PARTS["apinizer"])
READ = {sample.name.removeprefix("apinizer/"): sample.read() for sample in samples("apinizer")}
STATUS, HEALTH, HISTORIES, PROXY = (
    Operation(Act.LOOK, via) for via in ("deploy-status", "route-health", "deploy-histories", "proxy")
)
OLD = frozenset(("deploy-status", "route-health"))
NONE: frozenset[str] = frozenset()


def seen(**readings: Reading | str) -> dict[str, Reading]:
    """Readings by way, from samples: ``status="deployed"`` is the sample ``deploy-status-deployed``."""
    ways = {"status": STATUS, "health": HEALTH, "histories": HISTORIES, "proxy": PROXY}
    return {
        ways[key].via: READ[f"{ways[key].via}-{value}"] if isinstance(value, str) else value
        for key, value in readings.items()
    }


def pods(active: int, responded: int, *, recorded: bool | None = None) -> Reading:
    facts = LookFacts(deployed=recorded, pods_active=active, pods_responded=responded)
    if not responded:
        return Reading(verdict=Verdict.UNCLEAR, message="no pod answered the manager", facts=facts)
    return Reading(verdict=Verdict.UP if active else Verdict.DOWN, evidence="look", facts=facts)


def ask_next_read(lacking: frozenset[str] = NONE, **readings: Reading | str) -> Operation | Snapshot:
    return APIM.restore.next_snapshot_read(OURS, seen(**readings), lacking)


def test_the_record_alone_is_read_of_what_is_deployed() -> None:
    assert ask_next_read() == STATUS
    found = ask_next_read(status="deployed")

    assert isinstance(found, Snapshot)
    assert (found.verdict, found.deploy, found.obstacles) == (Verdict.UP, "{}", ())
    assert (found.facts.pods_responded, found.facts.edited) == (None, False)
    assert found.facts.revision is not None


def test_what_the_manager_calls_undeployed_wants_the_pods_word() -> None:
    assert ask_next_read(status="undeployed") == HEALTH


def test_with_a_look_after_each_undeploy_the_pods_are_asked_before_it_too() -> None:
    restore = replace(APIM, look="always").restore
    found = restore.next_snapshot_read(OURS, seen(status="deployed", health=pods(2, 2)), NONE)

    assert restore.next_snapshot_read(OURS, seen(status="deployed"), NONE) == HEALTH
    assert isinstance(found, Snapshot)
    assert (found.verdict, found.facts.pods_active, found.facts.pods_responded) == (Verdict.UP, 2, 2)


def test_edits_that_were_never_deployed_are_in_the_way() -> None:
    found = ask_next_read(status="edited")

    assert isinstance(found, Snapshot)
    assert found.obstacles == ("unpublished-edits",)


@pytest.mark.parametrize("health", ["500", "html", "no-pod-answers"])
def test_pods_that_cannot_be_read_are_in_nobody_s_way(health: str) -> None:
    restore = replace(APIM, look="always").restore
    found = restore.next_snapshot_read(OURS, seen(status="deployed", health=health), NONE)

    assert isinstance(found, Snapshot)
    assert (found.verdict, found.obstacles) == (Verdict.UP, ())


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ({"status": "undeployed", "health": "gone"}, Verdict.DOWN),
        ({"status": "undeployed", "health": pods(1, 2)}, Verdict.PARTIAL),
        ({"status": "400-proxy-not-found"}, Verdict.ABSENT),
        ({"status": "500"}, Verdict.UNCLEAR),
    ],
)
def test_what_is_not_seen_deployed_keeps_nothing_for_a_deploy(
    readings: dict[str, Reading | str], verdict: Verdict
) -> None:
    found = ask_next_read(**readings)

    assert isinstance(found, Snapshot)
    assert (found.verdict, found.deploy) == (verdict, None)


def test_an_older_manager_has_no_word_for_edits() -> None:
    assert ask_next_read(OLD) == HISTORIES
    found = ask_next_read(OLD, histories="newest-deploys")

    assert isinstance(found, Snapshot)
    assert (found.verdict, found.deploy, found.obstacles) == (Verdict.UP, "{}", ("missing-history",))


def test_a_manager_without_any_look_cannot_be_portrayed() -> None:
    found = ask_next_read(OLD | {"deploy-histories", "proxy"})

    assert isinstance(found, Snapshot)
    assert found.verdict is Verdict.NOT_OFFERED


def test_a_revision_that_is_known_comes_back_whatever_was_edited_since() -> None:
    edited = Snapshot(
        verdict=Verdict.UP, facts=LookFacts(revision="7"), deploy="{}", obstacles=("unpublished-edits",)
    )
    unknown = Snapshot(verdict=Verdict.UP, deploy="{}", obstacles=("missing-history",))

    assert APIM.restore.pin_revision(edited).deploy == '{"revision":"7"}'
    assert APIM.restore.pin_revision(edited).obstacles == ()
    assert APIM.restore.pin_revision(unknown) == replace(
        unknown, message="no read before the undeploy told its revision"
    )
    assert gateway("roma").restore.pin_revision(edited) == edited


# --- where the administrator's report tells the state ---------------------------------------------------

REPORTED = Reading(verdict=Verdict.UP, evidence="look", facts=LookFacts(deployed=True, edited=False))
REPORTED_DOWN = Reading(verdict=Verdict.DOWN, evidence="look", facts=LookFacts(deployed=False))


@pytest.mark.parametrize("lacking", [NONE, OLD])
def test_a_snapshot_by_the_report_comes_back_by_a_plain_deploy(lacking: frozenset[str]) -> None:
    """On an older manager too, whose single reads would not tell of edits."""
    found = ask_next_read(lacking, status=REPORTED)

    assert isinstance(found, Snapshot)
    assert (found.verdict, found.deploy, found.obstacles) == (Verdict.UP, "{}", ())
    assert (found.facts.revision, found.facts.edited) == (None, False)


def test_a_revision_that_no_read_told_is_in_the_way_of_a_roll_back() -> None:
    found = ask_next_read(status=REPORTED)
    assert isinstance(found, Snapshot)
    pinned = APIM.restore.pin_revision(found)

    assert (pinned.deploy, pinned.obstacles) == ("{}", ("missing-history",))
    assert pinned.message == "no read before the undeploy told its revision"


@pytest.mark.promise(3)
def test_what_the_report_calls_undeployed_wants_the_pods_word() -> None:
    assert ask_next_read(status=REPORTED_DOWN) == HEALTH
    assert APIM.next_look(OURS, seen(status=REPORTED_DOWN), NONE, None) == HEALTH
    for health, verdict in (
        (pods(0, 2), Verdict.DOWN),
        (pods(1, 2), Verdict.PARTIAL),
        (pods(0, 0), Verdict.UNCLEAR),
    ):
        found = ask_next_read(status=REPORTED_DOWN, health=health)
        assert isinstance(found, Snapshot)
        assert (found.verdict, found.deploy) == (verdict, None)


# --- whether a deploy reached all pods ------------------------------------------------------------------

PARTIAL = Reading(verdict=Verdict.PARTIAL, pods=("pod-2",), pod_count=2, evidence="deploymentResult")
FULL = Reading(verdict=Verdict.REMOVED, evidence="deploymentResult")
FULL_OF_TWO = replace(FULL, pod_count=2)


def proof(
    lacking: frozenset[str] = NONE,
    about: Reading | None = None,
    known: int = 0,
    **readings: Reading | str,
) -> Operation | Reading:
    return APIM.restore.next_proof(replace(OURS, pods=known), seen(**readings), lacking, about)


def test_a_proof_asks_the_manager_and_then_its_pods() -> None:
    assert proof() == STATUS
    assert proof(status="deployed") == HEALTH


@pytest.mark.parametrize(
    ("active", "responded", "about", "known", "verdict"),
    [
        (2, 2, None, 0, Verdict.UP),
        (2, 2, FULL, 2, Verdict.UP),
        (3, 3, FULL, 2, Verdict.UP),
        (2, 2, PARTIAL, 0, Verdict.UP),  # the pod that did not obey serves it by now
        (1, 2, FULL, 0, Verdict.PARTIAL),
        (0, 2, FULL, 0, Verdict.PARTIAL),
        (1, 1, PARTIAL, 0, Verdict.UNCLEAR),  # fewer than the reply named
        (2, 2, FULL_OF_TWO, 0, Verdict.UP),
        (1, 1, FULL_OF_TWO, 0, Verdict.UNCLEAR),  # fewer than the reply named, and no snapshot asked them
        (1, 1, FULL, 2, Verdict.UNCLEAR),  # fewer than the snapshot heard from
        (0, 0, FULL, 0, Verdict.UNCLEAR),
    ],
)
def test_every_pod_that_answers_must_serve_it_and_none_may_be_missing(
    active: int, responded: int, about: Reading | None, known: int, verdict: Verdict
) -> None:
    found = proof(NONE, about, known, status="deployed", health=pods(active, responded))

    assert isinstance(found, Reading)
    assert found.verdict is verdict
    if verdict is not Verdict.UP and about is PARTIAL:
        assert found.pods == ("pod-2",)


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        (
            {"status": "undeployed"},
            Verdict.DOWN,
        ),  # whatever pods still serve: the manager is to call it deployed
        ({"status": "500"}, Verdict.UNCLEAR),
        ({"status": "400-proxy-not-found"}, Verdict.ABSENT),
        ({"status": "deployed", "health": "500"}, Verdict.UNCLEAR),
        ({"status": "deployed", "health": pods(2, 2, recorded=False)}, Verdict.UNCLEAR),
    ],
)
def test_what_is_not_proven(readings: dict[str, Reading | str], verdict: Verdict) -> None:
    found = proof(**readings)

    assert isinstance(found, Reading)
    assert found.verdict is verdict


@pytest.mark.parametrize("lacking", [OLD, frozenset(("route-health",))])
def test_no_manager_s_word_alone_overturns_a_pod_that_its_reply_called_false(lacking: frozenset[str]) -> None:
    read = {"histories": "newest-deploys"} if lacking == OLD else {"status": "deployed"}
    refused = replace(PARTIAL, verdict=Verdict.CONTESTED)
    alone = proof(lacking, FULL, **read)

    assert isinstance(alone, Reading)
    assert alone.verdict is Verdict.UP
    for reply in (PARTIAL, refused):
        against = proof(lacking, reply, **read)
        assert isinstance(against, Reading)
        assert (against.verdict, against.pods) == (Verdict.PARTIAL, ("pod-2",))


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("responded", "verdict"), [(0, Verdict.UNCLEAR), (1, Verdict.UNCLEAR), (2, Verdict.DOWN)]
)
def test_without_pods_in_the_snapshot_a_partial_undeploy_wants_those_of_its_reply(
    responded: int, verdict: Verdict
) -> None:
    found = APIM.next_look(OURS, seen(status="undeployed", health=pods(0, responded)), NONE, PARTIAL)

    assert isinstance(found, Reading)
    assert found.verdict is verdict


def test_a_partial_undeploy_wants_the_pods_of_its_snapshot_too() -> None:
    known = replace(OURS, pods=3)
    gone = seen(status="undeployed", health=pods(0, 2))

    assert APIM.next_look(OURS, gone, NONE, PARTIAL).verdict is Verdict.DOWN  # type: ignore[union-attr]
    assert APIM.next_look(known, gone, NONE, PARTIAL).verdict is Verdict.UNCLEAR  # type: ignore[union-attr]
