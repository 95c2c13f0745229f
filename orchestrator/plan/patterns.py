"""Patterns of target ids: which targets of a plan they match, and which can match none.

A pattern means installations, not names: its first part matches a gateway by any name that the plan gives the
same installation, and by the host of its URL, with or without the port. The rest is compared with the rest of
an id, after NFC. ``%XX`` stands for a character that cannot be written; ``%25`` and ``%2F`` are those of ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from orchestrator.errors import UnfitError
from orchestrator.gateways import KINDS
from orchestrator.gateways.places import authority, host, one_authority
from orchestrator.model.gateway import Coordinate, Gateway
from orchestrator.model.globs import Globs, match_beginning
from orchestrator.model.target_id import join_id, split_id
from orchestrator.plan.pattern_text import canonicalize, find_text_fault
from orchestrator.plan.problems import suggest_nearest
from orchestrator.plan.target_shape import check_coordinate
from orchestrator.text.characters import quote_text
from orchestrator.text.names import to_nfc

_WILD = re.compile(r"[*?]+")
_MAY_TURN = re.compile(r"[%;?#\\\u037e]")
"""What an id must hold for its address to turn into another one; NFC makes a ``;`` of one more character."""
_NAMEABLE = re.compile(
    r"(?![-.])[\w.*?-]+(?::[0-9]{1,5})?"  # a gateway's name, or a host
    r"|\[(?=[^\]]*:)[0-9A-Fa-f:.*?]+(?:%25\w+)?\](?::[0-9]{1,5})?"  # an IPv6 address
    r"|(?=[^/]*:)[0-9A-Fa-f:.*?]+(?:%25\w+)?"
)
"""What a first part looks like that could name a gateway of some plan."""


class GatewayNames(NamedTuple):
    """What a pattern's first part may call a gateway."""

    names: tuple[str, ...]
    hosts: tuple[str, ...]


NamingRule = Callable[[Sequence[Gateway]], Mapping[str, GatewayNames]]
"""Returns by name of each gateway what it may be called."""


def name_by_installation(gateways: Sequence[Gateway]) -> Mapping[str, GatewayNames]:
    """Every name that the installation has in the plan, and its host: for what is left alone."""
    names: dict[str, list[str]] = {}
    for gateway in gateways:
        names.setdefault(gateway.installation, []).append(gateway.name)
    return {one.name: GatewayNames(tuple(names[one.installation]), _list_hosts(one)) for one in gateways}


def name_by_entry(gateways: Sequence[Gateway]) -> Mapping[str, GatewayNames]:
    """Its own name, and its host: for what a run may touch, which no other name is to widen."""
    return {gateway.name: GatewayNames((gateway.name,), _list_hosts(gateway)) for gateway in gateways}


def _list_hosts(gateway: Gateway) -> tuple[str, ...]:
    return host(gateway.url), authority(gateway.url)


class Patterns:
    """Patterns as the gateways of one plan give them their meaning."""

    def __init__(
        self, patterns: Iterable[str], gateways: Sequence[Gateway], called: NamingRule = name_by_installation
    ) -> None:
        self.texts = tuple(dict.fromkeys(patterns))
        self._plain = tuple(map(canonicalize, self.texts))
        self._called = called(gateways) if self.texts else {}
        # What is let through is never widened: a filter of that sort goes by the id as it is written.
        self._turning = {one.name: one for one in gateways} if called is name_by_installation else {}
        self._behind: dict[GatewayNames, _RestPatterns] = {}

    def find_matches(self, target: str) -> Iterator[int]:
        """Yield the index in ``texts`` of each pattern that matches the id ``target``; one may come twice.

        Where patterns mean installations, one that matches what the target's address may turn into on its
        way matches the target: that is what would be met.
        """
        name, _, rest = target.partition("/")
        called = self._called.get(name) or GatewayNames((name,), ())
        found = self._behind.get(called)
        if found is None:
            found = self._behind[called] = _RestPatterns(self._plain, called)
        yield from found.find_matches(rest)
        if self._turning and _MAY_TURN.search(rest):
            for other in self._list_other_ids(target):
                yield from found.find_matches(other)

    def _list_other_ids(self, target: str) -> Iterator[str]:
        """Yield the rests of the ids of what the address of ``target`` may turn into."""
        name, parts = split_id(target)
        gateway = self._turning.get(name)
        if gateway is not None and len(parts) == len(gateway.COORDINATES):
            for other in gateway.list_aliases(parts):
                yield join_id("", other)[1:]

    def find_first(self, target: str) -> str | None:
        """Return the first of the patterns that matches the id ``target``, None where none does."""
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
    """What patterns say of the rests of ids, behind the name of one installation."""

    def __init__(self, patterns: Sequence[str], called: GatewayNames) -> None:
        self._indices: dict[str, list[int]] = {}
        for index, pattern in enumerate(patterns):
            for rest in _list_rests(pattern, called):
                self._indices.setdefault(rest, []).append(index)
        self._globs = Globs(self._indices)

    def find_matches(self, rest: str) -> Iterator[int]:
        for found in self._globs.find_matches(to_nfc(rest)):
            yield from self._indices[self._globs.patterns[found]]


