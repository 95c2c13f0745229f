"""A server of the live page that replays made-up states: what a browser needs without a run behind it.

python -m tests.support.made_up_server --state parked --port 8790     (a token ``made-up`` opens a session)
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

import orchestrator
from orchestrator.model.live_status import OverTime
from orchestrator.report.page.live_charts import render_live_charts
from tests.support.made_up_status import State, make_rows, make_status

PAGE = Path(orchestrator.__file__).parent / "live" / "page"
SHARED = Path(orchestrator.__file__).parent / "report" / "page" / "shared"
TOKEN = "made-up"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
BEAT = 2.0
"""Seconds between two heartbeats of the stream."""
KEYED = {"lanes": ("name",), "waves": ("name",), "causes": ("outcome", "label")}
TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html", ".svg": "image/svg+xml"}


class MadeUpServer:
    """Serves the page, and one made-up state, which ``show`` replaces while browsers look on."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.seq = 1
        self.commands: list[dict[str, Any]] = []
        """The commands that were carried out, oldest first."""
        self.session = False
        self._rows = make_rows(state)
        self._viewers: set[asyncio.Queue[str]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; return the page's URL."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._serve_index),
                web.get("/state", self._serve_state),
                web.get("/session", self._serve_session),
                web.post("/session", self._open_session),
                web.get("/events", self._serve_events),
                web.get("/targets", self._serve_targets),
                web.get("/target", self._serve_target),
                web.get("/charts", self._serve_charts),
                web.post("/control", self._serve_control),
                web.get("/shared/{name}", self._serve_shared),
                web.get("/page/{name}", self._serve_file),
            ]
        )
        app.on_response_prepare.append(_add_policy)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    def show(self, state: State) -> None:
        """Send what differs from the state before to every viewer."""
        before, after = self._encode(self.state), self._encode(state)
        self.state, self._rows = state, make_rows(state)
        self.seq += 1
        delta = {"base": self.seq - 1, "seq": self.seq, **_compare(before, after)}
        self._send("delta", delta)

    def make_stale(self) -> None:
        """Tell every viewer to fetch the whole state."""
        self.seq += 1
        self._send("stale", {"seq": self.seq})

    def _encode(self, state: State) -> State:
        """Return a state as the server of a run sends it: no numbers of charts, each item with its key."""
        encoded = {key: value for key, value in state.items() if key != "over_time"}
        for name, fields in KEYED.items():
            encoded[name] = [
                {**item, "key": " ".join(str(item[field]) for field in fields)} for item in state[name]
            ]
        return {"report": None, "charts": self.seq, **encoded}

    def _send(self, name: str, value: State) -> None:
        for viewer in self._viewers:
            viewer.put_nowait(f"id: {self.seq}\nevent: {name}\ndata: {json.dumps(value)}\n\n")

    async def _serve_index(self, _: web.Request) -> web.StreamResponse:
        return _serve_path(PAGE / "index.html")

    async def _serve_file(self, request: web.Request) -> web.StreamResponse:
        return _serve_path(PAGE / request.match_info["name"])

    async def _serve_shared(self, request: web.Request) -> web.StreamResponse:
        return _serve_path(SHARED / request.match_info["name"])

    async def _serve_state(self, _: web.Request) -> web.Response:
        return web.json_response({"seq": self.seq, **self._encode(self.state)})

    async def _serve_session(self, request: web.Request) -> web.Response:
        text = "To steer the run, open the address that the terminal of the run printed, with its token."
        return web.json_response({"may_act": self._has_session(request), "may_read": True, "text": text})

    async def _open_session(self, request: web.Request) -> web.Response:
        given = await request.json()
        if self.session or given.get("token") != TOKEN:
            return web.json_response({"error": "this token was used before, or is none of ours"}, status=403)
        self.session = True
        response = web.json_response({"may_act": True})
        response.set_cookie("session", TOKEN, httponly=True, samesite="Strict")
        return response

    def _has_session(self, request: web.Request) -> bool:
        return request.cookies.get("session") == TOKEN

    async def _serve_events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._viewers.add(queue)
        try:
            while True:
                beat = json.dumps({"at": self.state["at"], "seq": self.seq})
                await response.write(f"id: {self.seq}\nevent: beat\ndata: {beat}\n\n".encode())
                with suppress(TimeoutError):
                    await response.write((await asyncio.wait_for(queue.get(), BEAT)).encode())
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            self._viewers.discard(queue)

    async def _serve_targets(self, request: web.Request) -> web.Response:
        query = request.query
        words = query.get("filter", "").lower().split()
        outcomes = set(filter(None, query.get("outcome", "").split(",")))
        found = [
            row
            for row in self._rows
            if (not outcomes or (row["outcome"] or "open") in outcomes)
            and row["gateway"] == query.get("gateway", row["gateway"])
            and row["wave"] == query.get("wave", row["wave"])
            and all(word in f"{row['id']} {row['name']} {row['reason']}".lower() for word in words)
        ]
        first, size = int(query.get("after", "0")), min(200, int(query.get("n", "100")))
        rows = found[first : first + size]
        more = first + size < len(found)
        return web.json_response(
            {"rows": rows, "next": str(first + size) if more else None, "total": len(found)}
        )

    async def _serve_target(self, request: web.Request) -> web.Response:
        row = next((row for row in self._rows if row["id"] == request.query["id"]), None)
        if row is None:
            return web.json_response({"error": "no such target"}, status=404)
        attempts = [
            {
                "number": number,
                "act": "undeploy",
                "started": "2026-11-28T03:30:12.412Z",
                "seconds": 0.184,
                "status": 400 if row["reason"] else 204,
                "code": "APIG.3201" if row["reason"] else None,
                "message": row["reason"],
            }
            for number in range(1, row["attempts"] + 1)
        ]
        return web.json_response({**row, "evidence": None if row["reason"] else "204", "attempts": attempts})

    async def _serve_charts(self, _: web.Request) -> web.Response:
        run = self.state["run"]
        request = "undeploy" if run["act"] == "undeploy" else "deploy"
        over_time = msgspec.convert(self.state["over_time"], OverTime)
        charts = render_live_charts(over_time, request=request, utc_offset=run["utc_offset"])
        return web.Response(text=charts, content_type="text/html", status=204 if charts is None else 200)

    async def _serve_control(self, request: web.Request) -> web.Response:
        if not self._has_session(request):
            return web.json_response({"error": "no session: open the page with its token"}, status=401)
        command = await request.json()
        act = command.get("act")
        if act == "skip" and "nothing" in command.get("pattern", ""):
            error = f"{command['pattern']} matches no target that nothing was sent for; nothing has changed"
            return web.json_response({"error": error}, status=409)
        typed = act if act in ("stop", "skip") else None
        effect = _EFFECTS[act]
        if command.get("preview"):
            return web.json_response({"done": False, "text": effect, "typed": typed})
        if typed is not None and command.get("typed") != typed:
            return web.json_response({"error": f"type {typed} to confirm"}, status=409)
        self.commands.append(command)
        self._take_effect(act, command)
        return web.json_response({"done": True, "text": effect})

    def _take_effect(self, act: str, command: dict[str, Any]) -> None:
        words = " ".join(
            str(value) for key, value in command.items() if key not in ("act", "typed", "preview")
        )
        note = {
            "at": self.state["at"],
            "act": f"{act} {words}".strip(),
            "by": "ops",
            "origin": "through the live page, from 127.0.0.1",
        }
        state = {**self.state, "controls": [*self.state["controls"], note]}
        name = {"pause": "paused", "continue": "running", "stop": "stopping"}.get(act)
        if name is not None:
            state["verdict"] = make_status(name)["verdict"]
            state["question"] = None
        self.show(state)


