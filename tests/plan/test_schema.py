"""The schema accepts and refuses the same plans as the reader, as far as a schema can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orchestrator.errors import PlanError
from orchestrator.plan.schema import make_plan_schema
from orchestrator.plan.starter import compose_starter
from tests.support.plan_places import FORMS, make_plan, put
from tests.support.plans import APIM, EITHER, HEAD, ONE, ROMA, TOP, load_plan, read_problems, replace_auth

PLANS = sorted(Path(__file__).parents[2].glob("plans/*.yaml"))


class _Editor(yaml.SafeLoader):
    """Reads YAML as an editor does: numbers and booleans, but times as text."""


_Editor.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def find_schema_faults(text: str) -> list[str]:
    value: Any = yaml.load(text, Loader=_Editor)
    validator = jsonschema.Draft202012Validator(make_plan_schema())
    return [error.message for error in validator.iter_errors(value)]


def test_the_schema_is_a_schema_and_plain_json() -> None:
    jsonschema.Draft202012Validator.check_schema(make_plan_schema())

    assert json.loads(json.dumps(make_plan_schema())) == make_plan_schema()


def test_no_value_is_judged_by_a_format_which_each_program_takes_in_its_own_way() -> None:
    assert '"format":' not in json.dumps(make_plan_schema())


def list_properties(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each key that a plan may have, by its place in the schema, with the schema of its value."""
    for key, value in schema.get("properties", {}).items():
        yield f"{path}/{key}", value
    for name, inner in [*schema.get("$defs", {}).items(), *schema.get("properties", {}).items()]:
        yield from list_properties(inner, f"{path}/{name}")
        yield from list_properties(inner.get("items", {}), f"{path}/{name}/items")


def test_every_key_has_a_description_and_examples() -> None:
    found = dict(list_properties(make_plan_schema()))

    assert len(found) > 100
    assert [path for path, value in found.items() if not value.get("description")] == []
    assert [path for path, value in found.items() if not value.get("examples")] == []


def test_every_example_is_a_value_that_its_key_may_have() -> None:
    schema = make_plan_schema()
    for path, value in list_properties(schema):
        validator = jsonschema.Draft202012Validator(value | {"$defs": schema["$defs"]})
        for example in value["examples"]:
            assert [error.message for error in validator.iter_errors(example)] == [], path


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_plan_fits_the_schema(path: Path) -> None:
    assert find_schema_faults(path.read_text()) == []


def test_the_starter_plan_fits_the_schema() -> None:
    assert find_schema_faults(compose_starter(datetime.now(UTC))) == []


