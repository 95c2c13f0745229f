"""The values of a plan, the order of its targets, its digest, and its problems in file order."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import CallBound, StepSize, StopWhen, Threshold, Wave
from orchestrator.model.settings import CredentialReference, Retry
from orchestrator.plan.nodes import ScalarNode
from orchestrator.plan.problems import FilePosition
from orchestrator.plan.reader import read_plan
from orchestrator.plan.scalars import read_size, read_threshold
from orchestrator.plan.target_sink import TargetList
from orchestrator.rules.stop_rules import StopRules
from tests.support.plans import (
    APIM,
    GATEWAYS,
    HEAD,
    ONE,
    ROMA,
    TOP,
    list_ids,
    load_plan,
    read_one_problem,
    read_problems,
)

FULL = f"""\
version: 1
name: orders-retirement
reason: CHG-1042 scheduled maintenance
window: {{opens: 2026-11-22T22:00:00+03:00, closes: 2026-11-23T02:00:00+03:00}}
{GATEWAYS}\
    limits: {{concurrency: 3, rate: 90/m}}
    park_for: 5m
    retry: {{attempts: 7, first: 250ms, ceiling: 2m}}
    look: always
    absent: ok
    timeout: 1.5h
stop_when: {{failed: 12.5%, unknown: 3}}
protect: ["apim/Payments/*/production"]
at_most: 500
snapshot: off
in_use: refuse
in_use_over: 100/24h
approval: none
waves:
  - name: canary
    pause_after: 90s
    proceed: ask
    targets:
      - {{gateway: apim, project: Retail, proxy: pets, environment: test, description: one, persistent: true}}
  - name: everything
    sizes: [1, 12.5%, 5, 100%]
    targets:
      - {{gateway: roma, ld_api_ids: [b1, b2]}}
      - {{gateway: apim, project: Retail, proxies: [p, q], environments: [test, production]}}
