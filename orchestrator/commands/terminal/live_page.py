"""The live page of the run that a command starts: bound before the first question, ended with the run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.commands.terminal.output import tell

if TYPE_CHECKING:
    import socket

    from orchestrator.engine.request import MakeControlSocket
    from orchestrator.journal.folder import RunFolder
    from orchestrator.live.access import AccessGuard
    from orchestrator.live.address import PageAddress


class LivePage:
    """A page at an address that is bound: ``begin`` answers from now on, ``finish`` ends it."""

    def __init__(self, listener: socket.socket, address: PageAddress) -> None:
        from orchestrator.live.own_run import OwnRun
        from orchestrator.live.server import make_guard
        from orchestrator.live.thread import PageThread

        self._address = address
        self._guard = make_guard(address)
        self._run = OwnRun()
        self._thread = PageThread(listener, self._guard, self._run, tell)

    @property
    def link(self) -> str:
        """The page's address, on a terminal with the token as long as nobody has used it."""
        return compose_link(self._address, self._guard)

    def begin(self, open_socket: MakeControlSocket) -> MakeControlSocket:
        """Serve, and tell where. Returns ``open_socket`` so that the page takes commands, too."""
        self._thread.start()
        tell_address(self._address, self._guard)
        return self._run.join(open_socket)

    def finish(self, folder: RunFolder | None) -> None:
        """Show the viewers the end and the folder of the reports, and end within a bounded time."""
        # The run is over: an interrupt ends this wait, and not the exit status of the run.
        with suppress(KeyboardInterrupt):
            self._thread.finish(None if folder is None else str(folder.path))


@contextmanager
def open_page(address: str | None) -> Iterator[LivePage | None]:
    """Bind the page's address for the block; yields None without one. Raises UsageError if that fails."""
    if address is None:
        yield None
        return
    from orchestrator.live.address import bind, parse_address

    listener, bound = bind(parse_address(address))
    with listener:
        page = LivePage(listener, bound)
        try:
            yield page
        finally:
            page.finish(None)


def compose_link(address: PageAddress, guard: AccessGuard) -> str:
    """Return the page's address, on a terminal with the token that its one use makes a session of."""
    # Whatever is no terminal may be a log, which others read.
    shows_token = sys.stderr.isatty() and not guard.is_token_used
    return f"{address.url}#token={guard.token}" if shows_token else address.url


def tell_address(address: PageAddress, guard: AccessGuard) -> None:
    """Tell where the page is, and how to steer by it."""
    link = compose_link(address, guard)
    tell(f"live page: {link}")
    if "#" not in link:
        tell("no terminal is here to show the token that steers; `undeploy watch` on a terminal shows one")
    if not address.is_loopback:
        tell(
            "the live page is open to other machines, without TLS: whoever hears the network reads what it"
            " shows, and the link that reads and steers"
        )
