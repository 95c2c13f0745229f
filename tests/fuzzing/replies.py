"""Replies as inputs, and every reader of a kind's replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from typing import Any, TypeAlias

import msgspec

from orchestrator.gateways.apinizer.traffic_log import read_page, read_span
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import CHANGES, Act, ListPage, Reading, Verdict
from orchestrator.model.search import QueryResult, SearchQuery
from tests.gateways.test_contract import PROVES
from tests.gateways.test_search import FOLDERS, query_of
from tests.support.recorded import SAMPLES, Sample, gateway, our_target, samples

Reader: TypeAlias = Callable[[Reply], object]

AUTHS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "roma": (
        {
            "iam": {
                "url": "https://iam.example.com",
                "user": "u",
                "domain": "d",
                "password": {"env": "P"},
            }
        },
    ),
    "apinizer": ({"login": {"user": "u", "password": {"env": "P"}}},),
}
"""The ways to log in whose replies a kind reads."""

STORE = {"usage": {"elasticsearch": {"url": "https://es.example.com", "index": "logs"}}}


def encode_reply(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a reply as an input: its status and headers as a line of JSON, then the body."""
    return msgspec.json.encode([status, headers]) + b"\n" + body


def decode_reply(data: bytes) -> Reply | None:
    """Return the reply that an input is; None where its first line is none, since no server sends that."""
    head, _, body = data.partition(b"\n")
    try:
        status, headers = msgspec.json.decode(head, type=tuple[int, dict[str, str]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not 100 <= status <= 999:
        return None
    return Reply(status, {name.lower(): value for name, value in headers.items()}, body, 1_795_374_000.0)


def list_replies(kind: str) -> list[bytes]:
    """Return the recorded replies of a kind, with those of its traffic store, as inputs."""
    folders = [SAMPLES / kind, *([SAMPLES / "elasticsearch"] if kind == "apinizer" else [])]
    files = sorted(file for folder in folders for file in folder.rglob("reply.json"))
    found = []
    for file in files:
        fields = msgspec.json.decode(file.read_bytes())
        body = file.with_name("body")
        found.append(
            encode_reply(fields["status"], fields["headers"], body.read_bytes() if body.exists() else b"")
        )
    return found


def read_reply(kind: str, data: bytes) -> None:
    """Give a reply to every reader of a kind. Whatever a reader raises is a finding."""
    reply = decode_reply(data)
    if reply is None:
        return
    for sample in _list_operations(kind):
        _check_reading(sample, sample.gateway.read(sample.operation, sample.target, reply), reply)
    for read in _list_readers(kind):
        found = read(reply)
        if isinstance(found, Reading):
            _check_words(found)
        elif isinstance(found, QueryResult):
            list(islice(found.queries, 50))


@cache
def _list_operations(kind: str) -> tuple[Sample, ...]:
    """Return a sample for each operation of a kind, and for each gateway's keys and target that differ."""
    found = {repr((each.operation, each.target, each.gateway)): each for each in samples(kind)}
    return tuple(found.values())


@cache
def _list_readers(kind: str) -> tuple[Reader, ...]:
    return tuple(_find_readers(kind))


def _find_readers(kind: str) -> Iterator[Reader]:
    """Yield the readers of everything that is no read about one target."""
    ours = gateway(kind)
    for auth in AUTHS.get(kind, ()):
        login = gateway(kind, auth=auth).login
        assert login is not None
        yield login.read
    if (health := ours.health) is not None:
        yield health.build_greeting().read
        yield from (check.read for check in health.build_checks(Secret("t"), now=0.0))
    if (listing := ours.listing) is not None:
        yield from (partial(_read_list, kind, name) for name in listing.names)
    if (bindings := ours.bindings) is not None:
        yield from (partial(bindings.read_owners, name) for name in bindings.names)
        yield from (partial(_read_places, kind, name) for name in bindings.names)
    queries: dict[str, SearchQuery] = {
        query.name: query for query in (query_of(folder) for folder in FOLDERS if folder.parts[-3] == kind)
    }
    yield from (query.read for query in queries.values())
    if (siblings := ours.siblings) is not None:
        yield partial(siblings.read, our_target(kind))
    for one in (ours, gateway(kind, **STORE) if kind == "apinizer" else ours):
        if one.traffic is not None and (read := one.traffic.next_shared_read({}, 72)) is not None:
            yield read.read
    if ours.groups is not None and (read := ours.groups.next_read({}, [our_target(kind)])) is not None:
        yield read.read
    if kind == "apinizer":
        yield partial(read_span, 72)
        yield read_page


def _read_list(kind: str, name: str, reply: Reply) -> object:
    listing = gateway(kind).listing
    assert listing is not None
    found = listing.read(name, reply, None)
    if isinstance(found, ListPage):
        for parts, row in islice(found.rows, 3):
            ours = msgspec.structs.replace(our_target(kind), parts=parts)
            with suppress(ValueError):  # an entry whose address would name something else
                listing.read_target(ours, {name: [row]})
    return found


def _read_places(kind: str, name: str, reply: Reply) -> object:
    bindings = gateway(kind).bindings
    assert bindings is not None
    owners = bindings.read_owners(name, reply)
    if isinstance(owners, ListPage) and owners.rows:
        owner, row = owners.rows[0]
        return bindings.read_places(name, owner, row, reply)
    return owners


def _check_reading(sample: Sample, reading: Reading, reply: Reply) -> None:
    _check_words(reading)
    if reading.verdict is not Verdict.REMOVED:
        return
    assert sample.operation.act is not Act.LOOK, "a look is told as an undeploy"
    if sample.operation.act not in CHANGES:
        return
    with suppress(msgspec.DecodeError, UnicodeDecodeError):  # in another character set: the rule reads JSON
        proved = PROVES[sample.kind](sample.kind, sample.operation, reply)
        assert proved, "success without the vendor's full evidence"


def _check_words(reading: Reading) -> None:
    message = reading.message
    assert message is None or (len(message) <= 256 and message.isprintable()), "a message for no screen"
    assert reading.wait is None or reading.wait > 0, "a wait that is none"
