"""Loading a plan into the draft of a journal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.runs.load import load_plan

PLAN = """\
version: 1
name: clean-up
gateways:
  apim: {kind: apinizer, url: https://apim.example.com, auth: {token: {env: APINIZER_TOKEN}}}
targets:
  - {gateway: apim, project: Retail, proxy: orders-api, environment: test}
"""


def test_a_folder_that_no_journal_can_name_is_told(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"d\xfcr")
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)

    with pytest.raises(UsageError, match="is not UTF-8"):
        load_plan(folder / "plan.yaml")
