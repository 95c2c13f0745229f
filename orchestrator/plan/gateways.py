"""Read the gateways of a plan, each by the keys of its kind; and split ids of their targets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from msgspec import Struct

from orchestrator.errors import UnfitError
from orchestrator.gateways import KINDS
from orchestrator.model.gateway import GATEWAY_NAME, Gateway
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, Retry
from orchestrator.model.target_id import split_id
from orchestrator.plan.auth_forms import check_auth, check_store, check_tls
from orchestrator.plan.nodes import MappingNode, Node, ScalarNode, join_path
from orchestrator.plan.problems import (
    Problems,
    find_misspelt,
    prefer_straight_quotes,
    quote_key,
    suggest_key,
    suggest_nearest,
)
from orchestrator.plan.records import describe_node, list_keys, read_record
from orchestrator.plan.target_shape import check_coordinate
from orchestrator.text.characters import quote_text

_NAME = "name"
"""A gateway's name is the key that it stands under, and none of its own keys."""


class NamedGateway(Struct, frozen=True):
    """A gateway that the plan names. ``kind`` or ``entry`` is None if it could not be read.

    The reader still checks the targets of such a gateway as far as it can, to name all problems at once.
    """

    name: str
    kind: type[Gateway] | None
    entry: Gateway | None


def read_gateways(node: Node | None, problems: Problems) -> dict[str, NamedGateway]:
    """Return all gateways by name, those with problems included."""
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        message = f"found {describe_node(node)}, expected a mapping from each gateway's name to its keys"
        problems.add(node.at, "gateways", message)
        return {}
    if not node.keys:
        problems.add(node.at, "gateways", "no gateway is named")
    return {name: _read_gateway(name, value, node, problems) for name, value in node.values.items()}


def _read_gateway(name: str, node: Node | None, among: MappingNode, problems: Problems) -> NamedGateway:
    path = join_path("gateways", name)
    try:
        GATEWAY_NAME.check(name)
    except UnfitError as unfit:
        problems.add(among.keys[name], "gateways", unfit.message, unfit.hint)
    if not isinstance(node, MappingNode):
        if node is not None:
            problems.add(
                node.at, path, f"found {describe_node(node)}, expected a mapping with kind, url and auth"
            )
        return NamedGateway(name, None, None)
    kind = _read_kind(node, path, problems)
    if kind is None:
        # Check the keys that all kinds share, to name all problems at once.
        common = {key: value for key, value in node.values.items() if key in _list_keys_of(Gateway)}
        keys = {key: node.keys[key] for key in common}
        read_record(MappingNode(keys, common, node.at), Gateway, path, problems, hidden=(_NAME,))
        check_tls(node, path, problems)
        return NamedGateway(name, None, None)
    values = _read_own_keys(node, kind, path, problems)
    return NamedGateway(name, kind, None if values is None else kind(name=name, **values))


def _read_kind(node: MappingNode, path: str, problems: Problems) -> type[Gateway] | None:
    if "kind" not in node.keys and (misspelt := find_misspelt("kind", node.keys, _list_known_keys())):
        hint = suggest_key(misspelt, _list_known_keys())
        problems.add(node.keys[misspelt], path, f"unknown key {quote_text(misspelt)}", hint)
        return None
    if "kind" not in node.keys:
        problems.add(node.at, path, "the key kind is missing", f"the kinds are {', '.join(KINDS)}")
        return None
    value = node.values["kind"]
    if isinstance(value, ScalarNode) and value.text in KINDS:
        return KINDS[value.text]
    if isinstance(value, ScalarNode):
        hint = suggest_nearest(value.text, KINDS) or f"the kinds are {', '.join(KINDS)}"
        hint = prefer_straight_quotes(value.text, hint)
        problems.add(value.at, f"{path}.kind", f"{quote_text(value.text)} is no kind of gateway", hint)
    elif value is not None:
        problems.add(value.at, f"{path}.kind", f"found {describe_node(value)}, expected {' or '.join(KINDS)}")
    return None


@cache
def _list_known_keys() -> Collection[str]:
    """Return the keys of gateways of any kind, each once."""
    return tuple(dict.fromkeys(["kind", *(key for kind in KINDS.values() for key in _list_keys_of(kind))]))


def _list_keys_of(kind: type[Struct]) -> list[str]:
    return [key for key in list_keys(kind) if key != _NAME]