def _list_rests(pattern: str, called: GatewayNames) -> set[str]:
    """Return what a pattern says of the rest of an id, once its first part is a gateway's."""
    found = {rest for name in called.names for rest in _match_first_part(pattern, name)}
    spelled = _spell_host(pattern)
    return found.union(rest for name in called.hosts for rest in _match_first_part(spelled, name))


def _match_first_part(pattern: str, name: str) -> Iterable[str]:
    first, slash, rest = pattern.partition("/")
    if not _WILD.search(first):
        return [rest] if slash and first == name else []
    return match_beginning(pattern, f"{name}/")


def _spell_host(pattern: str) -> str:
    """Return a pattern with its first part spelled as ``places`` spells hosts."""
    first, slash, rest = pattern.partition("/")
    lead, stars, tail = first.partition("**")
    return f"{one_authority(lead)}{stars}{tail}{slash}{rest}"


def find_fault(
    pattern: str, gateways: Sequence[Gateway] | None = None, *, in_file: bool = False
) -> UnfitError | None:
    """Return why a pattern can match no id, None where it could match one.

    ``gateways`` are those of the plan; None where they are not known, so that only the text is judged. A
    pattern of a protect file (``in_file``) may name a gateway that this plan does not have, since it may hold
    for many plans; on the other hand its text must not look like anything but a pattern.
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
    """Judge whether the parts fit the kinds of the gateways that the first one names."""
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
    """Return the gateways that a pattern names, each with what the pattern says of the rests of their ids."""
    called = name_by_installation(gateways)
    return [(one, rests) for one in gateways if (rests := _list_rests(plain, called[one.name]))]


def _can_match(named: Iterable[tuple[Gateway, set[str]]]) -> bool:
    return any(_can_match_rest(rest, one.COORDINATES) for one, rests in named for rest in rests)


def _make_unfit(pattern: str, named: Sequence[Gateway]) -> UnfitError:
    forms = list(dict.fromkeys(_format_id(one.name, one.COORDINATES) for one in named))[:3]
    wide = f"{pattern.removesuffix('.*').rstrip('/*')}/**"  # .* is what it is elsewhere
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
    """Judge a pattern that names no gateway of this plan by whether it could name one of another plan."""
    first, _, rest = plain.partition("/")
    if not _NAMEABLE.fullmatch(first):
        hint = "a pattern is gateway/part/... or host/part/..."
        return UnfitError(f"{quote_text(pattern)} begins with neither a gateway's name nor a host", hint)
    kinds = [kind.COORDINATES for kind in KINDS.values()]
    if "**" in first or any(_can_match_rest(rest, coordinates) for coordinates in kinds):
        return None
    forms = " or ".join(_format_id(first, coordinates) for coordinates in kinds)
    return UnfitError(f"{quote_text(pattern)} matches no target's id: ids look like {forms}")


def _format_id(name: str, coordinates: Sequence[Coordinate]) -> str:
    return "/".join([name, *(f"<{item.name}>" for item in coordinates)])


def _can_match_rest(rest: str, coordinates: Sequence[Coordinate]) -> bool:
    """Say whether ``rest`` can match the parts of an id with these coordinates."""
    return _can_match_parts(rest.split("/"), coordinates)


def _can_match_parts(parts: Sequence[str], coordinates: Sequence[Coordinate]) -> bool:
    """Say whether parts can match parts of an id: one with ``**`` one or more of them, any other just one."""
    if not parts or not coordinates:
        return not parts and not coordinates
    first, rest = parts[0], parts[1:]
    if _can_match_part(first, coordinates[0]) and _can_match_parts(rest, coordinates[1:]):
        return True
    return "**" in first and any(
        _can_match_parts(rest, coordinates[count:]) for count in range(2, len(coordinates) + 1)
    )


def _can_match_part(part: str, coordinate: Coordinate) -> bool:
    """Say whether a pattern of one part can match the coordinate: all that it says literally fits."""
    said = _WILD.sub("", part).replace("%2F", "/").replace("%25", "%")
    wild = _WILD.search(part) is not None
    if coordinate.pattern is not None:
        return (wild and not said) or re.fullmatch(coordinate.pattern, said) is not None
    try:
        check_coordinate(coordinate, said)
    except UnfitError:
        return wild
    return True
