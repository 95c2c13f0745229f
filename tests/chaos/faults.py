"""The faults: signals at random instants, limits of a process, small disks, and damage to files."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests.support.stage import Stage, kill

Process: TypeAlias = subprocess.Popen[str]

PATIENCE = 300.0
"""Seconds after which a process counts as stuck, also on a busy machine."""

START_UP = 0.7
"""Seconds in which a process starts, loads its plan and sends its first requests, on an idle machine."""


def wait_somewhere(stage: Stage, dice: Random, process: Process) -> None:
    """Wait for a random instant: one of the start-up, or some requests later."""
    if dice.random() < 0.3:
        time.sleep(dice.uniform(0.0, START_UP))
    else:
        stage.wait_for_requests(stage.requests() + dice.randint(1, 18), process, patience=PATIENCE)
        time.sleep(dice.uniform(0.0, 0.03))


def kill_somewhere(stage: Stage, dice: Random, process: Process) -> None:
    """Send SIGKILL at a random instant."""
    wait_somewhere(stage, dice, process)
    kill(process)


def freeze_somewhere(stage: Stage, dice: Random, process: Process) -> None:
    """Stop the process a few times, for less and for more than the timeout of a reply, and let it go on."""
    for _ in range(dice.randint(1, 3)):
        wait_somewhere(stage, dice, process)
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(dice.uniform(0.05, 1.5))
        finally:
            process.send_signal(signal.SIGCONT)


def limit_process(which: int, most: int) -> Callable[[], None]:
    """Return what sets a limit (``resource.RLIMIT_…``) in a new process before the program starts."""

    def set_limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(which, (most, most))

    return set_limit


def may_mount() -> bool:
    """Return whether this user may mount a small disk."""
    return os.getuid() == 0 and Path("/proc/filesystems").read_text(encoding="ascii").find("tmpfs") >= 0


@contextmanager
def mount_small(place: Path, kilobytes: int) -> Iterator[bool]:
    """Mount a disk of so many kilobytes at a new folder for the block; yields whether that succeeded."""
    place.mkdir(exist_ok=True)
    options = f"mode=700,size={kilobytes}k"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if not may_mount() or subprocess.run(command, capture_output=True, check=False).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def grow_disk(place: Path) -> None:
    """Give the disk that ``mount_small`` has mounted room for everything."""
    subprocess.run(["mount", "-o", "remount,size=32m", str(place)], check=True)


def move_into_journal(journal: Path) -> None:
    """Move what SQLite keeps beside a journal into it, as any reader with the right to write may do."""
    connection = sqlite3.connect(journal)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def damage(file: Path, dice: Random, names: Sequence[str] = ()) -> str:
    """Flip bits of a file, cut it off, or blank one of its sectors; return in words what was done.

    With ``names`` it may also flip a bit of one of these texts, wherever the file holds it.
    """
    size = file.stat().st_size
    match dice.choice(("flip", "flip", "cut", "blank", *(["name"] if names else []))):
        case "name":
            return _damage_name(file, dice, dice.choice(names))
        case "cut":
            kept = dice.randrange(size + 1)
            os.truncate(file, kept)
            return f"{file.name} cut to {kept} of {size} bytes"
        case "blank":
            sector = dice.randrange(0, max(size, 1), 512)
            _write_at(file, sector, bytes(min(512, size - sector)))
            return f"{file.name} blank from {sector}"
        case _:
            places = [dice.randrange(size) for _ in range(dice.randint(1, 4))] if size else []
            held = file.read_bytes()
            for place in places:
                _write_at(file, place, bytes([held[place] ^ (1 << dice.randrange(8))]))
            return f"{file.name} flipped at {places}"


def _damage_name(file: Path, dice: Random, name: str) -> str:
    """Flip one bit of one occurrence of a name."""
    held = file.read_bytes()
    found = [match.start() for match in re.finditer(re.escape(name.encode()), held)]
    if not found:
        return f"{file.name} holds no {name}"
    place = dice.choice(found) + dice.randrange(len(name))
    _write_at(file, place, bytes([held[place] ^ (1 << dice.randrange(8))]))
    return f"{file.name} flipped at {place}, in {name}"


def _write_at(file: Path, place: int, data: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(data)
