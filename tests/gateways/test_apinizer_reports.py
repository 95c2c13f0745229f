"""What the samples of Apinizer's access report and of its proxy groups mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.gateways.apinizer.access_report import AccessReport
from orchestrator.gateways.apinizer.groups import ProxyGroup
from orchestrator.model.features import SharedUsageRead
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading
from tests.support.recorded import SAMPLES, gateway, our_target, read_yaml

APINIZER = gateway("apinizer")
ACCESS = sorted(path.parent for path in (SAMPLES / "apinizer" / "access").glob("*/reply.json"))
GROUPS = sorted(path.parent for path in (SAMPLES / "apinizer" / "groups").glob("*/reply.json"))


def read_reply(folder: Path) -> Reply:
    head = json.loads((folder / "reply.json").read_text())
    headers = {name.lower(): value for name, value in head["headers"].items()}
    return Reply(head["status"], headers, (folder / "body").read_bytes(), 0.0)


def read_expected(folder: Path) -> dict[str, Any]:
    expected: dict[str, Any] = read_yaml(folder / "expected.yaml")
    return expected


@pytest.mark.parametrize("folder", ACCESS, ids=lambda folder: folder.name)
def test_the_access_report_names_those_of_its_sample(folder: Path) -> None:
    expected = read_expected(folder)
    assert APINIZER.traffic is not None
    read = APINIZER.traffic.next_shared_read({}, 72)
    assert read is not None

    found = read.read(read_reply(folder))

    if "reading" in expected:
        assert found == msgspec.convert(expected["reading"], Reading)
        return
    assert isinstance(found, AccessReport)
    named = {"/".join(key): list(callers.names) for key, callers in found.callers.items()}
    assert named == expected["callers"]
    assert not any(callers.more for callers in found.callers.values())


def next_read(told: Mapping[str, Any]) -> SharedUsageRead:
    assert APINIZER.groups is not None
    read = APINIZER.groups.next_read(told, [our_target("apinizer")])
    assert read is not None
    return read


@pytest.mark.parametrize("folder", GROUPS, ids=lambda folder: folder.name)
def test_the_groups_are_those_of_their_sample(folder: Path) -> None:
    expected = read_expected(folder)
    told: dict[str, Any] = {}
    for earlier in expected.get("after", ()):
        read = next_read(told)
        told[read.name] = read.read(read_reply(folder.parent / earlier))

    found = next_read(told).read(read_reply(folder))

    if "reading" in expected:
        assert found == msgspec.convert(expected["reading"], Reading)
        return
    groups = [found] if isinstance(found, ProxyGroup) else list(found)
    assert groups == [msgspec.convert(group, ProxyGroup) for group in expected["groups"]]
