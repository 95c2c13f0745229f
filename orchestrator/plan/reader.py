"""A plan's file to a ``Plan`` and its targets, or to every problem with its line. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.errors import Problem, UnfitError
from orchestrator.model.plan import Plan, PlanHeader, Wave
from orchestrator.plan.after import tell_astray
from orchestrator.plan.document import Document
from orchestrator.plan.given import ON_THE_LINE, Given, seems_else
from orchestrator.plan.header import NamedGateway, read_header, tell_missing
from orchestrator.plan.intake import Intake, Options, TargetCollector
from orchestrator.plan.keys import SHORT_WAVE
from orchestrator.plan.naming import split_known
from orchestrator.plan.problems import Problems, UnreadableError
from orchestrator.plan.protect import tell_dead
from orchestrator.plan.source import digest, open_regular
from orchestrator.plan.targets import Place, TargetSink
from orchestrator.text.characters import quote_text
from orchestrator.text.names import to_nfc


class Loaded(Struct, frozen=True, kw_only=True):
    """A plan that has been read, and what was counted on the way. The targets are in the sink.

    ``digest`` covers the bytes of the plan and of every file that it includes, and the ids that were given
    instead of its targets. ``warnings`` tell what is hardly meant, in file order. ``folder`` is absolute;
    relative paths in the plan start there. ``source`` is the
    file that was read, ``source_digest`` the SHA-256 of its bytes alone. The counts are in the plan's order.
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


def read_plan(path: Path, sink: TargetSink, *, instead: Sequence[str | Given] | None = None) -> Loaded:
    """Read the plan at ``path``, and pass its targets to ``sink`` while they are read.

    With the ids ``instead`` those are the run's targets, as one wave without steps and ``after``; the options
    of a target that the plan lists are kept, and it need not list any. Raises ``PlanError`` with all problems
    in file order, the first 200 of them in full; the sink may hold some targets by then. Resolves no
    credential. Memory does not grow with the targets.
    """
    intake = Intake(sink)
    given = None if instead is None else _given(instead)
    options = None if given is None else Options(one.text for one in given)
    problems, document = _read(path, intake if options is None else options)
    header = read_header(document.header, problems)
    tell_missing(document.header, problems, targets=given is None)
    gateways = document.gateways or {}
    waves = tuple(document.waves)
    if given is not None and options is not None:
        waves = (Wave(name=SHORT_WAVE),)
        _give(given, gateways, options, intake, problems)
    # Of a plan that has too many targets the sink holds only the first.
    if not intake.is_cut():
        tell_astray(sink.astray(), problems)
    tell_dead(document.header, gateways, problems)
    _tell_duplicates(sink, gateways, problems)
    _tell_too_many(document, header, intake.count, problems)
    problems.settle()
    _warn(intake, problems)
    entries = tuple(known.entry for known in gateways.values() if known.entry is not None)
    assert header is not None  # noqa: S101 - else there were problems
    prints = [document.source.fingerprint, *document.includes.fingerprints]
    return Loaded(
        plan=Plan(**asdict(header), gateways=entries, waves=waves),
        digest=digest(prints, None if given is None else [one.text for one in given]),
        folder=path.absolute().parent,
        source=path.absolute(),
        source_digest=prints[0].digest().hex(),
        targets=intake.count,
        by_gateway={known: intake.by_gateway.get(known, 0) for known in gateways},
        by_wave={wave.name: count for wave, count in zip(waves, intake.by_wave(), strict=True)},
        warnings=problems.warnings(),
    )


def _read(path: Path, collector: TargetCollector) -> tuple[Problems, Document]:
    """Read the file, a second time where its targets stand before its gateways."""
    problems, document = read_once(path, collector, None)
    if not document.skipped or not document.gateways:
        return problems, document
    before = document.source.fingerprint.digest()
    problems, document = read_once(path, collector, document.gateways)
    if document.source.fingerprint.digest() != before:
        problems.add(Place(0, 0, 0), "", "the file was changed while it was read", "try again")
    return problems, document


def read_once(
    path: Path,
    collector: TargetCollector,
    gateways: Mapping[str, NamedGateway] | None,
    *,
    pass_over: bool = False,
) -> tuple[Problems, Document]:
    """Read the file, or all but its targets. Raises ``PlanError`` where the rest of it cannot be read."""
    problems = Problems()
    problems.file(str(path))
    try:
        with open_regular(path) as stream:
            document = Document(path, stream, collector, problems, gateways)
            document.skipped = pass_over
            document.read()
            return problems, document
    except UnfitError as unfit:
        problems.add(Place(0, 0, 0), "", unfit.message, unfit.hint)
    except OSError as error:
        problems.add(Place(0, 0, 0), "", f"cannot be read: {error.strerror or error}")
    except UnreadableError as error:
        problems.add(error.place, error.path, error.message, error.hint)
    problems.settle()
    raise AssertionError("an unreadable plan has a problem")


def _given(ids: Sequence[str | Given]) -> list[Given]:
    """Return ids with their places; where there is one alone, its place goes without saying."""
    places = range(1, len(ids) + 1) if len(ids) > 1 else (0,)
    return [
        one if isinstance(one, Given) else Given(one, place=place)
        for place, one in zip(places, ids, strict=False)
    ]


def _give(
    ids: Sequence[Given],
    gateways: Mapping[str, NamedGateway],
    options: Options,
    intake: Intake,
    problems: Problems,
) -> None:
    files = {name: problems.file(name) for name in dict.fromkeys(one.file for one in ids)}
    for one in ids:
        at = Place(files[one.file], one.line, one.place)
        try:
            known, parts = split_known(one.text, gateways)
        except UnfitError as unfit:
            problems.add(at, "", unfit.message, unfit.hint)
        else:
            intake.put(known.name, *options.of(known.name, parts), at)
            if seems := seems_else(one):
                problems.warn(at, "", f"{quote_text(one.text)} {seems}")
    if not ids:
        problems.add(Place(problems.file(ON_THE_LINE), 0, 0), "", "no target is given")


def _warn(intake: Intake, problems: Problems) -> None:
    for at, why in intake.doubtful:
        problems.warn(at, "", why)
    problems.warn_more(intake.doubtful_more)


def _tell_duplicates(sink: TargetSink, gateways: Mapping[str, NamedGateway], problems: Problems) -> None:
    # An entry that could not be read counts as a place of its own; no installation's text is one word.
    places = {name: known.entry.installation if known.entry else name for name, known in gateways.items()}
    for twice in sink.duplicates(places):
        is_placed = twice.first.line or twice.first.column
        where = f"first at {problems.where(twice.first)}" if is_placed else ""
        if twice.first_id == twice.again_id:
            message = f"the target {quote_text(twice.again_id)} is given twice"
        elif to_nfc(twice.first_id) == to_nfc(twice.again_id):
            message = (
                f"the target {quote_text(twice.again_id)} is given twice, with another form of an accent"
            )
        else:
            message = f"the target {quote_text(twice.again_id)} is the same as {quote_text(twice.first_id)}"
        problems.add(twice.again, "", message, where)


def _tell_too_many(document: Document, header: PlanHeader | None, targets: int, problems: Problems) -> None:
    if header is None or header.at_most is None or targets <= header.at_most:
        return
    node = document.header.values["at_most"]
    assert node is not None  # noqa: S101 - it was read
    problems.add(node.at, "at_most", f"the plan has {targets:,} targets, more than {header.at_most:,}")
