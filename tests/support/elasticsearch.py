"""A small double of Elasticsearch: it holds records of a traffic log, and answers the searches for them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from tests.support.peer import Peer, serving


class Call(NamedTuple):
    """One record of the log; ``at`` in Unix seconds."""

    at: float
    ei: str | None
    pi: str | None
    apn: str | None


class ElasticsearchDouble:
    """What the double holds and was asked. ``spoil`` changes a reply before it is sent."""

    def __init__(self, records: list[Call], *, index: str = "apinizer-log-apiproxy-*") -> None:
        self.records = records
        self.searches: list[dict[str, Any]] = []
        self.credentials: list[str | None] = []
        self.wants: str | None = None
        self.spoil: Callable[[dict[str, Any]], tuple[int, Any]] = lambda body: (200, body)
        self.url = ""
        self._index = index

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[ElasticsearchDouble]:
        """Serve on a free port of the loopback."""
        async with serving(self._answer) as peer:
            self.url = peer.url
            yield self

    async def _answer(self, peer: Peer, writer: asyncio.StreamWriter) -> None:
        status, body = self._search(peer)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        where = "Location: http://127.0.0.1:9/elsewhere\r\n" if 300 <= status < 400 else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{where}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
        await writer.drain()

    def _search(self, peer: Peer) -> tuple[int, Any]:
        self.credentials.append(peer.headers.get("authorization"))
        self.searches.append(json.loads(peer.body))
        if self.wants is not None and self.credentials[-1] != self.wants:
            reason = f"unable to authenticate with {self.credentials[-1]}"
            return 401, {"error": {"type": "security_exception", "reason": reason}, "status": 401}
        if not peer.head[0].startswith(f"POST /{self._index}/_search?"):
            return 404, {"error": {"type": "index_not_found_exception", "reason": "no such index"}}
        return self.spoil(self._aggregate(self.searches[-1]))

    def _aggregate(self, search: dict[str, Any]) -> dict[str, Any]:
        assert search["size"] == 0
        shards = {"total": 3, "successful": 3, "skipped": 0, "failed": 0}
        found: dict[str, Any] = {"took": 1, "timed_out": False, "_shards": shards, "hits": {"hits": []}}
        if "proxies" in search["aggs"]:
            kept = [each for each in self.records if _is_kept(each, search["query"]["bool"]["filter"])]
            found["hits"]["total"] = {"value": len(kept), "relation": "eq"}
            found["aggregations"] = {"proxies": _compose(kept, search["aggs"]["proxies"]["composite"])}
        else:
            times = [int(each.at * 1000) for each in self.records]
            wanted = search["aggs"]["placeless"]["filter"]["bool"]
            assert wanted["must_not"] == [{"exists": {"field": "ei"}}]
            lost = [one for one in self.records if one.ei is None and _is_kept(one, wanted["filter"])]
            found["aggregations"] = {
                "oldest": {"value": min(times, default=None)},
                "newest": {"value": max(times, default=None)},
                "placeless": {"doc_count": len(lost)},
            }
        return found


@contextmanager
def serve_log(records: list[Call]) -> Iterator[ElasticsearchDouble]:
    """Serve a traffic log from a thread of its own, since a run is a process that the test waits for."""
    double, ready, over = ElasticsearchDouble(records), threading.Event(), threading.Event()

    async def serve() -> None:
        async with double.serve():
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield double
    finally:
        over.set()
        thread.join(10)


def _is_kept(record: Call, filters: list[dict[str, Any]]) -> bool:
    begin, *terms = filters
    bounds = begin["range"]["@timestamp"]
    assert bounds["format"] == "epoch_millis"
    return record.at * 1000 >= bounds["gte"] and all(each["term"]["ei"] == record.ei for each in terms)


def _compose(kept: list[Call], composite: dict[str, Any]) -> dict[str, Any]:
    """Return one page of the rows, in the order of their keys; a key that is missing comes first."""
    sources = [(name, source["terms"]) for each in composite["sources"] for name, source in each.items()]
    assert all(terms["missing_bucket"] for _, terms in sources)
    counts = Counter(tuple(getattr(one, terms["field"]) for _, terms in sources) for one in kept)
    after = composite.get("after")
    begin = None if after is None else _order(tuple(after[name] for name, _ in sources))
    rows = sorted((key for key in counts if begin is None or _order(key) > begin), key=_order)
    page = rows[: composite["size"]]
    named = [dict(zip([name for name, _ in sources], key, strict=True)) for key in page]
    buckets = [{"key": fields, "doc_count": counts[key]} for fields, key in zip(named, page, strict=True)]
    return {"buckets": buckets, **({"after_key": named[-1]} if named else {})}


def _order(key: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple("" if part is None else f"_{part}" for part in key)
