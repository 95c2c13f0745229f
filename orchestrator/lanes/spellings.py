r"""How a text reads once its escapes are undone. Pure.

Vendors, proxies and logs repeat a credential in many spellings: with the escapes of JSON and of programs
(``\/``, ``\u003d``), of URLs (``%2F``, ``+``), of HTML (``&#61;``, ``&amp;``) or of mail (``=3D``), as a list
of bytes, or as digits of base64 or hexadecimal ones that stand for text; and one of these inside another.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

MOST_LAYERS = 3
"""How many spellings are undone one inside another; only one in a text longer than ``LONG_TEXT``."""
LONG_TEXT = 2048
Span: TypeAlias = tuple[int, int]


class TextView(Struct, frozen=True):
    """One reading of a text, and where each of its characters stands in the text that was given."""

    text: str
    begins: Sequence[int]
    ends: Sequence[int]

    def locate(self, begin: int, end: int) -> Span:
        return self.begins[begin], self.ends[end - 1]


_Reader: TypeAlias = Callable[[re.Match[str]], str]
_JSON = re.compile(
    r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\u\{([0-9a-f]{1,6})\}|\\u([0-9a-f]{4})|\\u([0-9a-f]{8})"
    r"|\\x([0-9a-f]{2})|\\([0-7]{3})|\\([^ux])",
    re.IGNORECASE,
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "a": "\a", "v": "\v", "0": "\0"}
_BYTES = r"%[0-9a-fA-F]{2}(?:%[89abAB][0-9a-fA-F])*"
_URL = re.compile(_BYTES)
_FORM = re.compile(rf"\+|{_BYTES}")
_HTML = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?")
_LIST = re.compile(r"(?<![0-9.])-?[0-9]{1,3}(?:, ?-?[0-9]{1,3}){7,}(?![0-9.])")
_CODED = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_PAIRS = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{2}(?:[ :-]?[0-9A-Fa-f]{2}){7,}(?![0-9A-Fa-f])")
_MAIL = re.compile(r"=\r?\n|=[0-9a-fA-F]{2}(?:=[89abAB][0-9a-fA-F])*")
ESCAPED = re.compile(r"[\\%&]|=(?=[0-9a-fA-F]{2}|\r?\n)")
SPLITS = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]+"
)
URL_SAFE = str.maketrans("-_", "+/")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{6,}")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")


def has_coded_text(text: str) -> bool:
    """Return whether a text holds bytes that are a text again, as a list or as digits."""
    return any(read(found) != found[0] for seen, read in _KINDS[-3:] for found in seen.finditer(text))


def read_views(text: str) -> Iterator[TextView]:
    """Yield the text as it stands, then each other reading of its escapes, once."""
    layer, seen = [TextView(text, range(len(text)), range(1, len(text) + 1))], {text}
    yield layer[0]
    for _ in range(MOST_LAYERS if len(text) <= LONG_TEXT else 1):
        read = [_unescape(view, *kind) for view in layer for kind in _KINDS]
        layer = list({view.text: view for view in read if view.text not in seen}.values())
        seen.update(view.text for view in layer)
        yield from layer


def _unescape(view: TextView, escape: re.Pattern[str], reads: _Reader) -> TextView:
    """Return a view in which the escapes of one kind are undone."""
    if not escape.search(view.text):
        return view
    text, begins, ends, done = "", list[int](), list[int](), 0
    for found in escape.finditer(view.text):
        meant, (begin, end) = reads(found), view.locate(*found.span())
        text += view.text[done : found.start()] + meant
        begins += [*view.begins[done : found.start()], *([begin] * len(meant))]
        ends += [*view.ends[done : found.start()], *([end] * len(meant))]
        done = found.end()
    return TextView(text + view.text[done:], [*begins, *view.begins[done:]], [*ends, *view.ends[done:]])


def _decode_json_escape(found: re.Match[str]) -> str:
    high, low, *codes, octal, sign = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    if code := next(filter(None, codes), None):
        return chr(min(int(code, 16), 0x10FFFF))
    return chr(int(octal, 8)) if octal else _CONTROLS.get(sign, sign)


def _decode_bytes(digits: str) -> str:
    """Return the text that a few bytes are in UTF-8, or else in Latin-1."""
    data = bytes.fromhex(digits)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _decode_byte_list(found: re.Match[str]) -> str:
    """Return the text that a list of bytes (signed, as Java writes them, or not) is; else the list itself."""
    values = [int(value) for value in found[0].split(",")]
    if not all(-128 <= value <= 255 for value in values):
        return found[0]
    return _decode_text(bytes(value % 256 for value in values), found[0])


def _decode_base64(found: re.Match[str]) -> str:
    digits = found[0].rstrip("=").translate(URL_SAFE)
    whole = digits[: len(digits) - (len(digits) % 4 == 1)]
    return _decode_text(base64.b64decode(whole + "=" * (-len(whole) % 4)), found[0])


def _decode_hex_pairs(found: re.Match[str]) -> str:
    return _decode_text(bytes.fromhex(re.sub("[ :-]", "", found[0])), found[0])


def _decode_text(data: bytes, otherwise: str) -> str:
    """Return the text that some bytes are; ``otherwise`` if they are none, and were digits by chance."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return otherwise
    return text if "".join(text.split()).isprintable() else otherwise


_KINDS: tuple[tuple[re.Pattern[str], _Reader], ...] = (
    (_JSON, _decode_json_escape),
    (_URL, lambda found: _decode_bytes(found[0].replace("%", ""))),
    (_FORM, lambda found: " " if found[0] == "+" else _decode_bytes(found[0].replace("%", ""))),
    (_HTML, lambda found: html.unescape(found[0])),
    (_MAIL, lambda found: "" if found[0].endswith("\n") else _decode_bytes(found[0].replace("=", ""))),
    (_LIST, _decode_byte_list),
    (_CODED, _decode_base64),
    (_PAIRS, _decode_hex_pairs),
)


def join_splits(view: TextView) -> TextView:
    """Return a view without the characters that may split a credential."""
    if not SPLITS.search(view.text):
        return view
    kept = [at for part in _find_unsplit_ranges(view.text) for at in part]
    return TextView(
        "".join(view.text[at] for at in kept),
        [view.begins[at] for at in kept],
        [view.ends[at] for at in kept],
    )


def _find_unsplit_ranges(text: str) -> Iterator[range]:
    done = 0
    for split in SPLITS.finditer(text):
        yield range(done, split.start())
        done = split.end()
    yield range(done, len(text))


def decode_runs(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Yield the bytes that runs of base64 and of hexadecimal digits stand for, from each possible beginning.

    Each result is the place of the first digit, the bytes as Latin-1, and how many bytes are how many digits.
    """
    for run in _BASE64.finditer(text):
        digits = run[0].replace("-", "+").replace("_", "/")
        for shift in range(4):
            whole = digits[shift:]
            whole = whole[: len(whole) - (len(whole) % 4 == 1)]
            data = base64.b64decode(whole + "=" * (-len(whole) % 4))
            yield run.start() + shift, data.decode("latin-1"), 3, 4
    for run in _HEX.finditer(text):
        for shift in range(2):
            whole = run[0][shift:]
            data = bytes.fromhex(whole[: len(whole) // 2 * 2])
            yield run.start() + shift, data.decode("latin-1"), 1, 2
