"""Made-up inputs for every reader: a few of each sort, and those that once made a reader fail."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import strategies as st

from tests.fuzzing import findings
from tests.fuzzing.__main__ import FuzzSession
from tests.fuzzing.aims import AIMS, Aim
from tests.fuzzing.findings import CRASHES, Finding, keep, shorten, try_input
from tests.fuzzing.mutator import mutate
from tests.fuzzing.replies import decode_reply, encode_reply

KEPT = sorted(path for path in CRASHES.glob("*/*") if path.is_file())


@pytest.mark.promise(3)
@pytest.mark.parametrize("aim", list(AIMS))
def test_an_input_that_nobody_would_write_is_taken_or_refused_as_documented(aim: str) -> None:
    session = FuzzSession(aim, 1)
    session.mutate_samples(AIMS[aim].quick)
    session.make_up(AIMS[aim].quick)

    assert session.findings == []
    assert session.counts["mutated samples"] == AIMS[aim].quick
    assert session.counts["made up by hypothesis"] > 0


@pytest.mark.parametrize("aim", list(AIMS))
def test_the_samples_themselves_are_taken(aim: str) -> None:
    assert [try_input(aim, sample) for sample in AIMS[aim].list_seeds()[-2:]] in ([None], [None, None])


@pytest.mark.parametrize("file", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_made_a_reader_fail_is_read(file: Path) -> None:
    AIMS[file.parent.name].read(file.read_bytes())


def test_the_same_seed_makes_the_same_inputs() -> None:
    sample = b'200\n{"success": true, "rows": [1, {"a": null}]}'
    made = [[mutate(Random(number), sample, [b"another one"]) for number in range(200)] for _ in range(2)]

    assert made[0] == made[1]
    assert len(set(made[0])) > 150


def test_a_reply_comes_back_from_its_input() -> None:
    reply = decode_reply(encode_reply(503, {"Retry-After": "3"}, b"\n{}\xff"))

    assert reply is not None
    assert (reply.status, reply.headers, reply.body) == (503, {"retry-after": "3"}, b"\n{}\xff")
    assert decode_reply(b"no head\nbody") is None


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> str:
    """An aim whose reader fails wherever an input holds an x."""

    def read(data: bytes) -> None:
        if b"x" in data:
            raise KeyError(data)

    aim = Aim(read, lambda: [b"abc", b"axc"], st.just(b"abc"), 10)
    monkeypatch.setattr(findings, "AIMS", {**AIMS, "fragile": aim})
    return "fragile"


def test_a_finding_is_made_short_and_kept_under_a_name_of_its_own(fragile: str, tmp_path: Path) -> None:
    finding = try_input(fragile, b"a long text with an x in its midst of it")
    assert finding is not None
    assert try_input(fragile, b"a line of no such letter") is None

    short = shorten(finding)
    path = keep(short, tmp_path)

    assert short == Finding(fragile, finding.place, b"x")
    assert finding.place == "KeyError"
    assert path.read_bytes() == b"x"
    assert path == keep(short, tmp_path)
