"""What a worker keeps of the sessions whose chunks it has: journal, plan, lanes."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

import anyio

from orchestrator.distributed.journal_pages import FetchJournal
from orchestrator.distributed.kept_lane import KeptLane
from orchestrator.distributed.payloads import ChunkOrder, JournalPages
from orchestrator.errors import JournalError
from orchestrator.journal.database import open_database
from orchestrator.journal.meta import read_plan
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Material
from orchestrator.model.events import Listener
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, RunId

IDLE_FOR = 1800.0
"""Seconds without a chunk after which a session is forgotten; the next chunk of it fetches it again."""


class KeptSession:
    """One session of a run, as one worker knows it."""

    def __init__(
        self, folder: Path, plan: Plan, environment: Environment, worker: str, observe: Listener
    ) -> None:
        """``folder`` has the journal; ``worker`` names this process; ``observe`` hears all events."""
        self.observe = observe
        self.folder = folder
        self.plan = plan
        self.environment = environment
        self.worker = worker
        self.lanes: dict[str, KeptLane] = {}
        self.chunks = 0
        """Chunks under way."""
        self.used_at = environment.monotonic()
        self._working: dict[str, anyio.Lock] = {}

    @property
    def journal(self) -> Path:
        """The journal with which the session began; nobody writes it."""
        return self.folder / "journal.sqlite"

    def lock_lane(self, gateway: str) -> anyio.Lock:
        """Return the lock of a lane: a chunk that was lost may still end while the next one begins."""
        return self._working.setdefault(gateway, anyio.Lock())

    def find_gateway(self, name: str) -> Gateway:
        """Return the gateway of that name. Raises JournalError where the plan has none."""
        return self.plan.gateways[self.find_index(name)]

    def find_index(self, name: str) -> int:
        """Return where the gateway is in the plan. Raises JournalError where the plan has none."""
        for index, gateway in enumerate(self.plan.gateways):
            if gateway.name == name:
                return index
        raise JournalError(f"the plan has no gateway {name}")

    async def resolve(self, gateway: Gateway) -> Material:
        """Return the credential of a gateway by the references of this machine.

        Raises CredentialError, and UsageError where the gateway cannot be connected to.
        """
        environment = self.environment
        environment.check(environment.reach(gateway))
        if (
            self.plan.in_use == "refuse"
            and gateway.traffic_store is not None
            and environment.store is not None
        ):
            await environment.store.credential(gateway)
        return await environment.credential(gateway)

    async def drop_lane(self, gateway: str) -> None:
        """Close a lane, if there is one."""
        if (lane := self.lanes.pop(gateway, None)) is not None:
            await lane.close()

    async def close(self) -> None:
        """Close all lanes."""
        for gateway in list(self.lanes):
            await self.drop_lane(gateway)


class SessionStore:
    """The sessions whose chunks this worker has had, in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        environment: Environment,
        fetch: FetchJournal,
        worker: str,
        observe: Listener = lambda _: None,
    ) -> None:
        """``folder`` exists, and is this process's alone. ``observe`` hears the events of all chunks."""
        self._observe = observe
        self._folder = folder
        self._environment = environment
        self._fetch = fetch
        self._worker = worker
        self._kept: dict[tuple[RunId, int, str], KeptSession] = {}
        self._opening = anyio.Lock()

    async def open(self, order: ChunkOrder) -> KeptSession:
        """Return the session of a chunk; its journal is fetched the first time.

        Raises JournalError where the pages are not what was sent.
        """
        # The runs of one schedule begin with one journal, and have lanes of their own all the same.
        key = order.run, order.session, order.journal.digest
        async with self._opening:
            await self._forget_idle()
            kept = self._kept.get(key)
            if kept is None:
                kept = self._kept[key] = await self._make(order.journal)
            kept.used_at = self._environment.monotonic()
            kept.chunks += 1
            return kept

    def leave(self, kept: KeptSession) -> None:
        """Note that a chunk has ended."""
        kept.chunks -= 1
        kept.used_at = self._environment.monotonic()

    async def _make(self, pages: JournalPages) -> KeptSession:
        folder = Path(mkdtemp(prefix="session-", dir=self._folder))
        await self._fetch(pages, folder)
        with closing(open_database(folder / "journal.sqlite", write=False)) as database:
            plan = read_plan(database)
        return KeptSession(folder, plan, self._environment, self._worker, self._observe)

    async def _forget_idle(self) -> None:
        now = self._environment.monotonic()
        for key, kept in list(self._kept.items()):
            if not kept.chunks and now - kept.used_at > IDLE_FOR:
                del self._kept[key]
                await kept.close()
                shutil.rmtree(kept.folder, ignore_errors=True)

    async def close(self) -> None:
        """Close all lanes of all sessions."""
        for kept in self._kept.values():
            await kept.close()
