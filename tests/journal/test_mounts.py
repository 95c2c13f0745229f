"""Which file system a folder is on, from the kernel's own list."""

from pathlib import Path

import pytest

from orchestrator.journal import mounts
from orchestrator.journal.mounts import find_file_system, find_network_file_system

SAMPLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 27 0:31 / /home rw,relatime shared:5 master:2 - nfs4 filer:/home rw,vers=4.2,addr=10.0.0.5
37 36 254:3 / /home/alice/local rw,relatime - xfs /dev/vdb rw
38 27 0:33 / /mnt/team\040share rw,relatime - cifs //filer/team rw
39 27 0:34 / /net rw,relatime - autofs systemd-1 rw,fd=40
40 39 0:35 / /net rw,relatime - nfs filer:/net rw
41 27 0:36 / /mnt/a\134b rw - fuse.sshfs bob@far:/ rw
42 27 0:37 / /mnt/x\040-\040y rw - 9p host rw
43 27 0:38 / /home/bob rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srv/.undeploy", "ext4"),
        ("/home", "nfs4"),
        ("/home/alice/.undeploy/runs/x", "nfs4"),
        ("/home/alice/local/.undeploy", "xfs"),
        ("/home/alice/locality", "nfs4"),
        ("/homes", "ext4"),
        ("/home/bob/x", "tmpfs"),
        ("/mnt/team share/x", "cifs"),
        ("/mnt/team", "ext4"),
        ("/net/x", "nfs"),
        ("/mnt/a\\b/c", "fuse.sshfs"),
        ("/mnt/x - y/z", "9p"),
    ],
)
def test_the_nearest_mount_above_a_path_counts(path: str, kind: str) -> None:
    assert find_file_system(SAMPLE, path) == kind


@pytest.mark.parametrize("text", ["", "\n", "27 1 254:0 / / rw", "garbage - \n", "1 2 - ext4 x rw"])
def test_what_is_no_list_of_mounts_tells_nothing(text: str) -> None:
    assert find_file_system(text, "/srv") is None


def test_a_network_file_system_is_told_from_a_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = tmp_path / "mountinfo"
    monkeypatch.setattr(mounts, "_MOUNTS", sample)
    assert find_network_file_system(tmp_path) is None  # a system that does not tell
    folder = str(tmp_path.resolve()).replace(" ", "\\040")
    for kind, network in [("nfs", "nfs"), ("ext4", None), ("fuse.sshfs", "fuse.sshfs"), ("overlay", None)]:
        sample.write_text(f"1 0 0:1 / {folder} rw - {kind} x rw\n")
        assert find_network_file_system(tmp_path / "runs") == network


def test_this_machine_s_own_list_can_be_read() -> None:
    assert find_file_system(Path("/proc/self/mountinfo").read_text(encoding="utf-8"), "/proc/self") == "proc"
