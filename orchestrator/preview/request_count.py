"""Counts the requests of a run to one gateway, from what a preview saw of its targets. Pure.

The rules are those by which a lane reads its lists (``lanes/state_list.py``): once for at least so many
targets ahead, again when they are about to be too old, and once more for looks that were put off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from orchestrator.lanes.state_list import DUE_BEFORE, FRESH_FOR, MOST_DEFERRED, WORTH_LISTING
from orchestrator.model.gateway import Gateway
from orchestrator.model.reading import LookFacts, Operation, Reading, Verdict
from orchestrator.preview.binding_count import BindingCounter
from orchestrator.preview.states import PreviewedGateway, PreviewGroup, SeenTarget

RENEWED_AFTER = FRESH_FOR - DUE_BEFORE
"""Seconds after which a lane with enough targets left reads its lists again."""


class RequestLoad(Struct, frozen=True, kw_only=True):
    """The requests of a run to one gateway in one step of a wave."""

    looks: int = 0
    """Pages of lists included."""
    undeploys: int = 0
    pages: int = 0
    """Pages of lists. They come one after the other, before the targets that go by them."""
    chain: int = 0
    """The most requests for one target. They go one after the other."""


class RequestCounter:
    """Counts the requests of a run to one gateway, step by step."""

    def __init__(
        self,
        gateway: Gateway,
        found: PreviewedGateway,
        *,
        with_snapshots: bool,
        with_bindings: bool,
        guarded: bool,
        refuses: Callable[[SeenTarget], bool] = lambda _: False,
        asks_use: bool = False,
    ) -> None:
        """``with_snapshots``: the run reads each target's snapshot first; ``with_bindings``: to keep it, with
        what hangs on the target. ``guarded``: it compares each target's state with an approval, and reads
        that state of each target alone. ``asks_use``: it asks how much each target is used before it sends;
        ``refuses`` says which targets it leaves for their use."""
        self._gateway = gateway
        self._found = found
        self._with_snapshots = with_snapshots
        self._with_bindings = with_bindings
        self._guarded = guarded
        self._always = gateway.look == "always"
        offered = [each for each in found.lists if each.entries]
        self._offered = offered
        self._all_pages = sum(each.pages for each in offered)
        self._state_pages = sum(each.pages for each in offered if each.tells_state)
        self._refused = [each for each in found.lists if not each.entries]
        """The lists that the run has yet to find out not to be offered."""
        self._holds_all = self._holds_states = False
        self._age = 0.0
        """Seconds since the lists were read."""
        self._served = 0
        """Targets since the lists were read."""
        self._bindings = BindingCounter(found)
        self._refuses = refuses
        self._asks_use = asks_use
        self._shared_use_reads = found.shared_use_reads if asks_use else 0
        """The reads of the use of many targets that the run has yet to make."""

    def count_step(self, seen_targets: Sequence[SeenTarget], *, later: int = 0) -> RequestLoad:
        """Count the requests for the targets of the next step; ``later`` targets come soon after it."""
        pages, uses_lists = self._read_lists(len(seen_targets), later)
        self._served += len(seen_targets) if uses_lists else 0
        looks = undeploys = changing = chain = 0
        for seen in seen_targets:
            before = looks + undeploys
            looks += self._count_reads(seen, uses_lists=uses_lists) + self._count_use_reads(seen)
            sends = self._sends(seen)
            undeploys += sends
            changing += sends and self._always
            chain = max(chain, looks + undeploys - before)
        after, more_pages, longest = self._count_looks_after(seen_targets, changing, later)
        if self._with_bindings:
            alone, for_many, each = self._bindings.count_step(seen_targets, later=later)
            looks, more_pages, longest = looks + alone, more_pages + for_many, longest + each
        pages += more_pages
        return RequestLoad(
            looks=looks + after + pages, undeploys=undeploys, pages=pages, chain=chain + longest
        )

    def pass_time(self, seconds: float, *, targets: int) -> int:
        """Take in the seconds of a step with so many targets; return the pages read again by then."""
        self._age += seconds
        bound = self._bindings.pass_time(seconds, targets=targets) if self._with_bindings else 0
        served = max(targets, self._served) if targets else 0
        if not (self._with_snapshots and self._holds_all and self._all_pages <= served):
            return bound
        times, self._age = divmod(self._age, RENEWED_AFTER)
        return int(times) * self._all_pages + bound

    def _read_lists(self, targets: int, later: int) -> tuple[int, bool]:
        """Return the pages that a step reads before its first target, and whether its targets go by lists."""
        if not self._with_snapshots:
            return self._read_state_list(targets + later) if self._always else (0, False)
        if self._guarded and all(each.tells_state for each in self._found.lists):
            return 0, False  # the lists tell nothing but states, which an approval wants of each target alone
        if self._holds_all and self._age <= RENEWED_AFTER:
            return 0, True
        if not self._pays(targets, later):
            return 0, self._holds_all and self._age <= FRESH_FOR
        in_vain = self._ask_in_vain(states_only=False)
        self._holds_all = self._holds_states = bool(self._all_pages)
        self._age, self._served = 0.0, 0
        return self._all_pages + in_vain, self._holds_all

    def _pays(self, targets: int, later: int) -> bool:
        """Return whether the lists are read for a step, or read again."""
        ahead = targets + later
        if not self._holds_all:
            return ahead >= WORTH_LISTING
        return self._all_pages <= min(ahead, max(targets, self._served))

    def _read_state_list(self, ahead: int) -> tuple[int, bool]:
        # "Deployed" is believed at any age before an undeploy, so the list is read once.
        if self._holds_states or ahead < WORTH_LISTING:
            return 0, self._holds_states
        in_vain = self._ask_in_vain(states_only=True)
        self._holds_states = bool(self._state_pages)
        return self._state_pages + in_vain, self._holds_states

    def _ask_in_vain(self, *, states_only: bool) -> int:
        """Return how many lists the run asks for in vain, each once."""
        asked = [each for each in self._refused if each.tells_state or not states_only]
        self._refused = [each for each in self._refused if each not in asked]
        return len(asked)

    def _count_reads(self, seen: SeenTarget, *, uses_lists: bool) -> int:
        """Return how many reads of a target alone come before its undeploy."""
        if not self._with_snapshots:
            return self._count_looks_before(seen, uses_lists=uses_lists) if self._always else 0
        if seen.listed and uses_lists:
            return seen.reads + self._guarded
        # A target that the preview did not reach costs the run a read all the same.
        return max(self._count_reads_alone(seen), 1)

    def _count_looks_before(self, seen: SeenTarget, *, uses_lists: bool) -> int:
        is_down = seen.group is PreviewGroup.ALREADY_SO
        known = seen.listed if uses_lists else ()
        if is_down:
            return count_looks_when_down(self._gateway, seen, self._found.lacking, known)
        return int(not known)

    def _count_reads_alone(self, seen: SeenTarget) -> int:
        """Return how many reads a snapshot takes without the lists by which the preview went."""
        if not seen.listed:
            return seen.reads
        readings: dict[str, Reading] = {}
        verdict, facts = seen.snapshot.verdict, seen.snapshot.facts
        restore, lacking = self._gateway.restore, self._found.lacking
        found = restore.next_snapshot_read(seen.target, readings, lacking)
        while isinstance(found, Operation):
            readings[found.via] = Reading(verdict=verdict, facts=facts)
            found = restore.next_snapshot_read(seen.target, readings, lacking)
        # The front-end APIs that a snapshot names are read one by one, once other reads have named them.
        return len(readings) + len(seen.snapshot.fronts)

    def _count_use_reads(self, seen: SeenTarget) -> int:
        """Return how many reads tell the use of a target, with those for many that come before the first."""
        if not self._asks_use or seen.usage is None:
            return 0
        shared, self._shared_use_reads = self._shared_use_reads, 0
        # Who may call hangs on a target, and is read with all that does; or alone.
        return shared + seen.use_reads + (0 if self._with_bindings else seen.places)

    def _sends(self, seen: SeenTarget) -> bool:
        if self._refuses(seen):
            return False
        # Without a read, the run cannot know that the target is down already.
        is_blind = not self._with_snapshots and not self._always
        return is_blind or seen.group in (PreviewGroup.WILL_CHANGE, PreviewGroup.UNKNOWN)

    def _count_looks_after(
        self, seen_targets: Iterable[SeenTarget], changing: int, later: int
    ) -> tuple[int, int, int]:
        """Return the single reads after the undeploys, the pages of lists, and the most for one target."""
        if not changing:
            return 0, 0, 0
        holds = self._holds_all or self._holds_states
        pays = any(each.tells_state and each.pages <= changing for each in self._offered)
        by_list = pays and (holds or max(changing, later) >= WORTH_LISTING)
        each = [
            count_looks_when_down(self._gateway, seen, self._found.lacking, seen.listed if by_list else ())
            for seen in seen_targets
            if self._sends(seen)
        ]
        pages = self._renew_lists(changing, later) if by_list else 0
        return sum(each), pages, max(each)

    def _renew_lists(self, changing: int, later: int) -> int:
        """Return the pages for looks that were put off: at the end, and in the middle of a large step."""
        entries = max(each.entries for each in self._found.lists)
        in_between = (changing - 1) // max(MOST_DEFERRED, entries // 2)
        whole = self._all_pages if self._with_snapshots else self._state_pages
        held = (
            self._all_pages if self._holds_all else self._state_pages if self._holds_states else WORTH_LISTING
        )
        worth = min(WORTH_LISTING, held)
        self._holds_states = True
        # What comes soon after this step goes by these lists, too.
        self._holds_all = self._with_snapshots and later >= worth
        self._age, self._served = 0.0, 0
        return in_between * whole + (whole if self._holds_all else self._state_pages)


def count_looks_when_down(
    gateway: Gateway, seen: SeenTarget, lacking: frozenset[str], known: Iterable[str] = ()
) -> int:
    """Return how many reads a look takes that finds the target down; lists give the reads in ``known``."""
    down = Reading(verdict=Verdict.DOWN, facts=LookFacts(deployed=False))
    readings = dict.fromkeys(known, down)
    given = len(readings)
    found = gateway.next_look(seen.target, readings, lacking, None)
    while isinstance(found, Operation):
        readings[found.via] = down
        found = gateway.next_look(seen.target, readings, lacking, None)
    return len(readings) - given
