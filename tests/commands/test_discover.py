"""`undeploy discover`: its filters, the plan that it writes, where it writes it, and its exit statuses."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.target import Target
from orchestrator.plan.reader import ParsedPlan, read_plan
from orchestrator.plan.target_sink import TargetList
from orchestrator.simulator.apinizer_fixture import ApinizerFixture, ProxyFixture
from orchestrator.simulator.faults import FaultKind, FaultScenario, FaultScope, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.process import RunningSimulators

Undeploy = Callable[..., tuple[int, str, str]]

DAY = 86_400.0
TARGETS = (
    ("Retail", "orders-api", "test"),
    ("Retail", "orders-api", "production"),
    ("Retail", "baskets-api", "test"),
    ("Payments", "cards", "production"),
)
DOWN = (("Retail", "baskets-api", "production"),)
ODD = (
    "no",
    "Yes",
    "1e10",
    "0123",
    "- a",
    "a: b",
    "a #b",
    "'",
    '"',
    "a, b",
    "{a}",
    "*a",
    "?",
    "<<",
    "Sipariş Ğ",
    "a/b%c",
)


@pytest.fixture
def fill_manager(platform: RunningSimulators) -> Callable[..., None]:
    """Puts a manager's state in place; what is not given is a little of everything."""

    def refill(**fields: Any) -> None:
        given: dict[str, Any] = {
            "targets": TARGETS,
            "down": DOWN,
            "about": {"Payments/cards": ProxyFixture(type="SOAP", path="/pay/cards")},
            "deployed": {"Retail/orders-api/test": 100 * DAY},
        }
        platform.refill(SimulatorFixture(gateways=(ApinizerFixture(name="apim", **given | fields),)))

    refill()
    return refill


@pytest.fixture
def frame(folder: Path, platform: RunningSimulators) -> Callable[..., Path]:
    """Writes a plan without targets; ``more`` are further top-level lines."""

    def write(more: str = "", *, url: str | None = None, name: str = "gateways.yaml") -> Path:
        path = folder / name
        path.write_text(
            f"version: 1\nname: clean-up\n{more}\ngateways:\n"
            f"  apim: {{kind: apinizer, url: '{url or platform.urls['apim']}',"
            " auth: {token: {env: APINIZER_TOKEN}}, retry: {first: 1ms}}\n",
            "utf-8",
        )
        return path

    return write


def read_plan_text(path: Path, text: str) -> tuple[ParsedPlan, list[Target]]:
    """What the plan is to the plan's reader, which finds nothing wrong with it."""
    path.write_text(text, "utf-8")
    listing = TargetList()
    return read_plan(path, listing), listing.targets


def list_names(targets: list[Target]) -> list[str]:
    return [target.id.removeprefix("apim/") for target in targets]


