"""The addresses of the live page: which request gets which answer, and the headers of every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web
from msgspec import Struct

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.target_pages import TargetQuery, read_target_page, read_target_report
from orchestrator.live.access import AccessGuard, AccessRefusal
from orchestrator.live.control_requests import parse_control_request
from orchestrator.live.page_files import PageFile, load_files, pack_file
from orchestrator.live.page_state import PageState
from orchestrator.live.report_file import ReportFile
from orchestrator.model.live_status import LiveStatus
from orchestrator.report.formats.json import encode_target
from orchestrator.telemetry.metrics import CONTENT_TYPE, render_metrics

Value = TypeVar("Value")
_Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LONGEST_BODY = 4096
"""Bytes of the body of a request."""
BODY_PATIENCE = 5.0
"""Seconds for the body of a request."""
MOST_REQUESTS = 200
"""Requests a second that are answered, of all clients together."""
BURST = 400
"""Requests that are answered at once after a silence."""
MOST_READS = 2
"""Reads of the journal at one time: they share a processor with the run."""
READ_PATIENCE = 10.0
"""Seconds that a read may wait for the others."""
_PACKED_FROM = 1024
"""Bytes from which an answer is worth its compression."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Server": "undeploy",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every answer."""
REPORT_POLICY = "frame-ancestors 'none'"
"""The report brings a policy of its own, which names its style and its script by their hashes."""


class AnswerError(OrchestratorError):
    """A request that gets an error as its answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RequestPace:
    """The pace of all requests together: those that come faster wait, so that no client slows the run."""

    def __init__(self) -> None:
        self._next = 0.0

    def find_delay(self, now: float) -> float:
        """Return the seconds that a request of this moment (in monotonic seconds) waits for its answer."""
        self._next = max(self._next, now - BURST / MOST_REQUESTS) + 1 / MOST_REQUESTS
        return max(0.0, self._next - now)


class _TokenBody(Struct, frozen=True):
    token: str