HTTP_HEAD = HEAD.replace("https://apim", "http://apim")
IAM = replace_auth(ROMA, "iam").replace("url: https", "url: http")
CLEAR_IAM = IAM.replace("'https://iam", "'http://iam")
WAVE = "waves: [{{name: w, {}, targets: [{{gateway: roma, ld_api_id: a}}]}}]\n"
EMPTY = "command: [pass, '']"
WRONG = {
    "no version": f"name: x\ngateways:\n{ROMA}{ONE}",
    "version": f"{HEAD}{ONE}".replace("version: 1", "version: 2"),
    "unknown key": f"{HEAD}{ONE}nmae: x\n",
    "zone": f"{HEAD}    zone: a/b\n{ONE}",
    "name of a gateway among its keys": f"{HEAD}    name: apim\n{ONE}",
    "rate": f"{HEAD}    limits: {{rate: 20}}\n{ONE}",
    "rate a day": f"{HEAD}    limits: {{rate: 20/d}}\n{ONE}",
    "park_for": f"{HEAD}    park_for: 10\n{ONE}",
    "pause": HEAD + WAVE.format("pause_after: often"),
    "proceed": HEAD + WAVE.format("proceed: never"),
    "no sizes": HEAD + WAVE.format("sizes: []"),
    "no whole": HEAD + WAVE.format("sizes: [1, 10%]"),
    "no count": HEAD + WAVE.format("sizes: [0, 100%]"),
    "quoted count": HEAD + WAVE.format("sizes: ['1', 100%]"),
    "a wave's key at the top": f"{HEAD}{ONE}proceed: ask\n",
    "after one": f"{HEAD}targets: [{{gateway: roma, ld_api_id: a, after: roma/b}}]\n",
    "after no id": f"{HEAD}targets: [{{gateway: roma, ld_api_id: a, after: [roma]}}]\n",
    "after twice": f"{HEAD}targets: [{{gateway: roma, ld_api_id: a, after: [roma/b, roma/b]}}]\n",
    "literal": f"{TOP}gateways:\n{ROMA.replace('{env: ROMA_TOKEN}', 'abc')}{ONE}",
    "two references": f"{TOP}gateways:\n{ROMA.replace('{env: ROMA_TOKEN}', '{env: A, file: b}')}{ONE}",
    "no way in": f"{TOP}gateways:\n{ROMA.replace('{token: {env: ROMA_TOKEN}}', '{}')}{ONE}",
    "another kind's way in": f"{TOP}gateways:\n{replace_auth(APIM, 'iam')}{EITHER}",
    "two ways in": f"{TOP}gateways:\n{replace_auth(ROMA, 'token', 'iam')}{ONE}",
    "a key too many": f"{TOP}gateways:\n{replace_auth(ROMA, 'token', 'access_key')}{ONE}",
    "half a pair of keys": f"{TOP}gateways:\n{replace_auth(ROMA, 'secret_key')}{ONE}",
    "a security token alone": f"{TOP}gateways:\n{replace_auth(ROMA, 'token', 'security_token')}{ONE}",
    "a command that is a text": f"{TOP}gateways:\n{ROMA.replace('env: ROMA_TOKEN', 'command: pass')}{ONE}",
    "no command": f"{TOP}gateways:\n{ROMA.replace('env: ROMA_TOKEN', 'command: []')}{ONE}",
    "an empty argument": f"{TOP}gateways:\n{ROMA.replace('env: ROMA_TOKEN', EMPTY)}{ONE}",
    "half a keyring": f"{TOP}gateways:\n{ROMA.replace('env: ROMA_TOKEN', 'keyring: roma/')}{ONE}",
    "password": f"{TOP}gateways:\n{replace_auth(APIM, 'login').replace('{env: P}', 'abc')}{EITHER}",
    "key without certificate": f"{HEAD}    tls: {{key_file: a}}\n{ONE}",
    "insecure in quotes": f"{HEAD}    tls: {{insecure: 'true'}}\n{ONE}",
    "tls on http": f"{HEAD.replace('https://apim', 'http://apim')}    tls: {{insecure: true}}\n{ONE}",
    "tls on http through http": f"{HTTP_HEAD}    tls: {{insecure: true}}\n    proxy: http://proxy\n{ONE}",
    "tls on http with a login on http": f"{TOP}gateways:\n{CLEAR_IAM}    tls: {{ca_file: a}}\n{ONE}",
    "user of the proxy": f"{HEAD}    proxy: http://a:b@proxy\n{ONE}",
    "path of the proxy": f"{HEAD}    proxy: http://proxy/path\n{ONE}",
    "user of the url": f"{TOP}gateways:\n{ROMA.replace('https://', 'https://a:b@')}{ONE}",
    "kind": f"{TOP}gateways:\n{APIM.replace('apinizer', 'kong')}{ONE}",
    "other kind's key": f"{HEAD}    api_version: v1\n{ONE}",
    "duration": f"{HEAD}    timeout: 30\n{ONE}",
    "no duration": f"{HEAD}    timeout: 0.0s\n{ONE}",
    "no rate": f"{HEAD}    limits: {{rate: 00/m}}\n{ONE}",
    "a letter in the url": HEAD.replace("https://apim", "https://\u00fcapim") + ONE,
    "a backslash in the url": HEAD.replace("https://apim.", "https://apim\\.") + ONE,
    "a space in the proxy": f"{HEAD}    proxy: 'http://proxy .example.com'\n{ONE}",
    "no end of the window": f"{HEAD}{ONE}window: {{}}\n",
    "a time without an offset": f"{HEAD}{ONE}window: {{opens: 2026-11-22T22:00:00}}\n",
    "a day": f"{HEAD}{ONE}window: {{closes: 2026-11-22}}\n",
    "a month that is none": f"{HEAD}{ONE}window: {{closes: 2026-13-22T22:00:00Z}}\n",
    "an hour that is none": f"{HEAD}{ONE}window: {{closes: 2026-11-22T24:00:00Z}}\n",
    "a minute of an offset that is none": f"{HEAD}{ONE}window: {{closes: 2026-11-22T22:00:00+03:60}}\n",
    "a time in billionths": f"{HEAD}{ONE}window: {{closes: 2026-11-22T22:00:00.123456789Z}}\n",
    "a time of long ago": f"{HEAD}{ONE}window: {{closes: 1999-11-22T22:00:00Z}}\n",
    "bounds": f"{HEAD}    limits: {{concurrency: 0}}\n{ONE}",
    "number in quotes": f'{HEAD}{ONE}at_most: "5"\n',
    "calls without hours": f"{HEAD}{ONE}in_use: warn\nin_use_over: 5\n",
    "calls of no time": f"{HEAD}{ONE}in_use: warn\nin_use_over: 5/0h\n",
    "calls of too many hours": f"{HEAD}{ONE}in_use: warn\nin_use_over: 5/73h\n",
    "calls that nothing counts": f"{HEAD}{ONE}in_use_over: 5/72h\n",
    "share": f"{HEAD}{ONE}stop_when: {{failed: often}}\n",
    "more than all": f"{HEAD}{ONE}stop_when: {{failed: 100.5%}}\n",
    "a step of nothing": HEAD + WAVE.format("sizes: [0.0%, 100%]"),
    "both": f"{HEAD}{ONE}waves: []\n",
    "neither": HEAD,
    "both forms": f"{HEAD}targets: [{{gateway: roma, ld_api_id: a, ld_api_ids: [b]}}]\n",
    "missing key": f"{HEAD}targets: [{{gateway: apim, proxy: a, environment: b}}]\n",
    "id": f"{HEAD}targets: [{{gateway: roma, ld_api_id: a/b}}]\n",
    "dots": f"{HEAD}targets: [{{gateway: apim, project: .., proxy: a, environment: b}}]\n",
    "beside a file": f"{HEAD}targets: [{{gateway: roma, ld_api_id: a, from_file: a.csv}}]\n",
}


