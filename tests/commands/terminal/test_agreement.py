"""The agreement to a run, on a pseudo-terminal."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.commands.options.times import parse_window
from orchestrator.commands.terminal.agreement import check_digest
from orchestrator.commands.terminal.plan_words import describe_window
from orchestrator.errors import UsageError
from orchestrator.model.plan import Window
from orchestrator.simulator.process import RunningSimulators
from tests.support.terminal import on_a_terminal

DIGEST = "4c2577b45238783f20181fa4bf97fc5ed5ddc312a988d8f2bf8a9ba98f6eb275"


@pytest.mark.parametrize("given", [DIGEST[:32], DIGEST[:40], DIGEST, DIGEST.upper(), f" {DIGEST}\n"])
def test_thirty_two_digits_or_more_mean_the_plan(given: str) -> None:
    check_digest(given, DIGEST)


@pytest.mark.parametrize("given", ["", DIGEST[:8], DIGEST[:31], "0" * 32, DIGEST + "0", DIGEST[1:40]])
def test_anything_else_does_not(given: str) -> None:
    with pytest.raises(UsageError, match="--approve"):
        check_digest(given, DIGEST)


@pytest.mark.parametrize("of", ["plan", "restore"])
def test_who_gives_too_few_digits_is_told_where_the_others_are(of: str) -> None:
    with pytest.raises(
        UsageError, match=f"give 32 of its digest, or all 64. `undeploy .*{of.upper()[0]}.*` prints"
    ):
        check_digest(DIGEST[:8], DIGEST, of=of)


def test_a_window_is_told_with_its_zone() -> None:
    opens, closes = parse_window("2026-11-22T22:00:00+03:00/2026-11-23T02:00:00+03:00")

    assert describe_window(None) == "none; it starts at once"
    assert describe_window(Window(None, closes)).startswith("from now until Mon 2026-11-23 02:00 +03:00")
    assert "without an end" in describe_window(Window(opens, None))


def read_digest(path: Path, undeploy: Callable[..., tuple[int, str, str]]) -> str:
    return undeploy("check", path)[1].splitlines()[-1].removeprefix("digest: ")


def test_the_digest_typed_is_the_consent(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Callable[..., tuple[int, str, str]]
) -> None:
    path = plan(platform.urls["apim"], more="protect: ['apim/Retail/proxy-0/*']")
    status, shown = on_a_terminal(
        f"wrong\n{read_digest(path, undeploy)[:8]}\n", "run", path, "--skip", "**/proxy-1/*"
    )

    assert status == 0
    assert "protected  1: left alone" in shown
    assert "filtered   1: left out" in shown
    assert "To undeploy 4 targets, type the plan's digest" in shown
    assert "That is not the digest." in shown
    assert platform.books().gateways["apim"].down == 4


def test_the_pace_of_each_wave_is_told_before_the_question(folder: Path) -> None:
    (folder / "plan.yaml").write_text(
        "version: 1\nname: slow\n"
        "gateways: {apim: {kind: apinizer, url: 'http://127.0.0.1:9', auth: {token: {env: T}}}}\n"
        "waves:\n"
        "  - {name: a, proceed: ask, targets: [{gateway: apim, project: P, proxy: x, environment: e}]}\n"
        "  - name: b\n    sizes: [1, 50%, 100%]\n    pause_after: 5m\n"
        "    targets: [{gateway: apim, project: P, proxies: [y, z], environments: [e, f, x]}]\n"
        "  - {name: c, targets: [{gateway: apim, project: P, proxy: w, environment: e}]}\n"
    )
    status, shown = on_a_terminal("\n", "run", folder / "plan.yaml", "--skip", "**/x/*", "--skip", "**/x")

    assert status == 2
    assert "pace       b: steps of 1, 1, 2 targets; pauses 5 min after each" in shown
    assert shown.count("pace ") == 1


@pytest.mark.parametrize("options", [("--wave", "targets", "--wave", "tagrets"), ("--skip", "**/proxy-7/*")])
def test_no_question_is_asked_where_a_filter_matches_nothing(
    platform: RunningSimulators, plan: Callable[..., Path], options: tuple[str, ...]
) -> None:
    status, shown = on_a_terminal("\n", "run", plan(platform.urls["apim"]), "--no-preview", *options)

    assert status == 2
    assert "type the plan's digest" not in shown
    assert "no wave is named 'tagrets'" in shown or "matches no target" in shown


@pytest.mark.parametrize("typed", ["\n", "yes\nyes\nyes\n", "\x04"])
def test_anything_else_typed_sends_nothing(
    platform: RunningSimulators, plan: Callable[..., Path], typed: str
) -> None:
    status, shown = on_a_terminal(typed, "run", plan(platform.urls["apim"]))

    assert status == 2
    assert "not agreed to; nothing was sent" in shown
    assert platform.books().gateways["apim"].undeploys == 0


def test_what_was_typed_before_the_question_is_no_answer(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Callable[..., tuple[int, str, str]]
) -> None:
    path = plan(platform.urls["apim"])
    short = read_digest(path, undeploy)[:8]
    status, shown = on_a_terminal("\n", "run", path, ahead=f"{short}\n{short}\n")

    assert (status, platform.books().gateways["apim"].undeploys) == (2, 0)
    assert "not agreed to; nothing was sent" in shown


@pytest.mark.parametrize("look", [(), ("--no-preview",)])
def test_the_first_targets_are_named_before_the_question(
    platform: RunningSimulators, plan: Callable[..., Path], look: tuple[str, ...]
) -> None:
    path = plan(platform.urls["apim"], more="protect: ['apim/Retail/proxy-0/*']")
    path.write_text(path.read_text().replace("environments: [test]", "environments: [test, none]"))
    _, shown = on_a_terminal("\n", "run", path, "--skip", "**/none", "--skip", "**/proxy-5/*", *look)
    named = re.findall(r"apim/Retail/proxy-(\d)/test", shown[: shown.index("type the plan's digest")])

    assert (named[:4], sorted(set(named))) == (["1", "2", "3", "4"],) * 2


def test_more_than_five_targets_are_counted(platform: RunningSimulators, plan: Callable[..., Path]) -> None:
    for look in ((), ("--no-preview",)):
        _, shown = on_a_terminal("\n", "run", plan(platform.urls["apim"]), *look)

        assert "proxy-4/test" in shown
        assert "proxy-5/test" not in shown
        assert "… and 1 more" in shown


def test_ctrl_c_at_the_question_is_130(platform: RunningSimulators, plan: Callable[..., Path]) -> None:
    status, shown = on_a_terminal("", "run", plan(platform.urls["apim"]), "--no-preview", interrupt=True)

    assert (status, platform.books().requests) == (130, 0)
    assert shown.splitlines()[-2:] == ["Nothing was changed.", "Interrupted."]


def test_live_state_is_shown_before_the_question(
    platform: RunningSimulators, plan: Callable[..., Path]
) -> None:
    path = plan(platform.urls["apim"])
    path.write_text(path.read_text().replace("proxy-5", "nobody"))
    status, shown = on_a_terminal("\n", "run", path)

    assert status == 2
    assert re.search(r"targets +apim +5 +0 +1 +0", shown)
    assert "warning   apim: 1 target of 6 not there" in shown
    verdict = shown.index("verdict   ready: 5 targets would change")
    assert (
        shown.index("The state of all 6 targets is known.") < verdict < shown.index("type the plan's digest")
    )


def test_what_was_shown_is_what_is_agreed_to(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Callable[..., tuple[int, str, str]]
) -> None:
    path = plan(platform.urls["apim"])
    status, _ = on_a_terminal(f"{read_digest(path, undeploy)[:8]}\n", "run", path)
    run = next(Path(".undeploy/runs").iterdir())
    journal = sqlite3.connect(run / "journal.sqlite")
    kept = journal.execute("SELECT DISTINCT state FROM approved").fetchall()
    journal.close()

    assert (status, kept) == (0, [("up",)])
    assert "digest typed, by " in (run / "report.md").read_text()


def test_a_preview_that_cannot_be_made_is_said_and_it_still_asks(plan: Callable[..., Path]) -> None:
    status, shown = on_a_terminal("\n", "run", plan())

    assert status == 2
    assert "No preview could be made: gateway apim: the token {env: APINIZER_TOKEN} is not set" in shown
    assert "type the plan's digest" in shown


def test_the_question_of_a_plan_that_warns_tells_what_is_in_use(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Callable[..., tuple[int, str, str]]
) -> None:
    path = plan(platform.urls["apim"], more="in_use: warn")
    status, shown = on_a_terminal(f"{read_digest(path, undeploy)[:8]}\n", "run", path)

    assert status == 0
    before = shown.partition("type the plan's digest")[0]
    assert "of 6 it is not told; by in_use: warn 6 of these go down all the same" in before
    assert "who may call" in before


def test_the_question_of_a_plan_that_does_not_ask_tells_nothing_of_it(
    platform: RunningSimulators, plan: Callable[..., Path]
) -> None:
    _, shown = on_a_terminal("\n", "run", plan(platform.urls["apim"]))

    assert "who may call" not in shown
