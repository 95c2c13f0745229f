r"""Take credentials out of texts from outside, however they are spelled there. Pure.

A text is searched as it stands and as its escapes read: those of JSON and of programs (``\/``, ``\u003d``),
of URLs (``%2F``, ``+``), of HTML (``&#61;``, ``&amp;``) and of mail (``=3D``), one inside another to some
depth; so are lists of bytes, and digits of base64 and hexadecimal ones that stand for text. What may split a
credential (white space, line ends, characters that nobody sees) is left out, and capitals count as small
letters. Base64 and hexadecimal digits are searched as they stand, too, whatever stands around a credential in
them. What is found is blotted out where it stands, and so is the beginning of one in which a text ends that
somebody has cut.

A credential of fewer than ``SHORT`` characters is blotted out only where it is a word of its own: "1" or
"test" would otherwise take every text apart. It should be longer, and people are told so.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.model.credentials import SHORT, AccessKeys, LoginPassword, Material, Secret
from orchestrator.model.reading import Operation, Reading, Snapshot

BLOT = "•••"

PIECE_LENGTH = 16
"""Characters of a longer credential that are blotted out alone: a text may be cut inside one."""

GRAM_LENGTH = 8
"""Characters of the pieces by which a cheap test searches a text, before the exact one."""

SHORTEST_CUT = 4
"""Characters of a credential that are blotted out at the end of a text which is marked as cut (``…``)."""

MOST_LAYERS = 3
"""How many spellings are undone one inside another. In a text longer than ``LONG_TEXT``, one is."""

LONG_TEXT = 2048

SHORTEST_CODED = 4
"""A shorter credential is not searched for in base64 and hexadecimal digits: chance would put it there."""

T = TypeVar("T")
Span: TypeAlias = tuple[int, int]


TOO_SHORT = (
    f"a credential of fewer than {SHORT} characters is taken out of replies only where it is a word of its"
    " own; use a longer one"
)


class _TextView(Struct, frozen=True):
    """A text as one may read it, and where each of its characters stands in the text that was given."""

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
_ESCAPED = re.compile(r"[\\%&]|=(?=[0-9a-fA-F]{2}|\r?\n)")
_SPLITS = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]+"
)
_CUT = re.compile(r"(?:…|\.{2,})\W*\Z")
_URL_SAFE = str.maketrans("-_", "+/")
_CAPITALS = str.maketrans("ABCDEF", "abcdef")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{6,}")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")


class Mask:
    """Takes credentials out of texts. A text that repeats none is given back as it is."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """``secrets`` are the credentials themselves; an empty one is none."""
        self.secrets = frozenset(filter(None, secrets))
        self._long = tuple(_LongSecret(secret) for secret in sorted(self.secrets) if len(secret) >= SHORT)
        self._sought: tuple[_SoughtSecret, ...] = (
            *self._long,
            *(_ShortSecret(each) for each in sorted(self.secrets) if len(each) < SHORT),
        )

    def __repr__(self) -> str:
        return f"Mask({len(self.secrets)} credentials)"

    def extend(self, secrets: Iterable[str]) -> Mask:
        """Return a mask that takes out these as well."""
        return Mask((*self.secrets, *secrets))

    def clean_text(self, text: str) -> str:
        """Return a text from outside, as it may be shown and kept."""
        return _blot_out(text, self._sought)

    def clean_value(self, value: T) -> T:
        """Return a value from outside that means something to a program, with all of its texts masked.

        Short credentials stay in it: they are more likely names there, and a name that is blotted out would
        be sent back to the vendor so.
        """
        together = "\0".join(_walk_texts(value))
        return value if _is_clean(together, self._long) else self._clean_inside(value)

    def clean_reading(self, reading: Reading) -> Reading:
        """Return what a gateway made of a reply, as it may be shown and kept; what is handed on stays."""
        if not (reading.code or reading.message or reading.pods):
            return reading
        return replace(
            reading,
            code=reading.code and self.clean_text(reading.code),
            message=reading.message and self.clean_text(reading.message),
            pods=tuple(map(self.clean_text, reading.pods)),
        )

    def clean_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot as it may be kept. Nothing is brought back by a text with a blot in it."""
        if self.clean_value(snapshot) is snapshot:
            return snapshot
        masked = replace(self.clean_value(snapshot), code=snapshot.code, message=snapshot.message)
        if masked.deploy == snapshot.deploy:
            return masked
        return replace(masked, deploy=None, message="what brings it back repeats the credential")

    def clean_operation(self, operation: Operation) -> Operation:
        """Return a request's kind as it may be kept; which read it is may hold an id that a vendor gave."""
        kind, _, given = operation.via.partition("/")
        return replace(operation, via=f"{kind}/{self.clean_value(given)}") if given else operation

    def _clean_inside(self, value: Any) -> Any:
        match value:
            case Enum():
                return value
            case str():
                return _blot_out(value, self._long)
            case tuple() | list():
                return type(value)(map(self._clean_inside, value))
            case dict():
                return {self._clean_inside(key): self._clean_inside(each) for key, each in value.items()}
            case Struct():
                fields = {name: self._clean_inside(getattr(value, name)) for name in value.__struct_fields__}
                return replace(value, **fields)
            case _:
                return value