@pytest.fixture
def found(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> Callable[..., list[str]]:
    """Runs a search that ends well, and gives the ids without the gateway's name."""

    def search(*arguments: str) -> list[str]:
        status, out, err = undeploy("discover", "--from", frame(), *arguments)
        assert status == 0, err
        return list_names(read_plan_text(folder / "found.yaml", out)[1])

    return search


def test_everything_that_is_deployed_is_a_target(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    status, out, err = undeploy("discover", "--from", frame("reason: CHG-1"))
    loaded, targets = read_plan_text(folder / "found.yaml", out)

    assert status == 0
    assert list_names(targets) == [
        "Payments/cards/production",
        "Retail/baskets-api/test",
        "Retail/orders-api/production",
        "Retail/orders-api/test",
    ]
    assert err == "apim: 6 looked at, 4 deployed, 4 matched\n"
    assert (loaded.plan.name, loaded.plan.reason) == ("clean-up", "CHG-1")
    assert [wave.name for wave in loaded.plan.waves] == ["targets"]


def test_check_and_run_take_what_was_written(
    fill_manager: Any, platform: RunningSimulators, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    written = undeploy("discover", "--from", frame(), "-o", "found.yaml", "--project", "Retail")
    checked = undeploy("check", "found.yaml")
    ran = undeploy("run", "found.yaml", "--yes")

    assert (written[0], written[1]) == (0, "")
    assert (checked[0], ran[0]) == (0, 0)
    down = {name for name, facts in platform.books().targets.items() if facts.down_by}
    assert down == {f"apim/{'/'.join(parts)}" for parts in TARGETS[:3]}


@pytest.mark.parametrize("buffering", [0, -1], ids=["while it searches", "while it writes the plan"])
@pytest.mark.parametrize("place", [(), ("-o", "found.yaml")], ids=["stdout", "file"])
def test_a_full_temporary_folder_ends_a_search_and_is_told_as_that(
    fill_manager: Any,
    frame: Callable[..., Path],
    undeploy: Undeploy,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    buffering: int,
    place: tuple[str, ...],
) -> None:
    full = Path("/dev/full").open("w+b", buffering)  # noqa: SIM115 - the search closes it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)

    status, out, err = undeploy("discover", "--from", frame(), *place)

    assert status == 2
    assert "the temporary folder cannot be used: [Errno 28] No space left on device" in err
    assert "found.yaml" not in err
    assert "targets:\n  -" not in out
    assert not (folder / "found.yaml").exists()


def test_run_refuses_a_plan_without_targets(frame: Callable[..., Path], undeploy: Undeploy) -> None:
    status, _, err = undeploy("run", frame(), "--yes")

    assert status == 2
    assert "the plan has no targets" in err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--name", "orders-*"], ["Retail/orders-api/production", "Retail/orders-api/test"]),
        (["--regex", "^c"], ["Payments/cards/production"]),
        (["--path", "/pay/*"], ["Payments/cards/production"]),
        (["--project", "Pay*", "--project", "x*"], ["Payments/cards/production"]),
        (["--environment", "test"], ["Retail/baskets-api/test", "Retail/orders-api/test"]),
        (["--environment", "test", "--name", "b*"], ["Retail/baskets-api/test"]),
        (["--type", "SOAP"], ["Payments/cards/production"]),
        (["--type", "PRODUCTION", "--project", "Retail"], ["Retail/orders-api/production"]),
        (["--deployed-before", "1970-06-01"], ["Retail/orders-api/test"]),
        (["apim", "--name", "cards"], ["Payments/cards/production"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("report", ["allowed", "forbidden"])
def test_filters_by_either_way(
    fill_manager: Callable[..., None],
    found: Callable[..., list[str]],
    arguments: list[str],
    wanted: list[str],
    report: str,
) -> None:
    fill_manager(report=report)

    assert found(*arguments) == wanted


def test_the_report_costs_two_requests_and_says_so(
    fill_manager: Callable[..., None],
    platform: RunningSimulators,
    frame: Callable[..., Path],
    undeploy: Undeploy,
) -> None:
    fill_manager(report="allowed")
    status, out, _ = undeploy("discover", "--from", frame())

    assert status == 0
    assert platform.books().requests == 2
    assert "# apim: 5 looked at, 4 deployed, 4 matched (by the administrator's report: what the" in out


def test_a_missing_role_neither_closes_the_lane_nor_renews_anything(
    fill_manager: Any, platform: RunningSimulators, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    status, _, err = undeploy("discover", "--from", frame())
    refused = [entry.path for entry in platform.list_requests() if entry.status == 401]

    assert status == 0
    assert refused == ["/apiops/reports/api-proxies"]
    assert "closed" not in err


@pytest.mark.promise(5)
def test_a_wrong_token_is_shown_once(
    fill_manager: Any,
    platform: RunningSimulators,
    frame: Callable[..., Path],
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APINIZER_TOKEN", "M4rk3r-wrong")
    status, out, err = undeploy("discover", "--from", frame())

    assert status == 1
    assert platform.books().requests == 1
    assert "#   apim: all that was not asked yet: denied: the credential was rejected" in out
    assert "M4rk3r" not in out + err


def test_an_older_manager_is_asked_for_each_proxy(
    fill_manager: Callable[..., None], platform: RunningSimulators, found: Callable[..., list[str]]
) -> None:
    fill_manager(looks=False, report="absent")

    assert found("--environment", "test") == ["Retail/baskets-api/test", "Retail/orders-api/test"]
    assert not any("histories" in entry.path for entry in platform.list_requests())


def test_what_cannot_be_told_is_named(
    fill_manager: Callable[..., None], frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    fill_manager(looks=False, deployments=False)
    status, out, err = undeploy("discover", "--from", frame(), "--environment", "test")

    assert status == 1
    line = "apim: the proxy orders-api of the project Retail: not told whether it is deployed to test"
    assert f"#   {line}\n" in out
    assert f"not seen: {line}\n" in err
    assert "# Nothing that is deployed matched" in out


def test_a_project_that_may_not_be_looked_into_is_named_and_the_others_are_there(
    fill_manager: Callable[..., None], frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    fill_manager(closed=("Payments",))
    status, out, _ = undeploy("discover", "--from", frame())

    assert status == 1
    assert (
        "#   apim: the environments of the project Payments: not_found Project (Payments) is not found" in out
    )
    assert len(read_plan_text(folder / "found.yaml", out)[1]) == 3


def test_a_project_that_is_asked_for_by_name_and_not_listed_is_named(
    fill_manager: Callable[..., None], frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    fill_manager(hidden=("Payments",))
    status, out, _ = undeploy("discover", "--from", frame(), "--project", "Payments", "--project", "Retail")

    assert status == 1
    assert "#   apim: the project Payments: it does not exist, or the token's user may not see it\n" in out


def test_a_list_that_is_shorter_than_it_says_is_partial(
    fill_manager: Callable[..., None], frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    fill_manager(withheld=2)
    status, out, _ = undeploy("discover", "--from", frame())

    assert status == 1
    assert "#   apim: the list of projects is partial: 2 of 4 were sent\n" in out


def test_nothing_that_matches_is_a_plan_that_says_so_and_1(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    status, out, err = undeploy("discover", "--from", frame(), "--name", "nothing", "-o", "found.yaml")
    text = (folder / "found.yaml").read_text()

    assert (status, out) == (1, "")
    assert "# Nothing that is deployed matched: this plan has no targets, and cannot be run.\n" in text
    assert "# Nothing was left unseen that the credentials may see.\n" in text
    assert undeploy("check", "found.yaml")[0] == 2
    assert undeploy("discover", "--from", "found.yaml")[0] == 0
    assert "Nothing that is deployed matched" in err


@pytest.mark.parametrize(
    ("by", "waves"),
    [("project", ["Payments", "Retail"]), ("environment", ["production", "test"]), ("gateway", ["apim"])],
)
def test_a_wave_for_each_group(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path, by: str, waves: list[str]
) -> None:
    status, out, _ = undeploy("discover", "--from", frame(), "--group-by", by)
    loaded, targets = read_plan_text(folder / "found.yaml", out)

    assert status == 0
    assert [wave.name for wave in loaded.plan.waves] == waves
    assert len(targets) == 4


@pytest.mark.parametrize("group", [[], ["--group-by", "project"]])
def test_odd_names_are_written_so_that_check_reads_them(
    fill_manager: Callable[..., None],
    frame: Callable[..., Path],
    undeploy: Undeploy,
    folder: Path,
    group: list[str],
) -> None:
    odd = tuple((name, name, name) for name in ODD)
    fill_manager(targets=odd, down=(), about={}, deployed={})
    status, out, err = undeploy("discover", "--from", frame(), *group)
    loaded, targets = read_plan_text(folder / "found.yaml", out)

    assert status == 0, err
    assert {target.parts for target in targets} == set(odd)
    assert undeploy("check", "found.yaml")[0] == 0
    if group:
        assert {wave.name for wave in loaded.plan.waves} == set(ODD)


def test_a_name_that_no_plan_can_hold_is_told(
    fill_manager: Callable[..., None], frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    fill_manager(targets=(("Retail", "two\nlines", "test"), ("Retail", "good", "test")), report="allowed")
    status, out, _ = undeploy("discover", "--from", frame())

    assert status == 1
    assert "cannot be named in a plan" in out
    assert list_names(read_plan_text(folder / "found.yaml", out)[1]) == ["Retail/good/test"]


@pytest.mark.parametrize("report", ["allowed", "forbidden"])
@pytest.mark.parametrize("name", ["x/..", "..;x", "a//b", "%2e%2e", "old\u200b", "old ", "o\u00a0ld"])
def test_a_live_name_that_could_turn_into_another_path_is_left_out_by_name(
    fill_manager: Callable[..., None],
    frame: Callable[..., Path],
    undeploy: Undeploy,
    folder: Path,
    name: str,
    report: str,
) -> None:
    fill_manager(targets=(("Retail", name, "test"), ("Retail", "good", "test")), report=report)
    status, out, err = undeploy("discover", "--from", frame())

    assert status == 1
    assert "not seen: apim: " in err
    assert list_names(read_plan_text(folder / "found.yaml", out)[1]) == ["Retail/good/test"]


def test_two_live_names_that_no_plan_can_tell_apart_are_told(
    fill_manager: Callable[..., None], frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    both = ("o\u0308deme", "\u00f6deme")
    fill_manager(targets=tuple(("Retail", name, "test") for name in both), report="allowed")
    status, out, err = undeploy("discover", "--from", frame())

    assert status == 1
    assert "its name is that of another target" in err
    assert len(read_plan_text(folder / "found.yaml", out)[1]) == 1


def test_the_comments_say_when_by_whom_from_where_and_by_which_filters(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, platform: RunningSimulators
) -> None:
    _, out, _ = undeploy("discover", "--from", frame(), "--name", "orders*", "--environment", "te?t")
    first, second, third, *_ = out.splitlines()

    assert first.startswith("# Made by undeploy discover at 20")
    assert first.endswith("/gateways.yaml")
    assert second == "# Filters: --name orders* --environment te?t"
    assert third == f"# Gateway apim: {platform.urls['apim']}"
    assert "  # REST, /orders-api, TEST, since 1970-04-11T00:00:00.000+00:00\n" in out


def test_what_the_sites_file_protects_is_counted_too(
    fill_manager: Any,
    frame: Callable[..., Path],
    folder: Path,
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNDEPLOY_PROTECT_FILE", "site")
    (folder / "site").write_text("apim/Retail/orders-api/*\n")
    err = undeploy("discover", "--from", frame("protect: [apim/Payments/**]"))[2]
    (folder / "site").write_text("apim/Retail\n")
    status, out, refused = undeploy("discover", "--from", frame())

    assert "3 of them are protected, and would not be touched\n" in err
    assert (status, out) == (2, "")
    assert refused.startswith('site:1:1 "apim/Retail" matches no target')


def test_what_is_protected_is_counted(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    status, _, err = undeploy("discover", "--from", frame("protect: ['apim/Payments/**']"))

    assert status == 0
    assert "1 of them is protected, and would not be touched\n" in err


def test_more_targets_than_the_plan_allows_are_told_and_1(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    status, out, err = undeploy("discover", "--from", frame("at_most: 3"))
    (folder / "found.yaml").write_text(out)

    assert status == 1
    assert "4 targets are more than its at_most: 3, so it is refused as it is" in err
    assert undeploy("check", "found.yaml")[0] == 2


def test_a_pattern_protects_by_host_and_a_dead_one_is_refused(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    status, _, err = undeploy("discover", "--from", frame("protect: ['127.1/Payments/**']"))
    dead = undeploy("discover", "--from", frame("protect: ['apim/Payments/*']"))

    assert status == 0, err
    assert "1 of them is protected, and would not be touched\n" in err
    assert (dead.status, dead.out) == (2, "")
    assert "protect[0]: " in dead.err


def test_two_names_of_one_installation_are_one(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    path = frame()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1].replace("apim:", "again:", 1)]) + "\n")
    status, out, err = undeploy("discover", "--from", path)

    assert status == 0
    assert len(read_plan_text(folder / "found.yaml", out)[1]) == 4
    assert "again: the same installation as apim, which was read\n" in err


# Where it is written.


def test_a_file_is_not_overwritten_without_force(
    fill_manager: Any,
    platform: RunningSimulators,
    frame: Callable[..., Path],
    undeploy: Undeploy,
    folder: Path,
) -> None:
    (folder / "found.yaml").write_text("mine")
    refused = undeploy("discover", "--from", frame(), "-o", "found.yaml")

    assert refused[0] == 2
    assert "found.yaml exists and is left as it is; --force replaces it" in refused[2]
    assert (folder / "found.yaml").read_text() == "mine"
    assert platform.books().requests == 0
    assert undeploy("discover", "--from", frame(), "-o", "found.yaml", "--force")[0] == 0
    assert "targets:" in (folder / "found.yaml").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["found.yaml", "gateways.yaml"]


@pytest.mark.parametrize("output", ["nowhere/found.yaml", ".", "/dev/null"])
def test_what_cannot_be_written_is_said_before_anything_is_sent(
    fill_manager: Any,
    platform: RunningSimulators,
    frame: Callable[..., Path],
    undeploy: Undeploy,
    output: str,
) -> None:
    status, _, err = undeploy("discover", "--from", frame(), "-o", output, "--force")

    assert status == 2
    assert f"cannot write {output}: " in err
    assert platform.books().requests == 0


def test_in_another_folder_paths_lead_to_the_same_files(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    (folder / "there").mkdir()
    (folder / "token").write_text("rehearsal-token")
    path = frame()
    path.write_text(path.read_text().replace("{env: APINIZER_TOKEN}", "{file: token}"))
    status, _, _ = undeploy("discover", "--from", path, "-o", "there/found.yaml")

    assert status == 0
    assert (
        'file: "../token"' in (folder / "there" / "found.yaml").read_text()
        or "file: ../token" in (folder / "there" / "found.yaml").read_text()
    )
    os.chdir(folder / "there")
    assert undeploy("discover", "--from", "found.yaml")[0] == 0


def test_on_stdout_the_folder_of_relative_paths_is_said(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    (folder / "token").write_text("rehearsal-token")
    path = frame()
    path.write_text(path.read_text().replace("{env: APINIZER_TOKEN}", "{file: token}"))
    _, out, _ = undeploy("discover", "--from", path)

    assert f"# Relative paths in it begin in {folder}: keep it there\n" in out


def test_a_command_in_the_plans_folder_is_not_moved(
    fill_manager: Any,
    platform: RunningSimulators,
    frame: Callable[..., Path],
    undeploy: Undeploy,
    folder: Path,
) -> None:
    (folder / "there").mkdir()
    path = frame()
    path.write_text(path.read_text().replace("{env: APINIZER_TOKEN}", "{command: [./token.sh]}"))
    status, _, err = undeploy("discover", "--from", path, "-o", "there/found.yaml")

    assert status == 2
    assert "the command runs in the plan's folder and names ./token.sh there" in err
    assert platform.books().requests == 0


# What ends it before anything is sent.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "the plan names no gateway nobody; the gateways are apim"),
        (["apin"], 'the plan names no gateway apin; did you mean "apim"?'),
        (["--application", "x"], "--application: gateways of kind apinizer have no such thing"),
        (
            ["--group-by", "application"],
            "--group-by application: gateways of kind apinizer have no such thing",
        ),
        (["--regex", "("], "--regex: "),
        (["--deployed-before", "soon"], "--deployed-before soon: write a day or a time"),
        (["--type", "data"], "--type data: the types are"),
    ],
)
def test_usage_is_2(
    fill_manager: Any,
    platform: RunningSimulators,
    frame: Callable[..., Path],
    undeploy: Undeploy,
    arguments: list[str],
    message: str,
) -> None:
    status, out, err = undeploy("discover", "--from", frame(), *arguments)

    assert (status, out) == (2, "")
    assert message in err
    assert platform.books().requests == 0


def test_without_a_plan_it_is_2(undeploy: Undeploy) -> None:
    status, _, err = undeploy("discover")

    assert status == 2
    assert "--from" in err


def test_problems_of_the_plan_are_2(
    fill_manager: Any, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    status, out, err = undeploy("discover", "--from", frame("nonsense: 1"))

    assert (status, out) == (2, "")
    assert 'unknown key "nonsense"' in err


def test_a_credential_that_is_not_there_is_2(
    fill_manager: Any,
    platform: RunningSimulators,
    frame: Callable[..., Path],
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("APINIZER_TOKEN")
    status, out, err = undeploy("discover", "--from", frame(), "-o", "found.yaml")

    assert (status, out) == (2, "")
    assert "the token {env: APINIZER_TOKEN} is not set" in err
    assert platform.books().requests == 0
    assert not Path("found.yaml").exists()


def test_quiet_tells_only_what_goes_wrong(
    fill_manager: Callable[..., None], frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    assert undeploy("discover", "--from", frame(), "--quiet")[2] == ""
    fill_manager(withheld=1)
    assert (
        "not seen: apim: the list of projects is partial" in undeploy("discover", "--from", frame(), "-q")[2]
    )


@pytest.mark.promise(9)
def test_a_credential_that_a_vendor_repeats_is_nowhere(
    fill_manager: Any, platform: RunningSimulators, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    echo = InjectedFault(
        kind=FaultKind.STATUS,
        on=FaultScope.LOOK,
        status=403,
        message="user of rehearsal-token \x1b[2J may not",
        times=0,
    )
    platform.expect(FaultScenario(script={"apim": (echo,)}))
    status, out, err = undeploy("discover", "--from", frame())

    assert status == 1
    assert "•••" in out
    assert "rehearsal-token" not in out + err
    assert "\x1b" not in out + err


def test_a_gateway_of_another_zone_is_refused_with_the_way_to_reach_it(
    fill_manager: Any, platform: RunningSimulators, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    plan = frame()
    plan.write_text(plan.read_text().replace("kind: apinizer", "kind: apinizer, zone: dmz", 1))

    status, out, err = undeploy("discover", "--from", plan)

    assert (status, out) == (2, "")
    assert "apim (zone dmz)" in err
    assert f"discover --from {plan} --zone dmz apim" in " ".join(err.split())

    status, out, _ = undeploy("discover", "--from", plan, "--zone", "dmz", "apim")

    assert status == 0
    assert "orders-api" in out


def test_where_a_zone_is_named_its_own_gateways_are_advised_with_that_zone(
    platform: RunningSimulators, frame: Callable[..., Path], undeploy: Undeploy
) -> None:
    plan = frame()
    other = "  other: {kind: apinizer, zone: east, url: 'http://127.0.0.1:9', auth: {token: {env: T}}}\n"
    text = plan.read_text().replace("kind: apinizer", "kind: apinizer, zone: dmz", 1)
    plan.write_text(text.replace("gateways:\n", f"gateways:\n{other}", 1))

    filters = ("--name", "old *", "--unused", "24h", "--group-by", "gateway")
    err = " ".join(undeploy("discover", "--from", plan, "--zone", "dmz", *filters).err.split())
    same = f"undeploy discover --from {plan} --name 'old *' --unused 24h --group-by gateway"

    assert f"run `{same} --zone east other` on a machine of that zone" in err
    assert f"here, `{same} --zone dmz apim` looks at the others" in err
