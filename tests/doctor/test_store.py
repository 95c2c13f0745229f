"""The traffic log in a diagnosis: one search, whose faults warn and end nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.doctor import store as doctor_store
from orchestrator.doctor.findings import STORE, Finding, FindingState, GatewayDiagnosis, complete_findings
from orchestrator.doctor.lines import list_summaries
from orchestrator.doctor.store import StoreFindings, check_store
from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.lanes.environment import Environment, StoreAccess
from orchestrator.model.settings import (
    Auth,
    CredentialReference,
    ElasticsearchStore,
    StoreAuth,
    Tls,
    UsageSources,
)
from orchestrator.runs.machine import make_real_environment
from orchestrator.transport.client import connect_store
from orchestrator.transport.credentials import resolve_store
from tests.lanes.test_traffic_store import BASIC, PASSWORD, make_records
from tests.support.elasticsearch import ElasticsearchDouble
from tests.support.peer import serving, silence
from tests.support.recorded import gateway


def make_entry(url: str) -> Apinizer:
    auth = StoreAuth(user="reader", password=CredentialReference(env="STORE_SECRET"))
    log = ElasticsearchStore(url=url, index="apinizer-log-apiproxy-*", auth=auth)
    return Apinizer(
        name="apim",
        url="https://apim.example.com",
        auth=Auth(token=CredentialReference(env="T")),
        usage=UsageSources(elasticsearch=log),
    )


def make_environment() -> Environment:
    async def credential(entry: object) -> object:
        return resolve_store(entry, Path())  # type: ignore[arg-type]

    access = StoreAccess(
        connect=partial(connect_store, folder=Path(), environment={}),
        credential=credential,  # type: ignore[arg-type]
    )
    return replace(make_real_environment(Path()), store=access)


async def check(double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch) -> tuple[Finding, int]:
    monkeypatch.setenv("STORE_SECRET", PASSWORD)
    async with double.serve():
        found = await check_store(make_entry(double.url), make_environment())
    (finding,) = found.findings
    return finding, found.requests


async def test_a_log_that_is_written_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    double = ElasticsearchDouble(make_records())
    double.wants = BASIC

    finding, requests = await check(double, monkeypatch)

    assert (finding.state, requests) == (FindingState.OK, 1)
    assert "newest record is 1" in finding.text
    assert finding.text.endswith("its oldest 16.7 days")


async def test_a_log_whose_server_may_be_anybody_is_told_and_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORE_SECRET", PASSWORD)
    double = ElasticsearchDouble(make_records())
    async with double.serve():
        entry = make_entry(double.url)
        assert entry.usage is not None
        log = replace(entry.usage.elasticsearch, tls=Tls(insecure=True))
        found = await check_store(replace(entry, usage=UsageSources(elasticsearch=log)), make_environment())

    (finding,) = found.findings
    assert finding.state is FindingState.WARN
    assert "newest record is 1" in finding.text
    assert "usage.elasticsearch.tls: insecure: any certificate is believed" in finding.text


async def test_a_refused_credential_warns_and_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    double = ElasticsearchDouble(make_records())
    double.wants = "Basic another"

    finding, requests = await check(double, monkeypatch)

    assert (finding.state, requests, len(double.searches)) == (FindingState.WARN, 1, 1)
    assert "security_exception" in finding.text
    assert PASSWORD not in finding.text
    assert BASIC.removeprefix("Basic ") not in finding.text


async def test_a_dead_log_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    finding, _ = await check(ElasticsearchDouble(make_records(newest=40 * 3600.0)), monkeypatch)

    assert finding.state is FindingState.WARN
    assert "newest record is 40.0 h old" in finding.text


async def test_a_missing_index_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    finding, _ = await check(ElasticsearchDouble([], index="another"), monkeypatch)

    assert finding.state is FindingState.WARN
    assert "index_not_found_exception" in finding.text


async def test_a_missing_reference_warns_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORE_SECRET", raising=False)

    found = await check_store(make_entry("http://127.0.0.1:9"), make_environment())

    assert found.requests == 0
    assert "STORE_SECRET" in found.findings[0].text


async def test_a_silent_store_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 10."""
    monkeypatch.setenv("STORE_SECRET", PASSWORD)
    monkeypatch.setattr(doctor_store, "ANSWERS_WITHIN", 0.3)

    async with serving(silence) as peer:
        found = await check_store(make_entry(peer.url), make_environment())

    assert "no reply within" in found.findings[0].text


async def test_a_gateway_without_a_log_has_no_such_line() -> None:
    assert await check_store(gateway("apinizer"), make_environment()) == StoreFindings((), 0)
    assert STORE not in {finding.check for finding in complete_findings([])}


def test_a_warning_about_the_log_is_shown() -> None:
    found = complete_findings([Finding.warning(STORE, "no such index", "see to it")])
    diagnosis = GatewayDiagnosis(gateway="apim", kind="apinizer", url="u", findings=found, requests=1)

    assert list(list_summaries([diagnosis])) == ["apim  warn  traffic log: no such index; see to it"]
