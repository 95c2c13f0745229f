"""Everything that a Temporal server keeps of a namespace, down to the last layer of its packing."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client


async def read_everything(target: str, namespace: str) -> dict[str, list[bytes]]:
    """Return all bytes by the id of the workflow: its history, its memo, its pending activities."""
    client = await Client.connect(target, namespace=namespace)
    kept: dict[str, list[bytes]] = {}
    async for workflow in client.list_workflows():
        handle = client.get_workflow_handle(workflow.id, run_id=workflow.run_id)
        events = [event async for event in handle.fetch_history_events()]
        described = (await handle.describe()).raw_description
        pages = [data for event in events for data in _list_payloads(event)]
        # Pages of a journal are packed as one, and cut afterwards.
        texts = [*events, described]
        kept[workflow.id] = [one.SerializeToString() for one in texts]
        for message in texts:
            for data in _list_payloads(message):
                kept[workflow.id] += unfold(data)
        kept[workflow.id] += unfold(b"".join(pages))
    return kept


def _list_payloads(message: Message) -> Iterator[bytes]:
    if isinstance(message, Payload):
        yield message.data
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            each = [one for one in value.values() if isinstance(one, Message)]
        else:
            each = list(value) if field.is_repeated else [value]
        for one in each:
            yield from _list_payloads(one)


def unfold(data: bytes, depth: int = 6) -> list[bytes]:
    """Return some bytes and all that is packed in them: JSON, base64, zlib, in any order."""
    found = [data]
    if depth:
        for inner in _unpack(data):
            found += unfold(inner, depth - 1)
    return found


def _unpack(data: bytes) -> Iterator[bytes]:
    with contextlib.suppress(zlib.error):
        yield zlib.decompressobj().decompress(data)
    try:
        texts = list(_list_texts(json.loads(data)))
    except ValueError:
        return
    for text in texts:
        yield text.encode()
        with contextlib.suppress(binascii.Error, ValueError):
            yield base64.b64decode(text, validate=True)


def _list_texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield from (key, *_list_texts(each))
        case list():
            for each in value:
                yield from _list_texts(each)