_EFFECTS = {
    "pause": "nothing new starts; what is in flight lands, and `continue` goes on",
    "stop": "it stops: 10 requests in flight land, 2,577 targets are left for `undeploy resume`",
    "skip": "188 targets will be passed over",
    "limits": "in force: concurrency=4",
    "continue": "it goes on",
}


def _compare(before: State, after: State) -> State:
    changed = {key: value for key, value in after.items() if key not in KEYED and value != before.get(key)}
    lists: State = {}
    order: State = {}
    for name in KEYED:
        old = {item["key"]: item for item in before[name]}
        new = {item["key"]: item for item in after[name]}
        if patches := {key: item for key, item in new.items() if item != old.get(key)}:
            lists[name] = patches
        if list(old) != list(new):
            order[name] = list(new)
    return {"set": changed, "lists": lists, "order": order}


async def _add_policy(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-store"


def _serve_path(path: Path) -> web.Response:
    if not path.is_file() or path.suffix not in TYPES:
        raise web.HTTPNotFound
    return web.Response(body=path.read_bytes(), content_type=TYPES[path.suffix], charset="utf-8")


async def _play(server: MadeUpServer, states: list[str], seconds: float, port: int) -> None:
    sys.stdout.write(f"{await server.start(port)}#token={TOKEN}\n")
    sys.stdout.flush()
    for name in itertools.cycle(states):
        await asyncio.sleep(seconds)
        server.show(make_status(name))


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--state", default="running", help="one of the states, or several with commas: shown in turn"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each of several states is shown")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    states = given.state.split(",")
    with suppress(KeyboardInterrupt):
        asyncio.run(_play(MadeUpServer(make_status(states[0])), states, given.seconds, given.port))


if __name__ == "__main__":
    main()