TEMPORARY_KEYS = replace_auth(ROMA, "access_key", "secret_key", "security_token")
RIGHT = {
    "rate": f"{HEAD}    limits: {{rate: 0.5/s}}\n    park_for: 90s\n{ONE}",
    "zone": f"{HEAD}    zone: dmz-1\n{ONE}",
    "wave": HEAD + WAVE.format("pause_after: 5m, proceed: ask, sizes: [1, 10%, 100%]"),
    "after nobody": f"{HEAD}targets: [{{gateway: roma, ld_api_id: a, after: []}}]\n",
    "calls": f"{HEAD}{ONE}in_use: refuse\nin_use_over: 5/72h\n",
    "times": f"{HEAD}{ONE}window: {{opens: 2026-11-22T22:00+03:00, closes: 2026-11-22 22:00:00Z}}\n",
    "calls of hours with a zero before them": f"{HEAD}{ONE}in_use: warn\nin_use_over: 5/072h\n",
    "an index that looks like a number": (
        f"{HEAD}    usage: {{elasticsearch: {{url: 'https://e', index: 2026}}}}\n{ONE}"
    ),
    "calls of one hour": f"{HEAD}{ONE}in_use: warn\nin_use_over: 0/1h\n",
    "iam": f"{TOP}gateways:\n{replace_auth(ROMA, 'iam')}{ONE}",
    "keys": f"{TOP}gateways:\n{replace_auth(ROMA, 'access_key', 'secret_key')}{ONE}",
    "temporary keys": f"{TOP}gateways:\n{TEMPORARY_KEYS}{ONE}",
    "login": f"{TOP}gateways:\n{ROMA}{replace_auth(APIM, 'login')}{ONE}",
    "command": f"{TOP}gateways:\n{ROMA.replace('env: ROMA_TOKEN', 'command: [pass, 5, $(x)]')}{ONE}",
    "keyring": f"{TOP}gateways:\n{ROMA.replace('env: ROMA_TOKEN', 'keyring: a/b/c')}{ONE}",
    "tls": f"{HEAD}    tls: {{ca_file: a.pem, cert_file: ../b.pem, insecure: false}}\n{ONE}",
    "tls for an https login": f"{TOP}gateways:\n{IAM}    tls: {{ca_file: a}}\n{ONE}",
    "tls for an https proxy": f"{HTTP_HEAD}    tls: {{ca_file: a}}\n    proxy: https://proxy\n{ONE}",
    "proxy": f"{HEAD}    proxy: https://proxy.example.com:3128/\n{ONE}",
    "scheme in capitals": f"{HEAD.replace('https://', 'HTTPS://')}    tls: {{ca_file: a}}\n{ONE}",
    "scheme of the proxy in capitals": f"{HEAD}    proxy: Http://proxy\n{ONE}",
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_schema_accepts_what_the_reader_accepts(tmp_path: Path, name: str) -> None:
    assert load_plan(tmp_path, RIGHT[name])[0].targets == 1
    assert find_schema_faults(RIGHT[name]) == []


VALUES = (
    "a", "a b", "a-b.c_d", "\u00e9", "a/b", "100%", "a;b", "no", "1e10", "0123", "x" * 64, "x" * 300,
    "30s", "0.5s", "1ms", "01m", "24h", "1.123456h", "20/s", "0.5/s", "007/m", "1/h", "100000/s",
    "0%", "00.0%", "5%", "050%", "99.999999%", "100%", "100.000000%", "0/1h", "5/72h", "5/072h", "5/0h",
    "http://a", "HTTPS://a/", "https://a:8443/b//c/%C3%BC;d~", "http://[::1]:80",
    "2026-11-22T22:00:00+03:00", "2026-11-22t22:00z", "2026-11-22 22:00:00.5-11:30",
    "2028-02-29T00:00:59.123456Z",
    "20261122-190003412-retirement-7f3a", "7a2298c4-c905-403f-8fac-38c73301631f", ".a*,b-1",
    "v1", "v4", "ask", "always", "ok", "warn", "file", "off", "x/y", "g/**", "a.csv", "{x}", "X_1",
    0, 1, 5, 1000, True, False, ["100%"], [1, "10%", "100%"], ["g/**"], {"env": "X"}, {"file": "~/a b"},
)  # fmt: skip
"""Values of every form, some of them written as few people do."""


def test_the_schema_accepts_of_each_form_what_the_reader_accepts(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(make_plan_schema())
    taken = {place.expression: 0 for place in FORMS}
    for place, value in product(FORMS, VALUES):
        plan = make_plan(place.kind)
        put(plan, place.path, value)
        with suppress(PlanError):
            load_plan(tmp_path, json.dumps(plan))
            taken[place.expression] += 1
            assert [error.message for error in validator.iter_errors(plan)] == [], (place.path, value)

    # The others want a file, a second target, or another key beside them.
    assert len([count for count in taken.values() if count]) > 13


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.jsonl", "a.Jsonl"])
def test_the_schema_accepts_the_names_of_tables_that_the_reader_accepts(tmp_path: Path, name: str) -> None:
    is_table = name.lower().endswith(".csv")
    (tmp_path / name).write_text("ld_api_id\na\n" if is_table else '{"ld_api_id": "a"}\n')
    text = f"{HEAD}targets: [{{gateway: roma, from_file: {name}}}]\n"

    assert load_plan(tmp_path, text)[0].targets == 1
    assert find_schema_faults(text) == []


@pytest.mark.parametrize("name", WRONG)
def test_the_schema_refuses_what_the_reader_refuses(tmp_path: Path, name: str) -> None:
    assert read_problems(tmp_path, WRONG[name])
    assert find_schema_faults(WRONG[name])


def test_a_text_that_looks_like_a_number_is_a_text_to_both(tmp_path: Path) -> None:
    text = f"{HEAD}targets: [{{gateway: apim, project: 0123, proxy: no, environment: 1e10}}]\n"

    assert load_plan(tmp_path, text)[0].targets == 1
    assert find_schema_faults(text) == []
