"""A plan that was written is read back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.gateways import KINDS
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target
from orchestrator.plan.reader import read_plan
from orchestrator.plan.target_sink import TargetList
from orchestrator.plan.yaml_text import format_comment, format_head, format_target, format_text, format_wave
from orchestrator.text.characters import CONTROL, why_not_prose
from orchestrator.text.names import is_name
from tests.plan.test_schema import find_schema_faults
from tests.support.plans import APIM, GATEWAYS, ONE, ROMA, TOP, load_plan, replace_auth

PLANS = sorted(Path(__file__).parents[2].glob("plans/*.yaml"))
PARENT = "20261122-190003412-no-7f3a"


def write_plan(plan: Plan, sink: TargetList) -> str:
    """Write the plan with all of its targets."""
    ids = {target.seq: target.id for target in sink.targets}
    kinds = {gateway.name: KINDS[gateway.KIND] for gateway in plan.gateways}
    lines = [*format_head(plan, PARENT, str)]
    for index, wave in enumerate(plan.waves):
        lines += format_wave(wave)
        for target in sink.targets:
            if target.wave == index:
                after = [ids[seq] for seq in sink.needs.get(target.seq, ())]
                lines.append(format_target(target, kinds[target.gateway], after))
    return "".join(lines)


def assert_same(folder: Path, plan: Plan, sink: TargetList) -> str:
    said = write_plan(plan, sink)
    again, other = load_plan(folder, said)
    assert again.plan == replace(plan, window=None, parent=PARENT)
    assert other.targets == sink.targets
    assert other.needs == sink.needs
    return said


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_comes_back_as_it_was(path: Path, tmp_path: Path) -> None:
    sink = TargetList()
    plan = read_plan(path, sink).plan

    assert find_schema_faults(assert_same(tmp_path, plan, sink)) == []


KEYS = {
    "limits: {concurrency: 3, rate: 100/m}": ROMA,
    "limits: {rate: 0.5/s}": ROMA,
    "limits: {rate: 7/h}": ROMA,
    "retry: {attempts: 1, first: 1.5ms, ceiling: 1.000001h}": ROMA,
    "look: always\n    absent: ok\n    timeout: 90s\n    park_for: 24h": APIM,
    "zone: dmz-1": APIM,
    "api_version: v2": ROMA,
    "tls: {ca_file: 'a b.pem', cert_file: ~/me, key_file: 0123, insecure: true}": APIM,
    "proxy: http://proxy.example.com:3128": APIM,
}


@pytest.mark.parametrize("keys", KEYS)
def test_every_key_of_a_gateway_comes_back(tmp_path: Path, keys: str) -> None:
    gateway, one = KEYS[keys], "{gateway: apim, project: P, proxy: p, environment: e}"
    entry = "{gateway: roma, ld_api_id: a1}" if gateway is ROMA else one
    loaded, sink = load_plan(tmp_path, f"{TOP}gateways:\n{gateway}    {keys}\ntargets: [{entry}]\n")

    said = assert_same(tmp_path, loaded.plan, sink)

    assert keys.partition(":")[0] in said


@pytest.mark.parametrize(
    "ways", [("iam",), ("access_key", "secret_key"), ("access_key", "secret_key", "security_token")]
)
def test_every_form_of_auth_comes_back(tmp_path: Path, ways: tuple[str, ...]) -> None:
    assert_same(tmp_path, *_plan_and_targets(tmp_path, f"{TOP}gateways:\n{replace_auth(ROMA, *ways)}{ONE}"))


@pytest.mark.parametrize(
    "reference",
    ["{file: 'no/t%k'}", "{command: [./x, '$(y)', '']}", "{keyring: a/b/no}", "{command: ['1', '-c']}"],
)
def test_every_reference_comes_back(tmp_path: Path, reference: str) -> None:
    plan = f"{TOP}gateways:\n{ROMA.replace('{env: ROMA_TOKEN}', reference)}{ONE}"
    if "''" in reference:
        plan = plan.replace(", ''", "")
    assert_same(tmp_path, *_plan_and_targets(tmp_path, plan))


def _plan_and_targets(folder: Path, plan: str) -> tuple[Plan, TargetList]:
    loaded, sink = load_plan(folder, plan)
    return loaded.plan, sink


WAVES = """\
waves:
- {name: 'no', pause_after: 90s, proceed: ask, sizes: [1, 33.333333%, 5, 100%], targets: [{gateway: roma, ld_api_id: a}]}
- {name: "1e3", sizes: ['0.5%', 100%], targets: [{gateway: roma, ld_api_id: '0123', after: [roma/a]}]}
"""  # noqa: E501


def test_waves_and_rules_come_back(tmp_path: Path) -> None:
    rules = "stop_when: {failed: 12.345678%, unknown: 0, surprising: 0%}\nat_most: 7\n"
    rules += "in_use: warn\nin_use_over: 1204/24h\n"
    rules += "protect: ['**/\"x', 'roma/*']\n"
    loaded, sink = load_plan(tmp_path, f"{TOP}{rules}{GATEWAYS}{WAVES}")

    assert_same(tmp_path, loaded.plan, sink)


def test_many_items_stand_on_lines_of_bounded_length(tmp_path: Path) -> None:
    names = [f"roma/{number:064}" for number in range(2_000)]
    targets = "".join(f"  - {{gateway: roma, ld_api_id: '{name[5:]}'}}\n" for name in names)
    last = f"  - {{gateway: roma, ld_api_id: z, after: [{', '.join(names)}]}}\n"
    loaded, sink = load_plan(tmp_path, f"{TOP}{GATEWAYS}targets:\n{targets}{last}")

    said = assert_same(tmp_path, loaded.plan, sink)

    assert max(map(len, said.splitlines())) < 3_000


PROSE = st.text(min_size=1, max_size=40).filter(lambda value: not why_not_prose(value))
WORDS = st.sampled_from(
    [
        "no",
        "Yes",
        "1e10",
        "0123",
        "~",
        "null",
        "#a",
        "a: b",
        "- a",
        "!x",
        "&a",
        "*a",
        "%2F",
        "a/b",
        "<<",
        "{",
        "' \"\\",
    ]
)


NAMES = (st.text(min_size=1, max_size=40) | WORDS).filter(is_name)


@settings(deadline=None)  # the machine may be busy with others
@given(st.text().filter(lambda value: value and not CONTROL.search(value)) | WORDS, st.integers(0, 5_000))
def test_any_text_comes_back(value: str, more: int) -> None:
    said = format_text(value + ' x\\" \u00fc\U0001f4a5'[: more % 9] * more)

    assert _scalars(f"[{said}, {{a: {said}}}]") == 2 * (value + ' x\\" \u00fc\U0001f4a5'[: more % 9] * more,)
    assert all(character.isprintable() or character == "\n" for character in said)


def _scalars(said: str) -> tuple[Any, ...]:
    import yaml

    first, second = yaml.load(said, Loader=yaml.CSafeLoader)
    return first, second["a"]


@settings(deadline=None)  # the machine may be busy with others
@given(NAMES, NAMES, PROSE, st.booleans() | st.none())
def test_any_target_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    project: str,
    proxy: str,
    description: str,
    persistent: bool | None,
) -> None:
    target = Target(1, "ignored", "apim", 0, (project, proxy, "no"), description, persistent)  # type: ignore[arg-type]
    entry = format_target(target, KINDS["apinizer"], ())
    _, sink = load_plan(
        tmp_path_factory.getbasetemp(), f"{TOP}{GATEWAYS}waves:\n- name: w\n  targets:\n{entry}"
    )

    (found,) = sink.targets
    assert replace(found, id=target.id) == target


@settings(deadline=None)  # the machine may be busy with others
@given(st.text(max_size=700))
def test_a_comment_is_one_visible_line(said: str) -> None:
    shown = format_comment(said)

    assert shown.isprintable()
    assert len(shown) <= 500 * 10
