"""The control address: every simulated gateway has it on its port, beside the paths of the vendor.

``GET /_books`` answers with SimulatorBooks, ``GET /_requests?after=N&limit=M`` with a list of SeenRequest.
``POST /_faults`` takes a FaultScenario and ``POST /_seed`` a SimulatorFixture; both answer 204, or 400 with a
sentence if the document does not fit. The books leave requests to this address out. The address asks for no
token: it is on loopback, and controls nothing real.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec

from orchestrator.errors import UsageError
from orchestrator.simulator.exchange import HttpAnswer, json_answer
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.platforms import SimulatedPlatforms

PREFIX = "/_"


def control(
    platforms: SimulatedPlatforms, method: str, raw_path: str, body: bytes, *, now: float
) -> HttpAnswer:
    """Answer one request to the control address."""
    path, _, query = raw_path.partition("?")
    try:
        match method, path:
            case "GET", "/_books":
                return json_answer(200, platforms.books())
            case "GET", "/_requests":
                return json_answer(
                    200, platforms.list_requests(_number(query, "after", 0), _number(query, "limit", 1000))
                )
            case "POST", "/_faults":
                platforms.expect(msgspec.json.decode(body, type=FaultScenario))
                return HttpAnswer(204)
            case "POST", "/_seed":
                platforms.refill(msgspec.json.decode(body, type=SimulatorFixture), now=now)
                return HttpAnswer(204)
    except (UsageError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return HttpAnswer(400, str(error).encode(), {"Content-Type": "text/plain;charset=UTF-8"})
    return HttpAnswer(404, b"there are GET /_books, GET /_requests, POST /_faults and POST /_seed")


def _number(query: str, name: str, default: int) -> int:
    text = parse_qs(query).get(name, [""])[-1]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default
