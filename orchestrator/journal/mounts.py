"""Which file system a folder is on, and whether other hosts may use that file system too."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "virtiofs",
    "fuse.ceph", "fuse.ceph-fuse", "fuse.cephfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.seaweedfs", "fuse.smbnetfs", "fuse.sshfs",
))  # fmt: skip
_ESCAPE = re.compile(r"\\([0-7]{3})")


def find_network_file_system(folder: Path) -> str | None:
    """Return the type of the network file system that ``folder`` is on (``nfs4``), None for a local one.

    None also on a system without ``/proc``, which does not say it.
    """
    try:
        mounts = os.fsdecode(_MOUNTS.read_bytes())
        kind = find_file_system(mounts, os.path.realpath(folder))
    except OSError:
        return None
    return kind if kind in _NETWORK else None


def find_file_system(mounts: str, path: str) -> str | None:
    """Return the type of the file system that ``path`` is on, by the text of a ``mountinfo``.

    The longest mount point above the path counts. Of several mounts on one point the last counts.
    ``path`` is absolute and without links.
    """
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        fields, kind = before.split(" "), behind.partition(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        point = _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), fields[4]).rstrip("/")
        inside = path == point or path.startswith(f"{point}/")
        # A later mount on the same point hides the earlier one.
        if inside and (found is None or len(point) >= found[0]):
            found = (len(point), kind)
    return found[1] if found else None
