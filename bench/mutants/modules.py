"""The modules that decide, and the tests that should notice each change of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from bench.processes import ROOT

_FOLDERS = ("rules",)
"""Packages of the program in which every module decides."""

_SINGLE = (
    "runs/selection.py", "preview/approval.py", "preview/states.py", "preview/assessment.py",
    "journal/taken_down.py", "journal/remainder.py", "gateways/apinizer/looks.py",
    "gateways/apinizer/full_success.py", "gateways/apinizer/replies.py", "gateways/apinizer/health.py",
    "gateways/roma/replies.py", "gateways/roma/health.py", "gateways/roma/gateway.py",
    "gateways/roma/snapshot.py", "gateways/roma/completion.py", "lanes/lane.py", "lanes/run_gate.py",
    "plan/patterns.py", "plan/protect.py", "engine/queue.py", "distributed/run_conduct.py",
    "distributed/run_state.py", "distributed/run_counts.py", "distributed/run_lanes.py",
    "distributed/lane_conduct.py", "distributed/lease.py",
)  # fmt: skip

_SAMPLES = "tests/gateways/test_contract.py::test_a_sample_is_read_as_it_wants"
_RUN_CONDUCT = "tests/distributed/test_run_conduct.py"
_FURTHER = {
    "distributed/run_state.py": (_RUN_CONDUCT,),
    "distributed/run_counts.py": (_RUN_CONDUCT,),
    "distributed/run_lanes.py": (_RUN_CONDUCT,),
    "rules/retry.py": ("tests/rules/test_mirrored.py",),
    "gateways/apinizer/looks.py": (_SAMPLES, "tests/gateways/test_apinizer.py"),
    "gateways/apinizer/replies.py": (
        _SAMPLES, "tests/gateways/test_missing_things.py", "tests/gateways/test_contradictions.py",
    ),
    "gateways/roma/gateway.py": (_SAMPLES, "tests/gateways/test_roma.py"),
    "gateways/roma/snapshot.py": (
        "tests/gateways/test_roma.py",
        "tests/gateways/test_roma_replies.py",
        "tests/gateways/test_roma_listing.py",
        *(f"tests/gateways/test_roma_bindings.py::{name}" for name in (
            "test_each_type_is_read_once_in_each_environment_after_the_front_end_is_known",
            "test_a_backend_without_a_front_end_has_nothing_and_one_that_is_down_was_not_asked",
            "test_where_the_front_end_could_not_be_read_no_type_is_known",
            "test_what_hangs_on_a_second_front_end_is_marked_for_no_deploy_brings_that_back",
        )),
    ),
    "gateways/roma/replies.py": (_SAMPLES, "tests/gateways/test_roma.py"),
    "lanes/lane.py": (
        "tests/lanes/test_login.py", "tests/lanes/test_key_trials.py",
        *(f"tests/lanes/test_lane_ends.py::{name}" for name in (
            "test_where_no_token_can_be_had_five_logins_end_every_wait",
            "test_logins_that_are_put_off_are_tried_for_park_for_and_no_longer",
            "test_a_token_that_ends_before_the_next_slot_lets_each_request_go_after_its_own_login",
            "test_a_look_that_cannot_log_in_ends_the_doubts_of_a_lane_that_was_given_up",
        )),
    ),
}  # fmt: skip
"""Tests beside those of a module's own name, for a module or a folder of them."""


class DecidingModule(Struct, frozen=True):
    """A module by its path below ``orchestrator``, and the tests that judge it, cheapest first."""

    path: str
    tests: tuple[str, ...]

    @property
    def file(self) -> Path:
        """The module's file."""
        return ROOT / "orchestrator" / self.path

    @property
    def name(self) -> str:
        """The module's name for Python."""
        return "orchestrator." + self.path.removesuffix(".py").replace("/", ".")


def list_modules(words: Sequence[str] = ()) -> list[DecidingModule]:
    """Return all modules that decide, or those whose path holds one of the words."""
    found = [f"{folder}/{path.name}" for folder in _FOLDERS for path in _list_files(folder)]
    chosen = [path for path in [*found, *_SINGLE] if not words or any(word in path for word in words)]
    return [DecidingModule(path, _list_tests(path)) for path in chosen]


def _list_files(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / "orchestrator" / folder).glob("*.py") if path.stem != "__init__")


def _list_tests(path: str) -> tuple[str, ...]:
    """Return the tests of the module's own name, then the further ones; without both those of its package.

    A gateway's kind is a folder: the tests of its modules have its name, too, or speak of all kinds.
    """
    package, _, name = path.rpartition("/")
    top, _, kind = package.partition("/")
    own = [f"tests/{top}/test_{name}", *([f"tests/{top}/test_{kind}_{name}"] if kind else [])]
    further = [
        tests for begin, all_tests in _FURTHER.items() if path.startswith(begin) for tests in all_tests
    ]
    found = [*(each for each in own if (ROOT / each).is_file()), *further]
    return tuple(found or [f"tests/{top}"])
