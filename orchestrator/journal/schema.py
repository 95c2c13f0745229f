"""The tables of a journal, which is one SQLite database.

``FORMAT`` changes when an older program could not read a new journal; then ``migrations`` gets a step.
"""

from __future__ import annotations

from orchestrator.model.outcome import ACCEPTED_LOSS, Outcome

FORMAT = 4

APPLICATION_ID = 0x554E4450
"""Marks the file in SQLite's header as a journal of this program: ``UNDP``."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- The targets, in the plan's order, and what became of them. `gateway` and `wave` are indices into the plan;
-- `file`, `line`, `column` say where the target was written. `step` is the step of its wave, from 0. `depth`
-- is 0 for a target that comes after no other, else one more than the deepest of those that it comes after.
CREATE TABLE target (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, gateway INTEGER NOT NULL, wave INTEGER NOT NULL,
    file INTEGER NOT NULL, line INTEGER NOT NULL, column INTEGER NOT NULL,
    description TEXT, persistent INTEGER,
    step INTEGER NOT NULL DEFAULT 0, depth INTEGER NOT NULL DEFAULT 0,
    outcome TEXT, reason TEXT, evidence TEXT, seconds REAL, ended REAL
);

-- The target `seq` may go only once the target `needs` is down.
CREATE TABLE dependency (
    seq INTEGER NOT NULL, needs INTEGER NOT NULL, PRIMARY KEY (seq, needs)
) WITHOUT ROWID;

-- What a look saw of a target before its undeploy, as JSON (a `Snapshot`); in a restore, what a look of its
-- parent saw.
CREATE TABLE snapshot (
    seq INTEGER PRIMARY KEY, taken REAL NOT NULL, verdict TEXT NOT NULL, value TEXT NOT NULL
);

-- The state of a target that was approved: the run undeploys the target only if it is still so.
CREATE TABLE approved (seq INTEGER PRIMARY KEY, state TEXT NOT NULL, revision TEXT, since TEXT);

-- How much a target was used before its undeploy, as JSON (a `Usage`). `calls` is NULL where nothing tells
-- them.
CREATE TABLE usage (
    seq INTEGER PRIMARY KEY, taken REAL NOT NULL, calls INTEGER, value TEXT NOT NULL
);

-- One row an HTTP exchange: the intent is inserted and committed before the request leaves, the result
-- fills the rest. `sent` is 0 if nothing left this machine. `pods` are those that a result named, as JSON:
-- the names of some that did not obey, the count of all, and how many more did not obey. In a restore
-- `verdict` speaks of what is wanted: `down` is "as it should be".
CREATE TABLE attempt (
    seq INTEGER NOT NULL, number INTEGER NOT NULL, act TEXT NOT NULL, via TEXT NOT NULL,
    started REAL NOT NULL, seconds REAL, status INTEGER, code TEXT, message TEXT,
    verdict TEXT, sent INTEGER, pods TEXT,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;

-- One row for each time that a process worked on the run: the first session, and each resume.
CREATE TABLE session (
    number INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL,
    holder TEXT NOT NULL, options TEXT NOT NULL,
    state TEXT, stopped_by TEXT, exit_status INTEGER, seconds REAL
);

-- What happened to a lane or to the run as a whole, in order.
CREATE TABLE note (
    number INTEGER PRIMARY KEY, session INTEGER NOT NULL, at REAL NOT NULL,
    gateway TEXT, kind TEXT NOT NULL, text TEXT
);

-- All that each commit wrote, chained by hashes: see `ledger.py`. `entries` is MessagePack; `mac` is NULL
-- where the session had no key.
CREATE TABLE ledger (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, mac BLOB, entries BLOB NOT NULL);
"""

AFTER_LOADING = "CREATE INDEX target_turn ON target (wave, step, gateway, depth, seq)"
"""Made once all targets are in: to keep the index up to date row by row costs far more."""

_UNSETTLED = """EXISTS (
    SELECT 1 FROM attempt AS a
    WHERE a.seq = target.seq AND a.act <> 'look'
      AND {verdict}
      AND NOT EXISTS (
        SELECT 1 FROM attempt AS b
        WHERE b.seq = a.seq AND b.number > a.number AND b.act = 'look' AND b.verdict = 'up'
      )
)"""

IN_DOUBT = _UNSETTLED.format(
    verdict="(a.verdict IS NULL OR a.verdict IN ('doubt', 'strange', 'partial', 'removed'))"
)
"""True of a target that an undeploy of the run may have reached, and that no later look saw deployed.

In a restore read "deploy", and exchange `up` and `down`: there `up` means "not yet as it should be".
"""

_CONTESTED = _UNSETTLED.format(verdict="a.verdict = 'contested'")
OPEN_OUTCOME = f"CASE WHEN {IN_DOUBT} OR {_CONTESTED} THEN 'unknown' ELSE 'not_started' END"
"""The outcome of a target that the run did not end. A contested refusal is a doubt: a look settles it."""

WORD = "substr(reason, 1, instr(reason, ':') - 1)"
"""The first word of a target's reason: one of ``model.outcome.Reason``, where it is one."""
COUNTED = (
    f"CASE WHEN outcome = '{Outcome.FAILED}' AND substr(reason, 1, {len(ACCEPTED_LOSS)}) = '{ACCEPTED_LOSS}'"
    f" THEN '{ACCEPTED_LOSS}' ELSE {WORD} END"
)
"""The first word of a target's reason as ``model.outcome.Counts`` has it: an accepted loss counts apart."""
KEPT = "('filtered', 'protected', 'skipped')"
"""The words of the targets that were left out on purpose."""

SNAPSHOT_NAME = "value ->> '$.facts.name'"
"""The name that people know a target by, of a row of ``snapshot``; NULL where the look told none."""
API_NAME = f"(SELECT {SNAPSHOT_NAME} FROM snapshot WHERE snapshot.seq = {{seq}})"
"""The same of the target with the number ``seq``."""

# The other acts of a restore follow a deploy: they publish and bind, and take another time.
IS_MAIN_ACT = "act IN ('undeploy', 'deploy')"
"""True of an attempt that takes a target down or brings it back."""

INSERT_INTENT = "INSERT INTO attempt (seq, number, act, via, started) VALUES (?, ?, ?, ?, ?)"
UPDATE_RESULT = (
    "UPDATE attempt SET seconds = ?, status = ?, code = ?, message = ?, verdict = ?, sent = ?, pods = ?"
    " WHERE seq = ? AND number = ?"
)
UPDATE_OUTCOME = (
    "UPDATE target SET outcome = ?, reason = ?, evidence = ?, seconds = ?, ended = ? WHERE seq = ?"
)
