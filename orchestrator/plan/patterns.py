"""Match target ids with patterns, and find the patterns that can match no target of a plan.

A pattern means an installation, not a name: its first part matches a gateway by each name that the plan gives
to the same installation, and by the host of its URL, with or without the port. Its rest is compared with the
rest of an id, in NFC. ``%XX`` stands for a character that cannot be written; ``%25`` and ``%2F`` mean the
same as in ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from orchestrator.errors import UnfitError
from orchestrator.gateways import KINDS
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.globs import WILD, Globs, match_beginning
from orchestrator.model.target_id import join_id, split_id
from orchestrator.plan.pattern_text import canonicalize, find_text_fault
from orchestrator.plan.problems import suggest_nearest
from orchestrator.plan.target_shape import check_coordinate
from orchestrator.text.characters import quote_text
from orchestrator.text.names import to_nfc
from orchestrator.text.urls import find_authority, find_host, normalize_authority

_MAY_TURN = re.compile(r"[%;?#\\\u037e]")
"""An address with one of these may turn into another address on its way. NFC turns U+037E into ``;``."""
_ENCODED_SIGN = re.compile("%(?:2A|3F)", re.IGNORECASE)
_NAMEABLE = re.compile(
    r"(?![-.])[\w.*?-]+(?::[0-9]{1,5})?"  # a gateway's name, or a host
    r"|\[(?=[^\]]*:)[0-9A-Fa-f:.*?]+(?:%25\w+)?\](?::[0-9]{1,5})?"  # an IPv6 address
    r"|(?=[^/]*:)[0-9A-Fa-f:.*?]+(?:%25\w+)?"
)
"""The first part of a pattern that could name a gateway in some plan."""


class GatewayNames(NamedTuple):
    """The names and hosts by which the first part of a pattern may mean a gateway."""

    names: tuple[str, ...]
    hosts: tuple[str, ...]


NamingRule = Callable[[Sequence[Gateway]], Mapping[str, GatewayNames]]
"""Returns, for the name of each gateway, the names by which a pattern may mean that gateway."""


def name_by_installation(gateways: Sequence[Gateway]) -> Mapping[str, GatewayNames]:
    """Call a gateway by every name of its installation: for patterns that hold targets back."""
    names: dict[str, list[str]] = {}
    for gateway in gateways:
        names.setdefault(gateway.installation, []).append(gateway.name)
    return {one.name: GatewayNames(tuple(names[one.installation]), _list_hosts(one)) for one in gateways}


def name_by_entry(gateways: Sequence[Gateway]) -> Mapping[str, GatewayNames]:
    """Call a gateway by its own name only: for patterns that let targets through, which nothing may widen."""
    return {gateway.name: GatewayNames((gateway.name,), _list_hosts(gateway)) for gateway in gateways}


def _list_hosts(gateway: Gateway) -> tuple[str, ...]:
    return find_host(gateway.url), find_authority(gateway.url)


class Patterns:
    """Patterns with the meaning that the gateways of one plan give them."""

    def __init__(
        self, patterns: Iterable[str], gateways: Sequence[Gateway], rule: NamingRule = name_by_installation
    ) -> None:
        self.texts = tuple(dict.fromkeys(patterns))
        self._plain = tuple(map(canonicalize, self.texts))
        self._names = rule(gateways) if self.texts else {}
        # Patterns that let targets through go by the id as written: widening them could undeploy too much.
        self._widened = {one.name: one for one in gateways} if rule is name_by_installation else {}
        self._rest_patterns: dict[GatewayNames, _RestPatterns] = {}

    def find_matches(self, target: str) -> Iterator[int]:
        """Yield the index in ``texts`` of each pattern that matches the id ``target``. One may come twice.

        A reverse proxy may decode an address once more, so that the request meets another target. So a
        pattern that holds targets back also matches an id whose address may turn into one that it matches.
        """
        name, _, rest = target.partition("/")
        names = self._names.get(name) or GatewayNames((name,), ())
        patterns = self._rest_patterns.get(names)
        if patterns is None:
            patterns = self._rest_patterns[names] = _RestPatterns(self._plain, names)
        yield from patterns.find_matches(rest)
        if self._widened and _MAY_TURN.search(rest):
            for other in self._list_other_rests(target):
                yield from patterns.find_matches(other)

    def _list_other_rests(self, target: str) -> Iterator[str]:
        """Yield the rest of each id that the address of ``target`` may turn into."""
        name, parts = split_id(target)
        gateway = self._widened.get(name)
        if gateway is not None and len(parts) == len(gateway.COORDINATES):
            for other in gateway.list_aliases(parts):
                yield join_id("", other)[1:]

    def find_first(self, target: str) -> str | None:
        """Return the first pattern that matches the id ``target``; None if none does."""
        index = min(self.find_matches(target), default=None)
        return None if index is None else self.texts[index]

    def find_idle(self, targets: Iterable[str]) -> tuple[str, ...]:
        """Return the patterns that match none of the ids ``targets``."""
        left = set(range(len(self.texts)))
        for target in targets if left else ():
            left.difference_update(self.find_matches(target))
            if not left:
                break
        return tuple(self.texts[index] for index in sorted(left))


class _RestPatterns:
    """Patterns for the rests of ids, once their first part has matched one gateway."""

    def __init__(self, patterns: Sequence[str], names: GatewayNames) -> None:
        self._indices: dict[str, list[int]] = {}
        for index, pattern in enumerate(patterns):
            for rest in _list_rests(pattern, names):
                self._indices.setdefault(rest, []).append(index)
        self._globs = Globs(self._indices)

    def find_matches(self, rest: str) -> Iterator[int]:
        for found in self._globs.find_matches(to_nfc(rest)):
            yield from self._indices[self._globs.patterns[found]]


def _list_rests(pattern: str, names: GatewayNames) -> set[str]:
    """Return the patterns for the rest of an id, once the first part of ``pattern`` has matched a gateway."""
    found = {rest for name in names.names for rest in _match_first_part(pattern, name)}
    spelled = _spell_host(pattern)
    return found.union(rest for name in names.hosts for rest in _match_first_part(spelled, name))


def _match_first_part(pattern: str, name: str) -> Iterable[str]:
    first, slash, rest = pattern.partition("/")
    if not WILD.search(first):
        return [rest] if slash and first == name else []
    return match_beginning(pattern, f"{name}/")


def _spell_host(pattern: str) -> str:
    """Return a pattern with its first part spelled as ``Gateway.installation`` spells hosts."""
    first, slash, rest = pattern.partition("/")
    # Behind a ** the text may stand for later parts of an id, which have no spelling of hosts.
    lead, stars, tail = first.partition("**")
    # No host holds an encoded * or ?, and decoded they would be signs that let anything through.
    if _ENCODED_SIGN.search(lead):
        return pattern
    return f"{normalize_authority(lead)}{stars}{tail}{slash}{rest}"


def find_fault(
    pattern: str, gateways: Sequence[Gateway] | None = None, *, in_file: bool = False
) -> UnfitError | None:
    """Return why a pattern can match no id; None if it could match one.

    ``gateways`` are the plan's. With None, no plan is known yet, and only the text is judged. A protect file
    (``in_file``) may serve many plans, so its patterns may name gateways that this plan does not have; but
    each of its lines must look like nothing but a pattern.
    """
    found = find_text_fault(pattern, in_file=in_file)
    if found is not None:
        return found
    if gateways is None:
        return _find_fault_elsewhere(pattern, canonicalize(pattern)) if in_file else None
    return _find_place_fault(pattern, canonicalize(pattern), gateways, in_file=in_file)


def _find_place_fault(
    pattern: str, plain: str, gateways: Sequence[Gateway], *, in_file: bool
) -> UnfitError | None:
    """Return why the parts of a pattern fit none of the gateways that its first part names."""
    named = _match_gateways(plain, gateways)
    if _can_match(named):
        return None
    if named:
        return _make_unfit(pattern, [one for one, _ in named])
    return _find_fault_elsewhere(pattern, plain) if in_file else _make_unknown_gateway(pattern, gateways)


def list_named_gateways(pattern: str, gateways: Sequence[Gateway]) -> tuple[str, ...]:
    """Return the names of the gateways that the first part of a pattern names."""
    return tuple(one.name for one, _ in _match_gateways(canonicalize(pattern), gateways))


def _match_gateways(plain: str, gateways: Sequence[Gateway]) -> list[tuple[Gateway, set[str]]]:
    """Return the gateways that a pattern names, each with the patterns for the rest of its ids."""
    called = name_by_installation(gateways)
    return [(one, rests) for one in gateways if (rests := _list_rests(plain, called[one.name]))]


def _can_match(named: Iterable[tuple[Gateway, set[str]]]) -> bool:
    return any(_can_match_rest(rest, one.COORDINATES) for one, rests in named for rest in rests)


def _make_unfit(pattern: str, named: Sequence[Gateway]) -> UnfitError:
    forms = list(dict.fromkeys(_format_id(one.name, one.COORDINATES) for one in named))[:3]
    wide = f"{pattern.removesuffix('.*').rstrip('/*')}/**"  # elsewhere .* matches all
    widens = len(pattern) < 60 and _can_match(_match_gateways(canonicalize(wide), named))
    return UnfitError(
        f"{quote_text(pattern)} matches no target's id: ids there look like {' or '.join(forms)}",
        f'write "{wide}" for all below' if widens else "",
    )


def _make_unknown_gateway(pattern: str, gateways: Sequence[Gateway]) -> UnfitError:
    names = [one.name for one in gateways]
    hint = suggest_nearest(pattern.partition("/")[0], names) or f"the gateways are {', '.join(names)}"
    return UnfitError(f"{quote_text(pattern)} matches no target's id: the plan has no such gateway", hint)


def _find_fault_elsewhere(pattern: str, plain: str) -> UnfitError | None:
    """Return why a pattern that names no gateway of this plan could name none of another plan either."""
    first, _, rest = plain.partition("/")
    if not _NAMEABLE.fullmatch(first):
        hint = "a pattern is gateway/part/... or host/part/..."
        return UnfitError(f"{quote_text(pattern)} begins with neither a gateway's name nor a host", hint)
    kinds = [kind.COORDINATES for kind in KINDS.values()]
    # A ** in the first part may reach to the end of an id, so the form of the rest proves nothing.
    if "**" in first or any(_can_match_rest(rest, coordinates) for coordinates in kinds):
        return None
    forms = " or ".join(_format_id(first, coordinates) for coordinates in kinds)
    return UnfitError(f"{quote_text(pattern)} matches no target's id: ids look like {forms}")


def _format_id(name: str, coordinates: Sequence[Coordinate]) -> str:
    return "/".join([name, *(f"<{item.name}>" for item in coordinates)])


def _can_match_rest(rest: str, coordinates: Sequence[Coordinate]) -> bool:
    """Return whether ``rest`` can match the parts of an id with these coordinates."""
    return _can_match_parts(rest.split("/"), coordinates)


def _can_match_parts(parts: Sequence[str], coordinates: Sequence[Coordinate]) -> bool:
    """Return whether ``parts`` can match an id: a part with ``**`` matches several, any other exactly one."""
    if not parts or not coordinates:
        return not parts and not coordinates
    first, rest = parts[0], parts[1:]
    if _can_match_part(first, coordinates[0]) and _can_match_parts(rest, coordinates[1:]):
        return True
    return "**" in first and any(
        _can_match_parts(rest, coordinates[count:]) for count in range(2, len(coordinates) + 1)
    )


def _can_match_part(part: str, coordinate: Coordinate) -> bool:
    """Return whether a pattern of one part can match the coordinate, by its literal characters."""
    said = WILD.sub("", part).replace("%2F", "/").replace("%25", "%")
    wild = WILD.search(part) is not None
    if wild and coordinate.form is not None:
        return coordinate.form.may_hold(said)
    try:
        check_coordinate(coordinate, said)
    except UnfitError:
        return wild
    return True
