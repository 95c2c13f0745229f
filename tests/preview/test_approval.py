"""An approval as a value: the keys that its digests cover, and each refusal."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.errors import UsageError
from orchestrator.model.credentials import Secret
from orchestrator.preview.approval import (
    Approval,
    ApprovedTarget,
    Approver,
    add_seal,
    check_approval,
    check_names_all,
    compute_hmac,
    decode_approval,
    encode_approval,
)
from orchestrator.preview.states import TargetState, build_approved

NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
KEY = Secret("a key that is long enough")
TARGETS = (
    ApprovedTarget(
        id="apim/Retail/x/test", state=TargetState.DEPLOYED, revision="7", since="2026-01-01T00:00:00Z"
    ),
    ApprovedTarget(id="apim/Retail/a/test", state=TargetState.UNKNOWN),
)


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
