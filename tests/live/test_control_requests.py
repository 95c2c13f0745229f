"""The bodies that steer a run."""

import pytest

from orchestrator.engine.control_commands import ContinueRun, PauseRun, SetLimits, SkipTargets, StopRun
from orchestrator.errors import UsageError
from orchestrator.live.control_requests import ControlRequest, parse_control_request


@pytest.mark.parametrize(
    ("body", "request_meant", "wanted"),
    [
        (b'{"act": "pause"}', ControlRequest(command=PauseRun(), preview=False, typed=""), None),
        (b'{"act": "continue"}', ControlRequest(command=ContinueRun(), preview=False, typed=""), None),
        (
            b'{"act": "stop", "typed": "stop"}',
            ControlRequest(command=StopRun(), preview=False, typed="stop"),
            "stop",
        ),
        (
            b'{"act": "skip", "pattern": "apim/**", "preview": true}',
            ControlRequest(command=SkipTargets("apim/**"), preview=True, typed=""),
            "skip",
        ),
        (
            b'{"act": "limits", "gateway": "apim", "concurrency": 2, "rate": 1.5, "newer": 1}',
            ControlRequest(command=SetLimits("apim", 2, 1.5), preview=False, typed=""),
            None,
        ),
    ],
)
def test_a_body_is_read(body: bytes, request_meant: ControlRequest, wanted: str | None) -> None:
    read = parse_control_request(body)

    assert (read, read.wanted) == (request_meant, wanted)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"pause"',
        b'{"act": "retry all"}',
        b'{"act": "status"}',
        b'{"act": "skip"}',
        b'{"act": "skip", "pattern": ""}',
        b'{"act": "limits", "gateway": "apim", "concurrency": 0}',
        b'{"act": "limits", "gateway": "apim", "rate": -1}',
        b'{"act": "limits", "gateway": "apim", "rate": 1e999}',
        b'{"act": "pause", "preview": "yes"}',
        b'{"act": "pause"} {"act": "stop"}',
        b'{"act": "pause\xff"}',
        b'{"act": "pause"',
        b"[" * 3000,
        b'{"act": "pause", "newer": ' + b"[" * 3000,
    ],
)
def test_what_is_no_act_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError, match="this is no act"):
        parse_control_request(body)
