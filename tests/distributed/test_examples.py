"""The manifests of docs/examples are sound, and start a worker with options that it has."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command_lines import parse_command_line

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def _read_unit() -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(EXAMPLES / "worker.service", encoding="utf-8")
    return unit


def _read_deployment() -> dict[str, Any]:
    deployment: dict[str, Any] = yaml.safe_load((EXAMPLES / "worker-deployment.yaml").read_bytes())
    return deployment


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the values of a worker's options. Fails on an option that it does not have."""
    return parse_command_line(["worker", *arguments]).params


@pytest.mark.source
def test_the_unit_of_systemd_starts_a_worker() -> None:
    service = _read_unit()["Service"]
    program, name, *arguments = shlex.split(service["ExecStart"].replace("\\\n", " "))
    values = _parse(arguments)

    assert (Path(program).name, name) == ("undeploy", "worker")
    assert values["zone"] == "east"
    assert int(service["TimeoutStopSec"]) >= 150 + 15, (
        "the default timeout of Apinizer, and the grace of a request"
    )
    assert service["LoadCredential"]


@pytest.mark.source
def test_the_deployment_of_kubernetes_starts_a_worker() -> None:
    spec = _read_deployment()["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    name, *arguments = container["args"]
    values = _parse(arguments)
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]

    assert (name, values["zone"]) == ("worker", "east")
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert pod["terminationGracePeriodSeconds"] >= 150 + 15
    for argument in container["args"]:
        path = argument.partition("=")[2]
        assert not path.startswith("/") or any(path.startswith(f"{place}/") for place in mounted), argument
    # The program refuses a state folder that others may write to, as the root of a volume is.
    assert str(values["state"]) not in mounted