def list_secrets(material: Material) -> tuple[str, ...]:
    """Return the texts of a credential that nobody may repeat. An access key's id may be: it is no secret."""
    match material:
        case Secret():
            found = (material,)
        case LoginPassword(secret):
            found = (secret,)
        case AccessKeys(_, secret, security_token):
            found = (secret, *((security_token,) if security_token else ()))
    return tuple(each.reveal() for each in found)


class KnownSecrets:
    """Every credential that one command has had in its hands. A gateway may repeat another one's."""

    def __init__(self) -> None:
        self.mask = Mask()
        """Takes all of them out of texts from outside."""

    def add(self, secrets: Iterable[str]) -> None:
        """Take in more of them."""
        new = frozenset(filter(None, secrets)) - self.mask.secrets
        if new:
            self.mask = self.mask.extend(new)


class _SearchTexts:
    """Texts any of which is looked for; a long one in pieces."""

    def __init__(self, *texts: str) -> None:
        long = [text for text in texts if len(text) >= PIECE_LENGTH]
        self._whole = tuple(text for text in texts if len(text) < PIECE_LENGTH)
        self._pieces = frozenset(piece for text in long for piece in _slide(text, PIECE_LENGTH))
        self._grams = frozenset(gram for text in long for gram in _slide(text, GRAM_LENGTH))
        self._heads = tuple(
            text[:size] for text in texts for size in range(SHORTEST_CUT, min(PIECE_LENGTH, len(text)))
        )

    def may_be_in(self, text: str) -> bool:
        """Tell whether ``text`` may hold one: a piece of it covers one of the places that are tried."""
        grams = self._grams
        return any(whole in text for whole in self._whole + self._find_cut_heads(text)) or (
            bool(grams)
            and any(
                text[at : at + GRAM_LENGTH] in grams
                for at in range(0, len(text) - GRAM_LENGTH + 1, GRAM_LENGTH)
            )
        )

    def _find_cut_heads(self, text: str) -> tuple[str, ...]:
        """Return the beginnings of one that a text ends in where somebody has cut it."""
        cut = _CUT.search(text)
        left = text[: cut.start()] if cut else ""
        return (
            tuple(head for head in self._heads if left.endswith(head)) if left.endswith(self._heads) else ()
        )

    def find(self, text: str) -> Iterator[Span]:
        """Give where in ``text`` one stands, or a piece of it."""
        if not self.may_be_in(text):
            return
        for whole in self._whole:
            yield from (each.span() for each in re.finditer(re.escape(whole), text))
        for head in self._find_cut_heads(text):
            end = text.rindex(head) + len(head)
            yield end - len(head), end
        for at in range(len(text) - PIECE_LENGTH + 1):
            if text[at : at + PIECE_LENGTH] in self._pieces:
                yield at, at + PIECE_LENGTH