"""


def test_every_supported_key_reaches_the_plan(tmp_path: Path) -> None:
    loaded, _ = load_plan(tmp_path, FULL)

    plan = loaded.plan
    _, apim = plan.gateways
    assert (plan.name, plan.reason, plan.at_most) == (
        "orders-retirement",
        "CHG-1042 scheduled maintenance",
        500,
    )
    assert plan.window is not None
    assert plan.window.opens == datetime.fromisoformat("2026-11-22T22:00:00+03:00")
    assert plan.stop_when == StopWhen(failed=Threshold(share=0.125), unknown=Threshold(count=3))
    assert (plan.in_use, plan.in_use_over) == ("refuse", CallBound(calls=100, hours=24))
    assert plan.protect == ("apim/Payments/*/production",)
    assert plan.waves == (
        Wave(name="canary", pause_after=90.0, proceed="ask"),
        Wave(
            name="everything",
            sizes=(StepSize(count=1), StepSize(share=0.125), StepSize(count=5), StepSize(share=1.0)),
        ),
    )
    assert (apim.limits.rate, apim.park_for) == (1.5, 300.0)
    assert (plan.gateways[0].limits.rate, plan.gateways[0].park_for) == (None, 600.0)
    assert (apim.concurrency, apim.look, apim.absent, apim.reply_timeout) == (3, "always", "ok", 5400.0)
    assert apim.retry == Retry(attempts=7, first=0.25, ceiling=120.0)
    assert apim.auth.token == CredentialReference(env="APINIZER_TOKEN")


@pytest.mark.parametrize(
    ("text", "expected"), [("20/s", 20.0), ("0.5/s", 0.5), ("90/m", 1.5), ("9/h", 0.0025), ("6000000/m", 1e5)]
)
def test_a_rate_is_a_number_a_second(tmp_path: Path, text: str, expected: float) -> None:
    loaded, _ = load_plan(tmp_path, f"{HEAD}    limits: {{rate: {text}}}\n{ONE}")

    assert loaded.plan.gateways[1].limits.rate == pytest.approx(expected)


def test_a_share_is_what_as_many_targets_of_a_wave_give() -> None:
    shares = [(f"{tenths // 10}.{tenths % 10}%", tenths) for tenths in range(1, 1001)]

    for text, of_a_thousand in shares:
        scalar = ScalarNode(text, plain=True, at=FilePosition(0, 1, 1))
        assert read_threshold(scalar) == Threshold(share=of_a_thousand / 1000)
        assert read_size(scalar) == StepSize(share=of_a_thousand / 1000)


def test_a_plans_share_is_exceeded_only_strictly(tmp_path: Path) -> None:
    stop_when = load_plan(tmp_path, f"{HEAD}{ONE}stop_when: {{failed: 0.7%}}\n")[0].plan.stop_when
    rules = StopRules(stop_when, {}, first_run=True)
    rules.count_ends(Outcome.UNDEPLOYED, "", 993, doubted=False)
    rules.count_ends(Outcome.FAILED, "refused", 7, doubted=False)

    assert rules.find_breach() is None


def test_targets_stream_into_the_sink_in_the_plans_order(tmp_path: Path) -> None:
    loaded, sink = load_plan(tmp_path, FULL)

    assert [(target.seq, target.wave, target.id) for target in sink.targets] == [
        (1, 0, "apim/Retail/pets/test"),
        (2, 1, "roma/b1"),
        (3, 1, "roma/b2"),
        (4, 1, "apim/Retail/p/test"),
        (5, 1, "apim/Retail/p/production"),
        (6, 1, "apim/Retail/q/test"),
        (7, 1, "apim/Retail/q/production"),
    ]
    assert (sink.targets[0].description, sink.targets[0].persistent) == ("one", True)
    assert sink.targets[0].parts == ("Retail", "pets", "test")
    assert loaded.by_gateway == {"roma": 2, "apim": 5}
    assert loaded.by_wave == {"canary": 1, "everything": 6}
    assert loaded.targets == 7


def test_targets_at_the_top_are_one_wave(tmp_path: Path) -> None:
    loaded, _ = load_plan(tmp_path, HEAD + ONE)

    assert loaded.plan.waves == (Wave(name="targets"),)
    assert loaded.by_wave == {"targets": 1}


def test_targets_may_stand_before_the_gateways(tmp_path: Path) -> None:
    loaded, sink = load_plan(tmp_path, TOP + ONE + GATEWAYS)

    assert [target.id for target in sink.targets] == ["roma/a1"]
    assert loaded.digest != load_plan(tmp_path, HEAD + ONE)[0].digest
    assert read_one_problem(
        tmp_path, f"{TOP}targets: [{{gateway: roma, ld_api_id: 'a b'}}]\n{GATEWAYS}"
    ).startswith('plan.yaml:3:38 targets[0].ld_api_id: "a b" is not an id of ROMA')


def test_a_wave_may_name_itself_after_its_targets(tmp_path: Path) -> None:
    loaded, _ = load_plan(
        tmp_path, HEAD + "waves:\n  - targets: [{gateway: roma, ld_api_id: a}]\n    name: last\n"
    )

    assert loaded.by_wave == {"last": 1}


@pytest.mark.parametrize(
    "name",
    [
        "no",
        "on",
        "null",
        "~",
        "1_000",
        "1e10",
        "0123",
        "12345678901234567890123456789012",
        "12:30:45",
        "0x1F",
    ],
)
def test_a_name_is_text_as_written(tmp_path: Path, name: str) -> None:
    plain = list_ids(tmp_path, f"{{gateway: apim, project: {name}, proxy: {name}, environment: {name}}}")
    quoted = list_ids(
        tmp_path, f'{{gateway: apim, project: "{name}", proxy: \'{name}\', environment: "{name}"}}'
    )

    assert plain == quoted == [f"apim/{name}/{name}/{name}"]


def test_slash_and_percent_are_the_only_characters_encoded_in_an_id(tmp_path: Path) -> None:
    entry = "{gateway: apim, project: a/b, proxy: 5%, environment: 'ğ ? * #'}"

    assert list_ids(tmp_path, entry) == ["apim/a%2Fb/5%25/ğ ? * #"]


def test_a_long_way_to_write_a_target_means_the_same_as_the_short_one(tmp_path: Path) -> None:
    short = "{gateway: apim, project: P, proxy: x, environment: e, description: d, persistent: false}"
    long = "{persistent: false, environments: [e], gateway: apim, description: d, proxies: [x], project: P}"
    found = [load_plan(tmp_path, f"{HEAD}targets:\n  - {entry}\n")[1].targets for entry in (short, long)]

    assert found[0] == found[1]


def test_each_target_has_its_position(tmp_path: Path) -> None:
    entry = "  - gateway: roma\n    ld_api_ids:\n      - a\n      - b\n"
    _, sink = load_plan(tmp_path, f"{HEAD}targets:\n  - {{gateway: roma, ld_api_id: c}}\n{entry}")
    first = HEAD.count("\n") + 2

    assert sink.positions == [
        FilePosition(0, first, 5),
        FilePosition(0, first + 3, 9),
        FilePosition(0, first + 4, 9),
    ]


def test_the_digest_covers_every_byte_of_the_plan(tmp_path: Path) -> None:
    first, _ = load_plan(tmp_path, HEAD + ONE)
    again, _ = load_plan(tmp_path, HEAD + ONE)
    other, _ = load_plan(tmp_path, HEAD + ONE + "# a comment\n")

    assert first.digest == again.digest
    assert len(first.digest) == 64
    assert first.digest != other.digest
    assert first.source_digest != other.source_digest


def test_relative_paths_start_at_the_plans_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "p.yaml").write_text(HEAD + ONE)
    monkeypatch.chdir(tmp_path)

    loaded = read_plan(Path("deep/p.yaml"), TargetList())

    assert loaded.folder == tmp_path / "deep"
    assert loaded.source == tmp_path / "deep" / "p.yaml"


def test_all_problems_are_reported_at_once_in_file_order(tmp_path: Path) -> None:
    text = f"""\
