"""Take credentials out of texts from outside, however they are spelled there. Pure.

A text is searched as it stands and in every reading of its escapes (``spellings.py``). The search leaves out
the characters that may split a credential (white space, line ends, invisible ones), and takes capitals for
small letters. Each place where a credential stands is blotted out. If a text is marked as cut, so is the
beginning of a credential at its end.

A credential shorter than ``SHORTEST_SECRET`` is blotted out only where it is a word of its own: "1" or
"test" would otherwise take every text apart. Such a credential should be longer, and the program says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, TypeVar
from unicodedata import normalize

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.lanes.secret_search import JointSearch, LongSecret, ShortSecret, SoughtSecret
from orchestrator.lanes.spellings import ESCAPED, SPLITS, Span, has_coded_text, join_splits, read_views
from orchestrator.model.credentials import SHORTEST_SECRET, AccessKeys, LoginPassword, Material, Secret
from orchestrator.model.reading import Operation, Reading, Snapshot

BLOT = "•••"

TOO_SHORT = (
    f"a credential of fewer than {SHORTEST_SECRET} characters is taken out of replies only where it is a word"
    " of its own; use a longer one"
)


T = TypeVar("T")


class Mask:
    """Takes credentials out of texts. A text that repeats none stays as it is."""

    def __init__(self, secrets: Iterable[str] = (), known: Mask | None = None) -> None:
        """``secrets`` are the credentials themselves; an empty one is none. ``known`` are sought as well."""
        fresh = frozenset(filter(None, secrets))
        self.secrets: frozenset[str] = fresh if known is None else fresh | known.secrets
        # A run may log in hundreds of times: what is sought already is not prepared again for each token.
        forms: dict[str, LongSecret | ShortSecret] = {} if known is None else {**known._forms}
        new: dict[str, LongSecret | ShortSecret] = {
            form: LongSecret(form) if len(form) >= SHORTEST_SECRET else ShortSecret(form)
            for form in {form for secret in fresh for form in _list_forms(secret)} - forms.keys()
        }
        forms |= new
        self._joint: JointSearch = JointSearch(
            (each for each in new.values() if isinstance(each, LongSecret)),
            None if known is None else known._joint,
        )
        self._forms: dict[str, LongSecret | ShortSecret] = dict(sorted(forms.items()))
        self._long = tuple(sought for sought in self._forms.values() if isinstance(sought, LongSecret))
        self._sought: tuple[SoughtSecret, ...] = (
            *self._long,
            *(sought for sought in self._forms.values() if isinstance(sought, ShortSecret)),
        )

    def __repr__(self) -> str:
        return f"Mask({len(self.secrets)} credentials)"

    def extend(self, secrets: Iterable[str]) -> Mask:
        """Return a mask that takes these out as well."""
        return Mask(secrets, self)

    def clean_text(self, text: str) -> str:
        """Return a text from outside, as it may be shown and kept."""
        return self._blot_out(text, self._sought)

    def clean_value(self, value: T) -> T:
        """Return a value from outside that a program reads on, with all of its texts masked.

        Short credentials stay in the value: there they are more likely names, and the program would send a
        blotted name back to the vendor.
        """
        # One cheap search over all texts together; only if it finds anything, each text is searched alone.
        together = "\0".join(_walk_texts(value))
        return value if self._is_clean(together, self._long) else self._clean_inside(value)

    def clean_reading(self, reading: Reading) -> Reading:
        """Return a reading as it may be shown and kept. Only texts for people are masked."""
        if not (reading.code or reading.message or reading.pods):
            return reading
        return replace(
            reading,
            code=reading.code and self.clean_text(reading.code),
            message=reading.message and self.clean_text(reading.message),
            pods=tuple(map(self.clean_text, reading.pods)),
        )

    def clean_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot as it may be kept, without a deploy that a blot would have made useless."""
        if self.clean_value(snapshot) is snapshot:
            return snapshot
        masked = replace(self.clean_value(snapshot), code=snapshot.code, message=snapshot.message)
        if masked.deploy == snapshot.deploy:
            return masked
        return replace(masked, deploy=None, message="what brings it back repeats the credential")

    def clean_operation(self, operation: Operation) -> Operation:
        """Return an operation as it may be kept."""
        # The name of a read may end in an id that a vendor gave, and a vendor's texts are not to be trusted.
        kind, _, given = operation.via.partition("/")
        return replace(operation, via=f"{kind}/{self.clean_value(given)}") if given else operation

    def _clean_inside(self, value: Any) -> Any:
        match value:
            case Enum():
                return value
            case str():
                return self._blot_out(value, self._long)
            case tuple() | list():
                return type(value)(map(self._clean_inside, value))
            case dict():
                return {self._clean_inside(key): self._clean_inside(each) for key, each in value.items()}
            case Struct():
                fields = {name: self._clean_inside(getattr(value, name)) for name in value.__struct_fields__}
                return replace(value, **fields)
            case _:
                return value

    def _blot_out(self, text: str, sought: tuple[SoughtSecret, ...]) -> str:
        if self._is_clean(text, sought):
            return text
        views = tuple(read_views(text))
        joined = tuple(map(join_splits, views))
        spans = [
            span for each in sought for view in (views if each.short else joined) for span in each.find(view)
        ]
        return _blot_spans(text, spans) if spans else text

    def _is_clean(self, text: str, sought: tuple[SoughtSecret, ...]) -> bool:
        """Return cheaply whether a text surely holds no credential; False asks for a closer search."""
        if not text or not sought:
            return True
        if sought[-1].short or ESCAPED.search(text) or has_coded_text(text):  # short ones come last
            return False
        joined = SPLITS.sub("", text)
        # In the text of a form a plus is a space, which may split a credential, too.
        return not any(map(self._joint.may_be_in, {joined, joined.replace("+", "")}))


def _list_forms(secret: str) -> Iterator[str]:
    """Yield a credential, and the other texts that a program may turn it into, which look the same or nearly.

    Accents may be taken from their letters or joined with them, and UTF-8 may be read as Latin-1. The search
    takes capitals for small letters one by one; where a capital is two letters, or the capital of another
    letter (of a dotless i), both cases are yielded.
    """
    yield secret
    if secret.isascii():
        return
    yield normalize("NFC", secret)
    yield normalize("NFD", secret)
    yield secret.encode("utf-8", "surrogatepass").decode("latin-1")
    if len(secret) >= SHORTEST_SECRET:
        yield secret.lower()
        yield secret.upper()


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
    """Every credential that one command has used so far. A gateway may repeat another gateway's."""

    def __init__(self) -> None:
        self.mask = Mask()
        """Takes all of these credentials out of texts from outside."""

    def add(self, secrets: Iterable[str]) -> None:
        """Take in more credentials."""
        new = frozenset(filter(None, secrets)) - self.mask.secrets
        if new:
            self.mask = self.mask.extend(new)


def _walk_texts(value: Any) -> Iterator[str]:
    """Yield all texts inside a value."""
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


def _blot_spans(text: str, spans: Iterable[Span]) -> str:
    kept, done = "", 0
    for begin, end in sorted(spans):
        if begin > done or not kept:
            kept = f"{kept}{text[done:begin]}{BLOT}"
        done = max(done, end)
    return kept + text[done:]
