"""Find gateways of a plan that may be one installation although their URLs differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from urllib.parse import SplitResult, urlsplit

from msgspec.structs import replace

from orchestrator.model.gateway import Gateway
from orchestrator.text.counting import name_first
from orchestrator.text.urls import DEFAULT_PORTS, find_host, parse_address

_MOST_NAMED = 3
"""A warning names so many gateways, and counts the others."""


def find_lookalikes(gateways: Sequence[Gateway]) -> Iterator[tuple[str, str]]:
    """Yield the name of a gateway, and a warning that names the gateways that may be the same installation.

    Two gateways look alike if all but the host is equal (kind, scheme, port, path and ids) and one host is a
    name, the other an IP address; or if all but the scheme is equal, each at the scheme's own port. Resolves
    no name: its address may change before the first request.
    """
    for group in _group_alike(gateways, _drop_host):
        are_names = {parse_address(find_host(one.url)) is None for one in group}
        if len(are_names) > 1:
            yield group[0].name, _describe_group(group, "a host and an address")
    for group in _group_alike([one for one in gateways if _has_own_port(one)], _assume_https):
        if len({urlsplit(one.url).scheme for one in group}) > 1:
            yield group[0].name, _describe_group(group, "http and https at one host")


def _group_alike(
    gateways: Sequence[Gateway], without: Callable[[SplitResult], SplitResult]
) -> Iterator[list[Gateway]]:
    """Yield the groups of gateways whose URLs name one installation after ``without`` has changed them."""
    groups: dict[str, list[Gateway]] = {}
    for gateway in gateways:
        blurred = replace(gateway, url=without(urlsplit(gateway.url)).geturl())
        groups.setdefault(blurred.installation, []).append(gateway)
    return (group for group in groups.values() if len(group) > 1)


def _has_own_port(gateway: Gateway) -> bool:
    parts = urlsplit(gateway.url)
    return (parts.port or DEFAULT_PORTS[parts.scheme]) == DEFAULT_PORTS[parts.scheme]


def _drop_host(parts: SplitResult) -> SplitResult:
    # The port stays: two ports of one host are two places.
    return parts._replace(netloc=f"host:{parts.port or DEFAULT_PORTS[parts.scheme]}")


def _assume_https(parts: SplitResult) -> SplitResult:
    name = parts.hostname or ""
    return parts._replace(scheme="https", netloc=f"[{name}]" if ":" in name else name)


def _describe_group(group: Sequence[Gateway], why: str) -> str:
    names = name_first([f"{one.name} ({one.url})" for one in group], _MOST_NAMED)
    return (
        f"{names} are possibly the same place ({why}); if so, give them one URL: without it, a target that"
        " the plan names twice or protects under the other name goes unnoticed"
    )
