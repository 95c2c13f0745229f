"""Ports of this machine."""

from __future__ import annotations

import socket


def find_free_port() -> int:
    """Return a port of 127.0.0.1 on which no program listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