def _slide(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(len(text) - size + 1))


class _LongSecret:
    """A credential that is looked for wherever it stands: as it is, in base64 and in hexadecimal digits."""

    short = False

    def __init__(self, secret: str) -> None:
        data = secret.encode("utf-8", "surrogatepass")
        self._plain = _SearchTexts(_lower(_SPLITS.sub("", secret) or secret))
        self._base64 = _SearchTexts(*(_encode_inner_digits(data, before) for before in range(3)))
        self._hex = _SearchTexts(data.hex())

    def may_be_in(self, text: str) -> bool:
        """Tell whether a text without escapes and splits may hold it."""
        return any(needle.may_be_in(read) for needle, read in self._readings(text))

    def find(self, view: _TextView) -> Iterator[Span]:
        """Give where it stands in the text that a view is of."""
        for needle, read in self._readings(view.text):
            yield from (view.locate(*span) for span in needle.find(read))

    def _readings(self, text: str) -> tuple[tuple[_SearchTexts, str], ...]:
        return (
            (self._plain, _lower(text)),
            (self._base64, text.translate(_URL_SAFE)),
            (self._hex, text.translate(_CAPITALS)),
        )


def _lower(text: str) -> str:
    """Return ``text`` in small letters, each where it was: some write a header's value so."""
    small = text.lower()
    return small if len(small) == len(text) else text