def _read_own_keys(
    node: MappingNode, kind: type[Gateway], path: str, problems: Problems
) -> Mapping[str, Any] | None:
    # A key of another kind is named with that kind: "unknown key" would send the author to look for a slip.
    strange = [key for key in node.values if key not in _list_keys_of(kind) and _find_kind_with(key)]
    for key in strange:
        message = f"belongs to gateways of kind {_find_kind_with(key)}, not {kind.KIND}"
        problems.add(node.keys[key], f"{path}.{key}", message)
    own = _drop_keys(node, strange)
    values = read_record(own, kind, path, problems, before=("kind",), hidden=(_NAME,))
    _warn_of_api_path(node, kind.API_PATH, path, problems)
    if isinstance(auth := node.values.get("auth"), MappingNode):
        login = auth.values.get(IamLogin.KEY)
        _warn_of_api_path(login, IamLogin.API_PATH, f"{path}.auth.{IamLogin.KEY}", problems)
    # A tuple, since `and` would skip the second check and its problems.
    fit = (
        check_auth(node, kind, path, problems),
        check_tls(node, path, problems),
        check_store(node, path, problems),
    )
    if (
        values is None
        or strange
        or not all(fit)
        or not _check_key_places(values["auth"], node, path, problems)
    ):
        return None
    retry = values.get("retry", Retry())
    if retry.ceiling < retry.first:
        _add_low_ceiling(node, retry, f"{path}.retry", problems)
        return None
    return values


def _check_key_places(auth: Auth, node: MappingNode, path: str, problems: Problems) -> bool:
    """Return whether each of several keys has a place of its own; add a problem for one that has not."""
    given = node.values["auth"]
    assert isinstance(given, MappingNode)  # noqa: S101 - it was read
    first: dict[CredentialReference, str] = {}
    for key in given.keys:
        reference = getattr(auth, key)
        # A request that is signed with the wrong key is a failed login, and a few of them lock the key.
        if isinstance(reference, CredentialReference) and (other := first.setdefault(reference, key)) != key:
            problems.add(given.keys[key], f"{path}.auth.{key}", f"refers to the same place as {other}")
            return False
    return True


def _warn_of_api_path(node: Node | None, ending: str, path: str, problems: Problems) -> None:
    """Warn of an address that ends with the path that the requests add: they would name no such place."""
    url = node.values.get("url") if isinstance(node, MappingNode) else None
    if isinstance(url, ScalarNode) and ending and (found := re.search(rf"[^/]({ending})/*\Z", url.text)):
        message = f"the requests add {found[1]} themselves, and the address ends with it"
        problems.warn(url.at, f"{path}.url", message, "write the base address alone")


def _add_low_ceiling(node: MappingNode, retry: Retry, path: str, problems: Problems) -> None:
    """Add a problem for a ``ceiling`` below ``first``; where one of them is a default, say so."""
    given = node.values["retry"]
    assert isinstance(given, MappingNode)  # noqa: S101 - it was read
    if "ceiling" in given.keys:
        default = "" if "first" in given.keys else f", which is {retry.first:g}s if not given"
        problems.add(given.keys["ceiling"], f"{path}.ceiling", f"ceiling is shorter than first{default}")
    else:
        message = f"first is longer than ceiling, which is {retry.ceiling:g}s if not given"
        problems.add(given.keys["first"], f"{path}.first", message, "give a longer ceiling, too")


def _drop_keys(node: MappingNode, dropped: Collection[str]) -> MappingNode:
    keys = {key: at for key, at in node.keys.items() if key not in dropped}
    return MappingNode(keys, {key: node.values[key] for key in keys}, node.at)


def _find_kind_with(key: str) -> str:
    return next((name for name, kind in KINDS.items() if key in _list_keys_of(kind)), "")


def split_known_id(text: str, gateways: Mapping[str, NamedGateway]) -> tuple[NamedGateway, tuple[str, ...]]:
    """Return the gateway and the parts of the id ``text``. Raises ``UnfitError`` if no target can have it."""
    name, parts = split_id(text)
    known = gateways.get(name)
    if known is None and text and not parts:
        first = next(iter(gateways), "gateway")
        hint = f"write the gateway's name and a slash before it, such as {first}/{quote_key(text)}"
        raise UnfitError(f"{quote_text(text)} is no id of a target: the gateway is missing", hint)
    if known is None:
        hint = suggest_nearest(text.partition("/")[0], gateways) or f"the gateways are {', '.join(gateways)}"
        raise UnfitError(f"{quote_text(text)}: the plan has no such gateway", hint if gateways else "")
    # Without a kind the form of an id is unknown, and the gateway has a problem of its own already.
    if known.kind is None:
        return known, parts
    coordinates = known.kind.COORDINATES
    if len(parts) != len(coordinates):
        form = "/".join([known.name, *(f"<{item.name}>" for item in coordinates)])
        raise UnfitError(f"{quote_text(text)} is no id of a target there", f"its form is {form}")
    for coordinate, part in zip(coordinates, parts, strict=True):
        try:
            check_coordinate(coordinate, part)
        except UnfitError as unfit:
            raise UnfitError(f"{quote_text(text)}: {coordinate.name} {unfit.message}", unfit.hint) from None
    return known, parts
