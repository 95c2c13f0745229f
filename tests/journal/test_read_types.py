"""The first journals that a process reads, in several threads at once."""

from __future__ import annotations

import subprocess
import sys

FIRST_READS = """
import sys
import threading

from orchestrator.journal.read_types import prepare_read_types
from orchestrator.model.plan import Plan, Wave
from orchestrator.plan.json_form import decode_plan, encode_plan
from tests.support.journals import roma

prepare_read_types()
sys.setswitchinterval(1e-6)
gateway = roma()
raw = encode_plan(Plan(name="p", gateways=(gateway,), waves=(Wave(name="w"),)))
together = threading.Barrier(8)


def read():
    together.wait()
    assert decode_plan(raw).gateways == (gateway,)


threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_read_their_first_plans_at_once() -> None:
    """msgspec is not made for that: without a preparation some of these processes would crash."""
    for _ in range(4):
        ended = subprocess.run([sys.executable, "-c", FIRST_READS], capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b"")
