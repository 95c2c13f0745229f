"""The control address: it is on every simulated gateway's port, beside the paths of the vendor.

``GET /_books`` answers with Books; ``GET /_requests?after=N&limit=M`` with a list of Seen; ``POST /_faults``
takes Faults and ``POST /_seed`` a Seed, 204 when done, 400 with a sentence where they do not fit. Requests to
it are in no books. It asks for no token: it is on loopback, and what it rules is not real.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec

from orchestrator.errors import UsageError
from orchestrator.simulator.exchange import Answer, json_answer
from orchestrator.simulator.faults import Faults
from orchestrator.simulator.platforms import Platforms
from orchestrator.simulator.seed import Seed

PREFIX = "/_"


def control(platforms: Platforms, method: str, raw_path: str, body: bytes, *, now: float) -> Answer:
    """Answer one request to the control address."""
    path, _, query = raw_path.partition("?")
    try:
        match method, path:
            case "GET", "/_books":
                return json_answer(200, platforms.books())
            case "GET", "/_requests":
                return json_answer(
                    200, platforms.seen(_number(query, "after", 0), _number(query, "limit", 1000))
                )
            case "POST", "/_faults":
                platforms.expect(msgspec.json.decode(body, type=Faults))
                return Answer(204)
            case "POST", "/_seed":
                platforms.seed(msgspec.json.decode(body, type=Seed), now=now)
                return Answer(204)
    except (UsageError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return Answer(400, str(error).encode(), {"Content-Type": "text/plain;charset=UTF-8"})
    return Answer(404, b"there are GET /_books, GET /_requests, POST /_faults and POST /_seed")


def _number(query: str, name: str, default: int) -> int:
    text = parse_qs(query).get(name, [""])[-1]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default
