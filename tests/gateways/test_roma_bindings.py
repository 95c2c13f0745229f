"""What hangs on ROMA's front-end APIs: the reads of a snapshot, the gaps, and the other side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from orchestrator.gateways.roma.binding_replies import LONGEST_SETTING
from orchestrator.gateways.roma.binding_types import BINDING_TYPES, decode_bound_read
from orchestrator.gateways.roma.bindings import (
    MOST_BOUND,
    MOST_ENVIRONMENTS,
    MOST_OF_TARGET,
    MOST_PAGES,
    MOST_READS,
    Published,
    next_bindings,
)
from orchestrator.lanes.snapshot_reads import SnapshotReads
from orchestrator.model.bindings import Binding, Bindings, UnreadBindings
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, ListPage, Operation, Reading, Snapshot, Verdict
from orchestrator.rules.precheck import judge_snapshot
from orchestrator.rules.retry import RetryPolicy
from tests.support.recorded import PARTS, gateway, samples, target
from tests.support.unbound import NOTHING_BOUND

ROMA = gateway("roma")
OURS = target(*PARTS["roma"])
READ = {sample.name.removeprefix("roma/"): sample.read() for sample in samples("roma")}
SAMPLE = {sample.name.removeprefix("roma/"): sample for sample in samples("roma")}
FRONT = "5f918d104dc84480a75166ba99efff21"
OTHER = "1b" * 16
RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
TEST = "7a1ad0c350844ee69479b47df9a881cb"
DEPLOYED = {
    "definition": READ["definition-deployed"],
    "history": READ["history-v2"],
    f"front/{FRONT}": READ["front-200"],
}
BOUND = {f"{key}/{FRONT}/{RELEASE}": READ[f"bound-{key}-200"] for key in BINDING_TYPES}


def follow(seen: dict[str, Reading], *lacking: str) -> tuple[list[str], Snapshot]:
    """The binding reads that a snapshot asks for beside ``seen``, of which none shows anything; and it."""
    asked, seen, reads = [], dict(seen), SnapshotReads(ROMA.restore, OURS)
    while isinstance(found := reads.find_next(seen, frozenset(lacking)), Operation):
        assert decode_bound_read(found.via)
        asked.append(found.via)
        seen[found.via] = NOTHING_BOUND
    return asked, found


def find_bindings(seen: dict[str, Reading], *lacking: str) -> Bindings:
    bindings = follow({**DEPLOYED, **seen}, *lacking)[1].bindings
    assert bindings is not None
    return bindings


def page(entries: int, total: int, first: int = 0) -> Reading:
    """A page of so many applications."""
    bound = [{"id": f"app-{first + number}"} for number in range(entries)]
    return Reading(verdict=Verdict.TOLD, kept={"bound": bound, "size": entries, "total": total})


def test_each_type_is_read_once_in_each_environment_after_the_front_end_is_known() -> None:
    two = {**DEPLOYED, f"front/{FRONT}": READ["front-in-two-environments"]}

    assert follow(DEPLOYED)[0] == [f"{key}/{FRONT}/{RELEASE}" for key in BINDING_TYPES]
    assert follow(two)[0] == [f"{key}/{FRONT}/{each}" for each in (RELEASE, TEST) for key in BINDING_TYPES]


def test_a_snapshot_keeps_ids_names_and_what_a_create_needs() -> None:
    bindings = find_bindings(BOUND)

    assert [(each.what, each.environment, each.name) for each in bindings.found] == [
        ("application", RELEASE, "web-shop"),
        ("application", RELEASE, "billing"),
        ("throttling policy", RELEASE, "100-a-minute"),
        ("access control", RELEASE, "offices"),
        ("signature key", RELEASE, "backend-signature"),
        ("plug-in", RELEASE, "cross-origin"),
    ]
    assert bindings.found[1].settings == {
        "auth_tunnel": "GREEN",
        "auth_whitelist": ["192.0.2.0/24", "198.51.100.7"],
        "auth_blacklist": ["203.0.113.9"],
        "visit_param": "warehouse-7",
    }
    assert bindings.unread == ()


@pytest.mark.promise(9)
@pytest.mark.parametrize("name", [name for name in SAMPLE if b"FAKE-SIGN" in SAMPLE[name].reply.body])
def test_no_key_and_no_secret_of_a_signature_is_kept(name: str) -> None:
    assert "FAKE-SIGN" not in msgspec.json.encode(READ[name]).decode()


@pytest.mark.promise(9)
def test_no_key_and_no_secret_is_kept_of_the_lists_either() -> None:
    apps = [{"id": "a1", "name": "web-shop", "app_key": "FAKE-KEY", "app_secret": "FAKE-SECRET"}]
    signs = [{"id": "s1", "name": "hmac", "sign_key": "FAKE-KEY", "sign_secret": "FAKE-SECRET"}]
    bound = [{"api_id": FRONT, "env_id": RELEASE, "sign_key": "FAKE-KEY", "sign_secret": "FAKE-SECRET"}]

    assert "FAKE" not in repr(read_owners("applications", apps))
    assert "FAKE" not in repr(read_owners("signs", signs))
    assert "FAKE" not in repr(read_places("signs", bound))


def test_a_backend_without_a_front_end_has_nothing_and_one_that_is_down_was_not_asked() -> None:
    record = {**(READ["history-v2"].kept or {})["histories"][1], "api_id": ""}
    alone = msgspec.structs.replace(READ["history-v2"], kept={"histories": [record]})
    down = SnapshotReads(ROMA.restore, OURS).find_next(
        {"definition": READ["show-in-development"]}, frozenset()
    )

    assert find_bindings({"history": alone}) == Bindings()
    assert isinstance(down, Snapshot)
    assert down.bindings is None


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        ("bound-applications-403", "APIG.1005: No permissions to request this method"),
        ("bound-applications-401-no-permission", "ROMA.1006: No permission"),
        ("bound-applications-404-no-front-end", f"APIG.3002: API {FRONT} does not exist"),
        ("bound-plugins-500", "APIG.9999: System error"),
        ("bound-plugins-404", "HTTP 404, an HTML page (39 bytes)"),
        ("bound-applications-of-another", "the reply is about something else"),
        ("bound-applications-without-an-id", "an entry has no id, or settings of a strange form"),
    ],
)
def test_a_refusal_is_a_gap_with_its_type_and_its_reason(refusal: str, why: str) -> None:
    found = follow({**DEPLOYED, **BOUND, f"plugins/{FRONT}/{RELEASE}": READ[refusal]})[1]

    assert found.bindings is not None
    assert found.bindings.unread == (UnreadBindings("plug-in", why),)
    assert len(found.bindings.found) == 5
    assert found.obstacles == ("new-front-end-id", "lost-bindings")


def test_a_type_that_is_not_offered_is_not_asked_again() -> None:
    asked, found = follow(DEPLOYED, "acls", "plugins")

    assert [each.split("/")[0] for each in asked] == ["applications", "throttles", "signs"]
    assert found.bindings is not None
    assert [each.what for each in found.bindings.unread] == ["access control", "plug-in"]


def test_a_required_snapshot_takes_a_gap_for_one_and_names_it() -> None:
    seen = {**DEPLOYED, **BOUND, f"plugins/{FRONT}/{RELEASE}": READ["bound-applications-403"]}
    end = judge_snapshot(RetryPolicy(), follow(seen)[1], None, required=True)

    assert end is not None
    assert end.reason == (
        "snapshot: what hangs on its front end could not all be read: plug-in"
        " (APIG.1005: No permissions to request this method)"
    )
    assert judge_snapshot(RetryPolicy(), follow(seen)[1], None, required=False) is None


def test_where_the_front_end_could_not_be_read_no_type_is_known() -> None:
    bindings = find_bindings({f"front/{FRONT}": READ["front-404-html"]})

    assert [each.what for each in bindings.unread] == [each.word for each in BINDING_TYPES.values()]
    assert {each.why for each in bindings.unread} == {
        "the environments of its front-end API could not be read"
    }


def test_all_pages_are_read_and_joined() -> None:
    read = f"applications/{FRONT}/{RELEASE}"
    seen = {read: page(500, 1201), f"{read}/500": page(500, 1201, 500)}
    last = SnapshotReads(ROMA.restore, OURS).find_next({**DEPLOYED, **seen}, frozenset())
    bindings = find_bindings({**seen, f"{read}/1000": page(201, 1201, 1000)})

    assert last == Operation(Act.LOOK, f"{read}/1000")
    assert len({each.id for each in bindings.found}) == 1201


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page(500, MOST_BOUND + 1)], "there are 5,001, more than the 5,000 that are kept"),
        ([page(500, 501), page(1, 502, 500)], "they changed while they were read"),
        ([page(500, 501), page(0, 501)], "500 of 501 are shown"),
        ([page(500, 1000), page(500, 1000)], "its pages repeat each other"),
        ([page(0, 3)], "0 of 3 are shown"),
    ],
)
def test_what_is_not_whole_is_not_read(pages: list[Reading], why: str) -> None:
    read = f"applications/{FRONT}/{RELEASE}"
    seen = {f"{read}/{500 * number}" if number else read: each for number, each in enumerate(pages)}

    assert find_bindings(seen).unread == (UnreadBindings("application", why),)
    assert find_bindings(seen).found == ()


def read_all(environments: int, make_page: Callable[[int], Reading]) -> tuple[int, Bindings]:
    """Read what hangs on one front end; return the number of reads, and what was found."""
    seen: dict[str, Reading] = {}
    published = [Published(FRONT, [f"env-{number}" for number in range(environments)])]
    while isinstance(found := next_bindings(published, seen, frozenset()), Operation):
        seen[found.via] = make_page(len(seen))
    return len(seen), found


@pytest.mark.promise(10)
def test_pages_of_one_entry_each_are_not_read_for_ever() -> None:
    reads, found = read_all(1, lambda number: page(1, MOST_BOUND, number))

    assert reads == MOST_PAGES * len(BINDING_TYPES)
    assert {each.why for each in found.unread} == {"100 of 5,000 are shown on 100 pages"}


@pytest.mark.promise(10)
def test_pages_of_other_environments_alone_are_not_read_for_ever() -> None:
    elsewhere = Reading(verdict=Verdict.TOLD, kept={"bound": [], "size": 1, "total": MOST_BOUND})

    reads, found = read_all(1, lambda _: elsewhere)

    assert reads == MOST_PAGES * len(BINDING_TYPES)
    assert len(found.unread) == len(BINDING_TYPES)


@pytest.mark.long("reads pages until the bounds of a target are reached")
@pytest.mark.promise(10)
def test_the_reads_of_one_target_and_what_is_kept_of_them_are_bounded() -> None:
    reads, short = read_all(MOST_ENVIRONMENTS, lambda number: page(1, MOST_BOUND, number))
    _, many = read_all(2, lambda number: page(MOST_BOUND, MOST_BOUND, number * MOST_BOUND))

    assert reads == MOST_READS
    assert "1,000 other pages were read for it already" in {each.why for each in short.unread}
    assert len(many.found) == MOST_OF_TARGET + MOST_BOUND
    assert {each.why for each in many.unread} == {"more than 20,000 others hang on it already"}


def test_settings_are_bounded_one_by_one_and_together() -> None:
    entry = {"app_id": "a", "api_id": FRONT, "env_id": RELEASE, "visit_param": "x" * (LONGEST_SETTING + 1)}
    body = msgspec.json.encode({"total": 1, "size": 1, "auths": [entry]})
    read = ROMA.read(Operation(Act.LOOK, f"applications/{FRONT}/{RELEASE}"), OURS, Reply(200, {}, body, 0.0))
    many = [{"id": f"a{number}", "settings": {"visit_param": "x" * 8000}} for number in range(140)]
    large = Reading(verdict=Verdict.TOLD, kept={"bound": many, "size": 140, "total": 140})

    assert read.message == "an entry has no id, or settings of a strange form"
    assert find_bindings({f"applications/{FRONT}/{RELEASE}": large}).unread == (
        UnreadBindings("application", "their settings have too many characters to be kept"),
    )


@pytest.mark.promise(10)
def test_more_environments_than_are_read_are_a_gap_and_no_strange_id_goes_into_a_url() -> None:
    many = next_bindings([Published(FRONT, ["e"] * (MOST_ENVIRONMENTS + 1))], {}, frozenset())
    strange = next_bindings([Published(FRONT, ["../../acls"])], {}, frozenset())

    assert isinstance(many, Bindings)
    assert isinstance(strange, Bindings)
    assert len(many.unread) == len(strange.unread) == 5
    for via in (f"applications/{FRONT}/../acls", f"applications/../{RELEASE}", f"acls/{FRONT}/a b"):
        with pytest.raises(ValueError, match="not asked to look"):
            ROMA.build_request(Operation(Act.LOOK, via), OURS, Secret("t"), note=None, now=0.0)


@pytest.mark.parametrize(
    "via", ["", "applications", f"applications/{FRONT}/{RELEASE}/../x", f"acls/{FRONT}/e/i"]
)
def test_no_create_is_built_of_a_text_that_is_none(via: str) -> None:
    with pytest.raises(ValueError, match="not asked to bind"):
        ROMA.build_request(Operation(Act.BIND, via), OURS, Secret("t"), note=None, now=0.0)


def test_what_hangs_on_a_second_front_end_is_marked_for_no_deploy_brings_that_back() -> None:
    fronts = [READ["front-200"].kept, {"id": OTHER, "run_env_id": RELEASE}]
    listed = Reading(verdict=Verdict.TOLD, kept={"apis": fronts})
    shared = {f"applications/{OTHER}/{RELEASE}": page(1, 1), f"applications/{FRONT}/{RELEASE}": page(1, 1)}
    bindings = find_bindings({"fronts": listed, **shared})

    assert [each.front for each in bindings.found] == [None, OTHER]


OWNER = "98df09fb459a43ef9d9bbe8e1be5a4b1"


def read_owners(name: str, entries: list[dict[str, Any]]) -> ListPage | Reading:
    assert ROMA.bindings is not None
    return ROMA.bindings.read_owners(name, reply_of(BINDING_TYPES[name].owners_path, entries))


def read_places(name: str, entries: list[dict[str, Any]], row: str | None = None) -> ListPage | Reading:
    assert ROMA.bindings is not None
    reply = reply_of(BINDING_TYPES[name].owner_side.entries, entries)
    return ROMA.bindings.read_places(name, (OWNER,), row, reply)


def reply_of(key: str, entries: list[dict[str, Any]]) -> Reply:
    return Reply(
        200, {}, msgspec.json.encode({"total": len(entries), "size": len(entries), key: entries}), 0.0
    )


def of_type(name: str) -> Iterator[dict[str, Any]]:
    """The entries that the other side has for what the sample of a type shows of our front end."""
    side = BINDING_TYPES[name].owner_side
    for each in READ[f"bound-{name}-200"].kept["bound"]:
        yield {side.id: FRONT, side.environment: RELEASE, **each.get("settings", {})}


@pytest.mark.parametrize("name", BINDING_TYPES)
def test_both_sides_tell_the_same(name: str) -> None:
    assert ROMA.bindings is not None
    alone = READ[f"bound-{name}-200"]
    rows = []
    for shown, entry in zip(alone.kept["bound"], of_type(name), strict=True):
        reply = reply_of(BINDING_TYPES[name].owner_side.entries, [entry])
        found = ROMA.bindings.read_places(name, (shown["id"],), shown["name"], reply)
        assert isinstance(found, ListPage)
        assert [place for place, _ in found.rows] == [(FRONT, RELEASE)]
        rows += [row for _, row in found.rows]

    assert ROMA.bindings.read_place(rows) == alone
    assert ROMA.bindings.covers(rows, alone)
    assert not ROMA.bindings.covers(rows[1:], alone)


def test_the_other_side_is_asked_page_by_page_under_v2() -> None:
    feature, token = ROMA.bindings, Secret("t")
    assert feature is not None
    base = "/apic/instances/f0fa1789-3b76-433b-a787-9892951c620e"
    lists = [feature.build_owners(name, 500, 50, token, now=0.0).url for name in feature.names]
    places = [feature.build_places(name, (OWNER,), 0, 500, token, now=0.0).url for name in feature.names]

    assert [url.rpartition(base)[2] for url in lists] == [
        f"/{each}?limit=50&offset=500" for each in ("apps", "throttles", "acls", "signs", "plugins")
    ]
    assert [url.rpartition(base)[2] for url in places] == [
        f"/app-auths/binded-apis?app_id={OWNER}&limit=500&offset=0",
        f"/throttle-bindings/binded-apis?throttle_id={OWNER}&limit=500&offset=0",
        f"/acl-bindings/binded-apis?acl_id={OWNER}&limit=500&offset=0",
        f"/sign-bindings/binded-apis?sign_id={OWNER}&limit=500&offset=0",
        f"/plugins/{OWNER}/attached-apis?limit=500&offset=0",
    ]


def test_only_the_first_page_of_a_read_is_a_place() -> None:
    feature = ROMA.bindings
    assert feature is not None

    assert feature.find_place(Operation(Act.LOOK, f"acls/{FRONT}/{RELEASE}")) == ("acls", (FRONT, RELEASE))
    for via in (f"acls/{FRONT}/{RELEASE}/500", "definition", f"front/{FRONT}"):
        assert feature.find_place(Operation(Act.LOOK, via)) is None


def test_what_is_bound_in_several_environments_is_at_several_places() -> None:
    found = read_places("throttles", [{"id": FRONT, "run_env_id": f"{RELEASE}|{TEST}"}])

    assert isinstance(found, ListPage)
    assert [place for place, _ in found.rows] == [(FRONT, RELEASE), (FRONT, TEST)]


@pytest.mark.parametrize(
    "entry",
    [
        {"api_id": "../x", "env_id": RELEASE},
        {"api_id": FRONT},
        {"api_id": FRONT, "env_id": RELEASE, "app_id": "another"},
        {"api_id": FRONT, "env_id": RELEASE, "auth_whitelist": [1]},
    ],
)
def test_one_entry_that_cannot_be_read_makes_the_page_none(entry: dict[str, Any]) -> None:
    found = read_places("applications", [{"api_id": OTHER, "env_id": RELEASE}, entry])

    assert isinstance(found, Reading)
    assert found.verdict is Verdict.UNCLEAR


def test_a_create_sends_the_settings_of_its_own_environment() -> None:
    kept = [
        Binding(what="application", environment=TEST, id=OWNER, settings={"auth_tunnel": "GREEN"}),
        Binding(
            what="application", environment=RELEASE, id=OWNER, settings={"auth_tunnel": "BLUE"}, front=OTHER
        ),
        Binding(what="application", environment=RELEASE, id=OWNER, settings={"auth_tunnel": "NORMAL"}),
    ]
    ours = msgspec.structs.replace(OURS, bindings=Bindings(found=kept))
    operation = Operation(Act.BIND, f"applications/{FRONT}/{RELEASE}/{OWNER}")
    body = ROMA.build_request(operation, ours, Secret("t"), note=None, now=0.0).body

    assert msgspec.json.decode(body or b"") == {
        "env_id": RELEASE,
        "app_ids": [OWNER],
        "api_ids": [FRONT],
        "auth_tunnel": "NORMAL",
    }
