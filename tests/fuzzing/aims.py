"""The aims: each a reader of the program, the inputs to begin with, and the errors that it may raise."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from random import Random
from types import MappingProxyType

import msgspec
from hypothesis import strategies as st
from msgspec import Struct

from orchestrator.errors import PlanError, UnfitError, UsageError
from orchestrator.plan.given_targets import read_given_targets
from orchestrator.plan.json_form import decode_plan, encode_plan
from orchestrator.plan.reader import read_plan
from orchestrator.plan.target_sink import TargetList
from orchestrator.preview.approval import (
    Approval,
    ApprovedTarget,
    Approver,
    add_seal,
    check_approval,
    check_names_all,
    decode_approval,
    encode_approval,
)
from orchestrator.preview.states import TargetState
from tests.fuzzing.journals import list_earlier_journals, list_journals, mutate_journal, read_journal
from tests.fuzzing.mutator import mutate
from tests.fuzzing.replies import encode_reply, list_replies, read_reply
from tests.gateways.test_contract import bodies, statuses

ROOT = Path(__file__).parents[2]

Mutator = Callable[[Random, bytes, Sequence[bytes]], bytes]


class Aim(Struct, frozen=True):
    """One reader. ``read`` returns if it takes or refuses an input as documented, and raises otherwise."""

    read: Callable[[bytes], None]
    list_seeds: Callable[[], list[bytes]]
    made_up: st.SearchStrategy[bytes]
    """Inputs that hypothesis makes up."""
    quick: int
    """Inputs that the quick test tries."""
    mutate: Mutator = mutate


@cache
def find_folder() -> Path:
    """Return the folder of this process for inputs that are files; it goes with the process."""
    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else None
    kept = tempfile.TemporaryDirectory(prefix="undeploy-fuzzing-", dir=base)
    _FOLDERS.append(kept)
    return Path(kept.name)


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []

_TABLE_PLAN = """\
version: 1
name: tables
gateways:
  roma-eu:
    kind: roma
    url: https://roma.example.com
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    auth: {token: {env: ROMA_TOKEN}}
  apim: {kind: apinizer, url: "https://apim.example.com", auth: {token: {env: APINIZER_TOKEN}}}
targets:
"""


def _read_plan(data: bytes) -> None:
    """Read a plan; one that is taken comes back from a journal as it was."""
    path = find_folder() / "plan.yaml"
    path.write_bytes(data)
    with suppress(PlanError):
        plan = read_plan(path, TargetList()).plan
        assert decode_plan(encode_plan(plan)) == plan, "the plan comes back changed"


def _list_plans() -> list[bytes]:
    return [file.read_bytes() for file in sorted((ROOT / "plans").glob("*.yaml"))]


def _read_table(gateway: str, ending: str, data: bytes) -> None:
    path = find_folder() / "tables.yaml"
    path.write_text(f"{_TABLE_PLAN}  - {{gateway: {gateway}, from_file: table.{ending}}}\n", encoding="utf-8")
    path.with_name(f"table.{ending}").write_bytes(data)
    with suppress(PlanError):
        read_plan(path, TargetList())


def _read_tables(ending: str, data: bytes) -> None:
    for gateway in ("roma-eu", "apim"):
        _read_table(gateway, ending, data)


def _list_tables(ending: str) -> list[bytes]:
    more = {
        "csv": [b"\xef\xbb\xbfld_api_id;after\r\na1;\r\n", b'project,proxy,environment\n"a ""b""",c,d\n'],
        "jsonl": [b'{"ld_api_id": "a1", "after": ["roma-eu/a2"]}\n{"ld_api_id": "a2"}\n'],
    }
    files = sorted((ROOT / "plans").glob(f"*.{ending}"))
    return [*(file.read_bytes() for file in files), *more[ending]]


def _read_ids(data: bytes) -> None:
    path = find_folder() / "ids.yaml"
    path.write_text(f"{_TABLE_PLAN}  - {{gateway: roma-eu, ld_api_id: a1}}\n", encoding="utf-8")
    with suppress(UnfitError, PlanError):
        read_plan(path, TargetList(), instead=read_given_targets(data, "ids"))


def _read_approval(data: bytes) -> None:
    """Read an approval as it is, and once more under a seal that fits: without, every change ends there."""
    inputs = [data]
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        inputs.append(encode_approval(add_seal(msgspec.json.decode(data, type=Approval))))
    for each in inputs:
        with suppress(UsageError):
            approval = decode_approval(each)
            check_approval(approval, approval.digest, now=datetime(2026, 11, 29, tzinfo=UTC), key=None)
            check_names_all(approval, ["apim/Retail/petstore/test"])


def _list_approvals() -> list[bytes]:
    up = TargetState.DEPLOYED
    approval = Approval(
        plan="retirement",
        digest="d" * 64,
        taken=datetime(2026, 11, 28, 22, tzinfo=UTC),
        expires=datetime(2026, 11, 30, tzinfo=UTC),
        by=Approver(user="ada", host="ops-1"),
        incomplete=("roma-eu/a1",),
        targets=(
            ApprovedTarget(id="apim/Retail/petstore/test", state=up, revision="7", since=None),
            ApprovedTarget(id="roma-eu/a1", state=up, revision=None, since="2026-01-01T00:00:00Z"),
        ),
    )
    return [encode_approval(add_seal(approval))]


@cache
def _list_journals() -> list[bytes]:
    return list_journals(find_folder())


def _mutate_journal(dice: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return mutate_journal(dice, data, others, find_folder())


_headers = st.dictionaries(
    st.sampled_from(["retry-after", "content-type", "location", "x-subject-token"]), st.text(max_size=40)
)
_replies = st.builds(encode_reply, statuses, _headers, bodies)
_texts = st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass"))
_lines = st.lists(
    st.text(st.characters(codec="utf-8"))
    | st.sampled_from(["targets:", "- {", "name: x", "version: 1", "a,b"])
).map(lambda lines: "\n".join(lines).encode())

AIMS: Mapping[str, Aim] = MappingProxyType(
    {
        "roma": Aim(partial(read_reply, "roma"), partial(list_replies, "roma"), _replies, 10),
        "apinizer": Aim(partial(read_reply, "apinizer"), partial(list_replies, "apinizer"), _replies, 10),
        "wso2": Aim(partial(read_reply, "wso2"), partial(list_replies, "wso2"), _replies, 10),
        "plan": Aim(_read_plan, _list_plans, _texts | _lines, 15),
        "csv": Aim(partial(_read_tables, "csv"), partial(_list_tables, "csv"), _texts | _lines, 20),
        "jsonl": Aim(partial(_read_tables, "jsonl"), partial(_list_tables, "jsonl"), bodies, 20),
        "ids": Aim(
            _read_ids, lambda: [b"roma-eu/a1\n# one\napim/Retail/petstore%2Fapi/test\n"], _texts | _lines, 20
        ),
        "approval": Aim(_read_approval, _list_approvals, bodies, 20),
        "journal": Aim(
            lambda data: read_journal(data, find_folder()),
            _list_journals,
            st.binary(),
            2,
            _mutate_journal,
        ),
        "earlier-journal": Aim(
            lambda data: read_journal(data, find_folder()),
            list_earlier_journals,
            st.binary(),
            2,
            _mutate_journal,
        ),
    }
)
