"""What a worker has seen in a look, as the pages in which it travels: pure."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from orchestrator.distributed.bounds import PAGE_BYTES
from orchestrator.distributed.look_payloads import LookPage, LookTold
from orchestrator.doctor.findings import GatewayDiagnosis
from orchestrator.errors import RunError
from orchestrator.preview.states import GatewaySight

Sights: TypeAlias = tuple[GatewaySight, ...]
Diagnoses: TypeAlias = tuple[GatewayDiagnosis, ...]

_sights = msgspec.msgpack.Decoder(Sights)
_diagnoses = msgspec.msgpack.Decoder(Diagnoses)


def pack_answer(zone: str, answer: Sights | Diagnoses) -> tuple[LookTold, list[LookPage]]:
    """Return what names an answer, and its pages of at most ``PAGE_BYTES``."""
    packed = zlib.compress(msgspec.msgpack.encode(answer))
    digest = hashlib.sha256(packed).hexdigest()
    pages = [
        LookPage(zone=zone, digest=digest, number=number, content=packed[first : first + PAGE_BYTES])
        for number, first in enumerate(range(0, len(packed), PAGE_BYTES))
    ]
    return LookTold(digest=digest, pages=len(pages)), pages


def unpack_sights(told: LookTold, pages: Iterable[LookPage]) -> Sights:
    """Return what a preview's worker has seen, of all ``pages`` that came. Raises RunError if some lack."""
    return _sights.decode(_join(told, pages))


def unpack_diagnoses(told: LookTold, pages: Iterable[LookPage]) -> Diagnoses:
    """Return what a doctor's worker has found, of all ``pages`` that came. Raises RunError if some lack."""
    return _diagnoses.decode(_join(told, pages))


def _join(told: LookTold, pages: Iterable[LookPage]) -> bytes:
    # A worker that lost its connection sends its pages again, and another one may have sent another answer.
    found = {page.number: page.content for page in pages if page.digest == told.digest}
    packed = b"".join(found.get(number, b"") for number in range(told.pages))
    if hashlib.sha256(packed).hexdigest() != told.digest:
        raise RunError("a worker's answer did not arrive whole; ask again")
    return zlib.decompress(packed)