def _encode_inner_digits(data: bytes, before: int) -> str:
    """Return the digits of base64 that ``data`` has behind so many other bytes, whatever stands around it."""
    digits = base64.b64encode(bytes(before) + data).decode()
    return digits[-(-before * 4 // 3) : (before + len(data)) * 4 // 3]


class _ShortSecret:
    """A credential that is looked for where no letter, digit or ``_`` stands beside it."""

    short = True

    def __init__(self, secret: str) -> None:
        self._plain = _compile_word(secret)
        in_bytes = secret.encode("utf-8", "surrogatepass").decode("latin-1")
        self._in_bytes = _compile_word(in_bytes) if len(secret) >= SHORTEST_CODED else None

    def find(self, view: _TextView) -> Iterator[Span]:
        """Give where it stands in the text that a view is of."""
        yield from (view.locate(*each.span()) for each in self._plain.finditer(view.text))
        if self._in_bytes is None:
            return
        for at, data, bytes_of, digits in _decode_runs(view.text):
            for each in self._in_bytes.finditer(data):
                begin, end = each.start() * digits // bytes_of, -(-each.end() * digits // bytes_of)
                yield view.locate(at + begin, min(at + end, len(view.text)))


def _compile_word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


_SoughtSecret: TypeAlias = _LongSecret | _ShortSecret


def _walk_texts(value: Any) -> Iterator[str]:
    """Give all texts inside of a value."""
    match value:
        case str():
            yield value
        case tuple() | list():
            for each in value:
                yield from _walk_texts(each)
        case dict():
            yield from _walk_texts([*value.keys(), *value.values()])
        case Struct():
            yield from _walk_texts([getattr(value, name) for name in value.__struct_fields__])


def _blot_out(text: str, sought: tuple[_SoughtSecret, ...]) -> str:
    if _is_clean(text, sought):
        return text
    views = tuple(_read_views(text))
    joined = tuple(map(_join_splits, views))
    spans = [
        span for each in sought for view in (views if each.short else joined) for span in each.find(view)
    ]
    return _blot_spans(text, spans) if spans else text


def _is_clean(text: str, sought: tuple[_SoughtSecret, ...]) -> bool:
    """Tell at little cost that a text holds none; False where that takes a closer look."""
    if not text or not sought:
        return True
    if _ESCAPED.search(text) or _has_coded_text(text):
        return False
    joined = _SPLITS.sub("", text)
    readings = {joined, joined.replace("+", "")}  # in a form's text a plus is a space, which may split, too
    return not any(isinstance(each, _ShortSecret) or any(map(each.may_be_in, readings)) for each in sought)


def _has_coded_text(text: str) -> bool:
    """Tell whether a text holds a list of bytes, or digits in base64 or hexadecimal ones, that are text."""
    return any(read(found) != found[0] for seen, read in _KINDS[-3:] for found in seen.finditer(text))


def _blot_spans(text: str, spans: Iterable[Span]) -> str:
    kept, done = "", 0
    for begin, end in sorted(spans):
        if begin > done or not kept:
            kept = f"{kept}{text[done:begin]}{BLOT}"
        done = max(done, end)
    return kept + text[done:]


def _read_views(text: str) -> Iterator[_TextView]:
    """Give the text as it stands, and as it reads where escapes are escapes, each reading once."""
    layer, seen = [_TextView(text, range(len(text)), range(1, len(text) + 1))], {text}
    yield layer[0]
    for _ in range(MOST_LAYERS if len(text) <= LONG_TEXT else 1):
        read = [_unescape(view, *kind) for view in layer for kind in _KINDS]
        layer = list({view.text: view for view in read if view.text not in seen}.values())
        seen.update(view.text for view in layer)
        yield from layer


def _unescape(view: _TextView, escape: re.Pattern[str], reads: _Reader) -> _TextView:
    """Return a view with the escapes of one kind read."""
    if not escape.search(view.text):
        return view
    text, begins, ends, done = "", list[int](), list[int](), 0
    for found in escape.finditer(view.text):
        meant, (begin, end) = reads(found), view.locate(*found.span())
        text += view.text[done : found.start()] + meant
        begins += [*view.begins[done : found.start()], *([begin] * len(meant))]
        ends += [*view.ends[done : found.start()], *([end] * len(meant))]
        done = found.end()
    return _TextView(text + view.text[done:], [*begins, *view.begins[done:]], [*ends, *view.ends[done:]])


def _decode_json_escape(found: re.Match[str]) -> str:
    high, low, *codes, octal, sign = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    if code := next(filter(None, codes), None):
        return chr(min(int(code, 16), 0x10FFFF))
    return chr(int(octal, 8)) if octal else _CONTROLS.get(sign, sign)


def _decode_bytes(digits: str) -> str:
    """Return what a few bytes are in UTF-8, or else in Latin-1."""
    data = bytes.fromhex(digits)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _decode_byte_list(found: re.Match[str]) -> str:
    """Return what a list of the values of bytes says (signed, as Java writes them, or not), if it is text."""
    values = [int(value) for value in found[0].split(",")]
    if not all(-128 <= value <= 255 for value in values):
        return found[0]
    return _decode_text(bytes(value % 256 for value in values), found[0])


def _decode_base64(found: re.Match[str]) -> str:
    digits = found[0].rstrip("=").translate(_URL_SAFE)
    whole = digits[: len(digits) - (len(digits) % 4 == 1)]
    return _decode_text(base64.b64decode(whole + "=" * (-len(whole) % 4)), found[0])


def _decode_hex_pairs(found: re.Match[str]) -> str:
    return _decode_text(bytes.fromhex(re.sub("[ :-]", "", found[0])), found[0])


def _decode_text(data: bytes, otherwise: str) -> str:
    """Return the text that some bytes are, ``otherwise`` where they are none: digits by chance alone."""
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


def _join_splits(view: _TextView) -> _TextView:
    """Return a view without what may split a credential."""
    if not _SPLITS.search(view.text):
        return view
    kept = [at for part in _find_unsplit_ranges(view.text) for at in part]
    return _TextView(
        "".join(view.text[at] for at in kept),
        [view.begins[at] for at in kept],
        [view.ends[at] for at in kept],
    )


def _find_unsplit_ranges(text: str) -> Iterator[range]:
    done = 0
    for split in _SPLITS.finditer(text):
        yield range(done, split.start())
        done = split.end()
    yield range(done, len(text))


def _decode_runs(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Give what digits of base64 and hexadecimal ones stand for, wherever they may begin.

    That is the place of the first digit, the bytes as Latin-1, and how many bytes are how many digits.
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