class PageRoutes:
    """Answers the requests for one run."""

    def __init__(self, state: PageState, guard: AccessGuard, complain: Callable[[str], None]) -> None:
        self._state = state
        self._complain = complain
        self._guard = guard
        self._reads = asyncio.Semaphore(MOST_READS)
        self._report = ReportFile()
        self._pace = RequestPace()
        self._gets: dict[str, _Answer] = {
            "/": self._get_page,
            "/state": self._get_state,
            "/events": self._get_events,
            "/targets": self._get_targets,
            "/target": self._get_target,
            "/session": self._get_session,
            "/charts": self._get_charts,
            "/report": self._get_report,
            "/metrics": self._get_metrics,
        }
        self._posts: dict[str, _Answer] = {"/session": self._post_session, "/control": self._post_control}

    def close(self) -> None:
        """Remove what was made for the answers."""
        self._report.remove()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer to a request, and not sooner than the pace of all requests allows."""
        await asyncio.sleep(self._pace.find_delay(asyncio.get_running_loop().time()))
        try:
            return _add_headers(await self._route(request))
        except AnswerError as error:
            return _add_headers(_refuse(error.status, str(error)))
        except UsageError as error:
            return _add_headers(_refuse(400, str(error)))
        except OrchestratorError as error:
            return _add_headers(_refuse(503, str(error)))
        except (ConnectionError, asyncio.CancelledError):  # the client has gone
            raise
        except Exception as bug:  # noqa: BLE001 - a bug of one answer is not one of the others
            self._complain(f"the live page, {request.path}: {bug!r}")
            return _add_headers(_refuse(500, "a bug of ours; the run goes on"))

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        if (refusal := self._guard.check(request.method, request.path, request.headers)) is not None:
            raise AnswerError(refusal.status, refusal.text)
        answers = {"GET": self._gets, "POST": self._posts}.get(request.method)
        found = None if answers is None else answers.get(request.path)
        if found is not None:
            return await found(request)
        if request.method == "GET" and (file := load_files().get(request.path)) is not None:
            return _send_file(request, file)
        if request.path in self._gets or request.path in self._posts:
            raise AnswerError(405, f"{request.path} does not take {request.method}")
        raise AnswerError(404, "there is nothing here")

    async def _get_page(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._state.refresh()
        # Without a session the page's script must come first, elsewhere than on loopback: it opens one.
        if self._is_report() and self._guard.may_read(request.headers):
            return await self._get_report(request)
        if (page := load_files().get("/")) is None:
            raise AnswerError(404, "this installation has no live page")
        return _send_file(request, page)

    def _is_report(self) -> bool:
        """Return whether the run has ended, so that its page is the report. One that was killed has not."""
        return self._state.link.is_over and self._state.link.shows_report

    async def _get_state(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._state.refresh()
        return _send_file(request, self._state.pack())

    async def _get_events(self, request: web.BaseRequest) -> web.StreamResponse:
        viewers = self._state.viewers
        if viewers.is_full:
            raise AnswerError(503, f"{viewers.count} viewers watch this run already; no more are taken")
        known = _parse_number(request.headers.get("Last-Event-ID") or request.query.get("after"))
        return await self._state.serve_viewer(request, known, HEADERS)

    async def _get_targets(self, request: web.BaseRequest) -> web.StreamResponse:
        query = _parse_query(request.query)
        page = await self._read(lambda folder: read_target_page(folder, query))
        return _send_file(request, _pack_json(page))

    async def _get_target(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.query.get("id", "")
        found = await self._read(lambda folder: read_target_report(folder, name))
        if found is None:
            raise AnswerError(404, "the run has no target with this id")
        return _send_file(request, _pack_json(encode_target(found) | {"name": found.name}))

    async def _get_charts(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._state.refresh()
        charts = self._state.render_charts()
        return web.Response(status=204) if charts is None else _send_file(request, charts)

    async def _get_metrics(self, _: web.BaseRequest) -> web.StreamResponse:
        await self._state.refresh()
        body = render_metrics(msgspec.convert(self._state.status, LiveStatus))
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _read(self, read: Callable[[RunFolder], Value]) -> Value:
        """Read from the journal, in a thread. Raises ``AnswerError`` where too many others do so."""
        if (folder := self._state.link.folder) is None:
            raise AnswerError(503, "the run has no journal yet")
        try:
            async with asyncio.timeout(READ_PATIENCE):
                await self._reads.acquire()
        except TimeoutError:
            raise AnswerError(503, "too many viewers read the targets at this moment") from None
        try:
            return await anyio.to_thread.run_sync(read, folder)
        finally:
            self._reads.release()

    async def _get_report(self, _: web.BaseRequest) -> web.StreamResponse:
        await self._state.refresh()
        if not self._state.link.shows_report and not self._state.link.is_over:
            raise AnswerError(404, "the run goes on; its report is made when it has ended")
        try:
            path = await self._read(self._report.find)
        except OSError as error:
            raise AnswerError(503, f"the report cannot be made: {error.strerror or error}") from error
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": REPORT_POLICY}
        return web.FileResponse(path, headers=headers)

    async def _get_session(self, request: web.BaseRequest) -> web.StreamResponse:
        may_act = self._guard.has_session(request.headers)
        text = "" if may_act else "to steer the run, open the link that the terminal of the server shows"
        return _send_file(request, _pack_json({"may_act": may_act, "text": text}))

    async def _post_session(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            token = msgspec.json.decode(await _read_body(request), type=_TokenBody).token
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise AnswerError(400, 'this is no token; send {"token": "…"}') from None
        session = self._guard.exchange(token)
        if isinstance(session, AccessRefusal):
            raise AnswerError(session.status, session.text)
        response = _send_file(request, _pack_json({"may_act": True}))
        response.set_cookie(self._guard.cookie, session, path="/", httponly=True, samesite="Strict")
        return response

    async def _post_control(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._guard.has_session(request.headers):
            raise AnswerError(401, "to steer the run, open the link that the terminal of the server shows")
        asked = parse_control_request(await _read_body(request))
        if not asked.preview and asked.wanted is not None and asked.typed != asked.wanted:
            raise AnswerError(400, f"type {asked.wanted} to confirm; nothing has changed")
        try:
            if asked.preview:
                text = await self._state.link.preview(asked.command)
            else:
                text = await self._state.link.execute(asked.command, request.remote or "an unknown address")
                self._state.forget_age()
        except OrchestratorError as error:
            raise AnswerError(409, str(error)) from error
        wanted = asked.wanted if asked.preview else None
        return _send_file(request, _pack_json({"done": not asked.preview, "text": text, "typed": wanted}))


def _parse_number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None


def _parse_query(given: Mapping[str, str]) -> TargetQuery:
    """Return what a viewer asks of the targets. Raises ``AnswerError`` for what cannot be meant."""
    known = {
        name: given[name] for name in ("filter", "outcome", "gateway", "wave", "after") if given.get(name)
    }
    try:
        return msgspec.convert(known | ({"n": given["n"]} if "n" in given else {}), TargetQuery, strict=False)
    except msgspec.ValidationError as error:
        raise AnswerError(400, f"these targets cannot be asked for: {error}") from None


async def _read_body(request: web.BaseRequest) -> bytes:
    """Return the body of a request that sends JSON, and not much of it, soon. Raises ``AnswerError``."""
    if request.content_type != "application/json":
        raise AnswerError(415, "send application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > LONGEST_BODY:
                    raise AnswerError(413, f"the body is longer than {LONGEST_BODY} bytes")
    except TimeoutError:
        raise AnswerError(408, "the body did not come") from None
    return bytes(body)


def _pack_json(value: object) -> PageFile:
    return pack_file("application/json", msgspec.json.encode(value))


def _send_file(request: web.BaseRequest, file: PageFile) -> web.Response:
    headers = {"Content-Type": file.kind, "Vary": "Accept-Encoding"}
    accepts = "gzip" in request.headers.get("Accept-Encoding", "")
    if accepts and len(file.body) >= _PACKED_FROM:
        return web.Response(body=file.packed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=file.body, headers=headers)


def _refuse(status: int, text: str) -> web.Response:
    body = msgspec.json.encode({"error": text})
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json; charset=utf-8"})


def _add_headers(response: web.StreamResponse) -> web.StreamResponse:
    if not response.prepared:  # an event stream has sent its headers long ago
        for name, text in HEADERS.items():
            response.headers.setdefault(name, text)
    return response
