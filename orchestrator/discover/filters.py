"""The filters of a search: which of them each gateway can answer, and how its targets are grouped. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.model.gateway import Gateway
from orchestrator.model.globs import make_matcher
from orchestrator.model.search import FoundTarget, TargetFilter, parse_instant
from orchestrator.text.names import to_nfc

BEFORE = "deployed-before"
_FOR_ALL = frozenset({"name", "path", BEFORE})
"""Filters that every kind of gateway can answer."""


class DiscoveryFilters(Struct, frozen=True, kw_only=True):
    """The filters as they were given.

    A target must match every filter, and of a filter with several texts any one of them. ``texts`` holds
    globs by the name of their filter; those of ``type`` are the vendors' own words, and no globs.
    """

    texts: Mapping[str, tuple[str, ...]] = {}
    regexes: tuple[str, ...] = ()
    before: str | None = None

    def __str__(self) -> str:
        return " ".join(f"{option} {_quote(text)}" for option, text in self.list_options())

    def list_options(self) -> Iterator[tuple[str, str]]:
        """Yield the filters as options of the command line, each with its text."""
        yield from ((f"--{name}", text) for name, texts in self.texts.items() for text in texts)
        yield from (("--regex", text) for text in self.regexes)
        if self.before:
            yield f"--{BEFORE}", self.before

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the filters that are given; a regular expression counts as ``name``."""
        names = [name for name, texts in self.texts.items() if texts]
        more = [("name", self.regexes), (BEFORE, self.before)]
        return tuple(dict.fromkeys([*names, *(name for name, is_given in more if is_given)]))


def _quote(text: str) -> str:
    return text if re.fullmatch(r"[\w*?./:+-]+", text) else f"'{text}'"


def assign_filters(filters: DiscoveryFilters, gateways: Sequence[Gateway]) -> dict[str, TargetFilter]:
    """Return the filter for the targets of each gateway, by the gateway's name.

    A filter holds for the gateways whose kind can answer it. Raises ``UsageError`` for a filter that no
    gateway can answer, and for one that cannot be read. Raises it, too, for a gateway that cannot answer some
    filter and has no filter of its own instead: all of its targets would match, and so be taken down.
    """
    for gateway in gateways:
        if gateway.search is None:
            raise UsageError(f"{_name_gateway(gateway)} cannot be discovered: its kind lists nothing")
    tests = _build_tests(filters)
    answered = {gateway.name: _find_answerable(filters, gateway) for gateway in gateways}
    for name in filters.given:
        if not any(name in own for own in answered.values()):
            raise UsageError(_explain_unanswerable(name, filters, gateways))
    for text in filters.texts.get("type", ()):
        if not any(text in _find_filters(gateway).get("type", ()) for gateway in gateways):
            raise UsageError(f"--type {text}: {_list_types(gateways)}")
    common = set.intersection(*map(set, answered.values())) if answered else set()
    return {gateway.name: _build_wanted(gateway, filters, tests, answered, common) for gateway in gateways}


def _find_answerable(filters: DiscoveryFilters, gateway: Gateway) -> frozenset[str]:
    types = filters.texts.get("type", ())
    own = {name for name in filters.given if name in _find_filters(gateway)}
    # The words of --type are the vendors' own: a gateway answers it only if one of its words is among them.
    if "type" in own and not any(text in _find_filters(gateway)["type"] for text in types):
        own.discard("type")
    return frozenset(own)


def _build_wanted(
    gateway: Gateway,
    filters: DiscoveryFilters,
    tests: Mapping[str, Callable[[str], bool]],
    answered: Mapping[str, frozenset[str]],
    common: set[str],
) -> TargetFilter:
    own = answered[gateway.name]
    missing = [name for name in filters.given if name not in own]
    # Without a filter of its own, every target of this gateway would match, and be taken down.
    if missing and not own - common:
        other = ", ".join(f"--{name}" for name in _find_filters(gateway) if name not in _FOR_ALL)
        raise UsageError(
            f"--{missing[0]} says nothing of {_name_gateway(gateway)}, and would leave out nothing there;"
            f" name the gateways that are meant, or give it a filter of its own ({other})"
        )
    # A text without wildcards names one thing, for which a vendor can be asked directly.
    literal = {name: tuple(t for t in filters.texts.get(name, ()) if not set(t) & set("*?")) for name in own}
    return TargetFilter(
        filters={name: test for name, test in tests.items() if name in own},
        literals=literal,
        before=read_before(filters.before) if filters.before else None,
    )


