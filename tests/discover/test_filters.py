"""The filters of each gateway: which it can answer, their combinations, and each refusal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.discover.filters import (
    DiscoveryFilters,
    assign_filters,
    check_group,
    choose_group,
    read_before,
)
from orchestrator.errors import UsageError
from orchestrator.gateways import KINDS
from orchestrator.model.gateway import Gateway
from orchestrator.model.search import FoundTarget, TargetFilter
from orchestrator.model.settings import Auth, CredentialReference
from tests.support.engine import Scripted

AUTH = Auth(token=CredentialReference(env="NOBODY_SETS_THIS"))
ROMA: Gateway = KINDS["roma"](name="roma-eu", url="https://r", auth=AUTH, project_id="p", instance_id="i")
APIM: Gateway = KINDS["apinizer"](name="apim", url="https://a", auth=AUTH)


def make_gateway(
    gateway: Gateway = APIM,
    before: str | None = None,
    regexes: tuple[str, ...] = (),
    **texts: tuple[str, ...],
) -> TargetFilter:
    return assign_filters(DiscoveryFilters(texts=texts, regexes=regexes, before=before), [gateway])[
        gateway.name
    ]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [("orders-*", "orders-api", True), ("orders-*", "orders-a/b", True), ("orders", "orders-api", False),
     ("Orders*", "orders-api", False), ("?rders", "orders", True), ("a/b", "a/b", True), ("*", "", True),
     ("o\u0308*", "\u00f6deme", True), ("\u00f6deme", "o\u0308deme", True)],
)  # fmt: skip
def test_a_name_is_one_part_whatever_stands_in_it(pattern: str, text: str, matches: bool) -> None:
    assert make_gateway(name=(pattern,)).admits("name", text) == matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [("/v1/*", "/v1/orders", True), ("/v1/*", "/v1/orders/all", False), ("/v1/**", "/v1/orders/all", True)],
)
def test_a_path_has_parts(pattern: str, text: str, matches: bool) -> None:
    assert make_gateway(path=(pattern,)).admits("path", text) == matches


def test_of_one_filter_one_text_is_enough_and_all_filters_must_agree() -> None:
    wanted = make_gateway(name=("a*", "b*"), project=("Retail",))

    assert wanted.admits_all({"name": ("b1",), "project": ("Retail",)})
    assert not wanted.admits_all({"name": ("b1",), "project": ("Other",)})
    assert not wanted.admits_all({"name": ("c1",), "project": ("Retail",)})
    assert not wanted.admits_all({"name": ("b1",)})


def test_a_name_and_a_regular_expression_must_both_match() -> None:
    wanted = make_gateway(name=("o*",), regexes=(r"-v\d+$", "^x"))

    assert wanted.admits("name", "orders-v12")
    assert not wanted.admits("name", "orders")
    assert not wanted.admits("name", "baskets-v1")


@pytest.mark.parametrize(
    ("filters", "gateways", "message"),
    [
        (
            DiscoveryFilters(texts={"project": ("P",)}),
            [ROMA],
            "--project: gateways of kind roma have no such thing",
        ),
        (
            DiscoveryFilters(texts={"application": ("A",)}),
            [APIM],
            "--application: gateways of kind apinizer have",
        ),
        (
            DiscoveryFilters(texts={"project": ("P",)}),
            [ROMA, APIM],
            "says nothing of the gateway roma-eu .kind roma., and would leave",
        ),
        (
            DiscoveryFilters(texts={"type": ("data",)}),
            [ROMA, APIM],
            "--type says nothing of the gateway apim",
        ),
        (
            DiscoveryFilters(texts={"type": ("nonsense",)}),
            [ROMA, APIM],
            "--type: |--type nonsense: the types are data, function",
        ),
        (DiscoveryFilters(texts={"type": ("data", "odd")}), [ROMA], "--type odd: the types are"),
        (DiscoveryFilters(regexes=("(",)), [APIM], "--regex: "),
        (DiscoveryFilters(before="yesterday"), [APIM], "--deployed-before yesterday: write a day or a time"),
        (DiscoveryFilters(before="2026-01-31T10:00:00"), [APIM], "with its offset from UTC"),
        (DiscoveryFilters(before="2026-01-31T24:00:00Z"), [APIM], "write a day or a time"),
        (DiscoveryFilters(before="2026-02-30"), [APIM], "write a day or a time"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    filters: DiscoveryFilters, gateways: list[Gateway], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        assign_filters(filters, gateways)


def test_a_filter_of_its_own_for_each_gateway_is_right() -> None:
    filters = DiscoveryFilters(texts={"project": ("Retail",), "application": ("legacy",), "name": ("o*",)})
    wanted = assign_filters(filters, [ROMA, APIM])

    assert set(wanted["roma-eu"].filters) == {"application", "name"}
    assert set(wanted["apim"].filters) == {"project", "name"}


def test_types_are_each_kinds_own() -> None:
    wanted = assign_filters(DiscoveryFilters(texts={"type": ("data", "TEST")}), [ROMA, APIM])

    assert wanted["roma-eu"].admits("type", "data")
    assert wanted["apim"].admits("type", "PRODUCTION", "REST") is False
    assert wanted["apim"].admits("type", "TEST", "REST")


def test_a_kind_without_a_catalog_cannot_be_discovered() -> None:
    class Bare(Scripted, frozen=True, kw_only=True):
        KIND = "bare"

    with pytest.raises(UsageError, match="its kind lists nothing"):
        assign_filters(DiscoveryFilters(), [Bare(name="b", url="https://b", auth=AUTH)])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T03:00:00+03:00", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_midnight_in_utc(text: str, moment: datetime) -> None:
    assert read_before(text) == moment


def test_only_what_is_strictly_earlier_is_before() -> None:
    wanted = make_gateway(before="2026-01-31")

    assert wanted.is_early("2026-01-30T23:59:59Z") is True
    assert wanted.is_early("2026-01-31T00:00:00Z") is False
    assert wanted.is_early("2026-01-30") is None
    assert wanted.is_early(None) is None
    assert TargetFilter().is_early(None) is True


def test_a_target_is_grouped_by_what_it_has_or_by_its_gateway() -> None:
    found = FoundTarget(parts=("P", "p", "e"), traits={"project": ("P",)})

    assert choose_group("project", "apim", found) == "P"
    assert choose_group("application", "apim", found) == "apim"
    assert choose_group("gateway", "apim", found) == "apim"
    assert choose_group(None, "apim", found) is None
    with pytest.raises(UsageError, match="--group-by project: gateways of kind roma have no such thing"):
        check_group("project", [ROMA])


def test_filters_are_told_as_they_were_given() -> None:
    filters = DiscoveryFilters(texts={"name": ("a*", "b c")}, regexes=("^x$",), before="2026-01-31")

    assert str(filters) == "--name a* --name 'b c' --regex '^x$' --deployed-before 2026-01-31"
