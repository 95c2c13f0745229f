"""An approval as a value: the keys that its digests cover, and each refusal."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.errors import UsageError
from orchestrator.model.credentials import Secret
from orchestrator.model.plan import Window
from orchestrator.model.reading import LookFacts, Snapshot, Verdict
from orchestrator.preview.approval import (
    LIFETIME,
    SHORTEST_KEY,
    Approval,
    ApprovedTarget,
    Approver,
    add_seal,
    approve,
    check_approval,
    check_key_length,
    check_names_all,
    compute_hmac,
    decode_approval,
    encode_approval,
    is_approval,
)
from orchestrator.preview.states import Preview, SeenTarget, TargetState, build_approved
from tests.support.journals import target

NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
KEY = Secret("a key that is long enough")
TARGETS = (
    ApprovedTarget(
        id="apim/Retail/x/test", state=TargetState.DEPLOYED, revision="7", since="2026-01-01T00:00:00Z"
    ),
    ApprovedTarget(id="apim/Retail/a/test", state=TargetState.UNKNOWN),
)


REPEATED = (
    ('"plan": "p"', '"plan": "another", "plan": "p"'),
    ('"user":"alice"', '"user":"bob","user":"alice"'),
    ('"state":"deployed"', '"state":"unknown","state":"deployed"'),
)


@pytest.mark.parametrize(("written", "edited"), REPEATED)
def test_a_key_that_stands_twice_is_refused_although_the_seal_and_the_signature_hold(
    written: str, edited: str
) -> None:
    """A reviewer may believe the value that a decoder passes over."""
    text = encode_approval(make_approval(KEY)).decode()
    assert written in text

    with pytest.raises(UsageError, match=r"it was edited: an object has the key .* twice"):
        decode_approval(text.replace(written, edited).encode())


def make_approval(key: Secret | None = None, **fields: object) -> Approval:
    made = Approval(
        plan="p",
        digest="ab" * 32,
        taken=NOW,
        expires=NOW + timedelta(hours=5),
        by=Approver(user="alice", host="ops-1"),
        incomplete=("apim/Retail/a/test",),
        targets=TARGETS,
    )
    made = replace(made, **fields)
    return add_seal(replace(made, hmac=compute_hmac(made, key)) if key else made)


@pytest.mark.parametrize("key", [None, KEY])
def test_the_seal_is_the_documented_one(key: Secret | None) -> None:
    said = json.loads(encode_approval(make_approval(key)))
    seal = said.pop("seal")
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    assert seal == hashlib.sha256(text).hexdigest()


def test_the_hmac_is_the_documented_one() -> None:
    said = json.loads(encode_approval(make_approval(KEY)))
    given_hmac = said.pop("hmac")
    del said["seal"]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    assert given_hmac == hmac.new(KEY.reveal().encode(), text, hashlib.sha256).hexdigest()


def test_what_is_written_is_read_again() -> None:
    for one in (make_approval(), make_approval(KEY)):
        assert decode_approval(encode_approval(one)) == one


@pytest.mark.parametrize("key", [None, KEY])
def test_an_approval_that_holds(key: Secret | None) -> None:
    check_approval(make_approval(key), "ab" * 32, now=NOW, key=key)


REFUSALS = {
    "another plan": (make_approval(), "cd" * 32, NOW, None, "a plan with the digest abababab…"),
    "expired": (
        make_approval(),
        "ab" * 32,
        NOW + timedelta(hours=5),
        None,
        "it has expired, at 2026-11-23T02:00",
    ),
    "signed and no key": (make_approval(KEY), "ab" * 32, NOW, None, "it is signed"),
    "key and not signed": (make_approval(), "ab" * 32, NOW, KEY, "it is not signed"),
    "another key": (
        make_approval(KEY),
        "ab" * 32,
        NOW,
        Secret("another key altogether"),
        "its HMAC is wrong",
    ),
    "no hex": (make_approval(hmac="é" * 64), "ab" * 32, NOW, KEY, "its HMAC is wrong"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_exactly_why(name: str) -> None:
    one, digest, now, key, told = REFUSALS[name]

    with pytest.raises(UsageError, match=told):
        check_approval(one, digest, now=now, key=key)


EDITS = {
    "plan": "q",
    "digest": "cd" * 32,
    "taken": NOW - timedelta(days=1),
    "expires": NOW + timedelta(days=9),
    "by": Approver(user="mallory", host="ops-1"),
    "incomplete": (),
    "targets": (replace(TARGETS[0], revision="8"), TARGETS[1]),
}


@pytest.mark.parametrize("field", EDITS)
def test_the_hmac_covers_everything_else(field: str) -> None:
    forged = add_seal(replace(make_approval(KEY), **{field: EDITS[field]}))

    with pytest.raises(UsageError, match="its HMAC is wrong"):
        check_approval(forged, forged.digest, now=NOW, key=KEY)


@pytest.mark.parametrize("field", EDITS)
def test_any_edit_of_any_key_is_found(field: str) -> None:
    for key in (None, KEY):
        with pytest.raises(UsageError, match="it was edited"):
            decode_approval(encode_approval(replace(make_approval(key), **{field: EDITS[field]})))


def test_an_hmac_that_is_taken_away_or_added_is_found() -> None:
    for edited in (replace(make_approval(KEY), hmac=None), replace(make_approval(), hmac="0" * 64)):
        with pytest.raises(UsageError, match="it was edited"):
            decode_approval(encode_approval(edited))


@given(st.integers(0, 1), st.sampled_from(["id", "state", "revision", "since"]))
def test_any_edit_of_a_target_is_found(index: int, field: str) -> None:
    other = {"id": "apim/Retail/z/test", "state": TargetState.ABSENT, "revision": "99", "since": "never"}
    targets = list(TARGETS)
    targets[index] = replace(targets[index], **{field: other[field]})

    with pytest.raises(UsageError, match="it was edited"):
        decode_approval(encode_approval(replace(make_approval(), targets=tuple(targets))))


BROKEN = {
    "no JSON": (b"\xff{", "it is not JSON"),
    "cut": (encode_approval(make_approval())[:-40], "it is not JSON"),
    "a list": (b"[]", "it is no approval"),
    "a preview": (b'{"kind": "preview", "schema": 1}', "it is no approval"),
    "another schema": (b'{"kind": "approval", "schema": 3}', "it has schema 3"),
    "an older schema": (b'{"kind": "approval", "schema": 1}', "an older version of the program wrote it"),
    "another key": (
        encode_approval(make_approval()).replace(b'"plan"', b'"more": 1, "plan"'),
        "it is no whole approval",
    ),
    "a naive time": (
        encode_approval(make_approval()).replace(b'02:00:00Z"', b'02:00:00"'),
        "it is no whole approval",
    ),
    "no such state": (
        encode_approval(make_approval()).replace(b'"deployed"', b'"up"'),
        "it is no whole approval",
    ),
    "twice": (
        encode_approval(make_approval(targets=(*TARGETS, TARGETS[0]))),
        "it names apim/Retail/x/test twice",
    ),
    "deep": (b"[" * 100_000, "it is not JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_approval_is_told(name: str) -> None:
    data, told = BROKEN[name]

    with pytest.raises(UsageError, match=told):
        decode_approval(data)


def test_what_is_not_named_is_told_with_a_few_names() -> None:
    check_names_all(make_approval(), ["apim/Retail/x/test"])

    with pytest.raises(UsageError, match=r"it does not name b, c, d and 1 more, which this run would take"):
        check_names_all(make_approval(), ["apim/Retail/x/test", "b", "c", "d", "e"])


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("deployed", "up"),
        ("undeployed", "down"),
        ("absent", "absent"),
        ("partial", "partial"),
        ("unknown", "unclear"),
    ],
)
def test_a_run_compares_with_verdicts(state: str, verdict: str) -> None:
    assert build_approved(state, "7", None).state == verdict


def test_an_approval_holds_no_key() -> None:
    assert KEY.reveal() not in msgspec.json.encode(make_approval(KEY)).decode()


def make_preview(window: Window | None = None) -> Preview:
    """A preview of a target that is deployed and of one of which nobody knows."""
    up = Snapshot(verdict=Verdict.UP, facts=LookFacts(revision="7", since="2026-01-01T00:00:00Z"))
    seen = (up, Snapshot(verdict=Verdict.UNCLEAR))
    return Preview(
        plan="p",
        reason=None,
        digest="ab" * 32,
        taken=NOW.timestamp(),
        seconds=1.0,
        window=window,
        gateways=(),
        targets=tuple(
            SeenTarget(target=target(seq, target_id.id), step=0, snapshot=snapshot)
            for seq, (target_id, snapshot) in enumerate(zip(TARGETS, seen, strict=True), 1)
        ),
    )


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("window", "expires"),
    [
        (None, NOW + LIFETIME),
        (Window(NOW, None), NOW + LIFETIME),
        (Window(None, NOW + 5 * HOUR), NOW + 5 * HOUR),
        (Window(None, NOW + 50 * HOUR), NOW + 50 * HOUR),
        (Window(None, NOW), NOW + LIFETIME),
        (Window(None, NOW - HOUR), NOW + LIFETIME),
    ],
)
def test_an_approval_holds_until_the_window_closes_or_for_a_day(
    window: Window | None, expires: datetime
) -> None:
    """A window that is over says nothing of a later run."""
    assert timedelta(hours=24) == LIFETIME
    assert approve(make_preview(window), Approver(user="a", host="h"), taken=NOW).expires == expires


@pytest.mark.parametrize("key", [None, KEY])
def test_what_was_seen_is_what_is_approved(key: Secret | None) -> None:
    window = Window(None, NOW + 5 * HOUR)

    made = approve(make_preview(window), Approver(user="alice", host="ops-1"), taken=NOW, key=key)
    assert made == make_approval(key)


def test_an_approval_expires_in_the_zone_in_which_it_was_made() -> None:
    ankara = timezone(timedelta(hours=3))
    window = Window(None, NOW + 5 * HOUR)
    made = approve(make_preview(window), Approver(user="a", host="h"), taken=NOW.astimezone(ankara))

    assert made.expires.isoformat().endswith("+03:00")


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (encode_approval(make_approval()), True),
        (b'{"kind": "approval", "schema": 99}', True),
        (b'{"kind": "preview"}', False),
        (b'["approval"]', False),
        (b"kind: approval", False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_an_approval_is_known_by_its_kind_sound_or_not(data: bytes, *, is_one: bool) -> None:
    assert is_approval(data) is is_one


def test_a_key_to_sign_with_has_sixteen_characters_at_least() -> None:
    assert SHORTEST_KEY == 16
    key = Secret("k" * 16)
    assert check_key_length(key, "--hmac-key") is key
    with pytest.raises(UsageError, match="--hmac-key gives a key of less than 16 characters"):
        check_key_length(Secret("k" * 15), "--hmac-key")


def test_an_approval_holds_up_to_its_last_moment() -> None:
    made = make_approval()
    check_approval(made, made.digest, now=made.expires - timedelta(microseconds=1), key=None)
    with pytest.raises(UsageError, match="it has expired"):
        check_approval(made, made.digest, now=made.expires, key=None)


def test_the_file_has_a_line_for_each_key_and_each_target() -> None:
    """A person reviews it, perhaps as a diff."""
    lines = encode_approval(make_approval(KEY)).decode().splitlines()

    keys = [line.lstrip("{").partition(":")[0].strip('"') for line in lines if not line.startswith("  ")]
    assert keys[:-1] == [
        "kind", "schema", "plan", "digest", "taken", "expires", "by", "incomplete", "hmac", "seal", "targets",
    ]  # fmt: skip
    assert [json.loads(line.rstrip(","))["id"] for line in lines if line.startswith("  ")] == [
        target.id for target in TARGETS
    ]
    assert '"hmac"' not in encode_approval(make_approval()).decode()
