"""An approval: a file in which a person approves of a preview. Pure: bytes in, bytes out.

The seal is a digest of everything else in the file, so it reveals a slip of an editor in any key. An attacker
can compute another seal; the HMAC protects against that, and covers everything but itself and the seal.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from orchestrator.errors import UsageError
from orchestrator.model.credentials import Secret
from orchestrator.preview.states import Preview, TargetState
from orchestrator.text.characters import quote_text
from orchestrator.text.counting import name_first
from orchestrator.text.json_keys import find_repeated_key

SCHEMA: Literal[2] = 2
UNSEALED_SCHEMA = 1
"""The schema of older files, whose digest covers the states of the targets and no other key."""
LIFETIME = timedelta(hours=24)
"""How long an approval holds where the plan has no window that closes."""

SHORTEST_KEY = 16
"""Characters of a signing key. A reader of the file can try shorter keys at leisure."""

MOST_NAMED = 3
"""How many targets a refusal names."""

Instant = Annotated[datetime, Meta(tz=True)]


class ApprovedTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One target as it was when it was approved."""

    id: str
    state: TargetState
    revision: str | None = None
    since: str | None = None


class Approver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The user who approved, and the host where that happened."""

    user: str
    host: str


class Approval(
    Struct, frozen=True, kw_only=True, tag="approval", tag_field="kind", forbid_unknown_fields=True
):
    """The keys of the file."""

    schema: Literal[2] = SCHEMA
    plan: str
    digest: str
    """The digest of the plan."""
    taken: Instant
    expires: Instant
    by: Approver
    incomplete: tuple[str, ...]
    """The targets whose state was unknown. They are approved, too."""
    targets: tuple[ApprovedTarget, ...]
    hmac: str | None = None
    seal: str = ""
    """The digest of all other keys."""


def approve(preview: Preview, by: Approver, *, taken: datetime, key: Secret | None = None) -> Approval:
    """Return the approval of a preview, signed if a ``key`` is given.

    The approval expires when the window closes, or after ``LIFETIME`` where there is no such end.
    """
    closes = preview.window.closes if preview.window else None
    targets = tuple(
        ApprovedTarget(
            id=seen.target.id,
            state=seen.state,
            revision=seen.snapshot.facts.revision,
            since=seen.snapshot.facts.since,
        )
        for seen in preview.targets
    )
    approval = Approval(
        plan=preview.plan,
        digest=preview.digest,
        taken=taken,
        expires=closes.astimezone(taken.tzinfo) if closes and closes > taken else taken + LIFETIME,
        by=by,
        incomplete=tuple(seen.target.id for seen in preview.unknown),
        targets=targets,
    )
    return add_seal(approval if key is None else replace(approval, hmac=compute_hmac(approval, key)))


def compute_hmac(approval: Approval, key: Secret) -> str:
    """Return the HMAC-SHA256 over the JSON of the approval without ``hmac`` and ``seal``."""
    return hmac.new(
        key.reveal().encode(), _encode_without(approval, "hmac", "seal"), hashlib.sha256
    ).hexdigest()


def add_seal(approval: Approval) -> Approval:
    """Return the approval with its seal: the SHA-256 over the JSON of the approval without ``seal``."""
    return replace(approval, seal=hashlib.sha256(_encode_without(approval, "seal")).hexdigest())


def _encode_without(approval: Approval, *left_out: str) -> bytes:
    """Return the file without some keys, as JSON with sorted keys and no space between."""
    keys = {name: value for name, value in _to_keys(approval).items() if name not in left_out}
    return msgspec.json.encode(keys, order="sorted")


def _to_keys(approval: Approval) -> dict[str, Any]:
    """Return the keys of the file; an unsigned file has no ``hmac``."""
    keys: dict[str, Any] = msgspec.to_builtins(approval)
    if keys["hmac"] is None:
        del keys["hmac"]
    return keys


def encode_approval(approval: Approval) -> bytes:
    """Return the bytes of the file: one key a line, one target a line."""
    # A person reviews the file, perhaps as a diff: that is hopeless on one long line.
    keys = _to_keys(approval)
    targets = keys.pop("targets")
    head = [f'"{name}": {msgspec.json.encode(value).decode()}' for name, value in keys.items()]
    rows = ",\n".join(f"  {msgspec.json.encode(target).decode()}" for target in targets)
    return ("{" + ",\n".join([*head, f'"targets": [\n{rows}\n]']) + "}\n").encode()


def decode_approval(data: bytes) -> Approval:
    """Return the approval that a file holds; raises ``UsageError`` where it holds none, or was edited."""
    try:
        approval = msgspec.json.decode(data, type=Approval)
    # Others may edit the file: nesting that is too deep is an error of Python's, not of the decoder's.
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(_explain_refusal(data, error)) from error
    # A person who reads the file may believe the first of two values, and the seal covers the last.
    if (key := find_repeated_key(data)) is not None:
        raise UsageError(f"it was edited: an object has the key {quote_text(key)} twice; make a new one")
    _refuse_duplicates(approval.targets)
    if add_seal(approval).seal != approval.seal:
        raise UsageError("it was edited: its seal is not the digest of what it says; make a new one")
    return approval


def _refuse_duplicates(targets: Iterable[ApprovedTarget]) -> None:
    """Raise ``UsageError`` for an id that stands twice, since the two could say different things."""
    known: set[str] = set()
    for target in targets:
        if target.id in known:
            raise UsageError(f"it names {target.id} twice")
        known.add(target.id)


def is_approval(data: bytes) -> bool:
    """Return whether ``data`` is an approval of any version, be it sound or not."""
    try:
        keys = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(keys, dict) and keys.get("kind") == "approval"


def _explain_refusal(data: bytes, error: Exception) -> str:
    try:
        keys = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"it is not JSON: {error}"
    if not isinstance(keys, dict) or keys.get("kind") != "approval":
        return "it is no approval; `undeploy preview PLAN --save FILE` writes one"
    # Not read beside the newer schema: others may edit the file, and its digest would not notice.
    if keys.get("schema") == UNSEALED_SCHEMA:
        return (
            "an older version of the program wrote it, whose digest does not cover every key; "
            "make a new one with `undeploy preview PLAN --save FILE`"
        )
    if keys.get("schema") != SCHEMA:
        return f"it has schema {keys.get('schema')!r}; this version of the program reads schema {SCHEMA}"
    return f"it is no whole approval: {error}"


def check_approval(approval: Approval, digest: str, *, now: datetime, key: Secret | None) -> None:
    """Raise ``UsageError``, with the reason, where an approval does not hold for the plan with ``digest``.

    A signed approval needs its ``key``, and a ``key`` needs a signed approval.
    """
    # A signature that is not checked would pass for one that was.
    if key is None and approval.hmac is not None:
        raise UsageError("it is signed; give its key with --hmac-key")
    if key is not None:
        if approval.hmac is None:
            raise UsageError("it is not signed, and --hmac-key wants it to be")
        # A plain comparison would end at the first wrong digit, and its time would tell how many are right.
        if not hmac.compare_digest(compute_hmac(approval, key).encode(), approval.hmac.encode()):
            raise UsageError("its HMAC is wrong: it was edited, or signed with another key")
    if approval.digest != digest:
        raise UsageError(
            f"it approves of a plan with the digest {approval.digest[:8]}…, and this plan has {digest[:8]}…:"
            " it is another plan, was changed since, or has other --target"
        )
    if now >= approval.expires:
        raise UsageError(f"it has expired, at {approval.expires.isoformat()}; make a new one")


def check_names_all(approval: Approval, wanted: Iterable[str]) -> None:
    """Raise ``UsageError`` where an approval does not name every target that is ``wanted``."""
    named = {target.id for target in approval.targets}
    missing = [name for name in wanted if name not in named]
    if missing:
        raise UsageError(f"it does not name {name_first(missing, MOST_NAMED)}, which this run would take")


def check_key_length(key: Secret, option: str) -> Secret:
    """Return the ``key`` of an ``option`` if it is long enough to sign with; raises ``UsageError``."""
    if len(key.reveal()) < SHORTEST_KEY:
        raise UsageError(f"{option} gives a key of less than {SHORTEST_KEY} characters")
    return key
