"""Everything in a plan but its targets: gateways by kind, window, rules; checked one by one and together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, inspect

from orchestrator.gateways import KINDS
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import PlanHeader, Window
from orchestrator.model.settings import Retry
from orchestrator.plan.access import auth_fits, tls_fits
from orchestrator.plan.keys import READS_VERSION
from orchestrator.plan.nodes import Entries, Node, Scalar, child
from orchestrator.plan.problems import Problems, UnreadableError, nearest
from orchestrator.plan.records import kind_of, list_keys, read_record, read_value
from orchestrator.plan.scalars import GATEWAY, WHOLE
from orchestrator.text.characters import quote_text

_READ_ELSEWHERE = ("gateways", "waves", "targets")
_NAMED_ABOVE = frozenset({"name", "kind"})


class NamedGateway(Struct, frozen=True):
    """A gateway that the plan names. ``kind`` or ``entry`` is None where it could not be read: its targets
    are still checked as far as that goes."""

    name: str
    kind: type[Gateway] | None
    entry: Gateway | None


def refuse_other_version(node: Node | None) -> None:
    """Raise ``UnreadableError`` where a plan is of another version: its keys may mean other things."""
    if not isinstance(node, Scalar) or not re.fullmatch(WHOLE, node.text):
        return
    if int(node.text) != READS_VERSION:
        message = f"this plan is of version {node.text}; this program reads version {READS_VERSION}"
        raise UnreadableError(node.at, message, path="version")


def read_header(header: Entries, problems: Problems) -> PlanHeader | None:
    """Return the keys at the top of the plan; ``None`` after adding a problem."""
    is_version = _check_version(header, problems)
    values = read_record(header, PlanHeader, "", problems, before=("version",), beside=_READ_ELSEWHERE)
    if values is None or not is_version:
        return None
    window = values.get("window")
    return PlanHeader(**values) if _in_order(window, header.values.get("window"), problems) else None


def _check_version(header: Entries, problems: Problems) -> bool:
    """Return whether the plan gives the version that this program reads; add a problem if it does not."""
    if "version" not in header.keys:
        problems.add(header.at, "", "the key version is missing")
        return False
    bounds = inspect.IntType(ge=READS_VERSION, le=READS_VERSION)
    return read_value(header.values["version"], bounds, "version", problems) is not UNSET


def _in_order(window: Window | None, node: Node | None, problems: Problems) -> bool:
    if window is None or not isinstance(node, Entries):
        return True
    if window.opens is None and window.closes is None:
        problems.add(node.at, "window", "neither opens nor closes is given")
        return False
    if window.opens is None or window.closes is None or window.opens < window.closes:
        return True
    closes = node.values["closes"]
    assert closes is not None  # noqa: S101 - it was read
    problems.add(closes.at, "window.closes", "the window closes before it opens, or at that moment")
    return False


def read_gateways(node: Node | None, problems: Problems) -> dict[str, NamedGateway]:
    """Return the gateways by name, also those that have problems."""
    if node is None:
        return {}
    if not isinstance(node, Entries):
        message = f"found {kind_of(node)}, expected a mapping from each gateway's name to its keys"
        problems.add(node.at, "gateways", message)
        return {}
    if not node.keys:
        problems.add(node.at, "gateways", "no gateway is named")
    return {name: _gateway(name, value, node, problems) for name, value in node.values.items()}


def _gateway(name: str, node: Node | None, among: Entries, problems: Problems) -> NamedGateway:
    path = child("gateways", name)
    if not re.fullmatch(GATEWAY, name):
        hint = "1 to 64 letters, digits, _, - and . make a name; it begins with none of the last two"
        problems.add(among.keys[name], "gateways", f"{quote_text(name)} is no name for a gateway", hint)
    if not isinstance(node, Entries):
        if node is not None:
            problems.add(node.at, path, f"found {kind_of(node)}, expected a mapping with kind, url and auth")
        return NamedGateway(name, None, None)
    kind = _kind(node, path, problems)
    if kind is None:
        common = {key: value for key, value in node.values.items() if key in list_keys(Gateway)}
        keys = {key: node.keys[key] for key in common}
        read_record(Entries(keys, common, node.at), Gateway, path, problems, beside=_NAMED_ABOVE)
        tls_fits(node, path, problems)
        return NamedGateway(name, None, None)
    values = _own_keys(node, kind, path, problems)
    return NamedGateway(name, kind, None if values is None else kind(name=name, **values))


def _kind(node: Entries, path: str, problems: Problems) -> type[Gateway] | None:
    if "kind" not in node.keys:
        problems.add(node.at, path, "the key kind is missing", f"the kinds are {', '.join(KINDS)}")
        return None
    value = node.values["kind"]
    if isinstance(value, Scalar) and value.text in KINDS:
        return KINDS[value.text]
    if isinstance(value, Scalar):
        hint = nearest(value.text, KINDS) or f"the kinds are {', '.join(KINDS)}"
        problems.add(value.at, f"{path}.kind", f"{quote_text(value.text)} is no kind of gateway", hint)
    elif value is not None:
        problems.add(value.at, f"{path}.kind", f"found {kind_of(value)}, expected {' or '.join(KINDS)}")
    return None


def _own_keys(node: Entries, kind: type[Gateway], path: str, problems: Problems) -> Mapping[str, Any] | None:
    strange = [key for key in node.values if key not in list_keys(kind) and _kind_with(key)]
    for key in strange:
        message = f"belongs to gateways of kind {_kind_with(key)}, not {kind.KIND}"
        problems.add(node.keys[key], f"{path}.{key}", message)
    values = read_record(node, kind, path, problems, beside=_NAMED_ABOVE.union(strange))
    # Not one `and` the other: both tell what is wrong.
    fit = (auth_fits(node, kind, path, problems), tls_fits(node, path, problems))
    if values is None or strange or not all(fit):
        return None
    retry = values.get("retry", Retry())
    if retry.ceiling < retry.first:
        problems.add(node.keys["retry"], f"{path}.retry", "ceiling is shorter than first")
        return None
    return values


def _kind_with(key: str) -> str:
    return next((name for name, kind in KINDS.items() if key in list_keys(kind)), "")


def tell_missing(header: Entries, problems: Problems, *, targets: bool = True) -> None:
    """Tell which of the parts of a plan that are no single value are missing or given twice over.

    ``targets``: it has to have some.
    """
    if "gateways" not in header.keys:
        problems.add(header.at, "", "the key gateways is missing")
    if targets and "waves" not in header.keys and "targets" not in header.keys:
        problems.add(header.at, "", "the plan has no targets; give waves, or targets for one wave")
    if "waves" in header.keys and "targets" in header.keys:
        at = max(header.keys["waves"], header.keys["targets"])
        problems.add(at, "", "waves and targets are both given", "targets at the top stands for one wave")
