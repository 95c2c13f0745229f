"""Which targets are touched, and when: judged by what arrives at the platforms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.stage import Stage, apim_id, backend, roma_id, until

pytestmark = pytest.mark.long("runs are processes of their own")


def _down(stage: Stage) -> set[str]:
    return {name for name, facts in stage.platform.books().targets.items() if facts.down}


@pytest.mark.parametrize(
    ("options", "down"),
    [
        (("--only", "apim/**"), {apim_id(number) for number in range(4)}),
        (("--only", "apim/*"), None),
        (("--skip", "apim/Retail/*-2/test"), {*map(roma_id, range(4)), *map(apim_id, (0, 1, 3))}),
        (("--skip", "roma-eu/*", "--skip", "**/proxy-0/test"), {*map(apim_id, (1, 2, 3))}),
        (("--only", "**/proxy-1/*", "--only", roma_id(2)), {apim_id(1), roma_id(2)}),
        (("--wave", "second"), {apim_id(number) for number in range(4)}),
        (("--wave", "second", "--only", "roma-eu/*"), None),
        (("--wave", "third"), None),
        (("--target", apim_id(3)), {apim_id(3)}),
        (("--target", apim_id(3), roma_id(0)), {apim_id(3), roma_id(0)}),
        (("--targets-from", "ids"), {apim_id(2), roma_id(1)}),
        (("--targets-from", "ids", "--skip", "roma-eu/*"), {apim_id(2)}),
        (("--targets-from", "ids", "--targets-from", "more"), {apim_id(2), roma_id(1), apim_id(0)}),
        (("--target", "apim/Retail/proxy-1"), None),
        (("--target", "nowhere/x"), None),
        (("--targets-from", "none"), None),
    ],
)
def test_what_is_chosen_is_touched_and_nothing_else(
    staged: Callable[..., Stage], options: tuple[str, ...], down: set[str] | None
) -> None:
    stage = staged(4, 4)
    (stage.folder / "ids").write_text(f"# two\n{apim_id(2)}\n\n{roma_id(1)}\n")
    (stage.folder / "more").write_text(apim_id(0))
    ended = stage.undeploy("run", stage.write_plan(waves=True), "--yes", *options)

    assert ended.status == (2 if down is None else 0), ended.err
    assert _down(stage) == (down or set())
    assert stage.requests() == len(down or ())
    if down is None:
        assert ended.out == ""
        assert len(ended.err.splitlines()) == 1
        assert not stage.has_run


def test_a_plan_of_gateways_alone_runs_what_standard_input_names(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    plan, ids = stage.write_plan(), stage.folder / "ids"
    plan.write_text(plan.read_text().partition("targets:")[0])
    ids.write_text(f"{apim_id(2)}\n{roma_id(1)}\n")
    with ids.open() as first, ids.open() as second:
        checked = stage.undeploy("check", plan, "--targets-from", "-", stdin=first)
        digest = checked.out.rpartition("digest: ")[2].strip()
        without = stage.undeploy("run", plan, "--yes")
        other = stage.undeploy("run", plan, "--approve", digest, "--target", apim_id(2))
        ended = stage.undeploy("run", plan, "--approve", digest, "--targets-from", "-", stdin=second)

    assert (without.status, other.status) == (2, 2)
    assert "the plan has no targets" in without.err
    assert (checked.status, ended.status) == (0, 0), ended.err
    assert _down(stage) == {apim_id(2), roma_id(1)}
    assert stage.requests() == 2


def test_a_list_that_does_not_end_is_given_up(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    plan = stage.write_plan()
    refused = stage.undeploy("check", plan, "--targets-from", "/dev/zero")

    assert refused.status == 2
    assert (
        refused.err
        == "cannot read the list of targets /dev/zero: it is not a regular file; save it to one first\n"
    )


def test_a_resume_only_narrows_the_filters_of_its_run(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    stage.expect({"apim": ("elsewhere",) * 99})
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--only", "apim/**")
    stage.expect()
    narrowed = stage.undeploy("resume", "latest", "--only", "**/proxy-0/test")
    some = _down(stage)
    missed = stage.undeploy("resume", "latest", "--only", "roma-eu/*")
    rest = stage.undeploy("resume", "latest")

    assert ended.status == 4, ended.err
    assert (narrowed.status, some) == (4, {apim_id(0)}), narrowed.err
    assert missed.status == 2, missed.err
    assert rest.status == 0, rest.err
    assert _down(stage) == {apim_id(number) for number in range(4)}


def test_what_is_protected_is_never_touched(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    plan = stage.write_plan(top="protect: ['apim/Retail/proxy-0/*', 'roma-eu/*1']")
    ended = stage.undeploy("run", plan, "--yes", "--target", apim_id(0), roma_id(1), roma_id(2))

    assert ended.status == 0, ended.err
    assert _down(stage) == {roma_id(2)}


@pytest.mark.parametrize("by_file", [False, True])
def test_no_second_name_and_no_spelling_slips_past_what_is_protected(
    staged: Callable[..., Stage], by_file: bool
) -> None:
    """The gateway under two names and its URL under two spellings: a pattern means the place."""
    stage = staged(0, 4)
    url = stage.platform.urls["apim"]
    port = url.rpartition(":")[2]
    patterns = ["again/Retail/proxy-0/*", f"127.1:{port}/Retail/proxy-1/*", "apim/Retail/proxy-9/**"]
    text = stage.write_plan(top="" if by_file else f"protect: {patterns}").read_text()
    line = next(line for line in text.splitlines() if line.startswith("  apim: "))
    odd = line.replace("  apim: ", "  again: ").replace(url, f"http://[::ffff:127.0.0.1]:{port}/./x/..//")
    (stage.folder / "plan.yaml").write_text(text.replace(line, f"{line}\n{odd}"))
    (stage.folder / "site").write_text("\n".join(patterns))
    ended = stage.undeploy("run", "plan.yaml", "--yes", *(["--protect-file", "site"] if by_file else []))

    assert ended.status == 0, ended.err
    assert _down(stage) == {apim_id(2), apim_id(3)}
    assert "protect: 3 patterns are in force, 2 targets are protected" in ended.err
    where = "site:3" if by_file else "in the plan"
    idle = f"protect: the pattern apim/Retail/proxy-9/** ({where}) matches none of the targets"
    assert idle in ended.err
    meant = f'{idle}; did you mean "apim/Retail/proxy-3/**"?'
    assert meant in stage.report()["gateways"][0]["warnings"]
    for name in ("report.md", "report.html"):
        assert "apim/Retail/proxy-9/" in (stage.run / name).read_text()


def test_a_target_under_two_spellings_of_one_place_stands_twice(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 1)
    text = stage.write_plan().read_text()
    url = stage.platform.urls["apim"]
    line = next(line for line in text.splitlines() if line.startswith("  apim: "))
    odd = line.replace("  apim: ", "  again: ").replace(url, url.replace("127.0.0.1", "2130706433") + "/%2e/")
    twice = "  - {gateway: again, project: Retail, proxy: proxy-0, environment: test}\n"
    (stage.folder / "plan.yaml").write_text(text.replace(line, f"{line}\n{odd}") + twice)
    ended = stage.undeploy("run", "plan.yaml", "--yes")

    assert ended.status == 2
    assert 'the target "again/Retail/proxy-0/test" is the same as "apim/Retail/proxy-0/test"' in ended.err
    assert stage.requests() == 0


def test_what_is_in_force_is_told_at_every_start(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    stage.expect({"roma-eu": ("elsewhere",) * 9})
    first = stage.undeploy("run", stage.write_plan(), "--yes")
    (stage.folder / "site").write_text(f"{roma_id(1)}\nroma-eu/no\n")
    stage.expect()
    again = stage.undeploy("resume", "latest", "--protect-file", "site")
    wrong = stage.undeploy("resume", "latest", "--protect-file", "/dev/null")

    assert "protect: no pattern is in force" in first.err
    assert again.status == 0, again.err
    assert "protect: 2 patterns are in force, 1 target is protected" in again.err
    assert "the pattern roma-eu/no (site:2) matches none of the targets" in again.err
    assert _down(stage) == {roma_id(0)}
    assert (wrong.status, stage.outcomes()[roma_id(1)]) == (2, "not_started"), wrong.err


def _window(opens: float, closes: float) -> str:
    now = datetime.now(UTC)
    return "/".join((now + timedelta(seconds=seconds)).isoformat() for seconds in (opens, closes))


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("opens", "closes", "told"),
    [(3600, 7200, "--wait"), (-60, 10, "no longer fits")],
)
def test_outside_its_window_nothing_is_sent(
    staged: Callable[..., Stage], opens: float, closes: float, told: str
) -> None:
    stage = staged(4, 4)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--window", _window(opens, closes))

    assert (ended.status, ended.out, stage.requests()) == (2, "", 0)
    assert told in ended.err
    assert not stage.has_run


def test_a_run_waits_for_its_window_and_can_be_interrupted_there(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 4)
    plan = stage.write_plan()
    with stage.started(
        "run", plan, "--yes", "--wait", "--window", _window(3600, 7200), "--events", "events"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run: ")
        until((stage.folder / "events").exists)
        until(lambda: "run_started" in (stage.folder / "events").read_text())
        process.terminate()
        _, err = process.communicate(timeout=10)
    waited = stage.undeploy("resume", "latest", "--wait", "--window", _window(1.5, 600))

    assert process.returncode == 130, err
    assert waited.status == 0, waited.err
    assert len(_down(stage)) == 8


@pytest.mark.promise(7)
def test_a_window_that_closes_leaves_the_rest_for_the_next_one(staged: Callable[..., Stage]) -> None:
    stage = staged(40, 0, latency=0.5)  # five seconds of work, of which a slow start leaves some
    keys = "timeout: 1s, limits: {concurrency: 4}"
    ended = stage.undeploy("run", stage.write_plan(roma=keys), "--yes", "--window", _window(-1, 4.0))
    closed = datetime.now(UTC)
    refused = stage.undeploy("resume", "latest")
    some = len(_down(stage))
    resumed = stage.undeploy("resume", "latest", "--close-at", f"{closed + timedelta(hours=1):%H:%M}Z")

    assert ended.status == 4, ended.err
    assert 0 < some < 40
    assert "--window" in ended.err
    assert refused.status == 2, refused.err
    assert resumed.status == 0, resumed.err
    assert len(_down(stage)) == 40


def test_a_closing_time_that_has_passed_sends_nothing(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0)
    passed = datetime.now(UTC) - timedelta(hours=2)
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--close-at", f"{passed:%H:%M}Z")

    assert (ended.status, stage.requests()) == (2, 0)
    assert "has passed" in ended.err


@pytest.mark.parametrize("old", [False, True])
def test_what_is_down_already_is_looked_at_and_not_sent_to(staged: Callable[..., Stage], old: bool) -> None:
    stage = staged(6, 6)
    down = range(3)
    stage.refill(
        roma_eu={"targets": tuple(map(backend, range(3, 6))), "down": tuple(map(backend, down))},
        apim_fields={
            "targets": tuple(("Retail", f"proxy-{number}", "test") for number in range(3, 6)),
            "down": tuple(("Retail", f"proxy-{number}", "test") for number in down),
            "looks": not old,
            "histories": not old,
        },
    )
    plan = stage.write_plan(roma="look: always", apim="look: always", top="stop_when: {surprising: 100%}")
    ended = stage.undeploy("run", plan, "--yes")
    books, outcomes = stage.platform.books(), stage.outcomes()

    assert ended.status == 0, ended.err
    stage.assert_truth()
    sent = {name for name, facts in books.targets.items() if facts.undeploys}
    up = {*map(roma_id, range(3, 6)), *map(apim_id, range(3, 6))}
    assert sent == up
    assert {name for name in outcomes if outcomes[name] == "already_undeployed"} == set(stage.ids) - up
    assert all(books.targets[name].looks >= 2 for name in up)


@pytest.mark.parametrize("command", [("run", "--yes"), ("preview",), ("check",)])
def test_what_is_wrong_anywhere_is_told_at_once(
    staged: Callable[..., Stage], command: tuple[str, ...]
) -> None:
    stage = staged(1, 1)
    plan = stage.write_plan(top="protect: ['apim/Retail']")
    (stage.folder / "site").write_text("- apim/Retail/**\n")
    (stage.folder / "ids").write_text("apim/..\n")
    verb, *options = command
    ended = stage.undeploy(verb, plan, *options, "--protect-file", "site", "--targets-from", "ids")

    assert (ended.status, ended.out, stage.requests()) == (2, "", 0)
    assert [line.partition(" ")[0].rpartition("/")[2] for line in ended.err.splitlines()] == [
        "plan.yaml:4:11", "ids:1:1", "site:1:1",
    ]  # fmt: skip
