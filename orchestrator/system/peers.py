"""What the system tells of the process at the other end of a connection."""

from __future__ import annotations

import select
import socket
from pathlib import Path


def has_hung_up(connection: socket.socket) -> bool:
    """Return whether the other end has closed the connection, also behind bytes that are not read yet."""
    watch = select.poll()
    # Only Linux tells the end of one direction by an event of its own.
    watch.register(connection.fileno(), getattr(select, "POLLRDHUP", select.POLLHUP))
    return bool(watch.poll(0))


def is_suspended(process: int) -> bool:
    """Return whether a process is stopped, as by Ctrl-Z; False where this machine does not tell."""
    try:
        told = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return False
    # The name of the program stands in brackets before the state, and may hold brackets itself.
    return told.rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])
