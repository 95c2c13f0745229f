"""The facts about a run as a whole: the rows of the table ``meta``, as one value.

Every key is named here and nowhere else. A key that an older program did not write has a default.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from orchestrator.errors import JournalError
from orchestrator.journal.database import Database, Value
from orchestrator.model.plan import Plan, PlanHeader, RunId
from orchestrator.plan.json_form import decode_header, decode_plan, encode_plan
from orchestrator.report.values import ApprovalMethod

RunAct: TypeAlias = Literal["undeploy", "restore"]
"""The act of a run."""

# Without the plan, which is long and which few callers need.
_ROWS = "SELECT key, value FROM meta WHERE key <> 'plan'"
_PLAN = "SELECT value FROM {schema}.meta WHERE key = 'plan'"
_PLAN_NAME = "SELECT value ->> 'name' FROM meta WHERE key = 'plan'"
_INSERT = "INSERT INTO meta VALUES (?, ?)"

_AS_JSON = ("approved", "brings_back", "accept", "unaccepted")
"""The keys whose value is JSON; the value of any other key stands in its row as it is."""

_OF_EACH_RESTORE = frozenset(("brings_back", "accept", "unseen"))
"""The keys that each restore has, even at their defaults: older programs need them to read a restore."""

_EARLIER_WORDS: dict[str, ApprovalMethod] = {
    "--yes": "yes",
    "digest typed": "prompt",
    "digest given": "digest",
    "approval file": "file",
}
"""How an approval was given, in the words of older programs."""


EARLIEST, LATEST = -62_135_510_400, 253_402_214_400
"""Unix seconds: a day after the beginning and before the end of the calendar. Other times cannot be told in
every time zone."""
UnixTime: TypeAlias = Annotated[float, Meta(ge=EARLIEST, le=LATEST)]
"""Unix seconds that can be told as a time."""


class StoredConsent(Struct, frozen=True, kw_only=True):
    """The consent of a person to the run, given before it began: how, and by whom."""

    how: ApprovalMethod
    user: str
    host: str
    at: UnixTime
    """Unix seconds."""

    @property
    def by(self) -> str:
        """The person, as ``user on host``."""
        return f"{self.user} on {self.host}"


class RunMeta(Struct, frozen=True, kw_only=True):
    """The facts about a run that its journal keeps, without the plan."""

    digest: str = ""
    """The digest of the plan, or of the restore, with its targets: it was approved."""
    folder: str = ""
    """The folder where relative paths of the plan begin."""
    source: str = ""
    """The SHA-256 of ``plan.yaml`` as it was when the run began."""
    planned: str = ""
    """The digest of the plan and the targets as this journal holds them: see ``planned.py``."""
    program: str = ""
    """The version of the program that made the journal."""
    act: RunAct = "undeploy"
    parent: RunId | None = None
    """The run that this one continues; of a restore, the newest run that it brings back."""
    created: UnixTime = 0.0
    """When the run was about to begin, in Unix seconds."""
    rehearsal: bool = False
    """Simulators stood in for the gateways."""
    approved: StoredConsent | None = None
    """None if the program did not ask, or if the row cannot be read."""
    approval_ends: UnixTime | None = None
    """When the approval file expires, in Unix seconds; None without such a file."""
    brings_back: tuple[RunId, ...] = ()
    """Of a restore: all the runs that it brings back. See ``restored_runs`` for older journals."""
    accept: tuple[str, ...] = ()
    """Of a restore: the obstacles that were accepted."""
    unaccepted: tuple[str, ...] | None = None
    """Of a restore: the obstacles that left targets out, in order; None in older journals, which have them in
    their targets' reasons alone."""
    unseen: int = 0
    """Of a restore: targets that went down and that no snapshot had seen deployed."""

    @property
    def restored_runs(self) -> tuple[RunId, ...]:
        """The runs that this restore brings back; none for an undeploy."""
        if self.act == "undeploy":
            return ()
        # Before restores of a chain there was one run only, and its key was enough.
        return self.brings_back or (() if self.parent is None else (self.parent,))


def read_meta(database: Database) -> RunMeta:
    """Return the facts about the run. Raises JournalError if they cannot be read."""
    values: dict[str, Any] = {key: value for key, value in database.rows(_ROWS) if value is not None}
    try:
        for key in values.keys() & set(_AS_JSON):
            values[key] = (
                _decode_consent(values[key]) if key == "approved" else msgspec.json.decode(values[key])
            )
        # SQLite has no booleans.
        return msgspec.convert(values | {"rehearsal": bool(values.get("rehearsal"))}, RunMeta)
    except (msgspec.DecodeError, UnicodeError, TypeError) as error:
        raise JournalError(f"{database.path}: the table `meta` cannot be read: {error}") from error


def _decode_consent(text: str) -> StoredConsent | None:
    """Return the consent in its row. A consent that cannot be read is no reason to refuse a whole journal."""
    try:
        stored: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        how = stored.get("how")
        return msgspec.convert(stored | {"how": _EARLIER_WORDS.get(str(how), how)}, StoredConsent)
    except (msgspec.DecodeError, UnicodeError, TypeError):
        return None


def insert_meta(database: Database, meta: RunMeta) -> None:
    """Insert a row for each key of ``meta`` that is not at its default, and for each key of a restore.

    A key can be inserted only once.
    """
    rows = [(key, _encode(key, value)) for key, value in _set_keys(meta).items()]
    database.run_many(_INSERT, rows)


def _set_keys(meta: RunMeta) -> dict[str, Any]:
    default = RunMeta()
    values = {key: getattr(meta, key) for key in RunMeta.__struct_fields__}
    always = _OF_EACH_RESTORE if meta.act == "restore" else frozenset()
    return {key: value for key, value in values.items() if key in always or value != getattr(default, key)}


def _encode(key: str, value: Any) -> Value:
    return msgspec.json.encode(value).decode() if key in _AS_JSON else value


def read_plan(database: Database, *, schema: Literal["main", "ours"] = "main") -> Plan:
    """Return the plan of the journal, or of the one that is attached under the name ``schema``.

    Raises JournalError where there is none.
    """
    return decode_plan(_read_plan_text(database, schema))


def read_plan_header(database: Database) -> PlanHeader:
    """Return the keys at the top of the plan of the journal. Raises JournalError where there is none."""
    return decode_header(_read_plan_text(database, "main"))


def _read_plan_text(database: Database, schema: str) -> bytes:
    for (text,) in database.rows(_PLAN.format(schema=schema)):
        if isinstance(text, str):
            return text.encode()
    raise JournalError(f"{database.path}: the journal holds no plan")


def insert_plan(database: Database, plan: Plan) -> None:
    """Insert the plan, once."""
    database.run_many(_INSERT, [("plan", encode_plan(plan).decode())])


def read_plan_name(database: Database) -> str:
    """Return the name of the plan without reading the rest of it; empty where there is no plan."""
    return next((name for (name,) in database.rows(_PLAN_NAME)), None) or ""
