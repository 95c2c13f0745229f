"""Where a front-end API is still to be published after its deploy, and what is read to find that out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.errors import JournalError
from orchestrator.gateways.roma.completion import read_deploy, read_publication
from orchestrator.gateways.roma.kept_deploy import (
    BACKEND_ALONE,
    PERHAPS_WITHOUT_FRONT,
    WITHOUT_ITS_FRONT,
    decode_deploy,
    encode_deploy,
)
from orchestrator.gateways.roma.requests import HISTORY
from orchestrator.model.bindings import Binding, Bindings, UnreadBindings
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Snapshot, Verdict
from tests.support.recorded import PARTS, gateway, samples, target
from tests.support.unbound import follow_reads

ROMA = gateway("roma")
READ = {sample.name.removeprefix("roma/"): sample.read() for sample in samples("roma")}
ID = "5f918d104dc84480a75166ba99efff21"
RELEASE, TEST = "DEFAULT_ENVIRONMENT_RELEASE_ID", "7a1ad0c350844ee69479b47df9a881cb"
FRONT = f"front/{ID}"
BODY = {"deploy_front_api": True, "env_id": RELEASE}
OURS = replace(target(*PARTS["roma"]), deploy=encode_deploy(BODY, [TEST]), bindings=Bindings())
DEPLOYED = READ["deploy-200"]


def lose(name: str, obstacle: str) -> MissingPart:
    return MissingPart(name, None, obstacle=obstacle)


MISSING = Completeness((MissingPart(f"environment {TEST}", Operation(Act.PUBLISH, f"{ID}/{TEST}"), FRONT),))


def ask(*lacking: str, about: Reading | None = None, **seen: Reading) -> Operation | Completeness | Reading:
    """What follows from reads by their ways; ``front`` is that of the sample."""
    ways = {FRONT if way == "front" else way: read for way, read in seen.items()}
    return ROMA.restore.next_completion(OURS, ways, frozenset(lacking), about)


@pytest.mark.promise(11)
def test_the_reply_to_the_deploy_or_else_the_history_names_the_front_end_api() -> None:
    look = Operation(Act.LOOK, FRONT)

    assert ask(about=DEPLOYED) == look
    assert ask() == HISTORY
    assert ask(about=Reading(verdict=Verdict.STRANGE)) == HISTORY
    assert ask(history=READ["history-v1"]) == ask(history=READ["history-v2"]) == look


@pytest.mark.promise(11)
def test_what_the_front_end_api_does_not_name_is_missing() -> None:
    assert ask(about=DEPLOYED, front=READ["front-200"]) == MISSING
    assert ask(about=DEPLOYED, front=READ["front-in-two-environments"]) == Completeness()


def test_a_front_end_api_that_is_gone_is_published_nowhere() -> None:
    gone = Reading(verdict=Verdict.TOLD, code="APIG.3002")
    found = ask(about=DEPLOYED, front=gone)

    assert isinstance(found, Completeness)
    assert [part.name for part in found.missing] == [f"environment {RELEASE}", f"environment {TEST}"]


def test_a_backend_that_was_deployed_alone_has_nothing_to_publish() -> None:
    records = [{"ld_api_id": OURS.parts[0], "deploy_time": "2026-03-01T09:31:00Z", "api_id": ""}]
    found = ask(history=Reading(verdict=Verdict.TOLD, kept={"deploys": records}))

    assert isinstance(found, Completeness)
    assert [part.step for part in found.missing] == [None, None]


def test_without_a_history_none_can_tell() -> None:
    for found in (
        ask("history"),
        ask(history=READ["history-none"]),
        ask(history=Reading(verdict=Verdict.TOLD)),
    ):
        assert isinstance(found, Reading)
        assert found.verdict in (Verdict.NOT_OFFERED, Verdict.UNCLEAR)


@pytest.mark.parametrize("deploy", [None, '{"deploy_front_api": false}', encode_deploy(BODY, [])])
def test_one_environment_or_none_costs_no_read(deploy: str | None) -> None:
    assert ROMA.restore.next_completion(replace(OURS, deploy=deploy), {}, frozenset(), None) == Completeness()


def test_the_body_of_a_deploy_has_one_environment() -> None:
    assert decode_deploy(OURS.deploy)[:2] == (BODY, (RELEASE, TEST))
    joined = msgspec.json.encode({**BODY, "env_id": f"{RELEASE}| {TEST} |{TEST}"}).decode()
    assert decode_deploy(joined)[:2] == (BODY, (RELEASE, TEST))
    assert decode_deploy(None)[:2] == ({}, ())
    for damaged in ("{", "[]", '{"further_env_ids": 5}'):
        with pytest.raises(JournalError, match="the deploy in a snapshot cannot be read"):
            decode_deploy(damaged)


def test_a_snapshot_keeps_the_further_environments_beside_the_body() -> None:
    reads = {
        "definition": READ["definition-deployed"],
        "history": READ["history-v2"],
        FRONT: READ["front-in-two-environments"],
    }
    found = follow_reads(ROMA, OURS, reads)

    assert isinstance(found, Snapshot)
    body, environments, _ = decode_deploy(found.deploy)
    assert (body["env_id"], environments) == (RELEASE, (RELEASE, TEST))
    assert "|" not in (found.deploy or "")


PUBLICATION = "d7d4c41a"
WEB_SHOP = Binding(what="application", environment=RELEASE, id="app-1", name="web-shop")
BILLING = Binding(what="application", environment=RELEASE, id="app-2")
THROTTLE = Binding(what="throttling policy", environment=RELEASE, id="policy-1", name="500 a minute")
IN_TEST = Binding(what="plug-in", environment=TEST, id="plug-in-1", name="cors")
APPLICATIONS, THROTTLES = f"applications/{ID}/{RELEASE}", f"throttles/{ID}/{RELEASE}"
PLUG_INS = f"plugins/{ID}/{TEST}"


def bound(*ids: str, total: int | None = None) -> Reading:
    """The reading of a page of bindings with these ids."""
    entries = [{"id": each} for each in ids]
    kept = {"bound": entries, "size": len(ids), "total": len(ids) if total is None else total}
    return Reading(verdict=Verdict.TOLD, kept=kept)


def bound_with(settings: dict[str, Any]) -> Reading:
    """The reading of a page with web-shop in these settings."""
    entry = {"id": WEB_SHOP.id, "settings": settings}
    return Reading(verdict=Verdict.TOLD, kept={"bound": [entry], "size": 1, "total": 1})


def published(**environments: str) -> Reading:
    """The reading of the new front-end API, by environment the id of the publication."""
    ways = {"RELEASE": RELEASE, "TEST": TEST}
    joined = "|".join(ways[each] for each in environments)
    return Reading(
        verdict=Verdict.TOLD, kept={"run_env_id": joined, "publish_id": "|".join(environments.values())}
    )


def complete(
    *found: Binding,
    environments: tuple[str, ...] = (RELEASE,),
    unread: tuple[UnreadBindings, ...] = (),
    lacking: frozenset[str] = frozenset(),
    **seen: Reading,
) -> Operation | Completeness | Reading:
    """What follows for a target on which that hung; ``seen`` has ``_`` for the name of each known read."""
    ways = {"front": FRONT, "applications": APPLICATIONS, "throttles": THROTTLES, "plugins": PLUG_INS}
    kept = encode_deploy({**BODY, "env_id": environments[0]}, environments[1:])
    ours = replace(OURS, deploy=kept, bindings=Bindings(found=found, unread=unread))
    reads = {ways.get(name, name): reading for name, reading in seen.items()}
    return ROMA.restore.next_completion(ours, reads, lacking, DEPLOYED)


@pytest.mark.promise(11)
def test_only_what_hung_is_read_and_only_what_is_missing_is_created() -> None:
    assert complete(WEB_SHOP, BILLING) == Operation(Act.LOOK, APPLICATIONS)
    assert complete(WEB_SHOP, BILLING, applications=bound("app-2", "of-another")) == Completeness(
        (
            MissingPart(
                f"application web-shop in environment {RELEASE}",
                Operation(Act.BIND, f"{APPLICATIONS}/app-1"),
                APPLICATIONS,
            ),
        )
    )
    assert complete(WEB_SHOP, BILLING, applications=bound("app-1", "app-2")) == Completeness()


@pytest.mark.promise(11)
def test_a_binding_with_other_settings_is_not_what_it_was() -> None:
    wanted = replace(
        WEB_SHOP, settings={"auth_tunnel": "GREEN", "auth_whitelist": ["192.0.2.7", "192.0.2.8"]}
    )
    same = {"auth_tunnel": "GREEN", "auth_whitelist": ["192.0.2.8", "192.0.2.7"], "visit_param": "more"}
    other = {**same, "auth_whitelist": ["192.0.2.7"]}

    assert complete(wanted, applications=bound_with(same)) == Completeness()
    assert complete(wanted, applications=bound_with(other)) == Completeness(
        (MissingPart(f"the settings of application web-shop in environment {RELEASE}", None, APPLICATIONS),)
    )


@pytest.mark.promise(11)
def test_a_policy_is_bound_to_the_new_publication() -> None:
    assert complete(THROTTLE) == Operation(Act.LOOK, FRONT)
    front = published(TEST="of-test", RELEASE=PUBLICATION)
    assert complete(THROTTLE, front=front) == Operation(Act.LOOK, THROTTLES)
    found = complete(THROTTLE, front=front, throttles=bound())

    assert isinstance(found, Completeness)
    assert [part.step for part in found.missing] == [
        Operation(Act.BIND, f"{THROTTLES}/policy-1/{PUBLICATION}")
    ]


def test_a_publication_that_is_not_told_is_not_guessed() -> None:
    front = Reading(verdict=Verdict.TOLD, kept={"run_env_id": f"{RELEASE}|{TEST}", "publish_id": PUBLICATION})
    found = complete(THROTTLE, front=front, throttles=bound())

    assert isinstance(found, Completeness)
    assert [part.step for part in found.missing] == [None]


@pytest.mark.promise(11)
def test_what_hung_in_an_environment_waits_for_its_publish() -> None:
    both = (RELEASE, TEST)
    before = complete(IN_TEST, environments=both, front=published(RELEASE=PUBLICATION))
    after = complete(IN_TEST, environments=both, front=published(RELEASE=PUBLICATION, TEST="of-test"))

    assert before == Completeness(
        (
            MissingPart(f"environment {TEST}", Operation(Act.PUBLISH, f"{ID}/{TEST}"), FRONT),
            MissingPart(f"plug-in cors in environment {TEST}", None),
        )
    )
    assert after == Operation(Act.LOOK, PLUG_INS)


@pytest.mark.promise(11)
def test_every_page_is_read_before_anything_is_called_missing() -> None:
    first = {"applications": bound("app-2", total=2)}
    second = Operation(Act.LOOK, f"{APPLICATIONS}/1")

    assert complete(WEB_SHOP, **first) == second
    assert complete(WEB_SHOP, **first, **{second.via: bound("app-1", total=2)}) == Completeness()


@pytest.mark.promise(11)
def test_what_cannot_be_read_now_is_not_created_blindly() -> None:
    refused = Reading(verdict=Verdict.NOT_OFFERED, code="APIG.1005", message="No permissions")
    for found in (
        complete(WEB_SHOP, applications=refused),
        complete(WEB_SHOP, lacking=frozenset({"applications"})),
    ):
        assert isinstance(found, Completeness)
        ((name, step),) = [(part.name, part.step) for part in found.missing]
        assert name.startswith(f"application web-shop in environment {RELEASE} (no read: ")
        assert step is None


@pytest.mark.promise(11)
def test_what_was_never_read_is_named_and_costs_no_read() -> None:
    refused = UnreadBindings("throttling policy", "APIG.1005: No permissions")
    found = complete(unread=(refused, refused))
    kept = encode_deploy(BODY, [])
    before = ROMA.restore.next_completion(
        replace(OURS, deploy=kept, bindings=None), {}, frozenset(), DEPLOYED
    )

    assert found == Completeness(
        (lose("its throttling policies, which were never read (APIG.1005: No permissions)", "lost-bindings"),)
    )
    assert before == Completeness(
        (lose("what hung on its front-end API, which was never read", "lost-bindings"),)
    )


@pytest.mark.promise(11)
def test_a_front_end_api_that_no_deploy_brings_back_is_missing() -> None:
    for deploy, words in (
        (WITHOUT_ITS_FRONT, "its front-end API and all that hung on it"),
        (PERHAPS_WITHOUT_FRONT, "its front-end API, if it had one, and all that hung on it"),
    ):
        lost = replace(OURS, deploy=deploy, bindings=Bindings())
        assert ROMA.restore.next_completion(lost, {}, frozenset(), DEPLOYED) == Completeness(
            (lose(words, "missing-history"),)
        )
    assert decode_deploy(WITHOUT_ITS_FRONT).body == decode_deploy(BACKEND_ALONE).body


def answer(status: int, fields: Any) -> Reply:
    return Reply(status, {}, msgspec.json.encode(fields), 0.0)


RECORD = {"id": "record", "ld_api_id": PARTS["roma"][0], "api_id": ID}


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("fields", "verdict", "kept"),
    [
        (RECORD, Verdict.REMOVED, {"api_id": ID}),
        ({**RECORD, "api_id": ""}, Verdict.REMOVED, None),
        ({**RECORD, "api_id": None}, Verdict.REMOVED, None),
        ({**RECORD, "id": ""}, Verdict.STRANGE, None),
        ({**RECORD, "ld_api_id": "another"}, Verdict.STRANGE, None),
        ({**RECORD, "api_definition": {"id": "another"}}, Verdict.STRANGE, None),
        ({}, Verdict.STRANGE, None),
        ([RECORD], Verdict.STRANGE, None),
    ],
)
def test_a_deploy_is_proved_by_its_own_record_which_names_the_front_end_api(
    fields: Any, verdict: Verdict, kept: dict[str, str] | None
) -> None:
    found = read_deploy(PARTS["roma"][0], answer(200, fields))

    assert (found.verdict, found.kept) == (verdict, kept)
    assert (found.evidence == "code") == (verdict is Verdict.REMOVED)
    assert (found.message is None) == (verdict is Verdict.REMOVED)


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, Verdict.REMOVED),
        ({"publish_id": ""}, Verdict.STRANGE),
        ({"env_id": TEST}, Verdict.STRANGE),
        ({"api_id": "another"}, Verdict.STRANGE),
    ],
)
def test_a_publish_is_proved_by_the_record_of_this_very_publication(
    changed: dict[str, str], verdict: Verdict
) -> None:
    record = {"publish_id": "p", "api_id": ID, "env_id": RELEASE, **changed}
    found = read_publication(ID, RELEASE, answer(201, record))

    assert found.verdict is verdict
    assert (found.evidence == "code") == (verdict is Verdict.REMOVED)
    assert (
        read_publication(ID, RELEASE, answer(201, [])).message == "201 without the record of the publication"
    )


@pytest.mark.promise(11)
def test_what_hung_on_a_further_front_end_api_is_named_and_never_asked_for() -> None:
    further = replace(WEB_SHOP, front="another-front")

    assert complete(further) == Completeness(
        (
            MissingPart(
                f"application web-shop in environment {RELEASE} on the further front-end API another-front",
                None,
            ),
        )
    )
    # The deploy brings no front-end API back, since the one of the last deployment was gone already.
    alone = replace(OURS, deploy=BACKEND_ALONE, bindings=Bindings(found=(further,)))
    assert ROMA.restore.next_completion(alone, {}, frozenset(), DEPLOYED) == complete(further)
    # Its loss was accepted with that of the front-end API itself.
    lost = replace(alone, deploy=WITHOUT_ITS_FRONT)
    assert complete(further) != ROMA.restore.next_completion(lost, {}, frozenset(), DEPLOYED)


def test_without_a_front_end_api_of_the_deploy_all_that_was_is_missing() -> None:
    """The newest deployment has none; so it is published nowhere, and nothing can hang on it."""
    kept = replace(OURS, bindings=Bindings(found=(WEB_SHOP,)))
    records = [{"ld_api_id": OURS.parts[0], "deploy_time": "2026-03-01T09:31:00Z", "api_id": ""}]
    history = Reading(verdict=Verdict.TOLD, kept={"deploys": records})
    found = ROMA.restore.next_completion(kept, {HISTORY.via: history}, frozenset(), None)

    assert found == Completeness(
        (
            MissingPart(f"environment {RELEASE}", None),
            MissingPart(f"environment {TEST}", None),
            MissingPart(f"application web-shop in environment {RELEASE}", None),
        )
    )


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "the deployment history names no deployment"),
        ([{"ld_api_id": "another", "api_id": ID}], "the deployment history names no deployment"),
        ([{"ld_api_id": PARTS["roma"][0], "api_id": "a/b"}], "the deployment history names no front-end API"),
    ],
)
def test_a_history_that_names_nothing_to_read_cannot_tell(records: list[Any], message: str) -> None:
    found = ask(history=Reading(verdict=Verdict.TOLD, kept={"deploys": records}))

    assert found == Reading(verdict=Verdict.UNCLEAR, message=message)


@pytest.mark.parametrize("told", [{"api_id": "a/b"}, {"api_id": ""}, {}, None])
def test_a_reply_that_names_no_front_end_api_leaves_it_to_the_history(told: dict[str, str] | None) -> None:
    about = Reading(verdict=Verdict.REMOVED, kept=told)

    assert ask(about=about) == HISTORY
    lacking = ask(HISTORY.via, about=about)
    assert isinstance(lacking, Reading)
    assert lacking.verdict is Verdict.NOT_OFFERED


def test_applications_alone_cost_no_read_of_the_front_end_api() -> None:
    """Only what hangs on a publication needs its id; one environment was published by the deploy itself."""
    found = complete(WEB_SHOP, THROTTLE)

    assert complete(WEB_SHOP) == Operation(Act.LOOK, APPLICATIONS)
    assert found == Operation(Act.LOOK, FRONT)


@pytest.mark.parametrize("ids", ["of-test", "a/b|c", "", "of-test|p|q"])
def test_publications_that_cannot_be_told_apart_are_not_named(ids: str) -> None:
    front = Reading(verdict=Verdict.TOLD, kept={"run_env_id": f"{TEST}|{RELEASE}", "publish_id": ids})
    found = complete(THROTTLE, front=front, throttles=bound())

    assert isinstance(found, Completeness)
    assert [(part.name, part.step) for part in found.missing] == [
        (f"throttling policy 500 a minute in environment {RELEASE}", None)
    ]


def test_two_bindings_of_one_type_and_environment_are_found_by_one_read() -> None:
    found = complete(WEB_SHOP, BILLING, applications=bound())

    assert isinstance(found, Completeness)
    assert [part.name for part in found.missing] == [
        f"application web-shop in environment {RELEASE}",
        f"application app-2 in environment {RELEASE}",
    ]
    assert [part.step for part in found.missing] == [
        Operation(Act.BIND, f"{APPLICATIONS}/app-1"),
        Operation(Act.BIND, f"{APPLICATIONS}/app-2"),
    ]