version: 1
gateways:
{APIM}    timeout: soon
    look: sometimes
targets:
  - {{gateway: apmi, project: P, proxy: x, environment: e}}
  - {{gateway: apim, project: P, proxy: .., environment: e}}
at_most: many
"""
    assert read_problems(tmp_path, text) == [
        "plan.yaml:1:1 the key name is missing",
        (
            'plan.yaml:7:14 gateways.apim.timeout: "soon" is no duration; '
            "write a number with ms, s, m or h, such as 30s"
        ),
        'plan.yaml:8:11 gateways.apim.look: "sometimes" is not always or doubt',
        'plan.yaml:10:15 targets[0].gateway: no gateway is named "apmi"; did you mean "apim"?',
        'plan.yaml:11:40 targets[1].proxy: ".." would vanish from an address; it cannot be a name',
        'plan.yaml:12:10 at_most: "many" is not a whole number; write decimal digits only, without quotes',
    ]


def test_only_the_first_problems_are_reported_in_full(tmp_path: Path) -> None:
    wrong = "".join(f"  - {{gateway: roma, ld_api_id: 'a {n}'}}\n" for n in range(3000))

    found = read_problems(tmp_path, f"{HEAD}targets:\n{wrong}")

    assert len(found) == 201
    assert found[199].startswith(f"plan.yaml:{HEAD.count(chr(10)) + 201}:")
    assert found[200] == "plan.yaml: 2,800 more problems are not shown; mend these first"


@pytest.mark.parametrize(
    ("first", "again"), [("roma/a", "roma/a"), ("roma/a", "other/a")], ids=["one name", "two names"]
)
def test_a_duplicate_is_reported_with_both_lines(tmp_path: Path, first: str, again: str) -> None:
    other = ROMA.replace("  roma:", "  other:").replace("roma.example.com", "ROMA.example.com:443/")
    targets = "".join(f"  - {{gateway: {i.split('/')[0]}, ld_api_id: a}}\n" for i in (first, again))

    found = read_one_problem(tmp_path, f"{TOP}gateways:\n{ROMA}{other}targets:\n{targets}")

    line = len((TOP + ROMA + other).splitlines()) + 4
    assert found.startswith(f'plan.yaml:{line}:5 the target "{again}"')
    assert f"plan.yaml:{line - 1}:5" in found


def test_the_same_id_on_another_installation_is_another_target(tmp_path: Path) -> None:
    other = ROMA.replace("  roma:", "  other:").replace("roma.example.com", "roma2.example.com")
    targets = "targets: [{gateway: roma, ld_api_id: a}, {gateway: other, ld_api_id: a}]\n"

    assert load_plan(tmp_path, f"{TOP}gateways:\n{ROMA}{other}{targets}")[0].targets == 2


def test_more_targets_than_at_most_are_refused_and_not_kept(tmp_path: Path) -> None:
    many = "[" + ", ".join(f"a{n}" for n in range(12)) + "]"
    path = tmp_path / "plan.yaml"
    path.write_text(f"{TOP}at_most: 10\n{GATEWAYS}targets: [{{gateway: roma, ld_api_ids: {many}}}]\n")
    sink = TargetList()

    with pytest.raises(Exception, match=r":3:10 at_most: the plan has 12 targets, more than 10"):
        read_plan(path, sink)

    assert len(sink.targets) == 10


def test_a_matrix_without_end_is_refused_before_it_is_made(tmp_path: Path) -> None:
    names = "[" + ", ".join(f"n{n}" for n in range(1001)) + "]"
    entry = f"{{gateway: apim, project: P, proxies: {names}, environments: {names}}}"

    assert "the lists make 1,002,001 targets; one entry may name 1,000,000" in read_one_problem(
        tmp_path, f"{HEAD}targets:\n  - {entry}\n"
    )


@pytest.mark.long("measures memory")
def test_the_reader_holds_no_targets(tmp_path: Path) -> None:
    """Memory is that of one entry, whatever the number of targets."""
    import tracemalloc

    class Counting(TargetList):
        count = 0

        def add(self, target: object, place: object) -> None:
            self.count += 1

    path = tmp_path / "plan.yaml"
    lines = (f"  - {{gateway: roma, ld_api_id: a{n}}}\n" for n in range(20_000))
    with path.open("w") as out:
        out.write(HEAD + "targets:\n")
        out.writelines(lines)
    sink = Counting()
    tracemalloc.start()
    try:
        read_plan(path, sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert sink.count == 20_000
    assert peak < 2_000_000


NFD, NFC = "o\u0308deme", "\u00f6deme"


def test_a_matrix_that_names_a_target_twice_is_no_riddle(tmp_path: Path) -> None:
    """All targets of a matrix have the position of their entry: "first at" would name the line itself."""
    entry = "{gateway: apim, project: P, proxies: [a, a], environments: [x, y]}"

    found = read_problems(tmp_path, f"{HEAD}targets:\n  - {entry}\n")

    assert found == [
        f'plan.yaml:15:5 the target "apim/P/a/{name}" is given twice; its lists name it twice'
        for name in "xy"
    ]


def test_two_forms_of_an_accent_are_one_target(tmp_path: Path) -> None:
    rows = "".join(
        f"  - {{gateway: apim, project: P, proxy: {name}, environment: e}}\n" for name in (NFD, NFC)
    )

    found = read_one_problem(tmp_path, f"{HEAD}targets:\n{rows}")

    assert found.endswith(
        f'the target "apim/P/{NFC}/e" is given twice, with another form of an accent; first at plan.yaml:15:5'
    )


def test_a_name_goes_on_its_way_as_it_is_written(tmp_path: Path) -> None:
    entry = f"{{gateway: apim, project: P, proxy: {NFD}, environment: e}}"

    assert list_ids(tmp_path, entry) == [f"apim/P/{NFD}/e"]


def test_two_forms_of_an_accent_name_one_wave(tmp_path: Path) -> None:
    waves = "".join(
        f"  - {{name: {name}, targets: [{{gateway: roma, ld_api_id: {number}}}]}}\n"
        for number, name in enumerate((NFD, NFC))
    )

    assert "stands already at plan.yaml:15:12" in read_one_problem(tmp_path, f"{HEAD}waves:\n{waves}")
