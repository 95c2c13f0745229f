"""The goals and the floors: the one place where they stand.

A floor that is missed fails `make bench-gate`. A yardstick without goal and floor is told, and not judged.
"""

from __future__ import annotations

from bench.figures import Unit, Yardstick

_ROWS = (
    Yardstick(
        "P1", "run",
        "pace of a whole run (plan, durable journal, execution, all reports) over a bare aiohttp loop's",
        Unit.RATIO, 0.85, 0.70, "more",
    ),
    Yardstick("P2", "run", "pace of its execution alone over that loop's", Unit.RATIO, 1.10, 0.90, "more"),
    Yardstick("P1 uvloop", "run", "P1 with uvloop on both sides", Unit.RATIO, better="more"),
    Yardstick("P2 uvloop", "run", "P2 with uvloop on both sides", Unit.RATIO, 0.95, 0.80, "more"),
    Yardstick(
        "client", "client", "processor time of a request by our client alone over the bare loop's", Unit.RATIO
    ),
    Yardstick("client µs", "client", "processor time of a request", Unit.MICROSECONDS),
    Yardstick(
        "slow", "slow", "pace of a whole run over a bare loop's, if replies take 20 ms", Unit.RATIO,
        better="more",
    ),
    Yardstick("slow execution", "slow", "pace of its execution alone", Unit.RATIO, better="more"),
    Yardstick("P1 processor", "run", "P1 by the processor's time", Unit.RATIO, better="more"),
    Yardstick("P2 processor", "run", "P2 by the processor's time", Unit.RATIO, better="more"),
    Yardstick("P1 µs", "run", "processor time a target, imports apart", Unit.MICROSECONDS),
    Yardstick(
        "P3", "pace", "time over the ideal at a gateway with a token bucket that the plan does not know",
        Unit.RATIO, 1.03, 1.12,
    ),
    Yardstick("P3 refused", "pace", "share of its requests that it refuses", Unit.SHARE, 0.01, 0.05),
    Yardstick(
        "P4", "pace", "the same with the gateway's rate in the plan", Unit.RATIO, 1.01, 1.05
    ),
    Yardstick("P4 refused", "pace", "requests refused then", Unit.COUNT, 0, 0),
    Yardstick("bare loop", "pace", "time over the ideal of a bare loop beside them", Unit.RATIO),
    Yardstick("bare loop refused", "pace", "share of its requests that the gateway refuses", Unit.SHARE),
    Yardstick(
        "P5", "ill", "time of a healthy gateway beside an ill one over its time alone", Unit.RATIO, 1.02, 1.10
    ),
    Yardstick(
        "P6", "parked", "requests to an ill gateway for 1,000 targets, in ten minutes", Unit.COUNT, 60, 200
    ),
    Yardstick("P7", "scale", "peak memory of the whole process", Unit.MEGABYTES, 100, 200),
    Yardstick("P7 growth", "scale", "of it, what the last nine tenths of the targets added", Unit.MEGABYTES),
    Yardstick("P7 looks", "looks", "peak memory under `look: always`", Unit.MEGABYTES, 100, 200),
    Yardstick("P7 looks growth", "looks", "of it, what the last nine tenths added", Unit.MEGABYTES),
    Yardstick(
        "P8", "check", "processor time of `check` over a bare loop's over libyaml's events",
        Unit.RATIO, 1.8, 2.5,
    ),
    Yardstick("P8 µs", "check", "processor time of `check` a target", Unit.MICROSECONDS),
    Yardstick(
        "P9", "start", 'processor time of `--help` and `--version` over `python -c "import argparse"`',
        Unit.RATIO, 2.2, 3.0,
    ),
    Yardstick("P9 runs", "start", "the same of `runs`", Unit.RATIO, 3.5, 5.0),
    Yardstick("P9 check", "start", "the same of `check`", Unit.RATIO, 6.0, 9.0),
    Yardstick(
        "P10", "curl", "pace of a whole run, start-up included, over that of another program",
        Unit.RATIO, 1.0, better="more",
    ),
    Yardstick("beside", "others", "pace of a whole run over another program's", Unit.RATIO, better="more"),
    Yardstick(
        "P11", "resume", "processor time of the resume of a finished run over a bare scan of its journal",
        Unit.RATIO, 1.5, 2.5,
    ),
    Yardstick("P11 written", "resume", "reports that it writes again", Unit.COUNT, 0),
    Yardstick(
        "P12", "scale", "processor time a target of a million, over that of ten thousand",
        Unit.RATIO, 1.1, 1.2,
    ),
    Yardstick(
        "P12 looks", "looks", "the same of 300,000 under `look: always`", Unit.RATIO, 1.1, 1.2
    ),
    Yardstick(
        "P13 ROMA", "requests", "requests a target of a default run, without its reads of bindings",
        Unit.RATIO, 1.02, 1.10,
    ),
    Yardstick("P13 bindings", "requests", "reads of bindings of that run, for all its targets", Unit.COUNT),
    Yardstick("P13 Apinizer", "requests", "requests a target of a default run", Unit.RATIO, 2.0, 2.1),
    Yardstick(
        "P13 report", "requests", "the same with the administrator's report", Unit.RATIO, 1.05, 1.15
    ),
    Yardstick(
        "P14", "bucket",
        "time of a default run at one bucket, of a second's requests, for reads and writes, over its ideal",
        Unit.RATIO, 1.05, 1.25,
    ),
    Yardstick("P14 tight", "bucket", "the same at a bucket that holds a tenth of it", Unit.RATIO),
    Yardstick("P14 refused", "bucket", "share of its requests that the gateway refuses", Unit.SHARE),
    Yardstick("P14 requests", "bucket", "accepted requests a target", Unit.RATIO),
    Yardstick(
        "P15", "scattered",
        "time with 15 of 1,000 targets refused at random, over the pauses asked for and the time without",
        Unit.RATIO, 1.1, 1.5,
    ),
    Yardstick(
        "P16", "cold",
        "seconds over the ideal of a cold start at a bucket, of a second's requests, that no plan names",
        Unit.SECONDS, 1.0, 2.0,
    ),
    Yardstick("P16 tight", "cold", "the same at a bucket that holds a tenth of it", Unit.SECONDS),
    Yardstick(
        "P17", "live", "pace of a run that ten viewers look at, over that of one without a page",
        Unit.RATIO, 0.95, 0.90, "more",
    ),
    Yardstick("P17 processor", "live", "processor time of its process over that without a page", Unit.RATIO),
    Yardstick("P17 page", "live", "share of a processor of its thread", Unit.SHARE, 0.02, 0.05),
    Yardstick("P17 events", "live", "events a second that the run told", Unit.COUNT, better="more"),
    Yardstick(
        "P18", "distributed",
        "pace of a run over two zones through Temporal, over that on one machine, if replies take 20 ms",
        Unit.RATIO, 0.50, 0.35, "more",
    ),
    Yardstick(
        "P18 fast", "distributed", "the same at gateways without any limit, 100 requests at once",
        Unit.RATIO, better="more",
    ),
    Yardstick("P18 history", "distributed", "bytes a target of the histories at the server", Unit.COUNT),
    Yardstick("P18 memory", "distributed", "peak memory of a worker", Unit.MEGABYTES),
)  # fmt: skip

YARDSTICKS = {row.name: row for row in _ROWS}
"""The yardsticks by their names, in the order of the page."""
