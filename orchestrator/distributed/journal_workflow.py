"""The workflow that keeps pages of a journal, so that each worker of a run can fetch them.

The pages are in its history: the first one is its input, each further one a signal.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from orchestrator.distributed.names import JOURNAL_WORKFLOW, is_of_schedule

KEPT_AT_MOST = timedelta(days=90)
"""A journal that nobody releases ends by itself then: its run was terminated, or never began."""


@workflow.defn(name=JOURNAL_WORKFLOW)
class UndeployJournal:
    """Keeps its pages until the run needs them no longer."""

    def __init__(self) -> None:
        self._is_released = False

    @workflow.run
    async def run(self, page: bytes) -> None:  # noqa: ARG002 -- the history keeps it
        """Keep the first page, and those that follow by the signal ``page``."""
        # A schedule starts runs for as long as it is there, and lets its pages go when it is taken back.
        longest = None if is_of_schedule(workflow.info().workflow_id) else KEPT_AT_MOST
        try:
            await workflow.wait_condition(lambda: self._is_released, timeout=longest)
        except TimeoutError:
            workflow.logger.warning("a journal ends that nobody has released")

    @workflow.signal(name="page")
    def take_page(self, page: bytes) -> None:
        """Keep a further page: the history does."""

    @workflow.signal
    def release(self) -> None:
        """End: nobody fetches the pages any more."""
        self._is_released = True
