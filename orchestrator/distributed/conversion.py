"""How values travel through Temporal: structs as JSON, bytes as they are.

Each side names the type that it expects, so a payload holds values alone and no name of a class.
"""

from __future__ import annotations

from typing import Any

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    BinaryNullPayloadConverter,
    BinaryPlainPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    EncodingPayloadConverter,
)


class StructConverter(EncodingPayloadConverter):
    """Writes any value that msgspec knows as JSON, and reads the type back that a signature names."""

    @property
    def encoding(self) -> str:
        """The name of the encoding, which Temporal's own web page can show."""
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        """Return the payload of a value. Raises TypeError for one that msgspec does not know."""
        return Payload(metadata={"encoding": self.encoding.encode()}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Return the value of a payload. Raises msgspec.ValidationError where it does not fit the type."""
        return msgspec.json.decode(payload.data, type=Any if type_hint is None else type_hint)


class StructPayloadConverter(CompositePayloadConverter):
    """The encodings in the order in which they are tried: nothing, bytes, everything else."""

    def __init__(self) -> None:
        super().__init__(BinaryNullPayloadConverter(), BinaryPlainPayloadConverter(), StructConverter())


CONVERTER = DataConverter(payload_converter_class=StructPayloadConverter)
"""What each client and worker of a run uses."""
