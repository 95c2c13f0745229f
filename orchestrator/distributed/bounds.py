"""The bounds that the parts of a distributed run keep: of what Temporal takes, and of how long one waits."""

from __future__ import annotations

CHUNK_TARGETS = 200
"""Targets of one chunk at most, unless its lane ends them in less than ``CHUNK_SECONDS``."""

FAST_CHUNK_TARGETS = 1000
"""Targets of one chunk of such a lane at most."""

CHUNK_SECONDS = 1.0
"""Seconds that a chunk of more than ``CHUNK_TARGETS`` is to last: its end is what other lanes hear of."""

FAST_CHUNK_BYTES = 200_000
"""Compressed bytes of such a chunk at most: each of its heartbeats carries all of them so far."""

PART_TARGETS = 10_000
"""Targets of one lane workflow at most: its history keeps all results, far below Temporal's bounds."""

OPEN_TARGETS = 100_000
"""Targets whose results no driver has taken over yet. Beyond them a run waits for its driver."""

MOST_BROKEN = 150_000
"""Numbers of targets that a run keeps because others wait for them in vain, before it stops.

Each takes up to eight bytes, and base64 adds a third to them when the run continues as new.
"""

PAGE_BYTES = 1_000_000
"""Bytes of one page of a journal on its way to the workers: Temporal takes 2 MB at most."""

PAGES_TOGETHER = 20
"""Pages that one journal workflow keeps at most: Temporal bounds a history to 50 MB."""

CHUNK_BYTES = 600_000
"""Compressed bytes of results after which a chunk ends early, and the rest becomes another one.

Those of ``ChunkOrder.rows`` and ``beats`` count, too. Base64 adds a third, Temporal takes 2 MB, and a chunk
whose worker was lost twice is handed out with the results of both.
"""

PAYLOAD_BYTES = 1_450_000
"""Compressed bytes that a chunk tells the server in one payload at most: base64 adds a third.

A server with its usual bound of 2 MB fails the chunk for a larger one, as if somebody had cancelled it, and
drops all that earlier heartbeats told.
"""

LEASE = 10.0
"""Seconds without a sign of life after which a chunk goes to another worker."""

LEASE_MARGIN = 2.0
"""Seconds before the end of its lease from which a worker sends nothing any more."""

LOOK_WAIT = 30.0
"""Seconds that the workers of a zone get to take the look of a preview or a doctor."""
