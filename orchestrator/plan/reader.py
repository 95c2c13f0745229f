"""Read a plan's file: return the ``Plan``, and pass its targets on; or raise every problem with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.errors import Problem, UnfitError
from orchestrator.model.plan import Plan, PlanHeader, Wave
from orchestrator.plan.collectors import CountingCollector, OptionsCollector, TargetCollector
from orchestrator.plan.dependencies import add_dependency_faults
from orchestrator.plan.document import PlanDocument
from orchestrator.plan.gateways import NamedGateway, split_known_id
from orchestrator.plan.given_targets import COMMAND_LINE, GivenTarget, explain_mistake
from orchestrator.plan.header import check_parts, read_header
from orchestrator.plan.keys import SHORT_WAVE
from orchestrator.plan.position_map import PositionMap
from orchestrator.plan.problems import FilePosition, Problems, UnreadableError
from orchestrator.plan.protect import check_own_patterns
from orchestrator.plan.source import compute_digest, open_regular
from orchestrator.plan.target_sink import DuplicateTarget, TargetSink
from orchestrator.text.characters import quote_text
from orchestrator.text.names import to_nfc


class ParsedPlan(Struct, frozen=True, kw_only=True):
    """A plan that has been read, and its counts. Its targets are in the sink.

    ``digest`` covers the bytes of the plan and of every file that it includes, and the ids that were given
    instead of its targets. ``warnings`` name the doubtful texts of the plan, in file order. ``folder`` is
    absolute; relative paths in the plan start there. ``source`` is the file that was read, ``source_digest``
    the SHA-256 of its bytes alone. The counts are in the plan's order.
    """

    plan: Plan
    digest: str
    folder: Path
    source: Path
    source_digest: str
    targets: int
    by_gateway: dict[str, int]
    by_wave: dict[str, int]
    warnings: tuple[Problem, ...] = ()


def read_plan(
    path: Path, sink: TargetSink, *, instead: Sequence[str | GivenTarget] | None = None
) -> ParsedPlan:
    """Read the plan at ``path``, and pass each target to ``sink`` as it comes.

    The ids ``instead`` replace the plan's targets: they are one wave, without steps and without ``after``,
    and keep the options of those that the plan lists. Raises ``PlanError`` with all problems in file order,
    the first 200 of them in full; by then the sink may hold some targets. Resolves no credential and sends
    nothing. Memory does not grow with the targets.
    """
    collector = CountingCollector(sink)
    given = None if instead is None else _number_given(instead)
    options = None if given is None else OptionsCollector(one.text for one in given)
    problems, document = _read_to_the_end(path, collector if options is None else options)
    header = read_header(document.header, problems)
    check_parts(document.header, problems, targets=given is None)
    gateways = document.gateways or {}
    waves = tuple(document.waves)
    if given is not None and options is not None:
        waves = (Wave(name=SHORT_WAVE),)
        _collect_given(given, gateways, options, collector, problems)
    # The sink holds only the first targets of a plan with too many, so the others would look unknown.
    if not collector.is_cut():
        add_dependency_faults(sink.find_dependency_faults(), problems)
    check_own_patterns(document.header, gateways, problems)
    _check_duplicates(sink, gateways, problems)
    what = "the plan has" if given is None else "the given ids are"
    _check_at_most(document, header, collector.count, what, problems)
    problems.raise_any()
    _warn_of_doubtful(collector, problems)
    entries = tuple(known.entry for known in gateways.values() if known.entry is not None)
    assert header is not None  # noqa: S101 - else there were problems
    prints = [document.source.fingerprint, *document.target_files.fingerprints]
    return ParsedPlan(
        plan=Plan(**asdict(header), gateways=entries, waves=waves),
        digest=compute_digest(prints, None if given is None else [one.text for one in given]),
        folder=path.absolute().parent,
        source=path.absolute(),
        source_digest=prints[0].digest().hex(),
        targets=collector.count,
        by_gateway={known: collector.by_gateway.get(known, 0) for known in gateways},
        by_wave={wave.name: count for wave, count in zip(waves, collector.count_by_wave(), strict=True)},
        warnings=problems.list_warnings(),
    )


def _read_to_the_end(path: Path, collector: TargetCollector) -> tuple[Problems, PlanDocument]:
    """Read the file; a second time if its targets stand before its gateways."""
    problems, document = read_once(path, collector, None)
    if not document.skipped or not document.gateways:
        return problems, document
    # Gateways of one state of the file must not be joined with targets of another.
    before = document.source.fingerprint.digest()
    problems, document = read_once(path, collector, document.gateways)
    if document.source.fingerprint.digest() != before:
        problems.add(FilePosition(0, 0, 0), "", "the file was changed while it was read", "try again")
    return problems, document


def read_once(
    path: Path,
    collector: TargetCollector,
    gateways: Mapping[str, NamedGateway] | None,
    *,
    skip_targets: bool = False,
) -> tuple[Problems, PlanDocument]:
    """Read the file, or all but its targets. Raises ``PlanError`` if the rest of it cannot be read."""
    problems = Problems()
    problems.add_file(str(path))
    problems.correct = PositionMap(path).correct
    try:
        with open_regular(path) as stream:
            document = PlanDocument(path, stream, collector, problems, gateways, skip_targets=skip_targets)
            document.read()
            return problems, document
    except UnfitError as unfit:
        problems.add(FilePosition(0, 0, 0), "", unfit.message, unfit.hint)
    except OSError as error:
        problems.add(FilePosition(0, 0, 0), "", f"cannot be read: {error.strerror or error}")
    except UnreadableError as error:
        problems.add(error.position, error.path, error.message, error.hint, is_exact=error.is_exact)
    problems.raise_any()
    raise AssertionError("an unreadable plan has a problem")


def _number_given(ids: Sequence[str | GivenTarget]) -> list[GivenTarget]:
    """Return ids with their numbers; a single id needs no number in a message."""
    places = range(1, len(ids) + 1) if len(ids) > 1 else (0,)
    return [
        one if isinstance(one, GivenTarget) else GivenTarget(one, position=position)
        for position, one in zip(places, ids, strict=False)
    ]


def _collect_given(
    ids: Sequence[GivenTarget],
    gateways: Mapping[str, NamedGateway],
    options: OptionsCollector,
    collector: CountingCollector,
    problems: Problems,
) -> None:
    files = {name: problems.add_file(name) for name in dict.fromkeys(one.file for one in ids)}
    for one in ids:
        at = FilePosition(files[one.file], one.line, one.position)
        try:
            known, parts = split_known_id(one.text, gateways)
        except UnfitError as unfit:
            problems.add(at, "", unfit.message, unfit.hint)
        else:
            collector.put(known.name, *options.find(known.name, parts), at)
            if seems := explain_mistake(one):
                problems.warn(at, "", f"{quote_text(one.text)} {seems}")
    if not ids:
        problems.add(FilePosition(problems.add_file(COMMAND_LINE), 0, 0), "", "no target is given")


def _warn_of_doubtful(collector: CountingCollector, problems: Problems) -> None:
    for at, why in collector.doubtful:
        problems.warn(at, "", why)
    problems.count_warnings(collector.doubtful_more)


def _check_duplicates(sink: TargetSink, gateways: Mapping[str, NamedGateway], problems: Problems) -> None:
    # A gateway that could not be read is its own installation. Its name cannot equal an installation's text.
    places = {name: known.entry.installation if known.entry else name for name, known in gateways.items()}
    for twice in sink.find_duplicates(places):
        where = _tell_first(twice, problems)
        if twice.first_id == twice.again_id:
            message = f"the target {quote_text(twice.again_id)} is given twice"
        elif to_nfc(twice.first_id) == to_nfc(twice.again_id):
            message = (
                f"the target {quote_text(twice.again_id)} is given twice, with another form of an accent"
            )
        else:
            message = f"the target {quote_text(twice.again_id)} is the same as {quote_text(twice.first_id)}"
        problems.add(twice.again, "", message, where)


def _tell_first(twice: DuplicateTarget, problems: Problems) -> str:
    """Return where a repeated target stands first; an empty text where that has no place to be told."""
    if not (twice.first.line or twice.first.column):
        return ""
    first = problems.format_position(twice.first)
    if first != problems.format_position(twice.again):
        return f"first at {first}"
    # All targets of a matrix have the position of their entry, and a file is read as often as it is named.
    return "the file is named twice" if twice.again.file else "its lists name it twice"


def _check_at_most(
    document: PlanDocument, header: PlanHeader | None, targets: int, what: str, problems: Problems
) -> None:
    """Add a problem if there are more ``targets`` than the plan allows; ``what`` begins the message."""
    if header is None or header.at_most is None or targets <= header.at_most:
        return
    node = document.header.values["at_most"]
    assert node is not None  # noqa: S101 - it was read
    problems.add(node.at, "at_most", f"{what} {targets:,} targets, more than {header.at_most:,}")