def _name_gateway(gateway: Gateway) -> str:
    return f"the gateway {gateway.name} (kind {gateway.KIND})"


def _find_filters(gateway: Gateway) -> Mapping[str, frozenset[str]]:
    return {} if gateway.search is None else gateway.search.filters


def _explain_unanswerable(name: str, filters: DiscoveryFilters, gateways: Sequence[Gateway]) -> str:
    if name == "type":
        return f"--type {filters.texts['type'][0]}: {_list_types(gateways)}"
    kinds = " or ".join(sorted({gateway.KIND for gateway in gateways}))
    return f"--{name}: gateways of kind {kinds} have no such thing"


def _list_types(gateways: Sequence[Gateway]) -> str:
    known = {gateway.KIND: sorted(_find_filters(gateway).get("type", ())) for gateway in gateways}
    return "the types are " + "; ".join(f"{', '.join(types)} ({kind})" for kind, types in known.items())


def _build_tests(filters: DiscoveryFilters) -> dict[str, Callable[[str], bool]]:
    tests = {
        name: _match_globs(texts, whole=name == "path") for name, texts in filters.texts.items() if texts
    }
    if types := filters.texts.get("type"):
        tests["type"] = frozenset(types).__contains__
    if filters.regexes:
        tests["name"] = _match_both(tests.get("name"), _match_regexes(filters.regexes))
    return tests


def _match_globs(patterns: Sequence[str], *, whole: bool) -> Callable[[str], bool]:
    """Return the test whether any of the globs matches.

    ``whole``: the text is a path, whose parts a ``*`` does not cross; in a name a slash is a mere letter.
    """
    match = make_matcher(to_nfc(pattern if whole else _hide_slashes(pattern)) for pattern in patterns)
    return lambda text: match(to_nfc(text if whole else _hide_slashes(text))) is not None


def _hide_slashes(text: str) -> str:
    return text.replace("/", "\0")


def _match_regexes(patterns: Sequence[str]) -> Callable[[str], bool]:
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--regex: {error}") from None
    return lambda text: any(pattern.search(text) for pattern in compiled)


def _match_both(one: Callable[[str], bool] | None, other: Callable[[str], bool]) -> Callable[[str], bool]:
    return other if one is None else lambda text: one(text) and other(text)


def read_before(text: str) -> datetime:
    """Return the time that ``--deployed-before`` names; raises ``UsageError``.

    A day such as ``2026-01-31`` begins at midnight UTC; a time has its offset from UTC.
    """
    moment = _find_midnight(text) or parse_instant(text)
    if moment is None:
        example = "2026-01-31 (from midnight UTC) or 2026-01-31T22:00:00+03:00"
        raise UsageError(f"--{BEFORE} {text}: write a day or a time with its offset from UTC: {example}")
    return moment


def _find_midnight(day: str) -> datetime | None:
    """Return the moment in UTC at which a day such as ``2026-01-31`` begins; None for any other text."""
    if len(day) != len("2026-01-31"):
        return None
    with suppress(ValueError):
        return datetime.combine(date.fromisoformat(day), time(), UTC)
    return None


def choose_group(by: str | None, gateway: str, found: FoundTarget) -> str | None:
    """Return the group whose wave a target belongs to; None where there is one wave for all.

    A target without a trait called ``by`` belongs to the group of its gateway.
    """
    if by is None:
        return None
    texts = found.traits.get(by, ())
    return texts[0] if texts else gateway


def check_group(by: str | None, gateways: Sequence[Gateway]) -> None:
    """Raise ``UsageError`` where no gateway knows the trait that targets are to be grouped by."""
    if by not in {None, "gateway"} and not any(by in _find_filters(gateway) for gateway in gateways):
        kinds = " or ".join(sorted({gateway.KIND for gateway in gateways}))
        raise UsageError(f"--group-by {by}: gateways of kind {kinds} have no such thing")
