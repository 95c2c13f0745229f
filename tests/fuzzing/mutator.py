"""Makes new inputs from old ones: bits, bytes, words, pieces of others, and values inside JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

LARGEST = 1 << 20
"""Bytes of an input; larger ones are cut."""

WORDS = (
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b'"',
    b"'",
    b"\\",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"{",
    b"[",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"}",
    b",",
    b":",
    b"- ",
    b"&a ",
    b"*a",
    b"!!python/object:os.system",
    b"<<: ",
    b"%2e%2e",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"9" * 400,
    b"9" * 5000,
    b"NaN",
    b"Infinity",
    b"0x10",
    b"2026-02-30T25:61:00+99:99",
    "\u202e\u200b\u00a0\ufeff".encode(),
    "\u0130\u1e9e".encode(),
    b"a" * 70_000,
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.5,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "true",
    "SUCCESS",
    "\ud800",
    "\0",
    "a/b%2Fc",
    "..",
    "9" * 5000,
    "x" * 70_000,
    [],
    {},
    [[]],
    [None],
    {"": None},
)
_WORD = re.compile(rb"[A-Za-z0-9_.-]{2,40}")
_DEEP = 2000


def mutate(dice: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return ``data`` with one to eight changes; ``others`` lend pieces and words."""
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        changed = _change_json(dice, data) if dice.random() < 0.5 else None
        data = changed if changed is not None else _change_bytes(dice, data, others)
    return data[:LARGEST]


def _change_bytes(dice: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at, end = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    end = min(end, at + dice.choice((1, 2, 4, 16, 64, 4096)))
    match dice.randrange(8):
        case 0:
            return data[:at] + dice.choice(WORDS) + data[at:]
        case 1:
            return data[:at] + dice.choice(WORDS) + data[end:]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:end] + data[at:end] * dice.choice((1, 1, 2, 50)) + data[end:]
        case 4:
            return data[:at] + bytes(dice.randrange(256) for _ in range(end - at)) + data[end:]
        case 5:
            flipped = bytes([data[at] ^ (1 << dice.randrange(8))]) if at < end else b""
            return data[:at] + flipped + data[at + len(flipped) :]
        case 6:
            other = dice.choice(others)
            piece = dice.randrange(len(other) + 1)
            return data[:at] + other[piece : piece + dice.choice((4, 40, 400, 40_000))] + data[end:]
        case _:
            return _exchange_word(dice, data, dice.choice(others))


def _exchange_word(dice: Random, data: bytes, other: bytes) -> bytes:
    ours, theirs = list(_WORD.finditer(data[:100_000])), _WORD.findall(other[:100_000])
    if not ours or not theirs:
        return data
    word = dice.choice(ours)
    fresh: bytes = dice.choice((*theirs, *WORDS[:5]))
    return data[: word.start()] + fresh + data[word.end() :]


def _change_json(dice: Random, data: bytes) -> bytes | None:
    """Change a value inside the JSON of ``data``, or of what follows its first line; None where none is."""
    head, line, body = data.partition(b"\n")
    whole: dict[str, Any] = {"it": None}
    for before, text in ((b"", data), (head + line, body)):
        with suppress(ValueError, RecursionError):
            whole["it"] = json.loads(text)
            _change_value(dice, whole)
            written = json.dumps(whole["it"], ensure_ascii=dice.random() < 0.7)
            return bytes(before) + written.encode(errors="surrogatepass")
    return None


def _change_value(dice: Random, whole: dict[str, Any]) -> None:
    places = _list_places(whole)
    holder, key = dice.choice(places)
    match dice.randrange(6):
        case 0 | 1:
            holder[key] = dice.choice(VALUES)
        case 2:
            other, place = dice.choice(places)
            holder[key] = json.loads(json.dumps(other[place]))
        case 3 if holder is not whole:
            del holder[key]
        case 4 if isinstance(holder, dict) and holder is not whole:
            holder[dice.choice(("", "id", "success", "\ud800", "x" * 300))] = holder.pop(key)
        case _:
            for _ in range(dice.choice((1, 5, _DEEP // 10))):
                holder[key] = [holder[key]] if dice.random() < 0.5 else {"a": holder[key]}


def _list_places(value: Any) -> list[tuple[Any, Any]]:
    """Return each place of a value, as the container and the key in it."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < 5000:
        holder = waiting.pop()
        for key, inside in holder.items() if isinstance(holder, dict) else enumerate(holder):
            found.append((holder, key))
            if isinstance(inside, dict | list):
                waiting.append(inside)
    return found
